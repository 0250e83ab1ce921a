/* safetensors files, of ours and of others. */
#include "tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void check_equal(const cn_tensor_view *a, const cn_tensor_view *b)
{
    FUZZ_CHECK(b && a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes);
    for (int i = 0; i < a->rank; i++)
        FUZZ_CHECK(a->shape[i] == b->shape[i]);
    FUZZ_CHECK(a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

/* What was read can be written, and is read back the same. */
static void check_written(const cn_safetensors *file, int count)
{
    cn_error err = {0};
    cn_safetensors *again;
    const char *path = fuzz_path("again.safetensors");
    cn_tensor_view *tensors = calloc((size_t)count + 1, sizeof *tensors);
    FUZZ_CHECK(tensors);
    for (int i = 0; i < count; i++)
        tensors[i] = *cn_safetensors_at(file, i);
    FUZZ_CHECK_OK(cn_safetensors_write(path, tensors, count, NULL, 0, &err));
    FUZZ_CHECK_OK(cn_safetensors_open(path, &again, &err));
    FUZZ_CHECK(cn_safetensors_count(again) == count);
    for (int i = 0; i < count; i++)
        check_equal(&tensors[i], cn_safetensors_find(again, tensors[i].name));
    cn_safetensors_close(&again);
    free(tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_safetensors *file;
    if (!fuzz_succeeded(cn_safetensors_parse("input", data, size, &file, &err), &err)) {
        FUZZ_CHECK(!file);
        return 0;
    }
    const int count = cn_safetensors_count(file);
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        const cn_tensor_view *tensor = cn_safetensors_at(file, i);
        FUZZ_CHECK(tensor && tensor->rank >= 0 && tensor->rank <= CN_SAFETENSORS_MAX_RANK);
        FUZZ_CHECK(cn_safetensors_find(file, tensor->name) == tensor);
        bytes += tensor->bytes;
    }
    FUZZ_CHECK(bytes <= size); /* no more than the file can hold */
    FUZZ_CHECK(!cn_safetensors_at(file, count) && !cn_safetensors_at(file, -1));
    cn_safetensors_metadata(file, "colonnade");
    check_written(file, count);
    cn_safetensors_close(&file);
    return 0;
}
