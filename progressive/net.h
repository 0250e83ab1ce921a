/* A progressive network: a stack of columns that share one output width. Columns that have learned
 * are frozen; a new one grows beside them and reads their hidden layers through lateral
 * connections.
 *
 *     column 0 (frozen)      column 1 (learns)
 *     input --> h1 ------------.   h1 <-- input
 *               h2 -------.     '> h2
 *               output     '-----> output
 *
 * Source: Rusu et al. 2016, "Progressive Neural Networks", arXiv:1606.04671.
 *   linear lateral, eq. 1:  h_i = f(W h_{i-1} + b + sum_j U_j h^(j)_{i-1})
 *   adapter, eq. 2:         h_i = f(W h_{i-1} + b + U f(V [a_j h^(j)_{i-1}]_j + c))
 * Where the paper leaves a choice:
 *   - V projects to `adapter_size` units (the prose's n_i and the formula's n_{i-1} contradict each
 *     other); the a_j are one learned scalar for each earlier column.
 *   - The first hidden layer has no laterals; a lateral into layer i comes from the layer i-1 of
 * every earlier column that has one; the output layer reads the last hidden layer of each.
 *   - Laterals into the output layer are direct and linear in both kinds, as in the robot network
 * of arXiv:1610.04286, so that a new column can start as the policy before it. W and all U of a
 * layer lie side by side in one matrix: a layer is one product. */
#ifndef CN_PROGRESSIVE_NET_H
#define CN_PROGRESSIVE_NET_H

#include "tensor/graph.h"

#define CN_MAX_COLUMNS 8
#define CN_MAX_LAYERS  6 /* hidden layers */

typedef enum cn_lateral { CN_LATERAL_NONE, CN_LATERAL_LINEAR, CN_LATERAL_ADAPTER } cn_lateral;

typedef enum cn_growth {
    CN_GROW_IDENTITY, /* starts as the column before it: its head is copied into the output lateral
                       */
    CN_GROW_RANDOM,   /* starts as a fresh network */
    CN_GROW_BLANK,    /* weights are zeros, for whoever fills them; nothing is drawn */
} cn_growth;

typedef struct cn_column_spec {
    int input_size;            /* floats, >= 1; every column has its own inputs */
    int layers;                /* hidden layers, 1..CN_MAX_LAYERS */
    int hidden[CN_MAX_LAYERS]; /* width of each, >= 1 */
    cn_activation activation;  /* f */
    cn_lateral lateral;        /* from all earlier columns; ignored for column 0 */
    int adapter_size;          /* units of an adapter, >= 1; for CN_LATERAL_ADAPTER */
    float adapter_scale;       /* initial a: 1, 0.1 or 0.01 in the paper */
    float output_gain; /* orthogonal gain of the output layer, e.g. 0.01 for a policy head */
} cn_column_spec;

/* Two hidden layers of 64 tanh units, linear laterals, output gain 1; input_size is yours to set.
 */
cn_column_spec cn_column_default(void);

typedef struct cn_net cn_net;

/* @param params  borrowed; the net adds slices "<name>/<column>/layer<i>.weight", ".bias",
 *                "<name>/<column>/adapter<i>.weight", ".bias", ".scale<j>"
 * @return CN_ERR_ARGUMENT (no outputs), CN_ERR_MEMORY. */
cn_status cn_net_create(cn_params *params, const char *name, int outputs, cn_net **out,
                        cn_error *err);
void cn_net_destroy(cn_net **net);

/* Adds a column. Earlier columns are left as they are (freeze them with cn_net_freeze). Invalidates
 * graphs built on the same params.
 * @param rng  draws the initial weights; NULL for CN_GROW_BLANK
 * @return CN_ERR_ARGUMENT naming the field and its value (an identity start needs a column before
 *         it and laterals), CN_ERR_MEMORY. */
cn_status cn_net_grow(cn_net *net, const cn_column_spec *spec, cn_growth growth, cn_rng *rng,
                      cn_error *err);

int cn_net_columns(const cn_net *net);
const cn_column_spec *cn_net_column(const cn_net *net, int column);

/* Columns of the weight of a head that reads what the output layer of `column` reads: its own last
 * hidden layer, then those of columns 0..column-1, unless it has no laterals. */
int cn_net_head_width(const cn_net *net, int column);

/* Makes a head of `column` what one of the column before is: W = 0, U_{k-1} = W_{k-1}, U_j = U_j of
 * column k-1 for j < k-1.
 * @param from  weight [rows, the last hidden layer of column - 1, or its cn_net_head_width]
 * @param to    weight [rows, cn_net_head_width(column)] */
void cn_net_copy_head(cn_net *net, int column, cn_param from, cn_param to);

/* Freezes or thaws one column's parameters. */
void cn_net_freeze(cn_net *net, int column, bool frozen);

/* Floats in a column's slices: its own connections, and its laterals and adapters. */
typedef struct cn_column_size {
    size_t own;
    size_t lateral;
} cn_column_size;
cn_column_size cn_net_column_size(const cn_net *net, int column);

/* Hidden units of all columns before `column`: the width of their features. */
int cn_net_features(const cn_net *net, int column);

/* Adds the network up to `column` to a graph.
 * @param inputs    a node [B, input_size] for each column 0..column; those of earlier columns are
 * not looked at when `features` is given
 * @param features  -1: compute the earlier columns. Otherwise a node [B, cn_net_features(column)]
 * that holds their hidden layers: they don't change while this column learns
 * @param out_features  NULL, or receives a node that holds those hidden layers (-1 for column 0)
 * @return the output node [B, outputs]; mistakes are reported by cn_graph_finish. */
cn_node cn_net_build(const cn_net *net, cn_graph *graph, const cn_node *inputs, int column,
                     cn_node features, cn_node *out_features);

/* The same, computing the earlier columns; also gives the last hidden layer of every column, for a
 * further head. @param out_hidden  [column + 1] */
cn_node cn_net_build_hidden(const cn_net *net, cn_graph *graph, const cn_node *inputs, int column,
                            cn_node *out_hidden);

#endif
