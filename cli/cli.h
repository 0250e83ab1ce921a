/* The program's own furniture: subcommands, options, exit statuses, and how it talks to people. */
#ifndef CN_CLI_CLI_H
#define CN_CLI_CLI_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* Exit statuses of the contract. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_SAFETY = 3 };

/* ---- Options ---- */

typedef enum cli_kind {
    CLI_FLAG, /* bool * */
    CLI_TEXT, /* const char ** */
    CLI_LIST, /* cli_texts *: may be given several times */
    CLI_INT,  /* int64_t *, low..high */
    CLI_REAL, /* double *, low..high */
} cli_kind;

typedef struct cli_texts {
    int count;
    const char *text[32];
} cli_texts;

typedef struct cli_option {
    const char *name;     /* without "--"; NULL ends the table */
    const char *argument; /* its name in the help; NULL for flags */
    const char *help;
    cli_kind kind;
    void *value;
    double low, high; /* numbers only */
} cli_option;

typedef struct cli_usage {
    const char *synopsis;          /* "colonnade train TASK --out RUN [options]" */
    const char *text;              /* what it does, a line a paragraph; "  ITEM  what it is" */
    const char *example;           /* one command line that works */
    void (*more)(FILE *out);       /* NULL, or writes more of such text */
    const char *const *positional; /* names of the positional arguments, NULL-terminated; the last
                                      may be "NAME...": one or more */
} cli_usage;

/* Parses argv (argv[0] is the subcommand's name). Fills positional [number of names]; after a
 * last one "NAME..." [argc], NULL-terminated.
 * @return -1 to go on; otherwise the exit status to return (after --help or a wrong usage). */
int cli_parse(const cli_usage *usage, const cli_option *options, int argc, char **argv,
              const char **positional);

/* "colonnade: <message>" to standard error, with the way to the help; returns CLI_USAGE. */
int cli_wrong(const cli_usage *usage, const char *format, ...);

/* ---- Output ---- */

/* Asks for real time (base/realtime.h), before any socket is opened: the threads that carry the
 * messages then have it as well. */
void cli_realtime_begin(void);
/* Everything is there: locks the memory, and says what of real time was not permitted. */
void cli_realtime_lock(void);

/* Prints the error of a failed call; returns the exit status that fits it. */
int cli_fail(const cn_error *err);

/* The last line of standard output; takes the reference. */
void cli_print_json(json_t *object);

/* Whether somebody watches: standard output is a terminal that can move its cursor. */
bool cli_terminal(void);

/* Columns and rows of the terminal; 80 and 24 when it does not say. */
int cli_width(void);
int cli_height(void);

/* Draws lines on a terminal, over those that it drew before; the cursor rests below them. What is
 * wider than the terminal is cut. */
enum { CLI_BLOCK_LINES = 56, CLI_BLOCK_WIDTH = 256 };
void cli_block(char lines[][CLI_BLOCK_WIDTH], int count);

/* A line that is rewritten in place on a terminal; elsewhere a plain line, at most every few
 * seconds unless `force`. */
void cli_progress(bool force, const char *format, ...);
/* Ends what cli_progress or cli_block left open: what is printed next stands below it. */
void cli_progress_end(void);

/* "[#####.....]" of width cells into out. */
void cli_bar(double fraction, int width, char *out);

/* "1m 20s" into out. */
void cli_duration(double seconds, char *out, int size);

/* The program as it was called, for command lines to be copied. */
void cli_called(const char *program);
const char *cli_program(void);

/* Appends " word" to a command line, quoted for a shell where it must be. */
void cli_append_word(char *line, size_t size, const char *word);

/* Becomes true at SIGINT or SIGTERM, and among other ranks at SIGUSR1; a second SIGINT ends the
 * process. */
const atomic_bool *cli_stop(void);

/* ---- Subcommands: one file each ---- */

int cli_train(int argc, char **argv);
int cli_adapt(int argc, char **argv);
int cli_eval(int argc, char **argv);
int cli_robot(int argc, char **argv);
int cli_calibrate(int argc, char **argv);
int cli_keygen(int argc, char **argv);
int cli_control(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_bench(int argc, char **argv);

#endif
