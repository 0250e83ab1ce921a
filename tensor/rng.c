/* Philox4x32-10: ten rounds of multiplication and exchange turn a counter into random words.
 * Source: Salmon et al. 2011, section 3.3; the constants are those of the paper's distribution. */
#include "tensor/rng.h"

#include <assert.h>
#include <math.h>

#define ROUNDS 10
static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t key_step[2] = {0x9E3779B9u, 0xBB67AE85u}; /* golden ratio, sqrt(3) - 1 */
static const double two_pi = 6.283185307179586;

static uint32_t low_word(uint64_t x)
{
    return (uint32_t)x;
}

static uint32_t high_word(uint64_t x)
{
    return (uint32_t)(x >> 32);
}

cn_rng cn_rng_make(uint64_t seed, uint64_t stream)
{
    return (cn_rng){.seed = seed, .stream = stream};
}

static void next_block(cn_rng *rng)
{
    uint32_t key[2] = {low_word(rng->seed), high_word(rng->seed)};
    uint32_t c[4] = {low_word(rng->counter), high_word(rng->counter), low_word(rng->stream),
                     high_word(rng->stream)};
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)multiplier[0] * c[0];
        const uint64_t p1 = (uint64_t)multiplier[1] * c[2];
        c[0] = high_word(p1) ^ c[1] ^ key[0];
        c[1] = low_word(p1);
        c[2] = high_word(p0) ^ c[3] ^ key[1];
        c[3] = low_word(p0);
        key[0] += key_step[0];
        key[1] += key_step[1];
    }
    for (int i = 0; i < 4; i++)
        rng->block[i] = c[i];
    rng->left = 4;
    rng->counter++;
}

uint32_t cn_rng_u32(cn_rng *rng)
{
    if (rng->left == 0)
        next_block(rng);
    return rng->block[4 - rng->left--];
}

double cn_rng_uniform(cn_rng *rng)
{
    const uint32_t high = cn_rng_u32(rng) >> 5;
    const uint32_t low = cn_rng_u32(rng) >> 6;
    return (high * 0x1p26 + low) * 0x1p-53;
}

double cn_rng_range(cn_rng *rng, double low, double high)
{
    const double x = low + (high - low) * cn_rng_uniform(rng);
    return x < high ? x : low; /* rounding may reach `high`, which is excluded */
}

double cn_rng_normal(cn_rng *rng)
{
    const double radius = sqrt(-2.0 * log(1.0 - cn_rng_uniform(rng)));
    return radius * cos(two_pi * cn_rng_uniform(rng));
}

/* The high word of a product with n is uniform once the few low words that would come up once too
 * often are drawn again: Lemire 2019, "Fast random integer generation in an interval". */
uint32_t cn_rng_below(cn_rng *rng, uint32_t n)
{
    assert(n >= 1);
    const uint32_t surplus = (uint32_t)-n % n;
    uint64_t product;
    do
        product = (uint64_t)cn_rng_u32(rng) * n;
    while (low_word(product) < surplus);
    return high_word(product);
}

void cn_rng_shuffle(cn_rng *rng, int *items, int count)
{
    for (int i = count - 1; i > 0; i--) {
        const uint32_t j = cn_rng_below(rng, (uint32_t)i + 1);
        const int swapped = items[i];
        items[i] = items[j];
        items[j] = swapped;
    }
}

void cn_rng_pack(const cn_rng *rng, uint64_t words[CN_RNG_WORDS])
{
    words[0] = rng->seed;
    words[1] = rng->stream;
    words[2] = rng->counter;
    for (int i = 0; i < 4; i++)
        words[3 + i] = rng->block[i];
    words[7] = rng->left;
}

cn_rng cn_rng_unpack(const uint64_t words[CN_RNG_WORDS])
{
    cn_rng rng = {.seed = words[0], .stream = words[1], .counter = words[2]};
    for (int i = 0; i < 4; i++)
        rng.block[i] = (uint32_t)words[3 + i];
    rng.left = words[7] > 4 ? 0 : (uint32_t)words[7];
    return rng;
}
