/* A log as one figure, a PNG: over time, every joint with its command, the reward and the latency,
 * with goals, success and events marked. */
#ifndef CN_CLI_PLOT_H
#define CN_CLI_PLOT_H

#include "bridge/episode.h"

typedef struct cli_plot_report {
    int panels;
    double seconds; /* that the time axis spans */
} cli_plot_report;

/* Of an arm that is commanded velocities or efforts, those are drawn in place of positions.
 * @param path   .png, replaced when it exists
 * @param log    path of the log; its last part is written above the figure
 * @param joint  [joints of the log] names and units
 * @return CN_ERR_NOT_FOUND (no sensor frames), CN_ERR_IO, CN_ERR_MEMORY. */
cn_status cli_plot_write(const cn_episode *episode, const cn_arm_joint *joint, const char *path,
                         const char *log, cli_plot_report *report, cn_error *err);

#endif
