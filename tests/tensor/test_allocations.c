/* Nothing is allocated in what runs at training or control rate: forward, backward, the optimiser.
 */
#include "tensor/optim.h"
#include "tests/allocations.h"
#include "tests/tensor/gradcheck.h"

static const cn_ppo_loss ppo = {.clip = 0.2f, .value_weight = 0.5f};

/* Every op in one graph. */
static cn_node every_op(bench *t)
{
    cn_graph *g = t->graph;
    const cn_node x = leaf(t, "x", 4, 1.0f), z = leaf(t, "z", 4, 1.0f);
    const cn_node parts[] = {cn_op_add(g, x, z), cn_op_activation(g, x, CN_TANH)};
    const cn_node both = cn_op_concat(g, parts, 2);
    const cn_node hidden = cn_op_linear(g, both, random_param(t, "W", 6, 8, 0.5f),
                                        random_param(t, "b", 1, 6, 0.5f), CN_RELU);
    const cn_node mean = cn_op_slice(g, hidden, 0, 4), chosen = cn_op_input(g, "chosen", 2);
    const cn_node normal = cn_op_gaussian(g, mean, random_param(t, "s", 1, 4, 0.1f), z);
    const cn_node choice = cn_op_categorical(g, hidden, chosen, 2, 3);
    const cn_node value = cn_op_squared_error(g, mean, x);
    return cn_op_ppo_loss(g, cn_op_add(g, normal, choice), value, cn_op_input(g, "targets", 4),
                          &ppo);
}

static void test_running_allocates_nothing(void)
{
    bench t = bench_create();
    const cn_node loss = every_op(&t);
    bench_finish(&t, ROWS, CN_TRAINING);
    cn_adam adam = cn_adam_default();
    const long before = atomic_load(&allocations);
    for (int rows = 1; rows <= ROWS; rows++) {
        cn_grads_zero(t.params, cn_params_grads(t.params));
        cn_graph_forward(t.graph, rows);
        cn_graph_backward(t.graph, loss, 1.0f);
        cn_grads_clip(t.params, 0.1);
        cn_adam_update(&adam, t.params);
    }
    CU_ASSERT_EQUAL(atomic_load(&allocations), before);
    CU_ASSERT_TRUE(isfinite(cn_graph_value(t.graph, loss)[0]));
    bench_destroy(&t);
}

/* The counter counts: building does allocate, and destroying gives back. */
static void test_building_is_counted(void)
{
    const long before = atomic_load(&allocations);
    bench t = bench_create();
    every_op(&t);
    const long built = atomic_load(&allocations);
    CU_ASSERT_TRUE(built > before + 20);
    bench_destroy(&t);
    CU_ASSERT_TRUE(atomic_load(&allocations) > built);
}

CN_TEST_MAIN("tensor.allocations", T(test_running_allocates_nothing), T(test_building_is_counted))
