/* A PPO update on a drawn rollout. */
#include "cli/bench_update.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUTS = 20, ACTIONS = 7, ENVS = 64, STEPS = 64, ROWS = ENVS * STEPS };

#define LOG_SQRT_2PI 0.918938533204672742

static cn_env_spec make_spec(void)
{
    cn_env_spec spec = {
        .task = "bench",
        .arm = "bench",
        .groups = 1,
        .group = {{.name = "inputs", .size = INPUTS}},
        .observation_size = INPUTS,
        .action_size = ACTIONS,
        .action_unit = "rad",
        .control_period_s = 0.05,
        .step_limit = STEPS,
    };
    for (int i = 0; i < ACTIONS; i++)
        snprintf(spec.action[i], sizeof spec.action[i], "joint%d", i);
    return spec;
}

static cn_status make_policy(cli_update *u, int columns, int width, cn_lateral lateral, cn_rng *rng,
                             cn_error *err)
{
    const cn_env_spec spec = make_spec();
    cn_policy_column column = cn_policy_column_default();
    for (int i = 0; i < column.layers; i++)
        column.hidden[i] = width;
    column.lateral = lateral;
    column.adapter_size = (int)cn_train_config_default().adapter_size;
    CN_TRY(cn_policy_create(&spec, &u->policy, err));
    for (int k = 0; k < columns; k++) {
        CN_TRY(cn_policy_grow(u->policy, &column, CN_GROW_RANDOM, rng, err));
        if (k < columns - 1)
            cn_policy_freeze(u->policy, k);
    }
    return CN_OK;
}

static float *draw(int count, double spread, cn_rng *rng)
{
    float *values = calloc((size_t)count + 1, sizeof *values);
    for (int i = 0; values && i < count; i++)
        values[i] = (float)(spread * cn_rng_normal(rng));
    return values;
}

/* What a fresh policy would do and find: actions around zero, and rewards without meaning. */
static cn_status draw_rollout(cn_rollout *r, cn_rng *rng, cn_error *err)
{
    r->observation = draw(ROWS * r->O, 1.0, rng);
    r->input = draw(ROWS * r->I, 1.0, rng);
    r->features = draw(ROWS * r->F, 0.5, rng);
    r->action = draw(ROWS * r->A, 1.0, rng);
    r->log_prob = draw(ROWS, 0.0, rng);
    r->value = draw(ROWS, 0.1, rng);
    r->reward = draw(ROWS, 1.0, rng);
    r->bootstrap = draw(ROWS, 0.0, rng);
    r->last_value = draw(ENVS, 0.1, rng);
    r->end = calloc(ROWS, 1);
    CN_FAIL_IF(!r->observation || !r->input || !r->features || !r->action || !r->log_prob ||
                   !r->value || !r->reward || !r->bootstrap || !r->last_value || !r->end,
               CN_ERR_MEMORY, err, "no memory for a rollout");
    for (int i = 0; i < ROWS * r->A; i++)
        r->log_prob[i / r->A] -=
            (float)(0.5 * (double)r->action[i] * (double)r->action[i] + LOG_SQRT_2PI);
    return CN_OK;
}

cn_status cli_update_create(int columns, int width, cn_lateral lateral, cli_update *u,
                            cn_error *err)
{
    cn_rng rng = cn_rng_make(3, 0);
    cn_train_config config = cn_train_config_default();
    config.epochs = 1;
    *u = (cli_update){0};
    CN_TRY(make_policy(u, columns, width, lateral, &rng, err));
    const int features = cn_net_features(cn_policy_actor(u->policy), columns - 1) +
                         cn_net_features(cn_policy_critic(u->policy), columns - 1);
    u->rollout =
        (cn_rollout){.N = ENVS, .T = STEPS, .O = INPUTS, .I = INPUTS, .F = features, .A = ACTIONS};
    CN_TRY(draw_rollout(&u->rollout, &rng, err));
    CN_TRY(cn_pool_create(1, &u->pool, err));
    return cn_ppo_create(u->policy, columns - 1, &config, &u->rollout, 1, u->pool, &u->ppo, err);
}

void cli_update_destroy(cli_update *u)
{
    cn_rollout *r = &u->rollout;
    float *const blocks[] = {r->observation, r->input,  r->features,  r->action,    r->log_prob,
                             r->value,       r->reward, r->bootstrap, r->last_value};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
    free(r->end);
    cn_ppo_destroy(&u->ppo);
    cn_pool_destroy(&u->pool);
    cn_policy_destroy(&u->policy);
}

void cli_update_run(void *update)
{
    cli_update *u = update;
    cn_ppo_stats stats;
    const cn_status status = cn_ppo_update(u->ppo, &u->rollout, 0.0, &stats, &u->error);
    if (u->status == CN_OK)
        u->status = status;
}

size_t cli_update_trainable(const cli_update *u)
{
    return cn_params_trainable(cn_policy_params(u->policy));
}
