/* The twin: where it starts, how it follows every kind of command, and that its past never shows.
 */
#include "sim/twin.h"

#include "tests/sim/arm.h"

static cn_error err;

static const char velocity_servos[] =
    "<velocity joint='shoulder' kv='100'/><velocity joint='elbow' kv='100'/>";

/* rad: a well damped servo a second after its command, with gravity compensated. */
static const double settled = 2e-3;

static cn_task *task;

static cn_twin *make(const char *piece, const char *by)
{
    cn_twin *twin = NULL;
    CN_ASSERT_OK(load_swapped(piece, by, &task, &err));
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 1, &err));
    return twin;
}

static void finish(cn_twin *twin)
{
    cn_twin_destroy(&twin);
    CU_ASSERT_PTR_NULL(twin);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

static cn_arm_state command_for(cn_twin *twin, cn_command_mode mode, double a, double b,
                                double seconds)
{
    cn_arm_state state;
    const cn_arm_command command = {.mode = mode, .joints = 2, .target = {a, b}};
    cn_twin_command(twin, &command);
    CN_ASSERT_OK(cn_twin_advance(twin, seconds, &err));
    cn_twin_read(twin, &state);
    return state;
}

static void test_twin_reset_covers_its_distribution(void)
{
    enum { N = 1000 };
    const double standard_error = 0.1 / sqrt(3.0 * N); /* of the mean of a uniform +-0.1 */
    cn_twin *twin = make(NULL, NULL);
    double low = 9, high = -9, sum = 0, target_low = 9, target_high = -9;
    for (uint64_t seed = 0; seed < N; seed++) {
        cn_arm_state s;
        CN_ASSERT_OK(cn_twin_reset(twin, seed, &err));
        cn_twin_read(twin, &s);
        low = fmin(low, s.position[0]);
        high = fmax(high, s.position[0]);
        sum += s.position[0];
        target_low = fmin(target_low, s.point[1][0]);
        target_high = fmax(target_high, s.point[1][0]);
        CU_ASSERT_TRUE(s.point[1][2] >= 0.1);
        CU_ASSERT_TRUE(hypot(s.point[1][0], s.point[1][2] - 0.2) <= 0.6 + 1e-9);
        CU_ASSERT_EQUAL(s.velocity[0], 0);
        CU_ASSERT_EQUAL(s.time_s, 0);
    }
    CU_ASSERT_TRUE(low >= 0.1 && low < 0.11);
    CU_ASSERT_TRUE(high <= 0.3 && high > 0.29);
    CU_ASSERT_DOUBLE_EQUAL(sum / N, 0.2, 4 * standard_error);
    CU_ASSERT_TRUE(target_low < -0.3 && target_high > 0.3);
    finish(twin);
}

static void test_twin_draws_targets_in_box_and_shell(void)
{
    cn_arm_state s;
    cn_twin *twin = make("draw: reachable, of: tool, low: [-1, -1, 0.1]",
                         "draw: box, low: [0.1, 0.2, 0.3], high: [0.2, 0.3, 0.4]");
    for (uint64_t seed = 0; seed < 100; seed++) {
        CN_ASSERT_OK(cn_twin_retarget(twin, seed, &err));
        cn_twin_read(twin, &s);
        for (int i = 0; i < 3; i++)
            CU_ASSERT_TRUE(s.point[1][i] >= 0.1 * (i + 1) && s.point[1][i] <= 0.1 * (i + 2));
    }
    finish(twin);
    twin = make("draw: reachable, of: tool, low: [-1, -1, 0.1]",
                "draw: shell, center: [0, 0, 0.2], radius: [0.3, 0.4], low: [-1, -1, 0.2]");
    for (uint64_t seed = 0; seed < 100; seed++) {
        CN_ASSERT_OK(cn_twin_retarget(twin, seed, &err));
        cn_twin_read(twin, &s);
        const double z = s.point[1][2] - 0.2;
        const double r =
            sqrt(s.point[1][0] * s.point[1][0] + s.point[1][1] * s.point[1][1] + z * z);
        CU_ASSERT_TRUE(r > 0.3 - 1e-9 && r < 0.4 + 1e-9 && z >= 0);
    }
    finish(twin);
}

static void test_twin_reports_an_empty_distribution(void)
{
    cn_twin *twin = NULL;
    CN_ASSERT_OK(load_swapped("low: [-1, -1, 0.1]", "low: [-1, -1, 5]", &task, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "draws of 'target' was acceptable; widen",
                    cn_twin_create(task, NULL, &twin, &err));
    CU_ASSERT_PTR_NULL(twin);
    cn_task_destroy(&task);
}

static void test_twin_forgets_its_past(void)
{
    cn_twin *fresh = make(NULL, NULL), *used = NULL;
    CN_ASSERT_OK(cn_twin_create(task, NULL, &used, &err));
    command_for(used, CN_COMMAND_VELOCITY, 3, -2, 0.7);
    CN_ASSERT_OK(cn_twin_reset(used, 42, &err));
    CN_ASSERT_OK(cn_twin_reset(fresh, 42, &err));
    for (int i = 0; i < 20; i++) {
        const cn_arm_state a = command_for(fresh, CN_COMMAND_POSITION, 0.1 * i, 0.5, 0.05);
        const cn_arm_state b = command_for(used, CN_COMMAND_POSITION, 0.1 * i, 0.5, 0.05);
        CU_ASSERT_EQUAL(memcmp(a.position, b.position, 2 * sizeof(double)), 0);
        CU_ASSERT_EQUAL(memcmp(a.velocity, b.velocity, 2 * sizeof(double)), 0);
        CU_ASSERT_EQUAL(memcmp(a.point, b.point, 6 * sizeof(double)), 0);
    }
    cn_twin_destroy(&used);
    finish(fresh);
}

static void test_twin_single_steps_equal_a_period(void)
{
    cn_twin *whole = make(NULL, NULL), *steps = NULL;
    CN_ASSERT_OK(cn_twin_create(task, NULL, &steps, &err));
    CN_ASSERT_OK(cn_twin_reset(steps, 1, &err));
    CU_ASSERT_EQUAL(cn_twin_timestep(steps), 0.01);
    const cn_arm_state a = command_for(whole, CN_COMMAND_POSITION, 1, 1, 0.05);
    cn_arm_state b = command_for(steps, CN_COMMAND_POSITION, 1, 1, 0.01);
    for (int i = 1; i < 5; i++) {
        CN_ASSERT_OK(cn_twin_advance(steps, 1e-6, &err)); /* at least one step */
        cn_twin_read(steps, &b);
    }
    CU_ASSERT_EQUAL(a.time_s, b.time_s);
    CU_ASSERT_EQUAL(a.position[0], b.position[0]);
    CU_ASSERT_EQUAL(a.point[0][2], b.point[0][2]);
    cn_twin_destroy(&steps);
    finish(whole);
}

static void test_twin_holds_without_a_command(void)
{
    cn_arm_state before, after;
    cn_twin *twin = make(NULL, NULL);
    cn_twin_read(twin, &before);
    CN_ASSERT_OK(cn_twin_advance(twin, 1, &err));
    cn_twin_read(twin, &after);
    CU_ASSERT_DOUBLE_EQUAL(after.position[0], before.position[0], settled);
    after = command_for(twin, CN_COMMAND_EFFORT, 5, 5, 1); /* nothing that servos can follow */
    CU_ASSERT_DOUBLE_EQUAL(after.position[1], before.position[1], settled);
    finish(twin);
}

static void test_twin_position_servos_follow(void)
{
    cn_twin *twin = make(NULL, NULL);
    cn_arm_state s = command_for(twin, CN_COMMAND_POSITION, -0.5, 0.8, 1.5);
    CU_ASSERT_DOUBLE_EQUAL(s.position[0], -0.5, settled);
    CU_ASSERT_DOUBLE_EQUAL(s.position[1], 0.8, settled);
    s = command_for(twin, CN_COMMAND_VELOCITY, 0.5, -0.3, 1);
    s = command_for(twin, CN_COMMAND_VELOCITY, 0, 0, 1);
    CU_ASSERT_DOUBLE_EQUAL(s.position[0], 0, settled);
    CU_ASSERT_DOUBLE_EQUAL(s.position[1], 0.5, settled);
    s = command_for(twin, CN_COMMAND_VELOCITY, 2, 0, 3); /* against the limit at 2 rad */
    CU_ASSERT_DOUBLE_EQUAL(s.position[0], 2, 0.01);
    finish(twin);
}

static void test_twin_velocity_servos_follow(void)
{
    cn_twin *twin = make(position_servos, velocity_servos);
    cn_arm_state s = command_for(twin, CN_COMMAND_VELOCITY, 0.4, -0.6, 0.5);
    CU_ASSERT_DOUBLE_EQUAL(s.velocity[0], 0.4, settled);
    CU_ASSERT_DOUBLE_EQUAL(s.velocity[1], -0.6, 5 * settled); /* the elbow has joint damping */
    s = command_for(twin, CN_COMMAND_POSITION, 0.3, 0.6, 2);
    CU_ASSERT_DOUBLE_EQUAL(s.position[0], 0.3, settled);
    CU_ASSERT_DOUBLE_EQUAL(s.position[1], 0.6, settled);
    finish(twin);
}

static void test_twin_motors_push(void)
{
    cn_twin *twin = NULL;
    CN_ASSERT_OK(load_motors(&task, &err));
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->action_unit, "N m");
    const cn_arm_state s = command_for(twin, CN_COMMAND_EFFORT, 0.5, 0.25, 0.01);
    CU_ASSERT_DOUBLE_EQUAL(s.effort[0], 0.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(s.effort[1], 0.25, 1e-12); /* through a gear of 2 */
    finish(twin);
}

static void test_twin_retarget_leaves_the_motion_alone(void)
{
    cn_twin *moved = make(NULL, NULL), *other = NULL;
    CN_ASSERT_OK(cn_twin_create(task, NULL, &other, &err));
    CN_ASSERT_OK(cn_twin_reset(other, 1, &err));
    cn_arm_state a = command_for(moved, CN_COMMAND_POSITION, 1, 1, 0.1);
    cn_arm_state b = command_for(other, CN_COMMAND_POSITION, 1, 1, 0.1);
    CN_ASSERT_OK(cn_twin_retarget(moved, 77, &err));
    cn_twin_read(moved, &a);
    CU_ASSERT_EQUAL(a.position[0], b.position[0]);
    CU_ASSERT_EQUAL(a.point[0][0], b.point[0][0]);
    CU_ASSERT_NOT_EQUAL(a.point[1][0], b.point[1][0]);
    CN_ASSERT_OK(cn_twin_advance(moved, 0.1, &err));
    CN_ASSERT_OK(cn_twin_advance(other, 0.1, &err));
    cn_twin_read(moved, &a);
    cn_twin_read(other, &b);
    CU_ASSERT_EQUAL(a.position[0], b.position[0]);
    CU_ASSERT_EQUAL(a.velocity[1], b.velocity[1]);
    cn_twin_destroy(&other);
    finish(moved);
}

static void test_twin_place_puts_it_where_it_was_measured(void)
{
    cn_twin *twin = make(NULL, NULL);
    cn_arm_state s, wanted = {.joints = 2, .tracked = 2, .position = {0.7, -0.4}};
    wanted.point[1][0] = 0.11;
    wanted.point[1][2] = 0.33;
    command_for(twin, CN_COMMAND_VELOCITY, 1, 1, 0.3);
    CN_ASSERT_OK(cn_twin_place(twin, &wanted, &err));
    cn_twin_read(twin, &s);
    CU_ASSERT_EQUAL(s.position[0], 0.7);
    CU_ASSERT_EQUAL(s.position[1], -0.4);
    CU_ASSERT_EQUAL(s.velocity[0], 0);
    CU_ASSERT_DOUBLE_EQUAL(s.point[1][0], 0.11, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(s.point[1][2], 0.33, 1e-12);
    CN_ASSERT_OK(cn_twin_advance(twin, 0.5, &err));
    cn_twin_read(twin, &s);
    CU_ASSERT_DOUBLE_EQUAL(s.position[0], 0.7, settled);
    wanted.joints = 3;
    CN_ASSERT_FAILS(CN_ERR_SHAPE, "a reading of 3 joints and 2 points, the task 'bend' has 2 and 2",
                    cn_twin_place(twin, &wanted, &err));
    wanted.joints = 2;
    wanted.position[1] = NAN;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "position of joint 'elbow' is nan",
                    cn_twin_place(twin, &wanted, &err));
    wanted.position[1] = 0;
    wanted.point[1][2] = NAN;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "point 'target' was measured at nan",
                    cn_twin_place(twin, &wanted, &err));
    finish(twin);
}

static void test_twin_reports_divergence_and_recovers(void)
{
    cn_twin *twin = NULL;
    CN_ASSERT_OK(load_motors(&task, &err));
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    const cn_arm_command wild = {.mode = CN_COMMAND_EFFORT, .joints = 2, .target = {1e9, -1e9}};
    cn_twin_command(twin, &wild);
    CN_ASSERT_FAILS(CN_ERR_PHYSICS, "is not a usable number at", cn_twin_advance(twin, 5, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 3, &err));
    const cn_arm_state s = command_for(twin, CN_COMMAND_EFFORT, 0, 0, 0.5);
    CU_ASSERT_TRUE(isfinite(s.position[0]) && isfinite(s.position[1]));
    finish(twin);
}

/* A hundred balls fall on a floor, and the model's memory has room for the contacts of a few. */
static void test_twin_reports_contacts_that_are_left_out(void)
{
    static char balls[16384] = "<size memory='120K'/><worldbody><geom type='plane' size='9 9 1'/>";
    size_t used = strlen(balls);
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(balls + used, sizeof balls - used,
                                 "<body pos='%g %g 0.2'><freejoint/><geom size='0.05'/></body>",
                                 1 + 0.2 * (i % 10), 0.2 * (i / 10));
    snprintf(balls + used, sizeof balls - used, "</worldbody>");
    cn_twin *twin = make("<size memory='1M'/>", balls);
    CN_ASSERT_OK(cn_twin_advance(twin, 0.05, &err)); /* in the air */
    CN_ASSERT_FAILS(CN_ERR_PHYSICS, "contacts were left out", cn_twin_advance(twin, 1, &err));
    finish(twin);
}

/* Joints and tracked points are where they were in the twin that the pose is of, which does not
 * notice. */
static void test_twin_pose_travels(void)
{
    double pose[64];
    cn_arm_state there, here, again;
    cn_twin *twin = make(NULL, NULL), *other = NULL;
    there = command_for(twin, CN_COMMAND_POSITION, 0.7, -0.4, 0.3);
    CN_ASSERT_OK(cn_twin_create(task, NULL, &other, &err));
    CU_ASSERT_FATAL(cn_twin_pose_size(twin) <= 64 && cn_twin_pose_size(twin) >= 2);
    CU_ASSERT_EQUAL(cn_twin_pose_size(twin), cn_twin_pose_size(other));
    cn_twin_pose(twin, pose);
    cn_twin_set_pose(other, pose);
    cn_twin_read(other, &here);
    cn_twin_read(twin, &again);
    for (int j = 0; j < 2; j++) {
        CU_ASSERT_EQUAL(here.position[j], there.position[j]);
        CU_ASSERT(again.position[j] == there.position[j] && again.velocity[j] == there.velocity[j]);
    }
    for (int i = 0; i < there.tracked; i++)
        CU_ASSERT_EQUAL(memcmp(here.point[i], there.point[i], sizeof here.point[i]), 0);
    cn_twin_destroy(&other);
    finish(twin);
}

CN_TEST_MAIN("sim.twin", T(test_twin_reset_covers_its_distribution),
             T(test_twin_draws_targets_in_box_and_shell),
             T(test_twin_reports_an_empty_distribution), T(test_twin_forgets_its_past),
             T(test_twin_single_steps_equal_a_period), T(test_twin_holds_without_a_command),
             T(test_twin_position_servos_follow), T(test_twin_velocity_servos_follow),
             T(test_twin_motors_push), T(test_twin_retarget_leaves_the_motion_alone),
             T(test_twin_place_puts_it_where_it_was_measured), T(test_twin_pose_travels),
             T(test_twin_reports_divergence_and_recovers),
             T(test_twin_reports_contacts_that_are_left_out))
