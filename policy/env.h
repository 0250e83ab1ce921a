/* cn_env: what an agent lives in. sim/ implements it on MuJoCo, bridge/ implements it over the
 * wire; the same learning code runs on both.
 *
 *     env->reset(env, seed, obs, err);
 *     do { act(obs, action); env->step(env, action, &step, obs, err); } while (!step.terminated &&
 * ...);
 *
 * Observations are float [observation_size]: the groups of the spec side by side. Actions are float
 * [action_size] in [-1, 1]; values outside are clipped by the env, and the env alone knows what
 * they mean in rad or m/s. After terminated or truncated the observation is the final one of the
 * episode, and the next call must be reset. */
#ifndef CN_POLICY_ENV_H
#define CN_POLICY_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "policy/arm.h"

#define CN_MAX_GROUPS  16
#define CN_MAX_ACTIONS CN_MAX_JOINTS

/* A named part of the observation vector; a column of a progressive network chooses among them. */
typedef struct cn_obs_group {
    char name[CN_NAME];
    int offset; /* floats from the start of the observation */
    int size;   /* floats */
} cn_obs_group;

typedef struct cn_env_spec {
    char task[CN_NAME]; /* the task's name, e.g. "reach" */
    char arm[CN_NAME];  /* the arm's name: a policy for another arm is refused */
    int groups;
    cn_obs_group group[CN_MAX_GROUPS];
    int observation_size; /* sum of the group sizes */
    int action_size;
    char action[CN_MAX_ACTIONS][CN_NAME]; /* name of each action: its joint */
    char action_unit[CN_NAME];            /* what +-1 is scaled to, e.g. "rad/step" */
    double control_period_s;
    int step_limit;   /* steps after which an episode is truncated */
    bool has_success; /* the task says what success is */
} cn_env_spec;

typedef struct cn_env_step {
    float reward;
    bool terminated; /* the task ended here: the value of what follows is 0 */
    bool truncated;  /* only the clock ended it: bootstrap from the final observation */
    bool success;    /* the task's success test holds now */
} cn_env_step;

typedef struct cn_env cn_env;
struct cn_env {
    cn_env_spec spec;
    /* Starts an episode whose random draws depend on `seed` alone; fills observation. */
    cn_status (*reset)(cn_env *env, uint64_t seed, float *observation, cn_error *err);
    /* Acts for one control period; fills step and observation. */
    cn_status (*step)(cn_env *env, const float *action, cn_env_step *step, float *observation,
                      cn_error *err);
    void (*destroy)(cn_env *env); /* frees env */
};

/* Destroys and nulls; NULL and a second call do nothing. */
void cn_env_destroy(cn_env **env);

/* Whether a policy made for `a` can act in `b`: arm, groups, their sizes, actions, their unit and
 * the control period equal. Task and step limit may differ.
 * @return CN_ERR_MISMATCH with both values. */
cn_status cn_env_spec_match(const cn_env_spec *a, const cn_env_spec *b, cn_error *err);

#endif
