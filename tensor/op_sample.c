/* sample: a bounded action drawn from a diagonal Gaussian by reparameterisation, and its
 * log-probability. With the noise z given, u = mean + exp(log_std) z, and in column A
 *   log N(u) = sum of -z^2/2 - log_std - log(2 pi)/2
 * CN_BOUND_TANH: a = tanh(u), and of log N(u) the log of the squashing's slope is taken off, in the
 *   form that does not cancel: log(1 - tanh^2 u) = 2 (log 2 - u - softplus(-2 u)).
 *   Source: Haarnoja et al. 2018, arXiv:1812.05905, appendix C, eq. 26; the stable form is
 *   TensorFlow Probability's (Tanh bijector).
 * CN_BOUND_CLIP: a = u clipped to +-1; the log-probability is that of u. Beyond the bound only a
 *   gradient that leads back inside passes (as in Hausknecht & Stone 2016, arXiv:1511.04143, who
 *   scale it): so an action that begins outside, as PPO's do, can learn to come back.
 * Back, with p the gradient of the log-probability and d that of u:
 *   dmean += d,   dlog_std += d exp(log_std) z - p
 * Legend: mean, log_std, z [B, A] -> y [B, A + 1]. */
#include <math.h>

#include "tensor/internal.h"

enum { MEAN, LOG_STD, NOISE };

static const float half_log_two_pi = 0.918938533204672742f;
static const float log_two = 0.693147180559945309f;

typedef struct settings {
    cn_bound bound;
} settings;

static float softplus(float x)
{
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
}

float cn_bound_apply(cn_bound bound, float u)
{
    if (bound == CN_BOUND_TANH) {
        cn_activate(CN_TANH, &u, 1);
        return u;
    }
    return u > 1.0f ? 1.0f : u < -1.0f ? -1.0f : u; /* leaves a NaN a NaN */
}

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_bound bound = ((const settings *)node->detail)->bound;
    const float *mean = cn_graph_input(g, node, MEAN)->value;
    const float *log_std = cn_graph_input(g, node, LOG_STD)->value;
    const float *z = cn_graph_input(g, node, NOISE)->value;
    const int A = node->width - 1;
    float *y = node->value;
    for (int b = 0; b < B; b++, mean += A, log_std += A, z += A, y += A + 1) {
        float log_prob = 0;
        for (int j = 0; j < A; j++) {
            const float u = mean[j] + expf(log_std[j]) * z[j];
            y[j] = cn_bound_apply(bound, u);
            log_prob -= 0.5f * z[j] * z[j] + log_std[j] + half_log_two_pi;
            if (bound == CN_BOUND_TANH)
                log_prob -= 2.0f * (log_two - u - softplus(-2.0f * u));
        }
        y[A] = log_prob;
    }
}

/* d loss / d u of one action, from the gradients of the action and of the log-probability. */
static float through_bound(cn_bound bound, float u, float a, float da, float dlog_prob)
{
    if (bound == CN_BOUND_TANH) /* d log(1 - tanh^2 u) / du = -2 tanh u */
        return da * (1.0f - a * a) + dlog_prob * 2.0f * a;
    const bool outward = (u > 1.0f && da < 0.0f) || (u < -1.0f && da > 0.0f);
    return outward ? 0.0f : da;
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_bound bound = ((const settings *)node->detail)->bound;
    const float *mean = cn_graph_input(g, node, MEAN)->value;
    const float *log_std = cn_graph_input(g, node, LOG_STD)->value;
    const float *z = cn_graph_input(g, node, NOISE)->value;
    const size_t A = (size_t)node->width - 1;
    bool first_mean, first_log_std;
    float *dmean = cn_grad_into(g, node, MEAN, &first_mean);
    float *dlog_std = cn_grad_into(g, node, LOG_STD, &first_log_std);
    for (size_t b = 0; b < (size_t)B; b++) {
        const float *y = node->value + b * (A + 1), *dy = node->grad + b * (A + 1);
        for (size_t j = 0; j < A; j++) {
            const size_t at = b * A + j;
            const float spread = expf(log_std[at]) * z[at];
            const float d = through_bound(bound, mean[at] + spread, y[j], dy[j], dy[A]);
            if (dmean)
                dmean[at] = (first_mean ? 0.0f : dmean[at]) + d;
            if (dlog_std)
                dlog_std[at] = (first_log_std ? 0.0f : dlog_std[at]) + d * spread - dy[A];
        }
    }
}

static const cn_op_kind sample = {.name = "sample", .forward = forward, .backward = backward};

cn_node cn_op_sample(cn_graph *g, cn_node mean, cn_node log_std, cn_node noise, cn_bound bound)
{
    cn_graph_node *node =
        cn_graph_add(g, &sample, (const cn_node[]){mean, log_std, noise}, 3, sizeof(settings));
    if (!node || !cn_graph_same_width(g, node) ||
        !cn_graph_use_data(g, node, NOISE, cn_graph_width(g, mean)))
        return -1;
    ((settings *)node->detail)->bound = bound;
    node->width = cn_graph_width(g, mean) + 1;
    return node->number;
}
