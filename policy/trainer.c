/* The training loop. What learning is, it leaves to the learner. */
#include "policy/trainer.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "policy/tfevents.h"

#define SAVE_NS (10 * CN_NS_PER_S) /* how old what job->keep_last keeps may be */
#define RECENT  100 /* episodes whose mean return a run reports, as published results do */

/* Everything that lives as long as a run. */
typedef struct run {
    const cn_train_job *job;
    cn_pool *pool;
    cn_learner *learner;
    cn_evaluator *evaluator; /* NULL: no evaluation during training */
    cn_tfevents *events;
    int column;
    bool first;                       /* of the ranks: the one that writes */
    int64_t saved_ns;                 /* when last.safetensors was written last */
    double seconds_before;            /* spent by the parts of the run before this one */
    long iterations;                  /* in which episodes ended, */
    cn_episode_totals recent[RECENT]; /* and what ended in the last of them: i at i % RECENT */
    cn_train_report *report;
} run;

/* Whether a run with these settings could end as they say. */
static cn_status check_ends(const cn_train_config *config, const cn_env_spec *spec, cn_error *err)
{
    double low, high;
    CN_FAIL_IF(config->stop_success > 0.0 && !spec->has_success, CN_ERR_ARGUMENT, err,
               "stop_success is %g, but the task '%s' has no success: use patience, which goes by "
               "the return",
               config->stop_success, spec->task);
    if (config->stop_success == 0.0 && config->patience == 0)
        return CN_OK;
    CN_FAIL_IF(config->evaluate_every == 0, CN_ERR_ARGUMENT, err,
               "stop_success and patience go by evaluations, and there are none: set "
               "evaluate_every, or both of them to 0");
    const long episodes = config->evaluate_episodes;
    cn_wilson_interval(episodes, episodes, &low, &high);
    CN_FAIL_IF(config->stop_success > low, CN_ERR_ARGUMENT, err,
               "stop_success is %g, but %ld successes of %ld show no more than %.4f: raise "
               "evaluate_episodes, or lower stop_success",
               config->stop_success, episodes, episodes, low);
    return CN_OK;
}

cn_status cn_train_check(const cn_train_config *config, const cn_env_spec *spec, cn_error *err)
{
    CN_TRY(check_ends(config, spec, err));
    return cn_learner_check(config, err);
}

static cn_status begin(run *r, cn_error *err)
{
    const cn_train_job *job = r->job;
    const cn_train_config *config = job->config;
    CN_TRY(cn_train_check(config, cn_policy_spec(job->policy), err));
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
        .demos = job->demos,
    };
    CN_TRY(cn_learner_create(&setup, &r->learner, err));
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

static void sign(cn_policy *policy, int column, const char *why)
{
    snprintf(cn_policy_column_at(policy, column)->ended, CN_NAME, "%s", why);
}

static cn_status save(const run *r, const char *name, cn_error *err)
{
    char path[CN_PATH];
    if (!r->first)
        return CN_OK;
    path_of(r, name, path);
    return cn_policy_save(r->job->policy, path, err);
}

static cn_status save_last(run *r, cn_error *err)
{
    r->saved_ns = cn_clock_now();
    return save(r, "last.safetensors", err);
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
    cn_train_report *report = r->report;
    p->best = report->best_steps == 0 || better(&p->evaluation, &report->best);
    report->without_improvement++;
    if (p->best) {
        CN_TRY(save(r, "best.safetensors", err));
        report->best = p->evaluation;
        report->best_steps = p->steps;
        report->without_improvement = 0;
    }
    return save_last(r, err);
}

/* Evaluates when it is time to, all ranks together. */
static cn_status evaluate(run *r, cn_train_progress *p, cn_error *err)
{
    p->evaluated = false;
    if (!r->evaluator || (p->steps < p->next_evaluation && p->steps < p->total_steps))
        return CN_OK;
    p->next_evaluation = p->steps + r->job->config->evaluate_every;
    CN_TRY(cn_evaluator_run(r->evaluator, r->job->config->evaluate_episodes, r->job->seed, NULL,
                            &p->evaluation, err));
    p->evaluation_steps = p->steps;
    p->evaluated = true;
    return cn_peers_agree(r->job->peers, keep(r, p, err), err);
}

/* Writes a checkpoint when it is time to, and before the first step. The schedule counts steps
 * alone, so that a resumed run ends its episodes where the first one did. */
static cn_status checkpoint(run *r, cn_train_progress *p, cn_error *err)
{
    const long every = r->job->config->checkpoint_every;
    if (every == 0 || (p->steps > 0 && p->steps < p->next_checkpoint))
        return CN_OK;
    char path[CN_PATH];
    path_of(r, "checkpoint.safetensors", path);
    const cn_checkpoint where = {
        .ranks = cn_peers_size(r->job->peers),
        .steps = p->steps,
        .next_evaluation = p->next_evaluation,
        .seconds = p->seconds,
        .without_improvement = r->report->without_improvement,
        .best_steps = r->report->best_steps,
        .best = r->report->best,
    };
    CN_TRY(cn_checkpoint_save(r->first ? path : NULL, r->job->policy, r->learner, &where, err));
    p->next_checkpoint = p->steps + every;
    r->report->checkpoint_steps = p->steps;
    return CN_OK;
}

/* Every rank reads the checkpoint; were they different ones, the ranks would wait for one another
 * for ever. */
static cn_status resume(run *r, cn_train_progress *p, cn_error *err)
{
    cn_peers *peers = r->job->peers;
    char path[CN_PATH];
    cn_checkpoint where = {0};
    path_of(r, "checkpoint.safetensors", path);
    const cn_status status =
        cn_checkpoint_restore(path, r->learner, cn_peers_size(peers), &where, err);
    CN_TRY(cn_peers_agree(peers, status, err));
    if (cn_peers_compare(peers, where.checksum, "their contents", err) != CN_OK)
        return cn_error_prefix(err, CN_ERR_CHECKSUM, "%s is not one file that all ranks see", path);
    p->steps = where.steps;
    p->next_evaluation = where.next_evaluation;
    p->next_checkpoint = where.steps + r->job->config->checkpoint_every;
    r->seconds_before = where.seconds;
    r->report->checkpoint_steps = where.steps;
    r->report->without_improvement = where.without_improvement;
    r->report->best_steps = where.best_steps;
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

enum { EVERY_TIME = 7 }; /* curves with a point each iteration; the others are of evaluations */

static cn_status record(run *r, const cn_train_progress *p, cn_error *err)
{
    const cn_evaluation *e = &p->evaluation;
    const cn_metric loop[] = {
        {"rollout/return", p->return_mean},
        {"rollout/success", p->success_rate},
        {"time/steps_per_second", p->steps_per_second},
        {"time/environments", p->last.environments},
        {"time/inference", p->last.inference},
        {"time/update", p->last.update},
        {"time/idle", p->last.idle},
        {"eval/return", e->return_mean},
        {"eval/return_low", e->return_low},
        {"eval/return_high", e->return_high},
        {"eval/success", e->success_rate},
        {"eval/success_low", e->success_low},
        {"eval/success_high", e->success_high},
        {"eval/length", e->length_mean},
    };
    const size_t count = p->evaluated ? sizeof loop / sizeof loop[0] : EVERY_TIME;
    if (!r->first)
        return CN_OK;
    for (size_t i = 0; i < count; i++)
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
    p->steps_per_second = (double)p->last.steps / seconds;
    p->episodes = ended->episodes;
    p->return_mean = ended->episodes ? ended->return_sum / n : NAN;
    const bool judged = ended->episodes > 0 && cn_policy_spec(r->job->policy)->has_success;
    p->success_rate = judged ? (double)ended->successes / n : NAN;
    p->metrics = r->learner->metrics(r->learner, p->metric);
}

/* Adds the episodes of an iteration to the recent ones, and sums up the newest RECENT of those, to
 * whole iterations. */
static void note_recent(run *r, const cn_episode_totals *ended)
{
    cn_train_report *report = r->report;
    double sum = 0.0;
    if (ended->episodes == 0)
        return;
    r->recent[r->iterations++ % RECENT] = *ended;
    report->recent_episodes = 0;
    for (long i = r->iterations - 1;
         i >= 0 && i > r->iterations - 1 - RECENT && report->recent_episodes < RECENT; i--) {
        report->recent_episodes += r->recent[i % RECENT].episodes;
        sum += r->recent[i % RECENT].return_sum;
    }
    report->recent_return = sum / (double)report->recent_episodes;
}

/* Writes what was learned so far, if that is wanted and some time has passed: a kill must not cost
 * all of it. */
static cn_status keep_last(run *r, cn_error *err)
{
    const bool due = r->job->keep_last && cn_clock_now() - r->saved_ns >= SAVE_NS;
    return due ? save_last(r, err) : CN_OK;
}

/* What an iteration leaves in the folder. */
static cn_status leave(run *r, cn_train_progress *p, cn_error *err)
{
    CN_TRY(keep_last(r, err));
    CN_TRY(checkpoint(r, p, err));
    return record(r, p, err);
}

/* One iteration of the learner, and what belongs to it. */
static cn_status iterate(run *r, cn_train_progress *p, int64_t start_ns, cn_error *err)
{
    const int64_t began = cn_clock_now();
    const double progress = (double)p->steps / (double)p->total_steps;
    const cn_status status = r->learner->iterate(r->learner, progress, &p->last, err);
    p->steps += p->last.steps;
    cn_policy_column_at(r->job->policy, r->column)->steps += p->last.steps;
    CN_TRY(status);
    note(r, p, (double)(cn_clock_now() - began) / (double)CN_NS_PER_S);
    note_recent(r, &p->last.episodes);
    CN_TRY(evaluate(r, p, err));
    p->seconds = r->seconds_before + (double)(cn_clock_now() - start_ns) / (double)CN_NS_PER_S;
    CN_TRY(cn_peers_agree(r->job->peers, leave(r, p, err), err));
    if (r->job->progress && r->first)
        r->job->progress(r->job->progress_ctx, p);
    return CN_OK;
}

/* Whether the run is over, and why. It depends on nothing but what a checkpoint holds, and on
 * job->stop: a run resumed where it ended ends there. */
static cn_status is_over(run *r, const cn_train_progress *p, bool *over, cn_error *err)
{
    const cn_train_config *config = r->job->config;
    cn_train_report *report = r->report;
    bool stop = r->job->stop && atomic_load(r->job->stop);
    CN_TRY(cn_peers_any(r->job->peers, &stop, err));
    *over = true;
    if (config->stop_success > 0.0 && report->best_steps > 0 &&
        report->best.success_low >= config->stop_success)
        report->end = CN_TRAIN_SUCCESS;
    else if (config->patience > 0 && report->without_improvement >= config->patience)
        report->end = CN_TRAIN_PATIENCE;
    else if (p->steps >= p->total_steps)
        report->end = CN_TRAIN_STEPS;
    else if (stop)
        report->end = CN_TRAIN_STOPPED;
    else
        *over = false;
    return CN_OK;
}

static void say_why(cn_train_report *report)
{
    static const char *const words[] = {"all steps done", "interrupted", "success reached"};
    if (report->end == CN_TRAIN_PATIENCE)
        snprintf(report->why, sizeof report->why, "no improvement for %ld evaluation%s",
                 report->without_improvement, report->without_improvement == 1 ? "" : "s");
    else
        snprintf(report->why, sizeof report->why, "%s", words[report->end]);
}

/* Saves the last policy and has both of them say why the run ended. */
static cn_status finish(const run *r, cn_error *err)
{
    say_why(r->report);
    sign(r->job->policy, r->column, r->report->why);
    CN_TRY(save(r, "last.safetensors", err));
    if (!r->first || r->report->best_steps == 0)
        return CN_OK;
    char path[CN_PATH];
    cn_policy *best = NULL;
    path_of(r, "best.safetensors", path);
    CN_TRY(cn_policy_load(path, &best, err));
    sign(best, r->column, r->report->why);
    const cn_status status = cn_policy_save(best, path, err);
    cn_policy_destroy(&best);
    return status;
}

static bool is_finite(cn_params *params)
{
    const float *value = cn_params_values(params);
    for (size_t i = 0; i < cn_params_count(params); i++)
        if (!isfinite(value[i]))
            return false;
    return true;
}

/* Saves what was learned before a failure, and says where: a robot that is lost, a simulation that
 * diverges. There may be no checkpoint, and it is older.
 * Not a policy that is not to be used, nor one that differs between ranks.
 * @param steps  of this part of the run */
static cn_status rescue(const run *r, int64_t steps, cn_status failure, cn_error *err)
{
    char path[CN_PATH], why[CN_NAME];
    cn_error unsaved = {0};
    if (steps == 0 || failure == CN_ERR_LEARNING || failure == CN_ERR_CHECKSUM ||
        !is_finite(cn_policy_params(r->job->policy)))
        return failure;
    path_of(r, "last.safetensors", path);
    snprintf(why, sizeof why, "failed: %s", cn_status_words(failure));
    sign(r->job->policy, r->column, why);
    if (save(r, "last.safetensors", &unsaved) != CN_OK)
        return cn_error_prefix(err, failure, "after %lld steps, which are lost (%s)",
                               (long long)steps, unsaved.message);
    return cn_error_prefix(err, failure, "after %lld steps (what was learned is in %s)",
                           (long long)steps, path);
}

static cn_status train(run *r, cn_error *err)
{
    const int64_t start_ns = cn_clock_now();
    const cn_train_config *config = r->job->config;
    cn_train_progress p = {
        .total_steps = config->steps,
        .next_evaluation = config->evaluate_every,
        .next_checkpoint = config->checkpoint_every,
        .report = r->report,
    };
    if (r->job->resume)
        CN_TRY(resume(r, &p, err));
    CN_TRY(share_policy(r, err));
    sign(r->job->policy, r->column, "");
    if (!r->job->resume)
        CN_TRY(cn_peers_agree(r->job->peers, checkpoint(r, &p, err), err));
    r->saved_ns = start_ns;
    r->report->steps = p.steps;
    r->report->seconds = r->seconds_before;
    const int64_t before = p.steps;
    bool over;
    CN_TRY(is_over(r, &p, &over, err));
    while (!over) {
        const cn_status status = iterate(r, &p, start_ns, err);
        if (status != CN_OK)
            return rescue(r, p.steps - before, status, err);
        r->report->steps = p.steps;
        r->report->seconds = p.seconds;
        CN_TRY(is_over(r, &p, &over, err));
    }
    return cn_peers_agree(r->job->peers, finish(r, err), err);
}

cn_status cn_train(const cn_train_job *job, cn_train_report *report, cn_error *err)
{
    *report = (cn_train_report){.recent_return = NAN, .checkpoint_steps = -1};
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
