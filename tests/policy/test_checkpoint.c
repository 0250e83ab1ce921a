/* Checkpoints: a run that was cut off and resumed ends with the bits of one that was not. */
#include "tests/folder.h"
#include "tests/policy/point.h"

static cn_error err;
static test_folder folder;

static cn_train_config checkpoint_config(void)
{
    cn_train_config config = point_config();
    config.steps = 8192; /* eight rollouts */
    config.checkpoint_every = 2000;
    config.evaluate_every = 3000;
    return config;
}

static cn_status train(cn_policy *policy, const cn_train_config *config, bool resume,
                       int iterations, cn_train_report *report)
{
    point_world world = {0};
    point_brake b = {.iterations = iterations};
    const cn_train_job job = {
        .policy = policy,
        .config = config,
        .seed = 3,
        .threads = 2,
        .folder = folder.path,
        .resume = resume,
        .make_env = point_make,
        .make_env_ctx = &world,
        .stop = &b.stop,
        .progress = point_pull,
        .progress_ctx = &b,
    };
    return cn_train(&job, report, &err);
}

static cn_policy *load(const char *name)
{
    cn_policy *policy = NULL;
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, name), &policy, &err));
    return policy;
}

/* @param cuts  iterations of each part but the last; ends with 0 */
static void run_in_parts(const int *cuts, uint64_t *checksum, cn_train_report *report)
{
    const cn_train_config config = checkpoint_config();
    folder = folder_create();
    cn_policy *policy = point_policy(2, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    bool resume = false;
    for (; *cuts; cuts++) {
        CN_ASSERT_OK(train(policy, &config, resume, *cuts, report));
        CU_ASSERT_TRUE(report->end == CN_TRAIN_STOPPED);
        cn_policy_destroy(&policy);
        policy = load("checkpoint.safetensors");
        resume = true;
    }
    CN_ASSERT_OK(train(policy, &config, resume, -1, report));
    CU_ASSERT_EQUAL(report->steps, config.steps);
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 1)->steps, config.steps);
    *checksum = cn_policy_checksum(policy, -1);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_resumed_run_ends_with_the_same_bits(void)
{
    uint64_t whole, parts;
    cn_train_report a, b;
    run_in_parts((const int[]){0}, &whole, &a);
    /* cut at a checkpoint; between two; twice, once right after resuming */
    static const int cuts[3][4] = {{4, 0}, {5, 0}, {3, 1, 3, 0}};
    for (int i = 0; i < 3; i++) {
        run_in_parts(cuts[i], &parts, &b);
        CU_ASSERT_EQUAL(parts, whole);
        CU_ASSERT_EQUAL(b.best_steps, a.best_steps);
        CU_ASSERT_EQUAL(b.best.successes, a.best.successes);
        CU_ASSERT_EQUAL(b.best.return_mean, a.best.return_mean);
    }
}

/* What the best policy's evaluation was is known again, with its intervals. */
static void test_best_is_known_again(void)
{
    cn_train_config config = checkpoint_config();
    cn_train_report before, after;
    config.steps = 4096;
    config.checkpoint_every = config.evaluate_every = 1024;
    folder = folder_create();
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    CN_ASSERT_OK(train(policy, &config, false, -1, &before));
    cn_policy_destroy(&policy);
    policy = load("checkpoint.safetensors");
    CN_ASSERT_OK(train(policy, &config, true, -1, &after));
    CU_ASSERT_EQUAL(after.steps, 4096);
    CU_ASSERT_EQUAL(after.checkpoint_steps, 4096);
    CU_ASSERT_EQUAL(after.best_steps, before.best_steps);
    CU_ASSERT_EQUAL(after.without_improvement, before.without_improvement);
    CU_ASSERT_EQUAL(after.best.success_low, before.best.success_low);
    CU_ASSERT_EQUAL(after.best.return_high, before.best.return_high);
    CU_ASSERT_EQUAL(after.best.length_mean, before.best.length_mean);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* A run that loses patience does so after the same evaluation when it was cut; and what has ended
 * ends there again. */
static void test_resumed_run_ends_early_all_the_same(void)
{
    cn_train_config config = checkpoint_config();
    cn_train_report report[3];
    uint64_t sum[3];
    config.steps = 262144;
    config.checkpoint_every = config.evaluate_every = 1024;
    config.patience = 2;
    for (int cut = 0; cut < 2; cut++) {
        folder = folder_create();
        cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
        CN_ASSERT_OK(train(policy, &config, false, cut ? 3 : -1, &report[cut]));
        for (int again = cut; again < 2 * cut + 1; again++) {
            cn_policy_destroy(&policy);
            policy = load("checkpoint.safetensors");
            CN_ASSERT_OK(train(policy, &config, true, -1, &report[again]));
            sum[again] = cn_policy_checksum(policy, -1);
        }
        if (!cut)
            sum[0] = cn_policy_checksum(policy, -1);
        cn_policy_destroy(&policy);
        folder_destroy(&folder);
    }
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(report[i].end, CN_TRAIN_PATIENCE);
        CU_ASSERT_EQUAL(report[i].steps, report[0].steps);
        CU_ASSERT_EQUAL(report[i].best_steps, report[0].best_steps);
        CU_ASSERT_EQUAL(sum[i], sum[0]);
    }
    CU_ASSERT_TRUE(report[0].steps < config.steps);
}

/* A checkpoint is a policy as well: the one that was trained so far. */
static void test_checkpoint_is_a_policy(void)
{
    const cn_train_config config = checkpoint_config();
    cn_train_report report;
    folder = folder_create();
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    CN_ASSERT_OK(train(policy, &config, false, 4, &report));
    cn_policy *saved = load("checkpoint.safetensors");
    CU_ASSERT_EQUAL(cn_policy_checksum(saved, -1), cn_policy_checksum(policy, -1));
    CU_ASSERT_EQUAL(cn_policy_column_at(saved, 0)->steps, 4 * 1024);
    cn_policy_destroy(&saved);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_no_checkpoints(void)
{
    cn_train_config config = checkpoint_config();
    cn_train_report report;
    config.checkpoint_every = 0;
    folder = folder_create();
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    CN_ASSERT_OK(train(policy, &config, false, 3, &report));
    CU_ASSERT_NOT_EQUAL(access(folder_path(&folder, "checkpoint.safetensors"), F_OK), 0);
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/checkpoint.safetensors: No such file or directory",
                    train(policy, &config, true, 1, &report));
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_resume_refuses(void)
{
    cn_train_config config = checkpoint_config();
    cn_train_report report;
    folder = folder_create();
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    CN_ASSERT_OK(train(policy, &config, false, 2, &report));
    config.envs = 8;
    CN_ASSERT_FAILS(CN_ERR_SHAPE, "/checkpoint.safetensors: the tensor 'trainer/env_rng' has ",
                    train(policy, &config, true, 1, &report));
    CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "checkpoint.safetensors"), &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a policy, but no checkpoint of a training run",
                    train(policy, &config, true, 1, &report));
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

CN_TEST_MAIN("policy.checkpoint", T(test_resumed_run_ends_with_the_same_bits),
             T(test_best_is_known_again), T(test_resumed_run_ends_early_all_the_same),
             T(test_checkpoint_is_a_policy), T(test_no_checkpoints), T(test_resume_refuses))
