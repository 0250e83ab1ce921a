/* slice: some neighbouring columns of a node.
 * Legend: x [B, I] -> y [B, O], columns first .. first + O - 1 of x. */
#include <string.h>

#include "tensor/internal.h"

typedef struct settings {
    size_t first;
} settings;

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *x = cn_graph_input(g, node, 0);
    const size_t O = (size_t)node->width;
    const float *from = x->value + ((const settings *)node->detail)->first;
    for (size_t b = 0; b < (size_t)B; b++)
        memcpy(node->value + b * O, from + b * (size_t)x->stride, O * sizeof(float));
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const size_t I = (size_t)cn_graph_input(g, node, 0)->width, O = (size_t)node->width;
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first);
    if (!dx)
        return;
    if (first) /* the columns beside ours */
        memset(dx, 0, (size_t)B * I * sizeof(float));
    dx += ((const settings *)node->detail)->first;
    for (size_t b = 0; b < (size_t)B; b++)
        cn_add_scaled(dx + b * I, node->grad + b * O, 1.0f, O, first);
}

static size_t view(const cn_graph_node *node)
{
    return ((const settings *)node->detail)->first;
}

static const cn_op_kind slice = {
    .name = "slice", .forward = forward, .backward = backward, .strides = true, .view = view};

cn_node cn_op_slice(cn_graph *g, cn_node x, int first, int width)
{
    cn_graph_node *node = cn_graph_add(g, &slice, &x, 1, sizeof(settings));
    if (!node)
        return -1;
    const int I = cn_graph_width(g, x);
    if (first < 0 || width < 1 || first >= I || width > I - first)
        return cn_graph_mistake(g, node, CN_ERR_SHAPE,
                                "%d columns from column %d, but node %d has %d columns", width,
                                first, x, I);
    ((settings *)node->detail)->first = (size_t)first;
    node->width = width;
    return node->number;
}
