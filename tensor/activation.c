/* Activations and their derivatives, in loops simple enough to become vector instructions, where
 * every element gets the same bits wherever it stands. */
#include <assert.h>
#include <string.h>

#include "tensor/internal.h"

/* tanh(x) = x P(x^2) / Q(x^2): our own minimax fit of the relative error on [-9, 9], 2.1e-8 before
 * rounding and 4e-7 after; beyond, tanh is 1 to within a float's last bit. Leaves a NaN a NaN. */
static inline float tanh_of(float x)
{
    x = x < -9.0f ? -9.0f : x;
    x = x > 9.0f ? 9.0f : x;
    const float s = x * x;
    float p = 1.33546532e-08f;
    p = p * s + 2.06090754e-05f;
    p = p * s + 3.49558766e-03f;
    p = p * s + 1.33810252e-01f;
    p = p * s + 1.0f;
    float q = 7.77655465e-07f;
    q = q * s + 3.28563409e-04f;
    q = q * s + 2.58769803e-02f;
    q = q * s + 4.67143408e-01f;
    q = q * s + 1.0f;
    float y = x * p / q;
    y = y < -1.0f ? -1.0f : y; /* rounding carries a few past 1 */
    return y > 1.0f ? 1.0f : y;
}

CN_VECTOR_LOOPS static void tanh_all(float *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = tanh_of(y[i]);
}

CN_VECTOR_LOOPS static void relu_all(float *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = y[i] < 0.0f ? 0.0f : y[i]; /* leaves a NaN a NaN */
}

CN_VECTOR_LOOPS static void tanh_grad(const float *restrict y, const float *restrict dy,
                                      float *restrict out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = dy[i] * (1.0f - y[i] * y[i]);
}

CN_VECTOR_LOOPS static void relu_grad(const float *restrict y, const float *restrict dy,
                                      float *restrict out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

bool cn_activation_known(cn_activation act)
{
    return act == CN_IDENTITY || act == CN_TANH || act == CN_RELU;
}

void cn_activate(cn_activation act, float *y, size_t count)
{
    assert(cn_activation_known(act));
    if (act == CN_TANH)
        tanh_all(y, count);
    else if (act == CN_RELU)
        relu_all(y, count);
}

void cn_activate_grad(cn_activation act, const float *y, const float *dy, float *out, size_t count)
{
    if (act == CN_TANH)
        tanh_grad(y, dy, out, count);
    else if (act == CN_RELU)
        relu_grad(y, dy, out, count);
    else
        memcpy(out, dy, count * sizeof *out);
}

CN_VECTOR_LOOPS void cn_add_scaled(float *restrict y, const float *restrict x, float a,
                                   size_t count, bool first)
{
    if (first)
        for (size_t i = 0; i < count; i++)
            y[i] = a * x[i];
    else
        for (size_t i = 0; i < count; i++)
            y[i] += a * x[i];
}
