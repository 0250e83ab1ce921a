/* adapter: y = act(sum over j of a_j x_j V_j^T + c), the V_j side by side in one matrix, the a_j
 * learned scalars (arXiv:1606.04671, eq. 2). On the way back, with d = dy act'(y) and G_j = d^T
 * x_j: dc += sum of d's rows    dV_j += a_j G_j    da_j += sum of V_j G_j    dx_j += a_j d V_j so
 * that a frozen x_j costs no product of its own for da_j. Legend: x_j [B, I_j], a_j [1, 1], V [O,
 * I] with I the sum of all I_j, c [1, O], y [B, O]. */
#include <cblas.h>

#include "tensor/internal.h"

#undef I /* complex.h's, which cblas.h brings in */

enum { WEIGHT, BIAS, SCALES };

typedef struct settings {
    cn_activation act;
} settings;

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *V = cn_graph_param(g, node, WEIGHT);
    const int I = cn_graph_param_info(g, node, WEIGHT)->cols, O = node->width;
    float *y = node->value;
    cn_fill_rows(y, cn_graph_param(g, node, BIAS), B, O);
    for (int j = 0; j < node->input_count; j++) {
        const cn_graph_node *x = cn_graph_input(g, node, j);
        const float a = *cn_graph_param(g, node, SCALES + j);
        if (B == 1)
            cblas_sgemv(CblasRowMajor, CblasNoTrans, O, x->width, a, V, I, x->value, 1, 1.0f, y, 1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, B, O, x->width, a, x->value,
                        x->stride, V, I, 1.0f, y, O);
        V += x->width;
    }
    cn_activate(((const settings *)node->detail)->act, y, (size_t)B * (size_t)O);
}

/* The sum of x z, added in lanes: an order of its own, the same on every processor. */
CN_VECTOR_LOOPS static float dot(const float *restrict x, const float *restrict z, size_t count)
{
    float sum[CN_LANES] = {0};
    size_t i = 0;
    for (; i + CN_LANES <= count; i += CN_LANES)
        CN_FOR_LANES (lane)
            sum[lane] += x[i + lane] * z[i + lane];
    for (size_t lane = 0; i + lane < count; lane++)
        sum[lane] += x[i + lane] * z[i + lane];
    return cn_add_lanes(sum);
}

/* What G_j says about V_j and a_j. @param dV, da  NULL where nothing is learned */
static void add_param_grads(const float *G, const float *V, float a, int O, int Ij, int I,
                            float *dV, float *da)
{
    for (int o = 0; o < O; o++) {
        const size_t row = (size_t)o * (size_t)I, g_row = (size_t)o * (size_t)Ij;
        if (da)
            *da += dot(V + row, G + g_row, (size_t)Ij);
        if (dV)
            cn_add_scaled(dV + row, G + g_row, a, (size_t)Ij, false);
    }
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_activation act = ((const settings *)node->detail)->act;
    const float *V = cn_graph_param(g, node, WEIGHT);
    const int I = cn_graph_param_info(g, node, WEIGHT)->cols, O = node->width;
    float *dV = cn_grad_of_param(g, node, WEIGHT), *dc = cn_grad_of_param(g, node, BIAS);
    float *d = cn_graph_scratch(g), *G = cn_graph_workspace(g);
    cn_activate_grad(act, node->value, node->grad, d, (size_t)B * (size_t)O);
    if (dc)
        cn_add_rows(dc, d, B, O);
    for (int j = 0; j < node->input_count; j++) {
        const cn_graph_node *x = cn_graph_input(g, node, j);
        const float a = *cn_graph_param(g, node, SCALES + j);
        float *da = cn_grad_of_param(g, node, SCALES + j);
        if (dV || da) {
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, O, x->width, B, 1.0f, d, O,
                        x->value, x->stride, 0.0f, G, x->width);
            add_param_grads(G, V, a, O, x->width, I, dV, da);
        }
        bool first;
        float *dx = cn_grad_into(g, node, j, &first);
        if (dx)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, x->width, O, a, d, O, V, I,
                        first ? 0.0f : 1.0f, dx, x->width);
        V += x->width;
        dV = dV ? dV + x->width : NULL;
    }
}

/* One G_j after the other, [O, the widest I_j]. */
static size_t workspace(const cn_graph *g, const cn_graph_node *node)
{
    int widest = 0;
    for (int j = 0; j < node->input_count; j++) {
        const int width = cn_graph_input(g, node, j)->width;
        widest = width > widest ? width : widest;
    }
    return (size_t)node->width * (size_t)widest;
}

static const cn_op_kind adapter = {
    .name = "adapter",
    .forward = forward,
    .backward = backward,
    .scratch = true,
    .workspace = workspace,
    .strides = true,
};

cn_node cn_op_adapter(cn_graph *g, const cn_node *sources, int count, const cn_param *scales,
                      cn_param weight, cn_param bias, cn_activation act)
{
    int I = 0;
    const cn_node *from = count > 0 ? sources : NULL;
    cn_graph_node *node = cn_graph_add(g, &adapter, from, count > 0 ? count : 0, sizeof(settings));
    if (!node)
        return -1;
    if (count < 1 || count > CN_ADAPTER_SOURCES)
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "%d sources, 1 to %d are possible", count,
                                CN_ADAPTER_SOURCES);
    if (!cn_activation_known(act))
        return cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "%d is no activation", (int)act);
    for (int j = 0; j < count; j++) {
        I += cn_graph_width(g, sources[j]);
        if (!cn_graph_use_param(g, node, SCALES + j, scales[j], 1, 1))
            return -1;
    }
    if (!cn_graph_use_param(g, node, WEIGHT, weight, 0, I))
        return -1;
    node->width = cn_graph_param_info(g, node, WEIGHT)->rows;
    if (!cn_graph_use_param(g, node, BIAS, bias, 1, node->width))
        return -1;
    ((settings *)node->detail)->act = act;
    return node->number;
}
