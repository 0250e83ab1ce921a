/* Video through ffmpeg. */
#include "cli/video.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "sim/render.h"

enum { WIDTH = 960, HEIGHT = 720, PIXELS = WIDTH * HEIGHT * 3 };

typedef struct encoder {
    pid_t pid;
    FILE *input; /* raw frames */
} encoder;

/* What ffmpeg calls the format that a file's name asks for; NULL: none that takes these pictures.
 */
static const char *format_of(const char *path)
{
    static const char *const formats[][2] = {
        {".mp4", "mp4"}, {".mov", "mov"}, {".mkv", "matroska"}, {".avi", "avi"}};
    const char *end = strrchr(path, '.');
    for (size_t i = 0; end && i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(end, formats[i][0]) == 0)
            return formats[i][1];
    return NULL;
}

/* Starts ffmpeg with its standard input as a pipe of ours; no shell, so that paths need no quoting.
 */
static cn_status start_encoder(const char *path, const char *format, double rate, encoder *out,
                               cn_error *err)
{
    char size[32], frames[32];
    int pipe_fd[2];
    snprintf(size, sizeof size, "%dx%d", WIDTH, HEIGHT);
    snprintf(frames, sizeof frames, "%g", rate);
    CN_FAIL_IF(pipe(pipe_fd) != 0, CN_ERR_IO, err, "no pipe for ffmpeg: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN); /* an encoder that dies is an error of fwrite, not our death */
    out->pid = fork();
    if (out->pid == 0) {
        dup2(pipe_fd[0], STDIN_FILENO);
        close(pipe_fd[0]);
        close(pipe_fd[1]);
        execlp("ffmpeg", "ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt",
               "rgb24", "-s", size, "-r", frames, "-i", "-", "-c:v", "libx264", "-pix_fmt",
               "yuv420p", "-crf", "20", "-movflags", "+faststart", "-f", format, path,
               (char *)NULL);
        _exit(127);
    }
    close(pipe_fd[0]);
    out->input = out->pid > 0 ? fdopen(pipe_fd[1], "wb") : NULL;
    CN_FAIL_IF(!out->input, CN_ERR_IO, err, "cannot start ffmpeg: %s", strerror(errno));
    return CN_OK;
}

static cn_status finish_encoder(encoder *e, const char *path, cn_error *err)
{
    int code = 0;
    fclose(e->input);
    waitpid(e->pid, &code, 0);
    CN_FAIL_IF(WIFEXITED(code) && WEXITSTATUS(code) == 127, CN_ERR_IO, err,
               "%s: ffmpeg is not installed; install it, or run ./dev setup", path);
    CN_FAIL_IF(code != 0, CN_ERR_IO, err, "%s: ffmpeg failed (its own words are above)", path);
    return CN_OK;
}

static cn_status draw_frames(const cn_episode *episode, cn_twin *twin, cn_renderer *renderer,
                             FILE *out, const char *path, cn_error *err)
{
    unsigned char *rgb = malloc(PIXELS);
    CN_FAIL_IF(!rgb, CN_ERR_MEMORY, err, "no memory for a picture");
    cn_status status = CN_OK;
    for (int i = 0; i < episode->frames; i++) {
        if (atomic_load(cli_stop()))
            CN_FAIL_CLEANUP(CN_ERR_CANCELLED, err, "%s: stopped at frame %d of %d", path, i,
                            episode->frames);
        const cn_arm_state *state = &episode->frame[i].state;
        CN_TRY_CLEANUP(cn_twin_place(twin, state, err));
        for (int p = 0; p < state->tracked; p++)
            cn_renderer_mark(renderer, state->point[p]);
        cn_renderer_draw(renderer, rgb);
        if (fwrite(rgb, 1, PIXELS, out) != PIXELS)
            CN_FAIL_CLEANUP(CN_ERR_IO, err,
                            "%s: ffmpeg takes no more pictures (its own words are above)", path);
        cli_progress(false, "frame %d of %d", i + 1, episode->frames);
    }
cleanup:
    cli_progress_end();
    free(rgb);
    return status;
}

cn_status cli_video_write(const cn_episode *episode, const cn_task *task, const char *path,
                          const char *camera, double rate, cli_video_report *report, cn_error *err)
{
    cn_status status = CN_OK;
    cn_twin *twin = NULL;
    cn_renderer *renderer = NULL;
    encoder e = {0};
    cn_file file = {0};
    const char *format = format_of(path);
    CN_FAIL_IF(!format, CN_ERR_ARGUMENT, err, "%s: a film is .mp4, .mov, .mkv or .avi", path);
    CN_FAIL_IF(episode->frames == 0, CN_ERR_NOT_FOUND, err, "%s: the log holds no sensor frames",
               path);
    CN_TRY_CLEANUP(cn_twin_create(task, NULL, &twin, err));
    if (camera || cn_renderer_create(twin, WIDTH, HEIGHT, "view", &renderer, NULL) != CN_OK)
        CN_TRY_CLEANUP(cn_renderer_create(twin, WIDTH, HEIGHT, camera, &renderer, err));
    CN_TRY_CLEANUP(cn_file_begin(path, &file, err));
    CN_TRY_CLEANUP(
        start_encoder(file.temporary, format, rate / episode->control_period_s, &e, err));
    status = draw_frames(episode, twin, renderer, e.input, path, err);
    const cn_status finished = finish_encoder(&e, path, status == CN_OK ? err : NULL);
    status = status == CN_OK ? finished : status;
    if (status == CN_OK)
        status = cn_file_commit(&file, err);
    *report = (cli_video_report){
        .frames = episode->frames,
        .seconds = episode->frames * episode->control_period_s / rate,
    };
cleanup:
    cn_file_abandon(&file);
    cn_renderer_destroy(&renderer);
    cn_twin_destroy(&twin);
    return status;
}
