/* Files: read one whole, or write one so that a reader sees the old bytes or the new, never half
 * (temporary file in the same folder, fsync, rename). */
#ifndef CN_BASE_FILE_H
#define CN_BASE_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/* Reads a whole file. @param out  owned by the caller, free(); a NUL follows the last byte.
 * @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_MEMORY. */
cn_status cn_file_read(const char *path, char **out, size_t *size, cn_error *err);

/* A file being written. Create with cn_file_begin; then fwrite to `stream`; then either
 * cn_file_commit, or cn_file_abandon, which leaves whatever was at `path` untouched. */
typedef struct cn_file {
    FILE *stream;
    char path[1024];
    char temporary[1200]; /* beside it: <path>.writing-<host>-<process> */
} cn_file;

/* Removes what writers of this path on this machine left behind when they were killed; the
 * temporary file of a process that lives is never touched. @return CN_ERR_ARGUMENT, CN_ERR_IO. */
cn_status cn_file_begin(const char *path, cn_file *out, cn_error *err);
cn_status cn_file_commit(cn_file *file, cn_error *err);
void cn_file_abandon(cn_file *file);

/* Makes a folder and its parents, like mkdir -p. */
cn_status cn_file_make_folder(const char *path, cn_error *err);

/* Joins a path found inside the file `from` onto that file's folder; absolute paths stay. */
cn_status cn_file_resolve(const char *from, const char *relative, char *out, size_t size,
                          cn_error *err);

#endif
