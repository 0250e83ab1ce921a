/* ppo_loss: clipped surrogate, clipped value error and entropy bonus of each row; the equation is
 * in graph.h. Where a minimum or maximum takes the clipped side, no gradient flows. Legend: head
 * [B, 2], value [B, 1], targets [B, 4] -> y [B, 1]. */
#include <assert.h>
#include <math.h>

#include "tensor/internal.h"

enum { HEAD, VALUE, TARGETS };
enum { LOG_PROB, ENTROPY, HEAD_WIDTH };
enum { OLD_LOG_PROB, ADVANTAGE, RETURN, OLD_VALUE, TARGETS_WIDTH };

/* The loss of one row and its derivatives. */
typedef struct row_loss {
    float loss;
    float dlog_prob, dvalue;
} row_loss;

static float clip(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

static row_loss evaluate(const cn_ppo_loss *s, const float *head, float value, const float *target)
{
    row_loss out;
    const float advantage = target[ADVANTAGE];
    const float ratio = expf(head[LOG_PROB] - target[OLD_LOG_PROB]);
    const float free_gain = ratio * advantage;
    const float clipped_gain = clip(ratio, 1.0f - s->clip, 1.0f + s->clip) * advantage;
    const bool is_clipped = clipped_gain < free_gain;
    out.dlog_prob = is_clipped ? 0.0f : -free_gain;

    const float error = value - target[RETURN];
    float squared = error * error;
    out.dvalue = s->value_weight * error;
    if (s->value_clip > 0.0f) {
        const float moved = clip(value - target[OLD_VALUE], -s->value_clip, s->value_clip);
        const float clipped_error = target[OLD_VALUE] + moved - target[RETURN];
        if (moved != value - target[OLD_VALUE] && clipped_error * clipped_error > squared) {
            squared = clipped_error * clipped_error;
            out.dvalue = 0.0f;
        }
    }
    out.loss = -(is_clipped ? clipped_gain : free_gain) - s->entropy_weight * head[ENTROPY] +
               s->value_weight * 0.5f * squared;
    return out;
}

static void forward(cn_graph *g, const cn_graph_node *node, int B)
{
    const float *head = cn_graph_input(g, node, HEAD)->value;
    const float *value = cn_graph_input(g, node, VALUE)->value;
    const float *targets = cn_graph_input(g, node, TARGETS)->value;
    for (int b = 0; b < B; b++)
        node->value[b] =
            evaluate(node->detail, head + b * HEAD_WIDTH, value[b], targets + b * TARGETS_WIDTH)
                .loss;
}

static void backward(cn_graph *g, const cn_graph_node *node, int B)
{
    const cn_ppo_loss *s = node->detail;
    const float *head = cn_graph_input(g, node, HEAD)->value;
    const float *value = cn_graph_input(g, node, VALUE)->value;
    const float *targets = cn_graph_input(g, node, TARGETS)->value;
    bool first_head, first_value;
    float *dhead = cn_grad_into(g, node, HEAD, &first_head);
    float *dvalue = cn_grad_into(g, node, VALUE, &first_value);
    for (int b = 0; b < B; b++) {
        const row_loss row =
            evaluate(s, head + b * HEAD_WIDTH, value[b], targets + b * TARGETS_WIDTH);
        const float dy = node->grad[b];
        const float dhead_row[HEAD_WIDTH] = {row.dlog_prob, -s->entropy_weight};
        if (dhead)
            cn_add_scaled(dhead + b * HEAD_WIDTH, dhead_row, dy, HEAD_WIDTH, first_head);
        if (dvalue)
            dvalue[b] = (first_value ? 0.0f : dvalue[b]) + dy * row.dvalue;
    }
}

static const cn_op_kind ppo_loss = {.name = "ppo_loss", .forward = forward, .backward = backward};

cn_node cn_op_ppo_loss(cn_graph *g, cn_node head, cn_node value, cn_node targets,
                       const cn_ppo_loss *loss)
{
    cn_graph_node *node =
        cn_graph_add(g, &ppo_loss, (const cn_node[]){head, value, targets}, 3, sizeof *loss);
    if (!node)
        return -1;
    const int widths[2] = {HEAD_WIDTH, 1};
    for (int k = HEAD; k <= VALUE; k++) {
        const cn_graph_node *x = cn_graph_input(g, node, k);
        if (x->width != widths[k])
            return cn_graph_mistake(g, node, CN_ERR_SHAPE,
                                    "the %s is node %d with %d columns, it must have %d",
                                    k == HEAD ? "head" : "value", x->number, x->width, widths[k]);
    }
    if (!cn_graph_use_data(g, node, TARGETS, TARGETS_WIDTH))
        return -1;
    *(cn_ppo_loss *)node->detail = *loss;
    node->width = 1;
    return node->number;
}

void cn_graph_set_ppo_loss(cn_graph *g, cn_node node, const cn_ppo_loss *loss)
{
    const cn_graph_node *n = cn_graph_at(g, node);
    assert(n->kind == &ppo_loss);
    *(cn_ppo_loss *)n->detail = *loss;
}
