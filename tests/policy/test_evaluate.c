/* Evaluation: whole episodes, the same numbers on any number of threads, comparison with another
 * policy, the Wilson interval. */
#include "tests/policy/point.h"

enum { EPISODES = 30 };

static cn_error err;

typedef struct setting {
    point_world world;
    cn_policy *policy;
    cn_pool *pool;
    cn_evaluator *evaluator;
} setting;

static void setting_create(setting *s, int envs, int threads)
{
    s->policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    CN_ASSERT_OK(cn_pool_create(threads, &s->pool, &err));
    CN_ASSERT_OK(cn_evaluator_create(s->policy, 1, envs, point_make, &s->world, s->pool,
                                     &s->evaluator, &err));
}

static void setting_destroy(setting *s)
{
    cn_evaluator_destroy(&s->evaluator);
    cn_evaluator_destroy(&s->evaluator);
    CU_ASSERT_EQUAL(s->world.alive, 0);
    cn_pool_destroy(&s->pool);
    cn_policy_destroy(&s->policy);
}

static cn_evaluation evaluate(setting *s, long episodes, uint64_t seed)
{
    cn_evaluation result;
    CN_ASSERT_OK(cn_evaluator_run(s->evaluator, episodes, seed, NULL, &result, &err));
    return result;
}

/* ---- What is measured ---- */

/* Every episode truncated: the length is the limit, the return the way made, nobody succeeds. */
static void test_truncated_episodes(void)
{
    setting s = {.world = {.unreachable = true, .step_limit = 9}};
    setting_create(&s, EPISODES, 1);
    const cn_evaluation e = evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(e.episodes, EPISODES);
    CU_ASSERT_EQUAL(e.successes, 0);
    CU_ASSERT_EQUAL(e.success_rate, 0.0);
    CU_ASSERT_DOUBLE_EQUAL(e.length_mean, 9.0, 1e-12);
    CU_ASSERT_TRUE(e.return_std > 0.0);
    CU_ASSERT_EQUAL(s.world.made, CN_SHARDS);
    setting_destroy(&s);
}

static void test_tasks_without_success(void)
{
    setting s = {.world = {.unjudged = true}};
    setting_create(&s, EPISODES, 1);
    const cn_evaluation e = evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(e.episodes, EPISODES);
    CU_ASSERT_EQUAL(e.successes, -1);
    CU_ASSERT_TRUE(isnan(e.success_rate) && isnan(e.success_low) && isnan(e.success_high));
    CU_ASSERT_TRUE(e.return_low < e.return_mean && e.return_mean < e.return_high);
    setting_destroy(&s);
}

/* Number e of a seed is one episode, whatever runs beside it: the returns that are the steps from n
 * to n + 1 episodes have the spread that all together report, in any number of environments. */
static void test_episodes_are_numbered(void)
{
    setting few = {0}, many = {0};
    setting_create(&few, 3, 1);
    setting_create(&many, EPISODES, 1);
    CU_ASSERT_EQUAL(few.world.made, 3);
    CU_ASSERT_EQUAL(many.world.made, CN_SHARDS);
    double square = 0.0, before = 0.0;
    for (int n = 1; n <= EPISODES; n++) {
        const double total = n * evaluate(&few, n, 5).return_mean;
        square += (total - before) * (total - before);
        before = total;
    }
    const cn_evaluation all = evaluate(&many, EPISODES, 5);
    CU_ASSERT_DOUBLE_EQUAL(all.return_mean, before / EPISODES, 1e-12);
    const double variance = square / EPISODES - all.return_mean * all.return_mean;
    CU_ASSERT_DOUBLE_EQUAL(all.return_std, sqrt(variance), 1e-9);
    setting_destroy(&few);
    setting_destroy(&many);
}

static void test_other_seeds_are_other_episodes(void)
{
    setting s = {0};
    setting_create(&s, EPISODES, 1);
    const cn_evaluation one = evaluate(&s, EPISODES, 1), again = evaluate(&s, EPISODES, 1),
                        two = evaluate(&s, EPISODES, 2);
    CU_ASSERT_EQUAL(one.return_mean, again.return_mean);
    CU_ASSERT_NOT_EQUAL(one.return_mean, two.return_mean);
    setting_destroy(&s);
}

static void test_threads_do_not_change_bits(void)
{
    cn_evaluation results[3];
    const int threads[3] = {1, 2, 4};
    for (int i = 0; i < 3; i++) {
        setting s = {0};
        setting_create(&s, EPISODES, threads[i]);
        results[i] = evaluate(&s, EPISODES, 7);
        setting_destroy(&s);
        CU_ASSERT_EQUAL(results[i].successes, results[0].successes);
        CU_ASSERT_EQUAL(results[i].return_mean, results[0].return_mean);
        CU_ASSERT_EQUAL(results[i].return_std, results[0].return_std);
        CU_ASSERT_EQUAL(results[i].length_mean, results[0].length_mean);
    }
}

/* ---- Comparing ---- */

static void test_against_the_same_and_another_column(void)
{
    setting s = {0};
    setting_create(&s, EPISODES, 2);
    cn_policy *same = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    const cn_evaluation alone = evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(alone.actions_compared, 0);
    const long steps = lround(alone.length_mean * EPISODES);
    CN_ASSERT_OK(cn_evaluator_against(s.evaluator, same, 1, &err));
    cn_evaluation e = evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(e.actions_compared, steps);
    CU_ASSERT_EQUAL(e.actions_different, 0);
    CU_ASSERT_EQUAL(e.return_mean, alone.return_mean); /* the other only watches */
    CN_ASSERT_OK(cn_evaluator_against(s.evaluator, same, 0, &err));
    e = evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(e.actions_compared, steps);
    CU_ASSERT_EQUAL(e.actions_different, steps);
    CN_ASSERT_OK(cn_evaluator_against(s.evaluator, NULL, 0, &err));
    CU_ASSERT_EQUAL(evaluate(&s, EPISODES, 1).actions_compared, 0);
    cn_policy_destroy(&same);
    setting_destroy(&s);
}

static void test_against_a_policy_of_another_arm(void)
{
    setting s = {0};
    setting_create(&s, EPISODES, 1);
    cn_env_spec spec = point_spec();
    cn_policy *other;
    snprintf(spec.arm, CN_NAME, "jaco");
    CN_ASSERT_OK(cn_policy_create(&spec, &other, &err));
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "for the arm 'jaco', this is the arm 'point'",
                    cn_evaluator_against(s.evaluator, other, 0, &err));
    /* nothing is compared with it then */
    CU_ASSERT_EQUAL(evaluate(&s, EPISODES, 1).actions_compared, 0);
    cn_policy_destroy(&other);
    setting_destroy(&s);
}

typedef struct watched {
    long calls, ended, successes, episodes;
    bool grows; /* every call has told of more episodes than the one before */
} watched;

static void watch(void *ctx, long ended, long successes, long episodes)
{
    watched *w = ctx;
    w->grows = (w->calls == 0 || w->grows) && ended > w->ended && successes <= ended;
    w->calls++;
    w->ended = ended;
    w->successes = successes;
    w->episodes = episodes;
}

/* With one environment every episode is told of, and the last call has all of them. */
static void test_watching(void)
{
    setting s = {.world = {.unreachable = true, .step_limit = 3}};
    watched w = {0};
    setting_create(&s, 1, 1);
    cn_evaluator_watch(s.evaluator, watch, &w);
    evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(w.calls, EPISODES);
    CU_ASSERT_TRUE(w.grows);
    CU_ASSERT_EQUAL(w.ended, EPISODES);
    CU_ASSERT_EQUAL(w.successes, 0);
    CU_ASSERT_EQUAL(w.episodes, EPISODES);
    w = (watched){0};
    evaluate(&s, EPISODES, 1); /* a run of its own counts from the start */
    CU_ASSERT_EQUAL(w.ended, EPISODES);
    cn_evaluator_watch(s.evaluator, NULL, NULL);
    evaluate(&s, EPISODES, 1);
    CU_ASSERT_EQUAL(w.calls, EPISODES);
    setting_destroy(&s);
}

/* ---- Failures ---- */

static void test_stop(void)
{
    setting s = {0};
    setting_create(&s, EPISODES, 1);
    const atomic_bool stop = true;
    cn_evaluation e;
    CN_ASSERT_FAILS(CN_ERR_CANCELLED, "stopped after 0 of 30 episodes",
                    cn_evaluator_run(s.evaluator, EPISODES, 1, &stop, &e, &err));
    setting_destroy(&s);
}

static void test_failing_environment(void)
{
    setting s = {.world = {.fails = 2, .fail_at = 4}};
    setting_create(&s, EPISODES, 2);
    cn_evaluation e;
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "point 2 broke at step 4",
                    cn_evaluator_run(s.evaluator, EPISODES, 1, NULL, &e, &err));
    CU_ASSERT_EQUAL(evaluate(&s, EPISODES, 1).episodes, EPISODES); /* it broke once */
    setting_destroy(&s);
}

static void test_refusals(void)
{
    setting s = {0};
    setting_create(&s, EPISODES, 1);
    cn_evaluation e;
    cn_evaluator *evaluator = NULL;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 episodes; at least 1 is needed",
                    cn_evaluator_run(s.evaluator, 0, 1, NULL, &e, &err));
    point_world world = {0};
#define CREATE(column, envs)                                                                       \
    cn_evaluator_create(s.policy, column, envs, point_make, &world, s.pool, &evaluator, &err)
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 environments to evaluate in", CREATE(1, 0));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "column 2: the policy has columns 0 to 1", CREATE(2, 1));
    world = (point_world){.refuse_at = 3};
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "no point number 3", CREATE(1, 5));
    CU_ASSERT_EQUAL(world.alive, 0);
    world = (point_world){.arm = "jaco"};
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "for the arm 'point', this is the arm 'jaco'", CREATE(1, 5));
    CU_ASSERT_EQUAL(world.alive, 0);
#undef CREATE
    CU_ASSERT_PTR_NULL(evaluator);
    setting_destroy(&s);
}

/* ---- The interval ---- */

/* Both ends solve (p - p0)^2 = z^2 p0 (1 - p0) / n, which is what the interval means; and three
 * known ones. */
static void test_wilson_interval(void)
{
    const double z2 = 1.959963984540054 * 1.959963984540054;
    double low, high;
    for (long n = 1; n <= 200; n += 33) {
        for (long k = 0; k <= n; k += 1 + n / 7) {
            const double p = (double)k / (double)n;
            cn_wilson_interval(k, n, &low, &high);
            CU_ASSERT_TRUE(0.0 <= low && low <= p && p <= high && high <= 1.0);
            CU_ASSERT_DOUBLE_EQUAL((p - low) * (p - low), z2 * low * (1.0 - low) / (double)n,
                                   1e-12);
            CU_ASSERT_DOUBLE_EQUAL((p - high) * (p - high), z2 * high * (1.0 - high) / (double)n,
                                   1e-12);
        }
    }
    cn_wilson_interval(0, 10, &low, &high);
    CU_ASSERT_EQUAL(low, 0.0);
    CU_ASSERT_DOUBLE_EQUAL(high, 0.277533, 1e-6);
    cn_wilson_interval(10, 10, &low, &high);
    CU_ASSERT_DOUBLE_EQUAL(low, 0.722467, 1e-6);
    CU_ASSERT_EQUAL(high, 1.0);
    cn_wilson_interval(50, 100, &low, &high);
    CU_ASSERT_DOUBLE_EQUAL(low, 0.403832, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(high, 0.596168, 1e-6);
    cn_wilson_interval(0, 0, &low, &high);
    CU_ASSERT_EQUAL(low, 0.0);
    CU_ASSERT_EQUAL(high, 1.0);
}

/* Student's table: t(0.975) for 2, 9 and 63 degrees of freedom. */
static void test_interval_of_the_mean(void)
{
    static const struct {
        long episodes;
        double t, tolerance;
    } table[] = {{3, 4.3027, 0.04}, {10, 2.2622, 3e-4}, {64, 1.9983, 1e-4}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const double n = (double)table[i].episodes, sample_std = 2.0;
        cn_evaluation e = {.episodes = table[i].episodes,
                           .successes = 1,
                           .return_mean = 5.0,
                           .return_std = sample_std * sqrt((n - 1.0) / n)};
        cn_evaluation_intervals(&e);
        const double half = table[i].t * sample_std / sqrt(n);
        CU_ASSERT_DOUBLE_EQUAL((e.return_high - 5.0) / half, 1.0, table[i].tolerance);
        CU_ASSERT_DOUBLE_EQUAL((5.0 - e.return_low) / half, 1.0, table[i].tolerance);
        CU_ASSERT_DOUBLE_EQUAL(e.success_rate, 1.0 / n, 1e-12);
        CU_ASSERT_TRUE(e.success_low < e.success_rate && e.success_rate < e.success_high);
    }
    cn_evaluation one = {.episodes = 1, .return_mean = 5.0};
    cn_evaluation_intervals(&one);
    CU_ASSERT_TRUE(isnan(one.return_low) && isnan(one.return_high));
}

CN_TEST_MAIN("policy.evaluate", T(test_truncated_episodes), T(test_tasks_without_success),
             T(test_episodes_are_numbered), T(test_other_seeds_are_other_episodes),
             T(test_threads_do_not_change_bits), T(test_against_the_same_and_another_column),
             T(test_against_a_policy_of_another_arm), T(test_watching), T(test_stop),
             T(test_failing_environment), T(test_refusals), T(test_wilson_interval),
             T(test_interval_of_the_mean))
