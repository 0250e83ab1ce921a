/* Counts calls of malloc, calloc, realloc, aligned_alloc and free, and of what reaches for files,
 * by our own code and the test. The linker puts these wrappers before the real functions of a
 * test_allocations.c, with and without sanitizers; calls inside shared libraries are not seen. */
#ifndef CN_TESTS_ALLOCATIONS_H
#define CN_TESTS_ALLOCATIONS_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic long allocations;            /* calls so far, */
static _Thread_local long allocations_here; /* and those of this thread */
static _Thread_local long file_calls_here;  /* likewise */

static inline void count_allocation(void)
{
    atomic_fetch_add(&allocations, 1);
    allocations_here++;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size)
{
    count_allocation();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    count_allocation();
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    count_allocation();
    return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    count_allocation();
    return __real_aligned_alloc(alignment, size);
}

void __wrap_free(void *memory)
{
    count_allocation();
    __real_free(memory);
}

/* ---- Files ---- */

#define COUNTED_FILE_CALL(type, name, parameters, arguments)                                       \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        file_calls_here++;                                                                         \
        return __real_##name arguments;                                                            \
    }
COUNTED_FILE_CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode))
COUNTED_FILE_CALL(size_t, fread, (void *to, size_t size, size_t count, FILE *f),
                  (to, size, count, f))
COUNTED_FILE_CALL(size_t, fwrite, (const void *from, size_t size, size_t count, FILE *f),
                  (from, size, count, f))
COUNTED_FILE_CALL(int, fflush, (FILE * f), (f))
COUNTED_FILE_CALL(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
COUNTED_FILE_CALL(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
COUNTED_FILE_CALL(ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
COUNTED_FILE_CALL(int, fsync, (int fd), (fd))
COUNTED_FILE_CALL(int, rename, (const char *from, const char *to), (from, to))
COUNTED_FILE_CALL(int, unlink, (const char *path), (path))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    file_calls_here++;
    return __real_open(path, flags, mode);
}

#endif
