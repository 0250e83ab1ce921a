/* Proximal policy optimisation: advantages and updates of one column from a rollout.
 * Source: Schulman et al. 2017, arXiv:1707.06347; advantages: Schulman et al. 2016,
 * arXiv:1506.02438, eq. 16; details: Huang et al. 2022. Deviation: a minibatch is cut into at most
 * CN_SHARDS parts whose gradients are added in order, so that any number of threads gives the same
 * bits. */
#ifndef CN_POLICY_PPO_H
#define CN_POLICY_PPO_H

#include "policy/peers.h"
#include "policy/rollout.h"
#include "policy/train_config.h"
#include "tensor/optim.h"

typedef struct cn_ppo cn_ppo;

/* Of one update; means over all its minibatches. */
typedef struct cn_ppo_stats {
    double loss;    /* the whole of it */
    double entropy; /* nats */
    double kl;      /* of the old policy from the new: mean of (r - 1) - log r (Schulman 2020) */
    double clip_fraction; /* of the ratios */
    double value_error;   /* mean squared, of scaled returns */
    double grad_norm;     /* before clipping */
    double reward_scale;  /* what rewards were multiplied by */
    double kl_last;       /* kl, over the last epoch alone */
    double learning_rate;
    double entropy_weight;
    int epochs;      /* fewer than configured when kl_stop ended it */
    double exchange; /* s a minibatch, with other ranks, waiting for them included; NaN: alone */
} cn_ppo_stats;

/* Whether settings go together.
 * @return CN_ERR_ARGUMENT: more minibatches than rows; a kl_target that cannot be followed */
cn_status cn_ppo_check_settings(const cn_train_config *config, cn_error *err);

/* @param policy   borrowed; `column` is trained, its earlier columns should be frozen
 * @param config   copied
 * @param rollout  sizes only
 * @return CN_ERR_ARGUMENT (more minibatches than rows, or a kl_target that the learning rate cannot
 *         follow), CN_ERR_MEMORY. */
cn_status cn_ppo_create(cn_policy *policy, int column, const cn_train_config *config,
                        const cn_rollout *rollout, uint64_t seed, cn_pool *pool, cn_ppo **out,
                        cn_error *err);
void cn_ppo_destroy(cn_ppo **ppo);

/* Learns together with other ranks from now on: gradients are the means of all ranks' minibatches,
 * reward scale and normaliser know all ranks' rollouts, and all ranks hold the same parameters.
 * Advantages are normalised within each rank's own minibatch.
 * @param peers  borrowed; NULL or of size 1: alone */
cn_status cn_ppo_join(cn_ppo *ppo, cn_peers *peers, cn_error *err);

/* Whether all ranks hold the same parameters. @return CN_ERR_CHECKSUM when not; they also look
 * every hundred updates. */
cn_status cn_ppo_check(cn_ppo *ppo, cn_error *err);

/* Learns from a rollout: scales rewards, computes advantages, takes epochs x minibatches Adam
 * steps, and then takes the rollout's observations into the column's normaliser, unless the column
 * is cn_policy_unscaled. Allocates nothing.
 * After an epoch whose mean KL is above kl_stop the update takes no more steps. With kl_target the
 * learning rate is divided by 1.5 after an update whose last epoch had more than twice that KL, and
 * multiplied by 1.5 after one with less than half, within 1e-5 to 1e-2, as in rsl_rl (its
 * algorithms/ppo.py, there after every minibatch).
 * @param progress  0 at the start of the run .. 1 at its end, for the schedules
 * @return CN_ERR_LEARNING when the loss is not finite; the policy is then not to be used.
 *         With other ranks, on all of them: CN_ERR_CHECKSUM when their parameters differ, and what
 *         exchanging fails with. */
cn_status cn_ppo_update(cn_ppo *ppo, const cn_rollout *rollout, double progress,
                        cn_ppo_stats *stats, cn_error *err);

/* What the learner's future depends on, beside the policy and Adam's moments, once all episodes
 * have ended. */
typedef struct cn_ppo_state {
    cn_rng rng;        /* order of the rows */
    int64_t adam_step; /* updates so far */
    float learning_rate;
    double reward_count, reward_mean,
        reward_square; /* running statistics of the discounted return */
} cn_ppo_state;
cn_ppo_state cn_ppo_state_of(const cn_ppo *ppo);
void cn_ppo_restore(cn_ppo *ppo, const cn_ppo_state *state);

/* All episodes end: forgets the discounted returns under way. */
void cn_ppo_restart(cn_ppo *ppo);

/* Generalised advantage estimation over one environment's T steps.
 * @param scale, limit        rewards are multiplied by scale, then clipped to +-limit
 * @param advantage, returns  [T] out */
void cn_gae(const float *reward, const float *value, const float *bootstrap,
            const unsigned char *end, float last_value, int T, double scale, double limit,
            double discount, double lambda, float *advantage, float *returns);

#endif
