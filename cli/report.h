/* What `robot`, `control` and benchmarks of them report. */
#ifndef CN_CLI_REPORT_H
#define CN_CLI_REPORT_H

#include <jansson.h>

#include "base/histogram.h"
#include "bridge/refusal.h"

/* Prints "refused: 3 in answer to a frame too old" after `who`; nothing when nothing was refused.
 * @param counts  [CN_REFUSALS] */
void cli_refusals_print(const char *who, const uint64_t *counts);

/* {"stale": 3}: the counts above zero. */
json_t *cli_refusals_json(const uint64_t *counts);

/* Durations in ns as {p50, p99, p999, max} in us; null: there are none. */
json_t *cli_histogram_json(const cn_histogram *durations);

/* The same as a row of a table, or nothing; without a name the table's heading. */
void cli_histogram_print(const char *name, const cn_histogram *durations);

#endif
