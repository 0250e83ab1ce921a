/* Running mean and variance. */
#include "policy/normalizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Added to the variance, so that a constant observation becomes 0 and not infinity. */
#define VARIANCE_FLOOR 1e-8

cn_status cn_normalizer_create(int size, cn_normalizer *out, cn_error *err)
{
    *out = (cn_normalizer){.size = size};
    const size_t n = (size_t)size;
    out->mean = calloc(n, sizeof *out->mean);
    out->square = calloc(n, sizeof *out->square);
    out->shift = calloc(n, sizeof *out->shift);
    out->scale = calloc(n, sizeof *out->scale);
    if (!out->mean || !out->square || !out->shift || !out->scale) {
        cn_normalizer_destroy(out);
        CN_FAIL(CN_ERR_MEMORY, err, "no memory for a normaliser of %d numbers", size);
    }
    cn_normalizer_refresh(out);
    return CN_OK;
}

void cn_normalizer_destroy(cn_normalizer *n)
{
    free(n->mean);
    free(n->square);
    free(n->shift);
    free(n->scale);
    *n = (cn_normalizer){0};
}

void cn_normalizer_copy(cn_normalizer *to, const cn_normalizer *from)
{
    const size_t n = (size_t)from->size;
    to->count = from->count;
    memcpy(to->mean, from->mean, n * sizeof *to->mean);
    memcpy(to->square, from->square, n * sizeof *to->square);
    cn_normalizer_refresh(to);
}

void cn_normalizer_update(cn_normalizer *n, const float *x, int rows, int stride)
{
    for (int r = 0; r < rows; r++) {
        n->count += 1.0;
        for (int i = 0; i < n->size; i++) {
            const double delta = (double)x[r * stride + i] - n->mean[i];
            n->mean[i] += delta / n->count;
            n->square[i] += delta * ((double)x[r * stride + i] - n->mean[i]);
        }
    }
}

void cn_normalizer_merge(cn_normalizer *n, double count, const double *mean, const double *square)
{
    if (!(count > 0.0))
        return;
    const double before = n->count, share = count / (before + count);
    n->count += count;
    for (int i = 0; i < n->size; i++) {
        const double delta = mean[i] - n->mean[i];
        n->mean[i] += delta * share;
        n->square[i] += square[i] + delta * delta * before * share;
    }
}

void cn_normalizer_empty(cn_normalizer *n)
{
    const size_t size = (size_t)n->size;
    n->count = 0.0;
    memset(n->mean, 0, size * sizeof *n->mean);
    memset(n->square, 0, size * sizeof *n->square);
    cn_normalizer_refresh(n);
}

void cn_normalizer_refresh(cn_normalizer *n)
{
    for (int i = 0; i < n->size; i++) {
        const double variance = n->count > 1.0 ? n->square[i] / n->count : 1.0;
        n->shift[i] = (float)n->mean[i];
        n->scale[i] = (float)(1.0 / sqrt(variance + VARIANCE_FLOOR));
    }
}

void cn_normalizer_apply(const cn_normalizer *n, const float *x, float *y)
{
    for (int i = 0; i < n->size; i++) {
        const float z = (x[i] - n->shift[i]) * n->scale[i];
        y[i] = z > CN_NORMALIZER_CLIP ? CN_NORMALIZER_CLIP
                                      : (z < -CN_NORMALIZER_CLIP ? -CN_NORMALIZER_CLIP : z);
    }
}
