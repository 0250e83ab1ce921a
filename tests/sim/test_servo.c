/* The servo of a simulated arm: what lies between a command and the twin. */
#include "sim/servo.h"

#include "tests/sim/arm.h"

static cn_error err;

static cn_task *task;
static cn_twin *twin;
static cn_arm_state reading;

/* A servo above a twin that rests where it was read. */
static cn_servo *begin(void)
{
    cn_servo *servo = NULL;
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 3, &err));
    CN_ASSERT_OK(cn_servo_create(task, twin, &servo, &err));
    cn_twin_read(twin, &reading);
    cn_servo_begin(servo, &reading);
    return servo;
}

static void finish(cn_servo *servo)
{
    cn_servo_destroy(&servo);
    CU_ASSERT_PTR_NULL(servo);
    cn_servo_destroy(&servo);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

/* A far target is approached no faster than the joint may move, and reached. */
static void test_servo_keeps_the_velocity_limit(void)
{
    const double limit = 1, period = 0.05, settled = 5e-3;
    const double lag = 0.1; /* of the limit: a servo that has fallen behind catches up */
    CN_ASSERT_OK(load_swapped("scale: 0.1", "scale: 0.1, velocity_limit: 1", &task, &err));
    cn_servo *servo = begin();
    const cn_arm_command far = {.mode = CN_COMMAND_POSITION, .joints = 2, .target = {1.4, -0.8}};
    for (int i = 0; i < 60; i++) {
        const double before = reading.position[0], time = reading.time_s;
        CN_ASSERT_OK(cn_servo_follow(servo, &far, &reading, &err));
        CU_ASSERT_TRUE(fabs(reading.position[0] - before) < limit * period * (1 + lag));
        CU_ASSERT_DOUBLE_EQUAL(reading.time_s - time, period, 1e-9);
    }
    CU_ASSERT_DOUBLE_EQUAL(reading.position[0], 1.4, settled);
    CU_ASSERT_DOUBLE_EQUAL(reading.position[1], -0.8, settled);
    finish(servo);
}

/* Where the shoulder is after a period of following, from rest or after commands before. */
static double after_one_period(cn_servo *servo, double target)
{
    const cn_arm_command command = {
        .mode = CN_COMMAND_POSITION, .joints = 2, .target = {target, 0.4}};
    CN_ASSERT_OK(cn_servo_follow(servo, &command, &reading, &err));
    return reading.position[0];
}

static void test_servo_begins_anew(void)
{
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_servo *servo = begin();
    const double first = after_one_period(servo, 1);
    after_one_period(servo, -1);
    CN_ASSERT_OK(cn_twin_reset(twin, 3, &err));
    cn_twin_read(twin, &reading);
    cn_servo_begin(servo, &reading);
    CU_ASSERT_EQUAL(after_one_period(servo, 1), first);
    finish(servo);
}

static void test_servo_passes_efforts(void)
{
    const cn_arm_command push = {.mode = CN_COMMAND_EFFORT, .joints = 2, .target = {3, -2}};
    CN_ASSERT_OK(load_motors(&task, &err));
    cn_servo *servo = begin();
    CN_ASSERT_OK(cn_servo_follow(servo, &push, &reading, &err));
    CU_ASSERT_DOUBLE_EQUAL(reading.effort[0], 3, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(reading.effort[1], -2, 1e-9);
    finish(servo);
}

static void test_servo_reports_divergence(void)
{
    const cn_arm_command wild = {.mode = CN_COMMAND_EFFORT, .joints = 2, .target = {1e12, -1e12}};
    cn_status status = CN_OK;
    CN_ASSERT_OK(load_motors(&task, &err));
    cn_servo *servo = begin();
    for (int i = 0; i < 20 && status == CN_OK; i++)
        status = cn_servo_follow(servo, &wild, &reading, &err);
    CU_ASSERT_EQUAL(status, CN_ERR_PHYSICS);
    finish(servo);
}

CN_TEST_MAIN("sim.servo", T(test_servo_keeps_the_velocity_limit), T(test_servo_begins_anew),
             T(test_servo_passes_efforts), T(test_servo_reports_divergence))
