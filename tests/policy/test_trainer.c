/* The training loop, on the toy environment: it learns, adapts beside frozen columns, repeats, and
 * leaves good files whatever happens. */
#include "tests/folder.h"
#include "tests/policy/point.h"

static cn_error err;
static test_folder folder;

static cn_train_job job_of(cn_policy *policy, const cn_train_config *config, point_world *world)
{
    return (cn_train_job){
        .policy = policy,
        .config = config,
        .seed = 1,
        .threads = 2,
        .folder = folder.path,
        .make_env = point_make,
        .make_env_ctx = world,
    };
}

static cn_train_report train(cn_policy *policy, const cn_train_config *config)
{
    point_world world = {0};
    const cn_train_job job = job_of(policy, config, &world);
    cn_train_report report;
    CN_ASSERT_OK(cn_train(&job, &report, &err));
    CU_ASSERT_EQUAL(world.alive, 0);
    return report;
}

static cn_policy *load(const char *name)
{
    cn_policy *policy = NULL;
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, name), &policy, &err));
    return policy;
}

/* ---- Learning ---- */

static void test_learns_to_reach(void)
{
    folder = folder_create();
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_config config = point_config();
    config.steps = 32768;
    config.evaluate_every = config.steps;
    CU_ASSERT_TRUE(point_success(policy, 0) < 0.3);
    const cn_train_report report = train(policy, &config);
    CU_ASSERT_TRUE(point_success(policy, 0) > 0.95);
    CU_ASSERT_EQUAL(report.steps, config.steps);
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 0)->steps, config.steps);
    CU_ASSERT_FALSE(report.end == CN_TRAIN_STOPPED);
    CU_ASSERT_TRUE(report.best_steps > 0);
    CU_ASSERT_TRUE(report.best.success_rate > 0.95);
    CU_ASSERT_EQUAL(report.best.episodes, 64);
    cn_policy *last = load("last.safetensors"), *best = load("best.safetensors");
    CU_ASSERT_EQUAL(cn_policy_checksum(last, -1), cn_policy_checksum(policy, -1));
    CU_ASSERT_EQUAL(point_success(best, 0), point_success(policy, 0));
    cn_policy_destroy(&last);
    cn_policy_destroy(&best);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static float *copy_of_values(cn_params *params, size_t count)
{
    float *copy = malloc(count * sizeof *copy);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, cn_params_values(params), count * sizeof *copy);
    return copy;
}

/* Two columns more, each with real training: what was frozen is the same bytes, in memory and in
 * the file, and every column before acts as it did. */
static void test_frozen_columns_survive_training(void)
{
    folder = folder_create();
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_config config = point_config();
    config.steps = 8192;
    train(policy, &config);
    for (int k = 1; k < 3; k++) {
        cn_params *params = cn_policy_params(policy);
        const size_t count = cn_params_count(params);
        const double before = point_success(policy, k - 1);
        const cn_policy_column column =
            point_column(k == 1 ? CN_LATERAL_LINEAR : CN_LATERAL_ADAPTER);
        cn_rng rng = cn_rng_make((uint64_t)k, 0);
        cn_policy_freeze(policy, k - 1);
        const uint64_t sum = cn_policy_checksum(policy, k - 1);
        float *frozen = copy_of_values(params, count);
        CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
        CU_ASSERT_DOUBLE_EQUAL(point_success(policy, k), before, 0.01); /* 2 of 200 episodes */
        train(policy, &config);
        CU_ASSERT_EQUAL(memcmp(cn_params_values(params), frozen, count * sizeof *frozen), 0);
        cn_policy *last = load("last.safetensors");
        CU_ASSERT_EQUAL(cn_policy_checksum(last, k - 1), sum);
        CU_ASSERT_EQUAL(
            memcmp(cn_params_values(cn_policy_params(last)), frozen, count * sizeof *frozen), 0);
        CU_ASSERT_EQUAL(point_success(last, k - 1), before);
        CU_ASSERT_TRUE(point_success(last, k) >= before - 0.05);
        cn_policy_destroy(&last);
        free(frozen);
    }
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* ---- The same bits ---- */

typedef struct outcome {
    uint64_t checksum;
    cn_evaluation best;
} outcome;

static outcome outcome_of(int threads, uint64_t seed)
{
    point_world world = {0};
    cn_policy *policy = point_policy(2, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    cn_train_config config = point_config();
    cn_train_report report;
    config.steps = 4096;
    config.evaluate_every = 1500;
    folder = folder_create();
    cn_train_job job = job_of(policy, &config, &world);
    job.threads = threads;
    job.seed = seed;
    CN_ASSERT_OK(cn_train(&job, &report, &err));
    const outcome o = {cn_policy_checksum(policy, -1), report.best};
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
    return o;
}

static void test_same_seed_same_bits(void)
{
    const outcome one = outcome_of(1, 1);
    for (int threads = 1; threads <= 4; threads *= 2) {
        const outcome again = outcome_of(threads, 1);
        CU_ASSERT_EQUAL(again.checksum, one.checksum);
        CU_ASSERT_EQUAL(again.best.return_mean, one.best.return_mean);
        CU_ASSERT_EQUAL(again.best.successes, one.best.successes);
    }
    CU_ASSERT_NOT_EQUAL(outcome_of(1, 2).checksum, one.checksum);
}

/* ---- Its course ---- */

typedef struct course {
    int iterations, evaluations, bests;
    int64_t steps;
    cn_evaluation best;
    double highest; /* return of an evaluation, above 0 */
    atomic_bool stop;
    int stop_at;                /* iteration; 0: never */
    cn_episode_totals ended[8]; /* in the first iterations */
} course;

/* NaN: there is none of that name. */
static double metric(const cn_train_progress *p, const char *tag)
{
    for (int i = 0; i < p->metrics; i++)
        if (strcmp(p->metric[i].tag, tag) == 0)
            return p->metric[i].value;
    return NAN;
}

static void follow(void *ctx, const cn_train_progress *p)
{
    course *c = ctx;
    CU_ASSERT_TRUE(p->steps > c->steps);
    CU_ASSERT_TRUE(p->seconds > 0.0 && p->steps_per_second > 0.0);
    CU_ASSERT_EQUAL(isnan(p->return_mean), p->episodes == 0);
    CU_ASSERT_TRUE(metric(p, "ppo/loss") > -INFINITY && metric(p, "ppo/entropy") > 0.0);
    CU_ASSERT_DOUBLE_EQUAL(p->last.environments + p->last.inference + p->last.update + p->last.idle,
                           1.0, 1e-9);
    c->steps = p->steps;
    if (c->iterations < 8)
        c->ended[c->iterations] = p->last.episodes;
    c->iterations++;
    c->evaluations += p->evaluated;
    if (p->evaluated)
        c->highest = fmax(c->highest, p->evaluation.return_mean);
    c->bests += p->evaluated && p->best;
    if (p->evaluated && p->best)
        c->best = p->evaluation;
    if (c->iterations == c->stop_at)
        atomic_store(&c->stop, true);
}

static cn_train_report train_followed(cn_train_config *config, course *c)
{
    point_world world = {0};
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_report report;
    cn_train_job job = job_of(policy, config, &world);
    job.progress = follow;
    job.progress_ctx = c;
    job.stop = &c->stop;
    CN_ASSERT_OK(cn_train(&job, &report, &err));
    cn_policy *last = load("last.safetensors");
    CU_ASSERT_EQUAL(cn_policy_checksum(last, -1), cn_policy_checksum(policy, -1));
    CU_ASSERT_EQUAL(cn_policy_column_at(last, 0)->steps, report.steps);
    cn_policy_destroy(&last);
    cn_policy_destroy(&policy);
    return report;
}

/* Steps are rounded up to whole rollouts of 16 x 64; evaluations come when due, and at the end. */
static void test_progress_and_evaluations(void)
{
    folder = folder_create();
    cn_train_config config = point_config();
    course c = {0};
    config.steps = 5000;
    config.evaluate_every = 2000;
    const cn_train_report report = train_followed(&config, &c);
    CU_ASSERT_EQUAL(c.iterations, 5);
    CU_ASSERT_EQUAL(report.steps, 5 * 1024);
    CU_ASSERT_EQUAL(c.evaluations, 3); /* after 2048, 4096 and 5120 */
    CU_ASSERT_TRUE(c.bests >= 1);
    CU_ASSERT_EQUAL(report.best.return_mean, c.best.return_mean);
    cn_episode_totals recent = c.ended[4]; /* of 50 episodes or more: */
    for (int i = 3; recent.episodes < 100; i--) {
        recent.episodes += c.ended[i].episodes;
        recent.return_sum += c.ended[i].return_sum;
    }
    CU_ASSERT_EQUAL(report.recent_episodes, recent.episodes);
    CU_ASSERT_DOUBLE_EQUAL(report.recent_return, recent.return_sum / (double)recent.episodes, 1e-9);
    cn_policy *best = load("best.safetensors");
    cn_policy_destroy(&best);
    folder_destroy(&folder);
}

/* Where nobody knows what success is, the best is the one of the highest return. */
static void test_best_without_success(void)
{
    folder = folder_create();
    cn_train_config config = point_config();
    point_world world = {.unjudged = true};
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_report report;
    course c = {0};
    config.steps = 5000;
    config.evaluate_every = 1000;
    cn_train_job job = job_of(policy, &config, &world);
    job.progress = follow;
    job.progress_ctx = &c;
    CN_ASSERT_OK(cn_train(&job, &report, &err));
    CU_ASSERT_EQUAL(report.best.successes, -1);
    CU_ASSERT_TRUE(isnan(report.best.success_rate));
    CU_ASSERT_EQUAL(c.best.return_mean, c.highest);
    CU_ASSERT_EQUAL(report.best.return_mean, c.highest);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_no_evaluations(void)
{
    folder = folder_create();
    cn_train_config config = point_config();
    course c = {0};
    config.steps = 1;
    const cn_train_report report = train_followed(&config, &c);
    CU_ASSERT_EQUAL(c.iterations, 1);
    CU_ASSERT_FALSE(report.best_steps > 0);
    CU_ASSERT_EQUAL(report.recent_episodes, c.ended[0].episodes);
    CU_ASSERT_NOT_EQUAL(access(folder_path(&folder, "best.safetensors"), F_OK), 0);
    folder_destroy(&folder);
}

static void test_stop_saves_and_returns(void)
{
    folder = folder_create();
    cn_train_config config = point_config();
    course c = {.stop_at = 2};
    const cn_train_report report = train_followed(&config, &c);
    CU_ASSERT_TRUE(report.end == CN_TRAIN_STOPPED);
    CU_ASSERT_STRING_EQUAL(report.why, "interrupted");
    CU_ASSERT_EQUAL(c.iterations, 2);
    CU_ASSERT_EQUAL(report.steps, 2 * 1024);
    folder_destroy(&folder);
}

/* ---- Its end ---- */

/* Every file that the run leaves says why it ended. */
static void check_signed(const char *why)
{
    static const char *const names[] = {"last.safetensors", "best.safetensors"};
    for (int i = 0; i < 2; i++) {
        cn_policy *policy = load(names[i]);
        CU_ASSERT_STRING_EQUAL(cn_policy_column_at(policy, 0)->ended, why);
        cn_policy_destroy(&policy);
    }
}

static void test_ends_with_success(void)
{
    folder = folder_create();
    cn_train_config config = point_config();
    course c = {0};
    config.steps = 262144;
    config.evaluate_every = 2048;
    config.stop_success = 0.8;
    const cn_train_report report = train_followed(&config, &c);
    CU_ASSERT_EQUAL(report.end, CN_TRAIN_SUCCESS);
    CU_ASSERT_STRING_EQUAL(report.why, "success reached");
    CU_ASSERT_TRUE(report.steps < config.steps);
    CU_ASSERT_EQUAL(report.steps, report.best_steps);
    CU_ASSERT_TRUE(report.best.success_low >= 0.8);
    check_signed("success reached");
    folder_destroy(&folder);
}

static void test_ends_without_improvement(void)
{
    folder = folder_create();
    cn_train_config config = point_config();
    course c = {0};
    config.steps = 262144;
    config.evaluate_every = 1024;
    config.patience = 3;
    const cn_train_report report = train_followed(&config, &c);
    CU_ASSERT_EQUAL(report.end, CN_TRAIN_PATIENCE);
    CU_ASSERT_STRING_EQUAL(report.why, "no improvement for 3 evaluations");
    CU_ASSERT_EQUAL(report.steps, report.best_steps + 3 * 1024);
    CU_ASSERT_TRUE(report.steps < config.steps);
    check_signed("no improvement for 3 evaluations");
    folder_destroy(&folder);
}

static void test_ends_that_could_not_come_are_refused(void)
{
    folder = folder_create();
    point_world world = {0};
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_config config = point_config();
    const cn_train_job job = job_of(policy, &config, &world);
    cn_train_report report;
    config.patience = 1;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "set evaluate_every", cn_train(&job, &report, &err));
    config.patience = 0;
    config.evaluate_every = 1024;
    config.stop_success = 0.95;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "64 successes of 64 show no more than 0.9434",
                    cn_train(&job, &report, &err));
    config.evaluate_episodes = 73; /* 73 of 73: 0.95001 */
    config.steps = 1;
    CN_ASSERT_OK(cn_train(&job, &report, &err));
    CU_ASSERT_EQUAL(report.end, CN_TRAIN_STEPS);
    check_signed("all steps done");
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* ---- Failures ---- */

/* A run that fails says why, frees everything and leaves the files of the run before. */
static void check_failure(point_world world, cn_status code, const char *words)
{
    folder = folder_create();
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_train_config config = point_config();
    config.steps = 4096;
    CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "last.safetensors"), &err));
    CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "copy"), &err));
    const cn_train_job job = job_of(policy, &config, &world);
    cn_train_report report;
    CN_ASSERT_FAILS(code, words, cn_train(&job, &report, &err));
    CU_ASSERT_EQUAL(err.code, code);
    CU_ASSERT_EQUAL(world.alive, 0);
    CU_ASSERT_TRUE(
        files_equal(folder_path(&folder, "last.safetensors"), folder_path(&folder, "copy")));
    CN_ASSERT_OK(cn_policy_verify(policy, &err));
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_environment_that_fails(void)
{
    check_failure((point_world){.fails = 5, .fail_at = 60}, CN_ERR_TIMEOUT,
                  "point 5 broke at step 60"); /* in the first rollout: nothing was learned */
    check_failure((point_world){.refuse_at = 7}, CN_ERR_REFUSED, "no point number 7");
    check_failure((point_world){.arm = "jaco"}, CN_ERR_MISMATCH,
                  "the policy is for the arm 'point', this is the arm 'jaco'");
}

/* What was learned before an environment fails, in its third rollout, is saved, and the message
 * says where. */
static void check_rescue(cn_algorithm algorithm, cn_status failure, int64_t steps)
{
    folder = folder_create();
    point_world world = {.fails = 5, .fail_at = 150, .failure = failure};
    cn_policy *policy = point_policy(2, CN_LATERAL_LINEAR, CN_GROW_IDENTITY);
    cn_train_config config = point_config();
    char ended[CN_NAME];
    config.algorithm = algorithm;
    config.learning_starts = 256;
    config.updates_per_step = 0.01;
    const cn_train_job job = job_of(policy, &config, &world);
    const uint64_t before = cn_policy_checksum(policy, 1);
    cn_train_report report;
    CN_ASSERT_FAILS(failure, "point 5 broke at step 150", cn_train(&job, &report, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, folder_path(&folder, "last.safetensors")));
    cn_policy *last = load("last.safetensors");
    CU_ASSERT_NOT_EQUAL(cn_policy_checksum(last, 1), before);
    CU_ASSERT_EQUAL(cn_policy_checksum(last, 1), cn_policy_checksum(policy, 1));
    CU_ASSERT_EQUAL(cn_policy_column_at(last, 1)->steps, steps);
    snprintf(ended, sizeof ended, "failed: %s", cn_status_words(failure));
    CU_ASSERT_STRING_EQUAL(cn_policy_column_at(last, 1)->ended, ended);
    cn_policy_destroy(&last);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_a_failure_keeps_what_was_learned(void)
{
    static const cn_status failures[] = {CN_ERR_TIMEOUT, CN_ERR_PHYSICS};
    for (int i = 0; i < 2; i++) {
        check_rescue(CN_PPO, failures[i], 2 * 16 * 64);
        check_rescue(CN_SAC, failures[i], 149 * 16); /* it learns after every step */
    }
}

static void test_loss_that_is_not_finite(void)
{
    check_failure((point_world){.broken_reward = true}, CN_ERR_LEARNING,
                  "the loss is not finite any more");
}

static void test_folder_that_cannot_be_written(void)
{
    folder = folder_create();
    point_world world = {0};
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    const cn_train_config config = point_config();
    cn_train_job job = job_of(policy, &config, &world);
    cn_train_report report;
    job.folder = folder_path(&folder, "none");
    CN_ASSERT_FAILS(CN_ERR_IO, "/none/", cn_train(&job, &report, &err));
    CU_ASSERT_EQUAL(world.made, 0); /* found out before anything is made */
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* The folder is there, but its last.safetensors cannot be replaced: it is a folder itself. */
static void test_file_that_cannot_be_replaced(void)
{
    folder = folder_create();
    point_world world = {0};
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_config config = point_config();
    config.steps = 1;
    const cn_train_job job = job_of(policy, &config, &world);
    cn_train_report report;
    CU_ASSERT_EQUAL(mkdir(folder_path(&folder, "last.safetensors"), 0777), 0);
    CN_ASSERT_FAILS(CN_ERR_IO, "/last.safetensors: cannot put the new file in place",
                    cn_train(&job, &report, &err));
    CU_ASSERT_EQUAL(world.alive, 0);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_refuses_what_cannot_be_run(void)
{
    folder = folder_create();
    point_world world = {0};
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    cn_train_config config = point_config();
    cn_train_job job = job_of(policy, &config, &world);
    cn_train_report report;
    job.threads = 0;
    CU_ASSERT_EQUAL(cn_train(&job, &report, &err), CN_ERR_ARGUMENT);
    job.threads = 1;
    config.minibatches = config.envs * config.rollout_steps + 1;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "1025 minibatches of 1024 rows",
                    cn_train(&job, &report, &err));
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

CN_TEST_MAIN("policy.trainer", T(test_learns_to_reach), T(test_frozen_columns_survive_training),
             T(test_same_seed_same_bits), T(test_progress_and_evaluations),
             T(test_best_without_success), T(test_no_evaluations), T(test_stop_saves_and_returns),
             T(test_ends_with_success), T(test_ends_without_improvement),
             T(test_ends_that_could_not_come_are_refused), T(test_environment_that_fails),
             T(test_a_failure_keeps_what_was_learned), T(test_loss_that_is_not_finite),
             T(test_folder_that_cannot_be_written), T(test_file_that_cannot_be_replaced),
             T(test_refuses_what_cannot_be_run))
