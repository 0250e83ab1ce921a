/* The actor of a column as nodes of a graph: what it observes, its mean and how far its actions
 * spread around it. */
#ifndef CN_POLICY_ACTOR_H
#define CN_POLICY_ACTOR_H

#include "policy/policy.h"

/* Log standard deviations stay between these; the clamp is soft, so that the gradient never ends.
 * Source: CleanRL's sac_continuous_action.py (Huang et al. 2022), there with the argument scaled
 * otherwise: here it is of slope 1 in the middle, so that a bias is about the log_std it makes. */
#define CN_LOG_STD_LOW  -5.0f
#define CN_LOG_STD_HIGH 2.0f

typedef struct cn_actor_nodes {
    cn_node input[CN_MAX_COLUMNS]; /* [B, input_size] of columns 0..column: cn_policy_input */
    cn_node mean;                  /* [B, A] before its bound */
    cn_node log_std; /* [B, A] clamp(log_std + W h), h the column's last hidden layer and, where
                        the column before it has state_std too, the laterals of the output layer;
                        -1 unless the column has state_std and spread was asked for */
} cn_actor_nodes;

/* Adds columns 0..column to a graph. Mistakes are reported by cn_graph_finish. */
cn_actor_nodes cn_actor_build(cn_policy *policy, int column, bool spread, cn_graph *graph);

/* How far a column's actions spread at the mean observation of its normaliser; of unscaled
 * observations at 0. @param log_std  out [A] @return CN_ERR_MEMORY. */
cn_status cn_actor_typical_spread(cn_policy *policy, int column, float *log_std, cn_error *err);

/* Fills row `row` of the inputs from an observation [observation_size]. */
void cn_actor_observe(const cn_actor_nodes *actor, cn_policy *policy, int column, cn_graph *graph,
                      int row, const float *observation);

#endif
