/* Collecting rollouts: shards of environments, stepped without a barrier inside a shard. */
#include "policy/rollout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* log sqrt(2 pi) */
#define LOG_SQRT_2PI 0.918938533204672742

typedef struct env_slot {
    cn_env *env;
    cn_rng actions;    /* noise of its actions */
    uint64_t episodes; /* begun so far: numbers the seeds of its resets */
    double episode_return;
    long length;
    cn_episode_totals totals; /* of this run */
} env_slot;

typedef struct shard {
    int first, count; /* environments */
    cn_agent *agent;
    float *observation;                    /* [count, O] current */
    int64_t environments_ns, inference_ns; /* of this run */
    cn_status status;
    cn_error error;
} shard;

struct cn_collector {
    cn_policy *policy;
    int column;
    bool transitions; /* for learners that replay them */
    bool wander;      /* uniform actions */
    cn_bound bound;
    uint64_t seed;
    cn_pool *pool;
    cn_rollout rollout;
    env_slot *slots; /* [N] */
    int shards;
    shard shard[CN_SHARDS];
    bool started;
};

/* ---- Creation ---- */

static float *floats(int a, int b, int c)
{
    const size_t n = (size_t)a * (size_t)b * (size_t)c;
    return calloc(n ? n : 1, sizeof(float));
}

static cn_status allocate_transitions(cn_rollout *r, cn_error *err)
{
    r->observation = floats(r->N, r->T, r->O);
    r->action = floats(r->N, r->T, r->A);
    r->reward = floats(r->N, r->T, 1);
    r->next = floats(r->N, r->T, r->O);
    r->end = calloc((size_t)r->N * (size_t)r->T, 1);
    CN_FAIL_IF(!r->observation || !r->action || !r->reward || !r->next || !r->end, CN_ERR_MEMORY,
               err, "no memory for %d x %d transitions", r->N, r->T);
    return CN_OK;
}

static cn_status allocate_rollout(cn_rollout *r, cn_error *err)
{
    r->observation = floats(r->N, r->T, r->O);
    r->input = floats(r->N, r->T, r->I);
    r->features = floats(r->N, r->T, r->F);
    r->action = floats(r->N, r->T, r->A);
    r->log_prob = floats(r->N, r->T, 1);
    r->value = floats(r->N, r->T, 1);
    r->reward = floats(r->N, r->T, 1);
    r->bootstrap = floats(r->N, r->T, 1);
    r->end = calloc((size_t)r->N * (size_t)r->T, 1);
    r->last_value = floats(r->N, 1, 1);
    CN_FAIL_IF(!r->observation || !r->input || !r->features || !r->action || !r->log_prob ||
                   !r->value || !r->reward || !r->bootstrap || !r->end || !r->last_value,
               CN_ERR_MEMORY, err, "no memory for rollouts of %d x %d steps", r->N, r->T);
    return CN_OK;
}

static void free_rollout(cn_rollout *r)
{
    float *const blocks[] = {r->observation, r->input,  r->features,  r->action,     r->log_prob,
                             r->value,       r->reward, r->bootstrap, r->last_value, r->next};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
    free(r->end);
}

static cn_status create_shards(cn_collector *c, cn_error *err)
{
    const int N = c->rollout.N;
    c->shards = N < CN_SHARDS ? N : CN_SHARDS;
    for (int s = 0; s < c->shards; s++) {
        shard *sh = &c->shard[s];
        sh->first = s * N / c->shards;
        sh->count = (s + 1) * N / c->shards - sh->first;
        sh->observation = floats(sh->count, c->rollout.O, 1);
        CN_FAIL_IF(!sh->observation, CN_ERR_MEMORY, err, "no memory for a shard");
        const cn_agent_kind kind = c->transitions ? CN_AGENT_SAMPLER : CN_AGENT_ACTOR_CRITIC;
        CN_TRY(cn_agent_create(c->policy, c->column, sh->count, kind, &sh->agent, err));
    }
    return CN_OK;
}

static cn_status create_envs(cn_collector *c, cn_make_env *make, void *ctx, cn_error *err)
{
    c->slots = calloc((size_t)c->rollout.N, sizeof *c->slots);
    CN_FAIL_IF(!c->slots, CN_ERR_MEMORY, err, "no memory for %d environments", c->rollout.N);
    for (int n = 0; n < c->rollout.N; n++) {
        CN_TRY(make(ctx, &c->slots[n].env, err));
        CN_TRY(cn_env_spec_match(cn_policy_spec(c->policy), &c->slots[n].env->spec, err));
        c->slots[n].actions = cn_rng_make(c->seed, (uint64_t)n);
    }
    return CN_OK;
}

/* @param what  the fields that don't follow from the others */
static cn_status create(const cn_collector *what, int envs, int steps, cn_make_env *make,
                        void *make_ctx, cn_collector **out, cn_error *err)
{
    *out = NULL;
    cn_policy *const policy = what->policy;
    CN_FAIL_IF(envs < 1 || steps < 1 || steps > CN_MAX_ROLLOUT_ROWS / envs, CN_ERR_ARGUMENT, err,
               "rollouts of %d environments x %d steps; 1 x 1 to %d in all are possible", envs,
               steps, CN_MAX_ROLLOUT_ROWS);
    cn_collector *c = calloc(1, sizeof *c);
    CN_FAIL_IF(!c, CN_ERR_MEMORY, err, "no memory for a collector");
    cn_status status = CN_OK;
    const cn_env_spec *spec = cn_policy_spec(policy);
    *c = *what;
    c->bound = cn_policy_column_at(policy, c->column)->bound;
    c->rollout = (cn_rollout){
        .N = envs,
        .T = steps,
        .O = spec->observation_size,
        .I = cn_policy_column_at(policy, c->column)->input_size,
        .F = cn_net_features(cn_policy_actor(policy), c->column) +
             cn_net_features(cn_policy_critic(policy), c->column),
        .A = spec->action_size,
    };
    CN_TRY_CLEANUP(c->transitions ? allocate_transitions(&c->rollout, err)
                                  : allocate_rollout(&c->rollout, err));
    CN_TRY_CLEANUP(create_shards(c, err));
    CN_TRY_CLEANUP(create_envs(c, make, make_ctx, err));
    *out = c;
    c = NULL;
cleanup:
    cn_collector_destroy(&c);
    return status;
}

cn_status cn_collector_create(cn_policy *policy, int column, int envs, int steps, uint64_t seed,
                              cn_make_env *make, void *make_ctx, cn_pool *pool, cn_collector **out,
                              cn_error *err)
{
    const cn_collector what = {.policy = policy, .column = column, .seed = seed, .pool = pool};
    return create(&what, envs, steps, make, make_ctx, out, err);
}

cn_status cn_collector_create_transitions(cn_policy *policy, int column, int envs, int steps,
                                          uint64_t seed, cn_make_env *make, void *make_ctx,
                                          cn_pool *pool, cn_collector **out, cn_error *err)
{
    const cn_collector what = {
        .policy = policy, .column = column, .seed = seed, .pool = pool, .transitions = true};
    CN_FAIL_IF(cn_policy_log_std_weight(policy, column) < 0, CN_ERR_ARGUMENT, err,
               "column %d has one standard deviation for all states; transitions are collected "
               "with one that depends on the state: cn_policy_add_state_std",
               column);
    return create(&what, envs, steps, make, make_ctx, out, err);
}

void cn_collector_wander(cn_collector *c, bool on)
{
    c->wander = on;
}

void cn_collector_destroy(cn_collector **collector)
{
    cn_collector *c = *collector;
    if (!c)
        return;
    for (int n = 0; c->slots && n < c->rollout.N; n++)
        cn_env_destroy(&c->slots[n].env);
    for (int s = 0; s < c->shards; s++) {
        cn_agent_destroy(&c->shard[s].agent);
        free(c->shard[s].observation);
    }
    free_rollout(&c->rollout);
    free(c->slots);
    free(c);
    *collector = NULL;
}

void cn_collector_pack(cn_collector *c, uint64_t *noise, uint64_t *episodes)
{
    c->started = false; /* the next run begins with resets */
    for (int n = 0; n < c->rollout.N; n++) {
        cn_rng_pack(&c->slots[n].actions, noise + n * CN_RNG_WORDS);
        episodes[n] = c->slots[n].episodes;
    }
}

void cn_collector_unpack(cn_collector *c, const uint64_t *noise, const uint64_t *episodes)
{
    for (int n = 0; n < c->rollout.N; n++) {
        c->slots[n].actions = cn_rng_unpack(noise + n * CN_RNG_WORDS);
        c->slots[n].episodes = episodes[n];
    }
}

cn_collector_time cn_collector_time_of(const cn_collector *c)
{
    cn_collector_time sum = {0};
    for (int s = 0; s < c->shards; s++) {
        sum.environments += (double)c->shard[s].environments_ns / (double)CN_NS_PER_S;
        sum.inference += (double)c->shard[s].inference_ns / (double)CN_NS_PER_S;
    }
    return sum;
}

cn_rollout *cn_collector_rollout(cn_collector *c)
{
    return &c->rollout;
}

/* ---- Running ---- */

/* Episode e of environment n of a run with this seed. The top bit is 0: evaluation seeds have 1. */
static uint64_t episode_seed(uint64_t seed, int n, uint64_t e)
{
    cn_rng rng = cn_rng_make(seed ^ UINT64_C(0x65706973), ((uint64_t)n << 32) ^ e);
    const uint64_t high = cn_rng_u32(&rng) >> 1;
    return high << 32 | cn_rng_u32(&rng);
}

static cn_status reset_env(cn_collector *c, int n, float *observation, cn_error *err)
{
    env_slot *slot = &c->slots[n];
    slot->episode_return = 0.0;
    slot->length = 0;
    return slot->env->reset(slot->env, episode_seed(c->seed, n, slot->episodes++), observation,
                            err);
}

/* Samples a ~ N(mean, exp(log_std)) and its log-probability. */
static float sample_action(const float *mean, const float *log_std, int A, cn_rng *rng,
                           float *action)
{
    double log_prob = 0.0;
    for (int i = 0; i < A; i++) {
        const double z = cn_rng_normal(rng);
        action[i] = (float)((double)mean[i] + exp((double)log_std[i]) * z);
        log_prob -= 0.5 * z * z + (double)log_std[i] + LOG_SQRT_2PI;
    }
    return (float)log_prob;
}

/* Decides for every environment of the shard and notes what the decision was based on. */
static void decide(cn_collector *c, shard *sh, int t)
{
    cn_rollout *r = &c->rollout;
    const float *log_std =
        cn_params_slice(cn_policy_params(c->policy), cn_policy_log_std(c->policy, c->column));
    cn_agent_forward(sh->agent, sh->observation, sh->count);
    const float *mean = cn_agent_mean(sh->agent), *value = cn_agent_value(sh->agent);
    const float *input = cn_agent_input(sh->agent);
    const float *features = r->F ? cn_agent_features(sh->agent) : NULL;
    for (int i = 0; i < sh->count; i++) {
        const int n = sh->first + i;
        const size_t row = (size_t)n * (size_t)r->T + (size_t)t;
        memcpy(r->observation + row * (size_t)r->O, sh->observation + i * r->O,
               (size_t)r->O * sizeof(float));
        memcpy(r->input + row * (size_t)r->I, input + i * r->I, (size_t)r->I * sizeof(float));
        if (features)
            memcpy(r->features + row * (size_t)r->F, features + i * r->F,
                   (size_t)r->F * sizeof(float));
        r->log_prob[row] = sample_action(mean + i * r->A, log_std, r->A, &c->slots[n].actions,
                                         r->action + row * (size_t)r->A);
        r->value[row] = value[i];
    }
}

/* An action as the env takes it: drawn from the policy, or from anywhere. */
static void draw_action(const cn_collector *c, const float *mean, const float *log_std, cn_rng *rng,
                        float *action)
{
    for (int i = 0; i < c->rollout.A; i++) {
        if (c->wander)
            action[i] = (float)cn_rng_range(rng, -1.0, 1.0);
        else
            action[i] = cn_bound_apply(
                c->bound, (float)((double)mean[i] + exp((double)log_std[i]) * cn_rng_normal(rng)));
    }
}

/* The same for transitions. */
static void decide_transitions(cn_collector *c, shard *sh, int t)
{
    cn_rollout *r = &c->rollout;
    cn_agent_forward(sh->agent, sh->observation, sh->count);
    const float *mean = cn_agent_mean(sh->agent), *log_std = cn_agent_log_std(sh->agent);
    for (int i = 0; i < sh->count; i++) {
        const int n = sh->first + i;
        const size_t row = (size_t)n * (size_t)r->T + (size_t)t;
        memcpy(r->observation + row * (size_t)r->O, sh->observation + i * r->O,
               (size_t)r->O * sizeof(float));
        draw_action(c, mean + i * r->A, log_std + i * r->A, &c->slots[n].actions,
                    r->action + row * (size_t)r->A);
    }
}

static void count_episode(env_slot *slot, bool success)
{
    slot->totals.episodes++;
    slot->totals.successes += success;
    slot->totals.return_sum += slot->episode_return;
    slot->totals.length_sum += (double)slot->length;
}

/* What the env gets: of a squashed column PPO keeps the action before the squashing, where it is
 * Gaussian. */
static const float *env_action(const cn_collector *c, const float *action, float *squashed)
{
    if (c->transitions || c->bound == CN_BOUND_CLIP)
        return action;
    for (int i = 0; i < c->rollout.A; i++)
        squashed[i] = cn_bound_apply(c->bound, action[i]);
    return squashed;
}

/* Steps environment i of the shard; begins a new episode where one ended. */
static cn_status step_env(cn_collector *c, shard *sh, int i, int t, cn_error *err)
{
    cn_rollout *r = &c->rollout;
    const int n = sh->first + i;
    const size_t row = (size_t)n * (size_t)r->T + (size_t)t;
    env_slot *slot = &c->slots[n];
    float *observation = sh->observation + i * r->O;
    cn_env_step step = {0};
    float squashed[CN_MAX_ACTIONS];
    const float *action = env_action(c, r->action + row * (size_t)r->A, squashed);
    CN_TRY(slot->env->step(slot->env, action, &step, observation, err));
    r->reward[row] = step.reward;
    r->end[row] = 0;
    if (c->transitions)
        memcpy(r->next + row * (size_t)r->O, observation, (size_t)r->O * sizeof(float));
    else
        r->bootstrap[row] = 0.0f;
    slot->episode_return += (double)step.reward;
    slot->length++;
    if (!step.terminated && !step.truncated)
        return CN_OK;
    r->end[row] = step.terminated ? CN_END_TERMINATED : CN_END_TRUNCATED;
    if (!step.terminated && !c->transitions) {
        cn_agent_forward(sh->agent, observation, 1);
        r->bootstrap[row] = cn_agent_value(sh->agent)[0];
    }
    count_episode(slot, step.success);
    return reset_env(c, n, observation, err);
}

static cn_status run_shard(cn_collector *c, shard *sh)
{
    cn_rollout *r = &c->rollout;
    cn_error *err = &sh->error;
    for (int i = 0; i < sh->count && !c->started; i++)
        CN_TRY(reset_env(c, sh->first + i, sh->observation + i * r->O, err));
    sh->environments_ns = sh->inference_ns = 0;
    for (int t = 0; t < r->T; t++) {
        const int64_t began = cn_clock_now();
        if (c->transitions)
            decide_transitions(c, sh, t);
        else
            decide(c, sh, t);
        const int64_t decided = cn_clock_now();
        for (int i = 0; i < sh->count; i++)
            CN_TRY(step_env(c, sh, i, t, err));
        sh->inference_ns += decided - began;
        sh->environments_ns += cn_clock_now() - decided;
    }
    if (c->transitions)
        return CN_OK;
    cn_agent_forward(sh->agent, sh->observation, sh->count);
    memcpy(r->last_value + sh->first, cn_agent_value(sh->agent), (size_t)sh->count * sizeof(float));
    return CN_OK;
}

static void run_shard_task(void *ctx, int s)
{
    cn_collector *c = ctx;
    c->shard[s].status = run_shard(c, &c->shard[s]);
}

void cn_episode_totals_add(cn_episode_totals *sum, const cn_episode_totals *more)
{
    sum->episodes += more->episodes;
    sum->successes += more->successes;
    sum->return_sum += more->return_sum;
    sum->length_sum += more->length_sum;
}

cn_status cn_collector_run(cn_collector *c, cn_episode_totals *totals, cn_error *err)
{
    for (int n = 0; n < c->rollout.N; n++)
        c->slots[n].totals = (cn_episode_totals){0};
    cn_pool_run(c->pool, c->shards, run_shard_task, c);
    c->started = false; /* until it is known that every environment is inside an episode */
    for (int s = 0; s < c->shards; s++) {
        if (c->shard[s].status != CN_OK) {
            if (err)
                *err = c->shard[s].error;
            return c->shard[s].status;
        }
    }
    c->started = true;
    *totals = (cn_episode_totals){0};
    for (int n = 0; n < c->rollout.N; n++)
        cn_episode_totals_add(totals, &c->slots[n].totals);
    return CN_OK;
}
