/* Evaluation: whole episodes with deterministic actions, on seeds that training never uses. */
#ifndef CN_POLICY_EVALUATE_H
#define CN_POLICY_EVALUATE_H

#include <stdatomic.h>

#include "policy/peers.h"
#include "policy/rollout.h"

typedef struct cn_evaluation {
    long episodes;
    long successes;                   /* -1: the task does not say what success is */
    double success_rate;              /* successes / episodes; NaN when there is none, */
    double success_low, success_high; /* as is its 95 % Wilson interval */
    double return_mean, return_std;   /* std over episodes */
    double return_low, return_high;   /* 95 % interval of the mean; NaN for one episode */
    double length_mean;               /* steps */
    long actions_compared;            /* with `against`: actions, */
    long actions_different;           /* and how many differed in any bit */
} cn_evaluation;

typedef struct cn_evaluator cn_evaluator;

/* Makes `envs` environments, but at most CN_SHARDS, to be used for any number of evaluations.
 * @param policy, pool  borrowed
 * @return CN_ERR_ARGUMENT (envs < 1, no such column), CN_ERR_MISMATCH (an environment that the
 *         policy was not made for), CN_ERR_MEMORY, and whatever `make` fails with. */
cn_status cn_evaluator_create(cn_policy *policy, int column, int envs, cn_make_env *make,
                              void *make_ctx, cn_pool *pool, cn_evaluator **out, cn_error *err);
void cn_evaluator_destroy(cn_evaluator **evaluator);

/* Compares every action, bit for bit, with that of another policy's column on the same observation.
 * @param other  borrowed; NULL: compare no more
 * @return CN_ERR_MISMATCH when it is for another environment, CN_ERR_ARGUMENT for a column that it
 *         doesn't have. */
cn_status cn_evaluator_against(cn_evaluator *evaluator, cn_policy *other, int column,
                               cn_error *err);

/* Has `watch` called again and again during a run, from one thread: how many episodes have ended,
 * how many of them succeeded (-1: nobody knows). NULL: no more. */
typedef void cn_evaluation_watch(void *ctx, long ended, long successes, long episodes);
void cn_evaluator_watch(cn_evaluator *evaluator, cn_evaluation_watch *watch, void *ctx);

/* Divides the episodes of every run among ranks, which all then learn all results.
 * @param peers  borrowed; NULL: no more */
void cn_evaluator_share(cn_evaluator *evaluator, cn_peers *peers);

/* Runs episodes numbered 0..episodes-1; number e depends on `seed` and e alone. Allocates for their
 * results when they are more than ever before, and than the `envs` of creation.
 * @param stop  NULL, or ends the evaluation after the episodes under way when true:
 *              CN_ERR_CANCELLED
 * @return also CN_ERR_ARGUMENT (episodes < 1), CN_ERR_MEMORY, and what an environment failed with,
 * on any rank */
cn_status cn_evaluator_run(cn_evaluator *evaluator, long episodes, uint64_t seed,
                           const atomic_bool *stop, cn_evaluation *out, cn_error *err);

/* Fills success_rate and the intervals from episodes, successes, return_mean and return_std.
 * The interval of the mean is Student's, by the expansion of Abramowitz & Stegun (1964), 26.7.5:
 * narrower than the true one by 4 % with 3 episodes, by 0.03 % with 10. */
void cn_evaluation_intervals(cn_evaluation *evaluation);

/* 95 % Wilson score interval of a proportion (Wilson 1927). */
void cn_wilson_interval(long successes, long trials, double *low, double *high);

#endif
