/* The thread pool: every task once, whatever the threads; many jobs in a row; no idle burning. */
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "tests/test.h"

#define MAX_TASKS 300

typedef struct tally {
    _Atomic int runs[MAX_TASKS];
    _Atomic int signals_open; /* tasks run on a worker that would take SIGINT */
    pthread_t caller;
} tally;

static void count_task(void *ctx, int task)
{
    tally *t = ctx;
    atomic_fetch_add(&t->runs[task], 1);
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (!pthread_equal(pthread_self(), t->caller) && !sigismember(&blocked, SIGINT))
        atomic_fetch_add(&t->signals_open, 1);
}

static void test_every_task_runs_once(void)
{
    cn_error err = {0};
    for (int threads = 1; threads <= 8; threads++) {
        cn_pool *pool;
        CN_ASSERT_OK(cn_pool_create(threads, &pool, &err));
        CU_ASSERT_EQUAL(cn_pool_threads(pool), threads);
        for (int tasks = 0; tasks <= MAX_TASKS; tasks += tasks < 10 ? 1 : 29) {
            tally t = {.caller = pthread_self()};
            cn_pool_run(pool, tasks, count_task, &t);
            int wrong = 0;
            for (int i = 0; i < MAX_TASKS; i++)
                wrong += atomic_load(&t.runs[i]) != (i < tasks);
            CU_ASSERT_EQUAL(wrong, 0);
            CU_ASSERT_EQUAL(atomic_load(&t.signals_open), 0);
        }
        cn_pool_destroy(&pool);
        CU_ASSERT_PTR_NULL(pool);
        cn_pool_destroy(&pool);
    }
}

typedef struct job {
    int number;
    int seen[8];
} job;

static void note_job(void *ctx, int task)
{
    job *j = ctx;
    j->seen[task] = j->number;
}

/* Each job has its own context on the stack: a worker that ran late with the wrong one, or a return
 * before the last task, would leave a hole. Every few jobs a pause lets the workers fall asleep. */
static void test_thousands_of_jobs_in_a_row(void)
{
    cn_error err = {0};
    for (int threads = 2; threads <= 8; threads += 3) {
        cn_pool *pool;
        CN_ASSERT_OK(cn_pool_create(threads, &pool, &err));
        int wrong = 0;
        for (int i = 1; i <= 3000; i++) {
            job j = {.number = i};
            const int tasks = 1 + i % 8;
            cn_pool_run(pool, tasks, note_job, &j);
            for (int k = 0; k < 8; k++)
                wrong += j.seen[k] != (k < tasks ? i : 0);
            if (i % 300 == 0)
                cn_clock_sleep_until(cn_clock_now() + 2 * CN_NS_PER_S / 1000);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        cn_pool_destroy(&pool);
    }
}

typedef struct meeting {
    _Atomic int present;
    _Atomic int met;
} meeting;

/* Waits up to five seconds for the other task: it can only arrive on another thread. */
static void wait_for_other(void *ctx, int task)
{
    (void)task;
    meeting *m = ctx;
    atomic_fetch_add(&m->present, 1);
    const int64_t deadline = cn_clock_now() + 5 * CN_NS_PER_S;
    while (atomic_load(&m->present) < 2 && cn_clock_now() < deadline)
        continue;
    if (atomic_load(&m->present) == 2)
        atomic_fetch_add(&m->met, 1);
}

static void test_tasks_run_at_the_same_time(void)
{
    cn_error err = {0};
    cn_pool *pool;
    CN_ASSERT_OK(cn_pool_create(2, &pool, &err));
    cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 50); /* asleep by now */
    meeting m = {0};
    cn_pool_run(pool, 2, wait_for_other, &m);
    CU_ASSERT_EQUAL(atomic_load(&m.met), 2);
    cn_pool_destroy(&pool);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Idle for 0.3 s, seven workers that spun would burn 0.3 s of every core; asleep they burn nothing.
 * The limit is a tenth of one core. */
static void test_idle_workers_sleep(void)
{
    cn_error err = {0};
    cn_pool *pool;
    CN_ASSERT_OK(cn_pool_create(8, &pool, &err));
    job j = {.number = 1};
    cn_pool_run(pool, 8, note_job, &j);
    cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 20);
    const double before = cpu_seconds();
    cn_clock_sleep_until(cn_clock_now() + 3 * CN_NS_PER_S / 10);
    CU_ASSERT_TRUE(cpu_seconds() - before < 0.03);
    cn_pool_destroy(&pool);
}

static void test_create_refuses_bad_counts(void)
{
    cn_error err = {0};
    cn_pool *pool;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 threads asked for", cn_pool_create(0, &pool, &err));
    CU_ASSERT_PTR_NULL(pool);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "give 1 to 256", cn_pool_create(257, &pool, &err));
    CU_ASSERT_EQUAL(cn_pool_create(-3, &pool, NULL), CN_ERR_ARGUMENT);
}

CN_TEST_MAIN("base.pool", T(test_every_task_runs_once), T(test_thousands_of_jobs_in_a_row),
             T(test_tasks_run_at_the_same_time), T(test_idle_workers_sleep),
             T(test_create_refuses_bad_counts))
