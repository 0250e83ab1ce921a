/* The normaliser against a two-pass computation. */
#include "policy/normalizer.h"
#include "tensor/rng.h"
#include "tests/test.h"

enum { SIZE = 3, STRIDE = 5, SAMPLES = 1000 };

/* Welford's updates round once a sample, in double: a thousand times 1e-16 of values up to 1e6. */
#define STATISTICS_TOLERANCE 1e-9

static cn_error err;

/* Columns of very different size: centred, far from zero, tiny; two more that don't belong. */
static void fill(float x[SAMPLES][STRIDE])
{
    cn_rng rng = cn_rng_make(5, 0);
    for (int r = 0; r < SAMPLES; r++) {
        x[r][0] = (float)cn_rng_normal(&rng);
        x[r][1] = 1000.0f + (float)cn_rng_range(&rng, 0.0, 2.0);
        x[r][2] = 1e-3f * (float)cn_rng_normal(&rng);
        x[r][3] = x[r][4] = NAN;
    }
}

static void test_statistics_are_those_of_two_passes(void)
{
    static float x[SAMPLES][STRIDE];
    cn_normalizer n;
    fill(x);
    CN_ASSERT_OK(cn_normalizer_create(SIZE, &n, &err));
    cn_normalizer_update(&n, x[0], 300, STRIDE);
    cn_normalizer_update(&n, x[300], SAMPLES - 300, STRIDE);
    cn_normalizer_refresh(&n);
    CU_ASSERT_EQUAL(n.count, (double)SAMPLES);
    for (int i = 0; i < SIZE; i++) {
        double mean = 0.0, square = 0.0;
        for (int r = 0; r < SAMPLES; r++)
            mean += (double)x[r][i] / SAMPLES;
        for (int r = 0; r < SAMPLES; r++)
            square += ((double)x[r][i] - mean) * ((double)x[r][i] - mean);
        CU_ASSERT_DOUBLE_EQUAL(n.mean[i], mean, STATISTICS_TOLERANCE * fabs(mean) + 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(n.square[i], square, STATISTICS_TOLERANCE * square);
        const double std = sqrt(square / SAMPLES + 1e-8);
        CU_ASSERT_DOUBLE_EQUAL(n.scale[i] * std, 1.0, 1e-6); /* scale is a float */
        CU_ASSERT_DOUBLE_EQUAL(n.shift[i], mean, 1e-7 * fabs(mean) + 1e-9);
    }
    cn_normalizer_destroy(&n);
}

static void test_apply_centres_scales_and_clips(void)
{
    const float seen[4] = {1.0f, 3.0f, 1.0f, 3.0f}; /* mean 2, std 1 */
    const float x[4] = {2.0f, 3.5f, 500.0f, -500.0f};
    const float expected[4] = {0.0f, 1.5f, CN_NORMALIZER_CLIP, -CN_NORMALIZER_CLIP};
    cn_normalizer n;
    CN_ASSERT_OK(cn_normalizer_create(1, &n, &err));
    cn_normalizer_update(&n, seen, 4, 1);
    cn_normalizer_refresh(&n);
    for (int i = 0; i < 4; i++) {
        float y;
        cn_normalizer_apply(&n, &x[i], &y);
        CU_ASSERT_DOUBLE_EQUAL(y, expected[i], 1e-6);
    }
    cn_normalizer_destroy(&n);
}

static void test_starts_as_the_identity(void)
{
    const float x[2] = {0.25f, -9.0f}, seen[2] = {7.0f, 8.0f};
    float y[2];
    cn_normalizer n;
    CN_ASSERT_OK(cn_normalizer_create(2, &n, &err));
    cn_normalizer_apply(&n, x, y);
    CU_ASSERT_EQUAL(memcmp(x, y, sizeof x), 0);
    /* what was taken in shows only after a refresh */
    cn_normalizer_update(&n, seen, 1, 2);
    cn_normalizer_apply(&n, x, y);
    CU_ASSERT_EQUAL(memcmp(x, y, sizeof x), 0);
    /* one sample has no variance: only the mean moves */
    cn_normalizer_refresh(&n);
    cn_normalizer_apply(&n, x, y);
    CU_ASSERT_EQUAL(y[0], x[0] - seen[0]);
    cn_normalizer_destroy(&n);
}

/* A number that never changes becomes 0, not infinity or NaN. */
static void test_constant_becomes_zero(void)
{
    const float x[5] = {4.5f, 4.5f, 4.5f, 4.5f, 4.5f};
    float y;
    cn_normalizer n;
    CN_ASSERT_OK(cn_normalizer_create(1, &n, &err));
    cn_normalizer_update(&n, x, 5, 1);
    cn_normalizer_refresh(&n);
    cn_normalizer_apply(&n, x, &y);
    CU_ASSERT_EQUAL(y, 0.0f);
    CU_ASSERT_TRUE(isfinite(n.scale[0]));
    cn_normalizer_destroy(&n);
}

static void test_copy_is_the_same_bits(void)
{
    static float x[SAMPLES][STRIDE];
    cn_normalizer a, b;
    fill(x);
    CN_ASSERT_OK(cn_normalizer_create(SIZE, &a, &err));
    CN_ASSERT_OK(cn_normalizer_create(SIZE, &b, &err));
    cn_normalizer_update(&a, x[0], SAMPLES, STRIDE);
    cn_normalizer_refresh(&a);
    cn_normalizer_copy(&b, &a);
    float y[SIZE], z[SIZE];
    cn_normalizer_apply(&a, x[0], y);
    cn_normalizer_apply(&b, x[0], z);
    CU_ASSERT_EQUAL(memcmp(y, z, sizeof y), 0);
    CU_ASSERT_EQUAL(memcmp(a.square, b.square, SIZE * sizeof *a.square), 0);
    CU_ASSERT_EQUAL(a.count, b.count);
    cn_normalizer_destroy(&a);
    cn_normalizer_destroy(&b);
    cn_normalizer_destroy(&b);
    CU_ASSERT_PTR_NULL(b.mean);
}

CN_TEST_MAIN("policy.normalizer", T(test_statistics_are_those_of_two_passes),
             T(test_apply_centres_scales_and_clips), T(test_starts_as_the_identity),
             T(test_constant_becomes_zero), T(test_copy_is_the_same_bits))
