/* PPO: advantages against the definition, what an update moves and what it leaves, the same bits on
 * any number of threads. That it learns is test_trainer.c's matter. */
#include "policy/ppo.h"
#include "tests/policy/point.h"

enum { HORIZON = 40, ENVS = 8, STEPS = 32 };

/* Results are floats of size up to 30; the sums themselves are in double. */
#define ADVANTAGE_TOLERANCE 5e-6

static cn_error err;

/* ---- Advantages ---- */

/* A_t = sum over l of (discount lambda)^l delta_{t+l}, up to the end of the episode. */
static double naive_advantage(const float *reward, const float *value, const float *bootstrap,
                              const unsigned char *end, float last_value, int t, double scale,
                              double discount, double lambda)
{
    double sum = 0.0;
    for (int u = t; u < HORIZON; u++) {
        double next = u + 1 < HORIZON ? (double)value[u + 1] : (double)last_value;
        if (end[u] == CN_END_TERMINATED)
            next = 0.0;
        if (end[u] == CN_END_TRUNCATED)
            next = (double)bootstrap[u];
        const double delta = scale * (double)reward[u] + discount * next - (double)value[u];
        sum += pow(discount * lambda, u - t) * delta;
        if (end[u])
            break;
    }
    return sum;
}

static void check_gae(double discount, double lambda, double scale)
{
    float reward[HORIZON], value[HORIZON], bootstrap[HORIZON], advantage[HORIZON], returns[HORIZON];
    unsigned char end[HORIZON];
    cn_rng rng = cn_rng_make(4, 0);
    for (int t = 0; t < HORIZON; t++) {
        reward[t] = (float)cn_rng_normal(&rng);
        value[t] = (float)cn_rng_normal(&rng);
        bootstrap[t] = (float)cn_rng_normal(&rng); /* only to be looked at where truncated */
        end[t] = t % 11 == 10 ? CN_END_TERMINATED : (t % 13 == 12 ? CN_END_TRUNCATED : 0);
    }
    cn_gae(reward, value, bootstrap, end, 0.7f, HORIZON, scale, INFINITY, discount, lambda,
           advantage, returns);
    for (int t = 0; t < HORIZON; t++) {
        const double expected =
            naive_advantage(reward, value, bootstrap, end, 0.7f, t, scale, discount, lambda);
        CU_ASSERT_DOUBLE_EQUAL(advantage[t], expected, ADVANTAGE_TOLERANCE);
        CU_ASSERT_DOUBLE_EQUAL(returns[t], expected + (double)value[t], ADVANTAGE_TOLERANCE);
    }
}

static void test_gae_is_its_definition(void)
{
    check_gae(0.99, 0.95, 1.0);
    check_gae(0.9, 1.0, 2.5);
    check_gae(0.99, 0.0, 1.0);
    check_gae(0.0, 0.95, 1.0);
}

/* Two steps, by hand: both kinds of end, and none. */
static void test_gae_by_hand(void)
{
    const float reward[2] = {1.0f, 2.0f}, value[2] = {0.5f, 4.0f}, bootstrap[2] = {0.0f, 10.0f};
    float a[2], r[2];
    cn_gae(reward, value, bootstrap, (const unsigned char[2]){0, 0}, 8.0f, 2, 1.0, INFINITY, 0.5,
           0.5, a, r);
    CU_ASSERT_EQUAL(a[1], 2.0f + 4.0f - 4.0f);
    CU_ASSERT_EQUAL(a[0], 1.0f + 2.0f - 0.5f + 0.25f * a[1]);
    CU_ASSERT_EQUAL(r[0], a[0] + 0.5f);
    cn_gae(reward, value, bootstrap, (const unsigned char[2]){0, CN_END_TERMINATED}, 8.0f, 2, 1.0,
           INFINITY, 0.5, 0.5, a, r);
    CU_ASSERT_EQUAL(a[1], 2.0f - 4.0f);
    cn_gae(reward, value, bootstrap, (const unsigned char[2]){0, CN_END_TRUNCATED}, 8.0f, 2, 1.0,
           INFINITY, 0.5, 0.5, a, r);
    CU_ASSERT_EQUAL(a[1], 2.0f + 5.0f - 4.0f);
}

static void test_gae_clips_scaled_rewards(void)
{
    const float reward[2] = {3.0f, -30.0f}, zero[2] = {0};
    const unsigned char ends[2] = {CN_END_TERMINATED, CN_END_TERMINATED};
    float a[2], r[2];
    cn_gae(reward, zero, zero, ends, 0.0f, 2, 2.0, 10.0, 0.99, 0.95, a, r);
    CU_ASSERT_EQUAL(a[0], 6.0f);
    CU_ASSERT_EQUAL(a[1], -10.0f);
    cn_gae((const float[2]){NAN, 0.0f}, zero, zero, ends, 0.0f, 2, 2.0, 10.0, 0.99, 0.95, a, r);
    CU_ASSERT_TRUE(isnan(a[0]));
}

/* ---- Updates ---- */

typedef struct setting {
    point_world world;
    cn_train_config config;
    cn_policy *policy;
    cn_pool *pool;
    cn_collector *collector;
    cn_ppo *ppo;
} setting;

static cn_train_config small_config(void)
{
    cn_train_config config = point_config();
    config.envs = ENVS;
    config.rollout_steps = STEPS;
    config.minibatches = 3; /* 85 rows: shards of unequal size, one row left over */
    config.epochs = 2;
    return config;
}

static void setting_create(setting *s, int columns, cn_train_config config, int threads,
                           uint64_t seed)
{
    *s = (setting){.config = config};
    s->policy = point_policy(columns, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    CN_ASSERT_OK(cn_pool_create(threads, &s->pool, &err));
    CN_ASSERT_OK(cn_collector_create(s->policy, columns - 1, (int)config.envs,
                                     (int)config.rollout_steps, seed, point_make, &s->world,
                                     s->pool, &s->collector, &err));
    CN_ASSERT_OK(cn_ppo_create(s->policy, columns - 1, &s->config,
                               cn_collector_rollout(s->collector), seed, s->pool, &s->ppo, &err));
}

static void setting_destroy(setting *s)
{
    cn_ppo_destroy(&s->ppo);
    cn_ppo_destroy(&s->ppo);
    cn_collector_destroy(&s->collector);
    cn_pool_destroy(&s->pool);
    cn_policy_destroy(&s->policy);
}

static cn_ppo_stats iterate(setting *s, double progress)
{
    cn_episode_totals totals;
    cn_ppo_stats stats;
    CN_ASSERT_OK(cn_collector_run(s->collector, &totals, &err));
    CN_ASSERT_OK(cn_ppo_update(s->ppo, cn_collector_rollout(s->collector), progress, &stats, &err));
    return stats;
}

/* Every slice of the new column moves and no byte of the frozen ones does. */
static void test_update_moves_only_the_last_column(void)
{
    setting s;
    setting_create(&s, 3, small_config(), 1, 1);
    cn_params *params = cn_policy_params(s.policy);
    const size_t bytes = cn_params_count(params) * sizeof(float);
    float *before = malloc(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(before);
    memcpy(before, cn_params_values(params), bytes);
    for (int i = 0; i < 3; i++)
        iterate(&s, 0.0);
    for (cn_param p = 0; p < cn_params_slices(params); p++) {
        const cn_param_info *info = cn_params_info(params, p);
        const bool same = memcmp(before + info->offset, cn_params_slice(params, p),
                                 info->count * sizeof(float)) == 0;
        if (same != info->frozen)
            printf("\n    %s\n", info->name);
        CU_ASSERT_EQUAL(same, info->frozen);
    }
    CN_ASSERT_OK(cn_policy_verify(s.policy, &err));
    free(before);
    setting_destroy(&s);
}

/* The normaliser takes in what the column saw, once a row, and the frozen ones take in nothing. */
static void test_update_feeds_the_normaliser(void)
{
    setting s;
    setting_create(&s, 2, small_config(), 1, 1);
    const cn_normalizer *n = cn_policy_normalizer(s.policy, 1);
    cn_normalizer expected;
    CN_ASSERT_OK(cn_normalizer_create(4, &expected, &err));
    cn_normalizer_copy(&expected, n);
    iterate(&s, 0.0);
    cn_normalizer_update(&expected, cn_collector_rollout(s.collector)->observation, ENVS * STEPS,
                         4);
    CU_ASSERT_EQUAL(n->count, expected.count);
    CU_ASSERT_EQUAL(memcmp(n->mean, expected.mean, 4 * sizeof *n->mean), 0);
    CU_ASSERT_EQUAL(memcmp(n->square, expected.square, 4 * sizeof *n->square), 0);
    CU_ASSERT_EQUAL(n->shift[0], (float)expected.mean[0]);
    cn_normalizer_destroy(&expected);
    setting_destroy(&s);

    cn_train_config config = small_config();
    config.normalize_observation = false;
    setting_create(&s, 1, config, 1, 1);
    iterate(&s, 0.0);
    CU_ASSERT_EQUAL(cn_policy_normalizer(s.policy, 0)->count, 0.0);
    setting_destroy(&s);
}

/* A column that learned from observations as they are goes on with them. */
static void test_unscaled_inputs_stay_unscaled(void)
{
    setting s;
    cn_train_config config = small_config();
    setting_create(&s, 1, config, 1, 1);
    cn_policy_column_at(s.policy, 0)->steps = 1000;
    cn_ppo_destroy(&s.ppo);
    CN_ASSERT_OK(cn_ppo_create(s.policy, 0, &config, cn_collector_rollout(s.collector), 1, s.pool,
                               &s.ppo, &err));
    iterate(&s, 0.0);
    CU_ASSERT_EQUAL(cn_policy_normalizer(s.policy, 0)->count, 0.0);
    setting_destroy(&s);
}

/* Before the first step the new policy is the old one: ratios 1, so that the first minibatch has no
 * divergence; the entropy is that of two Gaussians. */
static void test_stats_of_one_minibatch(void)
{
    setting s;
    cn_train_config config = small_config();
    config.epochs = config.minibatches = 1;
    config.normalize_reward = false;
    setting_create(&s, 2, config, 2, 1);
    const float *log_std =
        cn_params_slice(cn_policy_params(s.policy), cn_policy_log_std(s.policy, 1));
    const double entropy = 1.0 + log(2.0 * acos(-1.0)) + (double)log_std[0] + (double)log_std[1];
    const cn_ppo_stats stats = iterate(&s, 0.0);
    CU_ASSERT_DOUBLE_EQUAL(stats.kl, 0.0, 1e-6);
    CU_ASSERT_EQUAL(stats.clip_fraction, 0.0);
    CU_ASSERT_DOUBLE_EQUAL(stats.entropy, entropy, 1e-5);
    CU_ASSERT_EQUAL(stats.reward_scale, 1.0);
    CU_ASSERT_TRUE(stats.grad_norm > 0.0);
    /* normalised advantages have mean 0, so that only the value loss is left */
    CU_ASSERT_DOUBLE_EQUAL(stats.loss, 0.5 * 0.5 * stats.value_error, 1e-5);
    setting_destroy(&s);
}

/* 1 / std of the discounted returns, over two rollouts, each environment's sum carried on. */
static void test_reward_scale(void)
{
    setting s;
    setting_create(&s, 1, small_config(), 1, 1);
    double running[ENVS] = {0}, sum = 0.0, square = 0.0;
    for (int run = 1; run <= 2; run++) {
        const cn_ppo_stats stats = iterate(&s, 0.0);
        const cn_rollout *r = cn_collector_rollout(s.collector);
        for (int row = 0; row < ENVS * STEPS; row++) {
            double *g = &running[row / STEPS];
            *g = s.config.discount * *g + (double)r->reward[row];
            sum += *g;
            square += *g * *g;
            *g = r->end[row] ? 0.0 : *g;
        }
        const double n = run * ENVS * STEPS, mean = sum / n;
        const double scale = 1.0 / sqrt(square / n - mean * mean);
        CU_ASSERT_DOUBLE_EQUAL(stats.reward_scale / scale, 1.0, 1e-5);
    }
    setting_destroy(&s);
}

/* The learning rate falls to learning_rate_end; at 1e-9 nothing moves by more than that a step. */
static void test_learning_rate_is_annealed(void)
{
    setting s;
    cn_train_config config = small_config();
    config.learning_rate_end = 1e-9;
    setting_create(&s, 1, config, 1, 1);
    cn_params *params = cn_policy_params(s.policy);
    const size_t count = cn_params_count(params);
    float *before = malloc(count * sizeof *before);
    CU_ASSERT_PTR_NOT_NULL_FATAL(before);
    const double progress[] = {1.0, 0.0};
    double moved[2] = {0};
    for (int run = 0; run < 2; run++) {
        memcpy(before, cn_params_values(params), count * sizeof *before);
        iterate(&s, progress[run]);
        for (size_t i = 0; i < count; i++)
            moved[run] =
                fmax(moved[run], fabs((double)cn_params_values(params)[i] - (double)before[i]));
    }
    CU_ASSERT_TRUE(moved[0] < 1e-6); /* 6 steps, rounded to floats near 1 */
    CU_ASSERT_TRUE(moved[1] > 0.5 * config.learning_rate);
    free(before);
    setting_destroy(&s);
}

/* Constant, linear, cosine: the learning rate and, in step with it, the weight of the entropy. */
static void test_schedules(void)
{
    static const double shares[3][3] = {{1.0, 1.0, 1.0}, {1.0, 0.75, 0.5}, {1.0, 0.853553, 0.5}};
    for (int schedule = CN_SCHEDULE_CONSTANT; schedule <= CN_SCHEDULE_COSINE; schedule++) {
        setting s;
        cn_train_config config = small_config();
        config.learning_rate_schedule = (cn_schedule)schedule;
        config.learning_rate_end = 0.0;
        config.entropy_weight = 0.02;
        config.epochs = config.minibatches = 1;
        setting_create(&s, 1, config, 1, 1);
        for (int i = 0; i < 3; i++) {
            const double share = shares[schedule][i];
            const cn_ppo_stats stats = iterate(&s, 0.25 * i);
            CU_ASSERT_DOUBLE_EQUAL(stats.learning_rate, config.learning_rate * share, 1e-8);
            CU_ASSERT_DOUBLE_EQUAL(stats.entropy_weight, 0.02 * share, 1e-8);
            CU_ASSERT_DOUBLE_EQUAL(
                stats.loss, 0.25 * stats.value_error - stats.entropy_weight * stats.entropy, 1e-5);
        }
        setting_destroy(&s);
    }
}

/* The update takes no further epoch once the mean KL of one is above kl_stop, and is until then the
 * update that it is without. */
static void test_kl_stop(void)
{
    setting s;
    cn_train_config config = small_config();
    config.learning_rate = 3e-2;
    config.epochs = 1;
    setting_create(&s, 1, config, 1, 1);
    const cn_ppo_stats once = iterate(&s, 0.0);
    const uint64_t sum = cn_policy_checksum(s.policy, -1);
    setting_destroy(&s);

    config.epochs = 20;
    config.kl_stop = 0.5 * once.kl_last;
    setting_create(&s, 1, config, 2, 1);
    const cn_ppo_stats stopped = iterate(&s, 0.0);
    CU_ASSERT_EQUAL(stopped.epochs, 1);
    CU_ASSERT_EQUAL(stopped.kl, once.kl);
    CU_ASSERT_EQUAL(cn_policy_checksum(s.policy, -1), sum);
    setting_destroy(&s);

    config.kl_stop = 2.0 * once.kl_last;
    setting_create(&s, 1, config, 2, 1);
    const cn_ppo_stats later = iterate(&s, 0.0);
    CU_ASSERT_TRUE(later.epochs > 1 && later.epochs < 20);
    CU_ASSERT_TRUE(later.kl_last > config.kl_stop);
    CU_ASSERT_TRUE(later.kl < later.kl_last); /* the epochs before moved less */
    setting_destroy(&s);
}

/* A KL that is far too large, about right, far too small. */
static void test_learning_rate_follows_the_kl(void)
{
    setting s;
    cn_train_config config = small_config();
    setting_create(&s, 1, config, 1, 1);
    const double kl = iterate(&s, 0.0).kl_last, rate = config.learning_rate;
    setting_destroy(&s);
    const struct {
        double target, rate, next;
    } cases[] = {
        {kl / 10.0, rate, rate / 1.5}, {kl * 0.99, rate, rate},
        {kl * 10.0, rate, rate * 1.5}, {100.0, 9e-3, 1e-2}, /* not beyond its bounds */
        {1e-12, 1.2e-5, 1e-5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        config.kl_target = cases[i].target;
        config.learning_rate = cases[i].rate;
        setting_create(&s, 1, config, 1, 1);
        CU_ASSERT_DOUBLE_EQUAL(iterate(&s, 0.9).learning_rate / cases[i].rate, 1.0, 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(iterate(&s, 0.9).learning_rate / cases[i].next, 1.0, 1e-6);
        setting_destroy(&s);
    }
}

static void kl_target_refused(cn_train_config config, const char *words)
{
    setting s;
    cn_ppo *ppo = NULL;
    setting_create(&s, 1, small_config(), 1, 1);
    config.kl_target = 0.01;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, words,
                    cn_ppo_create(s.policy, 0, &config, cn_collector_rollout(s.collector), 1,
                                  s.pool, &ppo, &err));
    CU_ASSERT_PTR_NULL(ppo);
    setting_destroy(&s);
}

static void test_kl_target_that_cannot_be_followed(void)
{
    cn_train_config config = small_config();
    config.epochs = config.minibatches = 1;
    kl_target_refused(config, "kl_target is 0.01, but with epochs 1 and minibatches 1");
    config = small_config();
    config.learning_rate = 0.02;
    kl_target_refused(config, "within 1e-05 to 0.01, but learning_rate is 0.02");
    config.learning_rate = 9e-6;
    kl_target_refused(config, "within 1e-05 to 0.01, but learning_rate is 9e-06");
}

/* A second learner on the same policy starts with fresh moments: Adam counts its steps from 0. */
static void test_a_new_learner_has_fresh_moments(void)
{
    setting s;
    setting_create(&s, 1, small_config(), 1, 1);
    cn_params *params = cn_policy_params(s.policy);
    iterate(&s, 0.0);
    cn_ppo_destroy(&s.ppo);
    CN_ASSERT_OK(cn_ppo_create(s.policy, 0, &s.config, cn_collector_rollout(s.collector), 1, s.pool,
                               &s.ppo, &err));
    for (size_t i = 0; i < cn_params_count(params); i++) {
        CU_ASSERT_EQUAL(cn_params_moment1(params)[i], 0.0f);
        CU_ASSERT_EQUAL(cn_params_moment2(params)[i], 0.0f);
    }
    setting_destroy(&s);
}

static uint64_t checksum_after(int threads, uint64_t seed)
{
    setting s;
    cn_train_config config = small_config();
    config.kl_stop = 0.01; /* what is decided by sums over the shards: */
    config.kl_target = 0.01;
    config.entropy_weight = 0.01;
    setting_create(&s, 2, config, threads, seed);
    for (int i = 0; i < 4; i++)
        iterate(&s, 0.25 * i);
    const uint64_t sum = cn_policy_checksum(s.policy, -1);
    setting_destroy(&s);
    return sum;
}

static void test_threads_do_not_change_bits(void)
{
    const uint64_t one = checksum_after(1, 1);
    CU_ASSERT_EQUAL(checksum_after(1, 1), one);
    CU_ASSERT_EQUAL(checksum_after(2, 1), one);
    CU_ASSERT_EQUAL(checksum_after(4, 1), one);
    CU_ASSERT_NOT_EQUAL(checksum_after(1, 2), one);
}

/* ---- Refusals ---- */

static void test_too_many_minibatches(void)
{
    setting s;
    cn_train_config config = small_config();
    setting_create(&s, 1, config, 1, 1);
    cn_ppo *ppo = NULL;
    config.minibatches = ENVS * STEPS + 1;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "257 minibatches of 256 rows",
                    cn_ppo_create(s.policy, 0, &config, cn_collector_rollout(s.collector), 1,
                                  s.pool, &ppo, &err));
    CU_ASSERT_PTR_NULL(ppo);
    setting_destroy(&s);
}

static void test_loss_that_is_not_finite(void)
{
    setting s;
    cn_episode_totals totals;
    cn_ppo_stats stats;
    setting_create(&s, 1, small_config(), 1, 1);
    CN_ASSERT_OK(cn_collector_run(s.collector, &totals, &err));
    cn_collector_rollout(s.collector)->reward[17] = NAN;
    CN_ASSERT_FAILS(CN_ERR_LEARNING, "the loss is not finite any more",
                    cn_ppo_update(s.ppo, cn_collector_rollout(s.collector), 0.0, &stats, &err));
    setting_destroy(&s);
}

CN_TEST_MAIN("policy.ppo", T(test_gae_is_its_definition), T(test_gae_by_hand),
             T(test_gae_clips_scaled_rewards), T(test_update_moves_only_the_last_column),
             T(test_update_feeds_the_normaliser), T(test_unscaled_inputs_stay_unscaled),
             T(test_stats_of_one_minibatch), T(test_reward_scale),
             T(test_learning_rate_is_annealed), T(test_schedules), T(test_kl_stop),
             T(test_learning_rate_follows_the_kl), T(test_kl_target_that_cannot_be_followed),
             T(test_a_new_learner_has_fresh_moments), T(test_threads_do_not_change_bits),
             T(test_too_many_minibatches), T(test_loss_that_is_not_finite))
