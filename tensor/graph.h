/* The computation graph: define, plan, run.
 *
 *     cn_graph *g;                          cn_graph_create(params, &g, err);
 *     cn_node x  = cn_op_input(g, "obs", 12);
 *     cn_node h  = cn_op_linear(g, x, w1, b1, CN_TANH);
 *     cn_node mu = cn_op_linear(g, h, w2, b2, CN_IDENTITY);
 *     cn_graph_finish(g, 256, CN_INFERENCE, err);
 *     memcpy(cn_graph_value(g, x), ...);    cn_graph_forward(g, rows);
 *
 * Every node is a matrix [B, width], row-major, B <= the planned rows. Building only adds nodes and
 * notes the first mistake, which finish reports with the node's name; finish checks shapes and lays
 * out one arena. After that forward and backward allocate nothing and take bounded time.
 *
 * A graph has its own activations and borrows params: several graphs on several threads may share
 * one params, as long as nobody writes the values meanwhile. Gradients are added to the block given
 * to cn_graph_bind_grads, so that every shard of a batch can have its own. */
#ifndef CN_TENSOR_GRAPH_H
#define CN_TENSOR_GRAPH_H

#include "tensor/params.h"

typedef struct cn_graph cn_graph;
typedef int cn_node; /* number of a node, in order of evaluation; -1 after a mistake */

typedef enum cn_activation { CN_IDENTITY, CN_TANH, CN_RELU } cn_activation;
typedef enum cn_graph_mode { CN_INFERENCE, CN_TRAINING } cn_graph_mode;

/* @param params  borrowed; must outlive the graph and not grow after cn_graph_finish. */
cn_status cn_graph_create(cn_params *params, cn_graph **out, cn_error *err);
void cn_graph_destroy(cn_graph **graph);

/* ---- Building. A mistake makes the result -1 and is reported by finish. ---- */

/* Filled by the caller through cn_graph_value before forward. No gradient flows into an input. */
cn_node cn_op_input(cn_graph *g, const char *name, int width);

/* An input whose gradient is wanted: after backward cn_graph_grad has it. */
cn_node cn_op_variable(cn_graph *g, const char *name, int width);

/* y = act(x W^T + b). W [O, I] in params, b [1, O] or -1 for none; x [B, I] -> y [B, O]. */
cn_node cn_op_linear(cn_graph *g, cn_node x, cn_param weight, cn_param bias, cn_activation act);

/* The same of several nodes' columns side by side, which are not copied: x = [x0, x1, ...], count
 * >= 1. */
cn_node cn_op_linear_of(cn_graph *g, const cn_node *parts, int count, cn_param weight,
                        cn_param bias, cn_activation act);

/* Columns side by side: [B, w0], [B, w1], ... -> [B, w0 + w1 + ...]. count >= 1. */
cn_node cn_op_concat(cn_graph *g, const cn_node *parts, int count);

/* Part of the columns: [B, w] -> [B, width], from column `first`. */
cn_node cn_op_slice(cn_graph *g, cn_node x, int first, int width);

/* An adapter (arXiv:1606.04671, eq. 2): y = act(sum over j of a_j x_j V_j^T + c), the V_j side by
 * side. sources x_j [B, I_j], scales a_j [1, 1], weight V [O, sum of I_j], bias c [1, O] -> y [B,
 * O].
 * @param count  1..CN_ADAPTER_SOURCES */
#define CN_ADAPTER_SOURCES 8
cn_node cn_op_adapter(cn_graph *g, const cn_node *sources, int count, const cn_param *scales,
                      cn_param weight, cn_param bias, cn_activation act);

/* y = x + z, equal widths. */
cn_node cn_op_add(cn_graph *g, cn_node x, cn_node z);

/* y = min(x, z), equal widths. */
cn_node cn_op_minimum(cn_graph *g, cn_node x, cn_node z);

/* y = sum over columns of x w: x [B, W], weights an input [B, W] -> [B, 1]. */
cn_node cn_op_dot(cn_graph *g, cn_node x, cn_node weights);

/* Every row to mean 0 and variance 1, times gain [1, W], plus bias [1, W] (Ba et al. 2016,
 * arXiv:1607.06450). */
cn_node cn_op_layer_norm(cn_graph *g, cn_node x, cn_param gain, cn_param bias);

/* Into (low, high) without an edge: a tanh of slope 1 in the middle. low < high. */
cn_node cn_op_soft_clamp(cn_graph *g, cn_node x, float low, float high);

/* y = act(x). */
cn_node cn_op_activation(cn_graph *g, cn_node x, cn_activation act);

/* Diagonal Gaussian with state-independent log_std [1, A]: mean [B, A], action [B, A]
 *   -> [B, 2]: column 0 log N(action; mean, exp(log_std)), column 1 the entropy. */
cn_node cn_op_gaussian(cn_graph *g, cn_node mean, cn_param log_std, cn_node action);

/* How an action is kept in [-1, 1]. */
typedef enum cn_bound { CN_BOUND_CLIP, CN_BOUND_TANH } cn_bound;
float cn_bound_apply(cn_bound bound, float x);

/* An action drawn from a diagonal Gaussian: mean, log_std [B, A], noise an input [B, A] of standard
 * normal numbers -> [B, A + 1]: the action, bounded, and the log-probability. The gradient flows
 * through the draw (reparameterisation); beyond CN_BOUND_CLIP's bound only inwards. */
cn_node cn_op_sample(cn_graph *g, cn_node mean, cn_node log_std, cn_node noise, cn_bound bound);

/* Independent categorical choices: logits [B, groups * choices], chosen an input [B, groups] of
 * whole numbers 0..choices-1 -> [B, 2]: column 0 the summed log-probability (NaN if a choice is
 * outside), column 1 the entropy. */
cn_node cn_op_categorical(cn_graph *g, cn_node logits, cn_node chosen, int groups, int choices);

/* PPO's losses (Schulman et al. 2017, arXiv:1707.06347, eq. 7 and 9; value clipping as in OpenAI's
 * ppo2). The result is [B, 1]: the loss of each row,
 *   -min(r A, clip(r, 1-e, 1+e) A) - c_H H
 *   + c_V 1/2 max((v - R)^2, (v_old + clip(v - v_old, +-e_v) - R)^2)
 * with r = exp(log_prob - old_log_prob). Backward with seed 1/N gives the mean over N rows. */
typedef struct cn_ppo_loss {
    float clip;           /* e */
    float value_clip;     /* e_v; <= 0: no clipping of the value */
    float value_weight;   /* c_V */
    float entropy_weight; /* c_H */
} cn_ppo_loss;
/* @param head      [B, 2] from cn_op_gaussian or cn_op_categorical
 * @param value     [B, 1] the critic
 * @param targets   input [B, 4]: old log-prob, advantage, return R, old value
 * @param loss      copied; change it later with cn_graph_set_ppo_loss (annealing) */
cn_node cn_op_ppo_loss(cn_graph *g, cn_node head, cn_node value, cn_node targets,
                       const cn_ppo_loss *loss);
void cn_graph_set_ppo_loss(cn_graph *g, cn_node node, const cn_ppo_loss *loss);

/* Mean squared error of each row: x, target [B, W] -> [B, 1], 1/W sum (x - target)^2. */
cn_node cn_op_squared_error(cn_graph *g, cn_node x, cn_node target);

/* ---- Running. ---- */

/* Checks shapes, plans the arena for up to max_rows rows, decides which nodes need a gradient (none
 * in CN_INFERENCE; frozen parameters and what only they feed need none: freeze before).
 * @return CN_ERR_SHAPE or CN_ERR_ARGUMENT naming the node, CN_ERR_MEMORY. */
cn_status cn_graph_finish(cn_graph *g, int max_rows, cn_graph_mode mode, cn_error *err);

int cn_graph_width(const cn_graph *g, cn_node node);
int cn_graph_max_rows(const cn_graph *g);

/* [rows, width] of a node; valid until the graph is destroyed. NULL for a slice that has no values
 * of its own because its readers take them where they lie. */
float *cn_graph_value(cn_graph *g, cn_node node);

/* [rows, width] d loss / d node of the last backward, or NULL where none is needed. */
const float *cn_graph_grad(const cn_graph *g, cn_node node);

/* Where backward adds parameter gradients: cn_params_count floats. Default: cn_params_grads. */
void cn_graph_bind_grads(cn_graph *g, float *grads);

/* Evaluates every node on `rows` rows, 1 <= rows <= max_rows. */
void cn_graph_forward(cn_graph *g, int rows);

/* Back-propagates from `loss` ([B, 1]), each row seeded with `seed`, on the rows of the last
 * forward. Parameter gradients are added to the bound block. */
void cn_graph_backward(cn_graph *g, cn_node loss, float seed);

#endif
