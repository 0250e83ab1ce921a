/* Writing safetensors: the header as JSON, then the data of the widest element types first, so that
 * every tensor stands aligned for its type behind a header padded to 8 bytes. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tensor/safetensors_internal.h"

#define DATA_ALIGNMENT 8

static cn_status check_tensor(const char *path, const cn_tensor_view *t, cn_error *err)
{
    CN_FAIL_IF(strcmp(t->name, CN_SAFETENSORS_METADATA) == 0, CN_ERR_ARGUMENT, err,
               "%s: no tensor may be named '%s'", path, t->name);
    CN_FAIL_IF(!cn_dtype_name(t->dtype), CN_ERR_ARGUMENT, err, "%s: tensor '%s' has no dtype %d",
               path, t->name, (int)t->dtype);
    CN_FAIL_IF(t->rank < 0 || t->rank > CN_SAFETENSORS_MAX_RANK, CN_ERR_ARGUMENT, err,
               "%s: tensor '%s' has rank %d, 0 to %d are possible", path, t->name, t->rank,
               CN_SAFETENSORS_MAX_RANK);
    size_t bytes;
    CN_FAIL_IF(!cn_tensor_bytes(t, &bytes), CN_ERR_ARGUMENT, err,
               "%s: tensor '%s' has a negative size, or one that overflows", path, t->name);
    CN_FAIL_IF(t->bytes != bytes, CN_ERR_ARGUMENT, err,
               "%s: tensor '%s' needs %zu bytes by shape and dtype, %zu were given", path, t->name,
               bytes, t->bytes);
    return CN_OK;
}

/* Widest first; equal widths stay in the order they were given. */
static int by_width(const void *a, const void *b)
{
    const cn_tensor_view *const *x = a, *const *y = b;
    const size_t wx = cn_dtype_bytes((*x)->dtype), wy = cn_dtype_bytes((*y)->dtype);
    if (wx != wy)
        return wx > wy ? -1 : 1;
    return (*x > *y) - (*x < *y); /* pointers into one array */
}

/* Puts a new text or map under a key. @return false, value released, if the key is taken, either is
 * not UTF-8 or there is no memory. */
static bool put(json_t *map, const char *key, json_t *value)
{
    if (!json_object_get(map, key))
        return json_object_set_new(map, key, value) == 0;
    json_decref(value);
    return false;
}

static json_t *describe(const cn_tensor_view *t, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; shape && i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", cn_dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + t->bytes));
}

static cn_status build_header(const char *path, const cn_tensor_view *const *tensors, int count,
                              const cn_metadata_entry *metadata, int metadata_count, json_t *header,
                              cn_error *err)
{
    json_t *texts = metadata_count > 0 ? json_object() : NULL;
    if (texts)
        CN_FAIL_IF(!put(header, CN_SAFETENSORS_METADATA, texts), CN_ERR_MEMORY, err,
                   "%s: no memory for the header", path);
    for (int i = 0; i < metadata_count; i++)
        CN_FAIL_IF(!put(texts, metadata[i].key, json_string(metadata[i].value)), CN_ERR_ARGUMENT,
                   err, "%s: metadata '%s' is given twice or is not UTF-8", path, metadata[i].key);
    size_t begin = 0;
    for (int i = 0; i < count; i++) {
        CN_FAIL_IF(tensors[i]->bytes > (size_t)INT64_MAX - begin, CN_ERR_ARGUMENT, err,
                   "%s: more than %zu bytes of tensors", path, (size_t)INT64_MAX);
        CN_FAIL_IF(!put(header, tensors[i]->name, describe(tensors[i], begin)), CN_ERR_ARGUMENT,
                   err, "%s: tensor '%s' is given twice, or its name is not UTF-8", path,
                   tensors[i]->name);
        begin += tensors[i]->bytes;
    }
    return CN_OK;
}

/* Failures of the stream are kept in it and reported by cn_file_commit. */
static void write_all(FILE *stream, const char *header, const cn_tensor_view *const *tensors,
                      int count)
{
    const size_t length = strlen(header);
    const size_t padded = (length + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    for (int i = 0; i < CN_SAFETENSORS_PREFIX; i++)
        fputc((int)((uint64_t)padded >> (8 * i) & 0xff), stream);
    fwrite(header, 1, length, stream);
    for (size_t i = length; i < padded; i++)
        fputc(' ', stream);
    for (int i = 0; i < count; i++)
        if (tensors[i]->bytes > 0)
            fwrite(tensors[i]->data, 1, tensors[i]->bytes, stream);
}

cn_status cn_safetensors_write(const char *path, const cn_tensor_view *tensors, int count,
                               const cn_metadata_entry *metadata, int metadata_count, cn_error *err)
{
    cn_status status = CN_OK;
    cn_file file = {0};
    char *text = NULL;
    json_t *header = json_object();
    const cn_tensor_view **order = calloc((size_t)count + 1, sizeof *order);
    if (!header || !order)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for %d tensors", path, count);
    for (int i = 0; i < count; i++) {
        CN_TRY_CLEANUP(check_tensor(path, &tensors[i], err));
        order[i] = &tensors[i];
    }
    qsort(order, (size_t)count, sizeof *order, by_width);
    CN_TRY_CLEANUP(build_header(path, order, count, metadata, metadata_count, header, err));
    text = json_dumps(header, JSON_COMPACT);
    if (!text)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for the header", path);
    if (strlen(text) > CN_SAFETENSORS_MAX_HEADER - DATA_ALIGNMENT)
        CN_FAIL_CLEANUP(CN_ERR_ARGUMENT, err, "%s: a header of %zu bytes, at most %u are allowed",
                        path, strlen(text), CN_SAFETENSORS_MAX_HEADER - DATA_ALIGNMENT);
    CN_TRY_CLEANUP(cn_file_begin(path, &file, err));
    write_all(file.stream, text, order, count);
    CN_TRY_CLEANUP(cn_file_commit(&file, err));
cleanup:
    cn_file_abandon(&file);
    free(text);
    free(order);
    json_decref(header);
    return status;
}
