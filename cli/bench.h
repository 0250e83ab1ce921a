/* What the benchmarks share: rounds. Every benchmark compares two sides in one run, taking turns,
 * so that both meet the same machine; it reports medians over the rounds, of times and of the
 * rounds' own ratios. */
#ifndef CN_CLI_BENCH_H
#define CN_CLI_BENCH_H

#include "cli/cli.h"
#include "cli/learning.h"
#include "cli/place.h"

#define CLI_MAX_ROUNDS 1000

/* One number a round. */
typedef struct cli_sample {
    int count;
    double value[CLI_MAX_ROUNDS];
} cli_sample;

void cli_sample_add(cli_sample *sample, double value);
double cli_sample_median(const cli_sample *sample); /* NaN: no rounds */
/* The smallest and the largest; the median's neighbours in an honest report. */
double cli_sample_low(const cli_sample *sample);
double cli_sample_high(const cli_sample *sample);
/* The median for --json: null when there were no rounds. */
json_t *cli_sample_json(const cli_sample *sample);

/* Rounds and the time that each side gets in each, as --rounds and --seconds set them. */
typedef struct cli_rounds {
    int64_t rounds;
    double seconds;
} cli_rounds;

/* Fifteen rounds of 0.2 s a side. */
cli_rounds cli_rounds_default(void);

/* The rows of an option table that set them. */
/* clang-format off */
#define CLI_ROUNDS_OPTIONS(r)                                                                      \
    {"rounds", "N", "rounds to take the median of (default 15)", CLI_INT, &(r)->rounds,            \
     1, CLI_MAX_ROUNDS},                                                                           \
    {"seconds", "S", "of each side in each round (default 0.2)", CLI_REAL, &(r)->seconds,          \
     1e-3, 3600}
/* clang-format on */

/* Seconds of one call of work(ctx), from as many as fill the time; at least one. */
double cli_bench_time(void (*work)(void *ctx), void *ctx, double seconds);

/* Trains a new policy in a folder of its own, which is thrown away afterwards: what is learned is
 * not the point. No evaluations, no checkpoints, no early end. With other ranks, together with
 * them.
 * @param progress  after each iteration, as in cn_train_job */
cn_status cli_bench_learn(const cli_learning *options, cli_place *place,
                          const cn_train_config *config,
                          void (*progress)(void *ctx, const cn_train_progress *progress), void *ctx,
                          cn_error *err);

/* The command line of a benchmark that trains on a task: its options, then `run` with them. */
int cli_bench_task(const cli_usage *usage,
                   cn_status (*run)(const cli_learning *options, const char *task, int rounds,
                                    cn_error *err),
                   int argc, char **argv);

/* One file each. */
int cli_bench_train(int argc, char **argv);
int cli_bench_net(int argc, char **argv);
int cli_bench_gemm(int argc, char **argv);
int cli_bench_column(int argc, char **argv);
int cli_bench_ranks(int argc, char **argv);
int cli_bench_link(int argc, char **argv);
int cli_bench_clock(int argc, char **argv);

#endif
