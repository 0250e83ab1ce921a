/* A learner collects experience with the last column of a policy and learns from it, an iteration
 * at a time. PPO and SAC are learners; the training loop knows of them what is here. */
#ifndef CN_POLICY_LEARNER_H
#define CN_POLICY_LEARNER_H

#include "policy/peers.h"
#include "policy/replay_buffer.h"
#include "policy/rollout.h"
#include "policy/train_config.h"
#include "tensor/safetensors.h"

#define CN_MAX_METRICS       16
#define CN_MAX_STATE_TENSORS 24

/* A number worth plotting. */
typedef struct cn_metric {
    const char *tag; /* "ppo/kl"; static */
    double value;    /* of the last iteration; NaN: there is none yet */
} cn_metric;

/* What an iteration brought, on all ranks together. */
typedef struct cn_learner_step {
    int64_t steps;              /* environment steps taken */
    cn_episode_totals episodes; /* that ended */
    /* Where the thread time of the iteration went, as fractions of threads x its duration:
     * environments, network, update, and waiting for the slowest shard. They add up to 1. Of this
     * rank; an update waits for the other ranks. */
    double environments, inference, update, idle;
} cn_learner_step;

typedef struct cn_learner cn_learner;
struct cn_learner {
    /* Collects and learns. Allocates nothing (environments aside).
     * @param progress  0 at the start of the run .. 1 at its end, for the schedules
     * @param step      out: after a failure its steps are those that may have been learned from
     * @return what an environment failed with; CN_ERR_LEARNING when a loss is not finite, and the
     *         policy is then not to be used. All ranks return the same. */
    cn_status (*iterate)(cn_learner *learner, double progress, cn_learner_step *step,
                         cn_error *err);

    /* Its metrics after an iteration, the most telling first, CN_MAX_METRICS at most.
     * @return how many */
    int (*metrics)(const cn_learner *learner, cn_metric *out);

    /* Everything its future depends on beside the policy's parameters, as tensors in memory that
     * the learner owns: names begin with "trainer/". `pack` ends all episodes and fills that
     * memory, on rank 0 with every rank's; the tensors are then written to a checkpoint. When a run
     * is resumed they are filled from one on every rank, and `unpack` makes the learner go on from
     * there. The shape of a tensor may depend on what is in those before it.
     * @return how many, CN_MAX_STATE_TENSORS at most */
    int (*state)(cn_learner *learner, cn_tensor_view *out);
    cn_status (*pack)(cn_learner *learner, cn_error *err);
    cn_status (*unpack)(cn_learner *learner, cn_error *err);

    void (*destroy)(cn_learner *learner); /* frees learner */
};

/* What a learner is made from. */
typedef struct cn_learner_setup {
    cn_policy *policy; /* borrowed; the parameters of `column` are learned */
    int column;
    const cn_train_config *config; /* copied */
    uint64_t seed;
    cn_make_env *make_env;
    void *make_env_ctx;
    cn_pool *pool;          /* borrowed */
    cn_peers *peers;        /* borrowed; NULL: alone */
    const cn_replay *demos; /* SAC: transitions of others, borrowed; NULL: none */
} cn_learner_setup;

/* Whether settings go together, as far as can be told without environments.
 * @return CN_ERR_ARGUMENT with the setting, both values and the way out */
cn_status cn_learner_check(const cn_train_config *config, cn_error *err);

/* Makes the learner that config->algorithm names, and its environments.
 * @return CN_ERR_ARGUMENT (settings that don't go together, or not with other ranks),
 * CN_ERR_MISMATCH (an environment that the policy was not made for), CN_ERR_MEMORY, and whatever
 * `make_env` fails with. */
cn_status cn_learner_create(const cn_learner_setup *setup, cn_learner **out, cn_error *err);

/* Destroys and nulls; NULL and a second call do nothing. */
void cn_learner_destroy(cn_learner **learner);

#endif
