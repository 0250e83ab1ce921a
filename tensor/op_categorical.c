/* categorical: log-probability and entropy of G independent choices among C, from logits.
 *   log p_k = l_k - log of the sum of exp(l)   entropy = -sum of p_k log p_k
 * Back, with p, h the gradients of the two columns and c the choice made:
 *   dl_k += p ([k = c] - p_k) - h p_k (log p_k + entropy of the group)
 * Legend: logits [B, G C], chosen [B, G] -> y [B, 2]. */
#include <math.h>

#include "tensor/internal.h"

enum { LOGITS, CHOSEN };

typedef struct settings {
    size_t groups, choices;
} settings;

/* log p_k = (l_k - largest) - log_sum: with the largest taken out first nothing overflows, and
 * large logits lose no digits. */
typedef struct normaliser {
    float largest, log_sum;
} normaliser;

static normaliser normaliser_of(const float *l, size_t C)
{
    normaliser n = {.largest = l[0]};
    for (size_t k = 1; k < C; k++)
        n.largest = l[k] > n.largest ? l[k] : n.largest;
    float sum = 0;
    for (size_t k = 0; k < C; k++)
        sum += expf(l[k] - n.largest);
    n.log_sum = logf(sum);
    return n;
}

static float log_prob_of(float logit, normaliser n)
{
    return logit - n.largest - n.log_sum;
}

static float entropy_of(const float *l, normaliser n, size_t C)
{
    float entropy = 0;
    for (size_t k = 0; k < C; k++)
        entropy -= expf(log_prob_of(l[k], n)) * log_prob_of(l[k], n);
    return entropy;
}

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const settings *s = node->detail;
    const size_t C = s->choices, count = (size_t)B * s->groups;
    const float *logits = cn_graph_input(g, node, LOGITS)->value;
    const float *chosen = cn_graph_input(g, node, CHOSEN)->value;
    float *y = node->value;
    for (size_t i = 0; i < count; i++) {
        const float *l = logits + i * C;
        const normaliser n = normaliser_of(l, C);
        const bool known = chosen[i] >= 0.0f && chosen[i] < (float)C;
        const float log_prob = known ? log_prob_of(l[(size_t)chosen[i]], n) : NAN;
        float *row = y + i / s->groups * 2;
        row[0] = (i % s->groups ? row[0] : 0.0f) + log_prob;
        row[1] = (i % s->groups ? row[1] : 0.0f) + entropy_of(l, n, C);
    }
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const settings *s = node->detail;
    const size_t C = s->choices, count = (size_t)B * s->groups;
    const float *logits = cn_graph_input(g, node, LOGITS)->value;
    const float *chosen = cn_graph_input(g, node, CHOSEN)->value;
    bool first;
    float *dlogits = cn_grad_into(g, node, LOGITS, &first);
    for (size_t i = 0; dlogits && i < count; i++) {
        const float *l = logits + i * C, *dy = node->grad + i / s->groups * 2;
        const normaliser n = normaliser_of(l, C);
        const float entropy = entropy_of(l, n, C);
        for (size_t k = 0; k < C; k++) {
            const float log_p = log_prob_of(l[k], n), p = expf(log_p);
            const float made = (float)k == chosen[i] ? 1.0f : 0.0f;
            const float dl = dy[0] * (made - p) - dy[1] * p * (log_p + entropy);
            dlogits[i * C + k] = (first ? 0.0f : dlogits[i * C + k]) + dl;
        }
    }
}

static const cn_op_kind categorical = {
    .name = "categorical", .forward = forward, .backward = backward};

cn_node cn_op_categorical(cn_graph *g, cn_node logits, cn_node chosen, int groups, int choices)
{
    cn_graph_node *node =
        cn_graph_add(g, &categorical, (const cn_node[]){logits, chosen}, 2, sizeof(settings));
    if (!node)
        return -1;
    const int width = cn_graph_width(g, logits);
    if (groups < 1 || choices < 1 || (int64_t)groups * choices != width)
        return cn_graph_mistake(g, node, CN_ERR_SHAPE,
                                "%d groups of %d choices, but node %d has %d columns", groups,
                                choices, logits, width);
    if (!cn_graph_use_data(g, node, CHOSEN, groups))
        return -1;
    *(settings *)node->detail = (settings){(size_t)groups, (size_t)choices};
    node->width = 2;
    return node->number;
}
