/* Boxes: which ways are forbidden, and that a filter with boxes never takes one. The arm here is
 * two slides and a hinge at their end, so the truth can be written down. */
#include "policy/keep_out.h"
#include "policy/safety.h"
#include "tests/random.h"
#include "tests/test.h"

#include <math.h>
#include <stdint.h>

#define DT    0.002
#define REACH 0.2 /* m: of the tool from the hinge */

static const cn_box box = {
    .point = "tool", .low = {0.5, -0.3, -1}, .high = {0.9, 0.3, 1}, .distance = 0.05};

static bool forbids(double ax, double ay, double bx, double by)
{
    return cn_box_forbids(&box, (double[]){ax, ay, 0}, (double[]){bx, by, 0});
}

static void test_box_forbids_ways_into_and_through_it(void)
{
    CU_ASSERT_TRUE(forbids(0, 0, 0.7, 0));
    CU_ASSERT_TRUE(forbids(0, 0, 2, 0));        /* right through */
    CU_ASSERT_TRUE(forbids(0, 0, 0.46, 0));     /* nearer than the distance */
    CU_ASSERT_TRUE(forbids(0.4, -0.5, 1, 0.4)); /* across, diagonally */
    CU_ASSERT_FALSE(forbids(0, 0, 0.44, 0));
    CU_ASSERT_FALSE(forbids(0, -0.4, 2, -0.4)); /* beside it */
    CU_ASSERT_FALSE(forbids(0.2, 0, 0.2, 0));
    CU_ASSERT_FALSE(forbids(0.44, 0.1, 0.1, 0.6)); /* away from it */
}

static void test_box_lets_out_who_is_in(void)
{
    CU_ASSERT_FALSE(forbids(0.55, 0, 0.52, 0));
    CU_ASSERT_FALSE(forbids(0.55, 0, 0.1, 0));
    CU_ASSERT_FALSE(forbids(0.55, 0, 0.55, 0.1)); /* no deeper */
    CU_ASSERT_TRUE(forbids(0.55, 0, 0.6, 0));
}

/* ---- The filter ---- */

static const cn_arm_joint joint[3] = {{"x", "m", -2, 2, 1, 10, 500, 1},
                                      {"y", "m", -2, 2, 1, 5, 500, 1},
                                      {"turn", "rad", -4, 4, 3, 20, 1000, 1}};

static void place(void *self, const double *p, double (*at)[3])
{
    (void)self;
    at[0][0] = p[0] + REACH * cos(p[2]);
    at[0][1] = p[1] + REACH * sin(p[2]);
    at[0][2] = 0;
}

static const cn_keep_out keep_out = {
    .boxes = 1,
    .box = {{.point = "tool", .low = {0.5, -0.3, -1}, .high = {0.9, 0.3, 1}, .distance = 0.05}},
    .place = place};

static cn_safety *make(double x, double y, double turn)
{
    cn_error err = {0};
    cn_safety *safety = NULL;
    CN_ASSERT_OK(cn_safety_create(joint, 3, &safety, &err));
    cn_safety_keep_out(safety, &keep_out);
    cn_safety_begin(safety, &(cn_arm_state){.joints = 3, .position = {x, y, turn}});
    return safety;
}

/* Whether the tool, where these commands put it, keeps its distance. */
static bool outside(const double *p)
{
    double at[1][3];
    place(NULL, p, at);
    return at[0][0] < 0.45 || at[0][0] > 0.95 || at[0][1] < -0.35 || at[0][1] > 0.35;
}

static void attack(cn_command_mode mode, uint64_t seed)
{
    cn_safety *safety = make(-0.5, 0, 0);
    double p[3] = {-0.5, 0, 0}, v[3] = {0}, a[3] = {0};
    int inside = 0, broken = 0, kept = 0;
    for (int i = 0; i < 20000; i++) {
        cn_arm_command wanted = {.mode = mode, .joints = 3}, out;
        for (int j = 0; j < 3; j++)
            wanted.target[j] = 3 * random_sign(&seed);
        const int ticks = 1 + (int)(30 * (1 + random_sign(&seed)));
        for (int k = 0; k < ticks; k++) {
            cn_safety_next(safety, &wanted, DT, &out);
            kept += cn_safety_kept_from(safety) != NULL;
            for (int j = 0; j < 3; j++) {
                const double next =
                    mode == CN_COMMAND_VELOCITY ? p[j] + out.target[j] * DT : out.target[j];
                const double speed = (next - p[j]) / DT, change = (speed - v[j]) / DT;
                broken += fabs(change) > joint[j].acceleration + 1e-6 ||
                          fabs(change - a[j]) / DT > joint[j].jerk + 1e-3;
                p[j] = next, v[j] = speed, a[j] = change;
            }
            inside += !outside(p);
        }
    }
    CU_ASSERT_EQUAL(inside, 0);
    CU_ASSERT_EQUAL(broken, 0); /* it brakes for a box within the limits as well */
    CU_ASSERT_TRUE(kept > 1000);
    cn_safety_destroy(&safety);
}

static void test_keep_out_holds_under_attack(void)
{
    attack(CN_COMMAND_POSITION, 1);
    attack(CN_COMMAND_VELOCITY, 2);
}

static cn_arm_command to(double x, double y)
{
    return (cn_arm_command){.mode = CN_COMMAND_POSITION, .joints = 3, .target = {x, y, 0}};
}

static double run(cn_safety *safety, cn_arm_command wanted)
{
    cn_arm_command out;
    for (int i = 0; i < 2000; i++)
        cn_safety_next(safety, &wanted, DT, &out);
    return out.target[0];
}

static void test_keep_out_stops_before_the_box_and_goes_on_elsewhere(void)
{
    cn_safety *safety = make(-0.5, 0, 0);
    const double stopped = run(safety, to(1.5, 0));
    CU_ASSERT_PTR_NOT_NULL(cn_safety_kept_from(safety));
    CU_ASSERT_TRUE(stopped + REACH < 0.45 && stopped + REACH > 0.35); /* close, and not in */
    CU_ASSERT_DOUBLE_EQUAL(run(safety, to(-0.4, 1)), -0.4, 1e-9);
    CU_ASSERT_PTR_NULL(cn_safety_kept_from(safety));
    CU_ASSERT_DOUBLE_EQUAL(run(safety, to(1.5, 1)), 1.5, 1e-9); /* past it */
    cn_safety_destroy(&safety);
}

static void test_keep_out_of_nothing_is_what_it_was(void)
{
    cn_safety *safety = make(-0.5, 0, 0);
    cn_safety_keep_out(safety, NULL);
    CU_ASSERT_DOUBLE_EQUAL(run(safety, to(1.5, 0)), 1.5, 1e-9);
    cn_safety_destroy(&safety);
}

CN_TEST_MAIN("policy.keep_out", T(test_box_forbids_ways_into_and_through_it),
             T(test_box_lets_out_who_is_in), T(test_keep_out_holds_under_attack),
             T(test_keep_out_stops_before_the_box_and_goes_on_elsewhere),
             T(test_keep_out_of_nothing_is_what_it_was))
