/* Everything that can be set about a training run: one table makes the struct, the defaults, the
 * YAML reader, the writer and the help. Sections are read in turn, each overriding the one before:
 * the task's `train:` (or `adapt:`) section, --config, --set. */
#ifndef CN_POLICY_TRAIN_CONFIG_H
#define CN_POLICY_TRAIN_CONFIG_H

#include <stdio.h>

#include "base/yaml.h"
#include "progressive/net.h"
#include "tensor/optim.h"

/* Off-policy learning, from replayed transitions: SAC. The reference values are those of CleanRL's
 * sac_continuous_action.py. */
#define CN_REPLAY_INT_TABLE(X)                                                                     \
    X(batch_size, 256, 1, 65536, "sac: transitions of an update; half of them demos if any")       \
    X(replay_size, 1000000, 1, 100000000, "sac: transitions that are remembered")                  \
    X(learning_starts, 5000, 1, 1000000000,                                                        \
      "sac: environment steps before the first update; random actions in a fresh policy")          \
    X(actor_starts, 0, 0, 1000000000, "sac: environment steps before the actor learns as well")    \
    X(actor_every, 1, 1, 1000, "sac: updates of the critics for one of the actor")                 \
    X(update_every, 1, 1, 1000000,                                                                 \
      "sac: steps of each environment between updates; rollout_steps is a multiple")

#define CN_REPLAY_REAL_TABLE(X)                                                                    \
    X(updates_per_step, 1.0, 0.0, 1000.0, "sac: updates for each environment step")                \
    X(critic_learning_rate, 1e-3, 1e-9, 1.0, "sac: of critics and temperature; falls likewise")    \
    X(tau, 0.005, 1e-6, 1.0, "sac: share of the critics that their targets take on an update")     \
    X(temperature, 0.2, 1e-6, 1000.0, "sac: initial weight of the entropy")                        \
    X(target_entropy, -1.0, -100.0, 100.0, "sac: nats for each action that temperature aims at")   \
    X(reward_scale, 1.0, 1e-9, 1e9, "sac: rewards are multiplied by this")

#define CN_REPLAY_BOOL_TABLE(X)                                                                    \
    X(learn_temperature, true, "sac: adjust the temperature to the target entropy")                \
    X(layer_norm, true, "sac: normalise the layers of the critics")

/* X(name, default, low, high, help). The reference values are CleanRL's for continuous control
 * (Huang et al. 2022, "The 37 implementation details of PPO"), scaled to many environments. */
#define CN_TRAIN_INT_TABLE(X)                                                                      \
    X(steps, 1000000, 1, 1000000000000, "environment steps of the run")                            \
    X(envs, 64, 1, 65536, "environments stepped side by side")                                     \
    X(rollout_steps, 64, 1, 1000000, "steps of each environment between updates")                  \
    X(minibatches, 8, 1, 4096, "minibatches an epoch")                                             \
    X(epochs, 10, 1, 1000, "passes over a rollout")                                                \
    X(evaluate_every, 200000, 0, 2000000000, "environment steps between evaluations; 0: none")     \
    X(evaluate_episodes, 64, 1, 100000, "episodes of an evaluation")                               \
    X(patience, 0, 0, 1000000, "end after this many evaluations without a better one; 0: never")   \
    X(checkpoint_every, 100000, 0, 1000000000000,                                                  \
      "environment steps between checkpoints; 0: none")                                            \
    X(adapter_size, 0, 0, 65536,                                                                   \
      "units of a lateral adapter; 0: an eighth of a layer's, 8 or more")                          \
    CN_REPLAY_INT_TABLE(X)

#define CN_TRAIN_REAL_TABLE(X)                                                                     \
    X(learning_rate, 3e-4, 1e-9, 1.0, "Adam's step size at the start")                             \
    X(learning_rate_end, 0.0, 0.0, 1.0, "and at the end, by its schedule")                         \
    X(kl_target, 0.0, 0.0, 100.0,                                                                  \
      "the learning rate follows the KL towards this, not its schedule; 0: no")                    \
    X(kl_stop, 0.0, 0.0, 100.0, "an update stops after an epoch with a mean KL above this; 0: no") \
    X(discount, 0.99, 0.0, 1.0, "gamma")                                                           \
    X(gae_lambda, 0.95, 0.0, 1.0, "lambda of generalised advantage estimation")                    \
    X(clip, 0.2, 0.001, 10.0, "clipping of the probability ratio")                                 \
    X(value_clip, 0.2, 0.0, 1000.0, "clipping of the value's change; 0: none")                     \
    X(value_weight, 0.5, 0.0, 1000.0, "weight of the value loss")                                  \
    X(entropy_weight, 0.0, 0.0, 10.0, "weight of the entropy bonus")                               \
    X(entropy_weight_end, 0.0, 0.0, 10.0, "and at the end, by the learning rate's schedule")       \
    X(max_grad_norm, 0.5, 1e-6, 1e6, "global gradient norm is clipped to this")                    \
    X(log_std, 0.0, -10.0, 5.0, "initial log standard deviation of the actions")                   \
    X(adapter_scale, 1.0, 1e-6, 100.0, "initial learned scalar of an adapter")                     \
    X(stop_success, 0.0, 0.0, 1.0,                                                                 \
      "end when the interval of an evaluation's success lies above this; 0: never")                \
    CN_REPLAY_REAL_TABLE(X)

#define CN_TRAIN_BOOL_TABLE(X)                                                                     \
    X(normalize_observation, true, "running mean and variance of the observations")                \
    X(normalize_reward, true, "scale rewards by the std of the discounted return")                 \
    X(normalize_advantage, true, "zero mean, unit variance in each minibatch")                     \
    CN_REPLAY_BOOL_TABLE(X)

/* How it learns: policy/learner.c has what each makes. */
typedef enum cn_algorithm { CN_PPO, CN_SAC } cn_algorithm;

/* X(name, type, default, help): the words of `name` are in train_config.c, in the order of type. */
#define CN_TRAIN_WORD_TABLE(X)                                                                     \
    X(algorithm, cn_algorithm, CN_PPO, "how it learns: ppo or sac")                                \
    X(learning_rate_schedule, cn_schedule, CN_SCHEDULE_LINEAR, "constant, linear or cosine")       \
    X(activation, cn_activation, CN_TANH, "tanh, relu or identity")                                \
    X(lateral, cn_lateral, CN_LATERAL_ADAPTER, "of a new column: linear, adapter or none")

typedef struct cn_train_config {
#define CN_TRAIN_FIELD(name, ...) long name;
    CN_TRAIN_INT_TABLE(CN_TRAIN_FIELD)
#undef CN_TRAIN_FIELD
#define CN_TRAIN_FIELD(name, ...) double name;
    CN_TRAIN_REAL_TABLE(CN_TRAIN_FIELD)
#undef CN_TRAIN_FIELD
#define CN_TRAIN_FIELD(name, ...) bool name;
    CN_TRAIN_BOOL_TABLE(CN_TRAIN_FIELD)
#undef CN_TRAIN_FIELD
#define CN_TRAIN_FIELD(name, type, ...) type name;
    CN_TRAIN_WORD_TABLE(CN_TRAIN_FIELD)
#undef CN_TRAIN_FIELD
    int layers;                       /* hidden layers */
    int hidden[CN_MAX_LAYERS];        /* `hidden: [64, 64]` */
    int critic_layers;                /* of SAC's critics: */
    int critic_hidden[CN_MAX_LAYERS]; /* `critic_hidden: [256, 256]` */
} cn_train_config;

cn_train_config cn_train_config_default(void);

const char *cn_algorithm_word(cn_algorithm algorithm);

/* Overrides what the map names; what stands in its `sac:` section only when the algorithm is, by
 * then, SAC. @return CN_ERR_FORMAT with file, line, and the known keys. */
cn_status cn_train_config_read(cn_train_config *config, cn_yaml_node map, cn_error *err);

/* Writes the whole configuration as YAML that cn_train_config_read takes. */
void cn_train_config_write(const cn_train_config *config, FILE *out);

/* One line a key: name, default, meaning. */
void cn_train_config_help(FILE *out);

#endif
