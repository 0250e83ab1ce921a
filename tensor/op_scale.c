/* scale: y = a x with a learned scalar a; back: dx += a dy, da += sum of dy x.
 * Legend: x, y [B, I], a [1, 1]. */
#include "tensor/internal.h"

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value;
    const float a = *cn_graph_param(g, node, 0);
    const size_t count = (size_t)B * (size_t)node->width;
    for (size_t i = 0; i < count; i++)
        node->value[i] = a * x[i];
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value, *dy = node->grad;
    const size_t count = (size_t)B * (size_t)node->width;
    float *da = cn_grad_of_param(g, node, 0);
    if (da) {
        double sum = 0; /* thousands of terms: more than a float can add without loss */
        for (size_t i = 0; i < count; i++)
            sum += (double)dy[i] * x[i];
        *da += (float)sum;
    }
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first);
    if (dx)
        cn_add_scaled(dx, dy, *cn_graph_param(g, node, 0), count, first);
}

static const cn_op_kind scale = {.name = "scale", .forward = forward, .backward = backward};

cn_node cn_op_scale(cn_graph *g, cn_node x, cn_param scalar)
{
    cn_graph_node *node = cn_graph_add(g, &scale, &x, 1, 0);
    if (!node || !cn_graph_use_param(g, node, 0, scalar, 1, 1))
        return -1;
    node->width = cn_graph_width(g, x);
    return node->number;
}
