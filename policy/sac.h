/* Soft actor-critic: twin critics, their targets, the actor and the temperature, learning from
 * replayed transitions.
 * Source: Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications", arXiv:1812.05905,
 * algorithm 1; half of each batch from demonstrations, layer norm in the critics: RLPD, Ball et al.
 * 2023, arXiv:2302.02948, algorithm 1. Deviations:
 *   - The actor is a column of a progressive network. Where its bound is CN_BOUND_CLIP, as in every
 *     column that grew on one of PPO's, its actions are Gaussian and clipped instead of squashed
 *     (op_sample.c), so that it can begin as the column before; its entropy is then that of the
 *     Gaussian.
 *   - The critics are fresh networks: a frozen column has a value of states, not of actions. But
 *     beside frozen columns they take, with observation and action, the last hidden layers of those
 *     columns' actors and critics, as laterals into their first layer. They belong to the learner,
 *     not to the policy.
 *   - A batch is cut into a number of shards that depends on its size alone; gradients are added in
 *     order: any number of threads gives the same bits. */
#ifndef CN_POLICY_SAC_H
#define CN_POLICY_SAC_H

#include "base/pool.h"
#include "policy/policy.h"
#include "policy/replay_buffer.h"
#include "policy/train_config.h"
#include "tensor/safetensors.h"

typedef struct cn_sac cn_sac;

/* Means over the updates since the last cn_sac_stats_of; NaN: there were none. */
typedef struct cn_sac_stats {
    double critic_loss; /* mean squared error of one critic */
    double q;           /* the smaller critic's value of replayed actions */
    double actor_loss;
    double entropy;     /* -log-probability of the actor's actions, nats */
    double temperature; /* the last */
} cn_sac_stats;

/* @param policy  borrowed; `column` is trained and has state_std
 * @param config  copied
 * @param online  borrowed: transitions of the policy
 * @param demos   borrowed: transitions of others, at least one; NULL: none
 * @return CN_ERR_MEMORY, CN_ERR_MISMATCH (demos of other sizes), CN_ERR_ARGUMENT (demos without a
 *         transition, or with a batch that has no half). */
cn_status cn_sac_create(cn_policy *policy, int column, const cn_train_config *config,
                        const cn_replay *online, const cn_replay *demos, uint64_t seed,
                        cn_pool *pool, cn_sac **out, cn_error *err);
void cn_sac_destroy(cn_sac **sac);

/* One update of critics and targets, and on every config->actor_every of them of actor and
 * temperature. `online` holds a transition at least. Allocates nothing.
 * @param with_actor  false: the actor stands still
 * @param progress    0 at the start of the run .. 1 at its end, for the learning rates */
void cn_sac_update(cn_sac *sac, bool with_actor, double progress);

/* @return CN_ERR_LEARNING when a loss was not finite; the policy is then not to be used. */
cn_status cn_sac_stats_of(cn_sac *sac, cn_sac_stats *stats, cn_error *err);

/* What it depends on beside the policy's parameters and the transitions, as tensors in its own
 * memory: pack fills them, unpack goes on from them.
 * @return how many, CN_SAC_TENSORS */
#define CN_SAC_TENSORS 8
int cn_sac_state(cn_sac *sac, cn_tensor_view *out);
void cn_sac_pack(cn_sac *sac);
void cn_sac_unpack(cn_sac *sac);

#endif
