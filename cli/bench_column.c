/* colonnade bench column: what a second column costs. */
#include "cli/bench.h"
#include "cli/bench_update.h"

static const char *const names[] = {NULL};
static const cli_usage usage = {
    .synopsis = "colonnade bench column [options]",
    .text = "A PPO update of a second column, beside a frozen one of equal width whose hidden "
            "layers were kept with the rollout, against the same update of a first column alone: "
            "actor and critic of two hidden layers, 4096 rows in 8 minibatches, one thread.",
    .example = "colonnade bench column --width 64",
    .positional = names,
};

enum { FIRST, LINEAR, ADAPTER, SIDES };

typedef struct bench {
    int width;
    cli_update side[SIDES];
    cli_sample time[SIDES];  /* s, of one update */
    cli_sample ratio[SIDES]; /* to the first column, of each round */
} bench;

static cn_status measure(bench *b, const cli_rounds *r, cn_error *err)
{
    CN_TRY(cli_update_create(1, b->width, CN_LATERAL_NONE, &b->side[FIRST], err));
    CN_TRY(cli_update_create(2, b->width, CN_LATERAL_LINEAR, &b->side[LINEAR], err));
    CN_TRY(cli_update_create(2, b->width, CN_LATERAL_ADAPTER, &b->side[ADAPTER], err));
    for (int s = 0; s < SIDES; s++)
        cli_update_run(&b->side[s]); /* warms up */
    for (int i = 0; i < r->rounds; i++) {
        double spent[SIDES];
        CN_FAIL_IF(atomic_load(cli_stop()), CN_ERR_CANCELLED, err, "stopped in round %d", i + 1);
        for (int s = 0; s < SIDES; s++) {
            spent[s] = cli_bench_time(cli_update_run, &b->side[s], r->seconds);
            CN_FAIL_IF(b->side[s].status != CN_OK, b->side[s].status, err, "%s",
                       b->side[s].error.message);
            cli_sample_add(&b->time[s], spent[s]);
            cli_sample_add(&b->ratio[s], spent[s] / spent[FIRST]);
        }
        cli_progress(false, "round %d of %d: %.1f ms, %.2f and %.2f times that", i + 1,
                     (int)r->rounds, 1e3 * spent[FIRST], spent[LINEAR] / spent[FIRST],
                     spent[ADAPTER] / spent[FIRST]);
    }
    cli_progress_end();
    return CN_OK;
}

static json_t *side_json(const bench *b, int s)
{
    return json_pack("{s:f, s:f, s:I}", "update_ms", 1e3 * cli_sample_median(&b->time[s]), "ratio",
                     cli_sample_median(&b->ratio[s]), "trainable_parameters",
                     (json_int_t)cli_update_trainable(&b->side[s]));
}

static void report(const bench *b, bool json)
{
    static const char *const words[SIDES] = {"first column", "second, linear laterals",
                                             "second, adapters"};
    printf("PPO updates of 4096 rows, columns 20-%d-%d-7, one thread; medians of %d rounds\n",
           b->width, b->width, b->time[FIRST].count);
    for (int s = 0; s < SIDES; s++)
        printf("  %-26s %9.2f ms   %.2f x   (%.2f to %.2f)   %zu parameters\n", words[s],
               1e3 * cli_sample_median(&b->time[s]), cli_sample_median(&b->ratio[s]),
               cli_sample_low(&b->ratio[s]), cli_sample_high(&b->ratio[s]),
               cli_update_trainable(&b->side[s]));
    if (json)
        cli_print_json(json_pack("{s:i, s:i, s:o, s:o, s:o}", "width", b->width, "rounds",
                                 b->time[FIRST].count, "first", side_json(b, FIRST), "linear",
                                 side_json(b, LINEAR), "adapter", side_json(b, ADAPTER)));
}

int cli_bench_column(int argc, char **argv)
{
    cli_rounds rounds = cli_rounds_default();
    int64_t width = 256;
    bool json = false;
    const cli_option options[] = {
        {"width", "N", "units of each hidden layer (default 256)", CLI_INT, &width, 4, 4096},
        CLI_ROUNDS_OPTIONS(&rounds),
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int wrong = cli_parse(&usage, options, argc, argv, NULL);
    if (wrong >= 0)
        return wrong;
    cn_error err = {0};
    bench b = {.width = (int)width};
    const cn_status status = measure(&b, &rounds, &err);
    if (status == CN_OK)
        report(&b, json);
    for (int s = 0; s < SIDES; s++)
        cli_update_destroy(&b.side[s]);
    return status == CN_OK ? CLI_DONE : cli_fail(&err);
}
