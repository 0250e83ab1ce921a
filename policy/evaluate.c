/* Evaluation over a fixed number of shards: of R ranks with S shards each, shard s of rank r runs
 * the episodes s R + r, (s + S) R + r, (s + 2 S) R + r, ... */
#include "policy/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Normal quantile of a two-sided 95 % interval. */
#define Z95 1.959963984540054

typedef struct episode_result {
    double episode_return;
    long length;
    bool success;
} episode_result;

typedef struct shard {
    cn_env *env;
    cn_agent *agent;
    cn_agent *other; /* NULL: nothing to compare with */
    float *observation;
    float action[CN_MAX_ACTIONS], other_action[CN_MAX_ACTIONS];
    long compared, different;
    cn_status status;
    cn_error error;
} shard;

struct cn_evaluator {
    cn_policy *policy;
    cn_pool *pool;
    cn_peers *peers; /* NULL: alone */
    int shards;
    shard shard[CN_SHARDS];
    long room;               /* episodes in each of: */
    episode_result *results; /* [room] by their numbers */
    episode_result *all;     /* [R, room / R, rounded up] by ranks R; NULL: alone */
    /* of the run under way */
    long episodes;
    uint64_t seed;
    const atomic_bool *stop;
    atomic_long ended, successes;
    cn_evaluation_watch *watch; /* NULL: nobody */
    void *watch_ctx;
};

/* Room for the results of so many episodes: allocates only for more than ever before. */
static cn_status reserve(cn_evaluator *e, long episodes, cn_error *err)
{
    const long ranks = cn_peers_size(e->peers);
    if (episodes > e->room || (ranks > 1 && !e->all)) {
        free(e->results);
        free(e->all);
        e->room = 0;
        e->all = NULL;
        e->results = calloc((size_t)episodes, sizeof *e->results);
        if (ranks > 1)
            e->all = calloc((size_t)(episodes + ranks), sizeof *e->all);
        CN_FAIL_IF(!e->results || (ranks > 1 && !e->all), CN_ERR_MEMORY, err,
                   "no memory for %ld episodes", episodes);
        e->room = episodes;
    }
    return CN_OK;
}

cn_status cn_evaluator_create(cn_policy *policy, int column, int envs, cn_make_env *make,
                              void *make_ctx, cn_pool *pool, cn_evaluator **out, cn_error *err)
{
    *out = NULL;
    CN_FAIL_IF(envs < 1, CN_ERR_ARGUMENT, err,
               "%d environments to evaluate in; at least 1 is needed", envs);
    cn_evaluator *e = calloc(1, sizeof *e);
    CN_FAIL_IF(!e, CN_ERR_MEMORY, err, "no memory for an evaluation");
    cn_status status = CN_OK;
    e->policy = policy;
    e->pool = pool;
    e->shards = envs < CN_SHARDS ? envs : CN_SHARDS;
    const cn_env_spec *spec = cn_policy_spec(policy);
    for (int s = 0; s < e->shards; s++) {
        shard *sh = &e->shard[s];
        sh->observation = calloc((size_t)spec->observation_size, sizeof(float));
        if (!sh->observation)
            CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for an evaluation");
        CN_TRY_CLEANUP(make(make_ctx, &sh->env, err));
        CN_TRY_CLEANUP(cn_env_spec_match(spec, &sh->env->spec, err));
        CN_TRY_CLEANUP(cn_agent_create(policy, column, 1, CN_AGENT_ACTOR, &sh->agent, err));
    }
    CN_TRY_CLEANUP(reserve(e, envs, err));
    *out = e;
    e = NULL;
cleanup:
    cn_evaluator_destroy(&e);
    return status;
}

void cn_evaluator_destroy(cn_evaluator **evaluator)
{
    cn_evaluator *e = *evaluator;
    if (!e)
        return;
    for (int s = 0; s < e->shards; s++) {
        cn_env_destroy(&e->shard[s].env);
        cn_agent_destroy(&e->shard[s].agent);
        cn_agent_destroy(&e->shard[s].other);
        free(e->shard[s].observation);
    }
    free(e->results);
    free(e->all);
    free(e);
    *evaluator = NULL;
}

cn_status cn_evaluator_against(cn_evaluator *e, cn_policy *other, int column, cn_error *err)
{
    for (int s = 0; s < e->shards; s++)
        cn_agent_destroy(&e->shard[s].other);
    if (!other)
        return CN_OK;
    CN_TRY(cn_env_spec_match(cn_policy_spec(other), cn_policy_spec(e->policy), err));
    for (int s = 0; s < e->shards; s++)
        CN_TRY(cn_agent_create(other, column, 1, CN_AGENT_ACTOR, &e->shard[s].other, err));
    return CN_OK;
}

static void act(const cn_evaluator *e, shard *sh)
{
    const size_t bytes = (size_t)cn_policy_spec(e->policy)->action_size * sizeof(float);
    cn_agent_act(sh->agent, sh->observation, sh->action);
    if (!sh->other)
        return;
    cn_agent_act(sh->other, sh->observation, sh->other_action);
    sh->compared++;
    sh->different += memcmp(sh->action, sh->other_action, bytes) != 0;
}

static cn_status run_episode(const cn_evaluator *e, shard *sh, long number, episode_result *result)
{
    const uint64_t seed = UINT64_C(1) << 63 | (e->seed * UINT64_C(1000003) + (uint64_t)number);
    cn_env_step step = {0};
    *result = (episode_result){0};
    CN_TRY(sh->env->reset(sh->env, seed, sh->observation, &sh->error));
    while (!step.terminated && !step.truncated) {
        act(e, sh);
        CN_TRY(sh->env->step(sh->env, sh->action, &step, sh->observation, &sh->error));
        result->episode_return += (double)step.reward;
        result->length++;
    }
    result->success = step.success;
    return CN_OK;
}

void cn_evaluator_share(cn_evaluator *e, cn_peers *peers)
{
    e->peers = peers;
}

void cn_evaluator_watch(cn_evaluator *e, cn_evaluation_watch *watch, void *ctx)
{
    e->watch = watch;
    e->watch_ctx = ctx;
}

static bool has_success(const cn_evaluator *e)
{
    return e->shard[0].env->spec.has_success;
}

/* After an episode of shard s. Shard 0 speaks for all: a shard is run by one thread at a time. */
static void tell(cn_evaluator *e, int s, const episode_result *result)
{
    const long ended = atomic_fetch_add(&e->ended, 1) + 1;
    const long successes = atomic_fetch_add(&e->successes, result->success) + result->success;
    if (e->watch && s == 0)
        e->watch(e->watch_ctx, ended, has_success(e) ? successes : -1, e->episodes);
}

static void run_shard(void *ctx, int s)
{
    cn_evaluator *e = ctx;
    shard *sh = &e->shard[s];
    sh->compared = sh->different = 0;
    sh->status = CN_OK;
    const long ranks = cn_peers_size(e->peers), first = s * ranks + cn_peers_rank(e->peers);
    for (long n = first; n < e->episodes && sh->status == CN_OK; n += e->shards * ranks) {
        if (e->stop && atomic_load(e->stop))
            sh->status = cn_error_set(&sh->error, CN_ERR_CANCELLED, __FILE__, __LINE__,
                                      "stopped after %ld of %ld episodes", n, e->episodes);
        else
            sh->status = run_episode(e, sh, n, &e->results[n]);
        if (sh->status == CN_OK)
            tell(e, s, &e->results[n]);
    }
}

void cn_wilson_interval(long successes, long trials, double *low, double *high)
{
    if (trials == 0) {
        *low = 0.0;
        *high = 1.0;
        return;
    }
    const double n = (double)trials, p = (double)successes / n, z2 = Z95 * Z95;
    const double centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    const double half = Z95 / (1.0 + z2 / n) * sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
    /* p is inside; at 0 and 1 rounding would say otherwise */
    *low = fmin(fmax(0.0, centre - half), p);
    *high = fmax(fmin(1.0, centre + half), p);
}

/* Quantile of Student's t of a two-sided 95 % interval; the series is good to a thousandth from
 * five degrees of freedom on. @param v  degrees of freedom, >= 1 */
static double student_quantile(double v)
{
    static const double few[] = {12.7062, 4.3027, 3.1824, 2.7764};
    if (v < 5.0)
        return few[(int)v - 1];
    const double x = Z95, x3 = x * x * x, x5 = x3 * x * x, x7 = x5 * x * x;
    return x + (x3 + x) / (4.0 * v) + (5.0 * x5 + 16.0 * x3 + 3.0 * x) / (96.0 * v * v) +
           (3.0 * x7 + 19.0 * x5 + 17.0 * x3 - 15.0 * x) / (384.0 * v * v * v);
}

void cn_evaluation_intervals(cn_evaluation *e)
{
    const double n = (double)e->episodes;
    double half = NAN;
    if (e->episodes > 1) /* the std of the sample is return_std sqrt(n / (n - 1)) */
        half = student_quantile(n - 1.0) * e->return_std / sqrt(n - 1.0);
    e->return_low = e->return_mean - half;
    e->return_high = e->return_mean + half;
    e->success_rate = e->success_low = e->success_high = NAN;
    if (e->successes < 0)
        return;
    e->success_rate = (double)e->successes / n;
    cn_wilson_interval(e->successes, e->episodes, &e->success_low, &e->success_high);
}

static void summarise(const cn_evaluator *e, cn_evaluation *out)
{
    const double n = (double)e->episodes;
    double square = 0.0;
    *out = (cn_evaluation){.episodes = e->episodes};
    for (long i = 0; i < e->episodes; i++) {
        out->successes += e->results[i].success;
        out->return_mean += e->results[i].episode_return / n;
        out->length_mean += (double)e->results[i].length / n;
    }
    for (long i = 0; i < e->episodes; i++) {
        const double d = e->results[i].episode_return - out->return_mean;
        square += d * d / n;
    }
    out->return_std = sqrt(square);
    if (!has_success(e))
        out->successes = -1;
    cn_evaluation_intervals(out);
    for (int s = 0; s < e->shards; s++) {
        out->actions_compared += e->shard[s].compared;
        out->actions_different += e->shard[s].different;
    }
}

/* Gives this rank's results to all and takes theirs. */
static cn_status share_results(cn_evaluator *e, cn_error *err)
{
    const long ranks = cn_peers_size(e->peers), rank = cn_peers_rank(e->peers);
    const long each = (e->episodes + ranks - 1) / ranks; /* at most */
    if (ranks == 1)
        return CN_OK;
    episode_result *all = e->all, *mine = all + rank * each;
    for (long n = rank; n < e->episodes; n += ranks)
        mine[n / ranks] = e->results[n];
    CN_TRY(e->peers->gather(e->peers, mine, (size_t)each * sizeof *mine, all, err));
    for (long n = 0; n < e->episodes; n++)
        e->results[n] = all[n % ranks * each + n / ranks];
    return CN_OK;
}

/* This rank's episodes. */
static cn_status run_episodes(cn_evaluator *e, long episodes, uint64_t seed,
                              const atomic_bool *stop, cn_error *err)
{
    CN_TRY(reserve(e, episodes, err));
    e->episodes = episodes;
    e->seed = seed;
    e->stop = stop;
    atomic_store(&e->ended, 0);
    atomic_store(&e->successes, 0);
    cn_pool_run(e->pool, e->shards, run_shard, e);
    for (int s = 0; s < e->shards; s++) {
        if (e->shard[s].status != CN_OK && err)
            *err = e->shard[s].error;
        CN_TRY(e->shard[s].status);
    }
    return CN_OK;
}

cn_status cn_evaluator_run(cn_evaluator *e, long episodes, uint64_t seed, const atomic_bool *stop,
                           cn_evaluation *out, cn_error *err)
{
    CN_FAIL_IF(episodes < 1, CN_ERR_ARGUMENT, err, "%ld episodes; at least 1 is needed", episodes);
    CN_TRY(cn_peers_agree(e->peers, run_episodes(e, episodes, seed, stop, err), err));
    CN_TRY(share_results(e, err));
    summarise(e, out);
    return CN_OK;
}
