/* Policies in memory: growing, choosing groups, the identity start, freezing. */
#include "policy/agent.h"
#include "tests/policy/point.h"

/* An identity start adds products with 0 to the sums of the old head; only their order differs. */
#define IDENTITY_TOLERANCE 1e-6

static cn_error err;

static void fill_observations(float *x, int count)
{
    cn_rng rng = cn_rng_make(3, 0);
    for (int i = 0; i < count; i++)
        x[i] = (float)(2.0 * cn_rng_normal(&rng));
}

/* ---- Growing ---- */

/* The largest difference of actor and of critic between column k and the one before it. */
static void start_difference(cn_policy *policy, double *actor, double *critic)
{
    enum { SAMPLES = 50 };
    float observations[SAMPLES * 4];
    const int k = cn_policy_columns(policy) - 1;
    cn_agent *old = NULL, *new = NULL;
    fill_observations(observations, SAMPLES * 4);
    CN_ASSERT_OK(cn_agent_create(policy, k - 1, SAMPLES, CN_AGENT_ACTOR_CRITIC, &old, &err));
    CN_ASSERT_OK(cn_agent_create(policy, k, SAMPLES, CN_AGENT_ACTOR_CRITIC, &new, &err));
    cn_agent_forward(old, observations, SAMPLES);
    cn_agent_forward(new, observations, SAMPLES);
    *actor = *critic = 0.0;
    for (int i = 0; i < SAMPLES * 2; i++)
        *actor = fmax(*actor, fabs((double)cn_agent_mean(old)[i] - (double)cn_agent_mean(new)[i]));
    for (int i = 0; i < SAMPLES; i++)
        *critic =
            fmax(*critic, fabs((double)cn_agent_value(old)[i] - (double)cn_agent_value(new)[i]));
    cn_agent_destroy(&old);
    cn_agent_destroy(&new);
}

static const cn_lateral kinds[] = {CN_LATERAL_LINEAR, CN_LATERAL_ADAPTER};

static void test_identity_start(void)
{
    for (int columns = 2; columns <= 3; columns++) {
        for (int kind = 0; kind < 2; kind++) {
            double actor, critic;
            cn_policy *policy = point_policy(columns, kinds[kind], CN_GROW_IDENTITY);
            start_difference(policy, &actor, &critic);
            CU_ASSERT_TRUE(actor <= IDENTITY_TOLERANCE);
            CU_ASSERT_TRUE(critic <= IDENTITY_TOLERANCE);
            cn_policy_destroy(&policy);
        }
    }
}

static void test_random_start_is_another_policy(void)
{
    for (int columns = 2; columns <= 3; columns++) {
        for (int kind = 0; kind < 2; kind++) {
            double actor, critic;
            cn_policy *policy = point_policy(columns, kinds[kind], CN_GROW_RANDOM);
            start_difference(policy, &actor, &critic);
            CU_ASSERT_TRUE(actor > 0.01); /* the gain of a fresh policy head */
            CU_ASSERT_TRUE(critic > 0.1);
            cn_policy_destroy(&policy);
        }
    }
}

static void test_identity_start_explores_at_least_as_much(void)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_params *params = cn_policy_params(policy);
    float *old = cn_params_slice(params, cn_policy_log_std(policy, 0));
    old[0] = -3.0f;
    old[1] = -0.5f;
    cn_policy_freeze(policy, 0);
    cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    column.log_std = -1.0f;
    cn_rng rng = cn_rng_make(1, 0);
    CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
    const float *new = cn_params_slice(params, cn_policy_log_std(policy, 1));
    CU_ASSERT_EQUAL(new[0], -1.0f);
    CU_ASSERT_EQUAL(new[1], -0.5f);
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    cn_policy_destroy(&policy);
}

/* ---- How far actions spread ---- */

enum { STATES = 20 };

/* The log standard deviations of a column with state_std, in some states or in one. */
static void spread_of(cn_policy *policy, int column, const float *observations, int rows,
                      float *out)
{
    cn_agent *agent = NULL;
    CN_ASSERT_OK(cn_agent_create(policy, column, rows, CN_AGENT_SAMPLER, &agent, &err));
    cn_agent_forward(agent, observations, rows);
    memcpy(out, cn_agent_log_std(agent), (size_t)rows * 2 * sizeof *out);
    cn_agent_destroy(&agent);
}

/* A policy whose last column, of this many, spreads otherwise in every state. */
static cn_policy *spreading(int columns, cn_lateral lateral)
{
    cn_policy *policy = point_policy(1, lateral, CN_GROW_RANDOM);
    cn_policy_column column = point_column(lateral);
    cn_rng rng = cn_rng_make(17, 0);
    column.state_std = true;
    column.log_std = -10.0f;
    CN_ASSERT_OK(cn_policy_add_state_std(policy, &err));
    for (int k = 0; k < columns; k++) {
        if (k > 0)
            CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
        for (int again = 0; again < 5; again++)
            point_disturb(policy, k, &rng);
        cn_policy_freeze(policy, k);
    }
    return policy;
}

/* Log standard deviations where a column's normaliser has its mean. */
static void spread_at_the_mean(cn_policy *policy, int column, float out[2])
{
    float mean[4];
    for (int i = 0; i < 4; i++)
        mean[i] = (float)cn_policy_normalizer(policy, column)->mean[i];
    spread_of(policy, column, mean, 1, out);
}

/* Where the new column can, it explores as the one before did in every state. */
static void test_identity_start_spreads_as_before(void)
{
    float x[STATES * 4], before[STATES * 2], after[STATES * 2];
    fill_observations(x, STATES * 4);
    for (int columns = 1; columns <= 2; columns++) {
        for (int kind = 0; kind < 2; kind++) {
            cn_policy *policy = spreading(columns, kinds[kind]);
            cn_policy_column column = point_column(kinds[kind]);
            cn_rng rng = cn_rng_make(5, 0);
            column.state_std = true;
            column.log_std = -10.0f;
            CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
            spread_of(policy, columns - 1, x, STATES, before);
            spread_of(policy, columns, x, STATES, after);
            for (int i = 0; i < STATES * 2; i++)
                CU_ASSERT_DOUBLE_EQUAL(after[i], before[i], IDENTITY_TOLERANCE);
            CU_ASSERT_TRUE(fabsf(before[0] - before[2]) > 0.1f); /* or it would show nothing */
            CN_ASSERT_OK(cn_policy_verify(policy, &err));
            cn_policy_destroy(&policy);
        }
    }
}

/* A column with one standard deviation begins with that of the mean observation. */
static void test_identity_start_without_state_std(void)
{
    float want[2];
    cn_policy *policy = spreading(2, CN_LATERAL_LINEAR);
    cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_rng rng = cn_rng_make(5, 0);
    column.log_std = -10.0f;
    spread_at_the_mean(policy, 1, want);
    const float *bias = cn_params_slice(cn_policy_params(policy), cn_policy_log_std(policy, 1));
    CU_ASSERT_TRUE(fabsf(want[0] - bias[0]) > 0.01f); /* the bias alone would be wrong */
    CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
    const float *have = cn_params_slice(cn_policy_params(policy), cn_policy_log_std(policy, 2));
    for (int i = 0; i < 2; i++)
        CU_ASSERT_DOUBLE_EQUAL(have[i], want[i], IDENTITY_TOLERANCE);
    CU_ASSERT_EQUAL(cn_policy_log_std_weight(policy, 2), -1);
    cn_policy_destroy(&policy);
}

/* So does a column that learns on with PPO, itself; a second time changes nothing. */
static void test_level_std(void)
{
    float want[2];
    cn_policy *policy = spreading(2, CN_LATERAL_LINEAR);
    cn_params *params = cn_policy_params(policy);
    cn_policy_thaw(policy, 1);
    spread_at_the_mean(policy, 1, want);
    CN_ASSERT_OK(cn_policy_level_std(policy, 1, &err));
    const uint64_t levelled = cn_policy_checksum(policy, 1);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_DOUBLE_EQUAL(cn_params_slice(params, cn_policy_log_std(policy, 1))[i], want[i],
                               IDENTITY_TOLERANCE);
    const cn_param weight = cn_policy_log_std_weight(policy, 1);
    for (size_t i = 0; i < cn_params_info(params, weight)->count; i++)
        CU_ASSERT_EQUAL(cn_params_slice(params, weight)[i], 0.0f);
    CN_ASSERT_OK(cn_policy_level_std(policy, 1, &err));
    CU_ASSERT_EQUAL(cn_policy_checksum(policy, 1), levelled);
    cn_policy_destroy(&policy);
}

/* What it lacks at the mean observation is added in every state. */
static void test_explore_raises_every_state(void)
{
    float x[STATES * 4], before[STATES * 2], after[STATES * 2], mean[2];
    cn_policy *policy = spreading(1, CN_LATERAL_LINEAR);
    fill_observations(x, STATES * 4);
    cn_policy_thaw(policy, 0);
    spread_of(policy, 0, x, STATES, before);
    spread_at_the_mean(policy, 0, mean);
    const float least = (mean[0] + mean[1]) / 2.0f;
    const int low = mean[0] < mean[1] ? 0 : 1;
    CN_ASSERT_OK(cn_policy_explore(policy, 0, least, &err));
    spread_of(policy, 0, x, STATES, after);
    for (int i = 0; i < STATES; i++) {
        CU_ASSERT_TRUE(after[2 * i + low] > before[2 * i + low]);
        CU_ASSERT_EQUAL(after[2 * i + 1 - low], before[2 * i + 1 - low]);
    }
    cn_policy_destroy(&policy);
}

/* A column that sees one group gets those numbers, and only its own weights for them. */
static void test_columns_choose_their_groups(void)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    column.groups = 1;
    column.group[0] = 1;
    cn_rng rng = cn_rng_make(1, 0);
    CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_RANDOM, &rng, &err));
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 0)->groups, 2); /* 0 meant all */
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 0)->input_size, 4);
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 1)->input_size, 2);
    const float observation[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    float input[4] = {0};
    cn_policy_gather(policy, 1, observation, input);
    CU_ASSERT_EQUAL(input[0], 3.0f);
    CU_ASSERT_EQUAL(input[1], 4.0f);
    const float seen[4] = {2.0f, 4.0f, 4.0f, 4.0f}; /* mean 3, std 1; mean 4, std 0 */
    cn_normalizer *n = cn_policy_normalizer(policy, 1);
    cn_normalizer_update(n, seen, 2, 2);
    cn_normalizer_refresh(n);
    cn_policy_input(policy, 1, (const float[4]){9.0f, 9.0f, 5.0f, 4.0f}, input);
    CU_ASSERT_DOUBLE_EQUAL(input[0], 2.0, 1e-6);
    CU_ASSERT_EQUAL(input[1], 0.0f);
    cn_policy_destroy(&policy);
}

static void test_grow_refuses(void)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_rng rng = cn_rng_make(1, 0);
    cn_policy_column bad = point_column(CN_LATERAL_LINEAR);
    bad.groups = 1;
    bad.group[0] = 2;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "observation group 2: task 'point' has groups 0 to 1",
                    cn_policy_grow(policy, &bad, CN_GROW_RANDOM, &rng, &err));
    bad.group[0] = 1;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT,
                    "an identity start needs the observation groups of the column before it",
                    cn_policy_grow(policy, &bad, CN_GROW_IDENTITY, &rng, &err));
    bad = point_column(CN_LATERAL_LINEAR);
    bad.hidden[1] = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "actor, column 1: hidden layer 1 has 0 units",
                    cn_policy_grow(policy, &bad, CN_GROW_RANDOM, &rng, &err));
    bad = point_column(CN_LATERAL_NONE);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "needs a column before it and laterals from it",
                    cn_policy_grow(policy, &bad, CN_GROW_IDENTITY, &rng, &err));
    CU_ASSERT_EQUAL(cn_policy_columns(policy), 1);
    cn_policy_destroy(&policy);
    CU_ASSERT_PTR_NULL(policy);
    cn_policy_destroy(&policy);
}

static void test_grow_chooses_an_adapter(void)
{
    static const struct {
        int hidden[2], size, units;
    } cases[] = {{{64, 64}, 0, 8}, {{16, 128}, 0, 16}, {{256, 8}, 0, 32}, {{256, 256}, 3, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_policy *policy = point_policy(1, CN_LATERAL_ADAPTER, CN_GROW_RANDOM);
        cn_rng rng = cn_rng_make(1, 0);
        cn_policy_column column = point_column(CN_LATERAL_ADAPTER);
        memcpy(column.hidden, cases[i].hidden, sizeof cases[i].hidden);
        column.adapter_size = cases[i].size;
        CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
        CU_ASSERT_EQUAL(cn_policy_column_at(policy, 1)->adapter_size, cases[i].units);
        const cn_param V = cn_params_find(cn_policy_params(policy), "actor/1/adapter1.weight");
        CU_ASSERT_EQUAL(cn_params_info(cn_policy_params(policy), V)->rows, cases[i].units);
        cn_policy_destroy(&policy);
    }
}

static void test_most_columns(void)
{
    cn_policy *policy = point_policy(CN_MAX_COLUMNS, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_rng rng = cn_rng_make(1, 0);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "the policy has 8 columns, the most there can be",
                    cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
    cn_policy_destroy(&policy);
}

/* ---- Freezing ---- */

/* Flips the lowest bit of one float or double. */
static void flip(void *number)
{
    *(unsigned char *)number ^= 1;
}

static void test_freezing_stops_gradients(void)
{
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_params *params = cn_policy_params(policy);
    int trainable = 0;
    for (cn_param p = 0; p < cn_params_slices(params); p++) {
        const cn_param_info *info = cn_params_info(params, p);
        const bool first = strstr(info->name, "/0/") != NULL;
        CU_ASSERT_EQUAL(info->frozen, first);
        trainable += !first;
    }
    CU_ASSERT_TRUE(trainable > 0);
    cn_policy_thaw(policy, 0);
    CU_ASSERT_EQUAL(cn_params_trainable(params), cn_params_count(params));
    CU_ASSERT_FALSE(cn_policy_column_at(policy, 0)->frozen);
    cn_policy_destroy(&policy);
}

/* One bit of any parameter slice or statistic of a frozen column is found. */
static void test_verify_finds_one_bit(void)
{
    cn_policy *policy = point_policy(2, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    cn_params *params = cn_policy_params(policy);
    cn_normalizer *n = cn_policy_normalizer(policy, 0);
    int flipped = 0;
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    for (cn_param p = 0; p < cn_params_slices(params); p++) {
        if (!cn_params_info(params, p)->frozen)
            continue;
        float *last = cn_params_slice(params, p) + cn_params_info(params, p)->count - 1;
        flip(last);
        CN_ASSERT_FAILS(CN_ERR_CHECKSUM, "column 0 was frozen with checksum ",
                        cn_policy_verify(policy, &err));
        flip(last);
        flipped++;
    }
    CU_ASSERT_EQUAL(flipped, 2 * 3 * 2 + 1); /* actor and critic of three layers, log_std */
    double *const statistics[] = {&n->count, &n->mean[3], &n->square[2]};
    for (int i = 0; i < 3; i++) {
        flip(statistics[i]);
        CN_ASSERT_FAILS(CN_ERR_CHECKSUM, "column 0 was frozen with checksum ",
                        cn_policy_verify(policy, &err));
        flip(statistics[i]);
    }
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    cn_policy_destroy(&policy);
}

static void test_verify_names_both_sums(void)
{
    cn_policy *policy = point_policy(3, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    char words[96];
    flip(&cn_policy_normalizer(policy, 1)->mean[0]);
    snprintf(words, sizeof words, "column 1 was frozen with checksum %016llx and is now %016llx",
             (unsigned long long)cn_policy_column_at(policy, 1)->checksum,
             (unsigned long long)cn_policy_checksum(policy, 1));
    CN_ASSERT_FAILS(CN_ERR_CHECKSUM, words, cn_policy_verify(policy, &err));
    /* frozen anew, it is what it is now */
    cn_policy_freeze(policy, 1);
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    cn_policy_destroy(&policy);
}

/* A column that learns may change. */
static void test_the_last_column_is_not_verified(void)
{
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    const uint64_t whole = cn_policy_checksum(policy, -1), first = cn_policy_checksum(policy, 0);
    flip(cn_params_slice(cn_policy_params(policy), cn_policy_log_std(policy, 1)));
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    CU_ASSERT_NOT_EQUAL(cn_policy_checksum(policy, -1), whole);
    CU_ASSERT_EQUAL(cn_policy_checksum(policy, 0), first);
    cn_policy_destroy(&policy);
}

CN_TEST_MAIN("policy.policy", T(test_identity_start), T(test_random_start_is_another_policy),
             T(test_identity_start_explores_at_least_as_much),
             T(test_identity_start_spreads_as_before), T(test_identity_start_without_state_std),
             T(test_level_std), T(test_explore_raises_every_state),
             T(test_columns_choose_their_groups), T(test_grow_refuses),
             T(test_grow_chooses_an_adapter), T(test_most_columns),
             T(test_freezing_stops_gradients), T(test_verify_finds_one_bit),
             T(test_verify_names_both_sums), T(test_the_last_column_is_not_verified))
