/* linear: y = act(x W^T + b), and on the way back, with d = dy act'(y):
 *   db += sum of d's rows    dW += d^T x    dx += d W
 * Legend: x [B, I], W [O, I], b [1, O], y [B, O]. */
#include <cblas.h>

#include "tensor/internal.h"

#undef I /* complex.h's, which cblas.h brings in */

enum { WEIGHT, BIAS };

typedef struct settings {
    cn_activation act;
} settings;

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *x = cn_graph_input(g, node, 0);
    const float *W = cn_graph_param(g, node, WEIGHT);
    const int I = x->width, O = node->width;
    float *y = node->value;
    if (B == 1) /* control: one row, where a matrix product would waste time on packing */
        cblas_sgemv(CblasRowMajor, CblasNoTrans, O, I, 1.0f, W, I, x->value, 1, 0.0f, y, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, B, O, I, 1.0f, x->value, I, W, I, 0.0f,
                    y, O);
    cn_activate(((const settings *)node->detail)->act, y, cn_graph_param(g, node, BIAS), B, O);
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *x = cn_graph_input(g, node, 0);
    const cn_activation act = ((const settings *)node->detail)->act;
    const int I = x->width, O = node->width;
    const float *d = node->grad;
    if (act != CN_IDENTITY) {
        cn_activate_grad(act, node->value, node->grad, cn_graph_scratch(g), (size_t)B * (size_t)O);
        d = cn_graph_scratch(g);
    }
    float *db = cn_grad_of_param(g, node, BIAS);
    for (int b = 0; db && b < B; b++)
        for (int o = 0; o < O; o++)
            db[o] += d[(size_t)b * (size_t)O + (size_t)o];
    float *dW = cn_grad_of_param(g, node, WEIGHT);
    if (dW)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, O, I, B, 1.0f, d, O, x->value, I, 1.0f,
                    dW, I);
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first);
    if (dx)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, I, O, 1.0f, d, O,
                    cn_graph_param(g, node, WEIGHT), I, first ? 0.0f : 1.0f, dx, I);
}

static const cn_op_kind linear = {
    .name = "linear", .forward = forward, .backward = backward, .scratch = true};

cn_node cn_op_linear(cn_graph *g, cn_node x, cn_param weight, cn_param bias, cn_activation act)
{
    cn_graph_node *node = cn_graph_add(g, &linear, &x, 1, sizeof(settings));
    if (!node)
        return -1;
    const int I = cn_graph_width(g, x);
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
