/* Agents: a policy's column as an inference graph. */
#include "policy/agent.h"

#include <stdlib.h>
#include <string.h>

#include "policy/actor.h"

struct cn_agent {
    cn_policy *policy;
    int column;
    cn_graph *graph;
    cn_node input[CN_MAX_COLUMNS];
    cn_node mean, log_std, value, features; /* -1: not in this agent */
};

static void build_actor(cn_agent *a, bool spread)
{
    const cn_actor_nodes nodes = cn_actor_build(a->policy, a->column, spread, a->graph);
    memcpy(a->input, nodes.input, sizeof a->input);
    a->mean = nodes.mean;
    a->log_std = nodes.log_std;
}

/* Features of actor and critic side by side: what the learner will take as its frozen input. */
static void build_actor_critic(cn_agent *a)
{
    cn_node features[2];
    for (int k = 0; k <= a->column; k++)
        a->input[k] =
            cn_op_input(a->graph, "observation", cn_policy_column_at(a->policy, k)->input_size);
    a->mean =
        cn_net_build(cn_policy_actor(a->policy), a->graph, a->input, a->column, -1, &features[0]);
    a->value =
        cn_net_build(cn_policy_critic(a->policy), a->graph, a->input, a->column, -1, &features[1]);
    a->features = a->column > 0 ? cn_op_concat(a->graph, features, 2) : -1;
}

cn_status cn_agent_create(cn_policy *policy, int column, int max_rows, cn_agent_kind kind,
                          cn_agent **out, cn_error *err)
{
    *out = NULL;
    CN_FAIL_IF(column < 0 || column >= cn_policy_columns(policy), CN_ERR_ARGUMENT, err,
               "column %d: the policy has columns 0 to %d", column, cn_policy_columns(policy) - 1);
    cn_agent *a = calloc(1, sizeof *a);
    CN_FAIL_IF(!a, CN_ERR_MEMORY, err, "no memory for an agent");
    cn_status status = CN_OK;
    *a = (cn_agent){.policy = policy, .column = column, .value = -1, .features = -1};
    CN_TRY_CLEANUP(cn_graph_create(cn_policy_params(policy), &a->graph, err));
    if (kind == CN_AGENT_ACTOR_CRITIC)
        build_actor_critic(a);
    else
        build_actor(a, kind == CN_AGENT_SAMPLER);
    CN_TRY_CLEANUP(cn_graph_finish(a->graph, max_rows, CN_INFERENCE, err));
    *out = a;
    a = NULL;
cleanup:
    cn_agent_destroy(&a);
    return status;
}

void cn_agent_destroy(cn_agent **agent)
{
    if (!*agent)
        return;
    cn_graph_destroy(&(*agent)->graph);
    free(*agent);
    *agent = NULL;
}

void cn_agent_forward(cn_agent *a, const float *observations, int rows)
{
    const int stride = cn_policy_spec(a->policy)->observation_size;
    for (int k = 0; k <= a->column; k++) {
        const int width = cn_policy_column_at(a->policy, k)->input_size;
        float *input = cn_graph_value(a->graph, a->input[k]);
        for (int r = 0; r < rows; r++)
            cn_policy_input(a->policy, k, observations + r * stride, input + r * width);
    }
    cn_graph_forward(a->graph, rows);
}

const float *cn_agent_mean(const cn_agent *a)
{
    return cn_graph_value(a->graph, a->mean);
}

const float *cn_agent_log_std(const cn_agent *a)
{
    return cn_graph_value(a->graph, a->log_std);
}

const float *cn_agent_value(const cn_agent *a)
{
    return cn_graph_value(a->graph, a->value);
}

const float *cn_agent_input(const cn_agent *a)
{
    return cn_graph_value(a->graph, a->input[a->column]);
}

const float *cn_agent_features(const cn_agent *a)
{
    return cn_graph_value(a->graph, a->features);
}

void cn_agent_act(void *agent, const float *observation, float *action)
{
    cn_agent *a = agent;
    cn_agent_forward(a, observation, 1);
    const int A = cn_policy_spec(a->policy)->action_size;
    memcpy(action, cn_agent_mean(a), (size_t)A * sizeof *action);
    if (cn_policy_column_at(a->policy, a->column)->bound == CN_BOUND_TANH)
        for (int i = 0; i < A; i++)
            action[i] = cn_bound_apply(CN_BOUND_TANH, action[i]);
}
