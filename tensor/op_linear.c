/* linear: y = act(sum over j of x_j W_j^T + b), the W_j side by side in one matrix, and on the way
 * back, with d = dy act'(y):
 *   db += sum of d's rows    dW_j += d^T x_j    dx_j += d W_j
 * Legend: x_j [B, I_j], W [O, I] with I the sum of all I_j, b [1, O], y [B, O]. */
#include <cblas.h>
#include <limits.h>
#include <string.h>

#include "tensor/internal.h"

#undef I /* complex.h's, which cblas.h brings in */

enum { WEIGHT, BIAS };

typedef struct settings {
    cn_activation act;
} settings;

void cn_fill_rows(float *y, const float *bias, int B, int O)
{
    for (size_t b = 0; b < (size_t)B; b++)
        memcpy(y + b * (size_t)O, bias, (size_t)O * sizeof *y);
}

CN_VECTOR_LOOPS void cn_add_rows(float *restrict sum, const float *restrict d, int B, int O)
{
    for (size_t b = 0; b < (size_t)B; b++)
        for (size_t o = 0; o < (size_t)O; o++)
            sum[o] += d[b * (size_t)O + o];
}

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *W = cn_graph_param(g, node, WEIGHT), *bias = cn_graph_param(g, node, BIAS);
    const int I = cn_graph_param_info(g, node, WEIGHT)->cols, O = node->width;
    float keep = bias ? 1.0f : 0.0f; /* of what stands in y */
    float *y = node->value;
    if (bias)
        cn_fill_rows(y, bias, B, O);
    for (int j = 0; j < node->input_count; j++) {
        const cn_graph_node *x = cn_graph_input(g, node, j);
        if (B == 1) /* control: one row, where a matrix product would waste time on packing */
            cblas_sgemv(CblasRowMajor, CblasNoTrans, O, x->width, 1.0f, W, I, x->value, 1, keep, y,
                        1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, B, O, x->width, 1.0f, x->value,
                        x->stride, W, I, keep, y, O);
        W += x->width;
        keep = 1.0f;
    }
    cn_activate(((const settings *)node->detail)->act, y, (size_t)B * (size_t)O);
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_activation act = ((const settings *)node->detail)->act;
    const float *W = cn_graph_param(g, node, WEIGHT), *d = node->grad;
    const int I = cn_graph_param_info(g, node, WEIGHT)->cols, O = node->width;
    float *db = cn_grad_of_param(g, node, BIAS), *dW = cn_grad_of_param(g, node, WEIGHT);
    if (act != CN_IDENTITY) {
        cn_activate_grad(act, node->value, node->grad, cn_graph_scratch(g), (size_t)B * (size_t)O);
        d = cn_graph_scratch(g);
    }
    if (db)
        cn_add_rows(db, d, B, O);
    for (int j = 0, at = 0; j < node->input_count; j++) {
        const cn_graph_node *x = cn_graph_input(g, node, j);
        if (dW)
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, O, x->width, B, 1.0f, d, O,
                        x->value, x->stride, 1.0f, dW + at, I);
        bool first;
        float *dx = cn_grad_into(g, node, j, &first);
        if (dx)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, x->width, O, 1.0f, d, O,
                        W + at, I, first ? 0.0f : 1.0f, dx, x->width);
        at += x->width;
    }
}

static const cn_op_kind linear = {
    .name = "linear",
    .forward = forward,
    .backward = backward,
    .scratch = true,
    .strides = true,
};

cn_node cn_op_linear(cn_graph *g, cn_node x, cn_param weight, cn_param bias, cn_activation act)
{
    return cn_op_linear_of(g, &x, 1, weight, bias, act);
}

cn_node cn_op_linear_of(cn_graph *g, const cn_node *parts, int count, cn_param weight,
                        cn_param bias, cn_activation act)
{
    cn_graph_node *node = cn_graph_add(g, &linear, parts, count > 0 ? count : 0, sizeof(settings));
    int I = 0;
    if (!node)
        return -1;
    if (count < 1)
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "%d parts, at least 1 is needed", count);
    for (int j = 0; j < count; j++) {
        const int width = cn_graph_width(g, parts[j]);
        if (width > INT_MAX - I)
            return cn_graph_mistake(g, node, CN_ERR_SHAPE, "more than %d columns", INT_MAX);
        I += width;
    }
    if (!cn_activation_known(act))
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "%d is no activation", (int)act);
    if (!cn_graph_use_param(g, node, WEIGHT, weight, 0, I))
        return -1;
    node->width = cn_graph_param_info(g, node, WEIGHT)->rows;
    if (bias != -1 && !cn_graph_use_param(g, node, BIAS, bias, 1, node->width))
        return -1;
    ((settings *)node->detail)->act = act;
    return node->number;
}
