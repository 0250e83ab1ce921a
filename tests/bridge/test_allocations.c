/* Nothing of ours is allocated in what runs at servo or control rate, on either end of the wire.
 * Server and controller are two threads of this program, so both are counted. */
#include "bridge/control.h"
#include "tests/allocations.h"
#include "tests/bridge/robot.h"

#define PERIOD_S 0.02

enum { WARM_UP = 5 /* steps, for what happens once */ };

static void test_lockstep_steps_allocate_nothing(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 1000};
    const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
    const float action[3] = {1, -1, 0};
    float observation[4];
    cn_env_step step;
    cn_env *env = NULL;
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 1, observation, &err));
    long before = 0;
    for (int i = 0; i < 300; i++) {
        if (i == WARM_UP)
            before = atomic_load(&allocations);
        CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
    }
    CU_ASSERT_TRUE(before > 0); /* creating was counted */
    CU_ASSERT_EQUAL(atomic_load(&allocations) - before, 0);
    cn_env_destroy(&env);
    cn_link_destroy(&link);
    robot_end(&r);
}

typedef struct counter {
    int acted;
    long first, last; /* allocations at the first counted and at the newest act */
} counter;

static void act(void *policy, const float *observation, float *action)
{
    counter *c = policy;
    c->last = atomic_load(&allocations);
    if (c->acted++ == WARM_UP)
        c->first = c->last;
    for (int j = 0; j < 3; j++)
        action[j] = observation[3] - observation[j];
}

static void test_control_loop_allocates_nothing(void)
{
    robot r;
    cn_error err = {0};
    counter c = {0};
    cn_control_report report;
    fake_task task = {.step_limit = 10}; /* with new goals in between */
    const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
    const cn_control_config config = {.seconds = 1, .act = act, .policy = &c};
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_control_run(link, &observer, &config, &report, &err));
    CU_ASSERT_TRUE(c.acted > 2 * WARM_UP);
    CU_ASSERT_TRUE(report.goals > 0);
    CU_ASSERT_TRUE(c.first > 0);
    CU_ASSERT_EQUAL(c.last - c.first, 0);
    cn_link_destroy(&link);
    robot_end(&r);
}

CN_TEST_MAIN("bridge.allocations", T(test_lockstep_steps_allocate_nothing),
             T(test_control_loop_allocates_nothing))
