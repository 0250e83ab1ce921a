/* safetensors, what reading and writing share: the table of element types, sizes of tensors. */
#include "tensor/safetensors_internal.h"

#include <string.h>

#include "tensor/internal.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
#define DTYPE_ROW(name, bytes) {#name, bytes},
    CN_DTYPE_TABLE(DTYPE_ROW)
#undef DTYPE_ROW
};

#define DTYPES ((int)(sizeof dtypes / sizeof dtypes[0]))

const char *cn_dtype_name(cn_dtype dtype)
{
    return (int)dtype >= 0 && (int)dtype < DTYPES ? dtypes[dtype].name : NULL;
}

size_t cn_dtype_bytes(cn_dtype dtype)
{
    return dtypes[dtype].bytes;
}

bool cn_dtype_find(const char *name, cn_dtype *out)
{
    for (int i = 0; i < DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *out = (cn_dtype)i;
            return true;
        }
    }
    return false;
}

bool cn_tensor_bytes(const cn_tensor_view *tensor, size_t *out)
{
    size_t bytes = cn_dtype_bytes(tensor->dtype);
    bool good = true, empty = false;
    for (int i = 0; i < tensor->rank; i++) {
        const int64_t size = tensor->shape[i];
        empty = empty || size == 0;
        /* A zero later in the shape must not hide an overflow before it, nor the reverse. */
        good = good && size >= 0 && (uint64_t)size <= SIZE_MAX &&
               (size == 0 || cn_size_mul(bytes, (size_t)size, &bytes));
    }
    *out = empty ? 0 : bytes;
    return good;
}

cn_tensor_view cn_tensor_matrix(const char *name, cn_dtype dtype, int64_t rows, int64_t cols,
                                const void *data)
{
    return (cn_tensor_view){
        .name = name,
        .dtype = dtype,
        .rank = 2,
        .shape = {rows, cols},
        .data = data,
        .bytes = (size_t)rows * (size_t)cols * cn_dtype_bytes(dtype),
    };
}
