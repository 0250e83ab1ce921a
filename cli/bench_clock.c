/* colonnade bench clock: how well this machine keeps a period at all. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/realtime.h"
#include "cli/bench.h"
#include "cli/report.h"

static const char *const names[] = {NULL};
static const cli_usage usage = {
    .synopsis = "colonnade bench clock [options]",
    .text = "A loop that sleeps until absolute times and does nothing else, under the scheduling "
            "that `robot` asks for: what is missed here, no program could have kept. A miss is a "
            "wake-up later than a whole period. `./dev bench servo` runs it beside a robot.",
    .example = "colonnade bench clock --rate 1000 --seconds 60",
    .positional = names,
};

typedef struct bench {
    int64_t period_ns;
    cn_histogram period; /* ns, wake-up to wake-up */
    uint64_t misses;
} bench;

/* The servo's own rule: periods that have gone by are skipped, and are one miss. */
static void run(bench *b, double seconds)
{
    int64_t last = cn_clock_now(), deadline = last;
    const int64_t end = last + (int64_t)(seconds * 1e9);
    const atomic_bool *stop = cli_stop();
    while (last < end && !atomic_load(stop)) {
        deadline += b->period_ns;
        const int64_t late = cn_clock_now() - deadline;
        if (late > 0) {
            b->misses++;
            deadline += (late / b->period_ns + 1) * b->period_ns;
        }
        cn_clock_sleep_until(deadline);
        const int64_t now = cn_clock_now();
        cn_histogram_record(&b->period, now - last);
        last = now;
    }
}

int cli_bench_clock(int argc, char **argv)
{
    double rate = 1000, seconds = 10;
    bool json = false;
    const cli_option options[] = {
        {"rate", "HZ", "periods a second (default 1000)", CLI_REAL, &rate, 1, 1e5},
        {"seconds", "S", "how long (default 10)", CLI_REAL, &seconds, 1e-3, 1e6},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int wrong = cli_parse(&usage, options, argc, argv, NULL);
    if (wrong >= 0)
        return wrong;
    bench *b = calloc(1, sizeof *b);
    if (!b)
        return cli_fail(&(cn_error){.code = CN_ERR_MEMORY});
    b->period_ns = (int64_t)(1e9 / rate);
    cli_realtime_begin();
    cn_realtime_lead(); /* as a servo does */
    cli_realtime_lock();
    run(b, seconds);
    printf("%llu periods of %g ms, %llu missed\n", (unsigned long long)b->period.count, 1e3 / rate,
           (unsigned long long)b->misses);
    cli_histogram_print(NULL, NULL);
    cli_histogram_print("period", &b->period);
    if (json)
        cli_print_json(json_pack("{s:I, s:I, s:o}", "periods", (json_int_t)b->period.count,
                                 "misses", (json_int_t)b->misses, "period_us",
                                 cli_histogram_json(&b->period)));
    free(b);
    return CLI_DONE;
}
