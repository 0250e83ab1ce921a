/* The graph: mistakes are named, gradients go where they are needed and nowhere else, fewer rows
 * than planned, the same bits every time. */
#include "base/pool.h"
#include "tensor/optim.h"
#include "tests/tensor/gradcheck.h"

/* ---- Mistakes. ---- */

static void finish_fails(bench *t, cn_status code, const char *words)
{
    cn_error err = {0};
    CN_ASSERT_FAILS(code, words, cn_graph_finish(t->graph, ROWS, CN_TRAINING, &err));
    bench_destroy(t);
}

static void test_finish_names_the_node_of_a_wrong_weight(void)
{
    bench t = bench_create();
    const cn_param W = random_param(&t, "actor/W", 3, 4, 1.0f);
    CU_ASSERT_EQUAL(cn_op_linear(t.graph, t.unit, W, -1, CN_TANH), -1);
    finish_fails(&t, CN_ERR_SHAPE,
                 "node 1 (linear): parameter 'actor/W' is [3, 4], it must be [any, 5] here");
}

static void test_finish_names_the_node_of_a_wrong_bias(void)
{
    bench t = bench_create();
    const cn_param W = random_param(&t, "W", 3, ROWS, 1.0f), b = random_param(&t, "b", 1, 4, 1.0f);
    CU_ASSERT_EQUAL(cn_op_linear(t.graph, t.unit, W, b, CN_TANH), -1);
    finish_fails(&t, CN_ERR_SHAPE, "node 1 (linear): parameter 'b' is [1, 4], it must be [1, 3]");
}

static void test_finish_names_parameters_that_do_not_exist(void)
{
    bench t = bench_create();
    CU_ASSERT_EQUAL(cn_op_linear(t.graph, t.unit, 0, -1, CN_TANH), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "node 1 (linear): parameter 0 does not exist; there are 0");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_layer_norm(t.graph, t.unit, -1, -1), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "node 1 (layer_norm): parameter -1 does not exist");
}

static void test_finish_names_inputs_that_do_not_exist(void)
{
    bench t = bench_create();
    CU_ASSERT_EQUAL(cn_op_add(t.graph, t.unit, 7), -1);
    finish_fails(&t, CN_ERR_ARGUMENT,
                 "node 1 (add): input 1 is node 7, but there are 1 nodes before this one");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_concat(t.graph, (const cn_node[]){-1}, 1), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "node 1 (concat): input 0 is node -1");
}

static void test_finish_names_wrong_widths(void)
{
    bench t = bench_create();
    const cn_node x = cn_op_input(t.graph, "x", 3);
    CU_ASSERT_EQUAL(cn_op_add(t.graph, t.unit, x), -1);
    finish_fails(&t, CN_ERR_SHAPE, "node 2 (add): node 0 has 5 columns and node 1 has 3");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_squared_error(t.graph, t.unit, cn_op_input(t.graph, "x", 3)), -1);
    finish_fails(&t, CN_ERR_SHAPE, "(squared_error): node 0 has 5 columns and node 1 has 3");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_input(t.graph, "camera", 0), -1);
    finish_fails(&t, CN_ERR_SHAPE, "node 1 (input): 'camera' has 0 columns");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_concat(t.graph, NULL, 0), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "(concat): 0 parts");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_linear_of(t.graph, NULL, 0, 0, -1, CN_TANH), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "(linear): 0 parts");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_activation(t.graph, t.unit, (cn_activation)9), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "(activation): 9 is no activation");
    t = bench_create();
    const cn_param W = random_param(&t, "W", 1, ROWS, 1.0f);
    CU_ASSERT_EQUAL(cn_op_linear(t.graph, t.unit, W, -1, (cn_activation)-1), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "(linear): -1 is no activation");
}

static void test_finish_names_slices_outside(void)
{
    const int wrong[][2] = {{-1, 2}, {0, 0}, {5, 1}, {4, 2}, {1, 2147483647}};
    for (int i = 0; i < 5; i++) {
        bench t = bench_create();
        CU_ASSERT_EQUAL(cn_op_slice(t.graph, t.unit, wrong[i][0], wrong[i][1]), -1);
        finish_fails(&t, CN_ERR_SHAPE, "but node 0 has 5 columns");
    }
    bench t = bench_create();
    CU_ASSERT_TRUE(cn_op_slice(t.graph, t.unit, 4, 1) >= 0);
    CU_ASSERT_TRUE(cn_op_slice(t.graph, t.unit, 0, 5) >= 0);
    bench_finish(&t, ROWS, CN_TRAINING);
    bench_destroy(&t);
}

static void test_finish_names_mistakes_of_heads(void)
{
    bench t = bench_create();
    const cn_param s = random_param(&t, "log_std", 1, 4, 1.0f);
    CU_ASSERT_EQUAL(cn_op_gaussian(t.graph, t.unit, s, t.unit), -1);
    finish_fails(&t, CN_ERR_SHAPE, "(gaussian): parameter 'log_std' is [1, 4], it must be [1, 5]");
    t = bench_create();
    const cn_node chosen = cn_op_input(t.graph, "chosen", 2);
    CU_ASSERT_EQUAL(cn_op_categorical(t.graph, t.unit, chosen, 2, 3), -1);
    finish_fails(&t, CN_ERR_SHAPE, "(categorical): 2 groups of 3 choices, but node 0 has 5");
    t = bench_create();
    CU_ASSERT_EQUAL(cn_op_categorical(t.graph, t.unit, t.unit, 1, 5), -1);
    finish_fails(&t, CN_ERR_SHAPE, "(categorical): node 0 has 5 columns, 1 are needed here");
    t = bench_create();
    const cn_node computed = leaf(&t, "computed", 1, 1.0f);
    CU_ASSERT_EQUAL(cn_op_categorical(t.graph, t.unit, computed, 1, 5), -1);
    finish_fails(&t, CN_ERR_ARGUMENT, "(categorical): node 1 (linear) must be an input here");
}

static void test_finish_names_mistakes_of_ppo_loss(void)
{
    const cn_ppo_loss settings = {.clip = 0.2f};
    const int widths[3] = {2, 1, 4};
    const char *words[3] = {"the head is node 1 with 3 columns, it must have 2",
                            "the value is node 2 with 3 columns, it must have 1",
                            "node 3 has 3 columns, 4 are needed here"};
    for (int wrong = 0; wrong < 3; wrong++) {
        bench t = bench_create();
        cn_node inputs[3];
        for (int k = 0; k < 3; k++)
            inputs[k] = cn_op_input(t.graph, "x", k == wrong ? 3 : widths[k]);
        CU_ASSERT_EQUAL(cn_op_ppo_loss(t.graph, inputs[0], inputs[1], inputs[2], &settings), -1);
        finish_fails(&t, CN_ERR_SHAPE, words[wrong]);
    }
}

/* What follows from a mistake is no second mistake. */
static void test_the_first_mistake_is_the_one_reported(void)
{
    bench t = bench_create();
    const cn_node bad = cn_op_slice(t.graph, t.unit, 3, 9);
    CU_ASSERT_EQUAL(cn_op_add(t.graph, bad, t.unit), -1);
    CU_ASSERT_EQUAL(cn_op_input(t.graph, "fine", 3), -1);
    finish_fails(&t, CN_ERR_SHAPE, "node 1 (slice)");
}

static void test_finish_refuses_bad_plans(void)
{
    cn_error err = {0};
    bench t = bench_create();
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 rows planned",
                    cn_graph_finish(t.graph, 0, CN_TRAINING, &err));
    CN_ASSERT_OK(cn_graph_finish(t.graph, 3, CN_TRAINING, &err));
    CU_ASSERT_EQUAL(cn_graph_max_rows(t.graph), 3);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "finished already",
                    cn_graph_finish(t.graph, 3, CN_TRAINING, &err));
    cn_graph_destroy(&t.graph);
    CU_ASSERT_PTR_NULL(t.graph);
    cn_graph_destroy(&t.graph);
    CN_ASSERT_OK(cn_graph_create(t.params, &t.graph, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "no nodes", cn_graph_finish(t.graph, 3, CN_TRAINING, &err));
    for (int i = 0; i < 4; i++) /* 4 nodes of 2^31 x 2^31 floats: 2^66 bytes */
        cn_op_input(t.graph, "huge", 2147483647);
    CN_ASSERT_FAILS(CN_ERR_MEMORY, "plan fewer rows",
                    cn_graph_finish(t.graph, 2147483647, CN_TRAINING, &err));
    bench_destroy(&t);
}

/* ---- Where gradients go. ---- */

/* x -> W1 (tanh) -> W2 -> loss, beside an unused branch. */
typedef struct chain {
    bench t;
    cn_node x, hidden, unused, loss;
} chain;

static chain chain_create(const char *frozen, cn_graph_mode mode)
{
    chain c = {.t = bench_create()};
    c.x = leaf(&c.t, "x", 4, 1.0f);
    const cn_param W1 = random_param(&c.t, "W1", 3, 4, 0.5f);
    const cn_param b1 = random_param(&c.t, "b1", 1, 3, 0.5f);
    c.hidden = cn_op_linear(c.t.graph, c.x, W1, b1, CN_TANH);
    c.unused = cn_op_activation(c.t.graph, c.hidden, CN_TANH);
    const cn_param W2 = random_param(&c.t, "W2", 1, 3, 0.5f);
    c.loss = cn_op_linear(c.t.graph, c.hidden, W2, -1, CN_IDENTITY);
    if (frozen)
        cn_params_freeze(c.t.params, frozen, true);
    bench_finish(&c.t, ROWS, mode);
    cn_graph_forward(c.t.graph, ROWS);
    cn_graph_backward(c.t.graph, c.loss, 1.0f);
    return c;
}

/* The largest gradient of a slice. */
static float grad_size(chain *c, const char *name)
{
    const cn_param_info *info = cn_params_info(c->t.params, cn_params_find(c->t.params, name));
    float largest = 0.0f;
    for (size_t i = info->offset; i < info->offset + info->count; i++)
        largest = fmaxf(largest, fabsf(cn_params_grads(c->t.params)[i]));
    return largest;
}

static void test_frozen_slices_get_no_gradient(void)
{
    chain c = chain_create("W1", CN_TRAINING);
    CU_ASSERT_EQUAL(grad_size(&c, "W1"), 0.0f);
    CU_ASSERT_TRUE(grad_size(&c, "W2") > 0.0f);
    CU_ASSERT_TRUE(grad_size(&c, "b1") > 0.0f);
    CU_ASSERT_TRUE(grad_size(&c, "x") > 0.0f); /* flows through the frozen weight */
    bench_destroy(&c.t);
}

/* With everything below W2 frozen, nothing below it needs a gradient at all. */
static void test_nothing_flows_below_the_lowest_learning_slice(void)
{
    chain c = chain_create("x", CN_TRAINING);
    CU_ASSERT_PTR_NULL(cn_graph_grad(c.t.graph, c.x));
    CU_ASSERT_PTR_NOT_NULL(cn_graph_grad(c.t.graph, c.hidden));
    CU_ASSERT_PTR_NULL(cn_graph_grad(c.t.graph, c.t.unit));
    CU_ASSERT_EQUAL(grad_size(&c, "x"), 0.0f);
    CU_ASSERT_TRUE(grad_size(&c, "W1") > 0.0f);
    bench_destroy(&c.t);
    c = chain_create("", CN_TRAINING);
    CU_ASSERT_PTR_NULL(cn_graph_grad(c.t.graph, c.loss));
    CU_ASSERT_EQUAL(grad_size(&c, "W2"), 0.0f);
    bench_destroy(&c.t);
}

static void test_inference_keeps_no_gradients(void)
{
    chain c = chain_create(NULL, CN_INFERENCE);
    CU_ASSERT_PTR_NULL(cn_graph_grad(c.t.graph, c.hidden));
    CU_ASSERT_PTR_NULL(cn_graph_grad(c.t.graph, c.loss));
    CU_ASSERT_EQUAL(grad_size(&c, "W2"), 0.0f);
    bench_destroy(&c.t);
}

/* Backward twice: parameter gradients add up, node gradients are those of the last one alone. What
 * the loss does not depend on has gradient zero. */
static void test_backward_adds_to_parameters_only(void)
{
    chain c = chain_create(NULL, CN_TRAINING);
    const float once = grad_size(&c, "W2");
    const float node = cn_graph_grad(c.t.graph, c.hidden)[0];
    CU_ASSERT_EQUAL(cn_graph_grad(c.t.graph, c.loss)[ROWS - 1], 1.0f);
    cn_graph_backward(c.t.graph, c.loss, 1.0f);
    CU_ASSERT_DOUBLE_EQUAL(grad_size(&c, "W2"), 2.0 * (double)once, 1e-6);
    CU_ASSERT_EQUAL(cn_graph_grad(c.t.graph, c.hidden)[0], node);
    cn_graph_backward(c.t.graph, c.loss, 0.5f);
    CU_ASSERT_EQUAL(cn_graph_grad(c.t.graph, c.hidden)[0], 0.5f * node);
    CU_ASSERT_EQUAL(cn_graph_grad(c.t.graph, c.unused)[0], 0.0f);
    bench_destroy(&c.t);
}

static void test_gradients_go_to_the_bound_block(void)
{
    chain c = chain_create(NULL, CN_TRAINING);
    const size_t count = cn_params_count(c.t.params);
    float *shard = calloc(count, sizeof *shard);
    CU_ASSERT_PTR_NOT_NULL_FATAL(shard);
    cn_graph_bind_grads(c.t.graph, shard);
    cn_graph_backward(c.t.graph, c.loss, 1.0f);
    CU_ASSERT_EQUAL(memcmp(shard, cn_params_grads(c.t.params), count * sizeof *shard), 0);
    CU_ASSERT_TRUE(grad_size(&c, "W2") > 0.0f);
    free(shard);
    bench_destroy(&c.t);
}

/* ---- Rows and bits. ---- */

/* Float sums of up to 5 terms near 1 by two kernels. */
#define TOLERANCE 1e-6

static void test_fewer_rows_than_planned(void)
{
    chain c = chain_create(NULL, CN_TRAINING);
    float full[ROWS];
    memcpy(full, cn_graph_value(c.t.graph, c.loss), sizeof full);
    for (int rows = 1; rows <= ROWS; rows++) {
        memset(cn_graph_value(c.t.graph, c.loss), 0, sizeof full);
        memset(cn_params_grads(c.t.params), 0, cn_params_count(c.t.params) * sizeof(float));
        cn_graph_forward(c.t.graph, rows);
        cn_graph_backward(c.t.graph, c.loss, 1.0f);
        for (int b = 0; b < ROWS; b++)
            CU_ASSERT_DOUBLE_EQUAL(cn_graph_value(c.t.graph, c.loss)[b], b < rows ? full[b] : 0.0f,
                                   TOLERANCE);
        /* Column b of "x" feeds row b alone. */
        const cn_param_info *x = cn_params_info(c.t.params, cn_params_find(c.t.params, "x"));
        for (int b = 0; b < ROWS; b++)
            CU_ASSERT_EQUAL(cn_params_grads(c.t.params)[x->offset + (size_t)b] != 0.0f, b < rows);
    }
    bench_destroy(&c.t);
}

static void test_same_inputs_same_bits(void)
{
    chain a = chain_create(NULL, CN_TRAINING), b = chain_create(NULL, CN_TRAINING);
    const size_t bytes = cn_params_count(a.t.params) * sizeof(float);
    CU_ASSERT_EQUAL(memcmp(cn_graph_value(a.t.graph, a.loss), cn_graph_value(b.t.graph, b.loss),
                           ROWS * sizeof(float)),
                    0);
    CU_ASSERT_EQUAL(memcmp(cn_params_grads(a.t.params), cn_params_grads(b.t.params), bytes), 0);
    bench_destroy(&a.t);
    bench_destroy(&b.t);
}

/* One batch cut into shards, each with a graph and a gradient block of its own, all sharing params.
 */
enum { SHARDS = 6, SHARD_ROWS = 7, HIDDEN = 40 };

typedef struct shards {
    cn_params *params;
    cn_graph *graphs[SHARDS];
    cn_node x[SHARDS], loss[SHARDS];
    float *grads[SHARDS];
} shards;

static void run_shard(void *ctx, int i)
{
    shards *s = ctx;
    memset(s->grads[i], 0, cn_params_count(s->params) * sizeof(float));
    cn_graph_forward(s->graphs[i], SHARD_ROWS);
    cn_graph_backward(s->graphs[i], s->loss[i], 1.0f);
}

static void build_shard(shards *s, int i, cn_param W1, cn_param W2)
{
    cn_error err = {0};
    cn_rng rng = cn_rng_make(11, (uint64_t)i);
    CN_ASSERT_OK(cn_graph_create(s->params, &s->graphs[i], &err));
    s->x[i] = cn_op_input(s->graphs[i], "x", HIDDEN);
    const cn_node hidden = cn_op_linear(s->graphs[i], s->x[i], W1, -1, CN_TANH);
    s->loss[i] = cn_op_linear(s->graphs[i], hidden, W2, -1, CN_IDENTITY);
    CN_ASSERT_OK(cn_graph_finish(s->graphs[i], SHARD_ROWS, CN_TRAINING, &err));
    for (int k = 0; k < SHARD_ROWS * HIDDEN; k++)
        cn_graph_value(s->graphs[i], s->x[i])[k] = (float)cn_rng_normal(&rng);
    s->grads[i] = calloc(cn_params_count(s->params), sizeof(float));
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->grads[i]);
    cn_graph_bind_grads(s->graphs[i], s->grads[i]);
}

/* Each number of threads, many times, must give the bits of one thread. */
static void test_shards_give_the_same_bits_on_any_threads(void)
{
    cn_error err = {0};
    shards s = {0};
    cn_rng rng = cn_rng_make(11, 99);
    cn_param W1, W2;
    CN_ASSERT_OK(cn_params_create(&s.params, &err));
    CN_ASSERT_OK(cn_params_add(s.params, "W1", HIDDEN, HIDDEN, &W1, &err));
    CN_ASSERT_OK(cn_params_add(s.params, "W2", 1, HIDDEN, &W2, &err));
    cn_params_fill_orthogonal(s.params, W1, 1.0f, &rng);
    cn_params_fill_orthogonal(s.params, W2, 1.0f, &rng);
    for (int i = 0; i < SHARDS; i++)
        build_shard(&s, i, W1, W2);
    const size_t bytes = cn_params_count(s.params) * sizeof(float);
    float *want = malloc(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(want);
    for (int threads = 1; threads <= 8; threads *= 2) {
        cn_pool *pool;
        CN_ASSERT_OK(cn_pool_create(threads, &pool, &err));
        for (int repeat = 0; repeat < 50; repeat++) {
            cn_pool_run(pool, SHARDS, run_shard, &s);
            cn_grads_reduce(s.params, s.grads, SHARDS);
            if (threads == 1 && repeat == 0)
                memcpy(want, cn_params_grads(s.params), bytes);
            CU_ASSERT_EQUAL(memcmp(want, cn_params_grads(s.params), bytes), 0);
        }
        cn_pool_destroy(&pool);
    }
    CU_ASSERT_TRUE(cn_grads_norm(s.params) > 0.1);
    for (int i = 0; i < SHARDS; i++) {
        cn_graph_destroy(&s.graphs[i]);
        free(s.grads[i]);
    }
    free(want);
    cn_params_destroy(&s.params);
}

/* Also after nodes whose number of columns fits no vector. */
static void test_values_are_aligned(void)
{
    bench t = bench_create();
    cn_node nodes[5];
    for (int i = 0; i < 5; i++)
        nodes[i] = leaf(&t, (const char *[]){"a", "b", "c", "d", "e"}[i], 1 + 2 * i, 1.0f);
    bench_finish(&t, 3, CN_TRAINING);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL((uintptr_t)cn_graph_value(t.graph, nodes[i]) % 64, 0);
        CU_ASSERT_EQUAL((uintptr_t)cn_graph_grad(t.graph, nodes[i]) % 64, 0);
    }
    bench_destroy(&t);
}

CN_TEST_MAIN("tensor.graph", T(test_finish_names_the_node_of_a_wrong_weight),
             T(test_finish_names_the_node_of_a_wrong_bias),
             T(test_finish_names_parameters_that_do_not_exist),
             T(test_finish_names_inputs_that_do_not_exist), T(test_finish_names_wrong_widths),
             T(test_finish_names_slices_outside), T(test_finish_names_mistakes_of_heads),
             T(test_finish_names_mistakes_of_ppo_loss),
             T(test_the_first_mistake_is_the_one_reported), T(test_finish_refuses_bad_plans),
             T(test_frozen_slices_get_no_gradient),
             T(test_nothing_flows_below_the_lowest_learning_slice),
             T(test_inference_keeps_no_gradients), T(test_backward_adds_to_parameters_only),
             T(test_gradients_go_to_the_bound_block), T(test_fewer_rows_than_planned),
             T(test_same_inputs_same_bits), T(test_shards_give_the_same_bits_on_any_threads),
             T(test_values_are_aligned))
