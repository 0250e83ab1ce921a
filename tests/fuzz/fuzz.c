/* Checks that abort, and the folder for readers that take a path. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 8 };

static char folder[256], paths[FILES][sizeof folder + 80];

void fuzz_fail(const char *what, const char *file, int line, const char *why)
{
    fprintf(stderr, "%s:%d: does not hold: %s%s%s\n", file, line, what, why ? ": " : "",
            why ? why : "");
    abort();
}

bool fuzz_succeeded(cn_status status, const cn_error *err)
{
    if (status == CN_OK)
        return true;
    FUZZ_CHECK(err->code == status);
    FUZZ_CHECK(err->where[0] != '\0');
    FUZZ_CHECK(err->message[0] != '\0');
    for (const char *c = err->message; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
    return false;
}

/* What is in the folder is known: a target asks for few names, over and over. */
static void remove_folder(void)
{
    for (int i = 0; i < FILES && paths[i][0]; i++)
        remove(paths[i]);
    rmdir(folder);
}

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/cn-fuzz-XXXXXX", parent ? parent : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
    FUZZ_CHECK(atexit(remove_folder) == 0);
}

const char *fuzz_path(const char *name)
{
    char path[sizeof paths[0]];
    if (!folder[0])
        make_folder();
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int i = 0;
    while (paths[i][0] && strcmp(paths[i], path) != 0)
        FUZZ_CHECK(++i < FILES);
    return strcpy(paths[i], path);
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    const char *path = fuzz_path(name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FUZZ_CHECK(fd >= 0);
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(fd, (const char *)data + done, size - done);
        FUZZ_CHECK(n > 0);
        done += (size_t)n;
    }
    FUZZ_CHECK(close(fd) == 0);
    return path;
}
