/* input and variable: columns the caller fills before forward; of a variable the gradient is kept.
 */
#include "tensor/internal.h"

static void keep(cn_graph *g, const cn_graph_node *node, int B)
{
    (void)g, (void)node, (void)B;
}

static const cn_op_kind input = {.name = "input"};
static const cn_op_kind variable = {.name = "variable", .backward = keep, .wants_grad = true};

static cn_node add(cn_graph *g, const cn_op_kind *kind, const char *name, int width)
{
    cn_graph_node *node = cn_graph_add(g, kind, NULL, 0, 0);
    if (!node)
        return -1;
    if (width < 1)
        return cn_graph_mistake(g, node, CN_ERR_SHAPE, "'%s' has %d columns, at least 1 is needed",
                                name, width);
    node->width = width;
    return node->number;
}

cn_node cn_op_input(cn_graph *g, const char *name, int width)
{
    return add(g, &input, name, width);
}

cn_node cn_op_variable(cn_graph *g, const char *name, int width)
{
    return add(g, &variable, name, width);
}

bool cn_graph_use_data(cn_graph *g, const cn_graph_node *node, int k, int width)
{
    const cn_graph_node *x = cn_graph_input(g, node, k);
    if (x->kind != &input) {
        cn_graph_mistake(g, node, CN_ERR_ARGUMENT, "node %d (%s) must be an input here", x->number,
                         x->kind->name);
        return false;
    }
    if (x->width != width) {
        cn_graph_mistake(g, node, CN_ERR_SHAPE, "node %d has %d columns, %d are needed here",
                         x->number, x->width, width);
        return false;
    }
    return true;
}
