/* Actors in graphs. */
#include "policy/actor.h"

#include <stdlib.h>
#include <string.h>

/* The head of a column's log standard deviation. @param hidden  last layers of columns 0..column */
static cn_node build_log_std(cn_policy *policy, int column, cn_graph *g, const cn_node *hidden)
{
    const cn_param weight = cn_policy_log_std_weight(policy, column);
    const int own = cn_graph_width(g, hidden[column]);
    const bool laterals = cn_params_info(cn_policy_params(policy), weight)->cols > own;
    cn_node sources[CN_MAX_COLUMNS + 1] = {hidden[column]};
    memcpy(sources + 1, hidden, (size_t)column * sizeof *hidden);
    const cn_node head = cn_op_linear_of(g, sources, laterals ? 1 + column : 1, weight,
                                         cn_policy_log_std(policy, column), CN_IDENTITY);
    return cn_op_soft_clamp(g, head, CN_LOG_STD_LOW, CN_LOG_STD_HIGH);
}

cn_actor_nodes cn_actor_build(cn_policy *policy, int column, bool spread, cn_graph *g)
{
    cn_actor_nodes a = {.log_std = -1};
    for (int k = 0; k <= column; k++)
        a.input[k] = cn_op_input(g, "observation", cn_policy_column_at(policy, k)->input_size);
    cn_node hidden[CN_MAX_COLUMNS];
    a.mean = cn_net_build_hidden(cn_policy_actor(policy), g, a.input, column, hidden);
    if (spread && cn_policy_log_std_weight(policy, column) >= 0)
        a.log_std = build_log_std(policy, column, g, hidden);
    return a;
}

/* Whether it is not the same for all states. */
static bool depends_on_state(cn_policy *policy, int column)
{
    const cn_param weight = cn_policy_log_std_weight(policy, column);
    cn_params *params = cn_policy_params(policy);
    for (size_t i = 0; weight >= 0 && i < cn_params_info(params, weight)->count; i++)
        if (cn_params_slice(params, weight)[i] != 0.0f)
            return true;
    return false;
}

/* The mean observation [observation_size]: each group's as the last column that sees it has it. */
static void fill_mean(cn_policy *policy, int column, float *observation)
{
    const cn_env_spec *spec = cn_policy_spec(policy);
    for (int k = 0; k <= column; k++) {
        const cn_policy_column *c = cn_policy_column_at(policy, k);
        const double *mean = cn_policy_normalizer(policy, k)->mean;
        for (int i = 0; i < c->groups; i++) {
            const cn_obs_group *group = &spec->group[c->group[i]];
            for (int n = 0; n < group->size; n++)
                observation[group->offset + n] = (float)*mean++;
        }
    }
}

cn_status cn_actor_typical_spread(cn_policy *policy, int column, float *log_std, cn_error *err)
{
    const cn_env_spec *spec = cn_policy_spec(policy);
    const size_t bytes = (size_t)spec->action_size * sizeof *log_std;
    cn_graph *g = NULL;
    if (!depends_on_state(policy, column)) {
        memcpy(log_std,
               cn_params_slice(cn_policy_params(policy), cn_policy_log_std(policy, column)), bytes);
        return CN_OK;
    }
    float *observation = calloc((size_t)spec->observation_size, sizeof *observation);
    CN_FAIL_IF(!observation, CN_ERR_MEMORY, err, "no memory for an observation");
    cn_status status;
    CN_TRY_CLEANUP(cn_graph_create(cn_policy_params(policy), &g, err));
    const cn_actor_nodes a = cn_actor_build(policy, column, true, g);
    CN_TRY_CLEANUP(cn_graph_finish(g, 1, CN_INFERENCE, err));
    fill_mean(policy, column, observation);
    cn_actor_observe(&a, policy, column, g, 0, observation);
    cn_graph_forward(g, 1);
    memcpy(log_std, cn_graph_value(g, a.log_std), bytes);
cleanup:
    cn_graph_destroy(&g);
    free(observation);
    return status;
}

void cn_actor_observe(const cn_actor_nodes *a, cn_policy *policy, int column, cn_graph *g, int row,
                      const float *observation)
{
    for (int k = 0; k <= column; k++) {
        const int width = cn_policy_column_at(policy, k)->input_size;
        cn_policy_input(policy, k, observation, cn_graph_value(g, a->input[k]) + row * width);
    }
}
