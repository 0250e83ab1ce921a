/* What ranks agree on, among ranks that are threads. CUnit's assertions are not for threads, so
 * each rank notes its results and the test looks at them afterwards. */
#include "tests/policy/ranks.h"

enum { RANKS = 4 };

typedef struct result {
    cn_status status;
    cn_error err;
    bool flag;
} result;

static cn_error err;

/* ---- Agreement ---- */

typedef struct failures {
    cn_status mine[RANKS];
    bool silent; /* a failure without a message */
    result result[RANKS];
} failures;

static void agree(cn_peers *peers, void *ctx)
{
    failures *f = ctx;
    const int r = peers->rank;
    result *out = &f->result[r];
    *out = (result){0};
    if (f->mine[r] != CN_OK && !f->silent)
        cn_error_set(&out->err, f->mine[r], __FILE__, __LINE__, "rank %d lost its arm", r);
    out->status = cn_peers_agree(peers, f->mine[r], &out->err);
}

static void test_all_is_well(void)
{
    failures f = {0};
    test_ranks_run(RANKS, agree, &f);
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT_EQUAL(f.result[r].status, CN_OK);
}

static void test_a_failure_of_one_is_a_failure_of_all(void)
{
    failures f = {.mine = {[2] = CN_ERR_TIMEOUT, [3] = CN_ERR_IO}};
    test_ranks_run(RANKS, agree, &f);
    for (int r = 0; r < RANKS; r++) {
        CU_ASSERT_EQUAL(f.result[r].status, CN_ERR_TIMEOUT);
        CU_ASSERT_STRING_EQUAL(f.result[r].err.message, "rank 2 of 4: rank 2 lost its arm");
    }
}

static void test_a_failure_without_a_message_gets_one(void)
{
    failures f = {.mine = {[0] = CN_ERR_MEMORY}, .silent = true};
    test_ranks_run(RANKS, agree, &f);
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT_STRING_EQUAL(f.result[r].err.message, "rank 0 of 4: out of memory");
}

/* ---- Flags and numbers ---- */

typedef struct question {
    bool flag[RANKS];
    uint64_t number[RANKS];
    result result[RANKS];
} question;

static void ask(cn_peers *peers, void *ctx)
{
    question *q = ctx;
    result *out = &q->result[peers->rank];
    *out = (result){.flag = q->flag[peers->rank]};
    out->status = cn_peers_any(peers, &out->flag, &out->err);
    if (out->status == CN_OK)
        out->status = cn_peers_compare(peers, q->number[peers->rank], "the things", &out->err);
}

static void test_any(void)
{
    question q = {0};
    test_ranks_run(RANKS, ask, &q);
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT_FALSE(q.result[r].flag);
    q.flag[3] = true;
    test_ranks_run(RANKS, ask, &q);
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT_TRUE(q.result[r].flag);
}

static void test_another_number_is_named(void)
{
    question q = {.number = {7, 7, 255, 7}};
    test_ranks_run(RANKS, ask, &q);
    for (int r = 0; r < RANKS; r++) {
        const char *message = q.result[r].err.message;
        CU_ASSERT_EQUAL(q.result[r].status, CN_ERR_CHECKSUM);
        CU_ASSERT_PTR_NOT_NULL(strstr(message, "the things differ between ranks"));
        CU_ASSERT_PTR_NOT_NULL(
            strstr(message, "0000000000000007 on rank 0, 00000000000000ff on rank 2"));
    }
}

/* ---- Alone ---- */

static void test_alone(void)
{
    bool flag = true;
    cn_peers *nobody = NULL;
    CU_ASSERT_EQUAL(cn_peers_rank(NULL), 0);
    CU_ASSERT_EQUAL(cn_peers_size(NULL), 1);
    CN_ASSERT_OK(cn_peers_agree(NULL, CN_OK, &err));
    CU_ASSERT_EQUAL(cn_peers_agree(NULL, CN_ERR_IO, &err), CN_ERR_IO);
    CN_ASSERT_OK(cn_peers_any(NULL, &flag, &err));
    CU_ASSERT_TRUE(flag);
    CN_ASSERT_OK(cn_peers_compare(NULL, 1, "nothing", &err));
    cn_peers_destroy(&nobody);
}

CN_TEST_MAIN("policy.peers", T(test_all_is_well), T(test_a_failure_of_one_is_a_failure_of_all),
             T(test_a_failure_without_a_message_gets_one), T(test_any),
             T(test_another_number_is_named), T(test_alone))
