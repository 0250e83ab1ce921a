/* Random numbers: known answers, distributions, independence of streams. */
#include "tensor/rng.h"
#include "tests/test.h"

#define DRAWS 100000

/* The three vectors of philox4x32 with ten rounds in kat_vectors of the Random123 distribution. */
static void test_philox_known_answers(void)
{
    static const struct {
        uint64_t counter, stream, seed;
        uint32_t words[4];
    } vectors[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88,
         0x0370734413198a2e,
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int v = 0; v < 3; v++) {
        cn_rng rng = cn_rng_make(vectors[v].seed, vectors[v].stream);
        rng.counter = vectors[v].counter;
        for (int i = 0; i < 4; i++)
            CU_ASSERT_EQUAL(cn_rng_u32(&rng), vectors[v].words[i]);
    }
}

static void test_rng_repeats_and_can_be_copied(void)
{
    cn_rng a = cn_rng_make(42, 3), b = cn_rng_make(42, 3);
    for (int i = 0; i < 11; i++)
        CU_ASSERT_EQUAL(cn_rng_u32(&a), cn_rng_u32(&b));
    cn_rng copy = a; /* in the middle of a block */
    for (int i = 0; i < 11; i++)
        CU_ASSERT_EQUAL(cn_rng_u32(&a), cn_rng_u32(&copy));
}

static void test_streams_and_seeds_differ(void)
{
    cn_rng rngs[4] = {cn_rng_make(1, 0), cn_rng_make(1, 1), cn_rng_make(2, 0),
                      cn_rng_make(UINT64_C(1) << 32, 0)};
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t x[4];
        for (int k = 0; k < 4; k++)
            x[k] = cn_rng_u32(&rngs[k]);
        for (int k = 0; k < 4; k++)
            for (int m = k + 1; m < 4; m++)
                equal += x[k] == x[m];
    }
    CU_ASSERT_EQUAL(equal, 0); /* by chance: once in 700,000 seeds */
}

/* Adjacent streams, as workers use them, are uncorrelated: |r| < 4 / sqrt(n). */
static void test_streams_are_uncorrelated(void)
{
    cn_rng a = cn_rng_make(9, 5), b = cn_rng_make(9, 6);
    double sum = 0.0;
    for (int i = 0; i < DRAWS; i++)
        sum += (cn_rng_uniform(&a) - 0.5) * (cn_rng_uniform(&b) - 0.5);
    CU_ASSERT_TRUE(fabs(sum / DRAWS * 12.0) < 4.0 / sqrt(DRAWS));
}

/* Chi-squared over 100 cells, 99 degrees of freedom: mean 99, deviation 14; five of them allowed,
 * and as many below, where numbers would be suspiciously even. */
static void test_uniform_is_uniform(void)
{
    cn_rng rng = cn_rng_make(5, 0);
    int cells[100] = {0};
    for (int i = 0; i < DRAWS; i++) {
        const double u = cn_rng_uniform(&rng);
        CU_ASSERT_TRUE_FATAL(u >= 0.0 && u < 1.0);
        cells[(int)(u * 100.0)]++;
    }
    double chi = 0.0;
    for (int i = 0; i < 100; i++)
        chi += pow(cells[i] - DRAWS / 100.0, 2.0) / (DRAWS / 100.0);
    CU_ASSERT_TRUE(chi > 29.0 && chi < 169.0);
}

static void test_range_stays_inside(void)
{
    cn_rng rng = cn_rng_make(5, 1);
    double low = 1e9, high = -1e9;
    for (int i = 0; i < 10000; i++) {
        const double x = cn_rng_range(&rng, -2.0, 3.0);
        low = fmin(low, x);
        high = fmax(high, x);
    }
    CU_ASSERT_TRUE(low >= -2.0 && low < -1.99);
    CU_ASSERT_TRUE(high < 3.0 && high > 2.99);
    CU_ASSERT_EQUAL(cn_rng_range(&rng, 1.0, 1.0), 1.0);
    const double next = nextafter(1.0, 2.0); /* rounding would reach the end half the time */
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(cn_rng_range(&rng, 1.0, next), 1.0);
}

/* Moments within four standard errors: mean 1/sqrt(n), variance sqrt(2/n), skew sqrt(6/n), kurtosis
 * sqrt(24/n). */
static void test_normal_has_its_moments(void)
{
    cn_rng rng = cn_rng_make(5, 2);
    double m[4] = {0};
    for (int i = 0; i < DRAWS; i++) {
        const double x = cn_rng_normal(&rng);
        for (int k = 0; k < 4; k++)
            m[k] += pow(x, k + 1) / DRAWS;
    }
    CU_ASSERT_TRUE(fabs(m[0]) < 4.0 * sqrt(1.0 / DRAWS));
    CU_ASSERT_TRUE(fabs(m[1] - 1.0) < 4.0 * sqrt(2.0 / DRAWS));
    CU_ASSERT_TRUE(fabs(m[2]) < 4.0 * sqrt(15.0 / DRAWS));       /* raw third moment: variance 15 */
    CU_ASSERT_TRUE(fabs(m[3] - 3.0) < 4.0 * sqrt(96.0 / DRAWS)); /* raw fourth: variance 96 */
}

static void test_below_is_even_and_bounded(void)
{
    cn_rng rng = cn_rng_make(5, 3);
    int cells[6] = {0};
    for (int i = 0; i < 60000; i++) {
        const uint32_t x = cn_rng_below(&rng, 6);
        CU_ASSERT_TRUE_FATAL(x < 6);
        cells[x]++;
    }
    for (int i = 0; i < 6; i++) /* deviation sqrt(60000 / 6 * 5 / 6) = 91; four of them */
        CU_ASSERT_TRUE(abs(cells[i] - 10000) < 365);
    CU_ASSERT_EQUAL(cn_rng_below(&rng, 1), 0);
    /* 3/4 of the range of a word: a biased method would give the lower third half of all draws. */
    int low = 0;
    for (int i = 0; i < 30000; i++)
        low += cn_rng_below(&rng, 3u << 30) < 1u << 30;
    CU_ASSERT_TRUE(abs(low - 10000) < 330); /* deviation 82 */
}

static void test_shuffle_is_a_fair_permutation(void)
{
    cn_rng rng = cn_rng_make(5, 4);
    int first[4] = {0};
    for (int i = 0; i < 4000; i++) {
        int items[4] = {0, 1, 2, 3}, seen = 0;
        cn_rng_shuffle(&rng, items, 4);
        for (int k = 0; k < 4; k++)
            seen |= 1 << items[k];
        CU_ASSERT_EQUAL_FATAL(seen, 15);
        first[items[0]]++;
    }
    for (int k = 0; k < 4; k++) /* deviation 27 */
        CU_ASSERT_TRUE(abs(first[k] - 1000) < 110);
    int one = 8;
    cn_rng_shuffle(&rng, &one, 1);
    cn_rng_shuffle(&rng, &one, 0);
    CU_ASSERT_EQUAL(one, 8);
}

/* In the middle of a block: the words that are left of it are part of the state. */
static void test_packed_is_unpacked(void)
{
    cn_rng rng = cn_rng_make(7, 9);
    uint64_t words[CN_RNG_WORDS];
    for (int i = 0; i < 6; i++)
        cn_rng_u32(&rng);
    cn_rng_pack(&rng, words);
    cn_rng again = cn_rng_unpack(words);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(cn_rng_u32(&again), cn_rng_u32(&rng));
    words[7] = 5; /* damaged */
    CU_ASSERT_EQUAL(cn_rng_unpack(words).left, 0);
}

CN_TEST_MAIN("tensor.rng", T(test_philox_known_answers), T(test_rng_repeats_and_can_be_copied),
             T(test_streams_and_seeds_differ), T(test_streams_are_uncorrelated),
             T(test_uniform_is_uniform), T(test_range_stays_inside), T(test_normal_has_its_moments),
             T(test_below_is_even_and_bounded), T(test_shuffle_is_a_fair_permutation),
             T(test_packed_is_unpacked))
