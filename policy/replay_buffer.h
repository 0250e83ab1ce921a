/* A replay buffer: the last transitions an agent has seen, in memory of fixed size. Once it is full
 * the oldest are overwritten.
 *
 * Legend: C capacity; O observation, A action sizes. */
#ifndef CN_POLICY_REPLAY_BUFFER_H
#define CN_POLICY_REPLAY_BUFFER_H

#include <stdbool.h>

#include "base/error.h"
#include "tensor/rng.h"

#define CN_MAX_REPLAY 100000000 /* transitions */

/* One step of an environment. */
typedef struct cn_transition {
    const float *observation; /* [O] as the env gave it */
    const float *action;      /* [A] as the env took it, in [-1, 1] */
    float reward;
    const float *next; /* [O] observation after the step: the final one where an episode ended */
    bool terminated;   /* not by the clock: nothing follows */
} cn_transition;

typedef struct cn_replay {
    int capacity; /* C */
    int observation_size, action_size;
    int64_t added;      /* transitions ever */
    float *observation; /* [C, O] */
    float *action;      /* [C, A] */
    float *reward;      /* [C] */
    float *next;        /* [C, O] */
    float *terminated;  /* [C] 0 or 1 */
} cn_replay;

/* @return CN_ERR_ARGUMENT (capacity outside 1..CN_MAX_REPLAY, sizes < 1), CN_ERR_MEMORY. */
cn_status cn_replay_create(int capacity, int observation_size, int action_size, cn_replay **out,
                           cn_error *err);
void cn_replay_destroy(cn_replay **replay);

/* Copies a transition in; when the buffer is full, over the oldest. */
void cn_replay_add(cn_replay *replay, const cn_transition *transition);

/* Transitions that are there. */
int cn_replay_count(const cn_replay *replay);

/* Any of them, all equally likely; there must be one. */
int cn_replay_draw(const cn_replay *replay, cn_rng *rng);

/* Transition 0 <= row < count; its pointers are valid until it is overwritten. */
cn_transition cn_replay_at(const cn_replay *replay, int row);

#endif
