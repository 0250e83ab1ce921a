/* PPO.
 *
 * Legend: N environments of T steps, M rows a minibatch, S shards of it, A actions. */
#include "policy/ppo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/exchange.h"

#define REWARD_CLIP       10.0 /* of scaled rewards */
#define ADVANTAGE_EPSILON 1e-8
#define RATE_FACTOR       1.5 /* kl_target's */
#define RATE_LOW          1e-5
#define RATE_HIGH         1e-2
#define CHECK_EVERY       100 /* updates: ranks compare their parameters */
#define TARGETS           4   /* old log-prob, advantage, return, old value */

/* Sums or means over the rows of a minibatch. */
typedef struct loss_sums {
    double loss, entropy, kl, clipped, value_error;
} loss_sums;

typedef struct shard {
    cn_graph *graph;
    cn_node input, features, action, targets, head, value, loss;
    float *grads;    /* [params] */
    int first, rows; /* of the minibatch */
    loss_sums sums;
} shard;

struct cn_ppo {
    cn_policy *policy;
    int column;
    cn_train_config config;
    cn_pool *pool;
    cn_rng rng; /* order of the rows */
    cn_adam adam;
    int envs;      /* N */
    int rows;      /* N T */
    int minibatch; /* M */
    bool fits;     /* the column's normaliser takes in what it sees */
    int shards;
    shard shard[CN_SHARDS];
    float **grads;     /* [shards] */
    int *order;        /* [N T] */
    float *advantage;  /* [N T] */
    float *returns;    /* [N T] */
    float *discounted; /* [N] running discounted return of each environment, for the reward scale */
    float *discounted_step; /* [T] one environment's */
    float *raw_input;       /* [I] */
    cn_normalizer reward_stats;
    const cn_rollout *rollout; /* of the update under way */
    const int *batch;          /* rows of the minibatch under way */
    double advantage_mean, advantage_scale;
    cn_exchange *exchange;            /* NULL: alone */
    cn_normalizer seen, seen_returns; /* with other ranks: of this rank's rollout */
};

/* ---- Creation ---- */

static cn_ppo_loss loss_settings(const cn_train_config *config, double entropy_weight)
{
    return (cn_ppo_loss){
        .clip = (float)config->clip,
        .value_clip = (float)config->value_clip,
        .value_weight = (float)config->value_weight,
        .entropy_weight = (float)entropy_weight,
    };
}

static void build_graph(cn_ppo *ppo, shard *sh, const cn_rollout *r)
{
    cn_policy *p = ppo->policy;
    cn_graph *g = sh->graph;
    const int k = ppo->column;
    cn_node inputs[CN_MAX_COLUMNS];
    for (int j = 0; j < k; j++)
        inputs[j] = -1; /* frozen: their hidden layers come as features */
    inputs[k] = sh->input = cn_op_input(g, "observation", r->I);
    cn_node actor_features = -1, critic_features = -1;
    if (r->F > 0) {
        const int split = cn_net_features(cn_policy_actor(p), k);
        sh->features = cn_op_input(g, "features", r->F);
        actor_features = cn_op_slice(g, sh->features, 0, split);
        critic_features = cn_op_slice(g, sh->features, split, r->F - split);
    }
    sh->action = cn_op_input(g, "action", r->A);
    sh->targets = cn_op_input(g, "targets", TARGETS);
    const cn_node mean = cn_net_build(cn_policy_actor(p), g, inputs, k, actor_features, NULL);
    sh->value = cn_net_build(cn_policy_critic(p), g, inputs, k, critic_features, NULL);
    sh->head = cn_op_gaussian(g, mean, cn_policy_log_std(p, k), sh->action);
    const cn_ppo_loss loss = loss_settings(&ppo->config, ppo->config.entropy_weight);
    sh->loss = cn_op_ppo_loss(g, sh->head, sh->value, sh->targets, &loss);
}

/* Few small shards, so that two or four threads have work, and more of them only where each is a
 * product worth its packing. */
static int shards_of(int rows)
{
    const int few = rows / 32 < 4 ? rows / 32 : 4;
    const int many = rows / 128 < CN_SHARDS ? rows / 128 : CN_SHARDS;
    const int shards = many > few ? many : few;
    return shards > 1 ? shards : 1;
}

static cn_status create_shards(cn_ppo *ppo, const cn_rollout *r, cn_error *err)
{
    const size_t params = cn_params_count(cn_policy_params(ppo->policy));
    ppo->shards = shards_of(ppo->minibatch);
    ppo->grads = calloc((size_t)ppo->shards, sizeof *ppo->grads);
    CN_FAIL_IF(!ppo->grads, CN_ERR_MEMORY, err, "no memory for PPO");
    for (int s = 0; s < ppo->shards; s++) {
        shard *sh = &ppo->shard[s];
        sh->first = s * ppo->minibatch / ppo->shards;
        sh->rows = (s + 1) * ppo->minibatch / ppo->shards - sh->first;
        sh->grads = ppo->grads[s] = calloc(params, sizeof(float));
        CN_FAIL_IF(!sh->grads, CN_ERR_MEMORY, err, "no memory for %zu gradients", params);
        CN_TRY(cn_graph_create(cn_policy_params(ppo->policy), &sh->graph, err));
        build_graph(ppo, sh, r);
        CN_TRY(cn_graph_finish(sh->graph, sh->rows, CN_TRAINING, err));
        cn_graph_bind_grads(sh->graph, sh->grads);
    }
    return CN_OK;
}

/* Whether a learning rate can follow the KL with these settings. */
static cn_status check_kl_target(const cn_train_config *config, cn_error *err)
{
    if (config->kl_target == 0.0)
        return CN_OK;
    CN_FAIL_IF(config->epochs * config->minibatches == 1, CN_ERR_ARGUMENT, err,
               "kl_target is %g, but with epochs 1 and minibatches 1 no step of an update sees a "
               "KL: raise either, or set kl_target to 0",
               config->kl_target);
    CN_FAIL_IF(config->learning_rate < RATE_LOW || config->learning_rate > RATE_HIGH,
               CN_ERR_ARGUMENT, err,
               "kl_target is %g, and keeps the learning rate within %g to %g, but learning_rate is "
               "%g: begin inside, or set kl_target to 0",
               config->kl_target, RATE_LOW, RATE_HIGH, config->learning_rate);
    return CN_OK;
}

static cn_status check_settings(const cn_train_config *config, long rows, cn_error *err)
{
    CN_FAIL_IF(config->minibatches > rows, CN_ERR_ARGUMENT, err,
               "%ld minibatches of %ld rows; envs x rollout_steps must be at least minibatches",
               config->minibatches, rows);
    return check_kl_target(config, err);
}

cn_status cn_ppo_check_settings(const cn_train_config *config, cn_error *err)
{
    return check_settings(config, config->envs * config->rollout_steps, err);
}

cn_status cn_ppo_create(cn_policy *policy, int column, const cn_train_config *config,
                        const cn_rollout *r, uint64_t seed, cn_pool *pool, cn_ppo **out,
                        cn_error *err)
{
    *out = NULL;
    const int rows = r->N * r->T;
    CN_TRY(check_settings(config, rows, err));
    cn_ppo *ppo = calloc(1, sizeof *ppo);
    CN_FAIL_IF(!ppo, CN_ERR_MEMORY, err, "no memory for PPO");
    cn_status status = CN_OK;
    *ppo = (cn_ppo){
        .policy = policy,
        .column = column,
        .config = *config,
        .pool = pool,
        .rng = cn_rng_make(seed, UINT64_C(0x70706f) << 32),
        .adam = cn_adam_default(),
        .envs = r->N,
        .rows = rows,
        .minibatch = rows / (int)config->minibatches,
        .fits = config->normalize_observation && !cn_policy_unscaled(policy, column),
    };
    ppo->order = calloc((size_t)rows, sizeof *ppo->order);
    ppo->advantage = calloc((size_t)rows, sizeof *ppo->advantage);
    ppo->returns = calloc((size_t)rows, sizeof *ppo->returns);
    ppo->discounted = calloc((size_t)r->N, sizeof *ppo->discounted);
    ppo->discounted_step = calloc((size_t)r->T, sizeof *ppo->discounted_step);
    ppo->raw_input = calloc((size_t)r->I, sizeof *ppo->raw_input);
    if (!ppo->order || !ppo->advantage || !ppo->returns || !ppo->discounted ||
        !ppo->discounted_step || !ppo->raw_input)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for %d rows", rows);
    ppo->adam.learning_rate = (float)config->learning_rate;
    CN_TRY_CLEANUP(cn_normalizer_create(1, &ppo->reward_stats, err));
    CN_TRY_CLEANUP(create_shards(ppo, r, err));
    cn_moments_zero(cn_policy_params(policy));
    *out = ppo;
    ppo = NULL;
cleanup:
    cn_ppo_destroy(&ppo);
    return status;
}

void cn_ppo_destroy(cn_ppo **ppo)
{
    cn_ppo *p = *ppo;
    if (!p)
        return;
    for (int s = 0; s < p->shards; s++) {
        cn_graph_destroy(&p->shard[s].graph);
        free(p->shard[s].grads);
    }
    free(p->grads);
    free(p->order);
    free(p->advantage);
    free(p->returns);
    free(p->discounted);
    free(p->discounted_step);
    free(p->raw_input);
    cn_normalizer_destroy(&p->reward_stats);
    cn_normalizer_destroy(&p->seen);
    cn_normalizer_destroy(&p->seen_returns);
    cn_exchange_destroy(&p->exchange);
    free(p);
    *ppo = NULL;
}

cn_status cn_ppo_join(cn_ppo *ppo, cn_peers *peers, cn_error *err)
{
    if (cn_peers_size(peers) == 1)
        return CN_OK;
    const int inputs = cn_policy_normalizer(ppo->policy, ppo->column)->size;
    CN_TRY(cn_normalizer_create(inputs, &ppo->seen, err));
    CN_TRY(cn_normalizer_create(1, &ppo->seen_returns, err));
    return cn_exchange_create(peers, cn_policy_params(ppo->policy), inputs, &ppo->exchange, err);
}

cn_status cn_ppo_check(cn_ppo *ppo, cn_error *err)
{
    return ppo->exchange ? cn_exchange_check(ppo->exchange, ppo->adam.step, err) : CN_OK;
}

/* ---- Stopping and going on ---- */

cn_ppo_state cn_ppo_state_of(const cn_ppo *ppo)
{
    return (cn_ppo_state){
        .rng = ppo->rng,
        .adam_step = ppo->adam.step,
        .learning_rate = ppo->adam.learning_rate,
        .reward_count = ppo->reward_stats.count,
        .reward_mean = ppo->reward_stats.mean[0],
        .reward_square = ppo->reward_stats.square[0],
    };
}

void cn_ppo_restore(cn_ppo *ppo, const cn_ppo_state *state)
{
    ppo->rng = state->rng;
    ppo->adam.step = state->adam_step;
    ppo->adam.learning_rate = state->learning_rate;
    ppo->reward_stats.count = state->reward_count;
    ppo->reward_stats.mean[0] = state->reward_mean;
    ppo->reward_stats.square[0] = state->reward_square;
    cn_normalizer_refresh(&ppo->reward_stats);
}

void cn_ppo_restart(cn_ppo *ppo)
{
    memset(ppo->discounted, 0, (size_t)ppo->envs * sizeof *ppo->discounted);
}

/* ---- Advantages ---- */

/* Lets NaN pass, as fmin and fmax would not: a broken reward must show in the loss. */
static double clip(double x, double limit)
{
    return x > limit ? limit : (x < -limit ? -limit : x);
}

void cn_gae(const float *reward, const float *value, const float *bootstrap,
            const unsigned char *end, float last_value, int T, double scale, double limit,
            double discount, double lambda, float *advantage, float *returns)
{
    double running = 0.0;
    for (int t = T - 1; t >= 0; t--) {
        double next = t == T - 1 ? (double)last_value : (double)value[t + 1];
        if (end[t]) {
            next = end[t] == CN_END_TRUNCATED ? (double)bootstrap[t] : 0.0;
            running = 0.0;
        }
        const double r = clip((double)reward[t] * scale, limit);
        const double delta = r + discount * next - (double)value[t];
        running = delta + discount * lambda * running;
        advantage[t] = (float)running;
        returns[t] = (float)(running + (double)value[t]);
    }
}

/* Takes the rollout's discounted returns into the running variance. @param scale  1 / their std */
static cn_status update_reward_scale(cn_ppo *ppo, const cn_rollout *r, double *scale, cn_error *err)
{
    cn_normalizer *stats = ppo->exchange ? &ppo->seen_returns : &ppo->reward_stats;
    *scale = 1.0;
    if (!ppo->config.normalize_reward)
        return CN_OK;
    for (int n = 0; n < r->N; n++) {
        const float *reward = r->reward + (size_t)n * (size_t)r->T;
        const unsigned char *end = r->end + (size_t)n * (size_t)r->T;
        for (int t = 0; t < r->T; t++) {
            ppo->discounted[n] =
                (float)(ppo->config.discount * (double)ppo->discounted[n]) + reward[t];
            ppo->discounted_step[t] = ppo->discounted[n];
            if (end[t])
                ppo->discounted[n] = 0.0f;
        }
        cn_normalizer_update(stats, ppo->discounted_step, r->T, 1);
    }
    if (ppo->exchange)
        CN_TRY(cn_exchange_moments(ppo->exchange, stats, &ppo->reward_stats, err));
    cn_normalizer_refresh(&ppo->reward_stats);
    *scale = (double)ppo->reward_stats.scale[0];
    return CN_OK;
}

static void compute_advantages(cn_ppo *ppo, const cn_rollout *r, double scale)
{
    const double limit = ppo->config.normalize_reward ? REWARD_CLIP : INFINITY;
    for (int n = 0; n < r->N; n++) {
        const size_t at = (size_t)n * (size_t)r->T;
        cn_gae(r->reward + at, r->value + at, r->bootstrap + at, r->end + at, r->last_value[n],
               r->T, scale, limit, ppo->config.discount, ppo->config.gae_lambda,
               ppo->advantage + at, ppo->returns + at);
    }
}

/* Mean and 1 / std of the advantages of the minibatch. */
static void measure_advantages(cn_ppo *ppo)
{
    ppo->advantage_mean = 0.0;
    ppo->advantage_scale = 1.0;
    if (!ppo->config.normalize_advantage || ppo->minibatch < 2)
        return;
    double sum = 0.0, square = 0.0;
    for (int i = 0; i < ppo->minibatch; i++)
        sum += (double)ppo->advantage[ppo->batch[i]];
    ppo->advantage_mean = sum / ppo->minibatch;
    for (int i = 0; i < ppo->minibatch; i++) {
        const double d = (double)ppo->advantage[ppo->batch[i]] - ppo->advantage_mean;
        square += d * d;
    }
    ppo->advantage_scale = 1.0 / (sqrt(square / (ppo->minibatch - 1)) + ADVANTAGE_EPSILON);
}

/* ---- Updates ---- */

static void gather(const cn_ppo *ppo, shard *sh)
{
    const cn_rollout *r = ppo->rollout;
    float *input = cn_graph_value(sh->graph, sh->input);
    float *features = r->F ? cn_graph_value(sh->graph, sh->features) : NULL;
    float *action = cn_graph_value(sh->graph, sh->action);
    float *targets = cn_graph_value(sh->graph, sh->targets);
    const size_t I = (size_t)r->I, F = (size_t)r->F, A = (size_t)r->A;
    for (int i = 0; i < sh->rows; i++) {
        const size_t row = (size_t)ppo->batch[sh->first + i];
        memcpy(input + (size_t)i * I, r->input + row * I, I * sizeof(float));
        memcpy(action + (size_t)i * A, r->action + row * A, A * sizeof(float));
        if (features)
            memcpy(features + (size_t)i * F, r->features + row * F, F * sizeof(float));
        targets[i * TARGETS + 0] = r->log_prob[row];
        targets[i * TARGETS + 1] =
            (float)(((double)ppo->advantage[row] - ppo->advantage_mean) * ppo->advantage_scale);
        targets[i * TARGETS + 2] = ppo->returns[row];
        targets[i * TARGETS + 3] = r->value[row];
    }
}

static void measure(const cn_ppo *ppo, shard *sh)
{
    const float *head = cn_graph_value(sh->graph, sh->head);
    const float *value = cn_graph_value(sh->graph, sh->value);
    const float *loss = cn_graph_value(sh->graph, sh->loss);
    const float *targets = cn_graph_value(sh->graph, sh->targets);
    sh->sums = (loss_sums){0};
    for (int i = 0; i < sh->rows; i++) {
        const double log_ratio = (double)head[2 * i] - (double)targets[i * TARGETS];
        const double ratio = exp(log_ratio);
        const double error = (double)value[i] - (double)targets[i * TARGETS + 2];
        sh->sums.loss += (double)loss[i];
        sh->sums.entropy += (double)head[2 * i + 1];
        sh->sums.kl += ratio - 1.0 - log_ratio;
        sh->sums.clipped += fabs(ratio - 1.0) > ppo->config.clip;
        sh->sums.value_error += error * error;
    }
}

static void learn_shard(void *ctx, int s)
{
    cn_ppo *ppo = ctx;
    shard *sh = &ppo->shard[s];
    gather(ppo, sh);
    cn_graph_forward(sh->graph, sh->rows);
    measure(ppo, sh);
    cn_grads_zero(cn_policy_params(ppo->policy), sh->grads);
    cn_graph_backward(sh->graph, sh->loss, 1.0f / (float)ppo->minibatch);
}

static loss_sums means_of_minibatch(const cn_ppo *ppo)
{
    const double rows = ppo->minibatch;
    loss_sums means = {0};
    for (int s = 0; s < ppo->shards; s++) {
        const loss_sums *sums = &ppo->shard[s].sums;
        means.loss += sums->loss / rows;
        means.entropy += sums->entropy / rows;
        means.kl += sums->kl / rows;
        means.clipped += sums->clipped / rows;
        means.value_error += sums->value_error / rows;
    }
    return means;
}

/* Gradients and means become those of all ranks' minibatches. */
static cn_status exchange_means(cn_ppo *ppo, loss_sums *m, cn_error *err)
{
    double numbers[] = {m->loss, m->entropy, m->kl, m->clipped, m->value_error};
    CN_TRY(cn_exchange_means(ppo->exchange, numbers, 5, err));
    *m = (loss_sums){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
    return CN_OK;
}

/* One Adam step on ppo->batch; adds its means to stats. Whatever is decided by these means is
 * decided alike on all ranks. */
static cn_status learn_minibatch(cn_ppo *ppo, cn_ppo_stats *stats, cn_error *err)
{
    cn_params *params = cn_policy_params(ppo->policy);
    measure_advantages(ppo);
    cn_pool_run(ppo->pool, ppo->shards, learn_shard, ppo);
    cn_grads_reduce(params, ppo->grads, ppo->shards);
    loss_sums means = means_of_minibatch(ppo);
    if (ppo->exchange)
        CN_TRY(exchange_means(ppo, &means, err));
    stats->grad_norm += cn_grads_clip(params, ppo->config.max_grad_norm);
    cn_adam_update(&ppo->adam, params);
    stats->loss += means.loss;
    stats->entropy += means.entropy;
    stats->kl += means.kl;
    stats->clip_fraction += means.clipped;
    stats->value_error += means.value_error;
    return ppo->adam.step % CHECK_EVERY == 0 ? cn_ppo_check(ppo, err) : CN_OK;
}

/* What the normaliser learns is what the column sees, before normalisation. */
static cn_status update_normalizer(cn_ppo *ppo, const cn_rollout *r, cn_error *err)
{
    if (!ppo->fits)
        return CN_OK;
    cn_normalizer *all = cn_policy_normalizer(ppo->policy, ppo->column);
    cn_normalizer *n = ppo->exchange ? &ppo->seen : all;
    for (int row = 0; row < ppo->rows; row++) {
        cn_policy_gather(ppo->policy, ppo->column, r->observation + (size_t)row * (size_t)r->O,
                         ppo->raw_input);
        cn_normalizer_update(n, ppo->raw_input, 1, r->I);
    }
    if (ppo->exchange)
        CN_TRY(cn_exchange_moments(ppo->exchange, n, all, err));
    cn_normalizer_refresh(all);
    return CN_OK;
}

static void apply_schedules(cn_ppo *ppo, double progress, cn_ppo_stats *stats)
{
    const cn_train_config *c = &ppo->config;
    if (c->kl_target == 0.0)
        ppo->adam.learning_rate = (float)cn_schedule_at(c->learning_rate_schedule, c->learning_rate,
                                                        c->learning_rate_end, progress);
    stats->learning_rate = (double)ppo->adam.learning_rate;
    stats->entropy_weight = cn_schedule_at(c->learning_rate_schedule, c->entropy_weight,
                                           c->entropy_weight_end, progress);
    const cn_ppo_loss loss = loss_settings(c, stats->entropy_weight);
    for (int s = 0; s < ppo->shards; s++)
        cn_graph_set_ppo_loss(ppo->shard[s].graph, ppo->shard[s].loss, &loss);
}

/* One pass over the rows in a new order. */
static cn_status learn_epoch(cn_ppo *ppo, cn_ppo_stats *stats, cn_error *err)
{
    const double before = stats->kl;
    cn_rng_shuffle(&ppo->rng, ppo->order, ppo->rows);
    for (int m = 0; m < ppo->config.minibatches; m++) {
        ppo->batch = ppo->order + m * ppo->minibatch;
        CN_TRY(learn_minibatch(ppo, stats, err));
    }
    stats->kl_last = (stats->kl - before) / (double)ppo->config.minibatches;
    stats->epochs++;
    return CN_OK;
}

/* The next update's learning rate, by how far this one went. */
static void follow_kl(cn_ppo *ppo, double kl)
{
    const double target = ppo->config.kl_target, rate = (double)ppo->adam.learning_rate;
    if (target == 0.0)
        return;
    if (kl > 2.0 * target)
        ppo->adam.learning_rate = (float)fmax(rate / RATE_FACTOR, RATE_LOW);
    else if (kl > 0.0 && kl < 0.5 * target) /* 0: it did not move at all */
        ppo->adam.learning_rate = (float)fmin(rate * RATE_FACTOR, RATE_HIGH);
}

cn_status cn_ppo_update(cn_ppo *ppo, const cn_rollout *r, double progress, cn_ppo_stats *stats,
                        cn_error *err)
{
    *stats = (cn_ppo_stats){.exchange = NAN};
    CN_TRY(update_reward_scale(ppo, r, &stats->reward_scale, err));
    compute_advantages(ppo, r, stats->reward_scale);
    ppo->rollout = r;
    apply_schedules(ppo, progress, stats);
    for (int i = 0; i < ppo->rows; i++)
        ppo->order[i] = i;
    const double kl_stop = ppo->config.kl_stop > 0.0 ? ppo->config.kl_stop : INFINITY;
    do
        CN_TRY(learn_epoch(ppo, stats, err));
    while (stats->epochs < ppo->config.epochs && stats->kl_last <= kl_stop);
    follow_kl(ppo, stats->kl_last);
    const double updates = (double)(stats->epochs * ppo->config.minibatches);
    double *const means[] = {&stats->loss,          &stats->entropy,     &stats->kl,
                             &stats->clip_fraction, &stats->value_error, &stats->grad_norm};
    for (size_t i = 0; i < sizeof means / sizeof means[0]; i++)
        *means[i] /= updates;
    if (ppo->exchange)
        stats->exchange = cn_exchange_seconds(ppo->exchange) / updates;
    CN_TRY(update_normalizer(ppo, r, err));
    CN_FAIL_IF(
        !isfinite(stats->loss) || !isfinite(stats->grad_norm), CN_ERR_LEARNING, err,
        "the loss is not finite any more (loss %g, gradient norm %g): lower learning_rate, or "
        "look at the task's reward",
        stats->loss, stats->grad_norm);
    return CN_OK;
}
