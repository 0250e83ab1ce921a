/* The graph: adding nodes, planning the arena, running forward and backward in order.
 *
 * Nodes are added after their inputs, so that their order is the order of evaluation, and its
 * reverse that of back-propagation. A gradient is never cleared: the first node to send one writes
 * it, the others add (cn_grad_into). */
#include <assert.h>
#include <cblas.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"

#define ALIGNMENT        64 /* bytes: a cache line, and the widest vector register */
#define ALIGNMENT_FLOATS (ALIGNMENT / sizeof(float))

struct cn_graph {
    cn_params *params;
    cn_graph_node **nodes; /* owned one by one: pointers to nodes stay valid while building */
    int count, capacity;
    cn_error mistake; /* the first one; CN_OK: none */

    bool finished;
    int max_rows, rows; /* planned; of the last forward */
    float *arena;
    float *scratch, *workspace; /* in the arena */
    const float *values;
    float *grads;
};

/* ---- Building. ---- */

/* Our own worker threads divide the work; inside one, OpenBLAS must not start more. */
static void use_one_blas_thread(void)
{
    openblas_set_num_threads(1);
}

cn_status cn_graph_create(cn_params *params, cn_graph **out, cn_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_blas_thread);
    *out = calloc(1, sizeof **out);
    CN_FAIL_IF(!*out, CN_ERR_MEMORY, err, "no memory for a graph");
    (*out)->params = params;
    return CN_OK;
}

static void destroy_node(cn_graph_node *node)
{
    free(node->inputs);
    free(node->detail);
    free(node);
}

void cn_graph_destroy(cn_graph **graph)
{
    cn_graph *g = *graph;
    if (!g)
        return;
    for (int i = 0; i < g->count; i++)
        destroy_node(g->nodes[i]);
    free(g->nodes);
    free(g->arena);
    free(g);
    *graph = NULL;
}

cn_node cn_graph_mistake(cn_graph *g, const cn_graph_node *node, cn_status code, const char *format,
                         ...)
{
    if (g->mistake.code != CN_OK)
        return -1;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    cn_error_set(&g->mistake, code, __FILE__, __LINE__, "node %d (%s): %s", node->number,
                 node->kind->name, message);
    return -1;
}

static bool grow_nodes(cn_graph *g)
{
    if (g->count < g->capacity)
        return true;
    const int capacity = g->capacity ? 2 * g->capacity : 32;
    cn_graph_node **grown = realloc(g->nodes, (size_t)capacity * sizeof(cn_graph_node *));
    if (!grown)
        return false;
    g->nodes = grown;
    g->capacity = capacity;
    return true;
}

cn_graph_node *cn_graph_add(cn_graph *g, const cn_op_kind *kind, const cn_node *inputs,
                            int input_count, size_t detail_size)
{
    assert(!g->finished);
    if (g->mistake.code != CN_OK)
        return NULL;
    cn_graph_node blank = {.kind = kind, .number = g->count};
    for (int k = 0; k < CN_NODE_PARAMS; k++)
        blank.params[k] = -1;
    for (int k = 0; k < input_count; k++) {
        if (inputs[k] < 0 || inputs[k] >= g->count) {
            cn_graph_mistake(g, &blank, CN_ERR_ARGUMENT,
                             "input %d is node %d, but there are %d nodes before this one", k,
                             inputs[k], g->count);
            return NULL;
        }
    }
    cn_graph_node *node = malloc(sizeof *node);
    const bool room = grow_nodes(g);
    if (node) {
        *node = blank;
        node->inputs = calloc((size_t)input_count + 1, sizeof *inputs);
        node->detail = calloc(1, detail_size + 1);
    }
    if (!room || !node || !node->inputs || !node->detail) {
        cn_graph_mistake(g, &blank, CN_ERR_MEMORY, "no memory for the node");
        if (node)
            destroy_node(node);
        return NULL;
    }
    for (int k = 0; k < input_count; k++)
        node->inputs[k] = inputs[k];
    node->input_count = input_count;
    g->nodes[g->count++] = node;
    return node;
}

bool cn_graph_use_param(cn_graph *g, cn_graph_node *node, int k, cn_param slice, int rows, int cols)
{
    if (slice < 0 || slice >= cn_params_slices(g->params)) {
        cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "parameter %d does not exist; there are %d",
                         slice, cn_params_slices(g->params));
        return false;
    }
    const cn_param_info *info = cn_params_info(g->params, slice);
    if ((rows && rows != info->rows) || (cols && cols != info->cols)) {
        char want[2][16] = {"any", "any"};
        if (rows)
            snprintf(want[0], sizeof want[0], "%d", rows);
        if (cols)
            snprintf(want[1], sizeof want[1], "%d", cols);
        cn_graph_mistake(g, node, CN_ERR_SHAPE,
                         "parameter '%s' is [%d, %d], it must be [%s, %s] here", info->name,
                         info->rows, info->cols, want[0], want[1]);
        return false;
    }
    node->params[k] = slice;
    return true;
}

bool cn_graph_same_width(cn_graph *g, const cn_graph_node *node)
{
    const cn_graph_node *x = cn_graph_input(g, node, 0), *z = cn_graph_input(g, node, 1);
    if (x->width != z->width)
        cn_graph_mistake(g, node, CN_ERR_SHAPE, "node %d has %d columns and node %d has %d",
                         x->number, x->width, z->number, z->width);
    return x->width == z->width;
}

/* ---- Planning. ---- */

static bool param_needs_grad(const cn_graph *g, cn_param slice)
{
    return slice >= 0 && !cn_params_info(g->params, slice)->frozen;
}

/* A node needs a gradient if it passes one on: to a parameter that learns, or to a node that does.
 */
static void mark_grads(cn_graph *g)
{
    for (int i = 0; i < g->count; i++) {
        cn_graph_node *node = g->nodes[i];
        node->needs_grad = node->kind->wants_grad;
        for (int k = 0; k < CN_NODE_PARAMS; k++)
            node->needs_grad = node->needs_grad || param_needs_grad(g, node->params[k]);
        for (int k = 0; k < node->input_count; k++)
            node->needs_grad = node->needs_grad || g->nodes[node->inputs[k]]->needs_grad;
    }
}

/* What could be a view is one if its readers know how to read it; without readers it is there to be
 * looked at. */
static void mark_views(cn_graph *g)
{
    for (int i = 0; i < g->count; i++) {
        cn_graph_node *node = g->nodes[i];
        bool read = false, readable = node->kind->view && !node->needs_grad;
        for (int r = i + 1; r < g->count; r++)
            for (int k = 0; k < g->nodes[r]->input_count; k++)
                if (g->nodes[r]->inputs[k] == i) {
                    read = true;
                    readable = readable && g->nodes[r]->kind->strides;
                }
        node->is_view = read && readable;
        node->stride = node->is_view ? g->nodes[node->inputs[0]]->stride : node->width;
    }
}

/* Puts `rows` x `width` floats at *top of the arena; while there is no arena it only measures.
 * @return false on overflow. */
static bool lay_out(const cn_graph *g, size_t rows, size_t width, size_t *top, float **at)
{
    size_t size;
    if (!cn_size_mul(rows, width, &size) || !cn_size_add(size, ALIGNMENT_FLOATS - 1, &size))
        return false;
    size -= size % ALIGNMENT_FLOATS;
    if (g->arena)
        *at = g->arena + *top;
    return cn_size_add(*top, size, top);
}

/* One pass over the nodes: measures on the first call, places on the second. */
static bool plan(cn_graph *g, size_t rows, size_t *floats)
{
    size_t scratch = 0, workspace = 0;
    bool good = true;
    *floats = 0;
    for (int i = 0; i < g->count && good; i++) {
        cn_graph_node *node = g->nodes[i];
        const size_t width = (size_t)node->width;
        if (node->is_view)
            node->value =
                g->arena ? g->nodes[node->inputs[0]]->value + node->kind->view(node) : NULL;
        else
            good = lay_out(g, rows, width, floats, &node->value);
        if (!node->needs_grad)
            continue;
        good = good && lay_out(g, rows, width, floats, &node->grad);
        if (node->kind->scratch && scratch < width)
            scratch = width;
        const size_t own = node->kind->workspace ? node->kind->workspace(g, node) : 0;
        if (workspace < own)
            workspace = own;
    }
    return good && lay_out(g, rows, scratch, floats, &g->scratch) &&
           lay_out(g, 1, workspace, floats, &g->workspace);
}

cn_status cn_graph_finish(cn_graph *g, int max_rows, cn_graph_mode mode, cn_error *err)
{
    CN_FAIL_IF(g->finished, CN_ERR_ARGUMENT, err, "the graph is finished already");
    CN_FAIL_IF(g->mistake.code != CN_OK, g->mistake.code, err, "%s", g->mistake.message);
    CN_FAIL_IF(g->count == 0, CN_ERR_ARGUMENT, err, "the graph has no nodes");
    CN_FAIL_IF(max_rows < 1, CN_ERR_ARGUMENT, err, "%d rows planned: at least 1 is needed",
               max_rows);
    size_t floats;
    if (mode == CN_TRAINING)
        mark_grads(g);
    mark_views(g);
    const bool measured = plan(g, (size_t)max_rows, &floats);
    g->arena = measured ? cn_floats_create(floats) : NULL;
    CN_FAIL_IF(!g->arena, CN_ERR_MEMORY, err, "no memory for %d nodes of %d rows: plan fewer rows",
               g->count, max_rows);
    plan(g, (size_t)max_rows, &floats);
    g->max_rows = max_rows;
    g->values = cn_params_values(g->params);
    g->grads = cn_params_grads(g->params);
    g->finished = true;
    return CN_OK;
}

/* ---- What ops ask. ---- */

const cn_graph_node *cn_graph_at(const cn_graph *g, cn_node node)
{
    assert(node >= 0 && node < g->count);
    return g->nodes[node];
}

const cn_graph_node *cn_graph_input(const cn_graph *g, const cn_graph_node *node, int k)
{
    assert(k >= 0 && k < node->input_count);
    return g->nodes[node->inputs[k]];
}

const cn_param_info *cn_graph_param_info(const cn_graph *g, const cn_graph_node *node, int k)
{
    return cn_params_info(g->params, node->params[k]);
}

const float *cn_graph_param(const cn_graph *g, const cn_graph_node *node, int k)
{
    const cn_param slice = node->params[k];
    return slice < 0 ? NULL : g->values + cn_params_info(g->params, slice)->offset;
}

float *cn_grad_of_param(const cn_graph *g, const cn_graph_node *node, int k)
{
    const cn_param slice = node->params[k];
    return param_needs_grad(g, slice) ? g->grads + cn_params_info(g->params, slice)->offset : NULL;
}

float *cn_grad_into(cn_graph *g, const cn_graph_node *node, int k, bool *first)
{
    cn_graph_node *input = g->nodes[node->inputs[k]];
    *first = !input->grad_begun;
    input->grad_begun = true;
    return input->grad;
}

float *cn_graph_scratch(cn_graph *g)
{
    return g->scratch;
}

float *cn_graph_workspace(cn_graph *g)
{
    return g->workspace;
}

/* ---- Running. ---- */

int cn_graph_width(const cn_graph *g, cn_node node)
{
    return cn_graph_at(g, node)->width;
}

int cn_graph_max_rows(const cn_graph *g)
{
    return g->max_rows;
}

float *cn_graph_value(cn_graph *g, cn_node node)
{
    assert(g->finished);
    const cn_graph_node *n = cn_graph_at(g, node);
    return n->is_view ? NULL : n->value;
}

const float *cn_graph_grad(const cn_graph *g, cn_node node)
{
    assert(g->finished);
    return cn_graph_at(g, node)->grad;
}

void cn_graph_bind_grads(cn_graph *g, float *grads)
{
    assert(g->finished);
    g->grads = grads;
}

void cn_graph_forward(cn_graph *g, int rows)
{
    assert(g->finished && rows >= 1 && rows <= g->max_rows);
    g->rows = rows;
    for (int i = 0; i < g->count; i++)
        if (g->nodes[i]->kind->forward && !g->nodes[i]->is_view)
            g->nodes[i]->kind->forward(g, g->nodes[i], rows);
}

void cn_graph_backward(cn_graph *g, cn_node loss, float seed)
{
    assert(g->finished && g->rows >= 1 && cn_graph_width(g, loss) == 1);
    for (int i = 0; i < g->count; i++)
        g->nodes[i]->grad_begun = false;
    cn_graph_node *start = g->nodes[loss];
    if (start->grad) {
        start->grad_begun = true;
        for (int b = 0; b < g->rows; b++)
            start->grad[b] = seed;
    }
    for (int i = g->count - 1; i >= 0; i--) {
        cn_graph_node *node = g->nodes[i];
        if (!node->grad)
            continue;
        if (node->grad_begun)
            node->kind->backward(g, node, g->rows);
        else /* the loss does not depend on it */
            memset(node->grad, 0, (size_t)g->rows * (size_t)node->width * sizeof(float));
    }
}

float *cn_floats_create(size_t count)
{
    size_t bytes;
    if (!cn_size_mul(count, sizeof(float), &bytes) || !cn_size_add(bytes, ALIGNMENT, &bytes))
        return NULL;
    bytes -= bytes % ALIGNMENT; /* a whole number of lines, at least one */
    float *floats = aligned_alloc(ALIGNMENT, bytes);
    if (floats)
        memset(floats, 0, bytes);
    return floats;
}
