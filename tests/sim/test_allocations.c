/* Nothing is allocated while episodes run, nor between them when every one draws another arm. */
#include "sim/sim_env.h"
#include "tests/allocations.h"
#include "tests/sim/arm.h"

static cn_error err;

static void test_episodes_allocate_nothing(void)
{
    cn_task *task = NULL;
    cn_env *env = NULL;
    CN_ASSERT_OK(load_swapped("step_limit: 20\n",
                              "step_limit: 20\nrandomize:\n  mass_scale: {uniform: [0.5, 2]}\n"
                              "  action_delay: {uniform: [0, 3]}\n",
                              &task, &err));
    const long created = atomic_load(&allocations);
    CN_ASSERT_OK(cn_sim_env_create(task, NULL, &env, &err));
    const long before = atomic_load(&allocations);
    CU_ASSERT_TRUE(before > created); /* creating is counted */
    for (uint64_t seed = 0; seed < 20; seed++) {
        float observation[16];
        const float action[2] = {0.5f, -0.5f};
        cn_env_step step = {0};
        CN_ASSERT_OK(env->reset(env, seed, observation, &err));
        while (!step.terminated && !step.truncated)
            CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
    }
    CU_ASSERT_EQUAL(atomic_load(&allocations), before);
    cn_env_destroy(&env);
    cn_task_destroy(&task);
}

CN_TEST_MAIN("sim.allocations", T(test_episodes_allocate_nothing))
