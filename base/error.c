/* Error reporting: the table of words and the one place that formats a message. */
#include "base/error.h"

#include <stdarg.h>
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
    return err->code;
}
