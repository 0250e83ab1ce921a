/* The histogram of durations: resolution, edges and quantiles. */
#include "base/histogram.h"
#include "tests/test.h"

#include <stdint.h>

/* A bin is 1/32 of its octave's start wide. */
#define RESOLUTION (1.0 / 32)

static void test_histogram_empty(void)
{
    const cn_histogram h = {0};
    CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 0.5), 0);
    CU_ASSERT_EQUAL(cn_histogram_mean(&h), 0);
}

static void test_histogram_small_values_are_exact(void)
{
    for (int64_t v = 0; v < 64; v++) {
        cn_histogram h = {0};
        cn_histogram_record(&h, v);
        cn_histogram_record(&h, INT64_MAX);
        CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 0.5), v);
    }
}

static void test_histogram_every_octave_keeps_its_resolution(void)
{
    for (int64_t v = 64; v < INT64_MAX / 3; v += v / 3) {
        cn_histogram h = {0};
        cn_histogram_record(&h, v);
        cn_histogram_record(&h, INT64_MAX);
        const int64_t q = cn_histogram_quantile(&h, 0.5);
        CU_ASSERT_TRUE(q >= v);
        CU_ASSERT_TRUE((double)(q - v) <= RESOLUTION * (double)v);
    }
}

static void test_histogram_quantiles_of_a_ramp(void)
{
    cn_histogram h = {0};
    for (int64_t v = 1; v <= 100000; v++)
        cn_histogram_record(&h, v);
    CU_ASSERT_EQUAL(h.count, 100000);
    CU_ASSERT_EQUAL(h.max, 100000);
    CU_ASSERT_DOUBLE_EQUAL(cn_histogram_mean(&h), 50000.5, 1e-6);
    const double q[] = {0.5, 0.99, 0.999};
    for (int i = 0; i < 3; i++) {
        const double exact = q[i] * 100000;
        const double got = (double)cn_histogram_quantile(&h, q[i]);
        CU_ASSERT_TRUE(got >= exact && got <= exact * (1 + RESOLUTION));
    }
    CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 0), 1);
    CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 1), 100000);
}

static void test_histogram_negative_counts_as_zero(void)
{
    cn_histogram h = {0};
    cn_histogram_record(&h, -5);
    CU_ASSERT_EQUAL(h.count, 1);
    CU_ASSERT_EQUAL(h.bin[0], 1);
    CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 1), 0);
}

static void test_histogram_never_exceeds_max(void)
{
    cn_histogram h = {0};
    cn_histogram_record(&h, 1000001);
    CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 0.5), 1000001);
    cn_histogram_record(&h, INT64_MAX);
    CU_ASSERT_EQUAL(cn_histogram_quantile(&h, 1), INT64_MAX);
}

CN_TEST_MAIN("base.histogram", T(test_histogram_empty), T(test_histogram_small_values_are_exact),
             T(test_histogram_every_octave_keeps_its_resolution),
             T(test_histogram_quantiles_of_a_ramp), T(test_histogram_negative_counts_as_zero),
             T(test_histogram_never_exceeds_max))
