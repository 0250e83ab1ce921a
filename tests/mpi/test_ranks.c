/* Ranks on MPI. Started alone it is a job of one rank; test_mpirun.py starts it as two and four.
 * Every rank makes every assertion. */
#include "mpi/ranks.h"
#include "tensor/rng.h"
#include "tests/test.h"

static cn_error err;
static cn_peers *peers; /* from the first test to the last: MPI starts once a process */

static void test_open(void)
{
    int cores = 0, all[64];
    CN_ASSERT_OK(cn_ranks_open(&peers, &cores, &err));
    CU_ASSERT_TRUE(cores >= 1);
    CU_ASSERT_FATAL(peers->size >= 1 && peers->size <= 64);
    const char *wanted = getenv("OMPI_COMM_WORLD_SIZE");
    CU_ASSERT_EQUAL(peers->size, wanted ? atoi(wanted) : 1);
    CN_ASSERT_OK(peers->gather(peers, &peers->rank, sizeof(int), all, &err));
    for (int r = 0; r < peers->size; r++)
        CU_ASSERT_EQUAL(all[r], r);
}

static void test_gather_in_place(void)
{
    double all[64][3] = {{0}};
    for (int i = 0; i < 3; i++)
        all[peers->rank][i] = 10.0 * peers->rank + i;
    CN_ASSERT_OK(peers->gather(peers, all[peers->rank], sizeof all[0], all, &err));
    for (int r = 0; r < peers->size; r++)
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(all[r][i], 10.0 * r + i);
}

/* Number i of rank r: of very different sizes, so that another order of adding gives other bits. */
static float number(int r, size_t i)
{
    cn_rng rng = cn_rng_make((uint64_t)r, i);
    return (float)(cn_rng_normal(&rng) * pow(10.0, cn_rng_range(&rng, -4.0, 4.0)));
}

static void check_sum(size_t count)
{
    float *block = malloc((count + 1) * sizeof *block);
    CU_ASSERT_PTR_NOT_NULL_FATAL(block);
    for (size_t i = 0; i <= count; i++)
        block[i] = number(peers->rank, i);
    CN_ASSERT_OK(peers->sum(peers, block, count, &err));
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        float expected = number(0, i);
        for (int r = 1; r < peers->size; r++)
            expected += number(r, i);
        wrong += memcmp(&expected, &block[i], sizeof expected) != 0;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(block[count], number(peers->rank, count)); /* not part of it */
    free(block);
}

/* Shorter and longer than there are ranks, divisible and not; also after a longer one. */
static void test_sums_are_made_in_order(void)
{
    const size_t counts[] = {0, 1, 3, 4, 10001, 1000, 70000, 5};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        check_sum(counts[i]);
}

static void test_order_matters(void)
{
    float forth = 0.0f, back = 0.0f;
    int different = 0;
    for (size_t i = 0; i < 100; i++) {
        forth = number(0, i) + number(1, i) + number(2, i);
        back = number(2, i) + number(1, i) + number(0, i);
        different += forth != back;
    }
    CU_ASSERT_TRUE(different > 10); /* or test_sums_are_made_in_order would show nothing */
}

static void test_broadcast_from_each(void)
{
    for (int root = 0; root < peers->size; root++) {
        int block[3] = {peers->rank, 10 * peers->rank, -1};
        CN_ASSERT_OK(peers->broadcast(peers, root, block, 2 * sizeof(int), &err));
        CU_ASSERT_EQUAL(block[0], root);
        CU_ASSERT_EQUAL(block[1], 10 * root);
        CU_ASSERT_EQUAL(block[2], -1);
    }
}

static void test_too_long(void)
{
    float x = 0.0f;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "too long for MPI",
                    peers->sum(peers, &x, (size_t)1 << 62, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "too many for MPI",
                    peers->gather(peers, &x, (size_t)1 << 40, &x, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "too many for MPI",
                    peers->broadcast(peers, 0, &x, (size_t)1 << 40, &err));
}

static void test_the_last_one_fails(void)
{
    const int last = peers->size - 1;
    err = (cn_error){0};
    cn_status status = CN_OK;
    if (peers->rank == last)
        status = cn_error_set(&err, CN_ERR_TIMEOUT, __FILE__, __LINE__, "no arm");
    CU_ASSERT_EQUAL(cn_peers_agree(peers, status, &err), CN_ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no arm"));
}

static void test_close(void)
{
    cn_peers_destroy(&peers);
    CU_ASSERT_PTR_NULL(peers);
    cn_peers_destroy(&peers);
}

CN_TEST_MAIN("mpi.ranks", T(test_open), T(test_gather_in_place), T(test_sums_are_made_in_order), T(test_order_matters),
             T(test_broadcast_from_each), T(test_too_long), T(test_the_last_one_fails),
             T(test_close))
