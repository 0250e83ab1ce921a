/* The robot as an environment: lockstep is exact, real time follows the clock, mismatches are
 * named. */
#include "bridge/robot_env.h"
#include "tests/bridge/robot.h"

#define PERIOD_S           0.02
#define REAL_TIME_PERIOD_S 0.05 /* a busy machine sleeps through commands of a shorter one */

static void run_steps(cn_env *env, int steps, float *observation, cn_env_step *step)
{
    cn_error err = {0};
    const float action[3] = {1, -0.5F, 0.25F};
    for (int i = 0; i < steps; i++)
        CN_ASSERT_OK(env->step(env, action, step, observation, &err));
}

static void test_env_lockstep_steps_exactly_one_period(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 100};
    const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    cn_env *env = NULL;
    cn_env_step step = {0};
    float observation[4];
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 12, observation, &err));
    CU_ASSERT_EQUAL(observation[0], (float)(0.1 * 2));
    CU_ASSERT_EQUAL(observation[3], (float)(5 * 0.1));
    run_steps(env, 99, observation, &step);
    CU_ASSERT_FALSE(step.truncated);
    run_steps(env, 1, observation, &step);
    CU_ASSERT_TRUE(step.truncated);
    CU_ASSERT_TRUE(observation[0] > 0.2F && observation[1] < 0.2F);
    cn_env_destroy(&env);
    cn_link_destroy(&link);
    robot_stop(&r);
    CU_ASSERT_EQUAL(r.arm.commands, 100 * 10); /* 10 servo ticks of 2 ms a period */
    CU_ASSERT_DOUBLE_EQUAL(r.arm.state.time_s, 100 * PERIOD_S, 1e-9);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    CU_ASSERT_EQUAL(r.status, CN_OK);
    robot_free(&r);
}

static void test_env_lockstep_repeats_to_the_bit(void)
{
    float last[2][4];
    for (int k = 0; k < 2; k++) {
        robot r;
        cn_error err = {0};
        fake_task task = {.step_limit = 100};
        const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
        robot_start(&r, true, PERIOD_S);
        cn_link *link = robot_link(&r);
        cn_env *env = NULL;
        cn_env_step step;
        CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
        CN_ASSERT_OK(env->reset(env, 3, last[k], &err));
        run_steps(env, 50, last[k], &step);
        cn_env_destroy(&env);
        cn_link_destroy(&link);
        robot_end(&r);
    }
    CU_ASSERT_EQUAL(memcmp(last[0], last[1], sizeof last[0]), 0);
}

static void test_env_real_time_follows_the_clock(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 1000};
    const cn_robot_observer observer = fake_observer(&task, REAL_TIME_PERIOD_S);
    robot_start(&r, false, REAL_TIME_PERIOD_S);
    cn_link *link = robot_link(&r);
    cn_env *env = NULL;
    cn_env_step step;
    float observation[4];
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 0, observation, &err));
    const int64_t start = cn_clock_now();
    run_steps(env, 25, observation, &step);
    const double seconds = (double)(cn_clock_now() - start) * 1e-9;
    /* The first period is cut by the reset, and a busy machine may cut a few more. */
    CU_ASSERT_TRUE(seconds > 18 * REAL_TIME_PERIOD_S);
    CU_ASSERT_TRUE(observation[0] > 0.2F);
    cn_env_destroy(&env);
    cn_link_destroy(&link);
    robot_stop(&r);
    const cn_server_stats stats = cn_server_statistics(r.server);
    CU_ASSERT_TRUE(stats.commands_applied > 0 && stats.commands_applied <= 25);
    CU_ASSERT_EQUAL(stats.commands_refused, 0);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

/* While the policy learns, frames pile up. The step after it must see its own command's effect. */
static void test_env_real_time_is_fresh_after_a_pause(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 1000};
    const cn_robot_observer observer = fake_observer(&task, REAL_TIME_PERIOD_S);
    robot_start(&r, false, REAL_TIME_PERIOD_S);
    cn_link *link = robot_link(&r);
    cn_env *env = NULL;
    cn_env_step step;
    float before[4], after[4];
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 0, before, &err));
    run_steps(env, 3, before, &step);
    cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 2);
    const int64_t start = cn_clock_now();
    run_steps(env, 5, after, &step);
    /* Not from the pile. The first period is cut, and a frame may come late. */
    CU_ASSERT_TRUE((double)(cn_clock_now() - start) * 1e-9 > 2 * REAL_TIME_PERIOD_S);
    CU_ASSERT_TRUE(after[0] > before[0]);
    cn_env_destroy(&env);
    cn_link_destroy(&link);
    robot_stop(&r);
    /* The first command was of before the pause, and was not followed. */
    CU_ASSERT_TRUE(cn_server_statistics(r.server).refused[CN_REFUSAL_STALE] >= 1);
    CU_ASSERT_EQUAL(r.status, CN_OK);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

static void test_env_estop_is_a_safety_error(void)
{
    for (int lockstep = 0; lockstep < 2; lockstep++) {
        robot r;
        cn_error err = {0};
        fake_task task = {.step_limit = 1000};
        const cn_robot_observer observer = fake_observer(&task, REAL_TIME_PERIOD_S);
        const float action[3] = {0};
        robot_start(&r, lockstep, REAL_TIME_PERIOD_S);
        cn_link *link = robot_link(&r), *other = robot_link(&r);
        cn_env *env = NULL;
        cn_env_step step;
        float observation[4];
        CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
        CN_ASSERT_OK(env->reset(env, 0, observation, &err));
        CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
        CN_ASSERT_OK(cn_link_estop(other, "test", &err));
        cn_status status = CN_OK; /* in real time a frame from before may still come */
        for (int i = 0; i < 20 && status == CN_OK; i++)
            status = env->step(env, action, &step, observation, &err);
        CU_ASSERT_EQUAL(status, CN_ERR_SAFETY);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "emergency stop"));
        CN_ASSERT_OK(env->reset(env, 0, observation, &err));
        CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
        cn_env_destroy(&env);
        cn_link_destroy(&link);
        cn_link_destroy(&other);
        robot_end(&r);
    }
}

static void test_env_lost_robot_is_a_timeout(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 1000};
    const cn_robot_observer observer = fake_observer(&task, REAL_TIME_PERIOD_S);
    const float action[3] = {0};
    robot_start(&r, false, REAL_TIME_PERIOD_S);
    cn_link *link = robot_link(&r);
    cn_env *env = NULL;
    cn_env_step step;
    float observation[4];
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 0, observation, &err));
    robot_stop(&r);
    cn_status status = CN_OK; /* frames may still be on their way */
    for (int i = 0; i < 20 && status == CN_OK; i++)
        status = env->step(env, action, &step, observation, &err);
    CU_ASSERT_EQUAL(status, CN_ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no frame from the robot at ipc://"));
    robot_free(&r);
    env->destroy(env);
    cn_link_destroy(&link);
}

/* Somebody takes the lease over while we pause: the robot does not follow us any more. */
static void test_env_notices_that_its_lease_is_gone(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 1000};
    const cn_robot_observer observer = fake_observer(&task, REAL_TIME_PERIOD_S);
    const float action[3] = {0};
    robot_start(&r, false, REAL_TIME_PERIOD_S);
    cn_link *link = robot_link(&r), *thief = robot_link(&r);
    cn_env *env = NULL;
    cn_env_step step;
    float observation[4];
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 0, observation, &err));
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "holds the lease", cn_link_acquire(thief, &err));
    const int64_t deadline = cn_clock_now() + 5 * CN_NS_PER_S;
    while (cn_link_acquire(thief, &err) != CN_OK && cn_clock_now() < deadline)
        cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 10);
    cn_status status = CN_OK;
    for (int i = 0; i < 20 && status == CN_OK; i++)
        status = env->step(env, action, &step, observation, &err);
    CU_ASSERT_EQUAL(status, CN_ERR_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "a foreign lease"));
    cn_env_destroy(&env);
    cn_link_destroy(&link);
    cn_link_destroy(&thief);
    robot_end(&r);
}

static void test_env_match_names_both_values(void)
{
    cn_error err = {0};
    fake_task task = {.step_limit = 100};
    const fake_arm arm = fake_arm_make(PERIOD_S);
    const cn_plant_info *info = &arm.plant.info;
    const cn_robot_observer good = fake_observer(&task, PERIOD_S);
    CN_ASSERT_OK(cn_robot_observer_match(&good, info, &err));
    cn_robot_observer bad = good;
    snprintf(bad.spec.arm, CN_NAME, "jaco");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the task is for the arm 'jaco', the robot is a 'fake'",
                    cn_robot_observer_match(&bad, info, &err));
    bad = good;
    bad.joints = 2;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the task has 2 joints, the robot 'fake' has 3",
                    cn_robot_observer_match(&bad, info, &err));
    bad = good;
    snprintf(bad.joint[2], CN_NAME, "wrist");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "joint 2 is 'wrist' in the task and 'rail' on the robot",
                    cn_robot_observer_match(&bad, info, &err));
    bad = good;
    snprintf(bad.point[0], CN_NAME, "cube");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "tracked point 0 is 'cube' in the task and 'target'",
                    cn_robot_observer_match(&bad, info, &err));
    bad = good;
    bad.spec.control_period_s = 0.05;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "control period is 0.05 s, the robot's 0.02 s",
                    cn_robot_observer_match(&bad, info, &err));
}

CN_TEST_MAIN("bridge.robot_env", T(test_env_lockstep_steps_exactly_one_period),
             T(test_env_lockstep_repeats_to_the_bit), T(test_env_real_time_follows_the_clock),
             T(test_env_real_time_is_fresh_after_a_pause), T(test_env_estop_is_a_safety_error),
             T(test_env_lost_robot_is_a_timeout), T(test_env_notices_that_its_lease_is_gone),
             T(test_env_match_names_both_values))
