/* The ops of actors and critics that learn through actions: forward against a naive reference,
 * gradients against central differences. */
#include "tests/tensor/gradcheck.h"

/* Float sums of up to ten terms near 1, in two orders of addition. */
#define TOLERANCE 2e-6
/* Log-probabilities: exp and log of floats near 5. */
#define LOG_TOLERANCE 2e-5

static float at(bench *t, cn_node node, int row, int column)
{
    return cn_graph_value(t->graph, node)[row * cn_graph_width(t->graph, node) + column];
}

/* ---- Layer norm ---- */

/* 11 columns: one register of partial sums and three more. */
static void test_layer_norm(void)
{
    enum { I = 11 };
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", I, 2.0f);
    const cn_param gain = random_param(&t, "gain", 1, I, 1.0f);
    const cn_param bias = random_param(&t, "bias", 1, I, 1.0f);
    const cn_node y = cn_op_layer_norm(t.graph, x, gain, bias);
    /* x goes two ways, so that its gradient is also added to */
    const cn_node loss = cn_op_add(t.graph, readout(&t, y, I), cn_op_squared_error(t.graph, y, x));
    bench_finish(&t, ROWS, CN_TRAINING);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        double mean = 0.0, variance = 0.0;
        for (int i = 0; i < I; i++)
            mean += (double)at(&t, x, b, i) / I;
        for (int i = 0; i < I; i++)
            variance += pow((double)at(&t, x, b, i) - mean, 2.0) / I;
        for (int i = 0; i < I; i++) {
            const double z = ((double)at(&t, x, b, i) - mean) / sqrt(variance + 1e-5);
            const double want = (double)cn_params_slice(t.params, gain)[i] * z +
                                (double)cn_params_slice(t.params, bias)[i];
            CU_ASSERT_DOUBLE_EQUAL(at(&t, y, b, i), want, TOLERANCE);
        }
    }
    check_gradients(&t, loss);
    bench_destroy(&t);
}

/* A row without variance becomes the bias, and its gradient stays finite. */
static void test_layer_norm_of_a_constant_row(void)
{
    bench t = bench_create();
    const cn_node x = cn_op_variable(t.graph, "x", 9);
    const cn_param gain = random_param(&t, "gain", 1, 9, 1.0f);
    const cn_param bias = random_param(&t, "bias", 1, 9, 1.0f);
    const cn_node y = cn_op_layer_norm(t.graph, x, gain, bias);
    const cn_node loss = readout(&t, y, 9);
    bench_finish(&t, ROWS, CN_TRAINING);
    for (int i = 0; i < 9; i++)
        cn_graph_value(t.graph, x)[i] = 3.0f;
    cn_graph_forward(t.graph, 1);
    cn_graph_backward(t.graph, loss, 1.0f);
    for (int i = 0; i < 9; i++) {
        CU_ASSERT_EQUAL(at(&t, y, 0, i), cn_params_slice(t.params, bias)[i]);
        CU_ASSERT_TRUE(isfinite(cn_graph_grad(t.graph, x)[i]));
    }
    bench_destroy(&t);
}

/* ---- Minimum, dot, soft clamp, variable ---- */

static void test_minimum(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 4, 1.0f), z = leaf(&t, "z", 4, 1.0f);
    const cn_node y = cn_op_minimum(t.graph, x, z);
    const cn_node loss = readout(&t, cn_op_add(t.graph, y, cn_op_add(t.graph, x, z)), 4);
    bench_finish(&t, ROWS, CN_TRAINING);
    cn_graph_forward(t.graph, ROWS);
    int from_x = 0;
    for (int b = 0; b < ROWS; b++)
        for (int i = 0; i < 4; i++) {
            CU_ASSERT_EQUAL(at(&t, y, b, i), fminf(at(&t, x, b, i), at(&t, z, b, i)));
            from_x += at(&t, y, b, i) == at(&t, x, b, i);
        }
    CU_ASSERT_TRUE(from_x > 0 && from_x < 4 * ROWS);
    check_gradients(&t, loss);
    bench_destroy(&t);
}

/* fmin would hide a NaN, and with it a critic that broke. */
static void test_minimum_keeps_nan(void)
{
    bench t = bench_create();
    const cn_node x = cn_op_input(t.graph, "x", 1), z = cn_op_input(t.graph, "z", 1);
    const cn_node y = cn_op_minimum(t.graph, x, z);
    bench_finish(&t, 2, CN_INFERENCE);
    cn_graph_value(t.graph, x)[0] = cn_graph_value(t.graph, z)[1] = NAN;
    cn_graph_forward(t.graph, 2);
    CU_ASSERT_TRUE(isnan(at(&t, y, 0, 0)));
    CU_ASSERT_TRUE(isnan(at(&t, y, 1, 0)));
    bench_destroy(&t);
}

static void test_dot(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 3, 1.0f), w = cn_op_input(t.graph, "w", 3);
    const cn_node once = cn_op_dot(t.graph, x, w);
    const cn_node loss = cn_op_add(t.graph, once, cn_op_dot(t.graph, x, w));
    bench_finish(&t, ROWS, CN_TRAINING);
    for (int i = 0; i < 3 * ROWS; i++)
        cn_graph_value(t.graph, w)[i] = 0.3f * (float)(i - 4);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++) {
        double sum = 0.0;
        for (int i = 0; i < 3; i++)
            sum += (double)at(&t, x, b, i) * (double)at(&t, w, b, i);
        CU_ASSERT_DOUBLE_EQUAL(at(&t, once, b, 0), sum, TOLERANCE);
    }
    check_gradients(&t, loss);
    bench_destroy(&t);
}

static void test_soft_clamp(void)
{
    bench t = bench_create();
    const cn_node x = leaf(&t, "x", 3, 3.0f);
    const cn_node y = cn_op_soft_clamp(t.graph, x, -5.0f, 2.0f);
    const cn_node loss = readout(&t, cn_op_add(t.graph, y, x), 3);
    bench_finish(&t, ROWS, CN_TRAINING);
    cn_graph_forward(t.graph, ROWS);
    for (int b = 0; b < ROWS; b++)
        for (int i = 0; i < 3; i++) {
            const double want = -1.5 + 3.5 * tanh(((double)at(&t, x, b, i) + 1.5) / 3.5);
            CU_ASSERT_DOUBLE_EQUAL(at(&t, y, b, i), want, TOLERANCE);
        }
    check_gradients(&t, loss);
    bench_destroy(&t);
}

static void test_variable_keeps_its_gradient(void)
{
    bench t = bench_create();
    const cn_node x = cn_op_variable(t.graph, "x", 2), w = cn_op_input(t.graph, "w", 2);
    const cn_node loss = cn_op_dot(t.graph, x, w);
    bench_finish(&t, 2, CN_TRAINING);
    const float weights[4] = {1.0f, -2.0f, 3.0f, 0.5f};
    memcpy(cn_graph_value(t.graph, w), weights, sizeof weights);
    cn_graph_forward(t.graph, 2);
    cn_graph_backward(t.graph, loss, 2.0f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cn_graph_grad(t.graph, x));
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(cn_graph_grad(t.graph, x)[i], 2.0f * weights[i]);
    CU_ASSERT_PTR_NULL(cn_graph_grad(t.graph, w));
    bench_destroy(&t);
}

/* ---- Sampled actions ---- */

typedef struct sample_bench {
    bench t;
    cn_node mean, log_std, noise, y, loss;
} sample_bench;

static sample_bench sample_create(cn_bound bound, float spread)
{
    enum { A = 3 };
    sample_bench s = {.t = bench_create()};
    s.mean = leaf(&s.t, "mean", A, spread);
    s.log_std = leaf(&s.t, "log_std", A, 0.5f);
    s.noise = cn_op_input(s.t.graph, "noise", A);
    s.y = cn_op_sample(s.t.graph, s.mean, s.log_std, s.noise, bound);
    s.loss = readout(&s.t, s.y, A + 1);
    bench_finish(&s.t, ROWS, CN_TRAINING);
    for (int i = 0; i < A * ROWS; i++)
        cn_graph_value(s.t.graph, s.noise)[i] = spread * (float)cn_rng_normal(&s.t.rng);
    cn_graph_forward(s.t.graph, ROWS);
    return s;
}

/* The squashed density is that of u over the slope of tanh: checked against the definition. */
static void test_sample_tanh(void)
{
    const double pi = acos(-1.0);
    sample_bench s = sample_create(CN_BOUND_TANH, 0.7f);
    for (int b = 0; b < ROWS; b++) {
        double log_prob = 0.0;
        for (int j = 0; j < 3; j++) {
            const double z = (double)at(&s.t, s.noise, b, j);
            const double std = exp((double)at(&s.t, s.log_std, b, j));
            const double a = tanh((double)at(&s.t, s.mean, b, j) + std * z);
            CU_ASSERT_DOUBLE_EQUAL(at(&s.t, s.y, b, j), a, TOLERANCE);
            log_prob += log(exp(-0.5 * z * z) / (std * sqrt(2.0 * pi)) / (1.0 - a * a));
        }
        CU_ASSERT_DOUBLE_EQUAL(at(&s.t, s.y, b, 3), log_prob, LOG_TOLERANCE);
    }
    check_gradients(&s.t, s.loss);
    bench_destroy(&s.t);
}

/* Where 1 - tanh^2 is 0 in floats, the log-probability is still right: log 4 - 2 |u|. */
static void test_sample_tanh_far_out(void)
{
    bench t = bench_create();
    const cn_node mean = cn_op_input(t.graph, "mean", 1), log_std = cn_op_input(t.graph, "s", 1);
    const cn_node noise = cn_op_input(t.graph, "noise", 1);
    const cn_node y = cn_op_sample(t.graph, mean, log_std, noise, CN_BOUND_TANH);
    bench_finish(&t, 2, CN_INFERENCE);
    cn_graph_value(t.graph, mean)[0] = 40.0f;
    cn_graph_value(t.graph, mean)[1] = -40.0f;
    cn_graph_forward(t.graph, 2);
    const double want = -0.5 * log(2.0 * acos(-1.0)) - (log(4.0) - 80.0);
    CU_ASSERT_DOUBLE_EQUAL(at(&t, y, 0, 1), want, LOG_TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(at(&t, y, 1, 1), want, LOG_TOLERANCE);
    CU_ASSERT_EQUAL(at(&t, y, 1, 0), -1.0f);
    bench_destroy(&t);
}

/* All inside the bound: there clipping is the identity. */
static void test_sample_clip(void)
{
    const double pi = acos(-1.0);
    sample_bench s = sample_create(CN_BOUND_CLIP, 0.15f);
    for (int b = 0; b < ROWS; b++) {
        double log_prob = 0.0;
        for (int j = 0; j < 3; j++) {
            const double z = (double)at(&s.t, s.noise, b, j);
            const double std = exp((double)at(&s.t, s.log_std, b, j));
            const double u = (double)at(&s.t, s.mean, b, j) + std * z;
            CU_ASSERT_TRUE(fabs(u) < 0.95);
            CU_ASSERT_DOUBLE_EQUAL(at(&s.t, s.y, b, j), u, TOLERANCE);
            log_prob += log(exp(-0.5 * z * z) / (std * sqrt(2.0 * pi)));
        }
        CU_ASSERT_DOUBLE_EQUAL(at(&s.t, s.y, b, 3), log_prob, LOG_TOLERANCE);
    }
    check_gradients(&s.t, s.loss);
    bench_destroy(&s.t);
}

/* Beyond the bound the value is the bound, and only a push back inside gets through. */
static void test_sample_clip_lets_actions_come_back(void)
{
    bench t = bench_create();
    const cn_node mean = cn_op_variable(t.graph, "mean", 1), log_std = cn_op_input(t.graph, "s", 1);
    const cn_node noise = cn_op_input(t.graph, "noise", 1), w = cn_op_input(t.graph, "w", 2);
    const cn_node y = cn_op_sample(t.graph, mean, log_std, noise, CN_BOUND_CLIP);
    const cn_node loss = cn_op_dot(t.graph, y, w);
    bench_finish(&t, 4, CN_TRAINING);
    const float means[4] = {3.0f, 3.0f, -3.0f, -3.0f}, push[4] = {1.0f, -1.0f, 1.0f, -1.0f};
    const float want[4] = {1.0f, 0.0f, 0.0f, -1.0f}; /* a step goes against the gradient */
    for (int b = 0; b < 4; b++) {
        cn_graph_value(t.graph, mean)[b] = means[b];
        cn_graph_value(t.graph, w)[2 * b] = push[b];
    }
    cn_graph_forward(t.graph, 4);
    cn_graph_backward(t.graph, loss, 1.0f);
    for (int b = 0; b < 4; b++) {
        CU_ASSERT_EQUAL(at(&t, y, b, 0), means[b] > 0.0f ? 1.0f : -1.0f);
        CU_ASSERT_EQUAL(cn_graph_grad(t.graph, mean)[b], want[b]);
    }
    bench_destroy(&t);
}

static void test_bound_apply(void)
{
    CU_ASSERT_EQUAL(cn_bound_apply(CN_BOUND_CLIP, 1.5f), 1.0f);
    CU_ASSERT_EQUAL(cn_bound_apply(CN_BOUND_CLIP, -0.25f), -0.25f);
    CU_ASSERT_DOUBLE_EQUAL(cn_bound_apply(CN_BOUND_TANH, 0.5f), tanh(0.5), TOLERANCE);
    CU_ASSERT_TRUE(isnan(cn_bound_apply(CN_BOUND_CLIP, NAN)));
    CU_ASSERT_TRUE(isnan(cn_bound_apply(CN_BOUND_TANH, NAN)));
}

/* ---- Mistakes ---- */

static cn_error err;

static void check_mistake(cn_node (*add)(bench *t), cn_status code, const char *words)
{
    bench t = bench_create();
    const cn_node node = add(&t);
    CU_ASSERT_EQUAL(node, -1);
    CN_ASSERT_FAILS(code, words, cn_graph_finish(t.graph, 2, CN_TRAINING, &err));
    bench_destroy(&t);
}

static cn_node wide_minimum(bench *t)
{
    return cn_op_minimum(t->graph, t->unit, cn_op_input(t->graph, "x", 2));
}

static cn_node computed_weights(bench *t)
{
    return cn_op_dot(t->graph, t->unit, leaf(t, "w", ROWS, 1.0f));
}

static cn_node wrong_gain(bench *t)
{
    const cn_param gain = random_param(t, "gain", 1, 3, 1.0f);
    return cn_op_layer_norm(t->graph, t->unit, gain, gain);
}

static cn_node empty_range(bench *t)
{
    return cn_op_soft_clamp(t->graph, t->unit, 1.0f, 1.0f);
}

static cn_node computed_noise(bench *t)
{
    const cn_node x = leaf(t, "x", ROWS, 1.0f);
    return cn_op_sample(t->graph, x, x, x, CN_BOUND_TANH);
}

static void test_mistakes(void)
{
    check_mistake(wide_minimum, CN_ERR_SHAPE, "(minimum): node 0 has 5 columns and node 1 has 2");
    check_mistake(computed_weights, CN_ERR_ARGUMENT, "(dot): node 1 (linear) must be an input");
    check_mistake(wrong_gain, CN_ERR_SHAPE, "'gain' is [1, 3], it must be [1, 5]");
    check_mistake(empty_range, CN_ERR_ARGUMENT, "from 1 to 1: low must be below high");
    check_mistake(computed_noise, CN_ERR_ARGUMENT, "(sample): node 1 (linear) must be an input");
}

CN_TEST_MAIN("tensor.actor_critic_ops", T(test_layer_norm), T(test_layer_norm_of_a_constant_row),
             T(test_minimum), T(test_minimum_keeps_nan), T(test_dot), T(test_soft_clamp),
             T(test_variable_keeps_its_gradient), T(test_sample_tanh), T(test_sample_tanh_far_out),
             T(test_sample_clip), T(test_sample_clip_lets_actions_come_back), T(test_bound_apply),
             T(test_mistakes))
