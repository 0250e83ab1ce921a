/* Every op: forward against a naive reference, gradients against central differences. */
#include "tests/tensor/gradcheck.h"

/* Float sums of up to ten terms near 1, in two orders of addition. */
#define TOLERANCE 2e-6

static float at(bench *t, cn_node node, int row, int column)
{
    return cn_graph_value(t->graph, node)[row * cn_graph_width(t->graph, node) + column];
}

static double reference_activation(cn_activation act, double x)
{
    return act == CN_TANH ? tanh(x) : act == CN_RELU ? fmax(x, 0.0) : x;
}

/* rows = 1 takes sgemv, more take sgemm. */
static void check_linear(cn_activation act, bool with_bias, int rows)
{
    enum { I = 7, O = 3 };
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", I, 1.0f);
    const cn_param W = random_param(&t, "W", O, I, 0.5f);
    const cn_param b = with_bias ? random_param(&t, "b", 1, O, 0.5f) : -1;
    const cn_node y = cn_op_linear(t.graph, x, W, b, act);
    bench_finish(&t, ROWS, CN_TRAINING);
    cn_graph_forward(t.graph, rows);
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < O; o++) {
            double sum = with_bias ? (double)cn_params_slice(t.params, b)[o] : 0.0;
            for (int i = 0; i < I; i++)
                sum += (double)at(&t, x, r, i) * (double)cn_params_slice(t.params, W)[o * I + i];
            CU_ASSERT_DOUBLE_EQUAL(at(&t, y, r, o), reference_activation(act, sum), TOLERANCE);
        }
    bench_destroy(&t);
}

static void test_linear_matches_reference(void)
{
    const cn_activation acts[] = {CN_IDENTITY, CN_TANH, CN_RELU};
    for (int a = 0; a < 3; a++)
        for (int with_bias = 0; with_bias < 2; with_bias++)
            for (int rows = 1; rows <= ROWS; rows += ROWS - 1)
                check_linear(acts[a], with_bias, rows);
}

/* ReLU's kink would spoil differences where a sum lies within one step of zero; the fixed seed and
 * few units keep clear of it. */
static void test_linear_gradients(void)
{
    const cn_activation acts[] = {CN_IDENTITY, CN_TANH, CN_RELU};
    for (int a = 0; a < 3; a++) {
        bench t = bench_create();
        const cn_node x = leaf(&t, "x", 4, 1.0f);
        const cn_param W = random_param(&t, "W", 3, 4, 0.5f);
        const cn_param b = random_param(&t, "b", 1, 3, 0.5f);
        const cn_node y = cn_op_linear(t.graph, x, W, b, acts[a]);
        const cn_node loss = readout(&t, y, 3);
        bench_finish(&t, ROWS, CN_TRAINING);
        check_gradients(&t, loss);
        bench_destroy(&t);
    }
}

static void test_concat_and_slice_match_reference(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 2, 1.0f), z = leaf(&t, "z", 3, 1.0f);
    const cn_node both = cn_op_concat(t.graph, (const cn_node[]){x, z, x}, 3);
    const cn_node part = cn_op_slice(t.graph, both, 1, 4);
    bench_finish(&t, ROWS, CN_INFERENCE);
    cn_graph_forward(t.graph, ROWS);
    CU_ASSERT_EQUAL(cn_graph_width(t.graph, both), 7);
    for (int b = 0; b < ROWS; b++) {
        const float want[7] = {at(&t, x, b, 0), at(&t, x, b, 1), at(&t, z, b, 0), at(&t, z, b, 1),
                               at(&t, z, b, 2), at(&t, x, b, 0), at(&t, x, b, 1)};
        for (int i = 0; i < 7; i++)
            CU_ASSERT_EQUAL(at(&t, both, b, i), want[i]);
        for (int i = 0; i < 4; i++)
            CU_ASSERT_EQUAL(at(&t, part, b, i), want[i + 1]);
    }
    bench_destroy(&t);
}

/* Data beside what learns, before it and after it, slices of it that are read where they lie, and a
 * part that comes twice: the same as one product of what stands side by side. */
static void test_linear_of_parts(void)
{
    for (int place = 0; place < 3; place++) {
        bench t = bench_create();
        const cn_node x = leaf(&t, "x", 3, 1.0f);
        const cn_node outer = cn_op_slice(t.graph, t.unit, 1, 4);
        cn_node parts[4] = {t.unit, cn_op_slice(t.graph, outer, 1, 2), t.unit, x};
        parts[place] = x;
        const cn_node all = cn_op_concat(t.graph, parts, 4);
        const cn_param weight = random_param(&t, "weight", 4, cn_graph_width(t.graph, all), 0.5f);
        const cn_param bias = random_param(&t, "bias", 1, 4, 0.5f);
        const cn_node y = cn_op_linear_of(t.graph, parts, 4, weight, bias, CN_TANH);
        const cn_node reference = cn_op_linear(t.graph, all, weight, bias, CN_TANH);
        const cn_node loss = readout(&t, y, 4);
        bench_finish(&t, ROWS, CN_TRAINING);
        CU_ASSERT_PTR_NULL(cn_graph_value(t.graph, outer)); /* lies in the unit matrix */
        for (int rows = 1; rows <= ROWS; rows += ROWS - 1) {
            cn_graph_forward(t.graph, rows);
            for (int i = 0; i < 4 * rows; i++)
                CU_ASSERT_DOUBLE_EQUAL(cn_graph_value(t.graph, y)[i],
                                       cn_graph_value(t.graph, reference)[i], TOLERANCE);
        }
        check_gradients(&t, loss);
        bench_destroy(&t);
    }
}

/* A slice has values of its own where a reader needs them side by side, and where nobody reads. */
static void test_slice_is_copied_where_it_must_be(void)
{
    bench t = bench_create();
    const cn_node alone = cn_op_slice(t.graph, t.unit, 1, 2);
    const cn_node read = cn_op_slice(t.graph, t.unit, 2, 3);
    const cn_node both[2] = {read, read};
    cn_op_concat(t.graph, both, 2);
    const cn_node added = cn_op_add(t.graph, read, read);
    bench_finish(&t, ROWS, CN_INFERENCE);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        CU_ASSERT_EQUAL(at(&t, alone, b, 0), b == 1 ? 1.0f : 0.0f);
        CU_ASSERT_EQUAL(at(&t, added, b, 0), b == 2 ? 2.0f : 0.0f);
    }
    bench_destroy(&t);
}

/* x arrives twice in one concat, z through two slices: gradients must add. */
static void test_concat_and_slice_gradients(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 2, 1.0f), z = leaf(&t, "z", 5, 1.0f);
    const cn_node z1 = cn_op_slice(t.graph, z, 0, 2), z2 = cn_op_slice(t.graph, z, 1, 3);
    const cn_node all = cn_op_concat(t.graph, (const cn_node[]){x, z1, x, z2}, 4);
    const cn_node loss = readout(&t, all, 9);
    bench_finish(&t, ROWS, CN_TRAINING);
    check_gradients(&t, loss);
    bench_destroy(&t);
}

/* Two sources of different widths, the second of them data: a frozen column beside one that learns.
 */
static cn_node adapter_of(bench *t, cn_node sources[2], cn_param scales[2], cn_param *weight,
                          cn_param *bias)
{
    sources[0] = leaf(t, "x", 3, 1.0f);
    sources[1] = t->unit;
    scales[0] = random_param(t, "a0", 1, 1, 1.0f);
    scales[1] = random_param(t, "a1", 1, 1, 1.0f);
    *weight = random_param(t, "weight", 4, 3 + ROWS, 0.5f);
    *bias = random_param(t, "bias", 1, 4, 0.5f);
    return cn_op_adapter(t->graph, sources, 2, scales, *weight, *bias, CN_TANH);
}

static void test_adapter_matches_reference(void)
{
    for (int rows = 1; rows <= ROWS; rows += ROWS - 1) {
        bench t = bench_create();
        cn_node x[2];
        cn_param a[2], weight, bias;
        const cn_node y = adapter_of(&t, x, a, &weight, &bias);
        bench_finish(&t, ROWS, CN_INFERENCE);
        cn_graph_forward(t.graph, rows);
        const float *V = cn_params_slice(t.params, weight);
        for (int b = 0; b < rows; b++)
            for (int o = 0; o < 4; o++) {
                double sum = (double)cn_params_slice(t.params, bias)[o];
                for (int i = 0; i < 3 + ROWS; i++) {
                    const float value = i < 3 ? at(&t, x[0], b, i) : at(&t, x[1], b, i - 3);
                    sum += (double)*cn_params_slice(t.params, a[i >= 3]) * (double)value *
                           (double)V[o * (3 + ROWS) + i];
                }
                CU_ASSERT_DOUBLE_EQUAL((double)at(&t, y, b, o), tanh(sum), TOLERANCE);
            }
        bench_destroy(&t);
    }
}

static void test_adapter_gradients(void)
{
    bench t = bench_create();
    cn_node x[2];
    cn_param a[2], weight, bias;
    const cn_node y = adapter_of(&t, x, a, &weight, &bias);
    /* x reaches the loss on another way too: its gradients must add, whichever comes first. */
    const cn_node both = cn_op_concat(t.graph, (const cn_node[]){x[0], y, x[0]}, 3);
    const cn_node loss = readout(&t, both, 10);
    bench_finish(&t, ROWS, CN_TRAINING);
    check_gradients(&t, loss);
    bench_destroy(&t);
}

static void test_adapter_refuses(void)
{
    for (int mistake = 0; mistake < 4; mistake++) {
        bench t = bench_create();
        cn_error err = {0};
        const cn_param a = random_param(&t, "a", 1, 1, 1.0f),
                       wide = random_param(&t, "w", 4, 9, 1.0f);
        const cn_param fits = random_param(&t, "v", 4, ROWS, 1.0f),
                       bias = random_param(&t, "c", 1, 4, 1.0f);
        const cn_node node =
            cn_op_adapter(t.graph, &t.unit, mistake == 0 ? 0 : 1, mistake == 1 ? &fits : &a,
                          mistake == 2 ? wide : fits, mistake == 3 ? a : bias, CN_TANH);
        CU_ASSERT_EQUAL(node, -1);
        CU_ASSERT_EQUAL(cn_graph_finish(t.graph, ROWS, CN_INFERENCE, &err),
                        mistake == 0 ? CN_ERR_ARGUMENT : CN_ERR_SHAPE);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "(adapter)"));
        bench_destroy(&t);
    }
}

static void test_add_activation_match_reference(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 4, 1.0f), z = leaf(&t, "z", 4, 1.0f);
    const cn_node sum = cn_op_add(t.graph, x, z);
    const cn_node squashed = cn_op_activation(t.graph, sum, CN_TANH);
    const cn_node cut = cn_op_activation(t.graph, sum, CN_RELU);
    bench_finish(&t, ROWS, CN_INFERENCE);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++)
        for (int i = 0; i < 4; i++) {
            CU_ASSERT_EQUAL(at(&t, sum, b, i), at(&t, x, b, i) + at(&t, z, b, i));
            CU_ASSERT_DOUBLE_EQUAL(at(&t, squashed, b, i), tanh((double)at(&t, sum, b, i)),
                                   TOLERANCE);
            CU_ASSERT_EQUAL(at(&t, cut, b, i), fmaxf(at(&t, sum, b, i), 0.0f));
        }
    bench_destroy(&t);
}

/* x + x, and x again below an activation: three gradients into one node. */
static void test_add_activation_gradients(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 4, 1.0f), z = leaf(&t, "z", 4, 1.0f);
    const cn_node twice = cn_op_add(t.graph, x, x);
    const cn_node squashed = cn_op_activation(t.graph, cn_op_add(t.graph, x, z), CN_TANH);
    const cn_node sum = cn_op_add(t.graph, twice, squashed);
    const cn_node loss = readout(&t, sum, 4);
    bench_finish(&t, ROWS, CN_TRAINING);
    check_gradients(&t, loss);
    bench_destroy(&t);
}

static void test_gaussian_matches_reference(void)
{
    enum { A = 3 };
    const double pi = 3.141592653589793;
    bench t = bench_create();
    const cn_node mean = leaf(&t, "mean", A, 1.0f), action = leaf(&t, "action", A, 1.0f);
    const cn_param log_std = random_param(&t, "log_std", 1, A, 0.3f);
    const cn_node head = cn_op_gaussian(t.graph, mean, log_std, action);
    bench_finish(&t, ROWS, CN_INFERENCE);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        double density = 1.0, entropy = 0.0;
        for (int j = 0; j < A; j++) {
            const double std = exp((double)cn_params_slice(t.params, log_std)[j]);
            const double off = (double)at(&t, action, b, j) - (double)at(&t, mean, b, j);
            density *= exp(-off * off / (2.0 * std * std)) / (std * sqrt(2.0 * pi));
            entropy += 0.5 * log(2.0 * pi * exp(1.0) * std * std);
        }
        CU_ASSERT_DOUBLE_EQUAL(at(&t, head, b, 0), log(density), 10.0 * TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(at(&t, head, b, 1), entropy, TOLERANCE);
    }
    bench_destroy(&t);
}

static void test_gaussian_gradients(void)
{
    bench t = bench_create();
    const cn_node m = leaf(&t, "mean", 3, 1.0f), a = leaf(&t, "action", 3, 1.0f);
    const cn_param s = random_param(&t, "log_std", 1, 3, 0.3f);
    const cn_node sum =
        cn_op_add(t.graph, cn_op_gaussian(t.graph, m, s, a), cn_op_gaussian(t.graph, a, s, m));
    const cn_node loss = readout(&t, sum, 2);
    bench_finish(&t, ROWS, CN_TRAINING);
    check_gradients(&t, loss);
    bench_destroy(&t);
}

static void fill_choices(bench *t, cn_node chosen, int groups, int choices)
{
    for (int i = 0; i < ROWS * groups; i++)
        cn_graph_value(t->graph, chosen)[i] = (float)(i % choices);
}

static void test_categorical_matches_reference(void)
{
    enum { G = 2, C = 4 };
    bench t = bench_create();
    const cn_node logits = leaf(&t, "logits", G * C, 1.0f);
    const cn_node chosen = cn_op_input(t.graph, "chosen", G);
    const cn_node head = cn_op_categorical(t.graph, logits, chosen, G, C);
    bench_finish(&t, ROWS, CN_INFERENCE);
    fill_choices(&t, chosen, G, C);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        double log_prob = 0.0, entropy = 0.0;
        for (int k = 0; k < G; k++) {
            double sum = 0.0;
            for (int c = 0; c < C; c++)
                sum += exp((double)at(&t, logits, b, k * C + c));
            for (int c = 0; c < C; c++) {
                const double p = exp((double)at(&t, logits, b, k * C + c)) / sum;
                entropy -= p * log(p);
                log_prob += c == (int)at(&t, chosen, b, k) ? log(p) : 0.0;
            }
        }
        CU_ASSERT_DOUBLE_EQUAL(at(&t, head, b, 0), log_prob, TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(at(&t, head, b, 1), entropy, TOLERANCE);
    }
    bench_destroy(&t);
}

static void test_categorical_gradients(void)
{
    bench t = bench_create();
    const cn_node logits = leaf(&t, "logits", 8, 1.0f);
    const cn_node chosen = cn_op_input(t.graph, "chosen", 2);
    const cn_node head = cn_op_categorical(t.graph, logits, chosen, 2, 4);
    const cn_node mirrored =
        cn_op_categorical(t.graph, cn_op_activation(t.graph, logits, CN_TANH), chosen, 2, 4);
    const cn_node loss = readout(&t, cn_op_add(t.graph, head, mirrored), 2);
    bench_finish(&t, ROWS, CN_TRAINING);
    fill_choices(&t, chosen, 2, 4);
    check_gradients(&t, loss);
    bench_destroy(&t);
}

/* Logits of 1000 overflow exp; a choice that does not exist must not look like a probability. */
static void test_categorical_survives_extremes(void)
{
    bench t = bench_create();
    const cn_node logits = cn_op_input(t.graph, "logits", 3);
    const cn_node chosen = cn_op_input(t.graph, "chosen", 1);
    const cn_node head = cn_op_categorical(t.graph, logits, chosen, 1, 3);
    bench_finish(&t, 2, CN_INFERENCE);
    const float values[6] = {1000.0f, 999.0f, -1000.0f, 0.0f, 0.0f, 0.0f};
    memcpy(cn_graph_value(t.graph, logits), values, sizeof values);
    cn_graph_value(t.graph, chosen)[0] = 0.0f;
    cn_graph_value(t.graph, chosen)[1] = 3.0f;
    cn_graph_forward(t.graph, 2);
    CU_ASSERT_DOUBLE_EQUAL(at(&t, head, 0, 0), -log(1.0 + exp(-1.0)), TOLERANCE);
    CU_ASSERT_TRUE(isfinite(at(&t, head, 0, 1)));
    CU_ASSERT_TRUE(isnan(at(&t, head, 1, 0)));
    bench_destroy(&t);
}

static void test_squared_error_matches_reference_and_gradients(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 3, 1.0f), z = leaf(&t, "z", 3, 1.0f);
    const cn_node loss = cn_op_squared_error(t.graph, x, z);
    bench_finish(&t, ROWS, CN_TRAINING);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        double sum = 0.0;
        for (int i = 0; i < 3; i++)
            sum += pow((double)at(&t, x, b, i) - (double)at(&t, z, b, i), 2.0);
        CU_ASSERT_DOUBLE_EQUAL(at(&t, loss, b, 0), sum / 3.0, TOLERANCE);
    }
    check_gradients(&t, loss);
    bench_destroy(&t);
}

static const cn_ppo_loss ppo = {
    .clip = 0.2f, .value_clip = 0.3f, .value_weight = 0.5f, .entropy_weight = 0.01f};

/* The equation of graph.h, word for word. */
static double reference_ppo(const cn_ppo_loss *s, double log_prob, double entropy, double value,
                            const double *target)
{
    const double e = (double)s->clip, ev = (double)s->value_clip;
    const double r = exp(log_prob - target[0]), advantage = target[1];
    const double gain = fmin(r * advantage, fmin(fmax(r, 1.0 - e), 1.0 + e) * advantage);
    double squared = pow(value - target[2], 2.0);
    if (ev > 0.0) {
        const double moved = fmin(fmax(value - target[3], -ev), ev);
        squared = fmax(squared, pow(target[3] + moved - target[2], 2.0));
    }
    return -gain - (double)s->entropy_weight * entropy + (double)s->value_weight * 0.5 * squared;
}

/* Rows: ratio inside; above with A > 0 (clipped) and A < 0 (not); below with A < 0 (clipped) and
 * A > 0 (not). Values: inside; moved too far towards the return (clipped) and away from it (not).
 */
static const double old_log_prob_offset[ROWS] = {0.05, -0.6, -0.6, 0.6, 0.6};
static const double advantages[ROWS] = {1.0, 0.7, -0.8, -0.9, 1.1};
static const double returns_minus_value[ROWS] = {0.5, 0.4, -1.2, 0.2, -0.9};
static const double old_value_minus_value[ROWS] = {0.1, 0.9, 0.8, -0.8, -0.7};

typedef struct ppo_bench {
    bench t;
    cn_node head, value, targets, loss;
} ppo_bench;

static ppo_bench ppo_create(const cn_ppo_loss *settings)
{
    ppo_bench p = {.t = bench_create()};
    cn_graph *g = p.t.graph;
    p.head = leaf(&p.t, "head", 2, 0.5f);
    p.value = leaf(&p.t, "value", 1, 1.0f);
    p.targets = cn_op_input(g, "targets", 4);
    p.loss = cn_op_ppo_loss(g, p.head, p.value, p.targets, settings);
    bench_finish(&p.t, ROWS, CN_TRAINING);
    cn_graph_forward(g, ROWS);
    for (int b = 0; b < ROWS; b++) {
        float *row = cn_graph_value(g, p.targets) + b * 4;
        row[0] = at(&p.t, p.head, b, 0) + (float)old_log_prob_offset[b];
        row[1] = (float)advantages[b];
        row[2] = at(&p.t, p.value, b, 0) + (float)returns_minus_value[b];
        row[3] = at(&p.t, p.value, b, 0) + (float)old_value_minus_value[b];
    }
    return p;
}

static void check_ppo(ppo_bench *p, const cn_ppo_loss *settings)
{
    cn_graph_forward(p->t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        double target[4];
        for (int i = 0; i < 4; i++)
            target[i] = (double)at(&p->t, p->targets, b, i);
        const double want = reference_ppo(settings, (double)at(&p->t, p->head, b, 0),
                                          (double)at(&p->t, p->head, b, 1),
                                          (double)at(&p->t, p->value, b, 0), target);
        CU_ASSERT_DOUBLE_EQUAL(at(&p->t, p->loss, b, 0), want, TOLERANCE);
    }
    check_gradients(&p->t, p->loss);
}

static void test_ppo_loss_matches_reference_and_gradients(void)
{
    ppo_bench p = ppo_create(&ppo);
    check_ppo(&p, &ppo);
    const cn_ppo_loss changed = {
        .clip = 0.1f, .value_clip = 0.0f, .value_weight = 1.0f, .entropy_weight = 0.5f};
    cn_graph_set_ppo_loss(p.t.graph, p.loss, &changed);
    check_ppo(&p, &changed);
    bench_destroy(&p.t);
}

/* Rows 1 and 3 are beyond the clip on the side that gains: no push on the policy. */
static void test_ppo_loss_stops_at_the_clip(void)
{
    ppo_bench p = ppo_create(&ppo);
    cn_graph_forward(p.t.graph, ROWS);
    cn_graph_backward(p.t.graph, p.loss, 1.0f);
    const float *head = cn_graph_grad(p.t.graph, p.head);
    const bool pushes[ROWS] = {true, false, true, false, true};
    for (int b = 0; b < ROWS; b++)
        CU_ASSERT_EQUAL(head[2 * b] != 0.0f, pushes[b]);
    const float *value = cn_graph_grad(p.t.graph, p.value);
    int clipped = 0;
    for (int b = 0; b < ROWS; b++)
        clipped += value[b] == 0.0f;
    CU_ASSERT_TRUE(clipped >= 1 && clipped < ROWS);
    bench_destroy(&p.t);
}

CN_TEST_MAIN("tensor.ops", T(test_linear_matches_reference), T(test_linear_gradients),
             T(test_concat_and_slice_match_reference), T(test_concat_and_slice_gradients),
             T(test_linear_of_parts), T(test_slice_is_copied_where_it_must_be),
             T(test_adapter_matches_reference), T(test_adapter_gradients), T(test_adapter_refuses),
             T(test_add_activation_match_reference), T(test_add_activation_gradients),
             T(test_gaussian_matches_reference), T(test_gaussian_gradients),
             T(test_categorical_matches_reference), T(test_categorical_gradients),
             T(test_categorical_survives_extremes),
             T(test_squared_error_matches_reference_and_gradients),
             T(test_ppo_loss_matches_reference_and_gradients), T(test_ppo_loss_stops_at_the_clip))
