/* Whole-file reading and atomic writing. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cn_status cn_file_read(const char *path, char **out, size_t *size, cn_error *err)
{
    *out = NULL;
    *size = 0;
    FILE *f = fopen(path, "rb");
    CN_FAIL_IF(!f, errno == ENOENT ? CN_ERR_NOT_FOUND : CN_ERR_IO, err, "%s: %s", path,
               strerror(errno));
    cn_status status = CN_OK;
    char *bytes = NULL;
    size_t used = 0, capacity = 1 << 16;
    for (;;) {
        char *grown = realloc(bytes, capacity + 1);
        if (!grown)
            CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for %zu bytes", path, capacity);
        bytes = grown;
        used += fread(bytes + used, 1, capacity - used, f);
        if (ferror(f))
            CN_FAIL_CLEANUP(CN_ERR_IO, err, "%s: %s", path, strerror(errno));
        if (feof(f))
            break;
        if (used == capacity)
            capacity *= 2;
    }
    bytes[used] = '\0';
    *out = bytes;
    *size = used;
    bytes = NULL;
cleanup:
    free(bytes);
    fclose(f);
    return status;
}

/* The folder of a path, "." if it names none. */
static void folder_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(out, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    else
        snprintf(out, size, ".");
}

/* Removes the temporary files of writers that were killed: their names begin like `stem` and end in
 * the number of a process of this machine that is no more. */
static void remove_leftovers(const char *stem)
{
    char folder[1200];
    const char *slash = strrchr(stem, '/'), *name = slash ? slash + 1 : stem;
    folder_of(stem, folder, sizeof folder);
    DIR *entries = opendir(folder);
    for (const struct dirent *e; entries && (e = readdir(entries));) {
        char *end;
        if (strncmp(e->d_name, name, strlen(name)) != 0)
            continue;
        const long pid = strtol(e->d_name + strlen(name), &end, 10);
        if (pid > 0 && *end == '\0' && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(entries), e->d_name, 0);
    }
    if (entries)
        closedir(entries);
}

cn_status cn_file_begin(const char *path, cn_file *out, cn_error *err)
{
    char host[65] = "", stem[sizeof out->path + sizeof host + 16];
    *out = (cn_file){0};
    CN_FAIL_IF(strlen(path) >= sizeof out->path, CN_ERR_ARGUMENT, err,
               "a path of %zu bytes is too long: %.64s...", strlen(path), path);
    strcpy(out->path, path);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    snprintf(stem, sizeof stem, "%s.writing-%s-", path, host);
    remove_leftovers(stem);
    snprintf(out->temporary, sizeof out->temporary, "%s%ld", stem, (long)getpid());
    out->stream = fopen(out->temporary, "wb");
    CN_FAIL_IF(!out->stream, CN_ERR_IO, err, "%s: cannot write: %s", path, strerror(errno));
    return CN_OK;
}

/* A rename is durable only once its folder is on disk too. */
static void sync_folder_of(const char *path)
{
    char folder[1024];
    folder_of(path, folder, sizeof folder);
    const int fd = open(folder, O_RDONLY);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

cn_status cn_file_commit(cn_file *file, cn_error *err)
{
    const bool written =
        !ferror(file->stream) && fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0;
    const int why = errno;
    const bool closed = fclose(file->stream) == 0;
    file->stream = NULL;
    if (!written || !closed) {
        remove(file->temporary);
        CN_FAIL(CN_ERR_IO, err, "%s: cannot write: %s; the file before it, if any, is unchanged",
                file->path, strerror(written ? errno : why));
    }
    if (rename(file->temporary, file->path) != 0) {
        const int rename_why = errno;
        remove(file->temporary);
        CN_FAIL(CN_ERR_IO, err, "%s: cannot put the new file in place: %s", file->path,
                strerror(rename_why));
    }
    sync_folder_of(file->path);
    return CN_OK;
}

void cn_file_abandon(cn_file *file)
{
    if (!file->stream)
        return;
    fclose(file->stream);
    file->stream = NULL;
    remove(file->temporary);
}

cn_status cn_file_make_folder(const char *path, cn_error *err)
{
    char buffer[1024];
    CN_FAIL_IF(path[0] == '\0', CN_ERR_ARGUMENT, err, "a folder without a name");
    CN_FAIL_IF(strlen(path) >= sizeof buffer, CN_ERR_ARGUMENT, err,
               "a path of %zu bytes is too long: %.64s...", strlen(path), path);
    strcpy(buffer, path);
    for (char *p = buffer + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        const char end = *p;
        *p = '\0';
        struct stat info;
        if (mkdir(buffer, 0777) != 0 &&
            !(errno == EEXIST && stat(buffer, &info) == 0 && S_ISDIR(info.st_mode)))
            CN_FAIL(CN_ERR_IO, err, "%s: cannot make the folder '%s': %s", path, buffer,
                    strerror(errno));
        if (end == '\0')
            return CN_OK;
        *p = end;
    }
}

cn_status cn_file_resolve(const char *from, const char *relative, char *out, size_t size,
                          cn_error *err)
{
    const char *slash = strrchr(from, '/');
    int n;
    if (relative[0] == '/' || !slash)
        n = snprintf(out, size, "%s", relative);
    else
        n = snprintf(out, size, "%.*s/%s", (int)(slash - from), from, relative);
    CN_FAIL_IF(n < 0 || (size_t)n >= size, CN_ERR_ARGUMENT, err,
               "a path of %d bytes is too long for %zu: %.64s", n, size - 1, out);
    return CN_OK;
}
