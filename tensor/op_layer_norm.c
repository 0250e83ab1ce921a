/* layer_norm: every row to mean 0 and variance 1, then a learned gain and bias.
 *   z = (x - mean) / sqrt(variance + epsilon)     y = gain z + bias
 * Back, with d = gain dy:   dx += (d - mean(d) - z mean(d z)) / sqrt(variance + epsilon),
 *   dgain += sum over rows of dy z,   dbias += sum over rows of dy.
 * Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 4. Legend: x, y [B, I], gain, bias [1, I].
 */
#include <math.h>

#include "tensor/internal.h"

#define EPSILON 1e-5f

enum { GAIN, BIAS };

/* What a row is normalised with. */
typedef struct moments {
    float mean, inverse_std;
} moments;

CN_VECTOR_LOOPS static moments measure(const float *x, size_t I)
{
    float sum[CN_LANES] = {0}, square[CN_LANES] = {0};
    size_t i;
    for (i = 0; i + CN_LANES <= I; i += CN_LANES)
        CN_FOR_LANES (l)
            sum[l] += x[i + l];
    for (; i < I; i++)
        sum[i % CN_LANES] += x[i];
    const float mean = cn_add_lanes(sum) / (float)I;
    for (i = 0; i + CN_LANES <= I; i += CN_LANES)
        CN_FOR_LANES (l)
            square[l] += (x[i + l] - mean) * (x[i + l] - mean);
    for (; i < I; i++)
        square[i % CN_LANES] += (x[i] - mean) * (x[i] - mean);
    return (moments){mean, 1.0f / sqrtf(cn_add_lanes(square) / (float)I + EPSILON)};
}

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value;
    const float *gain = cn_graph_param(g, node, GAIN), *bias = cn_graph_param(g, node, BIAS);
    const size_t I = (size_t)node->width;
    float *y = node->value;
    for (size_t b = 0; b < (size_t)B; b++, x += I, y += I) {
        const moments m = measure(x, I);
        for (size_t i = 0; i < I; i++)
            y[i] = gain[i] * ((x[i] - m.mean) * m.inverse_std) + bias[i];
    }
}

/* One row of dx; d = gain dy. */
CN_VECTOR_LOOPS static void backward_row(const float *x, const float *dy, const float *gain,
                                         moments m, float *dx, size_t I, bool first)
{
    float sum[CN_LANES] = {0}, product[CN_LANES] = {0};
    size_t i;
    for (i = 0; i + CN_LANES <= I; i += CN_LANES)
        CN_FOR_LANES (l) {
            const float d = gain[i + l] * dy[i + l];
            sum[l] += d;
            product[l] += d * ((x[i + l] - m.mean) * m.inverse_std);
        }
    for (; i < I; i++) {
        const float d = gain[i] * dy[i];
        sum[i % CN_LANES] += d;
        product[i % CN_LANES] += d * ((x[i] - m.mean) * m.inverse_std);
    }
    const float mean_d = cn_add_lanes(sum) / (float)I, mean_dz = cn_add_lanes(product) / (float)I;
    for (i = 0; i < I; i++) {
        const float z = (x[i] - m.mean) * m.inverse_std;
        const float out = m.inverse_std * (gain[i] * dy[i] - mean_d - z * mean_dz);
        dx[i] = first ? out : dx[i] + out;
    }
}

/* One row's part of dgain and dbias; NULL where none is needed. */
CN_VECTOR_LOOPS static void add_param_grads(const float *restrict x, const float *restrict dy,
                                            moments m, float *restrict dgain, float *restrict dbias,
                                            size_t I)
{
    for (size_t i = 0; dgain && i < I; i++)
        dgain[i] += dy[i] * ((x[i] - m.mean) * m.inverse_std);
    for (size_t i = 0; dbias && i < I; i++)
        dbias[i] += dy[i];
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *x = cn_graph_input(g, node, 0)->value, *dy = node->grad;
    const float *gain = cn_graph_param(g, node, GAIN);
    const size_t I = (size_t)node->width;
    float *dgain = cn_grad_of_param(g, node, GAIN), *dbias = cn_grad_of_param(g, node, BIAS);
    bool first;
    float *dx = cn_grad_into(g, node, 0, &first);
    for (size_t b = 0; b < (size_t)B; b++, x += I, dy += I) {
        const moments m = measure(x, I);
        add_param_grads(x, dy, m, dgain, dbias, I);
        if (dx)
            backward_row(x, dy, gain, m, dx + b * I, I, first);
    }
}

static const cn_op_kind layer_norm = {
    .name = "layer_norm", .forward = forward, .backward = backward};

cn_node cn_op_layer_norm(cn_graph *g, cn_node x, cn_param gain, cn_param bias)
{
    cn_graph_node *node = cn_graph_add(g, &layer_norm, &x, 1, 0);
    if (!node)
        return -1;
    node->width = cn_graph_width(g, x);
    if (!cn_graph_use_param(g, node, GAIN, gain, 1, node->width) ||
        !cn_graph_use_param(g, node, BIAS, bias, 1, node->width))
        return -1;
    return node->number;
}
