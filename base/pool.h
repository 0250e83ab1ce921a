/* A pool of worker threads that runs numbered tasks. Results never depend on the number of threads:
 * tasks are independent, numbered, and reduced by the caller in a fixed order. */
#ifndef CN_BASE_POOL_H
#define CN_BASE_POOL_H

#include "base/error.h"

typedef struct cn_pool cn_pool;

/* Runs task number `task` (0 <= task < tasks). Must not fail: report through ctx. */
typedef void cn_pool_task(void *ctx, int task);

/* @param threads  1..256; the calling thread counts as one of them. */
cn_status cn_pool_create(int threads, cn_pool **out, cn_error *err);
void cn_pool_destroy(cn_pool **pool);

/* Runs tasks 0..tasks-1 on all threads, the caller's among them, and returns when the last has
 * finished. Allocates nothing. One call at a time, and none from inside a task. */
void cn_pool_run(cn_pool *pool, int tasks, cn_pool_task *run, void *ctx);

int cn_pool_threads(const cn_pool *pool);

#endif
