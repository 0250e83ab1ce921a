/* colonnade bench net: the network of cli/bench_network.h here and in PyTorch, one thread each.
 * Before anything is timed both have computed the same outputs and the same step of Adam. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/bench_network.h"
#include "cli/peer.h"
#include "tensor/optim.h"
#include "tensor/safetensors.h"

#define BATCH      256
#define MAX_SLICES 32

/* How far the two sides may be apart: outputs are sums of some 500 products near 1, in another
 * order; a first step of Adam is as long as the learning rate, whatever the gradient. */
#define OUTPUT_TOLERANCE 1e-5
#define STEP_TOLERANCE   0.05 /* of the learning rate */

static const char *const names[] = {NULL};
static const cli_usage usage = {
    .synopsis = "colonnade bench net [options]",
    .text = "A progressive network of two columns 20-256-256-7 with adapters of 64 units, on one "
            "thread: acting on one observation, and a training step of the second column (forward, "
            "backward, Adam; mean squared error, batch 256). With --peer, PyTorch in turn with it, "
            "on the same weights and the same batch, after both have computed the same numbers; "
            "'./dev bench net' brings that peer.",
    .example = "colonnade bench net --peer '.deps/bench-venv/bin/python3 bench/net_peer.py'",
    .positional = names,
};

typedef struct bench {
    cli_network network;
    cn_graph *learner; /* BATCH rows */
    cn_node input, target, output, loss;
    cn_adam adam;
    cli_peer peer;
    cli_sample act, learn; /* s */
    cli_sample peer_act, peer_eager, peer_learn;
    cli_sample act_ratio, eager_ratio, learn_ratio; /* the peer's time / ours, of each round */
    json_t *about_peer;                             /* its answer to `load` */
} bench;

/* ---- Our side ---- */

static void learn(void *ctx)
{
    bench *b = ctx;
    cn_grads_zero(b->network.params, cn_params_grads(b->network.params));
    cn_graph_forward(b->learner, BATCH);
    cn_graph_backward(b->learner, b->loss, 1.0f / BATCH);
    cn_adam_update(&b->adam, b->network.params);
}

static void draw(bench *b, cn_node node, cn_rng *rng)
{
    float *value = cn_graph_value(b->learner, node);
    for (int i = 0; i < BATCH * cn_graph_width(b->learner, node); i++)
        value[i] = (float)cn_rng_normal(rng);
}

static cn_status prepare(bench *b, cn_error *err)
{
    cn_rng rng = cn_rng_make(2, 0);
    CN_TRY(cli_network_create(CN_LATERAL_ADAPTER, &b->network, err));
    CN_TRY(cn_graph_create(b->network.params, &b->learner, err));
    b->input = cn_op_input(b->learner, "observation", CLI_NET_INPUTS);
    b->target = cn_op_input(b->learner, "target", CLI_NET_OUTPUTS);
    b->output = cli_network_build(&b->network, b->learner, b->input);
    b->loss = cn_op_squared_error(b->learner, b->output, b->target);
    CN_TRY(cn_graph_finish(b->learner, BATCH, CN_TRAINING, err));
    draw(b, b->input, &rng);
    draw(b, b->target, &rng);
    b->adam = cn_adam_default();
    return CN_OK;
}

/* ---- The peer ---- */

/* What the peer is given: tensors that borrow, and the names of those that are not parameters. */
typedef struct parcel {
    cn_tensor_view tensors[2 * MAX_SLICES + 4];
    char after[MAX_SLICES][CN_PARAM_NAME + 8];
    int count;
} parcel;

static void put(parcel *p, const char *name, const float *data, int rows, int cols)
{
    p->tensors[p->count++] = (cn_tensor_view){
        .name = name,
        .dtype = CN_F32,
        .rank = 2,
        .shape = {rows, cols},
        .data = data,
        .bytes = (size_t)rows * (size_t)cols * sizeof *data,
    };
}

static void pack(bench *b, const float *before, const float *after, const float adam[2], parcel *p)
{
    const cn_params *params = b->network.params;
    for (cn_param i = 0; i < cn_params_slices(params) && i < MAX_SLICES; i++) {
        const cn_param_info *slice = cn_params_info(params, i);
        put(p, slice->name, before + slice->offset, slice->rows, slice->cols);
        snprintf(p->after[i], sizeof p->after[i], "after/%s", slice->name);
        if (!slice->frozen)
            put(p, p->after[i], after + slice->offset, slice->rows, slice->cols);
    }
    cn_graph *g = b->learner;
    put(p, "batch/input", cn_graph_value(g, b->input), BATCH, CLI_NET_INPUTS);
    put(p, "batch/target", cn_graph_value(g, b->target), BATCH, CLI_NET_OUTPUTS);
    put(p, "batch/output", cn_graph_value(g, b->output), BATCH, CLI_NET_OUTPUTS);
    put(p, "batch/adam", adam, 1, 2);
}

/* Writes the weights, the batch, our outputs and our weights after one step. */
static cn_status write_parcel(bench *b, const char *path, cn_error *err)
{
    const size_t bytes = cn_params_count(b->network.params) * sizeof(float);
    const float adam[2] = {b->adam.learning_rate, b->adam.epsilon};
    float *before = malloc(bytes);
    parcel *p = calloc(1, sizeof *p);
    cn_status status = CN_OK;
    if (!before || !p)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a copy of the weights");
    memcpy(before, cn_params_values(b->network.params), bytes);
    learn(b);
    pack(b, before, cn_params_values(b->network.params), adam, p);
    status = cn_safetensors_write(path, p->tensors, p->count, NULL, 0, err);
cleanup:
    free(p);
    free(before);
    return status;
}

/* A number of an answer; NaN: it isn't there. */
static double number(const json_t *answer, const char *key)
{
    const json_t *value = json_object_get(answer, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static cn_status check_agreement(const json_t *answer, double learning_rate, cn_error *err)
{
    const double output = number(answer, "max_output_error");
    const double step = number(answer, "max_step_error");
    CN_FAIL_IF(!(output <= OUTPUT_TOLERANCE) || !(step <= STEP_TOLERANCE * learning_rate),
               CN_ERR_MISMATCH, err,
               "the two sides do not compute the same: outputs differ by %g (at most %g), weights "
               "after a step by %g (at most %g)",
               output, OUTPUT_TOLERANCE, step, STEP_TOLERANCE * learning_rate);
    return CN_OK;
}

/* Starts the peer and makes sure that it computes what we compute. */
static cn_status meet(bench *b, const char *command, cn_error *err)
{
    char path[] = "/tmp/colonnade-bench-XXXXXX";
    const int fd = mkstemp(path);
    CN_FAIL_IF(fd < 0, CN_ERR_IO, err, "cannot make a file in /tmp");
    close(fd);
    cn_status status = cli_peer_start(command, &b->peer, err);
    if (status == CN_OK)
        status = write_parcel(b, path, err);
    if (status == CN_OK)
        status = cli_peer_ask(&b->peer, &b->about_peer, err, "load %s", path);
    if (status == CN_OK)
        status = check_agreement(b->about_peer, (double)b->adam.learning_rate, err);
    unlink(path);
    return status;
}

/* Has the peer measure; notes its time, and its ratio to `ours`. */
static cn_status ask(bench *b, const char *what, double seconds, double ours, cli_sample *time,
                     cli_sample *ratio, cn_error *err)
{
    json_t *answer;
    if (!b->peer.pid)
        return CN_OK;
    CN_TRY(cli_peer_ask(&b->peer, &answer, err, "%s %.6f", what, seconds));
    const double theirs = 1e-6 * number(answer, "us");
    json_decref(answer);
    CN_FAIL_IF(!(theirs > 0), CN_ERR_FORMAT, err, "the peer (%s) gave no time for '%s'",
               b->peer.command, what);
    cli_sample_add(time, theirs);
    cli_sample_add(ratio, theirs / ours);
    return CN_OK;
}

/* ---- Rounds ---- */

static cn_status run_rounds(bench *b, const cli_rounds *r, cn_error *err)
{
    for (int i = 0; i < r->rounds; i++) {
        CN_FAIL_IF(atomic_load(cli_stop()), CN_ERR_CANCELLED, err, "stopped in round %d", i + 1);
        const double act = cli_bench_time(cli_network_act, &b->network, r->seconds);
        cli_sample_add(&b->act, act);
        CN_TRY(ask(b, "infer", r->seconds, act, &b->peer_act, &b->act_ratio, err));
        CN_TRY(ask(b, "eager", r->seconds, act, &b->peer_eager, &b->eager_ratio, err));
        const double step = cli_bench_time(learn, b, r->seconds);
        cli_sample_add(&b->learn, step);
        CN_TRY(ask(b, "train", r->seconds, step, &b->peer_learn, &b->learn_ratio, err));
        cli_progress(false, "round %d of %d: acting %.1f us, learning %.0f us", i + 1,
                     (int)r->rounds, 1e6 * act, 1e6 * step);
    }
    cli_progress_end();
    return CN_OK;
}

static void print_row(const char *what, const cli_sample *ours, const cli_sample *theirs,
                      const cli_sample *ratio)
{
    printf("  %-34s", what);
    printf(ours ? " %9.1f us" : "", ours ? 1e6 * cli_sample_median(ours) : 0.0);
    if (theirs->count > 0)
        printf(" %9.1f us   %.2f x   (%.2f to %.2f)", 1e6 * cli_sample_median(theirs),
               cli_sample_median(ratio), cli_sample_low(ratio), cli_sample_high(ratio));
    printf("\n");
}

static json_t *microseconds(const cli_sample *seconds)
{
    return seconds->count > 0 ? json_real(1e6 * cli_sample_median(seconds)) : json_null();
}

static void report(const bench *b, bool json)
{
    printf("two columns 20-256-256-7, adapters of 64 units, one thread; medians of %d rounds\n",
           b->act.count);
    if (b->about_peer)
        printf("  %-34s %12s %12s   PyTorch %s\n", "", "colonnade", "PyTorch",
               json_string_value(json_object_get(b->about_peer, "version")));
    print_row("acting, against TorchScript", &b->act, &b->peer_act, &b->act_ratio);
    print_row("acting, against eager mode", &b->act, &b->peer_eager, &b->eager_ratio);
    print_row("training step, batch 256", &b->learn, &b->peer_learn, &b->learn_ratio);
    if (!b->about_peer)
        printf("no peer was given: './dev bench net' brings PyTorch, --peer COMMAND another\n");
    if (json)
        cli_print_json(json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:i, s:O?}", "infer_us",
            microseconds(&b->act), "peer_infer_us", microseconds(&b->peer_act), "peer_eager_us",
            microseconds(&b->peer_eager), "train_us", microseconds(&b->learn), "peer_train_us",
            microseconds(&b->peer_learn), "ratios", "infer", cli_sample_json(&b->act_ratio),
            "eager", cli_sample_json(&b->eager_ratio), "train", cli_sample_json(&b->learn_ratio),
            "rounds", b->act.count, "peer", b->about_peer));
}

static cn_status measure(bench *b, const char *peer, const cli_rounds *rounds, bool json,
                         cn_error *err)
{
    CN_TRY(prepare(b, err));
    if (peer)
        CN_TRY(meet(b, peer, err));
    CN_TRY(run_rounds(b, rounds, err));
    report(b, json);
    return CN_OK;
}

int cli_bench_net(int argc, char **argv)
{
    cli_rounds rounds = cli_rounds_default();
    const char *peer = NULL;
    bool json = false;
    const cli_option options[] = {
        {"peer", "COMMAND", "starts the other side (bench/net_peer.py)", CLI_TEXT, &peer, 0, 0},
        CLI_ROUNDS_OPTIONS(&rounds),
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int wrong = cli_parse(&usage, options, argc, argv, NULL);
    if (wrong >= 0)
        return wrong;
    cn_error err = {0};
    bench b = {0};
    const cn_status status = measure(&b, peer, &rounds, json, &err);
    json_decref(b.about_peer);
    cli_peer_stop(&b.peer);
    cn_graph_destroy(&b.learner);
    cli_network_destroy(&b.network);
    return status == CN_OK ? CLI_DONE : cli_fail(&err);
}
