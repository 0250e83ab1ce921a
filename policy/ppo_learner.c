/* PPO as a learner: a collector, PPO, and how both are saved. */
#include "policy/ppo_learner.h"

#include <stdlib.h>

#include "base/clock.h"
#include "policy/ppo.h"

enum { REWARD_COUNT, REWARD_MEAN, REWARD_SQUARE, REWARD_NUMBERS };

typedef struct ppo_learner {
    cn_learner learner; /* first: a cn_learner * is a ppo_learner * */
    cn_policy *policy;
    cn_pool *pool;
    cn_peers *peers; /* R ranks of N environments */
    cn_collector *collector;
    cn_ppo *ppo;
    cn_ppo_stats stats;        /* of the last update */
    cn_episode_totals *totals; /* [R] of the last iteration */
    /* What a checkpoint holds of it, beside Adam's moments. */
    uint64_t *rng; /* [R, CN_RNG_WORDS] */
    int64_t adam_step;
    float learning_rate;
    double reward[REWARD_NUMBERS];
    uint64_t *env_rng;      /* [R, N, CN_RNG_WORDS] */
    uint64_t *env_episodes; /* [R, N] */
} ppo_learner;

/* @param collecting, updating  s */
static void split_time(const ppo_learner *l, double collecting, double updating,
                       cn_learner_step *step)
{
    const cn_collector_time spent = cn_collector_time_of(l->collector);
    const double threads = (double)cn_pool_threads(l->pool);
    const double all = (collecting + updating) * threads;
    step->environments = spent.environments / all;
    step->inference = spent.inference / all;
    step->update = updating * threads / all; /* all threads are the update's while it runs */
    step->idle = 1.0 - step->environments - step->inference - step->update;
}

/* What the other ranks did in the same time is part of the step. */
static cn_status add_ranks(ppo_learner *l, cn_learner_step *step, cn_error *err)
{
    const int ranks = cn_peers_size(l->peers);
    if (ranks == 1)
        return CN_OK;
    CN_TRY(l->peers->gather(l->peers, &step->episodes, sizeof step->episodes, l->totals, err));
    step->steps *= ranks;
    step->episodes = (cn_episode_totals){0};
    for (int r = 0; r < ranks; r++)
        cn_episode_totals_add(&step->episodes, &l->totals[r]);
    return CN_OK;
}

static cn_status iterate(cn_learner *learner, double progress, cn_learner_step *step, cn_error *err)
{
    ppo_learner *l = (ppo_learner *)learner;
    const cn_rollout *rollout = cn_collector_rollout(l->collector);
    *step = (cn_learner_step){0};
    const int64_t began = cn_clock_now();
    const cn_status collecting = cn_collector_run(l->collector, &step->episodes, err);
    CN_TRY(cn_peers_agree(l->peers, collecting, err));
    const int64_t collected = cn_clock_now();
    step->steps = (int64_t)rollout->N * rollout->T;
    CN_TRY(cn_ppo_update(l->ppo, rollout, progress, &l->stats, err));
    const int64_t updated = cn_clock_now();
    split_time(l, (double)(collected - began) / (double)CN_NS_PER_S,
               (double)(updated - collected) / (double)CN_NS_PER_S, step);
    return add_ranks(l, step, err);
}

static int metrics(const cn_learner *learner, cn_metric *out)
{
    const ppo_learner *l = (const ppo_learner *)learner;
    const cn_ppo_stats *s = &l->stats;
    const cn_metric all[] = {
        {"ppo/kl", s->kl},
        {"ppo/clip_fraction", s->clip_fraction},
        {"ppo/entropy", s->entropy},
        {"ppo/learning_rate", s->learning_rate},
        {"ppo/value_error", s->value_error},
        {"ppo/loss", s->loss},
        {"ppo/grad_norm", s->grad_norm},
        {"ppo/kl_last_epoch", s->kl_last},
        {"ppo/epochs", s->epochs},
        {"ppo/entropy_weight", s->entropy_weight},
        {"ppo/exchange_s", s->exchange}, /* the last: of several ranks only */
    };
    const int count = (int)(sizeof all / sizeof all[0]) - (cn_peers_size(l->peers) == 1);
    for (int i = 0; i < count; i++)
        out[i] = all[i];
    return count;
}

/* ---- Stopping and going on ---- */

static int state(cn_learner *learner, cn_tensor_view *out)
{
    ppo_learner *l = (ppo_learner *)learner;
    cn_params *params = cn_policy_params(l->policy);
    const int64_t ranks = cn_peers_size(l->peers);
    const int64_t n = (int64_t)cn_params_count(params);
    const int64_t envs = cn_collector_rollout(l->collector)->N;
    int i = 0;
    out[i++] = cn_tensor_matrix("trainer/moment1", CN_F32, 1, n, cn_params_moment1(params));
    out[i++] = cn_tensor_matrix("trainer/moment2", CN_F32, 1, n, cn_params_moment2(params));
    out[i++] = cn_tensor_matrix("trainer/rng", CN_U64, ranks, CN_RNG_WORDS, l->rng);
    out[i++] = cn_tensor_matrix("trainer/adam_step", CN_I64, 1, 1, &l->adam_step);
    out[i++] = cn_tensor_matrix("trainer/learning_rate", CN_F32, 1, 1, &l->learning_rate);
    out[i++] = cn_tensor_matrix("trainer/reward", CN_F64, 1, REWARD_NUMBERS, l->reward);
    out[i++] = cn_tensor_matrix("trainer/env_rng", CN_U64, ranks * envs, CN_RNG_WORDS, l->env_rng);
    out[i++] = cn_tensor_matrix("trainer/env_episodes", CN_U64, ranks, envs, l->env_episodes);
    return i;
}

/* This rank's place in a block of every rank's. */
static uint64_t *own(const ppo_learner *l, uint64_t *block, size_t count)
{
    return block + (size_t)cn_peers_rank(l->peers) * count;
}

static cn_status gather(const ppo_learner *l, uint64_t *block, size_t count, cn_error *err)
{
    if (cn_peers_size(l->peers) == 1)
        return CN_OK;
    return l->peers->gather(l->peers, own(l, block, count), count * sizeof *block, block, err);
}

static cn_status pack(cn_learner *learner, cn_error *err)
{
    ppo_learner *l = (ppo_learner *)learner;
    const size_t N = (size_t)cn_collector_rollout(l->collector)->N;
    uint64_t *rng = own(l, l->env_rng, N * CN_RNG_WORDS), *episodes = own(l, l->env_episodes, N);
    CN_TRY(cn_ppo_check(l->ppo, err)); /* before a checkpoint says otherwise */
    cn_ppo_restart(l->ppo);
    const cn_ppo_state s = cn_ppo_state_of(l->ppo);
    cn_rng_pack(&s.rng, own(l, l->rng, CN_RNG_WORDS));
    l->adam_step = s.adam_step;
    l->learning_rate = s.learning_rate;
    l->reward[REWARD_COUNT] = s.reward_count;
    l->reward[REWARD_MEAN] = s.reward_mean;
    l->reward[REWARD_SQUARE] = s.reward_square;
    cn_collector_pack(l->collector, rng, episodes);
    CN_TRY(gather(l, l->rng, CN_RNG_WORDS, err));
    CN_TRY(gather(l, l->env_rng, N * CN_RNG_WORDS, err));
    return gather(l, l->env_episodes, N, err);
}

static cn_status unpack(cn_learner *learner, cn_error *err)
{
    ppo_learner *l = (ppo_learner *)learner;
    (void)err;
    const size_t N = (size_t)cn_collector_rollout(l->collector)->N;
    const uint64_t *rng = own(l, l->env_rng, N * CN_RNG_WORDS);
    const uint64_t *episodes = own(l, l->env_episodes, N);
    const cn_ppo_state s = {
        .rng = cn_rng_unpack(own(l, l->rng, CN_RNG_WORDS)),
        .adam_step = l->adam_step,
        .learning_rate = l->learning_rate,
        .reward_count = l->reward[REWARD_COUNT],
        .reward_mean = l->reward[REWARD_MEAN],
        .reward_square = l->reward[REWARD_SQUARE],
    };
    cn_ppo_restore(l->ppo, &s);
    cn_collector_unpack(l->collector, rng, episodes);
    return CN_OK;
}

/* ---- Creation ---- */

static void destroy(cn_learner *learner)
{
    ppo_learner *l = (ppo_learner *)learner;
    cn_ppo_destroy(&l->ppo);
    cn_collector_destroy(&l->collector);
    free(l->totals);
    free(l->rng);
    free(l->env_rng);
    free(l->env_episodes);
    free(l);
}

static cn_status allocate_state(ppo_learner *l, size_t envs, cn_error *err)
{
    const size_t ranks = (size_t)cn_peers_size(l->peers);
    l->totals = calloc(ranks, sizeof *l->totals);
    l->rng = calloc(ranks * CN_RNG_WORDS, sizeof *l->rng);
    l->env_rng = calloc(ranks * envs * CN_RNG_WORDS, sizeof *l->env_rng);
    l->env_episodes = calloc(ranks * envs, sizeof *l->env_episodes);
    CN_FAIL_IF(!l->totals || !l->rng || !l->env_rng || !l->env_episodes, CN_ERR_MEMORY, err,
               "no memory for the state of %zu x %zu environments", ranks, envs);
    return CN_OK;
}

cn_status cn_ppo_learner_create(const cn_learner_setup *setup, cn_learner **out, cn_error *err)
{
    *out = NULL;
    const cn_train_config *config = setup->config;
    const int envs = (int)config->envs;
    const uint64_t seed = cn_peers_seed(setup->peers, setup->seed);
    ppo_learner *l = calloc(1, sizeof *l);
    CN_FAIL_IF(!l, CN_ERR_MEMORY, err, "no memory for PPO");
    cn_status status = CN_OK;
    cn_learner *learner = &l->learner;
    *l = (ppo_learner){
        .learner = {.iterate = iterate,
                    .metrics = metrics,
                    .state = state,
                    .pack = pack,
                    .unpack = unpack,
                    .destroy = destroy},
        .policy = setup->policy,
        .pool = setup->pool,
        .peers = setup->peers,
    };
    CN_TRY_CLEANUP(cn_policy_level_std(setup->policy, setup->column, err));
    CN_TRY_CLEANUP(cn_collector_create(setup->policy, setup->column, envs,
                                       (int)config->rollout_steps, seed, setup->make_env,
                                       setup->make_env_ctx, setup->pool, &l->collector, err));
    CN_TRY_CLEANUP(cn_ppo_create(setup->policy, setup->column, config,
                                 cn_collector_rollout(l->collector), seed, setup->pool, &l->ppo,
                                 err));
    CN_TRY_CLEANUP(cn_ppo_join(l->ppo, setup->peers, err));
    CN_TRY_CLEANUP(allocate_state(l, (size_t)envs, err));
    *out = learner;
    learner = NULL;
cleanup:
    cn_learner_destroy(&learner);
    return status;
}
