/* Random numbers for tests that attack: the same on every machine, without the library's own. */
#ifndef CN_TESTS_RANDOM_H
#define CN_TESTS_RANDOM_H

#include <stdint.h>

/* Uniform in [0, 1); Knuth's MMIX generator. */
static inline double random_unit(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*seed >> 11) / (double)(UINT64_C(1) << 53);
}

/* Uniform in [-1, 1). */
static inline double random_sign(uint64_t *seed)
{
    return 2 * random_unit(seed) - 1;
}

#endif
