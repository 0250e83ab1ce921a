/* The training loop. What learning is, it leaves to the learner. */
#include "policy/trainer.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "policy/tfevents.h"

/* Everything that lives as long as a run. */
typedef struct run {
    const cn_train_job *job;
    cn_pool *pool;
    cn_learner *learner;
    cn_evaluator *evaluator; /* NULL: no evaluation during training */
    cn_tfevents *events;
    int column;
    bool first;              /* of the ranks: the one that writes */
    int64_t next_evaluation; /* environment steps */
    int64_t next_checkpoint;
    double seconds_before; /* spent by the parts of the run before this one */
    cn_train_report *report;
} run;

static cn_status begin(run *r, cn_error *err)
{
    const cn_train_job *job = r->job;
    const cn_train_config *config = job->config;
    CN_TRY(cn_pool_create(job->threads, &r->pool, err));
    if (r->first)
        CN_TRY(cn_tfevents_create(job->folder, &r->events, err));
    const cn_learner_setup setup = {
        .policy = job->policy,
        .column = r->column,
        .config = config,
        .seed = job->seed,
        .make_env = job->make_env,
        .make_env_ctx = job->make_env_ctx,
        .pool = r->pool,
        .peers = job->peers,
    };
    CN_TRY(cn_learner_create(&setup, &r->learner, err));
    r->next_evaluation = config->evaluate_every;
    r->next_checkpoint = config->checkpoint_every;
    if (config->evaluate_every > 0)
        CN_TRY(cn_evaluator_create(job->policy, r->column, (int)config->evaluate_episodes,
                                   job->make_env, job->make_env_ctx, r->pool, &r->evaluator, err));
    if (r->evaluator)
        cn_evaluator_share(r->evaluator, job->peers);
    return CN_OK;
}

static void path_of(const run *r, const char *name, char path[CN_PATH])
{
    snprintf(path, CN_PATH, "%s/%s", r->job->folder, name);
}

static cn_status save(const run *r, const char *name, cn_error *err)
{
    char path[CN_PATH];
    if (!r->first)
        return CN_OK;
    path_of(r, name, path);
    return cn_policy_save(r->job->policy, path, err);
}

static bool better(const cn_evaluation *a, const cn_evaluation *b)
{
    if (a->successes != b->successes)
        return a->successes > b->successes;
    return a->return_mean > b->return_mean;
}

/* Notes an evaluation; keeps the best policy. */
static cn_status keep(run *r, cn_train_progress *p, cn_error *err)
{
    p->best = !r->report->has_best || better(&p->evaluation, &r->report->best);
    if (p->best) {
        CN_TRY(save(r, "best.safetensors", err));
        r->report->best = p->evaluation;
        r->report->has_best = true;
    }
    return save(r, "last.safetensors", err);
}

/* Evaluates when it is time to, all ranks together. */
static cn_status evaluate(run *r, cn_train_progress *p, cn_error *err)
{
    p->evaluated = false;
    if (!r->evaluator || (p->steps < r->next_evaluation && p->steps < p->total_steps))
        return CN_OK;
    r->next_evaluation = p->steps + r->job->config->evaluate_every;
    CN_TRY(cn_evaluator_run(r->evaluator, r->job->config->evaluate_episodes, r->job->seed, NULL,
                            &p->evaluation, err));
    p->evaluated = true;
    return cn_peers_agree(r->job->peers, keep(r, p, err), err);
}

/* Writes a checkpoint when it is time to. The schedule counts steps alone, so that a resumed run
 * ends its episodes where the first one did. */
static cn_status checkpoint(run *r, const cn_train_progress *p, cn_error *err)
{
    const long every = r->job->config->checkpoint_every;
    if (every == 0 || p->steps < r->next_checkpoint)
        return CN_OK;
    char path[CN_PATH];
    path_of(r, "checkpoint.safetensors", path);
    const cn_checkpoint where = {
        .ranks = cn_peers_size(r->job->peers),
        .steps = p->steps,
        .next_evaluation = r->next_evaluation,
        .seconds = p->seconds,
        .has_best = r->report->has_best,
        .best = r->report->best,
    };
    CN_TRY(cn_checkpoint_save(r->first ? path : NULL, r->job->policy, r->learner, &where, err));
    r->next_checkpoint = p->steps + every;
    return CN_OK;
}

static cn_status resume(run *r, cn_train_progress *p, cn_error *err)
{
    char path[CN_PATH];
    cn_checkpoint where;
    path_of(r, "checkpoint.safetensors", path);
    CN_TRY(cn_checkpoint_restore(path, r->learner, cn_peers_size(r->job->peers), &where, err));
    p->steps = where.steps;
    r->next_evaluation = where.next_evaluation;
    r->next_checkpoint = where.steps + r->job->config->checkpoint_every;
    r->seconds_before = where.seconds;
    r->report->has_best = where.has_best;
    r->report->best = where.best;
    return CN_OK;
}

/* Every rank made its own policy, or read it: rank 0's is the one that all train. */
static cn_status share_policy(const run *r, cn_error *err)
{
    cn_peers *peers = r->job->peers;
    if (cn_peers_size(peers) == 1)
        return CN_OK;
    cn_params *params = cn_policy_params(r->job->policy);
    cn_normalizer *n = cn_policy_normalizer(r->job->policy, r->column);
    const size_t bytes = cn_params_count(params) * sizeof(float);
    const size_t size = (size_t)n->size * sizeof(double);
    CN_TRY(cn_peers_compare(peers, cn_params_count(params), "the numbers of parameters", err));
    CN_TRY(peers->broadcast(peers, 0, cn_params_values(params), bytes, err));
    CN_TRY(peers->broadcast(peers, 0, cn_params_moment1(params), bytes, err));
    CN_TRY(peers->broadcast(peers, 0, cn_params_moment2(params), bytes, err));
    CN_TRY(peers->broadcast(peers, 0, &n->count, sizeof n->count, err));
    CN_TRY(peers->broadcast(peers, 0, n->mean, size, err));
    CN_TRY(peers->broadcast(peers, 0, n->square, size, err));
    cn_normalizer_refresh(n);
    return CN_OK;
}

/* Adds a point to a curve; NaN is no point. */
static cn_status plot(run *r, const char *tag, int64_t steps, double value, cn_error *err)
{
    return isnan(value) ? CN_OK : cn_tfevents_scalar(r->events, tag, steps, (float)value, err);
}

static cn_status record(run *r, const cn_train_progress *p, cn_error *err)
{
    const cn_metric loop[] = {
        {"rollout/return", p->return_mean},
        {"rollout/success", p->success_rate},
        {"eval/return", p->evaluated ? p->evaluation.return_mean : NAN},
        {"eval/success", p->evaluated ? p->evaluation.success_rate : NAN},
        {"eval/length", p->evaluated ? p->evaluation.length_mean : NAN},
        {"time/steps_per_second", p->steps_per_second},
    };
    if (!r->first)
        return CN_OK;
    for (size_t i = 0; i < sizeof loop / sizeof loop[0]; i++)
        CN_TRY(plot(r, loop[i].tag, p->steps, loop[i].value, err));
    for (int i = 0; i < p->metrics; i++)
        CN_TRY(plot(r, p->metric[i].tag, p->steps, p->metric[i].value, err));
    return cn_tfevents_flush(r->events, err);
}

/* What the learner says of an iteration that took `seconds`. */
static void note(const run *r, cn_train_progress *p, double seconds)
{
    const cn_episode_totals *ended = &p->last.episodes;
    const double n = (double)ended->episodes;
    p->steps += p->last.steps;
    p->steps_per_second = (double)p->last.steps / seconds;
    p->episodes = ended->episodes;
    p->return_mean = ended->episodes ? ended->return_sum / n : NAN;
    p->success_rate = ended->episodes ? (double)ended->successes / n : NAN;
    p->metrics = r->learner->metrics(r->learner, p->metric);
}

/* What an iteration leaves in the folder. */
static cn_status leave(run *r, const cn_train_progress *p, cn_error *err)
{
    CN_TRY(checkpoint(r, p, err));
    return record(r, p, err);
}

/* One iteration of the learner, and what belongs to it. */
static cn_status iterate(run *r, cn_train_progress *p, int64_t start_ns, cn_error *err)
{
    const int64_t began = cn_clock_now();
    CN_TRY(
        r->learner->iterate(r->learner, (double)p->steps / (double)p->total_steps, &p->last, err));
    note(r, p, (double)(cn_clock_now() - began) / (double)CN_NS_PER_S);
    cn_policy_column_at(r->job->policy, r->column)->steps += p->last.steps;
    CN_TRY(evaluate(r, p, err));
    p->seconds = r->seconds_before + (double)(cn_clock_now() - start_ns) / (double)CN_NS_PER_S;
    CN_TRY(cn_peers_agree(r->job->peers, leave(r, p, err), err));
    if (r->job->progress && r->first)
        r->job->progress(r->job->progress_ctx, p);
    return CN_OK;
}

static cn_status train(run *r, cn_error *err)
{
    const int64_t start_ns = cn_clock_now();
    cn_train_progress p = {.total_steps = r->job->config->steps};
    if (r->job->resume)
        CN_TRY(cn_peers_agree(r->job->peers, resume(r, &p, err), err));
    CN_TRY(share_policy(r, err));
    r->report->steps = p.steps;
    r->report->seconds = r->seconds_before;
    while (p.steps < p.total_steps && !r->report->stopped) {
        CN_TRY(iterate(r, &p, start_ns, err));
        r->report->steps = p.steps;
        r->report->seconds = p.seconds;
        r->report->stopped = r->job->stop && atomic_load(r->job->stop);
        CN_TRY(cn_peers_any(r->job->peers, &r->report->stopped, err));
    }
    return cn_peers_agree(r->job->peers, save(r, "last.safetensors", err), err);
}

cn_status cn_train(const cn_train_job *job, cn_train_report *report, cn_error *err)
{
    *report = (cn_train_report){0};
    run r = {
        .job = job,
        .column = cn_policy_columns(job->policy) - 1,
        .first = cn_peers_rank(job->peers) == 0,
        .report = report,
    };
    cn_status status = cn_peers_agree(job->peers, begin(&r, err), err);
    if (status == CN_OK)
        status = train(&r, err);
    cn_status closed = cn_tfevents_close(&r.events, status == CN_OK ? err : NULL);
    cn_evaluator_destroy(&r.evaluator);
    cn_learner_destroy(&r.learner);
    cn_pool_destroy(&r.pool);
    return status != CN_OK ? status : closed;
}
