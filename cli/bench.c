/* colonnade bench: finds the benchmark and hands over; and what the benchmarks share. */
#include "cli/bench.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/ranks.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
    bool ranks; /* mpirun may start several of it */
} benchmarks[] = {
    {"train", cli_bench_train, "training a task, against bare mj_step of its model", false},
    {"net", cli_bench_net, "acting and learning with two columns, against PyTorch", false},
    {"gemm", cli_bench_gemm, "acting and learning, against the bare matrix products in them",
     false},
    {"column", cli_bench_column, "learning a second column, against learning the first", false},
    {"link", cli_bench_link, "sensor frame to command over the wire, against bare ZeroMQ", false},
    {"clock", cli_bench_clock, "how well this machine keeps a period at all", false},
    {"ranks", cli_bench_ranks, "training on several ranks, and what they cost each other", true},
};
enum { BENCHMARKS = sizeof benchmarks / sizeof benchmarks[0] };

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: colonnade bench NAME [arguments]\n\n"
                 "Measurements of the program itself, both sides of each in the same run.\n\n"
                 "Benchmarks:\n");
    for (int i = 0; i < BENCHMARKS; i++)
        fprintf(out, "  %-9s %s\n", benchmarks[i].name, benchmarks[i].help);
    fprintf(out, "\n'colonnade bench NAME --help' explains one;\n"
                 "./dev bench NAME also writes down what came out.\n");
}

int cli_bench(int argc, char **argv)
{
    const char *name = argc < 2 ? "--help" : argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage(stdout);
        return CLI_DONE;
    }
    for (int i = 0; i < BENCHMARKS; i++)
        if (strcmp(name, benchmarks[i].name) == 0 && (benchmarks[i].ranks || !cli_ranks()))
            return benchmarks[i].run(argc - 1, argv + 1);
    if (cn_peers_rank(cli_ranks()) > 0)
        return CLI_USAGE;
    fprintf(stderr, "colonnade: there is no benchmark '%s'%s\n\n", name,
            cli_ranks() ? " for several ranks" : "");
    print_usage(stderr);
    return CLI_USAGE;
}

/* ---- Training as a measurement ---- */

/* Removes a folder of plain files. */
static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path);
}

cn_status cli_bench_learn(const cli_learning *options, cli_place *place,
                          const cn_train_config *config,
                          void (*progress)(void *ctx, const cn_train_progress *progress), void *ctx,
                          cn_error *err)
{
    char folder[] = "/tmp/colonnade-bench-XXXXXX";
    cn_train_report run;
    cn_policy *policy = NULL;
    cn_train_config bare = *config;
    bare.evaluate_every = bare.checkpoint_every = bare.patience = 0;
    bare.stop_success = 0.0;
    CN_FAIL_IF(!mkdtemp(folder), CN_ERR_IO, err, "cannot make a folder in /tmp");
    cn_rng rng = cn_rng_make((uint64_t)options->seed, 0);
    cn_status status = cli_learning_fresh(options, &bare, place->task,
                                          cn_algorithm_word(bare.algorithm), &rng, &policy, err);
    const cn_train_job job = {
        .policy = policy,
        .config = &bare,
        .seed = (uint64_t)options->seed,
        .threads = (int)options->threads,
        .folder = folder,
        .peers = cli_ranks(),
        .make_env = cli_place_make_env,
        .make_env_ctx = place,
        .stop = cli_stop(),
        .progress = progress,
        .progress_ctx = ctx,
    };
    if (status == CN_OK)
        status = cn_train(&job, &run, err);
    cn_policy_destroy(&policy);
    remove_folder(folder);
    return status;
}

int cli_bench_task(const cli_usage *usage,
                   cn_status (*run)(const cli_learning *options, const char *task, int rounds,
                                    cn_error *err),
                   int argc, char **argv)
{
    cli_learning o = cli_learning_default();
    int64_t rounds = cli_rounds_default().rounds;
    const char *positional[1];
    const cli_option options[] = {
        {"rounds", "N", "rounds to take the median of (default 15)", CLI_INT, &rounds, 1,
         CLI_MAX_ROUNDS},
        {"threads", "T", "worker threads (default: all cores, or a rank's share of them)", CLI_INT,
         &o.threads, 1, 256},
        {"config", "FILE", "YAML with training settings", CLI_TEXT, &o.config_file, 0, 0},
        {"set", "KEY=VALUE", "one training setting; may be repeated", CLI_LIST, &o.sets, 0, 0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(usage, options, argc, argv, positional);
    if (status >= 0)
        return status;
    cn_error err = {0};
    return run(&o, positional[0], (int)rounds, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}

/* ---- Rounds ---- */

cli_rounds cli_rounds_default(void)
{
    return (cli_rounds){.rounds = 15, .seconds = 0.2};
}

void cli_sample_add(cli_sample *s, double value)
{
    if (s->count < CLI_MAX_ROUNDS)
        s->value[s->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double cli_sample_median(const cli_sample *s)
{
    double sorted[CLI_MAX_ROUNDS];
    const int n = s->count;
    if (n == 0)
        return NAN;
    memcpy(sorted, s->value, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
}

double cli_sample_low(const cli_sample *s)
{
    double low = INFINITY;
    for (int i = 0; i < s->count; i++)
        low = fmin(low, s->value[i]);
    return low;
}

double cli_sample_high(const cli_sample *s)
{
    double high = -INFINITY;
    for (int i = 0; i < s->count; i++)
        high = fmax(high, s->value[i]);
    return high;
}

json_t *cli_sample_json(const cli_sample *s)
{
    return s->count > 0 ? json_real(cli_sample_median(s)) : json_null();
}

double cli_bench_time(void (*work)(void *ctx), void *ctx, double seconds)
{
    const int64_t began = cn_clock_now(), enough = (int64_t)(seconds * (double)CN_NS_PER_S);
    int64_t calls = 0, spent;
    do {
        work(ctx);
        calls++;
        spent = cn_clock_now() - began;
    } while (spent < enough);
    return (double)spent / (double)CN_NS_PER_S / (double)calls;
}
