/* Measuring a policy at a place: what `train`, `adapt` and `eval` all end with. */
#ifndef CN_CLI_MEASURE_H
#define CN_CLI_MEASURE_H

#include <jansson.h>

#include "cli/place.h"
#include "policy/evaluate.h"

/* Seed of the last word on a policy: of its own, so that choosing the best of several evaluations
 * does not flatter it. `eval --seed` can have it too. */
#define CLI_FINAL_SEED INT64_C(900000000001)

typedef struct cli_measure {
    cn_policy *policy;
    int column;
    cn_policy *against; /* NULL, or compared with, at its own last column */
    cli_place *place;
    long episodes;
    uint64_t seed;
    int threads; /* one is enough for a robot */
} cli_measure;

/* Measures. Stops early, with CN_ERR_CANCELLED, on Ctrl-C. */
cn_status cli_measure_run(const cli_measure *measure, cn_evaluation *out, cn_error *err);

/* The same at the end of a run that Ctrl-C may still end: then there is no measurement (0
 * episodes), and what was learned stands. */
cn_status cli_measure_last(const cli_measure *measure, cn_evaluation *out, cn_error *err);

/* Prints success, where the task says what it is, and return. */
void cli_measure_print(const cn_evaluation *evaluation);

/* A value of an evaluation for --json: null when there was none (0 episodes), as after Ctrl-C, and
 * for the success of a task that does not say what it is. */
json_t *cli_measure_json(const cn_evaluation *evaluation, double value);

#endif
