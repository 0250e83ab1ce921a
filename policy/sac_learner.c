/* SAC as a learner: a collector, a replay buffer, SAC, and how all three are saved. */
#include "policy/sac_learner.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "policy/sac.h"

enum { STEPS, FRESH, FITTING, ADDED, COUNTS };

typedef struct sac_learner {
    cn_learner learner; /* first: a cn_learner * is a sac_learner * */
    cn_policy *policy;
    int column;
    cn_train_config config;
    cn_pool *pool;
    cn_collector *collector;
    cn_replay *replay;
    const cn_replay *demos;
    cn_sac *sac;
    cn_sac_stats stats; /* of the last iteration */
    float *input;       /* [input_size] */
    int64_t steps;      /* environment steps so far */
    double owed;        /* updates */
    int64_t collecting; /* ns of the iteration under way */
    bool fresh;         /* the column had not learned anything before this run */
    bool fitting;       /* its normaliser still takes in observations */
    /* What a checkpoint holds of it, beside SAC's own. */
    int64_t counts[COUNTS];
    uint64_t *env_rng;      /* [N, CN_RNG_WORDS] */
    uint64_t *env_episodes; /* [N] */
} sac_learner;

/* ---- An iteration ---- */

static void remember(sac_learner *l)
{
    const cn_rollout *r = cn_collector_rollout(l->collector);
    const size_t O = (size_t)r->O, A = (size_t)r->A;
    for (size_t row = 0; row < (size_t)r->N * (size_t)r->T; row++) {
        const cn_transition t = {
            .observation = r->observation + row * O,
            .action = r->action + row * A,
            .reward = r->reward[row],
            .next = r->next + row * O,
            .terminated = r->end[row] == CN_END_TERMINATED,
        };
        cn_replay_add(l->replay, &t);
    }
}

static void take_in(sac_learner *l, const float *observation)
{
    cn_normalizer *n = cn_policy_normalizer(l->policy, l->column);
    cn_policy_gather(l->policy, l->column, observation, l->input);
    cn_normalizer_update(n, l->input, 1, n->size);
}

/* The normaliser learns from what was collected just now; when that was the last of the first
 * steps, from the demos as well, and then stands. */
static void fit_normalizer(sac_learner *l, bool last)
{
    const cn_rollout *r = cn_collector_rollout(l->collector);
    for (int row = 0; row < r->N * r->T; row++)
        take_in(l, r->observation + (size_t)row * (size_t)r->O);
    for (int row = 0; last && l->demos && row < cn_replay_count(l->demos); row++)
        take_in(l, cn_replay_at(l->demos, row).observation);
    cn_normalizer_refresh(cn_policy_normalizer(l->policy, l->column));
    l->fitting = !last;
}

/* One round: some steps, and the updates that they allow. */
static cn_status play_round(sac_learner *l, double progress, cn_learner_step *step, cn_error *err)
{
    const cn_rollout *r = cn_collector_rollout(l->collector);
    const int64_t steps = (int64_t)r->N * r->T;
    cn_episode_totals totals;
    cn_collector_wander(l->collector, l->fresh && l->steps < l->config.learning_starts);
    const int64_t began = cn_clock_now();
    CN_TRY(cn_collector_run(l->collector, &totals, err));
    l->collecting += cn_clock_now() - began;
    const cn_collector_time spent = cn_collector_time_of(l->collector);
    step->environments += spent.environments;
    step->inference += spent.inference;
    remember(l);
    l->steps += steps;
    step->steps += steps;
    step->episodes.episodes += totals.episodes;
    step->episodes.successes += totals.successes;
    step->episodes.return_sum += totals.return_sum;
    step->episodes.length_sum += totals.length_sum;
    const bool learns = l->steps >= l->config.learning_starts;
    if (l->fitting)
        fit_normalizer(l, learns);
    if (!learns)
        return CN_OK;
    l->owed += l->config.updates_per_step * (double)steps;
    for (; l->owed >= 1.0; l->owed -= 1.0)
        cn_sac_update(l->sac, l->steps >= l->config.actor_starts, progress);
    return CN_OK;
}

static cn_status iterate(cn_learner *learner, double progress, cn_learner_step *step, cn_error *err)
{
    sac_learner *l = (sac_learner *)learner;
    const int rounds = (int)(l->config.rollout_steps / l->config.update_every);
    const double threads = (double)cn_pool_threads(l->pool);
    l->collecting = 0;
    *step = (cn_learner_step){0};
    const int64_t began = cn_clock_now();
    for (int i = 0; i < rounds; i++)
        CN_TRY(play_round(l, progress, step, err));
    const double all = (double)(cn_clock_now() - began) / (double)CN_NS_PER_S;
    step->environments /= all * threads;
    step->inference /= all * threads;
    step->update = 1.0 - (double)l->collecting / (double)CN_NS_PER_S /
                             all; /* all threads are the update's while it runs */
    step->idle = 1.0 - step->environments - step->inference - step->update;
    return cn_sac_stats_of(l->sac, &l->stats, err);
}

static int metrics(const cn_learner *learner, cn_metric *out)
{
    const sac_learner *l = (const sac_learner *)learner;
    const cn_metric all[] = {
        {"sac/critic_loss", l->stats.critic_loss}, {"sac/q", l->stats.q},
        {"sac/actor_loss", l->stats.actor_loss},   {"sac/entropy", l->stats.entropy},
        {"sac/temperature", l->stats.temperature},
    };
    const int count = (int)(sizeof all / sizeof all[0]);
    for (int i = 0; i < count; i++)
        out[i] = all[i];
    return count;
}

/* ---- Stopping and going on ---- */

static int state(cn_learner *learner, cn_tensor_view *out)
{
    sac_learner *l = (sac_learner *)learner;
    const cn_replay *r = l->replay;
    const int64_t envs = cn_collector_rollout(l->collector)->N;
    const int64_t O = r->observation_size, A = r->action_size, added = l->counts[ADDED];
    const int64_t C = added < 0 ? 0 : added < r->capacity ? added : r->capacity; /* transitions */
    int i = cn_sac_state(l->sac, out);
    out[i++] = cn_tensor_matrix("trainer/sac_counts", CN_I64, 1, COUNTS, l->counts);
    out[i++] = cn_tensor_matrix("trainer/owed", CN_F64, 1, 1, &l->owed);
    out[i++] = cn_tensor_matrix("trainer/env_rng", CN_U64, envs, CN_RNG_WORDS, l->env_rng);
    out[i++] = cn_tensor_matrix("trainer/env_episodes", CN_U64, 1, envs, l->env_episodes);
    out[i++] = cn_tensor_matrix("trainer/replay_observation", CN_F32, C, O, r->observation);
    out[i++] = cn_tensor_matrix("trainer/replay_action", CN_F32, C, A, r->action);
    out[i++] = cn_tensor_matrix("trainer/replay_reward", CN_F32, 1, C, r->reward);
    out[i++] = cn_tensor_matrix("trainer/replay_next", CN_F32, C, O, r->next);
    out[i++] = cn_tensor_matrix("trainer/replay_terminated", CN_F32, 1, C, r->terminated);
    return i;
}

static cn_status pack(cn_learner *learner, cn_error *err)
{
    sac_learner *l = (sac_learner *)learner;
    (void)err;
    cn_sac_pack(l->sac);
    l->counts[STEPS] = l->steps;
    l->counts[FRESH] = l->fresh;
    l->counts[FITTING] = l->fitting;
    l->counts[ADDED] = l->replay->added;
    cn_collector_pack(l->collector, l->env_rng, l->env_episodes);
    return CN_OK;
}

static cn_status unpack(cn_learner *learner, cn_error *err)
{
    sac_learner *l = (sac_learner *)learner;
    CN_FAIL_IF(l->counts[STEPS] < 0 || l->counts[ADDED] < 0 || !(l->owed >= 0.0 && l->owed < 1.0),
               CN_ERR_FORMAT, err,
               "the checkpoint is damaged: %lld steps, %lld transitions, %g updates owed",
               (long long)l->counts[STEPS], (long long)l->counts[ADDED], l->owed);
    cn_sac_unpack(l->sac);
    l->steps = l->counts[STEPS];
    l->fresh = l->counts[FRESH] != 0;
    l->fitting = l->counts[FITTING] != 0;
    l->replay->added = l->counts[ADDED];
    cn_collector_unpack(l->collector, l->env_rng, l->env_episodes);
    return CN_OK;
}

/* ---- Creation ---- */

static void destroy(cn_learner *learner)
{
    sac_learner *l = (sac_learner *)learner;
    cn_sac_destroy(&l->sac);
    cn_collector_destroy(&l->collector);
    cn_replay_destroy(&l->replay);
    free(l->input);
    free(l->env_rng);
    free(l->env_episodes);
    free(l);
}

static cn_status create_parts(sac_learner *l, const cn_learner_setup *setup, cn_error *err)
{
    const cn_train_config *c = setup->config;
    const cn_env_spec *spec = cn_policy_spec(setup->policy);
    const size_t envs = (size_t)c->envs;
    const long remembered = c->replay_size < c->steps ? c->replay_size : c->steps;
    CN_TRY(cn_policy_add_state_std(setup->policy, err));
    CN_TRY(cn_collector_create_transitions(setup->policy, setup->column, (int)c->envs,
                                           (int)c->update_every, setup->seed, setup->make_env,
                                           setup->make_env_ctx, setup->pool, &l->collector, err));
    CN_TRY(cn_replay_create((int)remembered, spec->observation_size, spec->action_size, &l->replay,
                            err));
    CN_TRY(cn_sac_create(setup->policy, setup->column, c, l->replay, setup->demos, setup->seed,
                         setup->pool, &l->sac, err));
    l->input = calloc((size_t)cn_policy_column_at(setup->policy, setup->column)->input_size,
                      sizeof *l->input);
    l->env_rng = calloc(envs * CN_RNG_WORDS, sizeof *l->env_rng);
    l->env_episodes = calloc(envs, sizeof *l->env_episodes);
    CN_FAIL_IF(!l->input || !l->env_rng || !l->env_episodes, CN_ERR_MEMORY, err,
               "no memory for the state of %zu environments", envs);
    return CN_OK;
}

cn_status cn_sac_check_settings(const cn_train_config *c, cn_error *err)
{
    CN_FAIL_IF(c->learning_starts >= c->steps, CN_ERR_ARGUMENT, err,
               "learning_starts is %ld of %ld steps: nothing would be learned; lower it, or raise "
               "steps",
               c->learning_starts, c->steps);
    CN_FAIL_IF(c->updates_per_step * (double)(c->steps - c->learning_starts) < 1.0, CN_ERR_ARGUMENT,
               err,
               "updates_per_step is %g, and so there would be no update in %ld steps: raise it",
               c->updates_per_step, c->steps - c->learning_starts);
    CN_FAIL_IF(c->actor_starts >= c->steps, CN_ERR_ARGUMENT, err,
               "actor_starts is %ld of %ld steps: the policy would stay as it is; lower it, or "
               "raise steps",
               c->actor_starts, c->steps);
    CN_FAIL_IF(c->rollout_steps % c->update_every != 0, CN_ERR_ARGUMENT, err,
               "rollout_steps is %ld, which is no multiple of update_every, %ld: change either",
               c->rollout_steps, c->update_every);
    return CN_OK;
}

cn_status cn_sac_learner_create(const cn_learner_setup *setup, cn_learner **out, cn_error *err)
{
    *out = NULL;
    sac_learner *l = calloc(1, sizeof *l);
    CN_FAIL_IF(!l, CN_ERR_MEMORY, err, "no memory for SAC");
    const bool fitted = cn_policy_normalizer(setup->policy, setup->column)->count > 0.0 ||
                        cn_policy_unscaled(setup->policy, setup->column);
    *l = (sac_learner){
        .learner = {.iterate = iterate,
                    .metrics = metrics,
                    .state = state,
                    .pack = pack,
                    .unpack = unpack,
                    .destroy = destroy},
        .policy = setup->policy,
        .column = setup->column,
        .config = *setup->config,
        .pool = setup->pool,
        .demos = setup->demos,
        .stats = {NAN, NAN, NAN, NAN, NAN},
        .fresh = setup->column == 0 && cn_policy_column_at(setup->policy, 0)->steps == 0,
        .fitting = setup->config->normalize_observation && !fitted,
    };
    cn_learner *learner = &l->learner;
    const cn_status status = create_parts(l, setup, err);
    if (status == CN_OK)
        *out = learner;
    else
        cn_learner_destroy(&learner);
    return status;
}
