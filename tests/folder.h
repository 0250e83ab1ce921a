/* A temporary folder for the files of a test. */
#ifndef CN_TESTS_FOLDER_H
#define CN_TESTS_FOLDER_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"

typedef struct test_folder {
    char path[64];
} test_folder;

static inline test_folder folder_create(void)
{
    test_folder f = {"/tmp/cn-test-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f.path));
    return f;
}

/* Calls visit on each entry; returns how many there are. */
static inline int folder_each(const test_folder *f, void (*visit)(const char *path))
{
    int entries = 0;
    DIR *folder = opendir(f->path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
    for (const struct dirent *e; (e = readdir(folder));) {
        char path[400];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", f->path, e->d_name);
        visit(path);
        entries++;
    }
    closedir(folder);
    return entries;
}

static inline void folder_leave(const char *path)
{
    (void)path;
}

static inline void folder_remove(const char *path)
{
    CU_ASSERT_EQUAL(remove(path), 0);
}

/* Number of files and folders in it: nothing may be left over. */
static inline int folder_entries(const test_folder *f)
{
    return folder_each(f, folder_leave);
}

/* Removes it and the files in it. */
static inline void folder_destroy(const test_folder *f)
{
    folder_each(f, folder_remove);
    CU_ASSERT_EQUAL(rmdir(f->path), 0);
}

/* The path of a name in it; valid until the next but three. */
static inline const char *folder_path(const test_folder *f, const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", f->path, name);
    return path;
}

static inline void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

/* Leaves a file to whoever runs this test with $CN_SAMPLE, a folder, as `name` there; else removes
 * it. */
static inline void file_sample(const char *path, const char *name)
{
    const char *folder = getenv("CN_SAMPLE");
    char kept[1024];
    snprintf(kept, sizeof kept, "%s/%s", folder ? folder : "", name);
    CU_ASSERT_EQUAL(folder ? rename(path, kept) : remove(path), 0);
}

/* Whether two files hold the same bytes. */
static inline bool files_equal(const char *a, const char *b)
{
    cn_error err = {0};
    char *bytes[2];
    size_t size[2];
    CN_ASSERT_OK(cn_file_read(a, &bytes[0], &size[0], &err));
    CN_ASSERT_OK(cn_file_read(b, &bytes[1], &size[1], &err));
    const bool equal = size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return equal;
}

#endif
