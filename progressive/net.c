/* Progressive networks: growing columns and building their graph.
 *
 * Legend: k the column, j < k an earlier one, i a layer (0..L-1 hidden, L the output), h[j][i] the
 * hidden layer i of column j. */
#include "progressive/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The slices that make one layer of one column. */
typedef struct layer {
    cn_param weight;         /* [O, own + lateral]: W, then U for each source in order */
    cn_param bias;           /* [1, O] */
    int own;                 /* columns of W */
    int lateral;             /* columns of all U */
    cn_param adapter_weight; /* V [adapter_size, sum of the sources]; -1: no adapter */
    cn_param adapter_bias;   /* c [1, adapter_size] */
    cn_param adapter_scale[CN_MAX_COLUMNS]; /* a_j [1, 1] */
} layer;

typedef struct column {
    cn_column_spec spec;
    layer layers[CN_MAX_LAYERS + 1];
} column;

struct cn_net {
    cn_params *params;
    char name[CN_PARAM_NAME / 2];
    int outputs;
    int columns;
    column column[CN_MAX_COLUMNS];
};

cn_column_spec cn_column_default(void)
{
    return (cn_column_spec){
        .layers = 2,
        .hidden = {64, 64},
        .activation = CN_TANH,
        .lateral = CN_LATERAL_LINEAR,
        .adapter_size = 64,
        .adapter_scale = 1.0f,
        .output_gain = 1.0f,
    };
}

cn_status cn_net_create(cn_params *params, const char *name, int outputs, cn_net **out,
                        cn_error *err)
{
    *out = NULL;
    CN_FAIL_IF(outputs < 1, CN_ERR_ARGUMENT, err, "%s: %d outputs; at least 1 is needed", name,
               outputs);
    cn_net *net = calloc(1, sizeof *net);
    CN_FAIL_IF(!net, CN_ERR_MEMORY, err, "%s: no memory for a network", name);
    net->params = params;
    net->outputs = outputs;
    snprintf(net->name, sizeof net->name, "%s", name);
    *out = net;
    return CN_OK;
}

void cn_net_destroy(cn_net **net)
{
    free(*net);
    *net = NULL;
}

int cn_net_columns(const cn_net *net)
{
    return net->columns;
}

const cn_column_spec *cn_net_column(const cn_net *net, int k)
{
    return &net->column[k].spec;
}

static void prefix_of(const cn_net *net, int k, char out[CN_PARAM_NAME])
{
    snprintf(out, CN_PARAM_NAME, "%s/%d/", net->name, k);
}

void cn_net_freeze(cn_net *net, int k, bool frozen)
{
    char prefix[CN_PARAM_NAME];
    prefix_of(net, k, prefix);
    cn_params_freeze(net->params, prefix, frozen);
}

/* Which hidden layer of an earlier column feeds layer i of column k; -1: none. */
static int source_layer(const cn_net *net, int j, int k, int i)
{
    const int layers_j = net->column[j].spec.layers;
    if (i == net->column[k].spec.layers)
        return layers_j - 1;
    return i >= 1 && i - 1 < layers_j ? i - 1 : -1;
}

static int source_width(const cn_net *net, int j, int k, int i)
{
    const int from = source_layer(net, j, k, i);
    return from < 0 ? 0 : net->column[j].spec.hidden[from];
}

static int sources_width(const cn_net *net, int k, int i)
{
    int width = 0;
    for (int j = 0; j < k; j++)
        width += source_width(net, j, k, i);
    return width;
}

/* ---- Growing ---- */

static cn_status add_slice(cn_net *net, int k, const char *what, int i, const char *part, int rows,
                           int cols, cn_param *out, cn_error *err)
{
    char name[CN_PARAM_NAME * 2];
    snprintf(name, sizeof name, "%s/%d/%s%d.%s", net->name, k, what, i, part);
    return cn_params_add(net->params, name, rows, cols, out, err);
}

/* Without an rng a new slice stays as it is: zeros. */
static void draw(cn_net *net, cn_param slice, float gain, cn_rng *rng)
{
    if (rng)
        cn_params_fill_orthogonal(net->params, slice, gain, rng);
}

static cn_status add_adapter(cn_net *net, int k, int i, cn_rng *rng, cn_error *err)
{
    const cn_column_spec *spec = &net->column[k].spec;
    layer *l = &net->column[k].layers[i];
    CN_TRY(add_slice(net, k, "adapter", i, "weight", spec->adapter_size, sources_width(net, k, i),
                     &l->adapter_weight, err));
    CN_TRY(add_slice(net, k, "adapter", i, "bias", 1, spec->adapter_size, &l->adapter_bias, err));
    for (int j = 0; j < k; j++) {
        char part[32];
        snprintf(part, sizeof part, "scale%d", j);
        CN_TRY(add_slice(net, k, "adapter", i, part, 1, 1, &l->adapter_scale[j], err));
        cn_params_fill(net->params, l->adapter_scale[j], spec->adapter_scale);
    }
    draw(net, l->adapter_weight, sqrtf(2.0f), rng);
    return CN_OK;
}

static cn_status add_layer(cn_net *net, int k, int i, cn_rng *rng, cn_error *err)
{
    const cn_column_spec *spec = &net->column[k].spec;
    layer *l = &net->column[k].layers[i];
    const bool output = i == spec->layers;
    const int width = output ? net->outputs : spec->hidden[i];
    const int sources = spec->lateral == CN_LATERAL_NONE ? 0 : sources_width(net, k, i);
    const bool adapter = spec->lateral == CN_LATERAL_ADAPTER && !output && sources > 0;

    l->own = i == 0 ? spec->input_size : spec->hidden[i - 1];
    l->lateral = adapter ? spec->adapter_size : sources;
    l->adapter_weight = -1;
    if (adapter)
        CN_TRY(add_adapter(net, k, i, rng, err));
    CN_TRY(add_slice(net, k, "layer", i, "weight", width, l->own + l->lateral, &l->weight, err));
    CN_TRY(add_slice(net, k, "layer", i, "bias", 1, width, &l->bias, err));
    draw(net, l->weight, output ? spec->output_gain : sqrtf(2.0f), rng);
    return CN_OK;
}

int cn_net_head_width(const cn_net *net, int k)
{
    const column *c = &net->column[k];
    return c->layers[c->spec.layers].own + c->layers[c->spec.layers].lateral;
}

void cn_net_copy_head(cn_net *net, int k, cn_param from, cn_param to)
{
    const int from_own = net->column[k - 1].layers[net->column[k - 1].spec.layers].own;
    const int to_own = net->column[k].layers[net->column[k].spec.layers].own;
    const int rows = cn_params_info(net->params, to)->rows;
    const int from_width = cn_params_info(net->params, from)->cols;
    const int to_width = cn_params_info(net->params, to)->cols;
    const float *old = cn_params_slice(net->params, from);
    float *w = cn_params_slice(net->params, to);
    memset(w, 0, (size_t)rows * (size_t)to_width * sizeof *w);
    /* The sources of column k are columns 0..k-1; those of k-1 are 0..k-2, in the same order. */
    for (int o = 0; o < rows; o++) {
        float *end = w + (o + 1) * to_width;
        const float *row = old + o * from_width;
        memcpy(end - to_width + to_own, row + from_own,
               (size_t)(from_width - from_own) * sizeof *w);
        memcpy(end - from_own, row, (size_t)from_own * sizeof *w);
    }
}

/* Makes the output of column k that of column k-1. */
static void copy_output(cn_net *net, int k)
{
    const layer *from = &net->column[k - 1].layers[net->column[k - 1].spec.layers];
    const layer *to = &net->column[k].layers[net->column[k].spec.layers];
    cn_net_copy_head(net, k, from->weight, to->weight);
    memcpy(cn_params_slice(net->params, to->bias), cn_params_slice(net->params, from->bias),
           (size_t)net->outputs * sizeof(float));
}

static cn_status check_spec(const cn_net *net, const cn_column_spec *spec, cn_growth growth,
                            cn_error *err)
{
    const int k = net->columns;
    CN_FAIL_IF(k == CN_MAX_COLUMNS, CN_ERR_ARGUMENT, err,
               "%s has %d columns, the most there can be", net->name, k);
    CN_FAIL_IF(spec->input_size < 1, CN_ERR_ARGUMENT, err,
               "%s, column %d: input_size is %d, not >= 1", net->name, k, spec->input_size);
    CN_FAIL_IF(spec->layers < 1 || spec->layers > CN_MAX_LAYERS, CN_ERR_ARGUMENT, err,
               "%s, column %d: %d hidden layers; 1 to %d are possible", net->name, k, spec->layers,
               CN_MAX_LAYERS);
    for (int i = 0; i < spec->layers; i++)
        CN_FAIL_IF(spec->hidden[i] < 1, CN_ERR_ARGUMENT, err,
                   "%s, column %d: hidden layer %d has %d units, not >= 1", net->name, k, i,
                   spec->hidden[i]);
    CN_FAIL_IF(k > 0 && spec->lateral == CN_LATERAL_ADAPTER && spec->adapter_size < 1,
               CN_ERR_ARGUMENT, err, "%s, column %d: adapter_size is %d, not >= 1", net->name, k,
               spec->adapter_size);
    CN_FAIL_IF(growth == CN_GROW_IDENTITY && (k == 0 || spec->lateral == CN_LATERAL_NONE),
               CN_ERR_ARGUMENT, err,
               "%s, column %d: an identity start needs a column before it and laterals from it",
               net->name, k);
    return CN_OK;
}

cn_status cn_net_grow(cn_net *net, const cn_column_spec *spec, cn_growth growth, cn_rng *rng,
                      cn_error *err)
{
    CN_TRY(check_spec(net, spec, growth, err));
    const int k = net->columns;
    net->column[k].spec = *spec;
    for (int i = 0; i <= spec->layers; i++)
        CN_TRY(add_layer(net, k, i, growth == CN_GROW_BLANK ? NULL : rng, err));
    if (growth == CN_GROW_IDENTITY)
        copy_output(net, k);
    net->columns++;
    return CN_OK;
}

cn_column_size cn_net_column_size(const cn_net *net, int k)
{
    cn_column_size size = {0};
    for (int i = 0; i <= net->column[k].spec.layers; i++) {
        const layer *l = &net->column[k].layers[i];
        const size_t rows = (size_t)cn_params_info(net->params, l->weight)->rows;
        size.own += rows * (size_t)l->own + rows;
        size.lateral += rows * (size_t)l->lateral;
        if (l->adapter_weight >= 0)
            size.lateral += cn_params_info(net->params, l->adapter_weight)->count +
                            cn_params_info(net->params, l->adapter_bias)->count + (size_t)k;
    }
    return size;
}

/* ---- Building ---- */

int cn_net_features(const cn_net *net, int k)
{
    int units = 0;
    for (int j = 0; j < k; j++)
        for (int i = 0; i < net->column[j].spec.layers; i++)
            units += net->column[j].spec.hidden[i];
    return units;
}

typedef cn_node hidden_nodes[CN_MAX_COLUMNS][CN_MAX_LAYERS];

/* The lateral part of the input of layer i of column k, appended to parts; returns their number. */
static int build_laterals(const cn_net *net, cn_graph *g, hidden_nodes h, int k, int i,
                          cn_node *parts)
{
    const column *c = &net->column[k];
    const layer *l = &c->layers[i];
    if (l->lateral == 0)
        return 0;
    int count = 0;
    cn_param scales[CN_MAX_COLUMNS];
    for (int j = 0; j < k; j++) {
        const int from = source_layer(net, j, k, i);
        if (from < 0)
            continue;
        scales[count] = l->adapter_scale[j];
        parts[count++] = h[j][from];
    }
    if (l->adapter_weight < 0)
        return count;
    parts[0] = cn_op_adapter(g, parts, count, scales, l->adapter_weight, l->adapter_bias,
                             c->spec.activation);
    return 1;
}

/* Adds column k whose earlier columns' hidden layers are in h; fills h[k], returns its output. When
 * only its hidden layers are wanted, the output layer is left out. */
static cn_node build_column(const cn_net *net, cn_graph *g, hidden_nodes h, cn_node input, int k,
                            bool with_output)
{
    const column *c = &net->column[k];
    cn_node below = input;
    for (int i = 0; i <= c->spec.layers - (with_output ? 0 : 1); i++) {
        const layer *l = &c->layers[i];
        cn_node parts[CN_MAX_COLUMNS + 1] = {below};
        const int count = 1 + build_laterals(net, g, h, k, i, parts + 1);
        below = cn_op_linear_of(g, parts, count, l->weight, l->bias,
                                i == c->spec.layers ? CN_IDENTITY : c->spec.activation);
        if (i < c->spec.layers)
            h[k][i] = below;
    }
    return below;
}

/* Adds columns 0..k and fills h; returns the output of column k. */
static cn_node build(const cn_net *net, cn_graph *g, const cn_node *inputs, int k, cn_node features,
                     hidden_nodes h)
{
    int first = 0;
    for (int j = 0; j < k; j++) {
        if (features < 0)
            build_column(net, g, h, inputs[j], j, false);
        for (int i = 0; i < net->column[j].spec.layers; i++) {
            if (features >= 0)
                h[j][i] = cn_op_slice(g, features, first, net->column[j].spec.hidden[i]);
            first += net->column[j].spec.hidden[i];
        }
    }
    return build_column(net, g, h, inputs[k], k, true);
}

cn_node cn_net_build(const cn_net *net, cn_graph *g, const cn_node *inputs, int k, cn_node features,
                     cn_node *out_features)
{
    hidden_nodes h;
    cn_node flat[CN_MAX_COLUMNS * CN_MAX_LAYERS];
    int count = 0;
    const cn_node output = build(net, g, inputs, k, features, h);
    for (int j = 0; j < k; j++)
        for (int i = 0; i < net->column[j].spec.layers; i++)
            flat[count++] = h[j][i];
    if (out_features)
        *out_features = count ? cn_op_concat(g, flat, count) : -1;
    return output;
}

cn_node cn_net_build_hidden(const cn_net *net, cn_graph *g, const cn_node *inputs, int k,
                            cn_node *out_hidden)
{
    hidden_nodes h;
    const cn_node output = build(net, g, inputs, k, -1, h);
    for (int j = 0; j <= k; j++)
        out_hidden[j] = h[j][net->column[j].spec.layers - 1];
    return output;
}
