/* A log played to a person: on a terminal a view that is redrawn in place and obeys keys, elsewhere
 * a line a message. */
#ifndef CN_CLI_PLAYBACK_H
#define CN_CLI_PLAYBACK_H

#include "bridge/episode.h"
#include "bridge/log.h"

typedef struct cli_playback_config {
    const char *path;          /* of the log */
    const cn_arm_joint *joint; /* [joints of the log] names */
    double rate;               /* seconds of the log a second */
    bool loop;                 /* again and again, until a key or a signal */
    bool paused;               /* at the beginning */
    bool shown[CN_LOG_CHANNELS];
} cli_playback_config;

typedef struct cli_playback_report {
    int64_t messages; /* shown */
    int64_t rounds;   /* begun */
    double seconds;   /* of the log, from its first message to where it ended */
} cli_playback_report;

/* Returns at the log's end, at the key for it, and at SIGINT or SIGTERM.
 * @return CN_ERR_NOT_FOUND (no message of what is to be shown), CN_ERR_ARGUMENT (paused, and no
 * keys to go on with). */
cn_status cli_playback_run(const cn_episode *episode, const cli_playback_config *config,
                           cli_playback_report *report, cn_error *err);

/* "/robot/sensors,/events" into shown; NULL: all. @return CN_ERR_ARGUMENT, naming the channels there are. */
cn_status cli_playback_topics(const cn_episode *episode, const char *list,
                              bool shown[CN_LOG_CHANNELS], cn_error *err);
#endif
