/* gaussian: log-probability and entropy of a diagonal normal distribution with its own log_std.
 *   z = (a - mean) / std    log p = sum of -z^2/2 - log_std - log(2 pi)/2
 *   entropy = sum of log_std + log(2 pi e)/2
 * Back, with p, h the gradients of the two columns:
 *   dmean += p z / std      da -= p z / std      dlog_std += sum over rows of p (z^2 - 1) + h
 * Legend: mean, a [B, A], log_std [1, A] -> y [B, 2]. */
#include <math.h>

#include "tensor/internal.h"

enum { MEAN, ACTION };

static const float half_log_two_pi = 0.918938533204672742f;

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *mean = cn_graph_input(g, node, MEAN);
    const float *a = cn_graph_input(g, node, ACTION)->value;
    const float *log_std = cn_graph_param(g, node, 0);
    const size_t A = (size_t)mean->width;
    float *y = node->value, constant = 0, entropy = 0;
    for (size_t j = 0; j < A; j++) {
        constant -= log_std[j] + half_log_two_pi;
        entropy += log_std[j] + half_log_two_pi + 0.5f;
    }
    for (size_t b = 0; b < (size_t)B; b++) {
        y[2 * b] = constant;
        y[2 * b + 1] = entropy;
    }
    for (size_t j = 0; j < A; j++) {
        const float inverse_std = expf(-log_std[j]);
        for (size_t b = 0; b < (size_t)B; b++) {
            const float z = (a[b * A + j] - mean->value[b * A + j]) * inverse_std;
            y[2 * b] -= 0.5f * z * z;
        }
    }
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_graph_node *mean = cn_graph_input(g, node, MEAN);
    const float *a = cn_graph_input(g, node, ACTION)->value;
    const float *log_std = cn_graph_param(g, node, 0), *dy = node->grad;
    const size_t A = (size_t)mean->width;
    float *dlog_std = cn_grad_of_param(g, node, 0);
    bool first_mean, first_action;
    float *dmean = cn_grad_into(g, node, MEAN, &first_mean);
    float *da = cn_grad_into(g, node, ACTION, &first_action);
    for (size_t j = 0; j < A; j++) {
        const float inverse_std = expf(-log_std[j]);
        float sum = 0;
        for (size_t b = 0; b < (size_t)B; b++) {
            const size_t at = b * A + j;
            const float z = (a[at] - mean->value[at]) * inverse_std;
            const float towards = dy[2 * b] * z * inverse_std;
            if (dmean)
                dmean[at] = (first_mean ? 0.0f : dmean[at]) + towards;
            if (da)
                da[at] = (first_action ? 0.0f : da[at]) - towards;
            sum += dy[2 * b] * (z * z - 1.0f) + dy[2 * b + 1];
        }
        if (dlog_std)
            dlog_std[j] += sum;
    }
}

static const cn_op_kind gaussian = {.name = "gaussian", .forward = forward, .backward = backward};

cn_node cn_op_gaussian(cn_graph *g, cn_node mean, cn_param log_std, cn_node action)
{
    cn_graph_node *node = cn_graph_add(g, &gaussian, (const cn_node[]){mean, action}, 2, 0);
    if (!node || !cn_graph_same_width(g, node) ||
        !cn_graph_use_param(g, node, 0, log_std, 1, cn_graph_width(g, mean)))
        return -1;
    node->width = 2;
    return node->number;
}
