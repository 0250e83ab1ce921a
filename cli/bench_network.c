/* The network of the benchmarks. */
#include "cli/bench_network.h"

#include <string.h>

/* Biases begin at zero; here they don't, so that a comparison of numbers sees them. */
static void fill_biases(cn_params *params, cn_rng *rng)
{
    for (cn_param p = 0; p < cn_params_slices(params); p++) {
        const cn_param_info *slice = cn_params_info(params, p);
        float *bias = cn_params_slice(params, p);
        for (size_t i = 0; strstr(slice->name, ".bias") && i < slice->count; i++)
            bias[i] = 0.1f * (float)cn_rng_normal(rng);
    }
}

static cn_status grow(cli_network *n, cn_lateral lateral, cn_rng *rng, cn_error *err)
{
    cn_column_spec spec = cn_column_default();
    spec.input_size = CLI_NET_INPUTS;
    for (int i = 0; i < spec.layers; i++)
        spec.hidden[i] = CLI_NET_HIDDEN;
    spec.lateral = lateral;
    spec.adapter_size = CLI_NET_ADAPTER;
    for (int k = 0; k < 2; k++)
        CN_TRY(cn_net_grow(n->net, &spec, CN_GROW_RANDOM, rng, err));
    cn_net_freeze(n->net, 0, true);
    fill_biases(n->params, rng);
    return CN_OK;
}

cn_node cli_network_build(const cli_network *n, cn_graph *graph, cn_node input)
{
    const cn_node inputs[2] = {input, input};
    return cn_net_build(n->net, graph, inputs, 1, -1, NULL);
}

cn_status cli_network_create(cn_lateral lateral, cli_network *n, cn_error *err)
{
    cn_rng rng = cn_rng_make(1, 0);
    *n = (cli_network){0};
    CN_TRY(cn_params_create(&n->params, err));
    CN_TRY(cn_net_create(n->params, "net", CLI_NET_OUTPUTS, &n->net, err));
    CN_TRY(grow(n, lateral, &rng, err));
    CN_TRY(cn_graph_create(n->params, &n->actor, err));
    n->input = cn_op_input(n->actor, "observation", CLI_NET_INPUTS);
    n->output = cli_network_build(n, n->actor, n->input);
    CN_TRY(cn_graph_finish(n->actor, 1, CN_INFERENCE, err));
    for (int i = 0; i < CLI_NET_INPUTS; i++)
        cn_graph_value(n->actor, n->input)[i] = (float)cn_rng_normal(&rng);
    return CN_OK;
}

void cli_network_destroy(cli_network *n)
{
    cn_graph_destroy(&n->actor);
    cn_net_destroy(&n->net);
    cn_params_destroy(&n->params);
}

void cli_network_act(void *network)
{
    const cli_network *n = network;
    cn_graph_forward(n->actor, 1);
}
