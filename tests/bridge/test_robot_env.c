/* The robot as an environment: lockstep is exact, real time follows the clock, mismatches are
 * named. */
#include "bridge/robot_env.h"
#include "tests/bridge/robot.h"

#define PERIOD_S 0.02

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

CN_TEST_MAIN("bridge.robot_env", T(test_env_lockstep_steps_exactly_one_period),
             T(test_env_lockstep_repeats_to_the_bit))
