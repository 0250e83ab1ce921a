/* Progressive networks: what they compute, where gradients flow, how they start, what is refused.
 */
#include "tests/progressive/network.h"

/* The graph sums at most 14 products of numbers near 1 in float32; the naive forward in double. */
#define FORWARD_TOLERANCE 2e-6

/* An identity start adds products with 0 to the sums of the old head; only their order differs. */
#define IDENTITY_TOLERANCE 1e-6

static cn_error err;

/* ---- Forward and backward ---- */

static void check_forward(int columns, cn_lateral lateral)
{
    network n = network_create(columns, lateral);
    const int k = columns - 1;
    const cn_node y = cn_net_build(n.net, n.bench.graph, n.input, k, -1, NULL);
    bench_finish(&n.bench, ROWS, CN_INFERENCE);
    fill_inputs(&n, k);
    cn_graph_forward(n.bench.graph, ROWS);
    CU_ASSERT_EQUAL(cn_graph_width(n.bench.graph, y), OUTPUTS);
    for (int r = 0; r < ROWS; r++) {
        hidden_layers h;
        double expected[OUTPUTS];
        naive_forward(&n, k, r, h, expected);
        for (int o = 0; o < OUTPUTS; o++)
            CU_ASSERT_DOUBLE_EQUAL(cn_graph_value(n.bench.graph, y)[r * OUTPUTS + o], expected[o],
                                   FORWARD_TOLERANCE);
    }
    network_destroy(&n);
}

static void test_forward_is_equation_1(void)
{
    for (int columns = 1; columns <= 3; columns++)
        check_forward(columns, CN_LATERAL_LINEAR);
}

static void test_forward_is_equation_2(void)
{
    for (int columns = 2; columns <= 3; columns++)
        check_forward(columns, CN_LATERAL_ADAPTER);
}

static void test_forward_without_laterals(void)
{
    check_forward(2, CN_LATERAL_NONE);
    check_forward(3, CN_LATERAL_NONE);
}

/* Every slice of the last column against central differences; the frozen ones stay at zero. */
static void check_backward(int columns, cn_lateral lateral)
{
    network n = network_create(columns, lateral);
    const int k = columns - 1;
    const cn_node y = cn_net_build(n.net, n.bench.graph, n.input, k, -1, NULL);
    const cn_node loss = readout(&n.bench, y, OUTPUTS);
    bench_finish(&n.bench, ROWS, CN_TRAINING);
    fill_inputs(&n, k);
    check_gradients(&n.bench, loss);
    size_t frozen = 0;
    for (cn_param p = 0; p < cn_params_slices(n.bench.params); p++) {
        const cn_param_info *info = cn_params_info(n.bench.params, p);
        for (size_t i = 0; info->frozen && i < info->count; i++, frozen++)
            CU_ASSERT_EQUAL(cn_params_grads(n.bench.params)[info->offset + i], 0.0f);
    }
    CU_ASSERT_EQUAL(frozen + cn_params_trainable(n.bench.params), cn_params_count(n.bench.params));
    CU_ASSERT_TRUE(columns == 1 || frozen > OUTPUTS);
    network_destroy(&n);
}

static void test_gradients_of_the_new_column(void)
{
    for (int columns = 1; columns <= 3; columns++) {
        check_backward(columns, CN_LATERAL_LINEAR);
        check_backward(columns, CN_LATERAL_ADAPTER);
    }
}

/* ---- Features ---- */

/* Hidden layers computed once and given back as an input: the same bits, forward and backward. */
static void check_features(cn_lateral lateral)
{
    network n = network_create(3, lateral);
    cn_graph *g = n.bench.graph;
    cn_node computed;
    const cn_node y = cn_net_build(n.net, g, n.input, 2, -1, &computed);
    const int width = cn_net_features(n.net, 2);
    const cn_node cached = cn_op_input(g, "features", width);
    const cn_node only_own[3] = {-1, -1, n.input[2]};
    cn_node again;
    const cn_node z = cn_net_build(n.net, g, only_own, 2, cached, &again);
    const cn_node loss_y = readout(&n.bench, y, OUTPUTS);
    const cn_node loss_z =
        cn_op_linear(g, z, cn_params_find(n.bench.params, "readout"), -1, CN_IDENTITY);
    bench_finish(&n.bench, ROWS, CN_TRAINING);
    CU_ASSERT_EQUAL(cn_graph_width(g, computed), width);
    fill_inputs(&n, 2);
    cn_graph_forward(g, ROWS);
    const size_t bytes = (size_t)ROWS * (size_t)width * sizeof(float);
    memcpy(cn_graph_value(g, cached), cn_graph_value(g, computed), bytes);
    cn_graph_forward(g, ROWS);
    CU_ASSERT_EQUAL(
        memcmp(cn_graph_value(g, y), cn_graph_value(g, z), ROWS * OUTPUTS * sizeof(float)), 0);
    CU_ASSERT_EQUAL(memcmp(cn_graph_value(g, again), cn_graph_value(g, computed), bytes), 0);

    const size_t count = cn_params_count(n.bench.params);
    float *grads = calloc(count, sizeof *grads);
    CU_ASSERT_PTR_NOT_NULL_FATAL(grads);
    cn_graph_backward(g, loss_y, 1.0f);
    cn_graph_bind_grads(g, grads);
    cn_graph_backward(g, loss_z, 1.0f);
    CU_ASSERT_EQUAL(memcmp(grads, cn_params_grads(n.bench.params), count * sizeof *grads), 0);
    free(grads);
    network_destroy(&n);
}

static void test_cached_features_give_the_same_bits(void)
{
    check_features(CN_LATERAL_LINEAR);
    check_features(CN_LATERAL_ADAPTER);
}

/* Features hold every hidden layer, column by column, layer by layer. */
static void test_features_layout(void)
{
    network n = network_create(3, CN_LATERAL_LINEAR);
    cn_node features, none;
    cn_net_build(n.net, n.bench.graph, n.input, 0, -1, &none);
    CU_ASSERT_EQUAL(none, -1);
    cn_net_build(n.net, n.bench.graph, n.input, 2, -1, &features);
    bench_finish(&n.bench, ROWS, CN_INFERENCE);
    fill_inputs(&n, 2);
    cn_graph_forward(n.bench.graph, ROWS);
    CU_ASSERT_EQUAL(cn_net_features(n.net, 0), 0);
    CU_ASSERT_EQUAL(cn_net_features(n.net, 1), 5 + 4);
    CU_ASSERT_EQUAL(cn_net_features(n.net, 2), 5 + 4 + 3 + 6 + 2);
    for (int r = 0; r < ROWS; r++) {
        const float *x = cn_graph_value(n.bench.graph, features) + r * cn_net_features(n.net, 2);
        hidden_layers h;
        double y[OUTPUTS];
        naive_forward(&n, 2, r, h, y);
        for (int j = 0; j < 2; j++)
            for (int i = 0; i < column_specs[j].layers; i++)
                for (int u = 0; u < column_specs[j].hidden[i]; u++)
                    CU_ASSERT_DOUBLE_EQUAL(*x++, h[j][i][u], FORWARD_TOLERANCE);
    }
    network_destroy(&n);
}

/* ---- Growing ---- */

/* The largest difference between the outputs of the last column and of the one before it. */
static double start_difference(int columns, cn_lateral before, cn_lateral lateral, cn_growth growth)
{
    network n = network_create(columns - 1, before);
    grow(&n, lateral, growth);
    const cn_node old = cn_net_build(n.net, n.bench.graph, n.input, columns - 2, -1, NULL);
    const cn_node new = cn_net_build(n.net, n.bench.graph, n.input, columns - 1, -1, NULL);
    bench_finish(&n.bench, ROWS, CN_INFERENCE);
    double largest = 0.0;
    for (int batch = 0; batch < 20; batch++) {
        fill_inputs(&n, columns - 1);
        cn_graph_forward(n.bench.graph, ROWS);
        const float *a = cn_graph_value(n.bench.graph, old);
        const float *b = cn_graph_value(n.bench.graph, new);
        for (int i = 0; i < ROWS * OUTPUTS; i++)
            largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    }
    network_destroy(&n);
    return largest;
}

static const cn_lateral kinds[] = {CN_LATERAL_LINEAR, CN_LATERAL_ADAPTER};

static void test_identity_start(void)
{
    for (int columns = 2; columns <= 3; columns++)
        for (int before = 0; before < 2; before++)
            for (int after = 0; after < 2; after++)
                CU_ASSERT_TRUE(start_difference(columns, kinds[before], kinds[after],
                                                CN_GROW_IDENTITY) <= IDENTITY_TOLERANCE);
    /* also beside a column that had no laterals itself */
    CU_ASSERT_TRUE(start_difference(3, CN_LATERAL_NONE, CN_LATERAL_LINEAR, CN_GROW_IDENTITY) <=
                   IDENTITY_TOLERANCE);
}

static void test_random_start_is_another_network(void)
{
    for (int columns = 2; columns <= 3; columns++)
        for (int after = 0; after < 2; after++)
            CU_ASSERT_TRUE(
                start_difference(columns, CN_LATERAL_LINEAR, kinds[after], CN_GROW_RANDOM) > 0.1);
}

/* The first gradient of an identity start reaches everything that the new head can reach. */
static void test_identity_start_can_learn(void)
{
    network n = network_create(1, CN_LATERAL_LINEAR);
    grow(&n, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    const cn_node y = cn_net_build(n.net, n.bench.graph, n.input, 1, -1, NULL);
    const cn_node loss = readout(&n.bench, y, OUTPUTS);
    bench_finish(&n.bench, ROWS, CN_TRAINING);
    fill_inputs(&n, 1);
    cn_graph_forward(n.bench.graph, ROWS);
    cn_graph_backward(n.bench.graph, loss, 1.0f);
    const cn_param head = cn_params_find(n.bench.params, "net/1/layer3.weight");
    const cn_param_info *info = cn_params_info(n.bench.params, head);
    for (size_t i = 0; i < info->count; i++)
        CU_ASSERT_NOT_EQUAL(cn_params_grads(n.bench.params)[info->offset + i], 0.0f);
    network_destroy(&n);
}

static void test_growing_leaves_earlier_columns(void)
{
    network n = network_create(2, CN_LATERAL_ADAPTER);
    const uint64_t before = cn_params_checksum(n.bench.params, "net/");
    const size_t trainable = cn_params_trainable(n.bench.params);
    grow(&n, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    cn_net_freeze(n.net, 2, true);
    CU_ASSERT_EQUAL(cn_params_trainable(n.bench.params), trainable);
    const uint64_t after = cn_params_checksum(n.bench.params, "net/");
    CU_ASSERT_NOT_EQUAL(after, before); /* the new slices are in it */
    network same = network_create(2, CN_LATERAL_ADAPTER);
    for (int k = 0; k < 2; k++) {
        char prefix[24];
        snprintf(prefix, sizeof prefix, "net/%d/", k);
        CU_ASSERT_EQUAL(cn_params_checksum(n.bench.params, prefix),
                        cn_params_checksum(same.bench.params, prefix));
    }
    network_destroy(&same);
    network_destroy(&n);
}

static void test_initial_values(void)
{
    network n = network_create(1, CN_LATERAL_LINEAR);
    grow(&n, CN_LATERAL_ADAPTER, CN_GROW_RANDOM);
    CU_ASSERT_EQUAL(*weights(&n, 1, "adapter", 1, "scale0"), column_specs[1].adapter_scale);
    CU_ASSERT_EQUAL(*weights(&n, 1, "layer", 1, "bias"), 0.0f);
    /* the head [2, 2 + 4] has orthogonal rows of length output_gain */
    const float *w = weights(&n, 1, "layer", 3, "weight");
    double dot = 0.0, length = 0.0;
    for (int i = 0; i < 6; i++) {
        dot += (double)w[i] * (double)w[6 + i];
        length += (double)w[i] * (double)w[i];
    }
    CU_ASSERT_DOUBLE_EQUAL(dot, 0.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(length, 1.0, 1e-6);
    network_destroy(&n);
}

static void test_blank_start_draws_nothing(void)
{
    network n = network_create(1, CN_LATERAL_LINEAR);
    cn_column_spec spec = column_specs[1];
    spec.lateral = CN_LATERAL_ADAPTER;
    CN_ASSERT_OK(cn_net_grow(n.net, &spec, CN_GROW_BLANK, NULL, &err));
    for (int i = 0; i < cn_params_slices(n.bench.params); i++) {
        const cn_param_info *info = cn_params_info(n.bench.params, i);
        if (strncmp(info->name, "net/1/", 6) != 0 || strstr(info->name, "scale"))
            continue;
        const float *values = cn_params_slice(n.bench.params, i);
        for (size_t k = 0; k < info->count; k++)
            CU_ASSERT_EQUAL(values[k], 0.0f);
    }
    network_destroy(&n);
}

/* Floats of each column, counted by hand from the widths at the top. */
static void test_column_size(void)
{
    network n = network_create(3, CN_LATERAL_LINEAR);
    const cn_column_size first = cn_net_column_size(n.net, 0), third = cn_net_column_size(n.net, 2);
    CU_ASSERT_EQUAL(first.own, 5 * 3 + 5 + 4 * 5 + 4 + 2 * 4 + 2);
    CU_ASSERT_EQUAL(first.lateral, 0);
    CU_ASSERT_EQUAL(third.own, 4 * 2 + 4 + 3 * 4 + 3 + 2 * 3 + 2);
    CU_ASSERT_EQUAL(third.lateral, 3 * (5 + 3) + 2 * (4 + 2));
    network_destroy(&n);

    n = network_create(2, CN_LATERAL_ADAPTER);
    const cn_column_size second = cn_net_column_size(n.net, 1);
    CU_ASSERT_EQUAL(second.own, 3 * 4 + 3 + 6 * 3 + 6 + 2 * 6 + 2 + 2 * 2 + 2);
    /* layers 1 and 2 have adapters: U, V, c, a; the head reads the 4 units directly */
    CU_ASSERT_EQUAL(second.lateral, 6 * 3 + 3 * 5 + 3 + 1 + 2 * 3 + 3 * 4 + 3 + 1 + 2 * 4);
    CU_ASSERT_EQUAL(second.own + second.lateral, cn_params_trainable(n.bench.params));
    network_destroy(&n);
}

/* ---- Refusals ---- */

static cn_status try_grow(network *n, cn_column_spec spec, cn_growth growth)
{
    return cn_net_grow(n->net, &spec, growth, &n->bench.rng, &err);
}

static void test_grow_refuses(void)
{
    network n = network_create(1, CN_LATERAL_LINEAR);
    const size_t count = cn_params_count(n.bench.params);
    const cn_column_spec good = column_specs[1];
    cn_column_spec bad = good;
    bad.input_size = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "net, column 1: input_size is 0, not >= 1",
                    try_grow(&n, bad, CN_GROW_RANDOM));
    bad = good;
    bad.layers = CN_MAX_LAYERS + 1;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "net, column 1: 7 hidden layers; 1 to 6 are possible",
                    try_grow(&n, bad, CN_GROW_RANDOM));
    bad.layers = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 hidden layers", try_grow(&n, bad, CN_GROW_RANDOM));
    bad = good;
    bad.hidden[1] = -3;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "hidden layer 1 has -3 units, not >= 1",
                    try_grow(&n, bad, CN_GROW_RANDOM));
    bad = good;
    bad.lateral = CN_LATERAL_ADAPTER;
    bad.adapter_size = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "adapter_size is 0, not >= 1",
                    try_grow(&n, bad, CN_GROW_RANDOM));
    bad = good;
    bad.lateral = CN_LATERAL_NONE;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "needs a column before it and laterals from it",
                    try_grow(&n, bad, CN_GROW_IDENTITY));
    /* a refusal leaves no trace */
    CU_ASSERT_EQUAL(cn_net_columns(n.net), 1);
    CU_ASSERT_EQUAL(cn_params_count(n.bench.params), count);
    CU_ASSERT_EQUAL(try_grow(&n, good, CN_GROW_IDENTITY), CN_OK);
    network_destroy(&n);
}

static void test_first_and_last_column(void)
{
    network n = network_create(0, CN_LATERAL_LINEAR);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "net, column 0: an identity start needs a column before it",
                    try_grow(&n, column_specs[0], CN_GROW_IDENTITY));
    for (int k = 0; k < CN_MAX_COLUMNS; k++)
        CN_ASSERT_OK(try_grow(&n, column_specs[0], CN_GROW_RANDOM));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "net has 8 columns, the most there can be",
                    try_grow(&n, column_specs[0], CN_GROW_RANDOM));
    CU_ASSERT_EQUAL(cn_net_columns(n.net), CN_MAX_COLUMNS);
    network_destroy(&n);
}

static void test_create_and_destroy(void)
{
    bench b = bench_create();
    cn_net *net = NULL;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "net: 0 outputs; at least 1 is needed",
                    cn_net_create(b.params, "net", 0, &net, &err));
    CU_ASSERT_PTR_NULL(net);
    CN_ASSERT_OK(cn_net_create(b.params, "net", 1, &net, &err));
    cn_net_destroy(&net);
    CU_ASSERT_PTR_NULL(net);
    cn_net_destroy(&net);
    bench_destroy(&b);
}

static void test_default_column_grows(void)
{
    network n = network_create(0, CN_LATERAL_LINEAR);
    cn_column_spec spec = cn_column_default();
    spec.input_size = 3;
    CU_ASSERT_EQUAL(try_grow(&n, spec, CN_GROW_RANDOM), CN_OK);
    CU_ASSERT_EQUAL(cn_net_column(n.net, 0)->hidden[1], 64);
    network_destroy(&n);
}

CN_TEST_MAIN("progressive.net", T(test_forward_is_equation_1), T(test_forward_is_equation_2),
             T(test_forward_without_laterals), T(test_gradients_of_the_new_column),
             T(test_cached_features_give_the_same_bits), T(test_features_layout),
             T(test_identity_start), T(test_random_start_is_another_network),
             T(test_identity_start_can_learn), T(test_growing_leaves_earlier_columns),
             T(test_initial_values), T(test_blank_start_draws_nothing), T(test_column_size),
             T(test_grow_refuses), T(test_first_and_last_column), T(test_create_and_destroy),
             T(test_default_column_grows))
