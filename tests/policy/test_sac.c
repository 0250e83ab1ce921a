/* SAC: it learns, beside frozen columns, whose knowledge its critics share, and from demonstrations
 * too; the same bits on any number of threads and after a resume; the clock's end is no end. */
#include "policy/learner.h"
#include "policy/sac.h"
#include "tests/folder.h"
#include "tests/policy/point.h"

static cn_error err;

/* Small networks; 4096 steps teach the point its way (a few seconds). */
static cn_train_config sac_config(void)
{
    cn_train_config c = point_config();
    c.algorithm = CN_SAC;
    c.steps = 4096;
    c.envs = 4;
    c.rollout_steps = 128;
    c.learning_starts = 256;
    c.batch_size = 64;
    c.critic_hidden[0] = c.critic_hidden[1] = 32;
    c.critic_learning_rate = c.learning_rate = 3e-3;
    c.discount = 0.95;
    c.temperature = 0.05;
    return c;
}

static cn_policy *fresh_policy(cn_bound bound)
{
    const cn_env_spec spec = point_spec();
    cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_rng rng = cn_rng_make(11, 0);
    cn_policy *policy;
    column.bound = bound;
    CN_ASSERT_OK(cn_policy_create(&spec, &policy, &err));
    CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_RANDOM, &rng, &err));
    return policy;
}

/* ---- Whole runs ---- */

typedef struct run {
    cn_train_config config;
    point_world world;
    int threads;
    bool resume;
    int iterations; /* 0: all */
    const cn_replay *demos;
    test_folder folder;
} run;

static cn_status train(run *r, cn_policy *policy, cn_train_report *report)
{
    point_brake b = {.iterations = r->iterations ? r->iterations : -1};
    const cn_train_job job = {
        .policy = policy,
        .config = &r->config,
        .seed = 1,
        .threads = r->threads ? r->threads : 2,
        .folder = r->folder.path,
        .resume = r->resume,
        .make_env = point_make,
        .make_env_ctx = &r->world,
        .demos = r->demos,
        .stop = &b.stop,
        .progress = point_pull,
        .progress_ctx = &b,
    };
    return cn_train(&job, report, &err);
}

/* Trains in a folder of its own; NULL report: not wanted. */
static void train_whole(run *r, cn_policy *policy)
{
    cn_train_report report;
    r->folder = folder_create();
    CN_ASSERT_OK(train(r, policy, &report));
    CU_ASSERT_EQUAL(report.steps, r->config.steps);
    CU_ASSERT_EQUAL(r->world.alive, 0);
    folder_destroy(&r->folder);
}

static void check_learns(cn_bound bound, bool layer_norm)
{
    run r = {.config = sac_config()};
    r.config.layer_norm = layer_norm;
    cn_policy *policy = fresh_policy(bound);
    CU_ASSERT_TRUE(point_success(policy, 0) < 0.2);
    train_whole(&r, policy);
    CU_ASSERT_TRUE(point_success(policy, 0) > 0.9);
    CU_ASSERT_TRUE(cn_policy_column_at(policy, 0)->state_std);
    cn_policy_destroy(&policy);
}

static void test_learns_squashed(void)
{
    check_learns(CN_BOUND_TANH, true);
}

static void test_learns_clipped_and_without_layer_norm(void)
{
    check_learns(CN_BOUND_CLIP, false);
}

/* A column beside one of PPO's: it begins as that one, which stays as it was. */
static void test_learns_beside_a_frozen_column(void)
{
    run r = {.config = sac_config()};
    r.config.learning_starts = 512;
    r.config.actor_starts = 768;
    r.config.steps = 6144;
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    const uint64_t frozen = cn_policy_checksum(policy, 0);
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 1)->bound, CN_BOUND_CLIP);
    train_whole(&r, policy);
    CU_ASSERT_TRUE(point_success(policy, 1) > 0.9);
    CU_ASSERT_EQUAL(cn_policy_checksum(policy, 0), frozen);
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    cn_policy_destroy(&policy);
}

typedef struct setting {
    cn_train_config config;
    cn_policy *policy;
    cn_pool *pool;
    cn_replay *replay;
    cn_sac *sac;
} setting;

/* One state, to which every action leads back; it is worth `reward` less `slope` times its squared
 * distance from 0.3. */
static void setting_create(setting *s, cn_train_config config, float reward, float slope,
                           bool terminated)
{
    const float observation[4] = {0.1f, -0.3f, 0.2f, 0.4f};
    cn_rng rng = cn_rng_make(3, 0);
    *s = (setting){.config = config, .policy = fresh_policy(CN_BOUND_TANH)};
    CN_ASSERT_OK(cn_policy_add_state_std(s->policy, &err));
    CN_ASSERT_OK(cn_pool_create(1, &s->pool, &err));
    CN_ASSERT_OK(cn_replay_create(64, 4, 2, &s->replay, &err));
    for (int i = 0; i < 64; i++) {
        const float action[2] = {(float)cn_rng_range(&rng, -1.0, 1.0),
                                 (float)cn_rng_range(&rng, -1.0, 1.0)};
        const float x = action[0] - 0.3f, y = action[1] - 0.3f;
        const cn_transition t = {observation, action, reward - slope * (x * x + y * y), observation,
                                 terminated};
        cn_replay_add(s->replay, &t);
    }
    CN_ASSERT_OK(
        cn_sac_create(s->policy, 0, &s->config, s->replay, NULL, 1, s->pool, &s->sac, &err));
}

static void setting_destroy(setting *s)
{
    cn_sac_destroy(&s->sac);
    cn_sac_destroy(&s->sac);
    cn_replay_destroy(&s->replay);
    cn_pool_destroy(&s->pool);
    cn_policy_destroy(&s->policy);
}

/* A column beside a frozen one, and two transitions: from `first`, for nothing, to `second`, and
 * from there, for a reward of 1, to an end in `last`. */
typedef struct pair {
    cn_policy *policy;
    cn_pool *pool;
    cn_replay *replay;
    cn_sac *sac;
} pair;

/* @param scaled  slice of the frozen column that is multiplied by 0.5; NULL: none
 * @param last  a coordinate of the last observation
 * @param all   with the first transition, or only with the second */
static pair pair_create(cn_train_config config, const char *scaled, float last, bool all)
{
    const float first[4] = {0.5f, -0.3f, 0.2f, 0.4f}, second[4] = {-0.5f, 0.3f, 0.1f, -0.4f};
    const float end[4] = {last, 0.1f, 0.7f, 0.2f}, action[2] = {0.5f, -0.5f};
    const cn_transition one = {first, action, 0.0f, second, false};
    const cn_transition two = {second, action, 1.0f, end, true};
    pair p = {.policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY)};
    cn_params *params = cn_policy_params(p.policy);
    const cn_param weight = scaled ? cn_params_find(params, scaled) : -1;
    for (size_t i = 0; scaled && i < cn_params_info(params, weight)->count; i++)
        cn_params_slice(params, weight)[i] *= 0.5f;
    CN_ASSERT_OK(cn_policy_add_state_std(p.policy, &err));
    CN_ASSERT_OK(cn_pool_create(1, &p.pool, &err));
    CN_ASSERT_OK(cn_replay_create(2, 4, 2, &p.replay, &err));
    if (all)
        cn_replay_add(p.replay, &one);
    cn_replay_add(p.replay, &two);
    CN_ASSERT_OK(cn_sac_create(p.policy, 1, &config, p.replay, NULL, 1, p.pool, &p.sac, &err));
    return p;
}

static void pair_destroy(pair *p)
{
    cn_sac_destroy(&p->sac);
    cn_replay_destroy(&p->replay);
    cn_pool_destroy(&p->pool);
    cn_policy_destroy(&p->policy);
}

/* The critics after one update on the transition that ends, which depends on nothing but the state,
 * the action, the reward and what the frozen column knows of the state. */
static uint64_t critics_after(const char *scaled, float last, int64_t *count)
{
    cn_tensor_view state[CN_SAC_TENSORS];
    pair p = pair_create(sac_config(), scaled, last, false);
    cn_sac_update(p.sac, false, 0.0);
    cn_sac_state(p.sac, state);
    CU_ASSERT_STRING_EQUAL(state[2].name, "trainer/critics");
    const uint64_t sum = cn_checksum_append(0, state[2].data, state[2].bytes);
    *count = state[2].shape[1];
    pair_destroy(&p);
    return sum;
}

static void test_critics_see_what_the_frozen_column_sees_in_a_state(void)
{
    const cn_train_config config = sac_config();
    cn_tensor_view state[CN_SAC_TENSORS];
    int64_t count;
    setting s;
    const uint64_t sum = critics_after(NULL, 0.1f, &count);
    CU_ASSERT_EQUAL(critics_after(NULL, 0.1f, &count), sum);
    CU_ASSERT_NOT_EQUAL(critics_after("actor/0/layer0.weight", 0.1f, &count), sum);
    CU_ASSERT_NOT_EQUAL(critics_after("critic/0/layer0.weight", 0.1f, &count), sum);
    CU_ASSERT_EQUAL(critics_after(NULL, 0.9f, &count), sum); /* of the state, not of the next */
    setting_create(&s, config, 0.0f, 0.0f, false);
    cn_sac_state(s.sac, state);
    CU_ASSERT_EQUAL(count - state[2].shape[1], 2L * config.critic_hidden[0] * (16 + 16));
    setting_destroy(&s);
}

/* The first state is worth the discounted value of the second: only with what the frozen column
 * knows of the second do the targets know it again. */
static void test_targets_see_what_the_frozen_column_sees_in_the_next_state(void)
{
    cn_sac_stats stats;
    cn_train_config config = sac_config();
    config.discount = 0.5;
    config.temperature = 1e-5;
    config.learn_temperature = false;
    config.learning_rate_schedule = CN_SCHEDULE_CONSTANT;
    config.log_std = -5.0;
    config.tau = 0.1;
    pair p = pair_create(config, NULL, 0.1f, true);
    for (int i = 0; i < 800; i++) {
        cn_sac_update(p.sac, false, 0.0);
        if (i == 700)
            CN_ASSERT_OK(cn_sac_stats_of(p.sac, &stats, &err));
    }
    CN_ASSERT_OK(cn_sac_stats_of(p.sac, &stats, &err));
    CU_ASSERT_DOUBLE_EQUAL(stats.q, 0.75, 0.02);
    pair_destroy(&p);
}

/* Before its first update the policy acts as it did: a state's standard deviation changes no mean.
 */
static void test_state_std_changes_no_action(void)
{
    const float observation[4] = {0.3f, -0.2f, 0.5f, 0.1f};
    float before[2], after[2];
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_agent *agent;
    for (int i = 0; i < 2; i++) {
        CN_ASSERT_OK(cn_agent_create(policy, 1, 1, CN_AGENT_ACTOR, &agent, &err));
        cn_agent_act(agent, observation, i == 0 ? before : after);
        cn_agent_destroy(&agent);
        CN_ASSERT_OK(cn_policy_add_state_std(policy, &err));
    }
    CU_ASSERT_EQUAL(memcmp(before, after, sizeof before), 0);
    cn_policy_destroy(&policy);
}

/* A column that learned from observations as they are, and one that grew as it is, go on with
 * them; one that has learned nothing is fitted. */
static void test_unscaled_inputs_stay_unscaled(void)
{
    for (int grown = 0; grown < 2; grown++) {
        run r = {.config = sac_config()};
        const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
        cn_rng rng = cn_rng_make(12, 0);
        cn_policy *policy = fresh_policy(CN_BOUND_CLIP);
        r.config.steps = 512;
        r.config.normalize_observation = false;
        train_whole(&r, policy);
        cn_policy_freeze(policy, 0);
        if (grown)
            CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
        else
            cn_policy_thaw(policy, 0);
        r.config.normalize_observation = true;
        train_whole(&r, policy);
        CU_ASSERT_EQUAL(cn_policy_normalizer(policy, grown)->count, 0.0);
        CU_ASSERT_TRUE(cn_policy_unscaled(policy, grown));
        cn_policy_destroy(&policy);
    }
    run r = {.config = sac_config()};
    cn_policy *policy = fresh_policy(CN_BOUND_CLIP);
    r.config.steps = 512;
    train_whole(&r, policy);
    CU_ASSERT_EQUAL(cn_policy_normalizer(policy, 0)->count, 256.0);
    cn_policy_destroy(&policy);
}

/* ---- The same bits ---- */

static uint64_t checksum_after(int threads, const cn_replay *demos)
{
    run r = {.config = sac_config(), .threads = threads, .demos = demos};
    r.config.steps = 1024;
    cn_policy *policy = point_policy(2, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    train_whole(&r, policy);
    const uint64_t sum = cn_policy_checksum(policy, -1);
    cn_policy_destroy(&policy);
    return sum;
}

static void test_threads_do_not_change_bits(void)
{
    const uint64_t one = checksum_after(1, NULL);
    CU_ASSERT_EQUAL(checksum_after(1, NULL), one);
    CU_ASSERT_EQUAL(checksum_after(2, NULL), one);
    CU_ASSERT_EQUAL(checksum_after(4, NULL), one);
}

/* @param cuts  iterations of each part but the last; ends with 0 */
static uint64_t checksum_in_parts(const int *cuts)
{
    run r = {.config = sac_config(), .folder = folder_create()};
    cn_train_report report;
    r.config.steps = 1536; /* twelve iterations of 128, */
    r.config.rollout_steps = 32;
    r.config.checkpoint_every = 256; /* the first checkpoint while actions are still random, */
    r.config.learning_starts = 384;
    r.config.replay_size = 700; /* the last when the buffer has gone round */
    r.config.updates_per_step = 0.37;
    cn_policy *policy = fresh_policy(CN_BOUND_TANH);
    for (; *cuts; cuts++) {
        r.iterations = *cuts;
        CN_ASSERT_OK(train(&r, policy, &report));
        CU_ASSERT_TRUE(report.end == CN_TRAIN_STOPPED);
        cn_policy_destroy(&policy);
        CN_ASSERT_OK(
            cn_policy_load(folder_path(&r.folder, "checkpoint.safetensors"), &policy, &err));
        r.resume = true;
    }
    r.iterations = 0;
    CN_ASSERT_OK(train(&r, policy, &report));
    CU_ASSERT_EQUAL(report.steps, r.config.steps);
    const uint64_t sum = cn_policy_checksum(policy, -1);
    cn_policy_destroy(&policy);
    folder_destroy(&r.folder);
    return sum;
}

static void test_resumed_run_ends_with_the_same_bits(void)
{
    static const int cuts[3][4] = {{2, 0}, {5, 0}, {3, 6, 0}};
    const uint64_t whole = checksum_in_parts((const int[]){0});
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(checksum_in_parts(cuts[i]), whole);
}

/* ---- Updates, one by one ---- */

/* The value that the critics learn: of a terminal state the reward alone; of one that the clock
 * ended, or nothing did, reward / (1 - discount) plus the discounted entropy bonus, here nearly 0.
 */
static void check_value(bool terminated, double temperature, double want)
{
    setting s;
    cn_sac_stats stats;
    cn_train_config config = sac_config();
    config.discount = 0.5;
    config.temperature = temperature;
    config.learn_temperature = false;
    config.learning_rate_schedule = CN_SCHEDULE_CONSTANT;
    config.reward_scale = 2.0;
    config.tau = 0.1;
    setting_create(&s, config, 0.5f, 0.0f, terminated);
    for (int i = 0; i < 400; i++)
        cn_sac_update(s.sac, false, 0.0);
    CN_ASSERT_OK(cn_sac_stats_of(s.sac, &stats, &err));
    cn_sac_update(s.sac, false, 0.0);
    CN_ASSERT_OK(cn_sac_stats_of(s.sac, &stats, &err));
    if (fabs(stats.q - want) > 0.05 * want)
        printf("\n    a value of %g, not %g\n", stats.q, want);
    CU_ASSERT_DOUBLE_EQUAL(stats.q, want, 0.05 * want);
    CU_ASSERT_TRUE(isnan(stats.actor_loss)); /* the actor stood still */
    setting_destroy(&s);
}

static void test_only_termination_ends_the_value(void)
{
    check_value(true, 1e-5, 1.0);
    check_value(false, 1e-5, 2.0);
}

/* Two actions of N(0, 1) behind a tanh have an entropy of 1.34 nats (1.419 less 2 E log cosh,
 * each): at a temperature of 1 that is worth 0.5 x 1.34 / (1 - 0.5). */
static void test_entropy_is_worth_something(void)
{
    check_value(true, 1.0, 1.0);
    check_value(false, 1.0, 2.0 + 1.34);
}

/* The actor learns on every `actor_every`th update, and not before it may. */
static void test_actor_learns_as_often_as_told(void)
{
    setting s;
    cn_train_config config = sac_config();
    config.actor_every = 3;
    setting_create(&s, config, 0.0f, 1.0f, true);
    for (int i = 0; i < 10; i++)
        cn_sac_update(s.sac, i > 0, 0.0); /* not on the first */
    cn_tensor_view state[CN_SAC_TENSORS];
    cn_sac_pack(s.sac);
    cn_sac_state(s.sac, state);
    CU_ASSERT_STRING_EQUAL(state[6].name, "trainer/updates");
    const int64_t *counts = state[6].data;
    CU_ASSERT_EQUAL(counts[0], 10); /* updates, */
    CU_ASSERT_EQUAL(counts[1], 3);  /* of the actor, */
    CU_ASSERT_EQUAL(counts[2], 10); /* of the critics */
    setting_destroy(&s);
}

/* Where one action is best, the temperature decides how widely the others are still tried: it
 * drives the entropy to its target, from both sides. */
static void check_entropy(double temperature, double target)
{
    setting s;
    cn_sac_stats stats;
    cn_train_config config = sac_config();
    config.learning_rate_schedule = CN_SCHEDULE_CONSTANT;
    config.temperature = temperature;
    config.target_entropy = target;
    config.critic_learning_rate = 1e-2;
    setting_create(&s, config, 0.0f, 1.0f, true);
    for (int i = 0; i < 1500; i++) {
        cn_sac_update(s.sac, true, 0.0);
        if (i == 1400)
            CN_ASSERT_OK(cn_sac_stats_of(s.sac, &stats, &err));
    }
    CN_ASSERT_OK(cn_sac_stats_of(s.sac, &stats, &err));
    if (fabs(stats.entropy / 2.0 - target) > 0.2)
        printf("\n    entropy %g an action, target %g\n", stats.entropy / 2.0, target);
    CU_ASSERT_DOUBLE_EQUAL(stats.entropy / 2.0, target, 0.2);
    setting_destroy(&s);
}

static void test_temperature_finds_the_target_entropy(void)
{
    check_entropy(0.5, -0.5);
    check_entropy(0.01, 0.3);
}

/* Demonstrations make half of the rows, and other bits. */
static void test_demos_are_half_of_a_batch(void)
{
    cn_train_config config = sac_config();
    setting s;
    cn_replay *demos = NULL;
    cn_sac_stats with, without;
    setting_create(&s, config, 0.0f, 0.0f, true);
    cn_sac_update(s.sac, false, 0.0);
    CN_ASSERT_OK(cn_sac_stats_of(s.sac, &without, &err));
    cn_sac_destroy(&s.sac);
    CN_ASSERT_OK(cn_replay_create(1, 4, 2, &demos, &err));
    const cn_transition t = {(const float[4]){0}, (const float[2]){0}, 100.0f, (const float[4]){0},
                             true};
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "the demos hold no transitions",
                    cn_sac_create(s.policy, 0, &config, s.replay, demos, 1, s.pool, &s.sac, &err));
    cn_replay_add(demos, &t);
    CN_ASSERT_OK(cn_sac_create(s.policy, 0, &config, s.replay, demos, 1, s.pool, &s.sac, &err));
    cn_sac_update(s.sac, false, 0.0);
    CN_ASSERT_OK(cn_sac_stats_of(s.sac, &with, &err));
    /* half of the rows are wrong by about 100, so by 10^4 squared; a value near 1 blurs it */
    CU_ASSERT_DOUBLE_EQUAL(with.critic_loss - without.critic_loss, 0.5 * 1e4, 400.0);
    CU_ASSERT_TRUE(checksum_after(1, demos) != checksum_after(1, NULL));
    cn_sac_destroy(&s.sac);
    config.batch_size = 63;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "batch_size is 63, and half of a batch are demos",
                    cn_sac_create(s.policy, 0, &config, s.replay, demos, 1, s.pool, &s.sac, &err));
    cn_replay_destroy(&demos);
    setting_destroy(&s);
}

/* The normaliser of a fresh column is fitted to the first steps and to the demos. */
static void test_demos_are_normalised_too(void)
{
    run r = {.config = sac_config()};
    cn_replay *demos = NULL;
    cn_policy *policy = fresh_policy(CN_BOUND_CLIP);
    const cn_transition t = {(const float[4]){0}, (const float[2]){0}, 1.0f, (const float[4]){0},
                             true};
    CN_ASSERT_OK(cn_replay_create(3, 4, 2, &demos, &err));
    for (int i = 0; i < 3; i++)
        cn_replay_add(demos, &t);
    r.config.steps = 512;
    r.demos = demos;
    train_whole(&r, policy);
    CU_ASSERT_EQUAL(cn_policy_normalizer(policy, 0)->count, (double)r.config.learning_starts + 3.0);
    cn_replay_destroy(&demos);
    cn_policy_destroy(&policy);
}

/* A fresh policy that hardly explores still tries every action in its first steps. */
static void test_first_actions_are_uniform(void)
{
    point_world world = {0};
    cn_train_config config = sac_config();
    cn_pool *pool;
    cn_learner *learner;
    cn_learner_step step;
    cn_tensor_view state[CN_MAX_STATE_TENSORS];
    config.rollout_steps = config.learning_starts / config.envs / 2;
    cn_policy *policy = fresh_policy(CN_BOUND_TANH);
    cn_params_fill(cn_policy_params(policy), cn_policy_log_std(policy, 0), -4.0f);
    CN_ASSERT_OK(cn_pool_create(1, &pool, &err));
    const cn_learner_setup setup = {.policy = policy,
                                    .config = &config,
                                    .seed = 1,
                                    .make_env = point_make,
                                    .make_env_ctx = &world,
                                    .pool = pool};
    CN_ASSERT_OK(cn_learner_create(&setup, &learner, &err));
    CN_ASSERT_OK(learner->iterate(learner, 0.0, &step, &err));
    CN_ASSERT_OK(learner->pack(learner, &err));
    const int count = learner->state(learner, state);
    int seen = 0;
    double square = 0;
    for (int i = 0; i < count; i++)
        for (int64_t n = 0; strcmp(state[i].name, "trainer/replay_action") == 0 &&
                            n < state[i].shape[0] * state[i].shape[1];
             n++, seen++)
            square += pow((double)((const float *)state[i].data)[n], 2);
    CU_ASSERT_EQUAL(seen, 2 * (int)step.steps);
    CU_ASSERT_DOUBLE_EQUAL(square / seen, 1.0 / 3.0, 0.06); /* of [-1, 1]; its own: 0.0003 */
    cn_learner_destroy(&learner);
    cn_pool_destroy(&pool);
    cn_policy_destroy(&policy);
}

/* ---- Refusals ---- */

static void test_refusals(void)
{
    cn_train_config config = sac_config();
    setting s;
    cn_replay *demos = NULL;
    cn_sac *sac = NULL;
    cn_learner *learner = NULL;
    setting_create(&s, config, 0.0f, 0.0f, true);
    CN_ASSERT_OK(cn_replay_create(1, 5, 2, &demos, &err));
    CN_ASSERT_FAILS(CN_ERR_MISMATCH,
                    "demos of 5 observations and 2 actions for a policy of 4 and 2",
                    cn_sac_create(s.policy, 0, &config, s.replay, demos, 1, s.pool, &sac, &err));
    config.algorithm = CN_PPO;
    const cn_learner_setup setup = {
        .policy = s.policy, .config = &config, .demos = demos, .pool = s.pool};
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "demos are for sac",
                    cn_learner_create(&setup, &learner, &err));
    cn_replay_destroy(&demos);
    setting_destroy(&s);
}

static cn_status try_learner(const cn_train_config *config, cn_learner **out)
{
    static point_world world;
    static cn_policy *policy;
    static cn_pool *pool;
    cn_learner_destroy(out);
    cn_policy_destroy(&policy);
    cn_pool_destroy(&pool);
    if (!config)
        return CN_OK;
    policy = fresh_policy(CN_BOUND_TANH);
    CN_ASSERT_OK(cn_pool_create(1, &pool, &err));
    const cn_learner_setup setup = {.policy = policy,
                                    .config = config,
                                    .make_env = point_make,
                                    .make_env_ctx = &world,
                                    .pool = pool};
    return cn_learner_create(&setup, out, &err);
}

static void test_settings_that_learn_nothing(void)
{
    cn_learner *learner = NULL;
    cn_train_config config = sac_config();
    config.learning_starts = 4096;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "learning_starts is 4096 of 4096 steps",
                    try_learner(&config, &learner));
    config.learning_starts = 256;
    config.actor_starts = 5000;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "actor_starts is 5000 of 4096 steps",
                    try_learner(&config, &learner));
    config.actor_starts = 0;
    config.update_every = 50;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT,
                    "rollout_steps is 128, which is no multiple of update_every, 50",
                    try_learner(&config, &learner));
    config.update_every = 256;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "no multiple of update_every, 256",
                    try_learner(&config, &learner));
    config.update_every = 64;
    CN_ASSERT_OK(try_learner(&config, &learner));
    try_learner(NULL, &learner);
}

/* Updates owed are less than one between iterations; with more a resumed run would not end. */
static void test_a_damaged_checkpoint(void)
{
    const double damaged[] = {-0.5, 1.0, 1e300, INFINITY, NAN};
    const cn_train_config config = sac_config();
    cn_tensor_view view[CN_MAX_STATE_TENSORS];
    cn_learner *learner = NULL;
    CN_ASSERT_OK(try_learner(&config, &learner));
    CN_ASSERT_OK(learner->pack(learner, &err));
    const int count = learner->state(learner, view);
    int owed = 0;
    while (owed < count && strcmp(view[owed].name, "trainer/owed") != 0)
        owed++;
    CU_ASSERT_FATAL(owed < count);
    CN_ASSERT_OK(learner->unpack(learner, &err));
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        memcpy((void *)view[owed].data, &damaged[i], sizeof damaged[i]);
        CN_ASSERT_FAILS(CN_ERR_FORMAT, "the checkpoint is damaged", learner->unpack(learner, &err));
    }
    try_learner(NULL, &learner);
}

static void test_loss_that_is_not_finite(void)
{
    run r = {.config = sac_config(), .world = {.broken_reward = true}, .folder = folder_create()};
    cn_policy *policy = fresh_policy(CN_BOUND_TANH);
    cn_train_report report;
    CN_ASSERT_FAILS(CN_ERR_LEARNING, "the loss is not finite any more", train(&r, policy, &report));
    CU_ASSERT_EQUAL(r.world.alive, 0);
    cn_policy_destroy(&policy);
    folder_destroy(&r.folder);
}

CN_TEST_MAIN("policy.sac", T(test_learns_squashed), T(test_learns_clipped_and_without_layer_norm),
             T(test_learns_beside_a_frozen_column),
             T(test_critics_see_what_the_frozen_column_sees_in_a_state),
             T(test_targets_see_what_the_frozen_column_sees_in_the_next_state),
             T(test_state_std_changes_no_action), T(test_unscaled_inputs_stay_unscaled),
             T(test_threads_do_not_change_bits), T(test_resumed_run_ends_with_the_same_bits),
             T(test_only_termination_ends_the_value), T(test_entropy_is_worth_something),
             T(test_actor_learns_as_often_as_told), T(test_temperature_finds_the_target_entropy),
             T(test_demos_are_half_of_a_batch), T(test_demos_are_normalised_too),
             T(test_first_actions_are_uniform), T(test_refusals),
             T(test_settings_that_learn_nothing), T(test_a_damaged_checkpoint),
             T(test_loss_that_is_not_finite))
