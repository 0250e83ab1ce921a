/* A PPO update alone: a policy of one or two equal columns, and a rollout that was drawn instead of
 * collected, so that no environment takes part in the time. One thread. */
#ifndef CN_CLI_BENCH_UPDATE_H
#define CN_CLI_BENCH_UPDATE_H

#include "policy/ppo.h"

typedef struct cli_update {
    cn_policy *policy;
    cn_pool *pool;
    cn_ppo *ppo;
    cn_rollout rollout;
    cn_status status; /* the first failure of a run, if any */
    cn_error error;
} cli_update;

/* 20 inputs, two hidden layers of `width` tanh units, 7 actions; 64 x 64 steps, one epoch.
 * @param columns  1, or 2: the first is frozen and its hidden layers come with the rollout
 * @param lateral  of the second column; adapters have the default number of units
 * @param out      owned; cli_update_destroy, also after a failure */
cn_status cli_update_create(int columns, int width, cn_lateral lateral, cli_update *out,
                            cn_error *err);
void cli_update_destroy(cli_update *update);

/* One update; the cli_bench_time work of a cli_update. */
void cli_update_run(void *update);

/* Parameters that learn. */
size_t cli_update_trainable(const cli_update *update);

#endif
