/* How the program talks: errors, progress, JSON, and the wish to stop. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

/* Between two plain progress lines when nobody watches. */
#define PLAIN_PERIOD_NS (5 * CN_NS_PER_S)

static struct {
    bool open; /* a line on the terminal is not ended yet */
    int64_t last_ns;
} progress;

int cli_fail(const cn_error *err)
{
    cli_progress_end();
    fflush(stdout);
    fprintf(stderr, "colonnade: %s\n", err->message[0] ? err->message : cn_status_words(err->code));
    return err->code == CN_ERR_SAFETY ? CLI_SAFETY : CLI_FAILED;
}

void cli_print_json(json_t *object)
{
    cli_progress_end();
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    printf("%s\n", text ? text : "{}");
    fflush(stdout);
    free(text);
    json_decref(object);
}

void cli_progress(bool force, const char *format, ...)
{
    const bool terminal = isatty(STDOUT_FILENO);
    const int64_t now = cn_clock_now();
    if (!terminal && !force && now - progress.last_ns < PLAIN_PERIOD_NS)
        return;
    progress.last_ns = now;
    va_list args;
    va_start(args, format);
    if (terminal)
        printf("\r\033[K");
    vprintf(format, args);
    if (!terminal)
        printf("\n");
    fflush(stdout);
    progress.open = terminal;
    va_end(args);
}

void cli_progress_end(void)
{
    if (progress.open)
        printf("\n");
    progress.open = false;
}

void cli_bar(double fraction, int width, char *out)
{
    const int full = (int)(fmin(fmax(fraction, 0.0), 1.0) * width + 0.5);
    out[0] = '[';
    memset(out + 1, '.', (size_t)width);
    memset(out + 1, '#', (size_t)full);
    out[width + 1] = ']';
    out[width + 2] = '\0';
}

void cli_duration(double seconds, char *out, int size)
{
    const long s = lround(fmax(seconds, 0.0));
    if (s < 60)
        snprintf(out, (size_t)size, "%lds", s);
    else if (s < 3600)
        snprintf(out, (size_t)size, "%ldm %02lds", s / 60, s % 60);
    else
        snprintf(out, (size_t)size, "%ldh %02ldm", s / 3600, s / 60 % 60);
}

static atomic_bool stop;

static void on_signal(int number)
{
    if (atomic_exchange(&stop, true) && number == SIGINT)
        _exit(130);
}

const atomic_bool *cli_stop(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &stop;
}
