/* What the reader and the writer of safetensors share. */
#ifndef CN_TENSOR_SAFETENSORS_INTERNAL_H
#define CN_TENSOR_SAFETENSORS_INTERNAL_H

#include <stdbool.h>

#include "tensor/safetensors.h"

/* The header starts behind its length; its key for the text-to-text map is reserved. */
#define CN_SAFETENSORS_PREFIX   8
#define CN_SAFETENSORS_METADATA "__metadata__"

/* The format's name of a type, "F32"; NULL: not in the table. */
const char *cn_dtype_name(cn_dtype dtype);
size_t cn_dtype_bytes(cn_dtype dtype);
bool cn_dtype_find(const char *name, cn_dtype *out);

/* Bytes of a tensor's elements by its dtype, rank and shape. @return false for a negative size or
 * an overflow. */
bool cn_tensor_bytes(const cn_tensor_view *tensor, size_t *out);

#endif
