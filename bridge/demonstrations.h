/* Logged episodes as transitions that a learner can replay: every policy step with the frame after
 * its own. What the log does not hold, the outcome of the last action before a new goal or before a
 * frame without a decision, the observer computes from the logged readings. A step is left out
 * where the frame after its own, numbered one higher, was not logged: what came later came of more
 * than one period. */
#ifndef CN_BRIDGE_DEMONSTRATIONS_H
#define CN_BRIDGE_DEMONSTRATIONS_H

#include "bridge/episode.h"
#include "bridge/robot_env.h"
#include "policy/replay_buffer.h"

#define CN_MAX_DEMONSTRATIONS 64 /* logs at once */

/* A transition of a log, and where in the log it was. */
typedef struct cn_demonstration {
    cn_transition transition; /* its pointers are valid until the taker returns */
    int step;                 /* the decision, of the episode's steps */
    int frame, next; /* what it was decided on and what came of it, of the episode's frames;
                        both have the same `resets`, which differ from goal to goal */
    bool success;    /* on the frame `next` */
} cn_demonstration;

/* Takes a transition; a failure ends the walk, which passes it on. */
typedef cn_status cn_demonstration_taker(void *self, const cn_demonstration *d, cn_error *err);

/* Gives every transition of a log to `take`, in order, as below.
 * @param observer  its state is lost
 * @return CN_ERR_MISMATCH, CN_ERR_NOT_FOUND, CN_ERR_MEMORY as below, but not naming the log; what
 *         `take` fails with. */
cn_status cn_demonstrations_walk(const cn_episode *episode, const cn_robot_observer *observer,
                                 cn_demonstration_taker *take, void *self, cn_error *err);

/* Rewards are those that were logged. Actions are clipped to [-1, 1], as the arm took them.
 * @param paths     [count], 1..CN_MAX_DEMONSTRATIONS
 * @param observer  its state is lost
 * @param out       owned; cn_replay_destroy
 * @return what cn_episode_load fails with; CN_ERR_MISMATCH (another arm, task, control period, or
 *         sizes; observations that the observer does not make from the logged readings),
 *         CN_ERR_NOT_FOUND (a log without policy steps, or without a transition), CN_ERR_ARGUMENT,
 * CN_ERR_MEMORY: all naming the log. */
cn_status cn_demonstrations_load(const char *const *paths, int count,
                                 const cn_robot_observer *observer, cn_replay **out, cn_error *err);

#endif
