/* Files: whole reads, atomic writes, folders, relative paths. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/folder.h"

static cn_error err;
static test_folder folder;

/* The text of a file; owned by the caller. */
static char *read_text(const char *name)
{
    char *text;
    size_t size;
    CN_ASSERT_OK(cn_file_read(folder_path(&folder, name), &text, &size, &err));
    CU_ASSERT_EQUAL(size, strlen(text));
    return text;
}

static void check_text(const char *name, const char *expected)
{
    char *text = read_text(name);
    CU_ASSERT_STRING_EQUAL(text, expected);
    free(text);
}

/* ---- Reading ---- */

/* Around the size of the first block, every byte comes back, with a NUL behind the last. */
static void test_read_returns_every_byte(void)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 300000};
    folder = folder_create();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *bytes;
        size_t size;
        FILE *file = fopen(folder_path(&folder, "a"), "wb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        for (size_t b = 0; b < sizes[i]; b++)
            fputc((int)(b * 7 % 251), file);
        CU_ASSERT_EQUAL(fclose(file), 0);
        CN_ASSERT_OK(cn_file_read(folder_path(&folder, "a"), &bytes, &size, &err));
        CU_ASSERT_EQUAL_FATAL(size, sizes[i]);
        size_t wrong = 0;
        for (size_t b = 0; b < size; b++)
            wrong += (unsigned char)bytes[b] != b * 7 % 251;
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_EQUAL(bytes[size], '\0');
        free(bytes);
    }
    folder_destroy(&folder);
}

static void test_read_refuses(void)
{
    char *bytes = "as it was";
    size_t size = 9;
    folder = folder_create();
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/none: No such file or directory",
                    cn_file_read(folder_path(&folder, "none"), &bytes, &size, &err));
    CU_ASSERT_PTR_NULL(bytes);
    CU_ASSERT_EQUAL(size, 0);
    CN_ASSERT_FAILS(CN_ERR_IO, "Is a directory", cn_file_read(folder.path, &bytes, &size, &err));
    CU_ASSERT_PTR_NULL(bytes);
    folder_destroy(&folder);
}

/* ---- Writing ---- */

static void test_commit_replaces(void)
{
    cn_file file;
    folder = folder_create();
    file_write(folder_path(&folder, "a"), "old");
    CN_ASSERT_OK(cn_file_begin(folder_path(&folder, "a"), &file, &err));
    fputs("new", file.stream);
    fflush(file.stream);
    check_text("a", "old"); /* until it is complete */
    CN_ASSERT_OK(cn_file_commit(&file, &err));
    check_text("a", "new");
    CU_ASSERT_EQUAL(folder_entries(&folder), 1);
    folder_destroy(&folder);
}

static void test_abandon_leaves_the_old_file(void)
{
    cn_file file;
    folder = folder_create();
    file_write(folder_path(&folder, "a"), "old");
    CN_ASSERT_OK(cn_file_begin(folder_path(&folder, "a"), &file, &err));
    fputs("new", file.stream);
    cn_file_abandon(&file);
    cn_file_abandon(&file);
    check_text("a", "old");
    CU_ASSERT_EQUAL(folder_entries(&folder), 1);
    folder_destroy(&folder);
}

/* The disk is full: a limit on the size of files stands for it. */
static void test_full_disk_leaves_the_old_file(void)
{
    cn_file file;
    struct rlimit before;
    folder = folder_create();
    file_write(folder_path(&folder, "a"), "old");
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    CN_ASSERT_OK(cn_file_begin(folder_path(&folder, "a"), &file, &err));
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 10000; i++)
        fputc('n', file.stream);
    const cn_status status = cn_file_commit(&file, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    CU_ASSERT_EQUAL(status, CN_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "the file before it, if any, is unchanged"));
    check_text("a", "old");
    CU_ASSERT_EQUAL(folder_entries(&folder), 1);
    folder_destroy(&folder);
}

static void test_begin_and_commit_refuse(void)
{
    cn_file file;
    char path[1200];
    folder = folder_create();
    CN_ASSERT_FAILS(CN_ERR_IO, "/none/a: cannot write: No such file or directory",
                    cn_file_begin(folder_path(&folder, "none/a"), &file, &err));
    cn_file_abandon(&file); /* nothing was begun */
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "xxx", cn_file_begin(path, &file, &err));
    /* a folder stands where the file should be */
    CN_ASSERT_OK(cn_file_make_folder(folder_path(&folder, "a"), &err));
    CN_ASSERT_OK(cn_file_begin(folder_path(&folder, "a"), &file, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/a: cannot put the new file in place: Is a directory",
                    cn_file_commit(&file, &err));
    CU_ASSERT_EQUAL(folder_entries(&folder), 1);
    folder_destroy(&folder);
}

/* A process that has begun to write `a` and waits; it comes back when the file is there. */
static pid_t start_writer(char temporary[sizeof((cn_file *)NULL)->temporary])
{
    const size_t size = sizeof((cn_file *)NULL)->temporary;
    int pipes[2];
    CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
    const pid_t writer = fork();
    CU_ASSERT_TRUE_FATAL(writer >= 0);
    if (writer == 0) {
        cn_file file;
        const cn_status status = cn_file_begin(folder_path(&folder, "a"), &file, NULL);
        if (status == CN_OK && write(pipes[1], file.temporary, size) == (ssize_t)size)
            pause();
        _exit(1);
    }
    CU_ASSERT_EQUAL_FATAL(read(pipes[0], temporary, size), (ssize_t)size);
    close(pipes[0]);
    close(pipes[1]);
    return writer;
}

/* What a killed writer leaves, the next writer of the same file removes; nothing else. */
static void test_leftovers_of_the_dead_are_removed(void)
{
    cn_file file;
    char dead[sizeof file.temporary], alive[sizeof file.temporary], kept[2][sizeof dead + 2];
    folder = folder_create();
    const pid_t killed = start_writer(dead), living = start_writer(alive);
    kill(killed, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(killed, NULL, 0), killed);
    /* another file's, and a name that only looks like one */
    snprintf(kept[0], sizeof kept[0], "%s/b%s", folder.path, dead + strlen(folder.path) + 2);
    snprintf(kept[1], sizeof kept[1], "%sx", dead);
    for (int i = 0; i < 2; i++)
        file_write(kept[i], "");
    CU_ASSERT_EQUAL(folder_entries(&folder), 4);
    CN_ASSERT_OK(cn_file_begin(folder_path(&folder, "a"), &file, &err));
    CU_ASSERT_NOT_EQUAL(access(dead, F_OK), 0);
    CU_ASSERT_EQUAL(access(alive, F_OK), 0);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(access(kept[i], F_OK), 0);
    CN_ASSERT_OK(cn_file_commit(&file, &err));
    CU_ASSERT_EQUAL(folder_entries(&folder), 4);
    kill(living, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(living, NULL, 0), living);
    folder_destroy(&folder);
}

/* ---- Folders and paths ---- */

static void test_make_folder_makes_parents(void)
{
    struct stat info;
    folder = folder_create();
    for (int again = 0; again < 2; again++) {
        CN_ASSERT_OK(cn_file_make_folder(folder_path(&folder, "a/b//c/"), &err));
        CU_ASSERT_EQUAL(stat(folder_path(&folder, "a/b/c"), &info), 0);
        CU_ASSERT_TRUE(S_ISDIR(info.st_mode));
    }
    CN_ASSERT_OK(cn_file_make_folder("/", &err));
    rmdir(folder_path(&folder, "a/b/c"));
    rmdir(folder_path(&folder, "a/b"));
    folder_destroy(&folder);
}

static void test_make_folder_refuses(void)
{
    char path[1200];
    folder = folder_create();
    file_write(folder_path(&folder, "file"), "in the way");
    CN_ASSERT_FAILS(CN_ERR_IO, "file': File exists",
                    cn_file_make_folder(folder_path(&folder, "file"), &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "file/a: cannot make the folder",
                    cn_file_make_folder(folder_path(&folder, "file/a"), &err));
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a path of 1199 bytes is too long: xxx",
                    cn_file_make_folder(path, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a folder without a name", cn_file_make_folder("", &err));
    folder_destroy(&folder);
}

static void test_resolve(void)
{
    static const struct {
        const char *from, *relative, *expected;
    } cases[] = {
        {"scenes/reach.yaml", "arms/jaco.xml", "scenes/arms/jaco.xml"},
        {"scenes/reach.yaml", "../arms/jaco.xml", "scenes/../arms/jaco.xml"},
        {"scenes/reach.yaml", "/arms/jaco.xml", "/arms/jaco.xml"},
        {"reach.yaml", "arms/jaco.xml", "arms/jaco.xml"},
        {"/reach.yaml", "jaco.xml", "/jaco.xml"},
    };
    char path[32];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CN_ASSERT_OK(cn_file_resolve(cases[i].from, cases[i].relative, path, sizeof path, &err));
        CU_ASSERT_STRING_EQUAL(path, cases[i].expected);
    }
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a path of 15 bytes is too long for 14: scenes/jaco.xm",
                    cn_file_resolve("scenes/reach.yaml", "jaco.xml", path, 15, &err));
    CN_ASSERT_OK(cn_file_resolve("scenes/reach.yaml", "jaco.xml", path, 16, &err));
}

CN_TEST_MAIN("base.file", T(test_read_returns_every_byte), T(test_read_refuses),
             T(test_commit_replaces), T(test_abandon_leaves_the_old_file),
             T(test_full_disk_leaves_the_old_file), T(test_begin_and_commit_refuse),
             T(test_leftovers_of_the_dead_are_removed), T(test_make_folder_makes_parents),
             T(test_make_folder_refuses), T(test_resolve))
