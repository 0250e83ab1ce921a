/* Actors in graphs. */
#include "policy/actor.h"

cn_actor_nodes cn_actor_build(cn_policy *policy, int column, bool spread, cn_graph *g)
{
    cn_actor_nodes a = {.log_std = -1};
    for (int k = 0; k <= column; k++)
        a.input[k] = cn_op_input(g, "observation", cn_policy_column_at(policy, k)->input_size);
    cn_node hidden;
    a.mean = cn_net_build_hidden(cn_policy_actor(policy), g, a.input, column, &hidden);
    if (spread && cn_policy_log_std_weight(policy, column) >= 0)
        a.log_std =
            cn_op_soft_clamp(g,
                             cn_op_linear(g, hidden, cn_policy_log_std_weight(policy, column),
                                          cn_policy_log_std(policy, column), CN_IDENTITY),
                             CN_LOG_STD_LOW, CN_LOG_STD_HIGH);
    return a;
}

void cn_actor_observe(const cn_actor_nodes *a, cn_policy *policy, int column, cn_graph *g, int row,
                      const float *observation)
{
    for (int k = 0; k <= column; k++) {
        const int width = cn_policy_column_at(policy, k)->input_size;
        cn_policy_input(policy, k, observation, cn_graph_value(g, a->input[k]) + row * width);
    }
}
