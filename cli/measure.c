/* Measuring a policy at a place. */
#include "cli/measure.h"

#include "cli/cli.h"

cn_status cli_measure_run(const cli_measure *m, cn_evaluation *out, cn_error *err)
{
    cn_status status = CN_OK;
    cn_pool *pool = NULL;
    cn_evaluator *evaluator = NULL;
    const int envs =
        cli_place_envs(m->place, m->episodes < CN_SHARDS ? (int)m->episodes : CN_SHARDS);
    CN_TRY_CLEANUP(cn_pool_create(envs < m->threads ? envs : m->threads, &pool, err));
    CN_TRY_CLEANUP(cn_evaluator_create(m->policy, m->column, envs, cli_place_make_env, m->place,
                                       pool, &evaluator, err));
    if (m->against)
        CN_TRY_CLEANUP(
            cn_evaluator_against(evaluator, m->against, cn_policy_columns(m->against) - 1, err));
    CN_TRY_CLEANUP(cn_evaluator_run(evaluator, m->episodes, m->seed, cli_stop(), out, err));
cleanup:
    cn_evaluator_destroy(&evaluator);
    cn_pool_destroy(&pool);
    return status;
}

json_t *cli_measure_json(const cn_evaluation *evaluation, double value)
{
    return evaluation->episodes > 0 ? json_real(value) : json_null();
}
