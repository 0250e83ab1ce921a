/* colonnade bench ranks: what ranks cost each other. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/learning.h"
#include "cli/place.h"
#include "cli/ranks.h"

#define WARM_UP 2 /* rounds */

/* Sums are short, and a busy machine disturbs many of them: there are more rounds of them than of
 * training, short ones. Numbers and not times, so that all ranks make as many. */
#define SUM_ROUNDS 10     /* for one of training */
#define SUM_FLOATS 409600 /* about, in a round; or as many sums as: */
#define SUM_MOST   100

static const char *const names[] = {"TASK", NULL};
static const cli_usage usage = {
    .synopsis = "mpirun -n N colonnade bench ranks TASK [options]",
    .text = "Adds blocks of several lengths over all ranks, then trains TASK on them: the rate of "
            "all together, and for a minibatch the time of its update and, within it, of the "
            "exchange with the other ranks, waiting for the slowest of them included. Medians of "
            "the rounds. Without mpirun it trains alone.",
    .example = "mpirun -n 2 colonnade bench ranks scenes/reach.yaml --threads 1",
    .positional = names,
};

/* From a single number, which is latency, to the gradients of actor and critic of 2 x 512. */
static const size_t lengths[] = {1, 1024, 10240, 153600, 614400};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

typedef struct bench {
    int iterations;
    double rows;                      /* of an iteration, of all ranks */
    double minibatches;               /* of an epoch */
    cli_sample sum[LENGTHS];          /* s */
    cli_sample rate;                  /* environment steps/s */
    cli_sample update, exchange;      /* s a minibatch */
    cli_sample environments, waiting; /* shares of the threads' time */
} bench;

static cn_status add_blocks(bench *b, int rounds, cn_error *err)
{
    cn_peers *peers = cli_ranks();
    if (!peers)
        return CN_OK;
    cn_status status = CN_OK;
    float *block = calloc(lengths[LENGTHS - 1], sizeof *block);
    CN_FAIL_IF(!block, CN_ERR_MEMORY, err, "no memory for a block");
    for (int round = 0; round < WARM_UP + SUM_ROUNDS * rounds; round++)
        for (int i = 0; i < LENGTHS; i++) {
            const size_t some = 1 + SUM_FLOATS / lengths[i];
            const int sums = some < SUM_MOST ? (int)some : SUM_MOST;
            const int64_t began = cn_clock_now();
            for (int k = 0; k < sums; k++)
                CN_TRY_CLEANUP(peers->sum(peers, block, lengths[i], err));
            if (round >= WARM_UP)
                cli_sample_add(&b->sum[i],
                               (double)(cn_clock_now() - began) / (double)CN_NS_PER_S / sums);
        }
cleanup:
    free(block);
    return status;
}

static double metric(const cn_train_progress *p, const char *tag, double otherwise)
{
    for (int i = 0; i < p->metrics; i++)
        if (strcmp(p->metric[i].tag, tag) == 0)
            return p->metric[i].value;
    return otherwise;
}

static void measure(void *ctx, const cn_train_progress *p)
{
    bench *b = ctx;
    if (b->iterations++ < WARM_UP)
        return;
    const double seconds = b->rows / p->steps_per_second;
    const double minibatches = metric(p, "ppo/epochs", 1.0) * b->minibatches;
    cli_sample_add(&b->rate, p->steps_per_second);
    cli_sample_add(&b->update, p->last.update * seconds / minibatches);
    cli_sample_add(&b->exchange, metric(p, "ppo/exchange_s", 0.0));
    cli_sample_add(&b->environments, p->last.environments);
    cli_sample_add(&b->waiting, p->last.idle);
}

static json_t *to_json(const cli_sample *s, double unit)
{
    return json_pack("{s:f, s:f, s:f}", "median", cli_sample_median(s) * unit, "low",
                     cli_sample_low(s) * unit, "high", cli_sample_high(s) * unit);
}

static void report(const bench *b, int threads, bool json)
{
    const int ranks = cn_peers_size(cli_ranks());
    printf("%d rank(s) of %d thread(s); medians of %d rounds\n", ranks, threads, b->rate.count);
    json_t *sums = json_array();
    for (int i = 0; i < LENGTHS && ranks > 1; i++) {
        printf("  adding %7zu floats %10.1f us   (%.1f to %.1f)\n", lengths[i],
               1e6 * cli_sample_median(&b->sum[i]), 1e6 * cli_sample_low(&b->sum[i]),
               1e6 * cli_sample_high(&b->sum[i]));
        json_array_append_new(sums, json_pack("{s:I, s:o}", "floats", (json_int_t)lengths[i], "us",
                                              to_json(&b->sum[i], 1e6)));
    }
    printf("  training            %10.0f environment steps/s\n"
           "  update of a minibatch %8.1f us, exchange %.1f us of it\n",
           cli_sample_median(&b->rate), 1e6 * cli_sample_median(&b->update),
           1e6 * cli_sample_median(&b->exchange));
    if (json)
        cli_print_json(json_pack(
            "{s:i, s:i, s:o, s:o, s:o, s:o, s:f, s:f}", "ranks", ranks, "threads", threads, "sums",
            sums, "steps_per_second", to_json(&b->rate, 1.0), "update_us", to_json(&b->update, 1e6),
            "exchange_us", to_json(&b->exchange, 1e6), "environments",
            cli_sample_median(&b->environments), "idle", cli_sample_median(&b->waiting)));
    else
        json_decref(sums);
}

static cn_status bench_ranks(const cli_learning *options, const char *task, int rounds,
                             cn_error *err)
{
    cn_status status = CN_OK;
    cli_place place;
    cn_train_config config;
    CN_TRY(cli_place_open(NULL, task, NULL, NULL, &place, err));
    bench *b = calloc(1, sizeof *b);
    if (!b)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a benchmark");
    CN_TRY_CLEANUP(cli_learning_config(options, place.task, "train", &config, err));
    const long rows = config.envs * config.rollout_steps * cn_peers_size(cli_ranks());
    config.steps = rows * (WARM_UP + rounds);
    b->rows = (double)rows;
    b->minibatches = (double)config.minibatches;
    CN_TRY_CLEANUP(add_blocks(b, rounds, err));
    CN_TRY_CLEANUP(cli_bench_learn(options, &place, &config, measure, b, err));
    report(b, (int)options->threads, options->json);
cleanup:
    free(b);
    cli_place_close(&place);
    return status;
}

int cli_bench_ranks(int argc, char **argv)
{
    return cli_bench_task(&usage, bench_ranks, argc, argv);
}
