/* How the program talks: errors, progress, JSON, and the wish to stop. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/realtime.h"
#include "cli/cli.h"
#include "cli/keyboard.h"
#include "cli/ranks.h"

/* Between two plain progress lines when nobody watches. */
#define PLAIN_PERIOD_NS (5 * CN_NS_PER_S)

static struct {
    bool open; /* a line on the terminal is not ended yet */
    int64_t last_ns;
} progress;

static struct {
    int lines; /* on the terminal above the cursor, that the next block replaces */
    int width[CLI_BLOCK_LINES];
} block;
static cn_error realtime;                /* why it was not permitted */
static volatile sig_atomic_t block_open; /* the same, for the signal handler */

void cli_realtime_begin(void)
{
    cn_realtime_begin(&realtime);
}

void cli_realtime_lock(void)
{
    cn_error unlocked = {0};
    if (realtime.code != CN_OK)
        printf("%s\n", realtime.message);
    if (cn_realtime_lock(&unlocked) != CN_OK)
        printf("%s\n", unlocked.message);
    fflush(stdout);
}

int cli_fail(const cn_error *err)
{
    cli_progress_end();
    fflush(stdout);
    if (cn_peers_rank(cli_ranks()) == 0) /* which has the same failure */
        fprintf(stderr, "colonnade: %s\n",
                err->message[0] ? err->message : cn_status_words(err->code));
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

bool cli_terminal(void)
{
    const char *term = getenv("TERM");
    if (cli_ranks())
        return false; /* mpirun feigns one */
    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

int cli_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

int cli_height(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
        return 24;
    return size.ws_row;
}

/* Rows that the last block takes now: a terminal that became narrower has wrapped its lines. */
static int rows_of_block(int columns)
{
    int rows = 0;
    for (int i = 0; i < block.lines; i++)
        rows += block.width[i] > columns ? (block.width[i] + columns - 1) / columns : 1;
    return rows;
}

void cli_block(char lines[][CLI_BLOCK_WIDTH], int count)
{
    char text[CLI_BLOCK_LINES * (CLI_BLOCK_WIDTH + 8)]; /* in one piece: nothing flickers */
    const int columns = cli_width(), rows = rows_of_block(columns);
    size_t used = 0;
    if (rows > 0)
        used = (size_t)snprintf(text, sizeof text, "\033[%dA\r", rows);
    block.lines = count;
    for (int i = 0; i < count; i++) {
        block.width[i] = (int)strlen(lines[i]);
        if (block.width[i] >= columns)
            block.width[i] = columns - 1;
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s\033[K\n", block.width[i],
                                 lines[i]);
    }
    used += (size_t)snprintf(text + used, sizeof text - used, "\033[J");
    fwrite(text, 1, used, stdout);
    fflush(stdout);
    block_open = 1;
}

void cli_progress(bool force, const char *format, ...)
{
    const bool terminal = cli_terminal();
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
    if (block_open)
        printf("\r\033[J"); /* what was answered to Ctrl-C */
    progress.open = false;
    block.lines = block_open = 0;
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

static const char *program = "colonnade";

void cli_called(const char *path)
{
    program = path;
}

const char *cli_program(void)
{
    return program;
}

/* Whether a shell takes it as it is. */
static bool plain(const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_./-+=:@%,";
    return word[0] && word[strspn(word, safe)] == '\0';
}

void cli_append_word(char *line, size_t size, const char *word)
{
    size_t used = strlen(line);
    if (plain(word)) {
        snprintf(line + used, size - used, " %s", word);
        return;
    }
    used += (size_t)snprintf(line + used, size - used, " '");
    for (; *word && used + 6 < size; word++)
        used += (size_t)snprintf(line + used, size - used, *word == '\'' ? "'\\''" : "%c", *word);
    snprintf(line + used, size - used, "'");
}

static atomic_bool stop;

/* Says below a block, beside the terminal's own "^C", what will happen; the next block removes it.
 */
static void answer(const char *words)
{
    if (block_open && write(STDOUT_FILENO, words, strlen(words)) < 0)
        return; /* nobody there to read it */
}

static void on_signal(int number)
{
    if (!atomic_exchange(&stop, true)) {
        answer(" finishing the iteration; again: quit at once");
    } else if (number == SIGINT) {
        answer("\n");
        cli_keyboard_close();
        _exit(130);
    }
}

const atomic_bool *cli_stop(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (cli_ranks())
        sigaction(SIGUSR1, &action, NULL); /* mpirun passes it on, and leaves time to finish */
    return &stop;
}
