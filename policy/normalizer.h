/* Running mean and variance of a vector, and the scaling they give: (x - mean) / std, clipped to
 * +-10. Samples are taken in the order given (Welford 1962), in double: the same data in the same
 * order gives the same bits. */
#ifndef CN_POLICY_NORMALIZER_H
#define CN_POLICY_NORMALIZER_H

#include "base/error.h"

#define CN_NORMALIZER_CLIP 10.0f

typedef struct cn_normalizer {
    int size;
    double count;   /* samples seen */
    double *mean;   /* [size] */
    double *square; /* [size] sum of squared deviations from the mean */
    float *shift;   /* [size] mean, as used by apply */
    float *scale;   /* [size] 1 / std, as used by apply */
} cn_normalizer;

/* Starts as the identity. */
cn_status cn_normalizer_create(int size, cn_normalizer *out, cn_error *err);
void cn_normalizer_destroy(cn_normalizer *n);
void cn_normalizer_copy(cn_normalizer *to, const cn_normalizer *from); /* equal sizes */

/* Takes in `rows` samples, x [rows, stride]; what apply does changes only at cn_normalizer_refresh.
 */
void cn_normalizer_update(cn_normalizer *n, const float *x, int rows, int stride);
/* Takes in samples of which only count, mean and sum of squared deviations are known, [size] each
 * (Chan, Golub & LeVeque 1979). */
void cn_normalizer_merge(cn_normalizer *n, double count, const double *mean, const double *square);
void cn_normalizer_refresh(cn_normalizer *n);
void cn_normalizer_empty(cn_normalizer *n); /* has seen nothing: the identity */

/* y[i] = clip((x[i] - mean) / std): one sample. */
void cn_normalizer_apply(const cn_normalizer *n, const float *x, float *y);

#endif
