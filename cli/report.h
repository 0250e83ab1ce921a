/* What `robot` and `control` both report. */
#ifndef CN_CLI_REPORT_H
#define CN_CLI_REPORT_H

#include <jansson.h>

#include "bridge/refusal.h"

/* Prints "refused: 3 in answer to a frame too old" after `who`; nothing when nothing was refused.
 * @param counts  [CN_REFUSALS] */
void cli_refusals_print(const char *who, const uint64_t *counts);

/* {"stale": 3}: the counts above zero. */
json_t *cli_refusals_json(const uint64_t *counts);

#endif
