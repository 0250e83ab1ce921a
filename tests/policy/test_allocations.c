/* Nothing is allocated in what runs at control or training rate: acting, rollouts, updates. */
#include "tests/allocations.h"
#include "tests/policy/point.h"

static cn_error err;

static void test_acting_allocates_nothing(void)
{
    cn_policy *policy = point_policy(3, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    cn_agent *agent = NULL;
    const float observation[4] = {0.1f, 0.2f, 0.3f, 0.4f};
    float action[2] = {0};
    const long created = atomic_load(&allocations);
    CN_ASSERT_OK(cn_agent_create(policy, 2, 1, CN_AGENT_ACTOR, &agent, &err));
    const long before = atomic_load(&allocations);
    CU_ASSERT_TRUE(before > created); /* creating is counted */
    for (int i = 0; i < 100; i++)
        cn_agent_act(agent, observation, action);
    CU_ASSERT_EQUAL(atomic_load(&allocations), before);
    CU_ASSERT_NOT_EQUAL(action[0], 0.0f);
    cn_agent_destroy(&agent);
    cn_policy_destroy(&policy);
}

/* From the first run on, with episodes that end and begin inside it. */
static void check_iterations(cn_algorithm algorithm)
{
    point_world world = {0};
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_train_config config = point_config();
    config.algorithm = algorithm;
    config.learning_starts = 100;
    config.updates_per_step = 0.01;
    cn_pool *pool = NULL;
    cn_learner *learner = NULL;
    cn_learner_step step;
    CN_ASSERT_OK(cn_pool_create(2, &pool, &err));
    const cn_learner_setup setup = {
        .policy = policy,
        .column = 1,
        .config = &config,
        .make_env = point_make,
        .make_env_ctx = &world,
        .pool = pool,
    };
    CN_ASSERT_OK(cn_learner_create(&setup, &learner, &err));
    const long before = atomic_load(&allocations);
    long episodes = 0;
    for (int i = 0; i < 3; i++) {
        CN_ASSERT_OK(learner->iterate(learner, 0.0, &step, &err));
        episodes += step.episodes.episodes;
    }
    CU_ASSERT_EQUAL(atomic_load(&allocations), before);
    CU_ASSERT_TRUE(episodes > 16);
    cn_learner_destroy(&learner);
    cn_pool_destroy(&pool);
    cn_policy_destroy(&policy);
    CU_ASSERT_TRUE(atomic_load(&allocations) > before); /* destroying is counted */
}

static void test_iterations_allocate_nothing(void)
{
    check_iterations(CN_PPO);
    check_iterations(CN_SAC);
}

CN_TEST_MAIN("policy.allocations", T(test_acting_allocates_nothing),
             T(test_iterations_allocate_nothing))
