/* add: y = x + z. Legend: x, z, y [B, I]. */
#include "tensor/internal.h"

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value, *z = cn_graph_input(g, node, 1)->value;
    const size_t count = (size_t)B * (size_t)node->width;
    for (size_t i = 0; i < count; i++)
        node->value[i] = x[i] + z[i];
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    for (int k = 0; k < 2; k++) {
        bool first;
        float *dx = cn_grad_into(g, node, k, &first);
        if (dx)
            cn_add_scaled(dx, node->grad, 1.0f, (size_t)B * (size_t)node->width, first);
    }
}

static const cn_op_kind add = {.name = "add", .forward = forward, .backward = backward};

cn_node cn_op_add(cn_graph *g, cn_node x, cn_node z)
{
    cn_graph_node *node = cn_graph_add(g, &add, (const cn_node[]){x, z}, 2, 0);
    if (!node || !cn_graph_same_width(g, node))
        return -1;
    node->width = cn_graph_width(g, x);
    return node->number;
}
