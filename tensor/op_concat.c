/* concat: columns of several nodes side by side.
 * Legend: part k [B, Ik] -> y [B, O], O = the sum of all Ik. */
#include <limits.h>
#include <string.h>

#include "tensor/internal.h"

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const size_t O = (size_t)node->width;
    float *y = node->value;
    for (int k = 0; k < node->input_count; k++) {
        const cn_graph_node *x = cn_graph_input(g, node, k);
        const size_t I = (size_t)x->width;
        for (size_t b = 0; b < (size_t)B; b++)
            memcpy(y + b * O, x->value + b * (size_t)x->stride, I * sizeof(float));
        y += I;
    }
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const size_t O = (size_t)node->width;
    const float *dy = node->grad;
    for (int k = 0; k < node->input_count; k++) {
        const size_t I = (size_t)cn_graph_input(g, node, k)->width;
        bool first;
        float *dx = cn_grad_into(g, node, k, &first);
        for (size_t b = 0; dx && b < (size_t)B; b++)
            cn_add_scaled(dx + b * I, dy + b * O, 1.0f, I, first);
        dy += I;
    }
}

static const cn_op_kind concat = {
    .name = "concat", .forward = forward, .backward = backward, .strides = true};

cn_node cn_op_concat(cn_graph *g, const cn_node *parts, int count)
{
    cn_graph_node *node = cn_graph_add(g, &concat, parts, count > 0 ? count : 0, 0);
    if (!node)
        return -1;
    if (count < 1)
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "%d parts, at least 1 is needed", count);
    for (int k = 0; k < count; k++) {
        const int width = cn_graph_width(g, parts[k]);
        if (width > INT_MAX - node->width)
            return cn_graph_mistake(g, node, CN_ERR_SHAPE, "more than %d columns", INT_MAX);
        node->width += width;
    }
    return node->number;
}
