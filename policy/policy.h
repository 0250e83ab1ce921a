/* A policy: what it observes and how it acts, a progressive actor and a progressive critic, and for
 * every column its observation groups, its normaliser and where it was learned. One safetensors
 * file. */
#ifndef CN_POLICY_POLICY_H
#define CN_POLICY_POLICY_H

#include "policy/env.h"
#include "policy/normalizer.h"
#include "progressive/net.h"

#define CN_PATH 1024 /* bytes of a path, NUL included */

typedef struct cn_policy cn_policy;

/* One column of actor and critic. */
typedef struct cn_policy_column {
    int groups;               /* observation groups that it sees; 0: all of them */
    int group[CN_MAX_GROUPS]; /* numbers of the groups, ascending */
    int input_size;           /* floats; filled by cn_policy_grow */
    int layers;               /* hidden layers, of actor and critic alike */
    int hidden[CN_MAX_LAYERS];
    cn_activation activation;
    cn_lateral lateral;
    int adapter_size; /* 0: an eighth of the widest hidden layer, and 8 at least; filled by
                         cn_policy_grow */
    float adapter_scale;
    float log_std;  /* initial log standard deviation; for an identity start, at least */
    cn_bound bound; /* actions are the mean, clipped by the env, or its tanh; for an identity start
                       that of the column before */
    bool state_std; /* the log standard deviation depends on the state: see policy/actor.h */
    bool frozen;
    uint64_t checksum;       /* of its form, parameters and normaliser, when frozen */
    char task[CN_NAME];      /* where it was learned, */
    char task_file[CN_PATH]; /* its YAML, absolute, */
    char method[CN_NAME];    /* how: "ppo", "progressive", "finetune", "scratch" */
    uint64_t seed;
    int64_t steps;       /* for how many env steps, */
    char ended[CN_NAME]; /* and why the run ended, "success reached"; "" before its end */
} cn_policy_column;

cn_policy_column cn_policy_column_default(void);

/* A policy without columns. @param spec  copied */
cn_status cn_policy_create(const cn_env_spec *spec, cn_policy **out, cn_error *err);
void cn_policy_destroy(cn_policy **policy);

/* Adds a column. With an identity start its normaliser and its outputs begin as those of the column
 * before, whose groups it must then share. So does its log standard deviation, state by state if
 * both columns have state_std; a column without state_std begins, in all states, with the one that
 * the column before has at the mean observation. Then cn_policy_explore raises it to the column's
 * log_std. On failure the policy is only good for cn_policy_destroy. */
cn_status cn_policy_grow(cn_policy *policy, const cn_policy_column *column, cn_growth growth,
                         cn_rng *rng, cn_error *err);

/* Lets the last column's log standard deviation depend on the state (policy/actor.h); it begins
 * about as it was: within its bounds a soft clamp bends it a little. Does nothing when it does
 * already. Invalidates graphs built on the policy. @return CN_ERR_MEMORY. */
cn_status cn_policy_add_state_std(cn_policy *policy, cn_error *err);

/* Makes a column's log standard deviation the same in all states, as PPO learns it: that of the
 * mean observation. Does nothing where it is the same already. @return CN_ERR_MEMORY. */
cn_status cn_policy_level_std(cn_policy *policy, int column, cn_error *err);

/* Raises a column's log standard deviations, in all states alike, by what they lack at the mean
 * observation to be log_std. @return CN_ERR_MEMORY. */
cn_status cn_policy_explore(cn_policy *policy, int column, float log_std, cn_error *err);

/* Freezes a column: no gradient, and a checksum that save and load verify. */
void cn_policy_freeze(cn_policy *policy, int column);
/* Makes it learn again, as fine-tuning does. */
void cn_policy_thaw(cn_policy *policy, int column);

/* Whether every frozen column is what it was when it was frozen.
 * @return CN_ERR_CHECKSUM naming the column and both sums. */
cn_status cn_policy_verify(const cn_policy *policy, cn_error *err);

const cn_env_spec *cn_policy_spec(const cn_policy *policy);
int cn_policy_columns(const cn_policy *policy);
cn_policy_column *cn_policy_column_at(cn_policy *policy, int column);
cn_normalizer *cn_policy_normalizer(cn_policy *policy, int column);

/* Whether the column learned, or begins as a column that learned, from observations as they are:
 * to scale its inputs now would destroy what it knows. */
bool cn_policy_unscaled(const cn_policy *policy, int column);
cn_params *cn_policy_params(cn_policy *policy);
const cn_net *cn_policy_actor(const cn_policy *policy);
const cn_net *cn_policy_critic(const cn_policy *policy);
cn_param cn_policy_log_std(const cn_policy *policy, int column);
cn_param cn_policy_log_std_weight(const cn_policy *policy, int column); /* -1: no state_std */

/* Checksum of one column, or of all (column = -1): what a log names its policy by. */
uint64_t cn_policy_checksum(const cn_policy *policy, int column);

/* Gathers the groups of a column from an observation, as they are. @param input  [input_size] */
void cn_policy_gather(const cn_policy *policy, int column, const float *observation, float *input);

/* Gathers and normalises them: what the column's network takes. @param input  [input_size] */
void cn_policy_input(const cn_policy *policy, int column, const float *observation, float *input);

/* Writes the file atomically. @return CN_ERR_CHECKSUM when a frozen column has changed; CN_ERR_IO.
 */
cn_status cn_policy_save(const cn_policy *policy, const char *path, cn_error *err);
/* @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT (not a policy of ours, or damaged),
 *         CN_ERR_ARGUMENT (columns that cannot be grown), CN_ERR_SHAPE (tensors that don't fit
 * them), CN_ERR_CHECKSUM (a frozen column has changed), CN_ERR_MEMORY. */
cn_status cn_policy_load(const char *path, cn_policy **out, cn_error *err);

#endif
