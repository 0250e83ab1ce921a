/* Small progressive networks for tests, and what they must compute: equations 1 and 2 of
 * arXiv:1606.04671, unit by unit, with weights looked up by name. Nothing here knows how net.c
 * keeps its layers.
 *
 * Legend: k the column, j < k an earlier one, i a layer, L the hidden layers of a column. */
#ifndef CN_TESTS_PROGRESSIVE_NETWORK_H
#define CN_TESTS_PROGRESSIVE_NETWORK_H

#include "progressive/net.h"
#include "tests/tensor/gradcheck.h"

#define OUTPUTS   2
#define MAX_WIDTH 16

/* Columns of different inputs, widths and depths: each later one is deeper, then shallower. */
static const cn_column_spec column_specs[3] = {
    {.input_size = 3,
     .layers = 2,
     .hidden = {5, 4},
     .activation = CN_TANH,
     .lateral = CN_LATERAL_LINEAR,
     .output_gain = 1.0f},
    {.input_size = 4,
     .layers = 3,
     .hidden = {3, 6, 2},
     .activation = CN_TANH,
     .lateral = CN_LATERAL_LINEAR,
     .adapter_size = 3,
     .adapter_scale = 0.5f,
     .output_gain = 1.0f},
    {.input_size = 2,
     .layers = 2,
     .hidden = {4, 3},
     .activation = CN_TANH,
     .lateral = CN_LATERAL_LINEAR,
     .adapter_size = 2,
     .adapter_scale = 0.1f,
     .output_gain = 1.0f},
};

typedef struct network {
    bench bench;
    cn_net *net;
    cn_node input[3];
} network;

/* Every parameter of a column to normal numbers, biases and adapters too. */
static inline void randomise(network *n, int k)
{
    char prefix[CN_PARAM_NAME];
    snprintf(prefix, sizeof prefix, "net/%d/", k);
    for (cn_param p = 0; p < cn_params_slices(n->bench.params); p++) {
        const cn_param_info *info = cn_params_info(n->bench.params, p);
        if (strncmp(info->name, prefix, strlen(prefix)) != 0)
            continue;
        for (size_t i = 0; i < info->count; i++)
            cn_params_slice(n->bench.params, p)[i] = 0.5f * (float)cn_rng_normal(&n->bench.rng);
    }
}

static inline void grow(network *n, cn_lateral lateral, cn_growth growth)
{
    cn_error err = {0};
    const int k = cn_net_columns(n->net);
    cn_column_spec spec = column_specs[k];
    spec.lateral = lateral;
    CN_ASSERT_OK(cn_net_grow(n->net, &spec, growth, &n->bench.rng, &err));
    n->input[k] = cn_op_input(n->bench.graph, "observation", spec.input_size);
}

/* @param columns  1..3, with random parameters; all but the last are frozen */
static inline network network_create(int columns, cn_lateral lateral)
{
    cn_error err = {0};
    network n = {.bench = bench_create()};
    CN_ASSERT_OK(cn_net_create(n.bench.params, "net", OUTPUTS, &n.net, &err));
    for (int k = 0; k < columns; k++) {
        grow(&n, lateral, CN_GROW_RANDOM);
        randomise(&n, k);
        cn_net_freeze(n.net, k, k < columns - 1);
    }
    return n;
}

static inline void network_destroy(network *n)
{
    cn_net_destroy(&n->net);
    bench_destroy(&n->bench);
}

/* Normal numbers into the inputs of columns 0..k. */
static inline void fill_inputs(network *n, int k)
{
    for (int j = 0; j <= k; j++)
        for (int i = 0; i < ROWS * column_specs[j].input_size; i++)
            cn_graph_value(n->bench.graph, n->input[j])[i] = (float)cn_rng_normal(&n->bench.rng);
}

/* ---- The naive forward, of one row ---- */

typedef double hidden_layers[3][CN_MAX_LAYERS][MAX_WIDTH];

static inline const float *weights(const network *n, int k, const char *what, int i,
                                   const char *part)
{
    char name[CN_PARAM_NAME];
    snprintf(name, sizeof name, "net/%d/%s%d.%s", k, what, i, part);
    const cn_param p = cn_params_find(n->bench.params, name);
    CU_ASSERT_FATAL(p >= 0);
    return cn_params_slice(n->bench.params, p);
}

/* The lateral input of layer i of column k: what its U multiplies; returns its width. */
static inline int naive_laterals(const network *n, hidden_layers h, int k, int i, double *x)
{
    const cn_column_spec *spec = cn_net_column(n->net, k);
    const bool output = i == spec->layers;
    const bool adapter = spec->lateral == CN_LATERAL_ADAPTER && !output;
    int width = 0;
    if (i == 0 || k == 0 || spec->lateral == CN_LATERAL_NONE)
        return 0;
    for (int j = 0; j < k; j++) {
        const int layers = cn_net_column(n->net, j)->layers;
        const int from = output ? layers - 1 : i - 1;
        char part[24];
        snprintf(part, sizeof part, "scale%d", j);
        const double a = adapter ? (double)*weights(n, k, "adapter", i, part) : 1.0;
        for (int u = 0; from < layers && u < cn_net_column(n->net, j)->hidden[from]; u++)
            x[width++] = a * h[j][from][u];
    }
    if (!adapter)
        return width;
    const float *V = weights(n, k, "adapter", i, "weight");
    const float *c = weights(n, k, "adapter", i, "bias");
    double projected[MAX_WIDTH];
    for (int o = 0; o < spec->adapter_size; o++) {
        double sum = (double)c[o];
        for (int u = 0; u < width; u++)
            sum += (double)V[o * width + u] * x[u];
        projected[o] = tanh(sum);
    }
    memcpy(x, projected, sizeof projected);
    return spec->adapter_size;
}

/* Column k on its input; fills h[k], for which h[0..k-1] must be there, and y [OUTPUTS]. */
static inline void naive_column(const network *n, hidden_layers h, int k, const float *input,
                                double *y)
{
    const cn_column_spec *spec = cn_net_column(n->net, k);
    for (int i = 0; i <= spec->layers; i++) {
        const bool output = i == spec->layers;
        const int own = i == 0 ? spec->input_size : spec->hidden[i - 1];
        double x[3 * MAX_WIDTH];
        for (int u = 0; u < own; u++)
            x[u] = i == 0 ? (double)input[u] : h[k][i - 1][u];
        const int width = own + naive_laterals(n, h, k, i, x + own);
        const float *W = weights(n, k, "layer", i, "weight");
        const float *b = weights(n, k, "layer", i, "bias");
        for (int o = 0; o < (output ? OUTPUTS : spec->hidden[i]); o++) {
            double sum = (double)b[o];
            for (int u = 0; u < width; u++)
                sum += (double)W[o * width + u] * x[u];
            if (output)
                y[o] = sum;
            else
                h[k][i][o] = tanh(sum);
        }
    }
}

/* The whole network up to column k on row r of the graph's inputs. */
static inline void naive_forward(const network *n, int k, int r, hidden_layers h, double *y)
{
    for (int j = 0; j <= k; j++)
        naive_column(n, h, j,
                     cn_graph_value(n->bench.graph, n->input[j]) + r * column_specs[j].input_size,
                     y);
}

#endif
