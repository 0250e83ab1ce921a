/* SAC.
 *
 * Legend: B rows of a batch, S shards of it, I input of the column, A actions, F features: the last
 * hidden layers of the frozen columns. In the critics' graph the action is a variable, so that the
 * actor learns what to change.
 */
#include "policy/sac.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vector.h"
#include "policy/actor.h"
#include "policy/q_network.h"
#include "policy/rollout.h"
#include "tensor/optim.h"

#define SHARD_ROWS   64 /* a shard has about as many: enough for a product, few enough to share */
#define ADAM_EPSILON 1e-8f /* Adam's own */

enum { TWINS = 2 };

/* Sums over the rows of a shard. */
typedef struct loss_sums {
    double critic, q, actor, log_prob;
} loss_sums;

typedef struct shard {
    int first, rows;    /* of the batch */
    cn_transition *row; /* [rows] what was drawn */
    cn_rng rng;         /* of this update */
    cn_graph *actor;    /* policy */
    cn_actor_nodes nodes;
    cn_node noise, sample, push, actor_loss; /* push [A + 1]: how the loss depends on the sample */
    cn_graph *critic;                        /* critics */
    cn_node observation, action, features, returns, q[TWINS], q_min, critic_loss;
    cn_graph *target; /* targets */
    cn_node next_observation, next_action, next_features, next_q;
    cn_graph *frozen;            /* the columns before this one; NULL where there is none */
    cn_actor_nodes frozen_nodes; /* their inputs */
    cn_node frozen_features;
    float *actor_grads;  /* [policy's params] */
    float *critic_grads; /* [critics' params] */
    loss_sums sums;
} shard;

struct cn_sac {
    cn_policy *policy;
    int column;
    cn_train_config config;
    const cn_replay *online, *demos;
    cn_pool *pool;
    uint64_t seed;
    cn_params *critics, *targets; /* the same slices */
    cn_q_network q[TWINS];
    cn_params *temperature; /* its logarithm */
    cn_adam actor_adam, critic_adam, temperature_adam;
    int64_t updates;
    int I, A, F, batch, shards;
    shard shard[CN_SHARDS];
    float *actor_grads[CN_SHARDS], *critic_grads[CN_SHARDS];
    float alpha; /* of the update under way */
    /* since the last cn_sac_stats_of: */
    loss_sums sums;
    int64_t critic_updates, actor_updates;
    /* what a checkpoint holds beside the blocks */
    int64_t counts[4];
    double log_alpha[3];
};

/* ---- Creation ---- */

/* Units of the last hidden layers, actor's and critic's, of the columns before this one. */
static int features_before(cn_policy *policy, int column)
{
    int units = 0;
    for (int k = 0; k < column; k++) {
        const cn_policy_column *before = cn_policy_column_at(policy, k);
        units += 2 * before->hidden[before->layers - 1];
    }
    return units;
}

static cn_status create_critics(cn_sac *sac, cn_error *err)
{
    const cn_train_config *c = &sac->config;
    cn_q_spec spec = {
        .input_size = sac->I + sac->A + sac->F,
        .layers = c->critic_layers,
        .layer_norm = c->layer_norm,
    };
    memcpy(spec.hidden, c->critic_hidden, sizeof spec.hidden);
    cn_rng rng = cn_rng_make(sac->seed, UINT64_C(0x6372697469) << 24);
    cn_params **const blocks[] = {&sac->critics, &sac->targets};
    for (int b = 0; b < 2; b++) {
        CN_TRY(cn_params_create(blocks[b], err));
        CN_TRY(cn_q_network_create(*blocks[b], "q0", &spec, &rng, &sac->q[0], err));
        CN_TRY(cn_q_network_create(*blocks[b], "q1", &spec, &rng, &sac->q[1], err));
    }
    memcpy(cn_params_values(sac->targets), cn_params_values(sac->critics),
           cn_params_count(sac->critics) * sizeof(float));
    cn_param log_alpha;
    CN_TRY(cn_params_create(&sac->temperature, err));
    CN_TRY(cn_params_add(sac->temperature, "log_alpha", 1, 1, &log_alpha, err));
    cn_params_fill(sac->temperature, log_alpha, (float)log(c->temperature));
    return CN_OK;
}

static cn_status build_actor(cn_sac *sac, shard *sh, cn_error *err)
{
    CN_TRY(cn_graph_create(cn_policy_params(sac->policy), &sh->actor, err));
    cn_graph *g = sh->actor;
    sh->nodes = cn_actor_build(sac->policy, sac->column, true, g);
    sh->noise = cn_op_input(g, "noise", sac->A);
    sh->push = cn_op_input(g, "push", sac->A + 1);
    sh->sample = cn_op_sample(g, sh->nodes.mean, sh->nodes.log_std, sh->noise,
                              cn_policy_column_at(sac->policy, sac->column)->bound);
    sh->actor_loss = cn_op_dot(g, sh->sample, sh->push);
    CN_TRY(cn_graph_finish(g, sh->rows, CN_TRAINING, err));
    cn_graph_bind_grads(g, sh->actor_grads);
    return CN_OK;
}

/* The last hidden layers of the frozen columns, of actor and critic: what they know of a state. */
static cn_status build_frozen(cn_sac *sac, shard *sh, cn_error *err)
{
    const int before = sac->column;
    cn_node hidden[2 * CN_MAX_COLUMNS];
    if (before == 0)
        return CN_OK;
    CN_TRY(cn_graph_create(cn_policy_params(sac->policy), &sh->frozen, err));
    for (int k = 0; k < before; k++)
        sh->frozen_nodes.input[k] =
            cn_op_input(sh->frozen, "observation", cn_policy_column_at(sac->policy, k)->input_size);
    cn_net_build_hidden(cn_policy_actor(sac->policy), sh->frozen, sh->frozen_nodes.input,
                        before - 1, hidden);
    cn_net_build_hidden(cn_policy_critic(sac->policy), sh->frozen, sh->frozen_nodes.input,
                        before - 1, hidden + before);
    sh->frozen_features = cn_op_concat(sh->frozen, hidden, 2 * before);
    return cn_graph_finish(sh->frozen, sh->rows, CN_INFERENCE, err);
}

/* Both critics of a block and the smaller of them. @param features  -1: none */
static cn_node build_twins(const cn_sac *sac, cn_graph *g, cn_node observation, cn_node action,
                           cn_node features, cn_node q[TWINS])
{
    const cn_node parts[] = {observation, action, features};
    for (int i = 0; i < TWINS; i++)
        q[i] = cn_q_network_build(&sac->q[i], g, parts, sac->F > 0 ? 3 : 2);
    return cn_op_minimum(g, q[0], q[1]);
}

static cn_status build_critic(cn_sac *sac, shard *sh, cn_error *err)
{
    CN_TRY(cn_graph_create(sac->critics, &sh->critic, err));
    cn_graph *g = sh->critic;
    sh->observation = cn_op_input(g, "observation", sac->I);
    sh->action = cn_op_variable(g, "action", sac->A);
    sh->returns = cn_op_input(g, "returns", 1);
    sh->features = sac->F > 0 ? cn_op_input(g, "features", sac->F) : -1;
    sh->q_min = build_twins(sac, g, sh->observation, sh->action, sh->features, sh->q);
    sh->critic_loss = cn_op_add(g, cn_op_squared_error(g, sh->q[0], sh->returns),
                                cn_op_squared_error(g, sh->q[1], sh->returns));
    CN_TRY(cn_graph_finish(g, sh->rows, CN_TRAINING, err));
    cn_graph_bind_grads(g, sh->critic_grads);
    return CN_OK;
}

static cn_status build_target(cn_sac *sac, shard *sh, cn_error *err)
{
    cn_node q[TWINS];
    CN_TRY(cn_graph_create(sac->targets, &sh->target, err));
    sh->next_observation = cn_op_input(sh->target, "observation", sac->I);
    sh->next_action = cn_op_input(sh->target, "action", sac->A);
    sh->next_features = sac->F > 0 ? cn_op_input(sh->target, "features", sac->F) : -1;
    sh->next_q =
        build_twins(sac, sh->target, sh->next_observation, sh->next_action, sh->next_features, q);
    return cn_graph_finish(sh->target, sh->rows, CN_INFERENCE, err);
}

static cn_status create_shards(cn_sac *sac, cn_error *err)
{
    const size_t actor = cn_params_count(cn_policy_params(sac->policy));
    const size_t critic = cn_params_count(sac->critics);
    sac->shards = sac->batch / SHARD_ROWS;
    sac->shards = sac->shards < 1 ? 1 : sac->shards > CN_SHARDS ? CN_SHARDS : sac->shards;
    for (int s = 0; s < sac->shards; s++) {
        shard *sh = &sac->shard[s];
        sh->first = s * sac->batch / sac->shards;
        sh->rows = (s + 1) * sac->batch / sac->shards - sh->first;
        sh->row = calloc((size_t)sh->rows, sizeof *sh->row);
        sh->actor_grads = sac->actor_grads[s] = calloc(actor, sizeof(float));
        sh->critic_grads = sac->critic_grads[s] = calloc(critic, sizeof(float));
        CN_FAIL_IF(!sh->row || !sh->actor_grads || !sh->critic_grads, CN_ERR_MEMORY, err,
                   "no memory for SAC");
        CN_TRY(build_actor(sac, sh, err));
        CN_TRY(build_frozen(sac, sh, err));
        CN_TRY(build_critic(sac, sh, err));
        CN_TRY(build_target(sac, sh, err));
    }
    return CN_OK;
}

static cn_status check_demos(const cn_replay *online, const cn_replay *demos, long batch,
                             cn_error *err)
{
    CN_FAIL_IF(
        demos && (demos->observation_size != online->observation_size ||
                  demos->action_size != online->action_size),
        CN_ERR_MISMATCH, err, "demos of %d observations and %d actions for a policy of %d and %d",
        demos->observation_size, demos->action_size, online->observation_size, online->action_size);
    CN_FAIL_IF(demos && batch % 2 != 0, CN_ERR_ARGUMENT, err,
               "batch_size is %ld, and half of a batch are demos: make it even", batch);
    CN_FAIL_IF(demos && cn_replay_count(demos) == 0, CN_ERR_ARGUMENT, err,
               "the demos hold no transitions");
    return CN_OK;
}

cn_status cn_sac_create(cn_policy *policy, int column, const cn_train_config *config,
                        const cn_replay *online, const cn_replay *demos, uint64_t seed,
                        cn_pool *pool, cn_sac **out, cn_error *err)
{
    *out = NULL;
    CN_TRY(check_demos(online, demos, config->batch_size, err));
    cn_sac *sac = calloc(1, sizeof *sac);
    CN_FAIL_IF(!sac, CN_ERR_MEMORY, err, "no memory for SAC");
    cn_status status = CN_OK;
    cn_adam adam = cn_adam_default();
    adam.epsilon = ADAM_EPSILON;
    *sac = (cn_sac){
        .policy = policy,
        .column = column,
        .config = *config,
        .online = online,
        .demos = demos,
        .pool = pool,
        .seed = seed,
        .actor_adam = adam,
        .critic_adam = adam,
        .temperature_adam = adam,
        .I = cn_policy_column_at(policy, column)->input_size,
        .A = cn_policy_spec(policy)->action_size,
        .batch = (int)config->batch_size,
    };
    sac->F = features_before(policy, column);
    CN_TRY_CLEANUP(create_critics(sac, err));
    CN_TRY_CLEANUP(create_shards(sac, err));
    cn_moments_zero(cn_policy_params(policy));
    *out = sac;
    sac = NULL;
cleanup:
    cn_sac_destroy(&sac);
    return status;
}

void cn_sac_destroy(cn_sac **sac)
{
    cn_sac *s = *sac;
    if (!s)
        return;
    for (int i = 0; i < s->shards; i++) {
        shard *sh = &s->shard[i];
        cn_graph_destroy(&sh->actor);
        cn_graph_destroy(&sh->critic);
        cn_graph_destroy(&sh->target);
        cn_graph_destroy(&sh->frozen);
        free(sh->row);
        free(sh->actor_grads);
        free(sh->critic_grads);
    }
    cn_params_destroy(&s->critics);
    cn_params_destroy(&s->targets);
    cn_params_destroy(&s->temperature);
    free(s);
    *sac = NULL;
}

/* ---- Critics ---- */

/* Rows of the batch alternate between the two buffers, so that every shard has its half. */
static void draw_rows(cn_sac *sac, shard *sh)
{
    for (int i = 0; i < sh->rows; i++) {
        const bool demo = sac->demos && (sh->first + i) % 2 == 1;
        const cn_replay *from = demo ? sac->demos : sac->online;
        sh->row[i] = cn_replay_at(from, cn_replay_draw(from, &sh->rng));
    }
}

/* Puts observations into the actor, draws noise, and evaluates: actions and log-probabilities. */
static const float *sample_actions(cn_sac *sac, shard *sh, bool next)
{
    float *noise = cn_graph_value(sh->actor, sh->noise);
    for (int i = 0; i < sh->rows; i++)
        cn_actor_observe(&sh->nodes, sac->policy, sac->column, sh->actor, i,
                         next ? sh->row[i].next : sh->row[i].observation);
    for (int i = 0; i < sh->rows * sac->A; i++)
        noise[i] = (float)cn_rng_normal(&sh->rng);
    cn_graph_forward(sh->actor, sh->rows);
    return cn_graph_value(sh->actor, sh->sample);
}

/* What the column sees of the rows that were put into the actor last: the critics see the same. */
static void copy_input(const cn_sac *sac, const shard *sh, float *to)
{
    memcpy(to, cn_graph_value(sh->actor, sh->nodes.input[sac->column]),
           (size_t)sh->rows * (size_t)sac->I * sizeof *to);
}

/* Puts what the frozen columns know of the rows' states into an input of `g`, if there are any. */
static void fill_features(const cn_sac *sac, shard *sh, bool next, cn_graph *g, cn_node input)
{
    if (sac->F == 0)
        return;
    for (int i = 0; i < sh->rows; i++)
        cn_actor_observe(&sh->frozen_nodes, sac->policy, sac->column - 1, sh->frozen, i,
                         next ? sh->row[i].next : sh->row[i].observation);
    cn_graph_forward(sh->frozen, sh->rows);
    memcpy(cn_graph_value(g, input), cn_graph_value(sh->frozen, sh->frozen_features),
           (size_t)sh->rows * (size_t)sac->F * sizeof(float));
}

/* Copies the actions of [rows, A + 1] samples into [rows, A]. */
static void copy_actions(const cn_sac *sac, const shard *sh, const float *sample, float *to)
{
    const size_t A = (size_t)sac->A;
    for (size_t i = 0; i < (size_t)sh->rows; i++)
        memcpy(to + i * A, sample + i * (A + 1), A * sizeof *to);
}

/* r + gamma (1 - terminated) (min Q'(s', a') - alpha log pi(a' | s')): eq. 3 and 5 of the paper. An
 * episode that the clock ended goes on from its final observation. */
static void compute_returns(cn_sac *sac, shard *sh, float *returns)
{
    const float *sample = sample_actions(sac, sh, true);
    copy_input(sac, sh, cn_graph_value(sh->target, sh->next_observation));
    copy_actions(sac, sh, sample, cn_graph_value(sh->target, sh->next_action));
    fill_features(sac, sh, true, sh->target, sh->next_features);
    cn_graph_forward(sh->target, sh->rows);
    const float *next_q = cn_graph_value(sh->target, sh->next_q);
    const float discount = (float)sac->config.discount, scale = (float)sac->config.reward_scale;
    for (int i = 0; i < sh->rows; i++) {
        const float log_prob = sample[i * (sac->A + 1) + sac->A];
        const float soft = next_q[i] - sac->alpha * log_prob;
        returns[i] = scale * sh->row[i].reward + (sh->row[i].terminated ? 0.0f : discount * soft);
    }
}

static void learn_critics(void *ctx, int s)
{
    cn_sac *sac = ctx;
    shard *sh = &sac->shard[s];
    const size_t A = (size_t)sac->A;
    sh->rng =
        cn_rng_make(sac->seed ^ UINT64_C(0x736163), (uint64_t)sac->updates << 8 | (uint64_t)s);
    draw_rows(sac, sh);
    compute_returns(sac, sh, cn_graph_value(sh->critic, sh->returns));
    fill_features(sac, sh, false, sh->critic, sh->features);
    float *observation = cn_graph_value(sh->critic, sh->observation);
    float *action = cn_graph_value(sh->critic, sh->action);
    for (int i = 0; i < sh->rows; i++) {
        cn_policy_input(sac->policy, sac->column, sh->row[i].observation, observation + i * sac->I);
        memcpy(action + (size_t)i * A, sh->row[i].action, A * sizeof *action);
    }
    cn_graph_forward(sh->critic, sh->rows);
    cn_grads_zero(sac->critics, sh->critic_grads);
    cn_graph_backward(sh->critic, sh->critic_loss, 1.0f / (float)sac->batch);
    sh->sums = (loss_sums){0};
    for (int i = 0; i < sh->rows; i++) {
        sh->sums.critic += (double)cn_graph_value(sh->critic, sh->critic_loss)[i] / TWINS;
        sh->sums.q += (double)cn_graph_value(sh->critic, sh->q_min)[i];
    }
}

/* to += tau (from - to) */
CN_VECTOR_LOOPS static void move_towards(float *restrict to, const float *restrict from, float tau,
                                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += tau * (from[i] - to[i]);
}

/* ---- Actor and temperature ---- */

/* Gradient of alpha log pi - min Q: through the critics to the action, then through the action to
 * the actor. The rows are those of the critics' update. */
static void learn_actor(void *ctx, int s)
{
    cn_sac *sac = ctx;
    shard *sh = &sac->shard[s];
    const int A = sac->A;
    const float *sample = sample_actions(sac, sh, false);
    copy_actions(sac, sh, sample, cn_graph_value(sh->critic, sh->action));
    cn_graph_forward(sh->critic, sh->rows);
    cn_graph_backward(sh->critic, sh->q_min, 1.0f);
    const float *slope = cn_graph_grad(sh->critic, sh->action);
    const float *q = cn_graph_value(sh->critic, sh->q_min);
    float *push = cn_graph_value(sh->actor, sh->push);
    for (int i = 0; i < sh->rows; i++) {
        for (int j = 0; j < A; j++)
            push[i * (A + 1) + j] = -slope[i * A + j];
        push[i * (A + 1) + A] = sac->alpha;
        const double log_prob = (double)sample[i * (A + 1) + A];
        sh->sums.log_prob += log_prob;
        sh->sums.actor += (double)sac->alpha * log_prob - (double)q[i];
    }
    cn_grads_zero(cn_policy_params(sac->policy), sh->actor_grads);
    cn_graph_backward(sh->actor, sh->actor_loss, 1.0f / (float)sac->batch);
}

/* d/d log_alpha of alpha (-log pi - target): eq. 18 of the paper. */
static void learn_temperature(cn_sac *sac, double log_prob)
{
    if (!sac->config.learn_temperature)
        return;
    const double target = sac->config.target_entropy * sac->A;
    cn_params_grads(sac->temperature)[0] = (float)(-(double)sac->alpha * (log_prob + target));
    cn_adam_update(&sac->temperature_adam, sac->temperature);
}

/* ---- An update ---- */

static void set_rates(cn_sac *sac, double progress)
{
    const cn_train_config *c = &sac->config;
    const double rate =
        cn_schedule_at(c->learning_rate_schedule, c->learning_rate, c->learning_rate_end, progress);
    sac->actor_adam.learning_rate = (float)rate;
    sac->critic_adam.learning_rate = sac->temperature_adam.learning_rate =
        (float)(c->critic_learning_rate * rate / c->learning_rate);
}

static void update_actor(cn_sac *sac)
{
    double log_prob = 0.0;
    cn_params_freeze(sac->critics, "", true); /* they pass the gradient on and take none */
    cn_pool_run(sac->pool, sac->shards, learn_actor, sac);
    cn_params_freeze(sac->critics, "", false);
    cn_grads_reduce(cn_policy_params(sac->policy), sac->actor_grads, sac->shards);
    cn_adam_update(&sac->actor_adam, cn_policy_params(sac->policy));
    for (int s = 0; s < sac->shards; s++) {
        log_prob += sac->shard[s].sums.log_prob / sac->batch;
        sac->sums.actor += sac->shard[s].sums.actor / sac->batch;
    }
    sac->sums.log_prob += log_prob;
    sac->actor_updates++;
    learn_temperature(sac, log_prob);
}

void cn_sac_update(cn_sac *sac, bool with_actor, double progress)
{
    set_rates(sac, progress);
    sac->alpha = expf(cn_params_values(sac->temperature)[0]);
    cn_pool_run(sac->pool, sac->shards, learn_critics, sac);
    cn_grads_reduce(sac->critics, sac->critic_grads, sac->shards);
    cn_adam_update(&sac->critic_adam, sac->critics);
    for (int s = 0; s < sac->shards; s++) {
        sac->sums.critic += sac->shard[s].sums.critic / sac->batch;
        sac->sums.q += sac->shard[s].sums.q / sac->batch;
    }
    sac->critic_updates++;
    sac->updates++;
    if (with_actor && sac->updates % sac->config.actor_every == 0)
        update_actor(sac);
    move_towards(cn_params_values(sac->targets), cn_params_values(sac->critics),
                 (float)sac->config.tau, cn_params_count(sac->critics));
}

cn_status cn_sac_stats_of(cn_sac *sac, cn_sac_stats *stats, cn_error *err)
{
    const double critic = (double)sac->critic_updates, actor = (double)sac->actor_updates;
    *stats = (cn_sac_stats){
        .critic_loss = critic > 0.0 ? sac->sums.critic / critic : NAN,
        .q = critic > 0.0 ? sac->sums.q / critic : NAN,
        .actor_loss = actor > 0.0 ? sac->sums.actor / actor : NAN,
        .entropy = actor > 0.0 ? -sac->sums.log_prob / actor : NAN,
        .temperature = exp((double)cn_params_values(sac->temperature)[0]),
    };
    CN_FAIL_IF(!isfinite(sac->sums.critic) || !isfinite(sac->sums.actor), CN_ERR_LEARNING, err,
               "the loss is not finite any more (critics %g, actor %g): lower learning_rate or "
               "critic_learning_rate, or look at the task's reward",
               stats->critic_loss, stats->actor_loss);
    sac->sums = (loss_sums){0};
    sac->critic_updates = sac->actor_updates = 0;
    return CN_OK;
}

/* ---- Stopping and going on ---- */

enum { UPDATES, ACTOR_STEP, CRITIC_STEP, TEMPERATURE_STEP };

int cn_sac_state(cn_sac *sac, cn_tensor_view *out)
{
    cn_params *policy = cn_policy_params(sac->policy), *critics = sac->critics;
    const int64_t n = (int64_t)cn_params_count(policy), q = (int64_t)cn_params_count(critics);
    const cn_tensor_view all[CN_SAC_TENSORS] = {
        cn_tensor_matrix("trainer/moment1", CN_F32, 1, n, cn_params_moment1(policy)),
        cn_tensor_matrix("trainer/moment2", CN_F32, 1, n, cn_params_moment2(policy)),
        cn_tensor_matrix("trainer/critics", CN_F32, 1, q, cn_params_values(critics)),
        cn_tensor_matrix("trainer/critics_moment1", CN_F32, 1, q, cn_params_moment1(critics)),
        cn_tensor_matrix("trainer/critics_moment2", CN_F32, 1, q, cn_params_moment2(critics)),
        cn_tensor_matrix("trainer/targets", CN_F32, 1, q, cn_params_values(sac->targets)),
        cn_tensor_matrix("trainer/updates", CN_I64, 1, 4, sac->counts),
        cn_tensor_matrix("trainer/temperature", CN_F64, 1, 3, sac->log_alpha),
    };
    memcpy(out, all, sizeof all);
    return CN_SAC_TENSORS;
}

void cn_sac_pack(cn_sac *sac)
{
    sac->counts[UPDATES] = sac->updates;
    sac->counts[ACTOR_STEP] = sac->actor_adam.step;
    sac->counts[CRITIC_STEP] = sac->critic_adam.step;
    sac->counts[TEMPERATURE_STEP] = sac->temperature_adam.step;
    sac->log_alpha[0] = (double)cn_params_values(sac->temperature)[0];
    sac->log_alpha[1] = (double)cn_params_moment1(sac->temperature)[0];
    sac->log_alpha[2] = (double)cn_params_moment2(sac->temperature)[0];
}

void cn_sac_unpack(cn_sac *sac)
{
    sac->updates = sac->counts[UPDATES];
    sac->actor_adam.step = sac->counts[ACTOR_STEP];
    sac->critic_adam.step = sac->counts[CRITIC_STEP];
    sac->temperature_adam.step = sac->counts[TEMPERATURE_STEP];
    cn_params_values(sac->temperature)[0] = (float)sac->log_alpha[0];
    cn_params_moment1(sac->temperature)[0] = (float)sac->log_alpha[1];
    cn_params_moment2(sac->temperature)[0] = (float)sac->log_alpha[2];
}
