/* Kinematics: where a point is, against trigonometry, and which points there are. */
#include "sim/kinematics.h"

#include <math.h>

#include "tests/sim/arm.h"

#define TOLERANCE 1e-12 /* m: of a handful of products of numbers near 1 */

static cn_error err;

/* Two links of 0.3 m that turn about y, on a shoulder 0.2 m high. */
static void test_kinematics_places_points_where_trigonometry_does(void)
{
    static const char *const names[] = {"tool", "lower"};
    cn_task *task = NULL;
    cn_kinematics *k = NULL;
    double at[2][3];
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    CN_ASSERT_OK(cn_kinematics_create(task, names, 2, &k, &err));
    for (int i = 0; i < 20; i++) {
        const double q[2] = {-1.5 + 0.15 * i, 2 - 0.3 * i}, both = q[0] + q[1];
        cn_kinematics_place(k, q, at);
        const double elbow[2] = {0.3 * sin(q[0]), 0.2 + 0.3 * cos(q[0])};
        CU_ASSERT_DOUBLE_EQUAL(at[1][0], elbow[0], TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(at[1][2], elbow[1], TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(at[0][0], elbow[0] + 0.3 * sin(both), TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(at[0][2], elbow[1] + 0.3 * cos(both), TOLERANCE);
        CU_ASSERT_EQUAL(at[0][1], 0);
    }
    cn_kinematics_destroy(&k);
    CU_ASSERT_PTR_NULL(k);
    cn_kinematics_destroy(&k);
    cn_task_destroy(&task);
}

static void test_kinematics_names_points_that_are_none(void)
{
    static const char *const absent[] = {"tool", "finger"}, *const fixed[] = {"target"};
    cn_task *task = NULL;
    cn_kinematics *k = NULL;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "point 'finger' is neither a site (target, tool) nor a body",
                    cn_kinematics_create(task, absent, 2, &k, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "point 'target' is not moved by the arm's joints",
                    cn_kinematics_create(task, fixed, 1, &k, &err));
    CU_ASSERT_PTR_NULL(k);
    cn_task_destroy(&task);
}

CN_TEST_MAIN("sim.kinematics", T(test_kinematics_places_points_where_trigonometry_does),
             T(test_kinematics_names_points_that_are_none))
