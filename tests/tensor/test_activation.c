/* tanh: close to libm's everywhere, the same bits wherever an element stands. */
#include "tests/tensor/gradcheck.h"

#define TOLERANCE 5e-7 /* four units in the last place below 1: the rounding of 17 operations */

/* act applied to `count` numbers as one row of a graph. */
static void apply(cn_activation act, const float *x, int count, float *y)
{
    cn_error err = {0};
    bench t = bench_create();
    const cn_node in = cn_op_input(t.graph, "x", count);
    const cn_node out = cn_op_activation(t.graph, in, act);
    CN_ASSERT_OK(cn_graph_finish(t.graph, 1, CN_INFERENCE, &err));
    memcpy(cn_graph_value(t.graph, in), x, (size_t)count * sizeof *x);
    cn_graph_forward(t.graph, 1);
    memcpy(y, cn_graph_value(t.graph, out), (size_t)count * sizeof *y);
    bench_destroy(&t);
}

/* Every 4001st float from the smallest to infinity, both signs. */
static void test_tanh_is_close_for_all_floats(void)
{
    enum { STEP = 4001, COUNT = 0x7f800000 / STEP };
    float *x = calloc(2 * COUNT, sizeof *x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t bits = i * STEP;
        memcpy(&x[2 * i], &bits, sizeof bits);
        x[2 * i + 1] = -x[2 * i];
    }
    float *y = calloc(2 * COUNT, sizeof *y);
    CU_ASSERT_PTR_NOT_NULL_FATAL(y);
    apply(CN_TANH, x, 2 * COUNT, y);
    double worst = 0.0, worst_relative = 0.0;
    for (int i = 0; i < 2 * COUNT; i++) {
        const double want = tanh((double)x[i]), error = fabs((double)y[i] - want);
        worst = fmax(worst, error);
        if (fabs(want) > 1e-37) /* below, floats lose digits */
            worst_relative = fmax(worst_relative, error / fabs(want));
    }
    CU_ASSERT_TRUE(worst < TOLERANCE);
    CU_ASSERT_TRUE(worst_relative < TOLERANCE);
    free(x);
    free(y);
}

static void test_tanh_at_the_edges(void)
{
    const float x[8] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 9.0f, 1e30f, -1e30f};
    float y[8];
    apply(CN_TANH, x, 8, y);
    CU_ASSERT_TRUE(y[0] == 0.0f && !signbit(y[0]));
    CU_ASSERT_TRUE(y[1] == 0.0f && signbit(y[1]));
    CU_ASSERT_DOUBLE_EQUAL(y[2], 1.0, TOLERANCE);
    CU_ASSERT_EQUAL(y[3], -y[2]);
    CU_ASSERT_TRUE(isnan(y[4]));
    CU_ASSERT_EQUAL(y[5], y[2]);
    CU_ASSERT_EQUAL(y[6], y[2]);
    CU_ASSERT_EQUAL(y[7], -y[2]);
}

static void test_tanh_stays_within_one(void)
{
    enum { COUNT = 40000 };
    static float x[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)i * 3e-4f;
    apply(CN_TANH, x, COUNT, y);
    float largest = 0.0f;
    for (int i = 0; i < COUNT; i++)
        largest = fmaxf(largest, y[i]);
    CU_ASSERT_EQUAL(largest, 1.0f);
}

/* One number in every place of rows of 1 to 19 elements: vector lanes and the rest behind them. */
static void test_same_bits_in_every_place(void)
{
    const float numbers[4] = {0.3f, -1.7f, 5.5f, 0.01f};
    for (int n = 0; n < 4; n++) {
        float alone;
        apply(CN_TANH, &numbers[n], 1, &alone);
        for (int width = 1; width < 20; width++) {
            float x[20], y[20];
            for (int i = 0; i < width; i++)
                x[i] = numbers[n];
            apply(CN_TANH, x, width, y);
            for (int i = 0; i < width; i++)
                CU_ASSERT_EQUAL(memcmp(&y[i], &alone, sizeof alone), 0);
        }
    }
}

static void test_relu_at_the_edges(void)
{
    const float x[5] = {-1.0f, 0.0f, 2.5f, NAN, -INFINITY};
    float y[5];
    apply(CN_RELU, x, 5, y);
    CU_ASSERT_EQUAL(y[0], 0.0f);
    CU_ASSERT_EQUAL(y[1], 0.0f);
    CU_ASSERT_EQUAL(y[2], 2.5f);
    CU_ASSERT_TRUE(isnan(y[3]));
    CU_ASSERT_EQUAL(y[4], 0.0f);
    apply(CN_IDENTITY, x, 3, y);
    CU_ASSERT_EQUAL(memcmp(x, y, 3 * sizeof *x), 0);
}

CN_TEST_MAIN("tensor.activation", T(test_tanh_is_close_for_all_floats), T(test_tanh_at_the_edges),
             T(test_tanh_stays_within_one), T(test_same_bits_in_every_place),
             T(test_relu_at_the_edges))
