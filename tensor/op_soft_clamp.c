/* soft_clamp: into (low, high) without an edge: with m the middle and h half of the range
 *   y = m + h tanh((x - m) / h)       dx += dy (1 - tanh^2)
 * near the middle y = x. Legend: x, y [B, I]. */
#include "tensor/internal.h"

typedef struct settings {
    float middle, half;
} settings;

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const settings *s = node->detail;
    const float *x = cn_graph_input(g, node, 0)->value;
    const size_t count = (size_t)B * (size_t)node->width;
    for (size_t i = 0; i < count; i++)
        node->value[i] = (x[i] - s->middle) / s->half;
    cn_activate(CN_TANH, node->value, count);
    for (size_t i = 0; i < count; i++)
        node->value[i] = s->middle + s->half * node->value[i];
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const settings *s = node->detail;
    const size_t count = (size_t)B * (size_t)node->width;
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first);
    for (size_t i = 0; dx && i < count; i++) {
        const float t = (node->value[i] - s->middle) / s->half;
        dx[i] = (first ? 0.0f : dx[i]) + node->grad[i] * (1.0f - t * t);
    }
}

static const cn_op_kind soft_clamp = {
    .name = "soft_clamp", .forward = forward, .backward = backward};

cn_node cn_op_soft_clamp(cn_graph *g, cn_node x, float low, float high)
{
    cn_graph_node *node = cn_graph_add(g, &soft_clamp, &x, 1, sizeof(settings));
    if (!node)
        return -1;
    if (!(low < high))
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "from %g to %g: low must be below high",
                                (double)low, (double)high);
    *(settings *)node->detail = (settings){0.5f * (low + high), 0.5f * (high - low)};
    node->width = cn_graph_width(g, x);
    return node->number;
}
