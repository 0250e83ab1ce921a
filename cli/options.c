/* Options from one table: parsing over getopt_long, and the help text. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ranks.h"

#define MAX_OPTIONS 40
#define HELP_WIDTH  80

static int count_options(const cli_option *options)
{
    int n = 0;
    while (options[n].name)
        n++;
    return n;
}

/* Prints words, from column `at` on, in lines that fit; those after the first are indented. */
static void print_words(const char *text, size_t size, size_t at, size_t indent)
{
    for (size_t i = 0; i < size;) {
        const size_t word = strcspn(text + i, " \n"), end = i + word < size ? i + word : size;
        const bool fits = at + 1 + (end - i) <= HELP_WIDTH;
        if (i > 0 && fits)
            at += (size_t)printf(" ");
        else if (i > 0)
            at = (size_t)printf("\n%*s", (int)indent, "") - 1;
        at += (size_t)printf("%.*s", (int)(end - i), text + i);
        i = end + 1;
    }
    printf("\n");
}

/* Prints a text whose lines are paragraphs, or items in columns: these have two spaces or more in
 * front, and before the last column, whose words stay in it. */
static void print_text(const char *text)
{
    while (*text) {
        const size_t size = strcspn(text, "\n");
        size_t indent = 0;
        for (size_t i = 2; i < size && text[0] == ' '; i++)
            if (text[i - 2] == ' ' && text[i - 1] == ' ' && text[i] != ' ')
                indent = i;
        printf("%.*s", (int)indent, text);
        print_words(text + indent, size - indent, indent, indent);
        text += size + (text[size] == '\n');
    }
}

static void print_more(const cli_usage *usage)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out) {
        usage->more(out);
        fclose(out);
        print_text(text);
    }
    free(text);
}

static void print_help(const cli_usage *usage, const cli_option *options)
{
    printf("Usage: %s\n\n", usage->synopsis);
    print_text(usage->text);
    printf("\nOptions:\n");
    for (const cli_option *o = options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-22s ", left);
        print_words(o->help, strlen(o->help), 25, 25);
    }
    printf("  %-22s %s\n", "--help", "this text");
    if (usage->more)
        print_more(usage);
    printf("\nExample:\n  %s\n", usage->example);
}

int cli_wrong(const cli_usage *usage, const char *format, ...)
{
    va_list args;
    if (cn_peers_rank(cli_ranks()) > 0) /* rank 0 says it */
        return CLI_USAGE;
    va_start(args, format);
    fprintf(stderr, "colonnade: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nUsage: %s   (--help explains)\n", usage->synopsis);
    va_end(args);
    return CLI_USAGE;
}

/* A number as a person writes one: 60000, 6e4, 1_000_000 is not accepted. */
static bool read_number(const cli_option *o, const char *text, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    const bool whole = o->kind == CLI_REAL || *out == floor(*out);
    return end != text && *end == '\0' && errno == 0 && whole && *out >= o->low && *out <= o->high;
}

static int set_option(const cli_usage *usage, const cli_option *o, const char *text)
{
    double number = 0.0;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->value = true;
        return -1;
    case CLI_TEXT:
        *(const char **)o->value = text;
        return -1;
    case CLI_LIST: {
        cli_texts *list = o->value;
        if (list->count == (int)(sizeof list->text / sizeof list->text[0]))
            return cli_wrong(usage, "--%s is given more than %d times", o->name, list->count);
        list->text[list->count++] = text;
        return -1;
    }
    case CLI_INT:
    case CLI_REAL:
        break;
    }
    if (!read_number(o, text, &number))
        return cli_wrong(usage, "--%s %s: expected a %s from %.15g to %.15g", o->name, text,
                         o->kind == CLI_INT ? "whole number" : "number", o->low, o->high);
    if (o->kind == CLI_INT)
        *(int64_t *)o->value = (int64_t)number;
    else
        *(double *)o->value = number;
    return -1;
}

static int take_positional(const cli_usage *usage, int argc, char **argv, const char **positional)
{
    int wanted = 0;
    while (usage->positional[wanted])
        wanted++;
    const int given = argc - optind;
    const bool more = wanted > 0 && strstr(usage->positional[wanted - 1], "...");
    if (given < wanted)
        return cli_wrong(usage, "%s is missing", usage->positional[given]);
    if (given > wanted && !more)
        return cli_wrong(usage, "'%s' is one argument too many", argv[optind + wanted]);
    for (int i = 0; i < given; i++)
        positional[i] = argv[optind + i];
    if (more)
        positional[given] = NULL;
    return -1;
}

/* What getopt_long does not take. @param known  0 for a long option; else a letter, or 256 + i of
 * options[i], a flag that was given a value */
static int wrong_option(const cli_usage *usage, int known, const char *text,
                        const cli_option *options)
{
    if (known >= 256)
        return cli_wrong(usage, "--%s takes no value", options[known - 256].name);
    if (known > 0)
        return cli_wrong(usage, "there is no option '-%c'", known);
    return cli_wrong(usage, "there is no option '%s'", text);
}

int cli_parse(const cli_usage *usage, const cli_option *options, int argc, char **argv,
              const char **positional)
{
    struct option longs[MAX_OPTIONS + 2] = {0};
    const int n = count_options(options);
    for (int i = 0; i < n; i++)
        longs[i] = (struct option){options[i].name,
                                   options[i].kind == CLI_FLAG ? no_argument : required_argument,
                                   NULL, 256 + i};
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};
    opterr = 0;
    optind = 1;
    for (int code; (code = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
        if (code == 'h') {
            print_help(usage, options);
            return CLI_DONE;
        }
        if (code == ':')
            return cli_wrong(usage, "%s needs a value", argv[optind - 1]);
        if (code == '?')
            return wrong_option(usage, optopt, argv[optind - 1], options);
        const int status = set_option(usage, &options[code - 256], optarg);
        if (status >= 0)
            return status;
    }
    return take_positional(usage, argc, argv, positional);
}
