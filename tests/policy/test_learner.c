/* Learners: what every algorithm promises the training loop. */
#include "tests/policy/point.h"

static cn_error err;

typedef struct setting {
    point_world world;
    cn_train_config config;
    cn_policy *policy;
    cn_pool *pool;
    cn_learner *learner;
} setting;

static cn_learner_setup setup_of(setting *s)
{
    return (cn_learner_setup){
        .policy = s->policy,
        .column = 1,
        .config = &s->config,
        .seed = 5,
        .make_env = point_make,
        .make_env_ctx = &s->world,
        .pool = s->pool,
    };
}

static void setting_create(setting *s, cn_algorithm algorithm)
{
    *s = (setting){.config = point_config()};
    s->config.algorithm = algorithm;
    s->config.kl_target = 0.005; /* so that PPO's learning rate is state as well */
    s->config.learning_starts = 256;
    s->config.updates_per_step = 0.0301; /* so that SAC owes a part of an update */
    s->config.batch_size = 64;
    s->config.critic_hidden[0] = s->config.critic_hidden[1] = 16;
    s->policy = point_policy(2, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    CN_ASSERT_OK(cn_pool_create(2, &s->pool, &err));
    const cn_learner_setup setup = setup_of(s);
    CN_ASSERT_OK(cn_learner_create(&setup, &s->learner, &err));
}

static void setting_destroy(setting *s)
{
    cn_learner_destroy(&s->learner);
    cn_learner_destroy(&s->learner); /* does nothing */
    CU_ASSERT_EQUAL(s->world.alive, 0);
    cn_pool_destroy(&s->pool);
    cn_policy_destroy(&s->policy);
}

static cn_learner_step iterate(setting *s, int times)
{
    cn_learner_step step = {0};
    for (int i = 0; i < times; i++)
        CN_ASSERT_OK(s->learner->iterate(s->learner, 0.0, &step, &err));
    return step;
}

static void check_iteration(cn_algorithm algorithm)
{
    setting s;
    cn_metric metric[CN_MAX_METRICS];
    setting_create(&s, algorithm);
    const uint64_t before = cn_policy_checksum(s.policy, 1);
    const cn_learner_step step = iterate(&s, 2);
    CU_ASSERT_NOT_EQUAL(cn_policy_checksum(s.policy, 1), before);
    CU_ASSERT_TRUE(step.steps > 0 && step.episodes.episodes > 0);
    CU_ASSERT_TRUE(step.environments > 0.0 && step.inference > 0.0 && step.update > 0.0);
    CU_ASSERT_DOUBLE_EQUAL(step.environments + step.inference + step.update + step.idle, 1.0, 1e-9);
    const int metrics = s.learner->metrics(s.learner, metric);
    CU_ASSERT_TRUE(metrics > 0 && metrics <= CN_MAX_METRICS);
    for (int i = 0; i < metrics; i++) {
        CU_ASSERT_PTR_NOT_NULL(strchr(metric[i].tag, '/'));
        CU_ASSERT_TRUE(isfinite(metric[i].value));
    }
    setting_destroy(&s);
}

static void test_iteration(void)
{
    check_iteration(CN_PPO);
    check_iteration(CN_SAC);
}

/* The policy's parameters and the state tensors of one learner, put into another, are all it takes
 * to go on to the same bits. */
static void check_state(cn_algorithm algorithm)
{
    setting a, b;
    cn_tensor_view from[CN_MAX_STATE_TENSORS], to[CN_MAX_STATE_TENSORS];
    setting_create(&a, algorithm);
    setting_create(&b, algorithm);
    iterate(&a, 2);
    CN_ASSERT_OK(a.learner->pack(a.learner, &err));
    const int count = a.learner->state(a.learner, from);
    CU_ASSERT_TRUE(count > 0 && count <= CN_MAX_STATE_TENSORS);
    CU_ASSERT_EQUAL_FATAL(b.learner->state(b.learner, to), count);
    for (int i = 0; i < count; i++) {
        b.learner->state(b.learner, to); /* shapes may depend on what came before */
        CU_ASSERT_EQUAL(strncmp(from[i].name, "trainer/", strlen("trainer/")), 0);
        CU_ASSERT_EQUAL_FATAL(from[i].bytes, to[i].bytes);
        memcpy((void *)to[i].data, from[i].data, from[i].bytes);
    }
    cn_params *params = cn_policy_params(a.policy);
    memcpy(cn_params_values(cn_policy_params(b.policy)), cn_params_values(params),
           cn_params_count(params) * sizeof(float));
    cn_normalizer_copy(cn_policy_normalizer(b.policy, 1), cn_policy_normalizer(a.policy, 1));
    CN_ASSERT_OK(b.learner->unpack(b.learner, &err));
    iterate(&a, 2);
    iterate(&b, 2);
    CU_ASSERT_EQUAL(cn_policy_checksum(a.policy, -1), cn_policy_checksum(b.policy, -1));
    setting_destroy(&a);
    setting_destroy(&b);
}

static void test_state_is_all_of_it(void)
{
    check_state(CN_PPO);
    check_state(CN_SAC);
}

/* PPO learns one standard deviation for all states: one that SAC left becomes that first. */
static void test_ppo_levels_the_standard_deviation(void)
{
    setting s = {.config = point_config()};
    cn_rng rng = cn_rng_make(4, 0);
    s.policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    CN_ASSERT_OK(cn_policy_add_state_std(s.policy, &err));
    point_disturb(s.policy, 1, &rng);
    CN_ASSERT_OK(cn_pool_create(1, &s.pool, &err));
    const cn_param weight = cn_policy_log_std_weight(s.policy, 1);
    const float *value = cn_params_slice(cn_policy_params(s.policy), weight);
    CU_ASSERT_NOT_EQUAL(value[0], 0.0f);
    const cn_learner_setup setup = setup_of(&s);
    CN_ASSERT_OK(cn_learner_create(&setup, &s.learner, &err));
    CU_ASSERT_EQUAL(value[0], 0.0f);
    iterate(&s, 1);
    CU_ASSERT_EQUAL(value[0], 0.0f);
    setting_destroy(&s);
}

static void test_refusals(void)
{
    setting s = {.config = point_config(), .world = {.refuse_at = 3}};
    s.policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    CN_ASSERT_OK(cn_pool_create(1, &s.pool, &err));
    const cn_learner_setup setup = setup_of(&s);
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "no point number 3",
                    cn_learner_create(&setup, &s.learner, &err));
    CU_ASSERT_PTR_NULL(s.learner);
    s.config.algorithm = (cn_algorithm)99;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "no algorithm has the number 99",
                    cn_learner_create(&setup, &s.learner, &err));
    CU_ASSERT_PTR_NULL(s.learner);
    setting_destroy(&s);
}

CN_TEST_MAIN("policy.learner", T(test_iteration), T(test_state_is_all_of_it),
             T(test_ppo_levels_the_standard_deviation), T(test_refusals))
