/* Training on several ranks, as threads, each with a policy and environments of its own: what one
 * knows all know, to the bit. CUnit's assertions are not for threads: every rank notes what it got
 * and the test looks at it afterwards. */
#include "policy/exchange.h"

#include "tests/folder.h"
#include "tests/policy/point.h"
#include "tests/policy/ranks.h"

/* Moments that were merged from parts, against those of the whole: both round in double. */
#define MERGE_TOLERANCE 1e-12

static cn_error err;
static test_folder folder;

/* ---- Exchanges by themselves ---- */

enum { RANKS = 4, SIZE = 3, SAMPLES = 90 };

typedef struct exchanged {
    cn_status status[RANKS];
    cn_error err[RANKS];
    float first[RANKS], frozen[RANKS];
    double numbers[RANKS][2];
    double mean[RANKS][SIZE], square[RANKS][SIZE], count[RANKS], left[RANKS];
    int spoilt; /* rank that changes a parameter; -1: none */
} exchanged;

static float sample(int row, int i)
{
    return (float)(100 * i) + sinf((float)(7 * row + i));
}

/* Rank r gives gradients r + 1 and has seen the samples r, r + RANKS, ... */
static cn_status exchange(cn_peers *peers, exchanged *x, cn_params *params, cn_error *e)
{
    const int r = peers->rank;
    cn_exchange *exchange = NULL;
    cn_normalizer mine = {0}, all = {0};
    cn_status status = cn_normalizer_create(SIZE, &mine, e);
    if (status == CN_OK)
        status = cn_normalizer_create(SIZE, &all, e);
    CN_TRY_CLEANUP(status);
    CN_TRY_CLEANUP(cn_exchange_create(peers, params, SIZE, &exchange, e));
    for (size_t i = 0; i < cn_params_count(params); i++)
        cn_params_grads(params)[i] = (float)(r + 1);
    x->numbers[r][0] = 10.0 * r;
    x->numbers[r][1] = -1.0;
    CN_TRY_CLEANUP(cn_exchange_means(exchange, x->numbers[r], 2, e));
    x->frozen[r] = cn_params_grads(params)[0];
    x->first[r] = cn_params_grads(params)[6];
    for (int row = r; row < SAMPLES; row += RANKS) {
        const float one[SIZE] = {sample(row, 0), sample(row, 1), sample(row, 2)};
        cn_normalizer_update(&mine, one, 1, SIZE);
    }
    CN_TRY_CLEANUP(cn_exchange_moments(exchange, &mine, &all, e));
    x->count[r] = all.count;
    x->left[r] = mine.count;
    memcpy(x->mean[r], all.mean, sizeof x->mean[r]);
    memcpy(x->square[r], all.square, sizeof x->square[r]);
    CN_TRY_CLEANUP(cn_exchange_check(exchange, 100, e));
    if (r == x->spoilt)
        cn_params_values(params)[7] += 1.0f;
    CN_TRY_CLEANUP(cn_exchange_check(exchange, 200, e));
cleanup:
    cn_exchange_destroy(&exchange);
    cn_exchange_destroy(&exchange); /* does nothing */
    cn_normalizer_destroy(&mine);
    cn_normalizer_destroy(&all);
    return status;
}

static void exchange_on(cn_peers *peers, void *ctx)
{
    exchanged *x = ctx;
    const int r = peers->rank;
    cn_params *params = NULL;
    cn_param slice;
    cn_error *e = &x->err[r];
    x->status[r] = cn_params_create(&params, e);
    if (x->status[r] == CN_OK)
        x->status[r] = cn_params_add(params, "old", 2, 3, &slice, e);
    if (x->status[r] == CN_OK)
        x->status[r] = cn_params_add(params, "new", 1, 5, &slice, e);
    if (x->status[r] == CN_OK) {
        cn_params_freeze(params, "old", true);
        x->status[r] = exchange(peers, x, params, e);
    }
    cn_params_destroy(&params);
}

static void test_means_and_moments(void)
{
    exchanged x = {.spoilt = -1};
    cn_normalizer whole;
    CN_ASSERT_OK(cn_normalizer_create(SIZE, &whole, &err));
    for (int row = 0; row < SAMPLES; row++) {
        const float one[SIZE] = {sample(row, 0), sample(row, 1), sample(row, 2)};
        cn_normalizer_update(&whole, one, 1, SIZE);
    }
    test_ranks_run(RANKS, exchange_on, &x);
    for (int r = 0; r < RANKS; r++) {
        CU_ASSERT_EQUAL(x.status[r], CN_OK);
        CU_ASSERT_EQUAL(x.first[r], 2.5f);            /* of 1, 2, 3, 4 */
        CU_ASSERT_EQUAL(x.frozen[r], (float)(r + 1)); /* not exchanged */
        CU_ASSERT_EQUAL(x.numbers[r][0], 15.0);
        CU_ASSERT_EQUAL(x.numbers[r][1], -1.0);
        CU_ASSERT_EQUAL(x.count[r], whole.count);
        CU_ASSERT_EQUAL(x.left[r], 0.0);
        CU_ASSERT_EQUAL(memcmp(x.mean[r], x.mean[0], sizeof x.mean[0]), 0);
        CU_ASSERT_EQUAL(memcmp(x.square[r], x.square[0], sizeof x.square[0]), 0);
    }
    for (int i = 0; i < SIZE; i++) {
        CU_ASSERT_DOUBLE_EQUAL(x.mean[0][i], whole.mean[i], MERGE_TOLERANCE * 100.0 * (i + 1));
        CU_ASSERT_DOUBLE_EQUAL(x.square[0][i] / whole.square[i], 1.0, 1e4 * MERGE_TOLERANCE);
    }
    cn_normalizer_destroy(&whole);
}

static void test_other_parameters_are_noticed(void)
{
    exchanged x = {.spoilt = 2};
    test_ranks_run(RANKS, exchange_on, &x);
    for (int r = 0; r < RANKS; r++) {
        CU_ASSERT_EQUAL(x.status[r], CN_ERR_CHECKSUM);
        CU_ASSERT_PTR_NOT_NULL(strstr(x.err[r].message, "the parameters after 200 updates differ"));
        CU_ASSERT_PTR_NOT_NULL(strstr(x.err[r].message, "on rank 2"));
    }
}

/* ---- Training ---- */

typedef struct job {
    cn_train_config config;
    bool resume;
    const char *other;                    /* NULL, or the folder of rank 1 */
    int stop_rank, fail_rank, spoil_rank; /* what goes on there; -1: nowhere */
    cn_status status[RANKS_MAX];
    cn_error err[RANKS_MAX];
    cn_train_report report[RANKS_MAX];
    uint64_t sum[RANKS_MAX]; /* of the policy afterwards */
} job;

static job job_default(void)
{
    job j = {.config = point_config(), .stop_rank = -1, .fail_rank = -1, .spoil_rank = -1};
    j.config.steps = 8192;
    j.config.envs = 8;
    j.config.evaluate_every = 4096;
    j.config.evaluate_episodes = 13; /* not divisible by the ranks */
    j.config.checkpoint_every = 2048;
    return j;
}

/* What the first environment of a rank does at step MOMENT of its life. */
#define MOMENT 100
typedef struct mischief {
    point_world world; /* first: a point_world * is a mischief * */
    cn_policy *policy; /* NULL, or a parameter of it changes */
    bool stops;
    atomic_bool stop;
} mischief;

static cn_status mischievous_step(cn_env *env, const float *action, cn_env_step *step,
                                  float *observation, cn_error *e)
{
    const point *p = (const point *)env;
    mischief *m = (mischief *)p->world;
    if (p->number == 0 && p->age == MOMENT && m->policy)
        cn_params_values(cn_policy_params(m->policy))[3] += 0.5f;
    if (p->number == 0 && p->age == MOMENT && m->stops)
        atomic_store(&m->stop, true);
    return point_step(env, action, step, observation, e);
}

static cn_status make_point(void *ctx, cn_env **out, cn_error *e)
{
    CN_TRY(point_make(ctx, out, e));
    (*out)->step = mischievous_step;
    return CN_OK;
}

static cn_status policy_of(const job *j, const char *in, cn_policy **out, cn_error *e)
{
    char path[CN_PATH];
    const cn_env_spec spec = point_spec();
    const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_rng rng = cn_rng_make(11, 0);
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", in);
    if (j->resume)
        return cn_policy_load(path, out, e);
    CN_TRY(cn_policy_create(&spec, out, e));
    return cn_policy_grow(*out, &column, CN_GROW_RANDOM, &rng, e);
}

static void train_on(cn_peers *peers, void *ctx)
{
    job *j = ctx;
    const int r = cn_peers_rank(peers);
    const char *path = r == 1 && j->other ? j->other : folder.path;
    cn_policy *policy = NULL;
    j->err[r] = (cn_error){0};
    j->status[r] = policy_of(j, path, &policy, &j->err[r]);
    mischief m = {.stops = r == j->stop_rank, .policy = r == j->spoil_rank ? policy : NULL};
    if (r == j->fail_rank)
        m.world.fail_at = MOMENT;
    const cn_train_job train = {
        .policy = policy,
        .config = &j->config,
        .seed = 1,
        .threads = 1,
        .folder = path,
        .peers = peers,
        .resume = j->resume,
        .make_env = make_point,
        .make_env_ctx = &m,
        .stop = &m.stop,
    };
    j->status[r] = cn_peers_agree(peers, j->status[r], &j->err[r]);
    if (j->status[r] == CN_OK)
        j->status[r] = cn_train(&train, &j->report[r], &j->err[r]);
    if (policy)
        j->sum[r] = cn_policy_checksum(policy, -1);
    cn_policy_destroy(&policy);
}

static void run(job *j, int ranks)
{
    test_ranks_run(ranks, train_on, j);
}

/* All ranks ended well, with one policy. */
static void check_equal(const job *j, int ranks)
{
    for (int r = 0; r < ranks; r++) {
        if (j->status[r] != CN_OK)
            printf("\n    rank %d: %s\n", r, j->err[r].message);
        CU_ASSERT_EQUAL(j->status[r], CN_OK);
        CU_ASSERT_EQUAL(j->sum[r], j->sum[0]);
        CU_ASSERT_EQUAL(j->report[r].steps, j->report[0].steps);
        CU_ASSERT_EQUAL(j->report[r].best.return_mean, j->report[0].best.return_mean);
    }
}

static uint64_t checksum_of(job j, int ranks)
{
    folder = folder_create();
    run(&j, ranks);
    check_equal(&j, ranks);
    CU_ASSERT_EQUAL(j.report[0].steps, j.config.steps);
    CU_ASSERT_EQUAL(j.report[0].best.episodes, 13);
    folder_destroy(&folder);
    return j.sum[0];
}

static void test_all_ranks_end_with_the_same_bits_twice(void)
{
    for (int ranks = 2; ranks <= 4; ranks += 2) {
        const uint64_t once = checksum_of(job_default(), ranks);
        CU_ASSERT_EQUAL(checksum_of(job_default(), ranks), once);
    }
    CU_ASSERT_NOT_EQUAL(checksum_of(job_default(), 2), checksum_of(job_default(), 4));
}

static void test_one_rank_is_a_process_on_its_own(void)
{
    job alone = job_default();
    folder = folder_create();
    train_on(NULL, &alone);
    folder_destroy(&folder);
    CU_ASSERT_EQUAL(alone.status[0], CN_OK);
    CU_ASSERT_EQUAL(checksum_of(job_default(), 1), alone.sum[0]);
}

static void test_ranks_learn_to_reach(void)
{
    job j = job_default();
    j.config.steps = 32768;
    j.config.evaluate_every = j.config.steps;
    j.config.evaluate_episodes = 64;
    folder = folder_create();
    run(&j, 2);
    check_equal(&j, 2);
    CU_ASSERT_TRUE(j.report[0].best.success_rate > 0.95);
    folder_destroy(&folder);
}

/* The results of an evaluation don't depend on who makes its episodes. */
static void test_a_shared_evaluation_is_the_same(void)
{
    job j = job_default();
    point_world world = {0};
    cn_policy *policy = NULL;
    cn_pool *pool = NULL;
    cn_evaluator *evaluator = NULL;
    cn_evaluation again;
    folder = folder_create();
    run(&j, 4);
    check_equal(&j, 4);
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "best.safetensors"), &policy, &err));
    CN_ASSERT_OK(cn_pool_create(1, &pool, &err));
    CN_ASSERT_OK(cn_evaluator_create(policy, 0, 8, point_make, &world, pool, &evaluator, &err));
    CN_ASSERT_OK(cn_evaluator_run(evaluator, 13, 1, NULL, &again, &err));
    CU_ASSERT_EQUAL(again.return_mean, j.report[0].best.return_mean);
    CU_ASSERT_EQUAL(again.length_mean, j.report[0].best.length_mean);
    CU_ASSERT_EQUAL(again.successes, j.report[0].best.successes);
    cn_evaluator_destroy(&evaluator);
    cn_pool_destroy(&pool);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_a_wish_of_one_stops_all(void)
{
    job j = job_default();
    j.stop_rank = 1;
    folder = folder_create();
    run(&j, 4);
    check_equal(&j, 4);
    for (int r = 0; r < 4; r++)
        CU_ASSERT_TRUE(j.report[r].end == CN_TRAIN_STOPPED);
    CU_ASSERT_EQUAL(j.report[0].steps, 2 * 4 * 8 * 64); /* step MOMENT is in the second iteration */
    folder_destroy(&folder);
}

static void test_resumed_ranks_end_with_the_same_bits(void)
{
    const uint64_t whole = checksum_of(job_default(), 2);
    job j = job_default();
    j.stop_rank = 0;
    folder = folder_create();
    run(&j, 2);
    CU_ASSERT_TRUE(j.report[1].end == CN_TRAIN_STOPPED);
    j.stop_rank = -1;
    j.resume = true;
    run(&j, 2);
    check_equal(&j, 2);
    CU_ASSERT_EQUAL(j.sum[0], whole);
    folder_destroy(&folder);
}

/* ---- Failures ---- */

static void check_failure(const job *j, int ranks, cn_status status, const char *words)
{
    for (int r = 0; r < ranks; r++) {
        if (!strstr(j->err[r].message, words))
            printf("\n    rank %d, expected \"%s\" in: %s\n", r, words, j->err[r].message);
        CU_ASSERT_EQUAL(j->status[r], status);
        CU_ASSERT_PTR_NOT_NULL(strstr(j->err[r].message, words));
    }
}

static void test_another_number_of_ranks_cannot_go_on(void)
{
    job j = job_default();
    folder = folder_create();
    run(&j, 2);
    j.resume = true;
    run(&j, 4);
    check_failure(&j, 4, CN_ERR_MISMATCH, "is of a run on 2 rank(s), and these are 4");
    train_on(NULL, &j);
    check_failure(&j, 1, CN_ERR_MISMATCH, "is of a run on 2 rank(s), and these are 1");
    folder_destroy(&folder);
}

/* RUN does not lie where all machines see it: one has a checkpoint of an earlier moment. */
static void test_ranks_that_read_other_checkpoints_end(void)
{
    job j = job_default();
    j.stop_rank = 0;
    folder = folder_create();
    run(&j, 2);
    test_folder other = folder;
    j.config.checkpoint_every = 1024;
    j.stop_rank = 1;
    folder = folder_create();
    j.config.steps = 1024;
    run(&j, 2);
    j = job_default();
    j.resume = true;
    j.other = other.path;
    run(&j, 2);
    check_failure(&j, 2, CN_ERR_CHECKSUM, "checkpoint.safetensors is not one file that all ranks");
    folder_destroy(&other);
    folder_destroy(&folder);
}

static void test_an_environment_of_one_rank_fails(void)
{
    job j = job_default();
    j.fail_rank = 2;
    folder = folder_create();
    run(&j, 4);
    check_failure(&j, 4, CN_ERR_TIMEOUT, "rank 2 of 4: point 0 broke at step 100");
    folder_destroy(&folder);
}

static void test_a_rank_whose_parameters_differ_ends_the_run(void)
{
    job j = job_default();
    j.spoil_rank = 1;
    j.config.checkpoint_every = 0;
    folder = folder_create();
    run(&j, 2);
    check_failure(&j, 2, CN_ERR_CHECKSUM, "the parameters after 100 updates differ between ranks");
    folder_destroy(&folder);
}

/* A checkpoint is written only of what all ranks hold: the run goes on from the one before. */
static void test_no_checkpoint_holds_what_differs(void)
{
    job j = job_default();
    j.config.checkpoint_every = 1000; /* each iteration; it happens in the second */
    const uint64_t whole = checksum_of(j, 2);
    j.spoil_rank = 1;
    folder = folder_create();
    run(&j, 2);
    check_failure(&j, 2, CN_ERR_CHECKSUM, "the parameters after 96 updates differ");
    j.spoil_rank = -1;
    j.resume = true;
    CU_ASSERT_EQUAL(access(folder_path(&folder, "checkpoint.safetensors"), F_OK), 0);
    run(&j, 2);
    check_equal(&j, 2);
    CU_ASSERT_EQUAL(j.sum[0], whole);
    folder_destroy(&folder);
}

static void test_a_disk_that_fails_ends_the_run_of_all(void)
{
    job j = job_default();
    folder = folder_create();
    const test_folder gone = folder;
    folder_destroy(&folder);
    folder = gone;
    run(&j, 2);
    check_failure(&j, 2, CN_ERR_IO, "rank 0 of 2: ");
}

CN_TEST_MAIN(
    "policy.exchange", T(test_means_and_moments), T(test_other_parameters_are_noticed),
    T(test_all_ranks_end_with_the_same_bits_twice), T(test_one_rank_is_a_process_on_its_own),
    T(test_ranks_learn_to_reach), T(test_a_shared_evaluation_is_the_same),
    T(test_a_wish_of_one_stops_all), T(test_resumed_ranks_end_with_the_same_bits),
    T(test_another_number_of_ranks_cannot_go_on), T(test_ranks_that_read_other_checkpoints_end),
    T(test_an_environment_of_one_rank_fails), T(test_a_rank_whose_parameters_differ_ends_the_run),
    T(test_no_checkpoint_holds_what_differs), T(test_a_disk_that_fails_ends_the_run_of_all))
