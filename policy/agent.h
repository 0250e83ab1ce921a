/* An agent: the graph of one column of a policy, ready to act on up to `max_rows` observations at
 * once. It borrows the policy; several agents on several threads may share one. Acting allocates
 * nothing. */
#ifndef CN_POLICY_AGENT_H
#define CN_POLICY_AGENT_H

#include "policy/policy.h"

typedef struct cn_agent cn_agent;

typedef enum cn_agent_kind {
    CN_AGENT_ACTOR,        /* actions only: evaluation and control */
    CN_AGENT_SAMPLER,      /* how far they spread as well, of a column with state_std */
    CN_AGENT_ACTOR_CRITIC, /* values and the frozen columns' features as well: rollouts */
} cn_agent_kind;

/* @param column  0..columns-1: acts as the policy did when that column was its last
 * @param max_rows  observations at once, >= 1
 * @return CN_ERR_ARGUMENT (no such column, max_rows < 1), CN_ERR_MEMORY. */
cn_status cn_agent_create(cn_policy *policy, int column, int max_rows, cn_agent_kind kind,
                          cn_agent **out, cn_error *err);
void cn_agent_destroy(cn_agent **agent);

/* @param observations  [rows, observation_size] as the env gave them */
void cn_agent_forward(cn_agent *agent, const float *observations, int rows);

/* Results of the last forward, valid until the next. */
const float *cn_agent_mean(const cn_agent *agent);    /* [rows, action_size] before its bound */
const float *cn_agent_log_std(const cn_agent *agent); /* [rows, action_size]; sampler only */
const float *cn_agent_value(const cn_agent *agent);   /* [rows, 1]; critic only */
const float *cn_agent_input(const cn_agent *agent); /* [rows, input_size] the column's own input */
const float *cn_agent_features(const cn_agent *agent); /* [rows, features_size]; critic only */

/* One observation, deterministic action: the mean, or its tanh where the column's bound is that.
 * The signature control and replay want. */
void cn_agent_act(void *agent, const float *observation, float *action);

#endif
