/* safetensors files: reading refuses every malformed file, writing is atomic.
 * Format: huggingface safetensors; u64 little-endian header length, JSON header, data. */
#ifndef CN_TENSOR_SAFETENSORS_H
#define CN_TENSOR_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CN_SAFETENSORS_MAX_RANK   8
#define CN_SAFETENSORS_MAX_HEADER 100000000u

/* X(name, bytes): every element type of the format. We write F32, F64, I64 and U64. */
#define CN_DTYPE_TABLE(X)                                                                          \
    X(BOOL, 1)                                                                                     \
    X(U8, 1)                                                                                       \
    X(I8, 1)                                                                                       \
    X(I16, 2)                                                                                      \
    X(U16, 2)                                                                                      \
    X(F16, 2)                                                                                      \
    X(BF16, 2)                                                                                     \
    X(I32, 4)                                                                                      \
    X(U32, 4)                                                                                      \
    X(F32, 4)                                                                                      \
    X(F64, 8)                                                                                      \
    X(I64, 8)                                                                                      \
    X(U64, 8)
typedef enum cn_dtype {
#define CN_DTYPE_ENUM(name, bytes) CN_##name,
    CN_DTYPE_TABLE(CN_DTYPE_ENUM)
#undef CN_DTYPE_ENUM
} cn_dtype;

typedef struct cn_tensor_view {
    const char *name;
    cn_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t shape[CN_SAFETENSORS_MAX_RANK];
    const void *data; /* little-endian, row-major; in a file of others perhaps unaligned: memcpy */
    size_t bytes;
} cn_tensor_view;

/* A view of rows x cols elements in memory. */
cn_tensor_view cn_tensor_matrix(const char *name, cn_dtype dtype, int64_t rows, int64_t cols,
                                const void *data);

typedef struct cn_metadata_entry {
    const char *key;
    const char *value;
} cn_metadata_entry;

/* Writes tensors and metadata. Names and keys must be unique and UTF-8. The data of wider types
 * comes first in the file, so that all of it is aligned.
 * @return CN_ERR_ARGUMENT, CN_ERR_IO, CN_ERR_MEMORY; on failure the file that was there is
 *         untouched. */
cn_status cn_safetensors_write(const char *path, const cn_tensor_view *tensors, int count,
                               const cn_metadata_entry *metadata, int metadata_count,
                               cn_error *err);

typedef struct cn_safetensors cn_safetensors;

/* @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_MEMORY, CN_ERR_FORMAT with path and reason. */
cn_status cn_safetensors_open(const char *path, cn_safetensors **out, cn_error *err);
/* The same from memory (for fuzzing and tests); bytes are copied. */
cn_status cn_safetensors_parse(const char *name, const void *bytes, size_t size,
                               cn_safetensors **out, cn_error *err);
void cn_safetensors_close(cn_safetensors **file);

/* Tensors in the order of their data; NULL beyond the last. Views borrow from the file. */
int cn_safetensors_count(const cn_safetensors *file);
const cn_tensor_view *cn_safetensors_at(const cn_safetensors *file, int i);

/* A tensor, or the value of a metadata key; NULL: there is none of that name. */
const cn_tensor_view *cn_safetensors_find(const cn_safetensors *file, const char *name);
const char *cn_safetensors_metadata(const cn_safetensors *file, const char *key);

#endif
