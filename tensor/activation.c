/* Activations and their derivatives, in loops simple enough to become vector instructions, where
 * every element gets the same bits wherever it stands. */
#include <assert.h>

#include "tensor/internal.h"

/* y = min(max(y, -limit), limit); leaves a NaN a NaN. One loop a comparison: compilers that respect
 * floating-point exceptions make vectors of one, not of two. */
static void clamp_row(float *y, float limit, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = y[i] < -limit ? -limit : y[i];
    for (size_t i = 0; i < count; i++)
        y[i] = y[i] > limit ? limit : y[i];
}

/* tanh(x) = x P(x^2) / Q(x^2): our own minimax fit of the relative error on [-9, 9], 2.1e-8 before
 * rounding and 4e-7 after; beyond, tanh is 1 to within a float's last bit. */
static float tanh_inside(float x)
{
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
    return x * p / q;
}

static void tanh_row(float *y, size_t count)
{
    clamp_row(y, 9.0f, count);
    for (size_t i = 0; i < count; i++)
        y[i] = tanh_inside(y[i]);
    clamp_row(y, 1.0f, count); /* rounding carries a few past 1 */
}

static void relu_row(float *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = y[i] < 0.0f ? 0.0f : y[i]; /* leaves a NaN a NaN */
}

static void activate_row(cn_activation act, float *y, size_t count)
{
    switch (act) {
    case CN_IDENTITY:
        break;
    case CN_TANH:
        tanh_row(y, count);
        break;
    case CN_RELU:
        relu_row(y, count);
        break;
    }
}

bool cn_activation_known(cn_activation act)
{
    return act == CN_IDENTITY || act == CN_TANH || act == CN_RELU;
}

void cn_activate(cn_activation act, float *y, const float *bias, int B, int width)
{
    assert(cn_activation_known(act));
    const size_t count = (size_t)width;
    for (size_t b = 0; b < (size_t)B; b++, y += count) {
        if (bias)
            cn_add_scaled(y, bias, 1.0f, count, false);
        activate_row(act, y, count);
    }
}

void cn_activate_grad(cn_activation act, const float *y, const float *dy, float *out, size_t count)
{
    switch (act) {
    case CN_IDENTITY:
        for (size_t i = 0; i < count; i++)
            out[i] = dy[i];
        break;
    case CN_TANH:
        for (size_t i = 0; i < count; i++)
            out[i] = dy[i] * (1.0f - y[i] * y[i]);
        break;
    case CN_RELU:
        for (size_t i = 0; i < count; i++)
            out[i] = y[i] > 0.0f ? dy[i] : 0.0f;
        break;
    }
}

void cn_add_scaled(float *restrict y, const float *restrict x, float a, size_t count, bool first)
{
    if (first)
        for (size_t i = 0; i < count; i++)
            y[i] = a * x[i];
    else
        for (size_t i = 0; i < count; i++)
            y[i] += a * x[i];
}
