/* Feeds every file of a folder to a fuzz target: the corpus as a test, without libFuzzer.
 *
 * Usage: fuzz_NAME FOLDER */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/fuzz/fuzz.h"

static bool replay(const char *path)
{
    cn_error err = {0};
    char *bytes;
    size_t size;
    printf("%s\n", path); /* before it is fed: the last line names the file of a crash */
    fflush(stdout);
    if (cn_file_read(path, &bytes, &size, &err) != CN_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    /* Of exactly its size, so that a sanitizer sees what is read beyond it. */
    uint8_t *exact = malloc(size ? size : 1);
    if (exact)
        LLVMFuzzerTestOneInput(memcpy(exact, bytes, size), size);
    const bool fed = exact != NULL;
    free(exact);
    free(bytes);
    return fed;
}

int main(int argc, char **argv)
{
    int files = 0;
    bool good = true;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER, one that exists\n", argv[0]);
        return 2;
    }
    for (const struct dirent *e; (e = readdir(folder));) {
        char path[1024];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        good = replay(path) && good;
        files++;
    }
    closedir(folder);
    if (files == 0)
        fprintf(stderr, "%s is empty: nothing was tested\n", argv[1]);
    return good && files > 0 ? 0 : 1;
}
