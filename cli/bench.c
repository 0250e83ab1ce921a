/* colonnade bench: finds the benchmark and hands over; and what the benchmarks share. */
#include "cli/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    fprintf(out, "\n'colonnade bench NAME --help' explains one; ./dev bench NAME also writes down "
                 "what came out.\n");
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
