/* Adam, clipping and the reduction of gradient shards: plain loops over whole slices. */
#include "tensor/optim.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/internal.h"

/* The next stretch of floats that are not frozen, from slice *i on. @return false: none is left */
static bool next_trainable(const cn_params *params, cn_param *i, size_t *first, size_t *count)
{
    const int slices = cn_params_slices(params);
    while (*i < slices && cn_params_info(params, *i)->frozen)
        (*i)++;
    if (*i == slices)
        return false;
    *first = cn_params_info(params, *i)->offset;
    *count = 0;
    for (; *i < slices && !cn_params_info(params, *i)->frozen; (*i)++)
        *count += cn_params_info(params, *i)->count;
    return true;
}

cn_adam cn_adam_default(void)
{
    return (cn_adam){.learning_rate = 3e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-5f};
}

/* What one update makes of Adam's settings. */
typedef struct adam_step {
    float b1, b2, epsilon;
    float rate; /* learning rate / (1 - b1^t) */
    float root; /* 1 / sqrt(1 - b2^t) */
} adam_step;

/* m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
 * x <- x - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon) */
CN_VECTOR_LOOPS static void adam_slice(const adam_step *a, size_t count, const float *restrict g,
                                       float *restrict m, float *restrict v, float *restrict x)
{
    const float b1 = a->b1, b2 = a->b2, epsilon = a->epsilon, rate = a->rate, root = a->root;
    for (size_t i = 0; i < count; i++) {
        m[i] = b1 * m[i] + (1.0f - b1) * g[i];
        v[i] = b2 * v[i] + (1.0f - b2) * g[i] * g[i];
        x[i] -= rate * m[i] / (sqrtf(v[i]) * root + epsilon);
    }
}

void cn_adam_update(cn_adam *adam, cn_params *params)
{
    const double t = (double)++adam->step, b1 = (double)adam->beta1, b2 = (double)adam->beta2;
    const adam_step step = {
        .b1 = adam->beta1,
        .b2 = adam->beta2,
        .epsilon = adam->epsilon,
        .rate = (float)((double)adam->learning_rate / (1.0 - pow(b1, t))),
        .root = (float)(1.0 / sqrt(1.0 - pow(b2, t))),
    };
    size_t first, count;
    for (cn_param i = 0; next_trainable(params, &i, &first, &count);)
        adam_slice(&step, count, cn_params_grads(params) + first, cn_params_moment1(params) + first,
                   cn_params_moment2(params) + first, cn_params_values(params) + first);
}

/* Adds squares to a fixed number of partial sums, whatever the processor's vectors hold. */
CN_VECTOR_LOOPS static void add_squares(double sum[CN_LANES], const float *g, size_t count)
{
    size_t k = 0;
    for (; k + CN_LANES <= count; k += CN_LANES)
        CN_FOR_LANES (lane)
            sum[lane] += (double)g[k + lane] * (double)g[k + lane];
    for (size_t lane = 0; k + lane < count; lane++)
        sum[lane] += (double)g[k + lane] * (double)g[k + lane];
}

double cn_grads_norm(cn_params *params)
{
    double sum[CN_LANES] = {0}, all = 0;
    size_t first, count;
    for (cn_param i = 0; next_trainable(params, &i, &first, &count);)
        add_squares(sum, cn_params_grads(params) + first, count);
    for (int lane = 0; lane < CN_LANES; lane++)
        all += sum[lane];
    return sqrt(all);
}

CN_VECTOR_LOOPS static void scale(float *g, float factor, size_t count)
{
    for (size_t k = 0; k < count; k++)
        g[k] *= factor;
}

double cn_grads_clip(cn_params *params, double max_norm)
{
    const double norm = cn_grads_norm(params);
    size_t first, count;
    if (!(norm > max_norm))
        return norm;
    for (cn_param i = 0; next_trainable(params, &i, &first, &count);)
        scale(cn_params_grads(params) + first, (float)(max_norm / norm), count);
    return norm;
}

void cn_grads_zero(const cn_params *params, float *grads)
{
    size_t first, count;
    for (cn_param i = 0; next_trainable(params, &i, &first, &count);)
        memset(grads + first, 0, count * sizeof *grads);
}

CN_VECTOR_LOOPS static void add(float *restrict sum, const float *restrict x, size_t count)
{
    for (size_t k = 0; k < count; k++)
        sum[k] += x[k];
}

void cn_moments_zero(cn_params *params)
{
    const size_t bytes = cn_params_count(params) * sizeof(float);
    if (bytes == 0)
        return;
    memset(cn_params_moment1(params), 0, bytes);
    memset(cn_params_moment2(params), 0, bytes);
}

void cn_grads_reduce(cn_params *params, float *const *shards, int count)
{
    assert(count >= 1);
    size_t first, size;
    for (cn_param i = 0; next_trainable(params, &i, &first, &size);) {
        float *g = cn_params_grads(params) + first;
        memcpy(g, shards[0] + first, size * sizeof *g);
        for (int s = 1; s < count; s++)
            add(g, shards[s] + first, size);
    }
}

double cn_schedule_at(cn_schedule schedule, double start, double end, double progress)
{
    const double pi = 3.141592653589793;
    const double p = progress < 0.0 ? 0.0 : progress > 1.0 ? 1.0 : progress;
    switch (schedule) {
    case CN_SCHEDULE_CONSTANT:
        return start;
    case CN_SCHEDULE_LINEAR:
        return start + (end - start) * p;
    case CN_SCHEDULE_COSINE:
        return end + (start - end) * 0.5 * (1.0 + cos(pi * p));
    }
    return start;
}
