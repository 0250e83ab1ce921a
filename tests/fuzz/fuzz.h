/* What the fuzz targets share. A target is one file, NAME.c, that defines LLVMFuzzerTestOneInput;
 * libFuzzer drives it (./dev fuzz), or replay.c over the files of corpus/NAME (ctest fuzz.NAME). */
#ifndef CN_TESTS_FUZZ_FUZZ_H
#define CN_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* One input. It must not crash, leak or hang, and every FUZZ_CHECK must hold. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every input. Not assert(): the release build checks it as well. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(#condition, __FILE__, __LINE__, NULL);                                       \
    } while (0)

/* The same of a call that must succeed and fills `err`. */
#define FUZZ_CHECK_OK(expression)                                                                  \
    do {                                                                                           \
        if ((expression) != CN_OK)                                                                 \
            fuzz_fail(#expression, __FILE__, __LINE__, err.message);                               \
    } while (0)

/* Says what did not hold, and aborts. @param why  may be NULL */
_Noreturn void fuzz_fail(const char *what, const char *file, int line, const char *why);

/* Whether the call succeeded. A failure must have its code in err, and a message of one line. */
bool fuzz_succeeded(cn_status status, const cn_error *err);

/* The path of a file in a folder of this process, which is removed at its end, for readers that
 * take a path. @return valid to the end */
const char *fuzz_path(const char *name);

/* Writes such a file, for its owner alone. */
const char *fuzz_file(const char *name, const void *data, size_t size);

#endif
