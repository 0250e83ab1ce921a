/* Status codes and the error that travels with them. Every fallible function of Colonnade returns a
 * cn_status and takes a nullable `cn_error *err` last; on failure err holds one clear line.
 *
 *     cn_error err = {0};
 *     if (cn_policy_load(path, &policy, &err) != CN_OK)
 *         fprintf(stderr, "%s\n", err.message);
 */
#ifndef CN_BASE_ERROR_H
#define CN_BASE_ERROR_H

/* X(name, words): the one table of status codes. */
#define CN_STATUS_TABLE(X)                                                                         \
    X(CN_OK, "ok")                                                                                 \
    X(CN_ERR_ARGUMENT, "invalid argument")                                                         \
    X(CN_ERR_MEMORY, "out of memory")                                                              \
    X(CN_ERR_IO, "input/output error")                                                             \
    X(CN_ERR_FORMAT, "malformed data")                                                             \
    X(CN_ERR_SHAPE, "shape mismatch")                                                              \
    X(CN_ERR_NOT_FOUND, "not found")                                                               \
    X(CN_ERR_MISMATCH, "does not match")                                                           \
    X(CN_ERR_CHECKSUM, "checksum mismatch")                                                        \
    X(CN_ERR_TIMEOUT, "timed out")                                                                 \
    X(CN_ERR_REFUSED, "refused")                                                                   \
    X(CN_ERR_PHYSICS, "physics diverged")                                                          \
    X(CN_ERR_LEARNING, "learning diverged")                                                        \
    X(CN_ERR_SAFETY, "stopped by safety")                                                          \
    X(CN_ERR_CANCELLED, "cancelled")

typedef enum cn_status {
#define CN_STATUS_ENUM(name, words) name,
    CN_STATUS_TABLE(CN_STATUS_ENUM)
#undef CN_STATUS_ENUM
} cn_status;

typedef struct cn_error {
    cn_status code;
    char where[64];     /* source file:line that raised it, for a bug report */
    char message[1024]; /* one line for a person: both values and the way out */
} cn_error;

/* The words of a status code, e.g. "timed out". Never NULL. */
const char *cn_status_words(cn_status status);

/* Fills err (when not NULL) and returns code. Use CN_FAIL, which supplies file and line. */
cn_status cn_error_set(cn_error *err, cn_status code, const char *file, int line,
                       const char *format, ...);

/* Puts "<prefix>: " before the message already in err; returns its code. For callers who know the
 * file or the joint that the callee did not. err may be NULL, then returns `code`. */
cn_status cn_error_prefix(cn_error *err, cn_status code, const char *format, ...);

/* Error in a function that owns nothing yet: CN_FAIL(CN_ERR_IO, err, "%s: %s", path, why); */
#define CN_FAIL(code, err, ...) return cn_error_set((err), (code), __FILE__, __LINE__, __VA_ARGS__)

#define CN_FAIL_IF(condition, code, err, ...)                                                      \
    do {                                                                                           \
        if (condition)                                                                             \
            CN_FAIL(code, err, __VA_ARGS__);                                                       \
    } while (0)

/* Passes a failure on. */
#define CN_TRY(expression)                                                                         \
    do {                                                                                           \
        cn_status cn_try_status_ = (expression);                                                   \
        if (cn_try_status_ != CN_OK)                                                               \
            return cn_try_status_;                                                                 \
    } while (0)

/* The same in a function with one `cleanup:` label and a `cn_status status` variable. */
#define CN_TRY_CLEANUP(expression)                                                                 \
    do {                                                                                           \
        status = (expression);                                                                     \
        if (status != CN_OK)                                                                       \
            goto cleanup;                                                                          \
    } while (0)

#define CN_FAIL_CLEANUP(code, err, ...)                                                            \
    do {                                                                                           \
        status = cn_error_set((err), (code), __FILE__, __LINE__, __VA_ARGS__);                     \
        goto cleanup;                                                                              \
    } while (0)

#endif
