/* Adam, clipping and the reduction of gradient shards: plain loops over whole slices. */
#include "tensor/optim.h"

#include <assert.h>
#include <math.h>
#include <string.h>

cn_adam cn_adam_default(void)
{
    return (cn_adam){.learning_rate = 3e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-5f};
}

/* m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
 * x <- x - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon) */
static void adam_slice(const cn_adam *adam, size_t count, const float *restrict g,
                       float *restrict m, float *restrict v, float *restrict x)
{
    const double t = (double)adam->step;
    const float b1 = adam->beta1, b2 = adam->beta2;
    const float rate = (float)(adam->learning_rate / (1.0 - pow(b1, t)));
    const float root = (float)(1.0 / sqrt(1.0 - pow(b2, t)));
    for (size_t i = 0; i < count; i++) {
        m[i] = b1 * m[i] + (1.0f - b1) * g[i];
        v[i] = b2 * v[i] + (1.0f - b2) * g[i] * g[i];
        x[i] -= rate * m[i] / (sqrtf(v[i]) * root + adam->epsilon);
    }
}

void cn_adam_update(cn_adam *adam, cn_params *params)
{
    adam->step++;
    for (cn_param i = 0; i < cn_params_slices(params); i++) {
        const cn_param_info *slice = cn_params_info(params, i);
        if (!slice->frozen)
            adam_slice(adam, slice->count, cn_params_grads(params) + slice->offset,
                       cn_params_moment1(params) + slice->offset,
                       cn_params_moment2(params) + slice->offset,
                       cn_params_values(params) + slice->offset);
    }
}

double cn_grads_norm(cn_params *params)
{
    double sum = 0;
    for (cn_param i = 0; i < cn_params_slices(params); i++) {
        const cn_param_info *slice = cn_params_info(params, i);
        const float *g = cn_params_grads(params) + slice->offset;
        if (slice->frozen)
            continue;
        for (size_t k = 0; k < slice->count; k++)
            sum += (double)g[k] * g[k];
    }
    return sqrt(sum);
}

double cn_grads_clip(cn_params *params, double max_norm)
{
    const double norm = cn_grads_norm(params);
    if (!(norm > max_norm))
        return norm;
    const float factor = (float)(max_norm / norm);
    float *g = cn_params_grads(params);
    for (size_t k = 0; k < cn_params_count(params); k++)
        g[k] *= factor;
    return norm;
}

void cn_grads_zero(cn_params *params)
{
    const size_t count = cn_params_count(params);
    if (count > 0)
        memset(cn_params_grads(params), 0, count * sizeof(float));
}

void cn_grads_reduce(cn_params *params, float *const *shards, int count)
{
    assert(count >= 1);
    float *g = cn_params_grads(params);
    for (size_t k = 0; k < cn_params_count(params); k++)
        g[k] = shards[0][k];
    for (int s = 1; s < count; s++) {
        const float *shard = shards[s];
        for (size_t k = 0; k < cn_params_count(params); k++)
            g[k] += shard[k];
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
