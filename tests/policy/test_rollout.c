/* Rollouts: what is noted of each step, how episodes end and begin, failing environments, and the
 * same bits on any number of threads. */
#include "tests/policy/point.h"

enum { ENVS = 10, STEPS = 50 };

/* log_prob comes from the normal number that was drawn, the check from the float action. */
#define LOG_PROB_TOLERANCE 1e-5

/* A single row may be summed in another order than a shard's batch. */
#define BATCH_TOLERANCE 2e-6

static cn_error err;

typedef struct setting {
    point_world world;
    cn_policy *policy;
    cn_pool *pool;
    cn_collector *collector;
} setting;

static void setting_create(setting *s, const point_world *world, int columns, int threads,
                           uint64_t seed)
{
    *s = (setting){.policy = point_policy(columns, CN_LATERAL_LINEAR, CN_GROW_IDENTITY)};
    s->world.step_limit = world->step_limit;
    s->world.fail_at = world->fail_at;
    s->world.fails = world->fails;
    s->world.unreachable = world->unreachable;
    CN_ASSERT_OK(cn_pool_create(threads, &s->pool, &err));
    CN_ASSERT_OK(cn_collector_create(s->policy, columns - 1, ENVS, STEPS, seed, point_make,
                                     &s->world, s->pool, &s->collector, &err));
}

static void setting_destroy(setting *s)
{
    cn_collector_destroy(&s->collector);
    cn_collector_destroy(&s->collector);
    CU_ASSERT_EQUAL(s->world.alive, 0);
    cn_pool_destroy(&s->pool);
    cn_policy_destroy(&s->policy);
}

static double log_normal(double x, double mean, double log_std)
{
    const double z = (x - mean) / exp(log_std);
    return -0.5 * z * z - log_std - 0.5 * log(2.0 * acos(-1.0));
}

/* Every row's input, features, value and log-probability, computed again from its observation. */
static void test_rows_hold_what_the_policy_saw(void)
{
    setting s;
    cn_episode_totals totals;
    cn_agent *agent = NULL;
    setting_create(&s, &(point_world){0}, 2, 1, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CN_ASSERT_OK(cn_agent_create(s.policy, 1, 1, CN_AGENT_ACTOR_CRITIC, &agent, &err));
    const cn_rollout *r = cn_collector_rollout(s.collector);
    const float *log_std =
        cn_params_slice(cn_policy_params(s.policy), cn_policy_log_std(s.policy, 1));
    CU_ASSERT_EQUAL(r->F, 2 * (16 + 16));
    for (int row = 0; row < ENVS * STEPS; row++) {
        cn_agent_forward(agent, r->observation + row * r->O, 1);
        CU_ASSERT_EQUAL(memcmp(cn_agent_input(agent), r->input + row * r->I, 4 * sizeof(float)), 0);
        for (int i = 0; i < r->F; i++)
            CU_ASSERT_DOUBLE_EQUAL(cn_agent_features(agent)[i], r->features[row * r->F + i],
                                   BATCH_TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(cn_agent_value(agent)[0], r->value[row], BATCH_TOLERANCE);
        double log_prob = 0.0;
        for (int i = 0; i < 2; i++)
            log_prob += log_normal((double)r->action[2 * row + i], (double)cn_agent_mean(agent)[i],
                                   (double)log_std[i]);
        CU_ASSERT_DOUBLE_EQUAL(r->log_prob[row], log_prob, LOG_PROB_TOLERANCE);
    }
    cn_agent_destroy(&agent);
    setting_destroy(&s);
}

/* Follows the environments with their noted actions: rewards, ends and observations are theirs, the
 * action is clipped by the environment and noted unclipped. */
static void test_rows_hold_what_the_environment_did(void)
{
    setting s;
    cn_episode_totals totals;
    setting_create(&s, &(point_world){0}, 1, 1, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    const cn_rollout *r = cn_collector_rollout(s.collector);
    int beyond = 0;
    long ended = 0;
    double reward = 0.0, unfinished = 0.0;
    for (int row = 0; row < ENVS * STEPS; row++) {
        const float *x = r->observation + 4 * row, *a = r->action + 2 * row;
        const bool last = row % STEPS == STEPS - 1;
        reward += (double)r->reward[row];
        unfinished = row % STEPS == 0 || (row > 0 && r->end[row - 1]) ? 0.0 : unfinished;
        unfinished += (double)r->reward[row];
        for (int i = 0; i < 2; i++) {
            beyond += fabsf(a[i]) > 1.0f;
            const float moved = x[2 + i] + POINT_STRIDE * fminf(fmaxf(a[i], -1.0f), 1.0f);
            if (!r->end[row] && !last)
                CU_ASSERT_DOUBLE_EQUAL(x[4 + 2 + i], moved, 1e-6);
        }
        ended += r->end[row] != 0;
        reward -= last && !r->end[row] ? unfinished : 0.0;
    }
    CU_ASSERT_TRUE(beyond > 100); /* with a standard deviation of 1, about every third */
    CU_ASSERT_TRUE(ended > ENVS);
    CU_ASSERT_EQUAL(totals.episodes, ended);
    CU_ASSERT_DOUBLE_EQUAL(totals.return_sum, reward, 1e-4);
    setting_destroy(&s);
}

static void test_termination_does_not_bootstrap(void)
{
    setting s;
    cn_episode_totals totals;
    setting_create(&s, &(point_world){.step_limit = 1000}, 1, 1, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    const cn_rollout *r = cn_collector_rollout(s.collector);
    int terminated = 0;
    for (int row = 0; row < ENVS * STEPS; row++) {
        CU_ASSERT_EQUAL(r->bootstrap[row], 0.0f);
        CU_ASSERT_NOT_EQUAL(r->end[row], CN_END_TRUNCATED);
        terminated += r->end[row] == CN_END_TERMINATED;
    }
    CU_ASSERT_TRUE(terminated > 0);
    CU_ASSERT_EQUAL(totals.episodes, terminated);
    CU_ASSERT_EQUAL(totals.successes, terminated);
    setting_destroy(&s);
}

/* The final observation is not in the rollout; it is where the last noted action led. */
static void test_truncation_bootstraps_from_the_final_observation(void)
{
    setting s;
    cn_episode_totals totals;
    cn_agent *agent = NULL;
    setting_create(&s, &(point_world){.step_limit = 7, .unreachable = true}, 1, 1, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CN_ASSERT_OK(cn_agent_create(s.policy, 0, 1, CN_AGENT_ACTOR_CRITIC, &agent, &err));
    const cn_rollout *r = cn_collector_rollout(s.collector);
    for (int row = 0; row < ENVS * STEPS; row++) {
        const bool last = row % STEPS % 7 == 6;
        CU_ASSERT_EQUAL(r->end[row], last ? CN_END_TRUNCATED : 0);
        if (!last) {
            CU_ASSERT_EQUAL(r->bootstrap[row], 0.0f);
            continue;
        }
        float final[4];
        for (int i = 0; i < 2; i++) {
            const float moved = POINT_STRIDE * fminf(fmaxf(r->action[2 * row + i], -1.0f), 1.0f);
            final[i] = r->observation[4 * row + i] - moved;
            final[2 + i] = r->observation[4 * row + 2 + i] + moved;
        }
        cn_agent_forward(agent, final, 1);
        CU_ASSERT_DOUBLE_EQUAL(r->bootstrap[row], cn_agent_value(agent)[0], 1e-5);
    }
    CU_ASSERT_EQUAL(totals.episodes, ENVS * (STEPS / 7));
    CU_ASSERT_EQUAL(totals.length_sum, 7.0 * (double)totals.episodes);
    CU_ASSERT_EQUAL(totals.successes, 0);
    cn_agent_destroy(&agent);
    setting_destroy(&s);
}

/* The next run goes on where this one ended, and last_value is the value of that place. */
static void test_runs_continue_episodes(void)
{
    setting s;
    cn_episode_totals totals;
    setting_create(&s, &(point_world){.step_limit = 80, .unreachable = true}, 1, 1, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CU_ASSERT_EQUAL(totals.episodes, 0);
    cn_rollout *r = cn_collector_rollout(s.collector);
    float last_value[ENVS];
    memcpy(last_value, r->last_value, sizeof last_value);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CU_ASSERT_EQUAL(totals.episodes, ENVS);
    CU_ASSERT_EQUAL(totals.length_sum, 80.0 * ENVS);
    for (int n = 0; n < ENVS; n++) {
        CU_ASSERT_EQUAL(r->value[n * STEPS], last_value[n]);
        CU_ASSERT_EQUAL(r->end[n * STEPS + 29], CN_END_TRUNCATED);
    }
    setting_destroy(&s);
}

/* ---- The same bits ---- */

static uint64_t hash(uint64_t h, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t rollout_hash(int threads, uint64_t seed)
{
    setting s;
    cn_episode_totals totals;
    uint64_t h = 0;
    setting_create(&s, &(point_world){0}, 2, threads, seed);
    for (int run = 0; run < 2; run++) {
        CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
        const cn_rollout *r = cn_collector_rollout(s.collector);
        const size_t rows = ENVS * STEPS, size = sizeof(float);
        h = hash(h, r->observation, rows * 4 * size);
        h = hash(h, r->action, rows * 2 * size);
        h = hash(h, r->log_prob, rows * size);
        h = hash(h, r->value, rows * size);
        h = hash(h, r->features, rows * (size_t)r->F * size);
        h = hash(h, r->last_value, ENVS * size);
        h = hash(h, &totals.return_sum, sizeof totals.return_sum);
    }
    setting_destroy(&s);
    return h;
}

static void test_threads_do_not_change_bits(void)
{
    const uint64_t one = rollout_hash(1, 1);
    CU_ASSERT_EQUAL(rollout_hash(2, 1), one);
    CU_ASSERT_EQUAL(rollout_hash(4, 1), one);
    CU_ASSERT_NOT_EQUAL(rollout_hash(1, 2), one);
}

/* ---- Failures ---- */

static void test_failing_environment(void)
{
    setting s;
    cn_episode_totals totals;
    setting_create(&s, &(point_world){.fails = 6, .fail_at = STEPS + 5}, 1, 2, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "point 6 broke at step 55",
                    cn_collector_run(s.collector, &totals, &err));
    CU_ASSERT_EQUAL(err.code, CN_ERR_TIMEOUT);
    /* it broke once: the next run begins new episodes everywhere, so none is older than a run */
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CU_ASSERT_TRUE(totals.length_sum <= ENVS * STEPS);
    setting_destroy(&s);
}

/* A failed run leaves no environment in the middle of an episode that nobody follows. */
static void test_episodes_begin_anew_after_a_failure(void)
{
    setting s;
    cn_episode_totals totals;
    setting_create(&s, &(point_world){.fail_at = 3, .step_limit = STEPS, .unreachable = true}, 1, 1,
                   1);
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "point 0 broke at step 3",
                    cn_collector_run(s.collector, &totals, &err));
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    CU_ASSERT_EQUAL(totals.episodes, ENVS);
    CU_ASSERT_EQUAL(totals.length_sum, (double)STEPS * ENVS);
    setting_destroy(&s);
}

/* ---- Transitions ---- */

static void transitions_create(setting *s, cn_bound bound, int threads)
{
    *s = (setting){.policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY)};
    cn_policy_column_at(s->policy, 1)->bound = bound;
    s->world.step_limit = 7;
    CN_ASSERT_OK(cn_pool_create(threads, &s->pool, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "column 1 has one standard deviation for all states",
                    cn_collector_create_transitions(s->policy, 1, ENVS, STEPS, 1, point_make,
                                                    &s->world, s->pool, &s->collector, &err));
    CN_ASSERT_OK(cn_policy_add_state_std(s->policy, &err));
    CN_ASSERT_OK(cn_collector_create_transitions(s->policy, 1, ENVS, STEPS, 1, point_make,
                                                 &s->world, s->pool, &s->collector, &err));
}

/* What follows is the observation of the next row, but where an episode ended: there it is its last
 * one. It follows from observation and action by the world's rule. */
static void check_transitions(cn_bound bound)
{
    setting s;
    cn_episode_totals totals;
    int ends[3] = {0};
    transitions_create(&s, bound, 2);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    const cn_rollout *r = cn_collector_rollout(s.collector);
    for (int row = 0; row < ENVS * STEPS; row++) {
        const float *before = r->observation + row * 4, *after = r->next + row * 4;
        ends[r->end[row]]++;
        for (int i = 0; i < 2; i++) {
            const float a = r->action[row * 2 + i];
            CU_ASSERT_TRUE(fabsf(a) <= 1.0f);
            CU_ASSERT_DOUBLE_EQUAL(after[2 + i], before[2 + i] + POINT_STRIDE * a, 1e-6);
        }
        CU_ASSERT_DOUBLE_EQUAL(r->reward[row],
                               hypotf(before[0], before[1]) - hypotf(after[0], after[1]), 1e-6);
        const bool last = row % STEPS == STEPS - 1;
        if (!last)
            CU_ASSERT_EQUAL(memcmp(after, before + 4, 4 * sizeof *after) == 0, r->end[row] == 0);
    }
    CU_ASSERT_TRUE(ends[CN_END_TERMINATED] > 0 && ends[CN_END_TRUNCATED] > 0);
    CU_ASSERT_EQUAL(ends[CN_END_TERMINATED] + ends[CN_END_TRUNCATED], totals.episodes);
    setting_destroy(&s);
}

static void test_transitions(void)
{
    check_transitions(CN_BOUND_CLIP);
    check_transitions(CN_BOUND_TANH);
}

/* Uniform actions: mean 0, variance 1/3; the policy's again afterwards, on the same seed. */
static void test_wandering(void)
{
    setting s;
    cn_episode_totals totals;
    double sum = 0.0, square = 0.0;
    enum { ACTIONS = 2 * ENVS * STEPS };
    transitions_create(&s, CN_BOUND_CLIP, 1);
    cn_collector_wander(s.collector, true);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    const float *action = cn_collector_rollout(s.collector)->action;
    for (int i = 0; i < ACTIONS; i++) {
        sum += (double)action[i];
        square += (double)action[i] * (double)action[i];
    }
    /* five standard deviations: variances 1/3 and 4/45 of one */
    CU_ASSERT_DOUBLE_EQUAL(sum / ACTIONS, 0.0, 5.0 * sqrt(1.0 / 3.0 / ACTIONS));
    CU_ASSERT_DOUBLE_EQUAL(square / ACTIONS, 1.0 / 3.0, 5.0 * sqrt(4.0 / 45.0 / ACTIONS));
    cn_collector_wander(s.collector, false);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    int clipped = 0;
    for (int i = 0; i < ACTIONS; i++)
        clipped += fabsf(action[i]) == 1.0f;
    CU_ASSERT_TRUE(clipped > 0); /* of a Gaussian with standard deviation 1, about a third */
    setting_destroy(&s);
}

/* PPO on a squashed column notes the Gaussian action; the environment gets its tanh. */
static void test_on_policy_actions_are_squashed(void)
{
    setting s;
    cn_episode_totals totals;
    setting_create(&s, &(point_world){0}, 1, 1, 1);
    cn_collector_destroy(&s.collector);
    cn_policy_column_at(s.policy, 0)->bound = CN_BOUND_TANH;
    CN_ASSERT_OK(cn_collector_create(s.policy, 0, ENVS, STEPS, 1, point_make, &s.world, s.pool,
                                     &s.collector, &err));
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    const cn_rollout *r = cn_collector_rollout(s.collector);
    int beyond = 0;
    for (int row = 0; row < ENVS * STEPS; row++) {
        if (r->end[row] || row % STEPS == STEPS - 1)
            continue;
        for (int i = 0; i < 2; i++) {
            const float *place = r->observation + row * 4 + 2 + i;
            const double a = (double)r->action[row * 2 + i];
            CU_ASSERT_DOUBLE_EQUAL(place[4] - place[0], (double)POINT_STRIDE * tanh(a), 1e-6);
            beyond += fabs(a) > 1.0;
        }
    }
    CU_ASSERT_TRUE(beyond > 0);
    setting_destroy(&s);
}

static void test_create_refuses(void)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    point_world world = {0};
    cn_pool *pool;
    cn_collector *c = NULL;
    CN_ASSERT_OK(cn_pool_create(1, &pool, &err));
#define CREATE(envs, steps)                                                                        \
    cn_collector_create(policy, 0, envs, steps, 1, point_make, &world, pool, &c, &err)
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "rollouts of 0 environments x 5 steps", CREATE(0, 5));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "rollouts of 5 environments x 0 steps", CREATE(5, 0));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "1 x 1 to 134217728 in all", CREATE(65536, 1000000));
    world = (point_world){.refuse_at = 4};
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "no point number 4", CREATE(5, 5));
    CU_ASSERT_EQUAL(world.alive, 0);
    world = (point_world){.arm = "jaco"};
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "for the arm 'point', this is the arm 'jaco'", CREATE(5, 5));
    CU_ASSERT_EQUAL(world.alive, 0);
    CU_ASSERT_PTR_NULL(c);
#undef CREATE
    cn_pool_destroy(&pool);
    cn_policy_destroy(&policy);
}

CN_TEST_MAIN("policy.rollout", T(test_rows_hold_what_the_policy_saw),
             T(test_rows_hold_what_the_environment_did), T(test_termination_does_not_bootstrap),
             T(test_truncation_bootstraps_from_the_final_observation),
             T(test_runs_continue_episodes), T(test_threads_do_not_change_bits),
             T(test_failing_environment), T(test_episodes_begin_anew_after_a_failure),
             T(test_transitions), T(test_wandering), T(test_on_policy_actions_are_squashed),
             T(test_create_refuses))
