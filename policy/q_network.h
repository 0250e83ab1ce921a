/* A Q-network: what an action in a state is worth. ReLU layers over observation and action, with
 * layer normalisation or without (Ball et al. 2023, arXiv:2302.02948, section 4.2: it bounds what
 * actions far from the data can seem to be worth). */
#ifndef CN_POLICY_Q_NETWORK_H
#define CN_POLICY_Q_NETWORK_H

#include "progressive/net.h"

typedef struct cn_q_spec {
    int input_size; /* all parts: observation, action, and what else tells about the state */
    int layers;     /* hidden layers, 1..CN_MAX_LAYERS */
    int hidden[CN_MAX_LAYERS];
    bool layer_norm;
} cn_q_spec;

typedef struct cn_q_network {
    cn_q_spec spec;
    cn_param weight[CN_MAX_LAYERS + 1], bias[CN_MAX_LAYERS + 1];
    cn_param gain[CN_MAX_LAYERS], shift[CN_MAX_LAYERS]; /* of the layer norm */
} cn_q_network;

/* Adds slices "<name>/layer<i>.weight", ".bias", "<name>/norm<i>.gain", ".bias" to params.
 * @return CN_ERR_ARGUMENT (a size < 1), CN_ERR_MEMORY. */
cn_status cn_q_network_create(cn_params *params, const char *name, const cn_q_spec *spec,
                              cn_rng *rng, cn_q_network *out, cn_error *err);

/* @param parts  count >= 1 nodes, side by side [B, input_size]
 * @return [B, 1] */
cn_node cn_q_network_build(const cn_q_network *q, cn_graph *graph, const cn_node *parts, int count);

#endif
