/* Rollouts: many environments stepped by one policy, and what was seen, done and earned.
 *
 * Legend: N environments, T steps each, rows r = n T + t; O observation, I input of the learning
 * column, F features of the frozen columns, A action sizes. */
#ifndef CN_POLICY_ROLLOUT_H
#define CN_POLICY_ROLLOUT_H

#include "base/pool.h"
#include "policy/agent.h"

/* Work is always cut into this many shards (fewer when there is less of it), whatever the number of
 * threads: so the bits don't depend on the threads. */
#define CN_SHARDS 8

#define CN_MAX_ROLLOUT_ROWS (1 << 27) /* N T */

/* Makes environments. @param out  owned by the caller; cn_env_destroy */
typedef cn_status cn_make_env(void *ctx, cn_env **out, cn_error *err);

typedef struct cn_rollout {
    int N, T, O, I, F, A;
    float *observation; /* [N T, O] as the env gave it */
    float *input;       /* [N T, I] normalised, as the network took it */
    float *features;    /* [N T, F] hidden layers of the frozen columns */
    float *action;      /* [N T, A] before its bound; of transitions as the env took it */
    float *log_prob;    /* [N T] */
    float *value;       /* [N T] */
    float *reward;      /* [N T] as the env gave it */
    float *bootstrap;   /* [N T] value of the final observation where an episode was truncated */
    unsigned char *end; /* [N T] 0, or CN_END_... after this step */
    float *last_value;  /* [N] value of the observation after the last step */
    float *next;        /* [N T, O] observation after each step; NULL unless of transitions */
} cn_rollout;
enum { CN_END_TERMINATED = 1, CN_END_TRUNCATED = 2 };

/* Episodes that ended during a rollout. */
typedef struct cn_episode_totals {
    long episodes;
    long successes; /* episodes whose last step was a success */
    double return_sum;
    double length_sum; /* steps */
} cn_episode_totals;
void cn_episode_totals_add(cn_episode_totals *sum, const cn_episode_totals *more);

typedef struct cn_collector cn_collector;

/* Makes N environments and agents of `column` for them.
 * @param policy  borrowed
 * @param pool    borrowed
 * @return CN_ERR_ARGUMENT (no environments or steps, or more than CN_MAX_ROLLOUT_ROWS in all),
 *         CN_ERR_MISMATCH (an environment that the policy was not made for), CN_ERR_MEMORY, and
 *         whatever `make` fails with. */
cn_status cn_collector_create(cn_policy *policy, int column, int envs, int steps, uint64_t seed,
                              cn_make_env *make, void *make_ctx, cn_pool *pool, cn_collector **out,
                              cn_error *err);
void cn_collector_destroy(cn_collector **collector);

/* The same for learners that replay transitions: a rollout then holds observation, action, reward,
 * next and end, and nothing else. The column has state_std. */
cn_status cn_collector_create_transitions(cn_policy *policy, int column, int envs, int steps,
                                          uint64_t seed, cn_make_env *make, void *make_ctx,
                                          cn_pool *pool, cn_collector **out, cn_error *err);

/* Of transitions: from now on every action is uniform in [-1, 1], or the policy's again. */
void cn_collector_wander(cn_collector *collector, bool on);

/* Steps every environment T times with sampled actions. Allocates nothing (environments aside).
 * @param totals  of the episodes that ended; summed in the order of the environments
 * @return what an environment failed with; the next run then begins new episodes. */
cn_status cn_collector_run(cn_collector *collector, cn_episode_totals *totals, cn_error *err);

/* What the environments' futures depend on once their episodes have ended, for a checkpoint: the
 * noise of their actions, and how many episodes each has begun, which numbers the seeds of its
 * resets. Packing ends all episodes.
 * @param noise     [N, CN_RNG_WORDS]
 * @param episodes  [N] */
void cn_collector_pack(cn_collector *collector, uint64_t *noise, uint64_t *episodes);
void cn_collector_unpack(cn_collector *collector, const uint64_t *noise, const uint64_t *episodes);

/* Thread time of the last run, s, summed over shards: inside environments, and inside the network.
 */
typedef struct cn_collector_time {
    double environments, inference;
} cn_collector_time;
cn_collector_time cn_collector_time_of(const cn_collector *collector);

/* What the last run brought; owned by the collector. */
cn_rollout *cn_collector_rollout(cn_collector *collector);

#endif
