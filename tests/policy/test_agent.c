/* Agents: batches, features, and the bits they share with a single action. */
#include "policy/agent.h"
#include "tests/policy/point.h"

enum { ROWS = 6 };

/* OpenBLAS may sum a single row in another order than a batch. */
#define BATCH_TOLERANCE 2e-6

static cn_error err;

static void fill(float x[ROWS][4])
{
    cn_rng rng = cn_rng_make(9, 0);
    for (int i = 0; i < ROWS * 4; i++)
        x[i / 4][i % 4] = (float)cn_rng_normal(&rng);
}

static void test_batch_and_single_action_agree(void)
{
    cn_policy *policy = point_policy(2, CN_LATERAL_ADAPTER, CN_GROW_RANDOM);
    cn_agent *batch = NULL, *single = NULL;
    float x[ROWS][4], action[2];
    fill(x);
    CN_ASSERT_OK(cn_agent_create(policy, 1, ROWS, CN_AGENT_ACTOR_CRITIC, &batch, &err));
    CN_ASSERT_OK(cn_agent_create(policy, 1, 1, CN_AGENT_ACTOR, &single, &err));
    cn_agent_forward(batch, x[0], ROWS);
    for (int r = 0; r < ROWS; r++) {
        cn_agent_act(single, x[r], action);
        for (int i = 0; i < 2; i++)
            CU_ASSERT_DOUBLE_EQUAL(action[i], cn_agent_mean(batch)[2 * r + i], BATCH_TOLERANCE);
    }
    cn_agent_destroy(&batch);
    cn_agent_destroy(&single);
    cn_agent_destroy(&single);
    cn_policy_destroy(&policy);
}

/* An earlier column acts as the policy did before it grew. */
static void test_earlier_column_acts_as_before(void)
{
    cn_policy *before = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_rng rng = cn_rng_make(2, 0);
    CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_RANDOM, &rng, &err));
    cn_agent *a = NULL, *b = NULL;
    float x[ROWS][4], y[2], z[2];
    fill(x);
    CN_ASSERT_OK(cn_agent_create(before, 0, 1, CN_AGENT_ACTOR, &a, &err));
    CN_ASSERT_OK(cn_agent_create(policy, 0, 1, CN_AGENT_ACTOR, &b, &err));
    for (int r = 0; r < ROWS; r++) {
        cn_agent_act(a, x[r], y);
        cn_agent_act(b, x[r], z);
        CU_ASSERT_EQUAL(memcmp(y, z, sizeof y), 0);
    }
    cn_agent_destroy(&a);
    cn_agent_destroy(&b);
    cn_policy_destroy(&before);
    cn_policy_destroy(&policy);
}

/* Actor's and critic's frozen hidden layers side by side; the column's own normalised input. */
static void test_features_and_input(void)
{
    cn_policy *policy = point_policy(3, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_agent *agent = NULL, *first = NULL;
    float x[ROWS][4], input[4];
    fill(x);
    CN_ASSERT_OK(cn_agent_create(policy, 2, ROWS, CN_AGENT_ACTOR_CRITIC, &agent, &err));
    CN_ASSERT_OK(cn_agent_create(policy, 0, ROWS, CN_AGENT_ACTOR_CRITIC, &first, &err));
    cn_agent_forward(agent, x[0], ROWS);
    for (int r = 0; r < ROWS; r++) {
        cn_policy_input(policy, 2, x[r], input);
        CU_ASSERT_EQUAL(memcmp(input, cn_agent_input(agent) + 4 * r, sizeof input), 0);
        for (int i = 0; i < 128; i++)
            CU_ASSERT_TRUE(fabsf(cn_agent_features(agent)[r * 128 + i]) <= 1.0f); /* tanh */
    }
    /* unit 0 of the actor's first layer, by hand */
    const float *w =
        cn_params_slice(cn_policy_params(policy),
                        cn_params_find(cn_policy_params(policy), "actor/0/layer0.weight"));
    const float *b = cn_params_slice(
        cn_policy_params(policy), cn_params_find(cn_policy_params(policy), "actor/0/layer0.bias"));
    double sum = (double)b[0];
    cn_policy_input(policy, 0, x[0], input);
    for (int i = 0; i < 4; i++)
        sum += (double)w[i] * (double)input[i];
    CU_ASSERT_DOUBLE_EQUAL(cn_agent_features(agent)[0], tanh(sum), BATCH_TOLERANCE);
    cn_agent_destroy(&agent);
    cn_agent_destroy(&first);
    cn_policy_destroy(&policy);
}

/* A squashed column acts with the tanh of its mean; how far actions spread depends on the state. */
static void test_squashed_column(void)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_rng rng = cn_rng_make(8, 0);
    cn_agent *actor = NULL, *sampler = NULL;
    float x[ROWS][4], action[2];
    fill(x);
    cn_policy_column_at(policy, 0)->bound = CN_BOUND_TANH;
    CN_ASSERT_OK(cn_policy_add_state_std(policy, &err));
    CN_ASSERT_OK(cn_policy_add_state_std(policy, &err)); /* has it already */
    CU_ASSERT_TRUE(cn_policy_column_at(policy, 0)->state_std);
    CN_ASSERT_OK(cn_agent_create(policy, 0, 1, CN_AGENT_ACTOR, &actor, &err));
    CN_ASSERT_OK(cn_agent_create(policy, 0, ROWS, CN_AGENT_SAMPLER, &sampler, &err));
    cn_agent_forward(sampler, x[0], ROWS);
    for (int i = 0; i < 2 * ROWS; i++) /* begins as a constant: the clamp of log_std 0 */
        CU_ASSERT_DOUBLE_EQUAL(cn_agent_log_std(sampler)[i], -1.5 + 3.5 * tanh(1.5 / 3.5), 1e-6);
    point_disturb(policy, 0, &rng);
    cn_agent_forward(sampler, x[0], ROWS);
    CU_ASSERT_NOT_EQUAL(cn_agent_log_std(sampler)[0], cn_agent_log_std(sampler)[2]);
    for (int r = 0; r < ROWS; r++) {
        cn_agent_act(actor, x[r], action);
        for (int i = 0; i < 2; i++)
            CU_ASSERT_DOUBLE_EQUAL(action[i], tanh((double)cn_agent_mean(sampler)[2 * r + i]),
                                   BATCH_TOLERANCE);
    }
    cn_agent_destroy(&actor);
    cn_agent_destroy(&sampler);
    cn_policy_destroy(&policy);
}

/* Grown with an identity start it is bounded as the column before, and acts as that one. */
static void test_bound_is_inherited(void)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_rng rng = cn_rng_make(8, 0);
    const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_agent *agent[2] = {NULL};
    float x[ROWS][4], y[2], z[2];
    fill(x);
    cn_policy_column_at(policy, 0)->bound = CN_BOUND_TANH;
    CN_ASSERT_OK(cn_policy_add_state_std(policy, &err));
    point_disturb(policy, 0, &rng);
    cn_policy_freeze(policy, 0);
    CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 1)->bound, CN_BOUND_TANH);
    CU_ASSERT_FALSE(cn_policy_column_at(policy, 1)->state_std);
    CU_ASSERT_EQUAL(cn_policy_log_std_weight(policy, 1), -1);
    for (int k = 0; k < 2; k++)
        CN_ASSERT_OK(cn_agent_create(policy, k, 1, CN_AGENT_ACTOR, &agent[k], &err));
    for (int r = 0; r < ROWS; r++) {
        cn_agent_act(agent[0], x[r], y);
        cn_agent_act(agent[1], x[r], z);
        for (int i = 0; i < 2; i++)
            CU_ASSERT_DOUBLE_EQUAL(y[i], z[i], BATCH_TOLERANCE);
    }
    cn_agent_destroy(&agent[0]);
    cn_agent_destroy(&agent[1]);
    cn_policy_destroy(&policy);
}

static void test_create_refuses(void)
{
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_agent *agent = NULL;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "column 2: the policy has columns 0 to 1",
                    cn_agent_create(policy, 2, 1, CN_AGENT_ACTOR, &agent, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "column -1: the policy has columns 0 to 1",
                    cn_agent_create(policy, -1, 1, CN_AGENT_ACTOR, &agent, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 rows planned",
                    cn_agent_create(policy, 0, 0, CN_AGENT_ACTOR, &agent, &err));
    CU_ASSERT_PTR_NULL(agent);
    cn_policy_destroy(&policy);
}

CN_TEST_MAIN("policy.agent", T(test_batch_and_single_action_agree),
             T(test_earlier_column_acts_as_before), T(test_features_and_input),
             T(test_squashed_column), T(test_bound_is_inherited), T(test_create_refuses))
