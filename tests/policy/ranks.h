/* Ranks as threads of one process: peers for tests. Blocks are exchanged through shared pointers
 * between two barriers; a sum is made by every rank itself, in order. */
#ifndef CN_TESTS_POLICY_RANKS_H
#define CN_TESTS_POLICY_RANKS_H

#include <pthread.h>

#include "policy/peers.h"
#include "tests/test.h"

#define RANKS_MAX 8

typedef struct test_ranks test_ranks;

typedef struct test_rank {
    cn_peers peers;
    test_ranks *all;
} test_rank;

struct test_ranks {
    int size;
    pthread_barrier_t barrier;
    const void *block[RANKS_MAX]; /* of the call under way */
    test_rank rank[RANKS_MAX];
    void (*run)(cn_peers *peers, void *ctx);
    void *ctx;
};

static inline cn_status test_ranks_gather(cn_peers *peers, const void *mine, size_t bytes,
                                          void *all, cn_error *err)
{
    test_ranks *t = ((test_rank *)peers)->all;
    (void)err;
    t->block[peers->rank] = mine;
    pthread_barrier_wait(&t->barrier);
    for (int r = 0; r < peers->size; r++)
        if (t->block[r] != (char *)all + (size_t)r * bytes)
            memcpy((char *)all + (size_t)r * bytes, t->block[r], bytes);
    pthread_barrier_wait(&t->barrier);
    return CN_OK;
}

static inline cn_status test_ranks_sum(cn_peers *peers, float *block, size_t count, cn_error *err)
{
    float *all = malloc((size_t)peers->size * count * sizeof *all);
    CN_FAIL_IF(!all, CN_ERR_MEMORY, err, "no memory for a test");
    test_ranks_gather(peers, block, count * sizeof *block, all, err);
    for (size_t i = 0; i < count; i++) {
        block[i] = all[i];
        for (int r = 1; r < peers->size; r++)
            block[i] += all[(size_t)r * count + i];
    }
    free(all);
    return CN_OK;
}

static inline cn_status test_ranks_broadcast(cn_peers *peers, int root, void *block, size_t bytes,
                                             cn_error *err)
{
    test_ranks *t = ((test_rank *)peers)->all;
    (void)err;
    t->block[peers->rank] = block;
    pthread_barrier_wait(&t->barrier);
    if (peers->rank != root)
        memcpy(block, t->block[root], bytes);
    pthread_barrier_wait(&t->barrier);
    return CN_OK;
}

static inline void *test_ranks_thread(void *rank)
{
    test_rank *r = rank;
    r->all->run(&r->peers, r->all->ctx);
    return NULL;
}

/* Calls run on `size` threads, each as a rank of its own, and waits for all. */
static inline void test_ranks_run(int size, void (*run)(cn_peers *peers, void *ctx), void *ctx)
{
    test_ranks t = {.size = size, .run = run, .ctx = ctx};
    pthread_t thread[RANKS_MAX];
    CU_ASSERT_FATAL(size >= 1 && size <= RANKS_MAX);
    CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&t.barrier, NULL, (unsigned)size), 0);
    for (int r = 0; r < size; r++) {
        t.rank[r] = (test_rank){.peers = {.rank = r,
                                          .size = size,
                                          .sum = test_ranks_sum,
                                          .gather = test_ranks_gather,
                                          .broadcast = test_ranks_broadcast},
                                .all = &t};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[r], NULL, test_ranks_thread, &t.rank[r]), 0);
    }
    for (int r = 0; r < size; r++)
        pthread_join(thread[r], NULL);
    pthread_barrier_destroy(&t.barrier);
}

#endif
