/* Replay buffers: a ring in five arrays. */
#include "policy/replay_buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

cn_status cn_replay_create(int capacity, int observation_size, int action_size, cn_replay **out,
                           cn_error *err)
{
    *out = NULL;
    CN_FAIL_IF(capacity < 1 || capacity > CN_MAX_REPLAY, CN_ERR_ARGUMENT, err,
               "a replay buffer of %d transitions; 1 to %d are possible", capacity, CN_MAX_REPLAY);
    CN_FAIL_IF(observation_size < 1 || action_size < 1, CN_ERR_ARGUMENT, err,
               "a replay buffer of %d observations and %d actions; at least 1 of each is needed",
               observation_size, action_size);
    const size_t C = (size_t)capacity;
    cn_replay *r = calloc(1, sizeof *r);
    CN_FAIL_IF(!r, CN_ERR_MEMORY, err, "no memory for a replay buffer");
    *r = (cn_replay){
        .capacity = capacity,
        .observation_size = observation_size,
        .action_size = action_size,
        .observation = calloc(C, (size_t)observation_size * sizeof *r->observation),
        .action = calloc(C, (size_t)action_size * sizeof *r->action),
        .reward = calloc(C, sizeof *r->reward),
        .next = calloc(C, (size_t)observation_size * sizeof *r->next),
        .terminated = calloc(C, sizeof *r->terminated),
    };
    if (!r->observation || !r->action || !r->reward || !r->next || !r->terminated) {
        cn_replay_destroy(&r);
        CN_FAIL(CN_ERR_MEMORY, err,
                "no memory for a replay buffer of %d transitions of %d observations: lower "
                "replay_size",
                capacity, observation_size);
    }
    *out = r;
    return CN_OK;
}

void cn_replay_destroy(cn_replay **replay)
{
    cn_replay *r = *replay;
    if (!r)
        return;
    free(r->observation);
    free(r->action);
    free(r->reward);
    free(r->next);
    free(r->terminated);
    free(r);
    *replay = NULL;
}

void cn_replay_add(cn_replay *r, const cn_transition *t)
{
    const size_t row = (size_t)(r->added++ % r->capacity);
    const size_t O = (size_t)r->observation_size, A = (size_t)r->action_size;
    memcpy(r->observation + row * O, t->observation, O * sizeof(float));
    memcpy(r->action + row * A, t->action, A * sizeof(float));
    memcpy(r->next + row * O, t->next, O * sizeof(float));
    r->reward[row] = t->reward;
    r->terminated[row] = t->terminated ? 1.0f : 0.0f;
}

int cn_replay_count(const cn_replay *r)
{
    return r->added < r->capacity ? (int)r->added : r->capacity;
}

int cn_replay_draw(const cn_replay *r, cn_rng *rng)
{
    return (int)cn_rng_below(rng, (uint32_t)cn_replay_count(r));
}

cn_transition cn_replay_at(const cn_replay *r, int row)
{
    assert(row >= 0 && row < cn_replay_count(r));
    const size_t at = (size_t)row, O = (size_t)r->observation_size;
    return (cn_transition){
        .observation = r->observation + at * O,
        .action = r->action + at * (size_t)r->action_size,
        .reward = r->reward[at],
        .next = r->next + at * O,
        .terminated = r->terminated[at] != 0.0f,
    };
}
