/* Adam against numbers worked out by hand, clipping, reduction, schedules. */
#include "tensor/optim.h"
#include "tests/test.h"

#define TOLERANCE 1e-6 /* a few float roundings of numbers near 1 */

/* Slices "w" [1, 2] = (1, -2), "frozen" [1, 1] = 5, "v" [1, 1] = 0.5. */
static cn_params *create(void)
{
    cn_error err = {0};
    cn_params *p;
    cn_param w, frozen, v;
    CN_ASSERT_OK(cn_params_create(&p, &err));
    CN_ASSERT_OK(cn_params_add(p, "w", 1, 2, &w, &err));
    CN_ASSERT_OK(cn_params_add(p, "frozen", 1, 1, &frozen, &err));
    CN_ASSERT_OK(cn_params_add(p, "v", 1, 1, &v, &err));
    const float values[4] = {1.0f, -2.0f, 5.0f, 0.5f};
    memcpy(cn_params_values(p), values, sizeof values);
    cn_params_freeze(p, "frozen", true);
    return p;
}

static void set_grads(cn_params *p, float a, float b, float c, float d)
{
    const float grads[4] = {a, b, c, d};
    memcpy(cn_params_grads(p), grads, sizeof grads);
}

/* With rate .1, b1 .9, b2 .99, epsilon .5, gradients 2 and then -1 on w[0]:
 *   t=1: m = .2, v = .04; m/.1 = 2, sqrt(v/.01) = 2; x = 1 - .1 * 2 / 2.5 = .92
 *   t=2: m = .18 - .1 = .08, v = .0396 + .01 = .0496; m/.19 = .4210526,
 *        v/.0199 = 2.4924623, root 1.5787534; x = .92 - .1 * .4210526 / 2.0787534 = .8997449 */
static void test_adam_matches_hand_computation(void)
{
    cn_params *p = create();
    cn_adam adam = {.learning_rate = 0.1f, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 0.5f};
    set_grads(p, 2.0f, -2.0f, 3.0f, 0.0f);
    cn_adam_update(&adam, p);
    const float *x = cn_params_values(p);
    CU_ASSERT_EQUAL(adam.step, 1);
    CU_ASSERT_DOUBLE_EQUAL(x[0], 0.92, TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(x[1], -1.92, TOLERANCE);
    CU_ASSERT_EQUAL(x[3], 0.5f);
    set_grads(p, -1.0f, 1.0f, 3.0f, 0.0f);
    cn_adam_update(&adam, p);
    CU_ASSERT_EQUAL(adam.step, 2);
    CU_ASSERT_DOUBLE_EQUAL(x[0], 0.8997449, TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(x[1], -1.8997449, TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(cn_params_moment1(p)[0], 0.08, TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(cn_params_moment2(p)[0], 0.0496, TOLERANCE);
    cn_params_destroy(&p);
}

static void test_adam_leaves_frozen_slices(void)
{
    cn_params *p = create();
    cn_adam adam = cn_adam_default();
    set_grads(p, 1.0f, 1.0f, 1.0f, 1.0f);
    for (int i = 0; i < 10; i++)
        cn_adam_update(&adam, p);
    CU_ASSERT_EQUAL(cn_params_values(p)[2], 5.0f);
    CU_ASSERT_EQUAL(cn_params_moment1(p)[2], 0.0f);
    CU_ASSERT_EQUAL(cn_params_moment2(p)[2], 0.0f);
    CU_ASSERT_NOT_EQUAL(cn_params_values(p)[3], 0.5f);
    cn_params_destroy(&p);
}

/* (w0 - 3)^2 + (w1 - 1)^2 + (v + 1)^2 from (1, -2, .5): Adam must find the bottom. */
static void test_adam_descends(void)
{
    cn_params *p = create();
    cn_adam adam = cn_adam_default();
    CU_ASSERT_EQUAL(adam.step, 0);
    CU_ASSERT_EQUAL(adam.epsilon, 1e-5f);
    adam.learning_rate = 0.05f;
    const float *x = cn_params_values(p);
    for (int i = 0; i < 1000; i++) {
        set_grads(p, 2.0f * (x[0] - 3.0f), 2.0f * (x[1] - 1.0f), 0.0f, 2.0f * (x[3] + 1.0f));
        cn_adam_update(&adam, p);
    }
    CU_ASSERT_DOUBLE_EQUAL(x[0], 3.0, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(x[1], 1.0, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(x[3], -1.0, 1e-3);
    cn_params_destroy(&p);
}

static void test_norm_and_clip(void)
{
    cn_params *p = create();
    set_grads(p, 2.0f, -3.0f, 100.0f, 6.0f);
    CU_ASSERT_DOUBLE_EQUAL(cn_grads_norm(p), 7.0, 1e-12); /* the frozen 100 does not count */
    CU_ASSERT_DOUBLE_EQUAL(cn_grads_clip(p, 8.0), 7.0, 1e-12);
    CU_ASSERT_EQUAL(cn_params_grads(p)[0], 2.0f);
    CU_ASSERT_DOUBLE_EQUAL(cn_grads_clip(p, 0.5), 7.0, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(cn_params_grads(p)[0], 2.0 / 14.0, TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(cn_params_grads(p)[1], -3.0 / 14.0, TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(cn_grads_norm(p), 0.5, TOLERANCE);
    cn_grads_zero(p, cn_params_grads(p));
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(cn_params_grads(p)[i], i == 2 ? 100.0f : 0.0f); /* 2 is frozen */
    CU_ASSERT_EQUAL(cn_grads_clip(p, 0.5), 0.0);
    cn_params_destroy(&p);
}

/* 1e8 + 1 - 1e8 is 0 in floats, in that order, and 1 in another: the order is ours. */
static void test_reduce_adds_in_order(void)
{
    cn_params *p = create();
    float a[4] = {1e8f, 1.0f, 2.0f, 3.0f}, b[4] = {1.0f, 1.0f, 2.0f, 3.0f};
    float c[4] = {-1e8f, 1.0f, 2.0f, 3.0f};
    set_grads(p, 7.0f, 7.0f, 7.0f, 7.0f);
    cn_grads_reduce(p, (float *const[]){a, b, c}, 3);
    CU_ASSERT_EQUAL(cn_params_grads(p)[0], 0.0f);
    CU_ASSERT_EQUAL(cn_params_grads(p)[1], 3.0f);
    CU_ASSERT_EQUAL(cn_params_grads(p)[3], 9.0f);
    cn_grads_reduce(p, (float *const[]){a, c, b}, 3);
    CU_ASSERT_EQUAL(cn_params_grads(p)[0], 1.0f);
    cn_grads_reduce(p, (float *const[]){b}, 1);
    CU_ASSERT_EQUAL(cn_params_grads(p)[3], 3.0f);
    CU_ASSERT_EQUAL(cn_params_grads(p)[2], 7.0f); /* frozen: nobody's business */
    cn_params_destroy(&p);
}

static void test_schedules(void)
{
    CU_ASSERT_EQUAL(cn_schedule_at(CN_SCHEDULE_CONSTANT, 3.0, 1.0, 0.7), 3.0);
    CU_ASSERT_DOUBLE_EQUAL(cn_schedule_at(CN_SCHEDULE_LINEAR, 3.0, 1.0, 0.25), 2.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(cn_schedule_at(CN_SCHEDULE_COSINE, 3.0, 1.0, 1.0 / 3.0), 2.5, 1e-12);
    const cn_schedule moving[] = {CN_SCHEDULE_LINEAR, CN_SCHEDULE_COSINE};
    for (int i = 0; i < 2; i++) { /* the ends, and held beyond them */
        CU_ASSERT_DOUBLE_EQUAL(cn_schedule_at(moving[i], 3.0, 1.0, 0.0), 3.0, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(cn_schedule_at(moving[i], 3.0, 1.0, -1.0), 3.0, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(cn_schedule_at(moving[i], 3.0, 1.0, 1.0), 1.0, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(cn_schedule_at(moving[i], 3.0, 1.0, 2.0), 1.0, 1e-12);
    }
}

CN_TEST_MAIN("tensor.optim", T(test_adam_matches_hand_computation),
             T(test_adam_leaves_frozen_slices), T(test_adam_descends), T(test_norm_and_clip),
             T(test_reduce_adds_in_order), T(test_schedules))
