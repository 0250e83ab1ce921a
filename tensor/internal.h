/* What the files of tensor/ share: the node, the table of an op's functions, checked sizes.
 *
 * An op is one file: its cn_op_<name> builder checks what it is given and adds a node; its static
 * cn_op_kind holds the two functions that run it. Legend of every op file:
 *     B  rows of this pass       I, O  columns in, columns out */
#ifndef CN_TENSOR_INTERNAL_H
#define CN_TENSOR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vector.h"
#include "tensor/graph.h"

/* ---- Memory. ---- */

/* *out = a * b, or a + b. @return false on overflow. */
static inline bool cn_size_mul(size_t a, size_t b, size_t *out)
{
    *out = a * b;
    return b == 0 || a <= SIZE_MAX / b;
}

static inline bool cn_size_add(size_t a, size_t b, size_t *out)
{
    *out = a + b;
    return a <= SIZE_MAX - b;
}

/* `count` zeros, 64-byte aligned, owned by the caller, free(); NULL if there is no memory. */
float *cn_floats_create(size_t count);

/* ---- Nodes. ---- */

typedef struct cn_graph_node cn_graph_node;

/* How a kind of node runs. Both functions see B >= 1 rows and allocate nothing. */
typedef struct cn_op_kind {
    const char *name; /* for messages */
    void (*forward)(cn_graph *g, const cn_graph_node *node, int B);
    /* Called with node->grad complete: passes it on to inputs (cn_grad_into) and parameters
     * (cn_grad_of_param). NULL: nothing flows back. */
    void (*backward)(cn_graph *g, const cn_graph_node *node, int B);
    bool scratch;    /* backward uses cn_graph_scratch, [B, width of this node] */
    bool wants_grad; /* needs a gradient in CN_TRAINING even when it passes none on */
    bool strides;    /* forward and backward read the inputs' values by their stride */
    /* The node is neighbouring columns of input 0, from the one this returns: no copy is made where
     * every reader goes by strides and no gradient flows. NULL: it has values of its own. */
    size_t (*view)(const cn_graph_node *node);
    /* Floats of cn_graph_workspace that backward uses, whatever the rows. NULL: none. */
    size_t (*workspace)(const cn_graph *g, const cn_graph_node *node);
} cn_op_kind;

#define CN_NODE_PARAMS (2 + CN_ADAPTER_SOURCES)

struct cn_graph_node {
    const cn_op_kind *kind;
    int number; /* its cn_node */
    int width;
    cn_node *inputs; /* owned, input_count of them, all smaller than number */
    int input_count;
    cn_param params[CN_NODE_PARAMS]; /* -1: none */
    void *detail;                    /* owned by the node: the op's own settings, or NULL */

    bool needs_grad; /* decided by finish, like all below */
    bool is_view;    /* value lies in that of input 0 */
    int stride;      /* floats from one row of value to the next: width, unless it is a view */
    float *value;    /* [max_rows, width] in the arena */
    float *grad;     /* the same, or NULL: needs none */
    bool grad_begun; /* the running backward has written grad */
};

/* Adds a node; inputs are copied, its parameters are -1 and detail holds `detail_size` zeros. NULL
 * after a mistake, also an earlier one, or without memory. Builders call it first, then check. */
cn_graph_node *cn_graph_add(cn_graph *g, const cn_op_kind *kind, const cn_node *inputs,
                            int input_count, size_t detail_size);

/* Notes the first mistake, "node 3 (linear): " before the message. @return -1 */
cn_node cn_graph_mistake(cn_graph *g, const cn_graph_node *node, cn_status code, const char *format,
                         ...);

/* Gives parameter k of the node its slice. @return false, mistake noted, unless it exists and is
 * [rows, cols]; 0 leaves a size free. */
bool cn_graph_use_param(cn_graph *g, cn_graph_node *node, int k, cn_param slice, int rows,
                        int cols);

/* @return false, mistake noted, unless inputs 0 and 1 have as many columns. */
bool cn_graph_same_width(cn_graph *g, const cn_graph_node *node);
/* @return false, mistake noted, unless input k is a cn_op_input of `width` columns: data, through
 * which no gradient flows. */
bool cn_graph_use_data(cn_graph *g, const cn_graph_node *node, int k, int width);
const cn_param_info *cn_graph_param_info(const cn_graph *g, const cn_graph_node *node, int k);

/* ---- For forward and backward. ---- */

const cn_graph_node *cn_graph_at(const cn_graph *g, cn_node node);
/* The node that is input k. */
const cn_graph_node *cn_graph_input(const cn_graph *g, const cn_graph_node *node, int k);
/* Values of parameter k; NULL: none. */
const float *cn_graph_param(const cn_graph *g, const cn_graph_node *node, int k);
/* Where to add the gradient of parameter k; NULL: none needed. */
float *cn_grad_of_param(const cn_graph *g, const cn_graph_node *node, int k);
/* Where the gradient of input k goes; NULL: none needed. *first tells that nothing has been written
 * there yet: then every element must be written, else it must be added to. */
float *cn_grad_into(cn_graph *g, const cn_graph_node *node, int k, bool *first);
/* Memory of the running backward alone: the next node's finds anything in it. */
float *cn_graph_scratch(cn_graph *g);
float *cn_graph_workspace(cn_graph *g);

/* ---- Loops that several ops share. ---- */

/* y = a x where `first`, else y += a x; x and y apart. */
void cn_add_scaled(float *restrict y, const float *restrict x, float a, size_t count, bool first);

/* y [B, O] = the bias in every row. */
void cn_fill_rows(float *y, const float *bias, int B, int O);
/* sum [O] += the rows of d [B, O], in order. */
void cn_add_rows(float *restrict sum, const float *restrict d, int B, int O);

bool cn_activation_known(cn_activation act);
/* y = act(y), `count` elements. */
void cn_activate(cn_activation act, float *y, size_t count);
/* out = dy act'(x) where y = act(x), `count` elements; out apart from both. */
void cn_activate_grad(cn_activation act, const float *y, const float *dy, float *out, size_t count);

#endif
