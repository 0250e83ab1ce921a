/* Loops that the compiler makes into vector instructions. */
#ifndef CN_BASE_VECTOR_H
#define CN_BASE_VECTOR_H

#include <stddef.h>

/* A function of plain loops over numbers: compiled for AVX2 and AVX-512 as well where the processor
 * can be asked at start-up. Each element gets the same operations in the same order, so all of them
 * give the same bits; a sum must therefore have a fixed number of partial sums of its own.
 * Sanitizers run before such choices can be made. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CN_VECTOR_LOOPS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CN_VECTOR_LOOPS
#endif

/* A sum in CN_LANES partial sums, a vector register's worth, which are then added in order.
 * CN_FOR_LANES(l) loops over them and becomes one vector instruction: without the pragma GCC
 * unrolls the loop first and then finds only pieces of vectors in it. */
enum { CN_LANES = 8 };
static inline float cn_add_lanes(const float lane[CN_LANES])
{
    float sum = 0;
    for (int l = 0; l < CN_LANES; l++)
        sum += lane[l];
    return sum;
}
#if defined(__GNUC__) && !defined(__clang__)
#define CN_FOR_LANES(l) _Pragma("GCC unroll 1") for (size_t l = 0; l < CN_LANES; l++)
#else
#define CN_FOR_LANES(l) for (size_t l = 0; l < CN_LANES; l++)
#endif

#endif
