/* Error reporting: the table of words and the one place that formats a message. */
#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *cn_status_words(cn_status status)
{
    switch (status) {
#define CN_STATUS_CASE(name, words)                                                                \
    case name:                                                                                     \
        return words;
        CN_STATUS_TABLE(CN_STATUS_CASE)
#undef CN_STATUS_CASE
    }
    return "unknown status";
}

/* MuJoCo's errors have several lines, and what a robot or a file says may hold anything: what is
 * shown is one line without control characters. */
static void make_one_line(char *message)
{
    size_t length = 0;
    for (const char *c = message; *c; c++) {
        const bool control = (unsigned char)*c < 0x20 || *c == 0x7f;
        if (!control)
            message[length++] = *c;
        else if (length > 0 && message[length - 1] != ' ')
            message[length++] = ' ';
    }
    while (length > 0 && message[length - 1] == ' ')
        length--;
    message[length] = '\0';
}

cn_status cn_error_set(cn_error *err, cn_status code, const char *file, int line,
                       const char *format, ...)
{
    if (!err)
        return code;
    err->code = code;
    snprintf(err->where, sizeof err->where, "%s:%d", file, line);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    make_one_line(err->message);
    return code;
}

cn_status cn_error_prefix(cn_error *err, cn_status code, const char *format, ...)
{
    if (!err)
        return code;
    char prefix[512];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    char rest[sizeof err->message];
    memcpy(rest, err->message, sizeof rest);
    const int used = snprintf(err->message, sizeof err->message, "%s: ", prefix);
    if (used > 0 && (size_t)used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - (size_t)used, "%.*s",
                 (int)(sizeof err->message - (size_t)used - 1), rest);
    make_one_line(err->message);
    return err->code;
}
