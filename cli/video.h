/* Video of a logged episode: every frame placed on a twin, drawn headless, piped into ffmpeg. The
 * arm stands as its encoders read; orange balls mark where the tracked points were measured, so
 * that an encoder that lies is seen to lie. */
#ifndef CN_CLI_VIDEO_H
#define CN_CLI_VIDEO_H

#include "bridge/episode.h"
#include "sim/task.h"

typedef struct cli_video_report {
    int frames;
    double seconds; /* of the video */
} cli_video_report;

/* @param path   .mp4, .mov, .mkv or .avi; put in place when complete, replaces what was there
 * @param camera  of the model; NULL: "view" if there is one, else a free camera
 * @param rate    seconds of the log in a second of the film
 * @return CN_ERR_ARGUMENT (another format), CN_ERR_NOT_FOUND (no frames), CN_ERR_IO (no ffmpeg, no
 *         EGL, disk), CN_ERR_MISMATCH (another arm), CN_ERR_CANCELLED. */
cn_status cli_video_write(const cn_episode *episode, const cn_task *task, const char *path,
                          const char *camera, double rate, cli_video_report *report, cn_error *err);

#endif
