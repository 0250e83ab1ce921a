/* Key files, read as public and as secret ones. */
#include "bridge/keys.h"

#include <string.h>
#include <zmq.h>

#include "tests/fuzz/fuzz.h"

static void check_key(const cn_key *key)
{
    char text[CN_KEY_TEXT];
    FUZZ_CHECK(memchr(key->name, '\0', sizeof key->name) && key->name[0]);
    FUZZ_CHECK(zmq_z85_encode(text, key->public_bytes, CN_KEY_BYTES));
    FUZZ_CHECK(strcmp(text, key->public_text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_key key;
    const char *path = fuzz_file("name.key", data, size);
    if (fuzz_succeeded(cn_key_load_public(path, &key, &err), &err)) {
        check_key(&key);
        FUZZ_CHECK(key.secret_text[0] == '\0');
    }
    if (fuzz_succeeded(cn_key_load(path, &key, &err), &err)) {
        check_key(&key);
        FUZZ_CHECK(strlen(key.secret_text) == CN_KEY_TEXT - 1);
    }
    return 0;
}
