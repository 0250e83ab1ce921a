/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3", table 2). A generator is a plain value: the seed is Philox's key, the stream
 * the high half of its counter and the position the low half, so that any stream can be made
 * anywhere, on any thread, with no shared state, and no two streams of a seed overlap. */
#ifndef CN_TENSOR_RNG_H
#define CN_TENSOR_RNG_H

#include <stdint.h>

typedef struct cn_rng {
    uint64_t seed;
    uint64_t stream;
    uint64_t counter;  /* blocks of four words drawn so far */
    uint32_t block[4]; /* the current block */
    uint32_t left;     /* words of the block not yet used, 0..4 */
} cn_rng;

cn_rng cn_rng_make(uint64_t seed, uint64_t stream);

uint32_t cn_rng_u32(cn_rng *rng);
double cn_rng_uniform(cn_rng *rng);                        /* [0, 1), 53 bits */
double cn_rng_range(cn_rng *rng, double low, double high); /* [low, high) */
double cn_rng_normal(cn_rng *rng);                         /* mean 0, std 1, Box-Muller */
uint32_t cn_rng_below(cn_rng *rng, uint32_t n);            /* 0..n-1, unbiased; n >= 1 */
void cn_rng_shuffle(cn_rng *rng, int *items, int count);   /* Fisher-Yates */

/* A generator as plain words, for a file. What unpack is given may be damaged: it then makes some
 * generator, and never one that reads outside its block. */
#define CN_RNG_WORDS 8
void cn_rng_pack(const cn_rng *rng, uint64_t words[CN_RNG_WORDS]);
cn_rng cn_rng_unpack(const uint64_t words[CN_RNG_WORDS]);

#endif
