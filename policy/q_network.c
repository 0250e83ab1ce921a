/* Q-networks. */
#include "policy/q_network.h"

#include <math.h>
#include <stdio.h>

static cn_status add(cn_params *params, const char *name, const char *what, int i, const char *part,
                     int rows, int cols, cn_param *out, cn_error *err)
{
    char full[2 * CN_PARAM_NAME];
    snprintf(full, sizeof full, "%s/%s%d.%s", name, what, i, part);
    return cn_params_add(params, full, rows, cols, out, err);
}

cn_status cn_q_network_create(cn_params *params, const char *name, const cn_q_spec *spec,
                              cn_rng *rng, cn_q_network *q, cn_error *err)
{
    *q = (cn_q_network){.spec = *spec};
    CN_FAIL_IF(spec->layers < 1 || spec->layers > CN_MAX_LAYERS, CN_ERR_ARGUMENT, err,
               "%s: %d hidden layers; 1 to %d are possible", name, spec->layers, CN_MAX_LAYERS);
    int below = spec->input_size;
    for (int i = 0; i <= spec->layers; i++) {
        const bool output = i == spec->layers;
        const int width = output ? 1 : spec->hidden[i];
        CN_TRY(add(params, name, "layer", i, "weight", width, below, &q->weight[i], err));
        CN_TRY(add(params, name, "layer", i, "bias", 1, width, &q->bias[i], err));
        cn_params_fill_orthogonal(params, q->weight[i], output ? 1.0f : sqrtf(2.0f), rng);
        if (spec->layer_norm && !output) {
            CN_TRY(add(params, name, "norm", i, "gain", 1, width, &q->gain[i], err));
            CN_TRY(add(params, name, "norm", i, "bias", 1, width, &q->shift[i], err));
            cn_params_fill(params, q->gain[i], 1.0f);
        }
        below = width;
    }
    return CN_OK;
}

cn_node cn_q_network_build(const cn_q_network *q, cn_graph *g, const cn_node *parts, int count)
{
    const cn_activation act = q->spec.layer_norm ? CN_IDENTITY : CN_RELU;
    cn_node x = -1;
    for (int i = 0; i < q->spec.layers; i++) {
        x = i == 0 ? cn_op_linear_of(g, parts, count, q->weight[i], q->bias[i], act)
                   : cn_op_linear(g, x, q->weight[i], q->bias[i], act);
        if (q->spec.layer_norm)
            x = cn_op_activation(g, cn_op_layer_norm(g, x, q->gain[i], q->shift[i]), CN_RELU);
    }
    return cn_op_linear(g, x, q->weight[q->spec.layers], q->bias[q->spec.layers], CN_IDENTITY);
}
