/* minimum: y = min(x, z); the gradient goes to the smaller one, to x where they are equal; a NaN in
 * either is kept. Legend: x, z, y [B, I]. */
#include "tensor/internal.h"

static bool takes_x(float x, float z)
{
    return !(z < x) && !(z != z);
}

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value, *z = cn_graph_input(g, node, 1)->value;
    const size_t count = (size_t)B * (size_t)node->width;
    for (size_t i = 0; i < count; i++)
        node->value[i] = takes_x(x[i], z[i]) ? x[i] : z[i];
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value, *z = cn_graph_input(g, node, 1)->value;
    const size_t count = (size_t)B * (size_t)node->width;
    for (int k = 0; k < 2; k++) {
        bool first;
        float *d = cn_grad_into(g, node, k, &first);
        for (size_t i = 0; d && i < count; i++) {
            const float mine = takes_x(x[i], z[i]) == (k == 0) ? node->grad[i] : 0.0f;
            d[i] = (first ? 0.0f : d[i]) + mine;
        }
    }
}

static const cn_op_kind minimum = {.name = "minimum", .forward = forward, .backward = backward};

cn_node cn_op_minimum(cn_graph *g, cn_node x, cn_node z)
{
    cn_graph_node *node = cn_graph_add(g, &minimum, (const cn_node[]){x, z}, 2, 0);
    if (!node || !cn_graph_same_width(g, node))
        return -1;
    node->width = cn_graph_width(g, x);
    return node->number;
}
