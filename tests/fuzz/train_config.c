/* Training configurations: the `train:` section of a task, or a file of --config. */
#include "policy/train_config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

/* What is read can be written, and is read back as the same. */
static void check_written(const cn_train_config *config)
{
    cn_error err = {0};
    cn_yaml *document;
    cn_train_config again = cn_train_config_default();
    char *text[2];
    size_t size[2];
    const cn_train_config *const configs[] = {config, &again};
    for (int i = 0; i < 2; i++) {
        FILE *out = open_memstream(&text[i], &size[i]);
        FUZZ_CHECK(out);
        cn_train_config_write(configs[i], out);
        FUZZ_CHECK(fclose(out) == 0);
        if (i == 1)
            break;
        FUZZ_CHECK_OK(cn_yaml_parse("written.yaml", text[0], &document, &err));
        FUZZ_CHECK_OK(cn_train_config_read(&again, cn_yaml_root(document), &err));
        cn_yaml_destroy(&document);
    }
    FUZZ_CHECK(size[0] == size[1] && memcmp(text[0], text[1], size[0]) == 0);
    free(text[0]);
    free(text[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_yaml *document;
    cn_train_config config = cn_train_config_default();
    const char *path = fuzz_file("config.yaml", data, size);
    if (!fuzz_succeeded(cn_yaml_load(path, &document, &err), &err))
        return 0;
    if (fuzz_succeeded(cn_train_config_read(&config, cn_yaml_root(document), &err), &err))
        check_written(&config);
    cn_yaml_destroy(&document);
    return 0;
}
