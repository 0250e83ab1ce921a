/* activation: y = act(x); back: dx += dy act'(x), which every activation knows from y alone.
 * Legend: x, y [B, I]. */
#include <string.h>

#include "tensor/internal.h"

typedef struct settings {
    cn_activation act;
} settings;

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const size_t count = (size_t)B * (size_t)node->width;
    memcpy(node->value, cn_graph_input(g, node, 0)->value, count * sizeof(float));
    cn_activate(((const settings *)node->detail)->act, node->value, count);
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const size_t count = (size_t)B * (size_t)node->width;
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first), *d = cn_graph_scratch(g);
    if (!dx)
        return;
    cn_activate_grad(((const settings *)node->detail)->act, node->value, node->grad, d, count);
    cn_add_scaled(dx, d, 1.0f, count, first);
}

static const cn_op_kind activation = {
    .name = "activation", .forward = forward, .backward = backward, .scratch = true};

cn_node cn_op_activation(cn_graph *g, cn_node x, cn_activation act)
{
    cn_graph_node *node = cn_graph_add(g, &activation, &x, 1, sizeof(settings));
    if (!node)
        return -1;
    if (!cn_activation_known(act))
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "%d is no activation", (int)act);
    ((settings *)node->detail)->act = act;
    node->width = cn_graph_width(g, x);
    return node->number;
}
