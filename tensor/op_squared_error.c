/* squared_error: y = the mean over columns of (x - z)^2; back: dx += 2/I dy (x - z), dz -= the
 * same. Legend: x, z [B, I] -> y [B, 1]. */
#include "tensor/internal.h"

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *input = cn_graph_input(g, node, 0);
    const float *x = input->value, *z = cn_graph_input(g, node, 1)->value;
    const size_t I = (size_t)input->width;
    for (size_t b = 0; b < (size_t)B; b++) {
        float sum = 0;
        for (size_t i = b * I; i < (b + 1) * I; i++)
            sum += (x[i] - z[i]) * (x[i] - z[i]);
        node->value[b] = sum / (float)I;
    }
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *input = cn_graph_input(g, node, 0);
    const float *x = input->value, *z = cn_graph_input(g, node, 1)->value;
    const size_t I = (size_t)input->width;
    for (int k = 0; k < 2; k++) {
        bool first;
        float *dx = cn_grad_into(g, node, k, &first);
        for (size_t i = 0; dx && i < (size_t)B * I; i++) {
            const float slope = (k == 0 ? 2.0f : -2.0f) / (float)I * node->grad[i / I];
            dx[i] = (first ? 0.0f : dx[i]) + slope * (x[i] - z[i]);
        }
    }
}

static const cn_op_kind squared_error = {
    .name = "squared_error", .forward = forward, .backward = backward};

cn_node cn_op_squared_error(cn_graph *g, cn_node x, cn_node target)
{
    cn_graph_node *node = cn_graph_add(g, &squared_error, (const cn_node[]){x, target}, 2, 0);
    if (!node || !cn_graph_same_width(g, node))
        return -1;
    node->width = 1;
    return node->number;
}
