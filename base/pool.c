/* Worker threads that claim task numbers from one atomic ticket.
 *
 * The ticket holds the job's number in its high half and the next unclaimed task in its low half.
 * A claim is a compare-and-swap of the whole ticket, so a worker that was late for one job can
 * never take a task of the next with the old job's function. Threads that run out of work spin
 * briefly (minibatches follow each other within microseconds) and then sleep on a condition
 * variable. */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 256
/* About 50 microseconds: longer than the gap between two minibatches, far shorter than a rollout.
 */
#define SPINS 2000
/* Every so many spins the core is offered to whoever needs it: threads may outnumber cores. */
#define SPINS_PER_YIELD 32

struct cn_pool {
    int threads; /* the caller's included */
    pthread_t workers[MAX_THREADS];
    int started; /* workers running */

    _Atomic uint64_t ticket; /* job number << 32 | next task */
    _Atomic uint32_t tasks;  /* of the current job, like run and ctx */
    _Atomic(cn_pool_task *) run;
    _Atomic(void *) ctx;
    _Atomic uint32_t done; /* tasks of the current job that have finished */

    pthread_mutex_t mutex;
    pthread_cond_t work;     /* a job was posted, or stop */
    pthread_cond_t finished; /* the last task has finished */
    _Atomic int sleepers;    /* workers waiting for `work` */
    _Atomic bool waiting;    /* the caller waits for `finished` */
    _Atomic bool stop;
};

static bool has_work(cn_pool *pool)
{
    return (uint32_t)atomic_load(&pool->ticket) < atomic_load(&pool->tasks);
}

/* Claims and runs one task. @return false if none was left to claim. */
static bool run_one(cn_pool *pool)
{
    uint64_t ticket = atomic_load(&pool->ticket);
    for (;;) {
        const uint32_t tasks = atomic_load(&pool->tasks);
        cn_pool_task *run = atomic_load(&pool->run);
        void *ctx = atomic_load(&pool->ctx);
        const uint32_t task = (uint32_t)ticket;
        if (task >= tasks)
            return false;
        /* Success proves that the job was still open, so that what was read above is its own. */
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1))
            continue;
        run(ctx, (int)task);
        if (atomic_fetch_add(&pool->done, 1) + 1 == tasks && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->finished);
            pthread_mutex_unlock(&pool->mutex);
        }
        return true;
    }
}

static void spin(int turn)
{
    if (turn % SPINS_PER_YIELD == SPINS_PER_YIELD - 1)
        sched_yield();
}

static void *worker_main(void *argument)
{
    cn_pool *pool = argument;
    while (!atomic_load(&pool->stop)) {
        while (run_one(pool))
            continue;
        for (int i = 0; i < SPINS && !has_work(pool) && !atomic_load(&pool->stop); i++)
            spin(i);
        if (has_work(pool))
            continue;
        /* The caller posts its job and then reads sleepers; we do the reverse, so that one of the
         * two always sees the other. */
        pthread_mutex_lock(&pool->mutex);
        atomic_fetch_add(&pool->sleepers, 1);
        while (!has_work(pool) && !atomic_load(&pool->stop))
            pthread_cond_wait(&pool->work, &pool->mutex);
        atomic_fetch_sub(&pool->sleepers, 1);
        pthread_mutex_unlock(&pool->mutex);
    }
    return NULL;
}

/* Signals go to the threads that expect them: workers block all. */
static int start_workers(cn_pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    int failure = pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!failure && pool->started < pool->threads - 1) {
        failure = pthread_create(&pool->workers[pool->started], NULL, worker_main, pool);
        if (!failure)
            pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

cn_status cn_pool_create(int threads, cn_pool **out, cn_error *err)
{
    *out = NULL;
    CN_FAIL_IF(threads < 1 || threads > MAX_THREADS, CN_ERR_ARGUMENT, err,
               "%d threads asked for: give 1 to %d", threads, MAX_THREADS);
    cn_pool *pool = calloc(1, sizeof *pool);
    CN_FAIL_IF(!pool, CN_ERR_MEMORY, err, "no memory for a pool of %d threads", threads);
    pool->threads = threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->finished, NULL);
    const int failure = start_workers(pool);
    if (failure) {
        const int started = pool->started;
        cn_pool_destroy(&pool);
        CN_FAIL(CN_ERR_MEMORY, err, "only %d of %d threads could be started: %s", started + 1,
                threads, strerror(failure));
    }
    *out = pool;
    return CN_OK;
}

void cn_pool_destroy(cn_pool **pool)
{
    cn_pool *p = *pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i], NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    free(p);
    *pool = NULL;
}

/* Opens the job for claims: the ticket is stored last. Before that no task can be claimed, because
 * the old ticket stands at the old job's end; `tasks` is lowered to 0 first to keep it so. */
static void post(cn_pool *pool, int tasks, cn_pool_task *run, void *ctx)
{
    const uint64_t job = (atomic_load(&pool->ticket) >> 32) + 1;
    atomic_store(&pool->tasks, 0);
    atomic_store(&pool->done, 0);
    atomic_store(&pool->run, run);
    atomic_store(&pool->ctx, ctx);
    atomic_store(&pool->ticket, job << 32);
    atomic_store(&pool->tasks, (uint32_t)tasks);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void cn_pool_run(cn_pool *pool, int tasks, cn_pool_task *run, void *ctx)
{
    assert(tasks >= 0);
    if (tasks == 0)
        return;
    post(pool, tasks, run, ctx);
    while (run_one(pool))
        continue;
    for (int i = 0; i < SPINS && atomic_load(&pool->done) < (uint32_t)tasks; i++)
        spin(i);
    if (atomic_load(&pool->done) == (uint32_t)tasks)
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->waiting, true);
    while (atomic_load(&pool->done) < (uint32_t)tasks)
        pthread_cond_wait(&pool->finished, &pool->mutex);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->mutex);
}

int cn_pool_threads(const cn_pool *pool)
{
    return pool->threads;
}
