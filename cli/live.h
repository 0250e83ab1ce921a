/* How a training run shows itself: a table redrawn in place on a terminal, plain lines elsewhere.
 */
#ifndef CN_CLI_LIVE_H
#define CN_CLI_LIVE_H

#include "policy/trainer.h"

/* What is shown when an iteration brought nothing new: the episodes that ended last. */
typedef struct cli_live {
    long episodes; /* 0: none yet */
    double return_mean, success_rate;
} cli_live;

/* After an iteration. @param live  zero before the first */
void cli_live_show(cli_live *live, const cn_train_progress *progress);

#endif
