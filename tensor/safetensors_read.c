/* Reading safetensors: nothing in the file is believed before it is checked.
 *
 * Layout: u64 N, little-endian; N bytes of JSON; data. The JSON maps each name to its dtype, shape
 * and data_offsets, and __metadata__ to a map of texts. The tensors must cover the data exactly. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tensor/safetensors_internal.h"

/* A tensor and where it says its data stands, bytes from the start of the data. */
typedef struct entry {
    cn_tensor_view view;
    uint64_t begin, end;
} entry;

struct cn_safetensors {
    char *bytes;             /* the whole file */
    json_t *header;          /* owns every name, key and metadata value */
    cn_tensor_view *tensors; /* in the order of their data */
    int count;
};

static cn_status parse_prefix(const char *name, const char *bytes, size_t size, size_t *header_size,
                              cn_error *err)
{
    CN_FAIL_IF(size < CN_SAFETENSORS_PREFIX, CN_ERR_FORMAT, err,
               "%s: %zu bytes are no safetensors file, which starts with 8 bytes of header length",
               name, size);
    uint64_t n = 0;
    for (int i = CN_SAFETENSORS_PREFIX - 1; i >= 0; i--)
        n = n << 8 | (unsigned char)bytes[i];
    CN_FAIL_IF(n > CN_SAFETENSORS_MAX_HEADER, CN_ERR_FORMAT, err,
               "%s: a header of %" PRIu64 " bytes, at most %u are allowed", name, n,
               CN_SAFETENSORS_MAX_HEADER);
    CN_FAIL_IF(n > size - CN_SAFETENSORS_PREFIX, CN_ERR_FORMAT, err,
               "%s: a header of %" PRIu64 " bytes, but only %zu follow: the file is cut short",
               name, n, size - CN_SAFETENSORS_PREFIX);
    *header_size = (size_t)n;
    return CN_OK;
}

static cn_status parse_json(const char *name, const char *text, size_t size, json_t **out,
                            cn_error *err)
{
    CN_FAIL_IF(size == 0 || text[0] != '{', CN_ERR_FORMAT, err,
               "%s: the header does not start with '{'", name);
    json_error_t why;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    CN_FAIL_IF(!*out, CN_ERR_FORMAT, err, "%s: the header is not valid JSON: %s (at byte %d)", name,
               why.text, why.position);
    return CN_OK;
}

/* Reads a list of whole numbers >= 0. @param count  in: room in out; out: how many there were. */
static bool parse_sizes(const json_t *list, size_t *count, int64_t *out)
{
    if (!json_is_array(list) || json_array_size(list) > *count)
        return false;
    *count = json_array_size(list);
    for (size_t i = 0; i < *count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return false;
        out[i] = json_integer_value(item);
    }
    return true;
}

static cn_status parse_entry(const char *name, const char *tensor, const json_t *json, entry *out,
                             cn_error *err)
{
    const char *dtype = json_string_value(json_object_get(json, "dtype"));
    CN_FAIL_IF(!dtype, CN_ERR_FORMAT, err, "%s: tensor '%s' has no dtype", name, tensor);
    CN_FAIL_IF(!cn_dtype_find(dtype, &out->view.dtype), CN_ERR_FORMAT, err,
               "%s: tensor '%s' has dtype '%s', which is not known here", name, tensor, dtype);
    size_t rank = CN_SAFETENSORS_MAX_RANK;
    CN_FAIL_IF(!parse_sizes(json_object_get(json, "shape"), &rank, out->view.shape), CN_ERR_FORMAT,
               err, "%s: tensor '%s' needs a shape: a list of at most %d sizes, none negative",
               name, tensor, CN_SAFETENSORS_MAX_RANK);
    size_t two = 2;
    int64_t offsets[2];
    CN_FAIL_IF(!parse_sizes(json_object_get(json, "data_offsets"), &two, offsets) || two != 2 ||
                   offsets[0] > offsets[1],
               CN_ERR_FORMAT, err,
               "%s: tensor '%s' needs data_offsets: [begin, end], 0 <= begin <= end", name, tensor);
    out->view.name = tensor;
    out->view.rank = (int)rank;
    out->begin = (uint64_t)offsets[0];
    out->end = (uint64_t)offsets[1];
    CN_FAIL_IF(!cn_tensor_bytes(&out->view, &out->view.bytes), CN_ERR_FORMAT, err,
               "%s: the size of tensor '%s' overflows", name, tensor);
    CN_FAIL_IF(out->end - out->begin != out->view.bytes, CN_ERR_FORMAT, err,
               "%s: tensor '%s' needs %zu bytes by shape and dtype, its data_offsets span %" PRIu64,
               name, tensor, out->view.bytes, out->end - out->begin);
    return CN_OK;
}

static cn_status check_metadata(const char *name, const json_t *metadata, cn_error *err)
{
    CN_FAIL_IF(!json_is_object(metadata), CN_ERR_FORMAT, err, "%s: %s is not a map", name,
               CN_SAFETENSORS_METADATA);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value) CN_FAIL_IF(
        !json_is_string(value), CN_ERR_FORMAT, err, "%s: metadata '%s' is not a text", name, key);
    return CN_OK;
}

static int by_position(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The sorted entries must follow each other without gap or overlap and end with the data. */
static cn_status check_cover(const char *name, const entry *entries, int count, size_t data_size,
                             cn_error *err)
{
    uint64_t end = 0;
    for (int i = 0; i < count; i++) {
        CN_FAIL_IF(entries[i].begin > end, CN_ERR_FORMAT, err,
                   "%s: bytes %" PRIu64 " to %" PRIu64 " before tensor '%s' belong to no tensor",
                   name, end, entries[i].begin, entries[i].view.name);
        CN_FAIL_IF(entries[i].begin < end, CN_ERR_FORMAT, err,
                   "%s: tensor '%s' starts at byte %" PRIu64
                   " and overlaps the one before it, which ends at %" PRIu64,
                   name, entries[i].view.name, entries[i].begin, end);
        end = entries[i].end;
    }
    CN_FAIL_IF(end != data_size, CN_ERR_FORMAT, err,
               "%s: the tensors end at byte %" PRIu64 ", the data has %zu bytes", name, end,
               data_size);
    return CN_OK;
}

/* Fills file->tensors from file->header and the data. */
static cn_status parse_header(const char *name, cn_safetensors *file, const char *data,
                              size_t data_size, cn_error *err)
{
    cn_status status = CN_OK;
    const size_t room = json_object_size(file->header) + 1;
    entry *entries = calloc(room, sizeof *entries);
    file->tensors = calloc(room, sizeof *file->tensors);
    if (!entries || !file->tensors)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for %zu tensors", name, room);
    int count = 0;
    const char *key;
    json_t *value;
    json_object_foreach(file->header, key, value)
    {
        if (strcmp(key, CN_SAFETENSORS_METADATA) == 0)
            CN_TRY_CLEANUP(check_metadata(name, value, err));
        else
            CN_TRY_CLEANUP(parse_entry(name, key, value, &entries[count++], err));
    }
    qsort(entries, (size_t)count, sizeof *entries, by_position);
    CN_TRY_CLEANUP(check_cover(name, entries, count, data_size, err));
    for (int i = 0; i < count; i++) {
        file->tensors[i] = entries[i].view;
        file->tensors[i].data = data + entries[i].begin;
    }
    file->count = count;
cleanup:
    free(entries);
    return status;
}

/* Takes `bytes` over, also on failure. */
static cn_status parse_owned(const char *name, char *bytes, size_t size, cn_safetensors **out,
                             cn_error *err)
{
    cn_status status = CN_OK;
    size_t header_size = 0;
    cn_safetensors *file = calloc(1, sizeof *file);
    if (!file) {
        free(bytes);
        CN_FAIL(CN_ERR_MEMORY, err, "%s: no memory", name);
    }
    file->bytes = bytes;
    CN_TRY_CLEANUP(parse_prefix(name, bytes, size, &header_size, err));
    const char *header = bytes + CN_SAFETENSORS_PREFIX;
    CN_TRY_CLEANUP(parse_json(name, header, header_size, &file->header, err));
    CN_TRY_CLEANUP(parse_header(name, file, header + header_size,
                                size - CN_SAFETENSORS_PREFIX - header_size, err));
    *out = file;
    file = NULL;
cleanup:
    cn_safetensors_close(&file);
    return status;
}

cn_status cn_safetensors_open(const char *path, cn_safetensors **out, cn_error *err)
{
    *out = NULL;
    char *bytes;
    size_t size;
    CN_TRY(cn_file_read(path, &bytes, &size, err));
    return parse_owned(path, bytes, size, out, err);
}

cn_status cn_safetensors_parse(const char *name, const void *bytes, size_t size,
                               cn_safetensors **out, cn_error *err)
{
    *out = NULL;
    char *copy = malloc(size ? size : 1);
    CN_FAIL_IF(!copy, CN_ERR_MEMORY, err, "%s: no memory for %zu bytes", name, size);
    if (size)
        memcpy(copy, bytes, size);
    return parse_owned(name, copy, size, out, err);
}

void cn_safetensors_close(cn_safetensors **file)
{
    if (!*file)
        return;
    json_decref((*file)->header);
    free((*file)->tensors);
    free((*file)->bytes);
    free(*file);
    *file = NULL;
}

int cn_safetensors_count(const cn_safetensors *file)
{
    return file->count;
}

const cn_tensor_view *cn_safetensors_at(const cn_safetensors *file, int i)
{
    return i >= 0 && i < file->count ? &file->tensors[i] : NULL;
}

const cn_tensor_view *cn_safetensors_find(const cn_safetensors *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *cn_safetensors_metadata(const cn_safetensors *file, const char *key)
{
    const json_t *metadata = json_object_get(file->header, CN_SAFETENSORS_METADATA);
    return json_string_value(json_object_get(metadata, key));
}
