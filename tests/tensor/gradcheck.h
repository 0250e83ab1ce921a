/* Checks gradients of a graph against central differences.
 *
 * Every number that a gradient is wanted for is a parameter: leaf() makes a node [B, width] whose
 * values are those of a parameter, by multiplying the unit matrix with it. So one loop over
 * parameters checks the gradients of weights and of inputs alike. */
#ifndef CN_TESTS_TENSOR_GRADCHECK_H
#define CN_TESTS_TENSOR_GRADCHECK_H

#include "tensor/graph.h"
#include "tests/test.h"

#define ROWS 5

/* Step and tolerance for float32: at this step rounding (1e-7 / step) and curvature (step^2 / 6)
 * both stay near 2e-5 for values near 1; the tolerance leaves room for ten such terms. */
#define GRAD_STEP      5e-3f
#define GRAD_TOLERANCE 5e-4

typedef struct bench {
    cn_params *params;
    cn_graph *graph;
    cn_node unit; /* input [ROWS, ROWS]: the unit matrix */
    cn_rng rng;
} bench;

static inline bench bench_create(void)
{
    cn_error err = {0};
    bench t = {.rng = cn_rng_make(7, 1)};
    CN_ASSERT_OK(cn_params_create(&t.params, &err));
    CN_ASSERT_OK(cn_graph_create(t.params, &t.graph, &err));
    t.unit = cn_op_input(t.graph, "unit", ROWS);
    return t;
}

static inline void bench_destroy(bench *t)
{
    cn_graph_destroy(&t->graph);
    cn_params_destroy(&t->params);
}

/* A parameter of normal numbers times `spread`. */
static inline cn_param random_param(bench *t, const char *name, int rows, int cols, float spread)
{
    cn_error err = {0};
    cn_param p;
    CN_ASSERT_OK(cn_params_add(t->params, name, rows, cols, &p, &err));
    for (size_t i = 0; i < cn_params_info(t->params, p)->count; i++)
        cn_params_slice(t->params, p)[i] = spread * (float)cn_rng_normal(&t->rng);
    return p;
}

/* A node [ROWS, width] with y[b, i] = parameter[i, b]. */
static inline cn_node leaf(bench *t, const char *name, int width, float spread)
{
    const cn_param p = random_param(t, name, width, ROWS, spread);
    return cn_op_linear(t->graph, t->unit, p, -1, CN_IDENTITY);
}

/* A [ROWS, 1] node: fixed random weights times the columns of x, so that every column counts. */
static inline cn_node readout(bench *t, cn_node x, int width)
{
    const cn_param p = random_param(t, "readout", 1, width, 1.0f);
    cn_params_freeze(t->params, "readout", true);
    return cn_op_linear(t->graph, x, p, -1, CN_IDENTITY);
}

static inline void bench_finish(bench *t, int max_rows, cn_graph_mode mode)
{
    cn_error err = {0};
    CN_ASSERT_OK(cn_graph_finish(t->graph, max_rows, mode, &err));
    float *unit = cn_graph_value(t->graph, t->unit);
    for (int b = 0; b < ROWS && b < max_rows; b++)
        unit[b * ROWS + b] = 1.0f;
}

static inline double total_loss(bench *t, cn_node loss)
{
    cn_graph_forward(t->graph, ROWS);
    double sum = 0;
    for (int b = 0; b < ROWS; b++)
        sum += (double)cn_graph_value(t->graph, loss)[b];
    return sum;
}

/* Compares one slice; @return the largest gradient in it. */
static inline double check_slice(bench *t, cn_node loss, const cn_param_info *info)
{
    double largest = 0;
    for (size_t i = info->offset; i < info->offset + info->count; i++) {
        float *x = cn_params_values(t->params) + i;
        const float before = *x;
        *x = before + GRAD_STEP;
        const double above = total_loss(t, loss);
        *x = before - GRAD_STEP;
        const double below = total_loss(t, loss);
        *x = before;
        const double numeric = (above - below) / (2.0 * (double)GRAD_STEP);
        const double found = (double)cn_params_grads(t->params)[i];
        const double allowed = GRAD_TOLERANCE * fmax(1.0, fabs(numeric));
        if (!(fabs(found - numeric) <= allowed))
            printf("\n    %s[%zu]: gradient %.6f, by differences %.6f\n", info->name,
                   i - info->offset, found, numeric);
        CU_ASSERT_TRUE(fabs(found - numeric) <= allowed);
        largest = fmax(largest, fabs(found));
    }
    return largest;
}

/* Checks every parameter that is not frozen against differences of the loss summed over ROWS rows,
 * and that no slice's gradient is all zero. The graph must be finished. */
static inline void check_gradients(bench *t, cn_node loss)
{
    memset(cn_params_grads(t->params), 0, cn_params_count(t->params) * sizeof(float));
    cn_graph_forward(t->graph, ROWS);
    cn_graph_backward(t->graph, loss, 1.0f);
    int checked = 0;
    for (cn_param p = 0; p < cn_params_slices(t->params); p++) {
        const cn_param_info *info = cn_params_info(t->params, p);
        if (info->frozen)
            continue;
        CU_ASSERT_TRUE(check_slice(t, loss, info) > 1e-3);
        checked++;
    }
    CU_ASSERT_TRUE(checked > 0);
}

#endif
