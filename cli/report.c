/* Refusals and durations for people and for --json. */
#include "cli/report.h"

#include <stdio.h>

void cli_refusals_print(const char *who, const uint64_t *counts)
{
    char text[1024];
    cn_refusal_list(counts, text, sizeof text);
    if (text[0])
        printf("%srefused: %s\n", who, text);
}

json_t *cli_refusals_json(const uint64_t *counts)
{
    json_t *object = json_object();
    for (int i = CN_REFUSAL_NONE + 1; object && i < CN_REFUSALS; i++)
        if (counts[i] > 0)
            json_object_set_new(object, cn_refusal_name((cn_refusal)i),
                                json_integer((json_int_t)counts[i]));
    return object;
}

json_t *cli_histogram_json(const cn_histogram *h)
{
    if (h->count == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f}", "p50", (double)cn_histogram_quantile(h, 0.5) / 1e3,
                     "p99", (double)cn_histogram_quantile(h, 0.99) / 1e3, "p999",
                     (double)cn_histogram_quantile(h, 0.999) / 1e3, "max", (double)h->max / 1e3);
}

void cli_histogram_print(const char *name, const cn_histogram *h)
{
    const double quantiles[] = {0.5, 0.99, 0.999};
    if (!name) {
        printf("  %-22s %9s %9s %9s %9s\n", "microseconds, to 3 %", "p50", "p99", "p99.9", "max");
        return;
    }
    if (h->count == 0)
        return;
    printf("  %-22s", name);
    for (int i = 0; i < 3; i++)
        printf(" %9.1f", (double)cn_histogram_quantile(h, quantiles[i]) / 1e3);
    printf(" %9.1f\n", (double)h->max / 1e3);
}
