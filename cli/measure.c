/* Measuring a policy at a place. */
#include "cli/measure.h"

#include <math.h>

#include "base/clock.h"
#include "cli/cli.h"

/* A measurement that takes longer than this shows how far it is. */
#define QUIET_NS (2 * CN_NS_PER_S)

static void show(void *ctx, long ended, long successes, long episodes)
{
    const int64_t *began_ns = ctx, spent_ns = cn_clock_now() - *began_ns;
    const double fraction = (double)ended / (double)episodes;
    char bar[32], left[24], success[24] = "";
    if (spent_ns < QUIET_NS)
        return;
    cli_bar(fraction, 20, bar);
    cli_duration((double)spent_ns / (double)CN_NS_PER_S * (1.0 / fraction - 1.0), left,
                 sizeof left);
    if (successes >= 0)
        snprintf(success, sizeof success, "success %3.0f%%  ",
                 100.0 * (double)successes / (double)ended);
    cli_progress(false, "%s %ld of %ld episodes  %s%s left", bar, ended, episodes, success, left);
}

cn_status cli_measure_run(const cli_measure *m, cn_evaluation *out, cn_error *err)
{
    cn_status status = CN_OK;
    cn_pool *pool = NULL;
    cn_evaluator *evaluator = NULL;
    int64_t began_ns = cn_clock_now();
    const int envs =
        cli_place_envs(m->place, m->episodes < CN_SHARDS ? (int)m->episodes : CN_SHARDS);
    CN_TRY_CLEANUP(cn_pool_create(envs < m->threads ? envs : m->threads, &pool, err));
    CN_TRY_CLEANUP(cn_evaluator_create(m->policy, m->column, envs, cli_place_make_env, m->place,
                                       pool, &evaluator, err));
    if (m->against)
        CN_TRY_CLEANUP(
            cn_evaluator_against(evaluator, m->against, cn_policy_columns(m->against) - 1, err));
    cn_evaluator_watch(evaluator, show, &began_ns);
    CN_TRY_CLEANUP(cn_evaluator_run(evaluator, m->episodes, m->seed, cli_stop(), out, err));
cleanup:
    cli_progress_end();
    cn_evaluator_destroy(&evaluator);
    cn_pool_destroy(&pool);
    return status;
}

cn_status cli_measure_last(const cli_measure *m, cn_evaluation *out, cn_error *err)
{
    const cn_status status =
        atomic_load(cli_stop()) ? CN_ERR_CANCELLED : cli_measure_run(m, out, err);
    if (status != CN_ERR_CANCELLED)
        return status;
    *out = (cn_evaluation){0};
    return CN_OK;
}

json_t *cli_measure_json(const cn_evaluation *evaluation, double value)
{
    return evaluation->episodes > 0 && !isnan(value) ? json_real(value) : json_null();
}

void cli_measure_print(const cn_evaluation *e)
{
    if (e->successes >= 0)
        printf("success %.1f %% of %ld episodes (95 %% interval %.1f to %.1f %%)\n",
               100.0 * e->success_rate, e->episodes, 100.0 * e->success_low,
               100.0 * e->success_high);
    printf("return  %.2f +- %.2f of %ld episodes, length %.1f steps\n", e->return_mean,
           e->return_std, e->episodes, e->length_mean);
}
