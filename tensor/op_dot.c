/* dot: y = the sum over columns of x w, with w given as data; back: dx += dy w.
 * Legend: x, w [B, I] -> y [B, 1]. */
#include "tensor/internal.h"

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *input = cn_graph_input(g, node, 0);
    const float *x = input->value, *w = cn_graph_input(g, node, 1)->value;
    const size_t I = (size_t)input->width;
    for (size_t b = 0; b < (size_t)B; b++) {
        float sum = 0;
        for (size_t i = b * I; i < (b + 1) * I; i++)
            sum += x[i] * w[i];
        node->value[b] = sum;
    }
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const size_t I = (size_t)cn_graph_input(g, node, 0)->width;
    const float *w = cn_graph_input(g, node, 1)->value;
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first);
    for (size_t b = 0; dx && b < (size_t)B; b++)
        cn_add_scaled(dx + b * I, w + b * I, node->grad[b], I, first);
}

static const cn_op_kind dot = {.name = "dot", .forward = forward, .backward = backward};

cn_node cn_op_dot(cn_graph *g, cn_node x, cn_node weights)
{
    cn_graph_node *node = cn_graph_add(g, &dot, (const cn_node[]){x, weights}, 2, 0);
    if (!node || !cn_graph_use_data(g, node, 1, cn_graph_width(g, x)))
        return -1;
    node->width = 1;
    return node->number;
}
