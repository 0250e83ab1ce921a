/* Key files: YAML of three lines. What is secret is in memory only where it is used. */
#include "bridge/keys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "base/file.h"
#include "base/yaml.h"

#define SECRET_END ".key"
#define PUBLIC_END ".pub"

enum { PATH = 1024, KEYS_MAX = 4096 };

struct cn_key_list {
    int count, room;
    cn_key *key; /* [room] */
};

/* ---- Making ---- */

static cn_status name_of(const char *path, char *name, cn_error *err)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    CN_FAIL_IF(base[0] == '\0', CN_ERR_ARGUMENT, err, "'%s' has no name for a key", path);
    CN_FAIL_IF(strlen(base) >= CN_NAME || strpbrk(base, "'\n\\"), CN_ERR_ARGUMENT, err,
               "'%.100s' is no name for a key: at most %d bytes, without quotes", base,
               CN_NAME - 1);
    memcpy(name, base, strlen(base) + 1);
    return CN_OK;
}

/* @param secret  write it too, for its owner's eyes alone */
static cn_status write_key(const cn_key *key, const char *path, bool secret, cn_error *err)
{
    cn_file file;
    CN_TRY(cn_file_begin(path, &file, err));
    if (secret && fchmod(fileno(file.stream), S_IRUSR | S_IWUSR) != 0) {
        cn_file_abandon(&file);
        CN_FAIL(CN_ERR_IO, err, "%s: cannot hide it from others: %s", path, strerror(errno));
    }
    fprintf(file.stream, "# %s\n",
            secret ? "Secret: whoever has this file is taken for its owner. It stays where it is."
                   : "Public: for those whom its owner should be able to meet.");
    fprintf(file.stream, "name: '%s'\npublic: '%s'\n", key->name, key->public_text);
    if (secret)
        fprintf(file.stream, "secret: '%s'\n", key->secret_text);
    return cn_file_commit(&file, err);
}

cn_status cn_key_make(const char *path, cn_error *err)
{
    cn_key key = {0};
    char secret[PATH], public[PATH];
    struct stat there;
    CN_TRY(name_of(path, key.name, err));
    CN_FAIL_IF(strlen(path) + sizeof SECRET_END > PATH, CN_ERR_ARGUMENT, err,
               "a path of %zu bytes is too long", strlen(path));
    snprintf(secret, sizeof secret, "%s" SECRET_END, path);
    snprintf(public, sizeof public, "%s" PUBLIC_END, path);
    const char *const both[] = {secret, public};
    for (int i = 0; i < 2; i++)
        CN_FAIL_IF(lstat(both[i], &there) == 0, CN_ERR_ARGUMENT, err,
                   "%s exists: whoever knows that key would not know the new one; choose another "
                   "name, or remove it",
                   both[i]);
    CN_FAIL_IF(zmq_curve_keypair(key.public_text, key.secret_text) != 0, CN_ERR_IO, err,
               "no keys can be made: %s", zmq_strerror(zmq_errno()));
    CN_TRY(write_key(&key, secret, true, err));
    const cn_status status = write_key(&key, public, false, err);
    if (status != CN_OK)
        remove(secret);
    return status;
}

/* ---- Reading ---- */

static cn_status read_key(cn_yaml_node map, const char *key, char *text, uint8_t *bytes,
                          cn_error *err)
{
    cn_yaml_node node;
    const char *value;
    CN_TRY(cn_yaml_require(map, key, &node, err));
    CN_TRY(cn_yaml_string(node, &value, err));
    if (strlen(value) != CN_KEY_TEXT - 1 || !zmq_z85_decode(bytes, value))
        return cn_yaml_fail(node, err, "'%s' is no key: %d characters of Z85 are expected", key,
                            CN_KEY_TEXT - 1);
    memcpy(text, value, CN_KEY_TEXT);
    return CN_OK;
}

/* A pair whose halves come from two files would be refused by everybody, without a reason. */
static cn_status check_pair(cn_yaml_node map, const cn_key *key, cn_error *err)
{
    char derived[CN_KEY_TEXT];
    if (zmq_curve_public(derived, key->secret_text) != 0 || strcmp(derived, key->public_text) != 0)
        return cn_yaml_fail(map, err, "the public key does not go with the secret one");
    return CN_OK;
}

static cn_status read_document(const cn_yaml *document, bool secret, cn_key *out, cn_error *err)
{
    static const char *const keys[] = {"name", "public", "secret", NULL};
    const cn_yaml_node map = cn_yaml_root(document);
    cn_yaml_node node;
    const char *name;
    uint8_t bytes[CN_KEY_BYTES];
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_yaml_require(map, "name", &node, err));
    CN_TRY(cn_yaml_string(node, &name, err));
    if (strlen(name) >= sizeof out->name)
        return cn_yaml_fail(node, err, "a name of %zu bytes; at most %zu are possible",
                            strlen(name), sizeof out->name - 1);
    memcpy(out->name, name, strlen(name) + 1);
    CN_TRY(read_key(map, "public", out->public_text, out->public_bytes, err));
    if (!secret && cn_yaml_find(map, "secret", &node))
        return cn_yaml_fail(node, err,
                            "a secret key where a public one is expected: give the "
                            "file that ends in " PUBLIC_END);
    if (!secret)
        return CN_OK;
    CN_TRY(read_key(map, "secret", out->secret_text, bytes, err));
    return check_pair(map, out, err);
}

static cn_status load(const char *path, bool secret, cn_key *out, cn_error *err)
{
    cn_yaml *document = NULL;
    *out = (cn_key){0};
    CN_TRY(cn_yaml_load(path, &document, err));
    const cn_status status = read_document(document, secret, out, err);
    cn_yaml_destroy(&document);
    return status;
}

cn_status cn_key_load(const char *path, cn_key *out, cn_error *err)
{
    struct stat about;
    CN_TRY(load(path, true, out, err));
    CN_FAIL_IF(stat(path, &about) != 0 || (about.st_mode & (S_IRWXG | S_IRWXO)) != 0,
               CN_ERR_REFUSED, err,
               "%s can be read by others: it may not be secret any more; make a new key, or "
               "chmod 600 it",
               path);
    return CN_OK;
}

cn_status cn_key_load_public(const char *path, cn_key *out, cn_error *err)
{
    return load(path, false, out, err);
}

/* ---- Lists ---- */

static cn_status add(cn_key_list *list, const char *path, cn_error *err)
{
    if (list->count == list->room) {
        const int room = list->room > 0 ? 2 * list->room : 4;
        CN_FAIL_IF(room > KEYS_MAX, CN_ERR_ARGUMENT, err, "more than %d keys", KEYS_MAX);
        cn_key *key = realloc(list->key, (size_t)room * sizeof *key);
        CN_FAIL_IF(!key, CN_ERR_MEMORY, err, "no memory for %d keys", room);
        list->key = key;
        list->room = room;
    }
    CN_TRY(cn_key_load_public(path, &list->key[list->count], err));
    list->count++;
    return CN_OK;
}

static bool ends_in(const char *name, const char *end)
{
    const size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

static cn_status add_folder(cn_key_list *list, const char *folder, DIR *entries, cn_error *err)
{
    char path[PATH];
    for (const struct dirent *e; (e = readdir(entries));) {
        if (!ends_in(e->d_name, PUBLIC_END))
            continue;
        const int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        CN_FAIL_IF(n < 0 || (size_t)n >= sizeof path, CN_ERR_ARGUMENT, err,
                   "a path of %d bytes is too long", n);
        CN_TRY(add(list, path, err));
    }
    CN_FAIL_IF(list->count == 0, CN_ERR_ARGUMENT, err,
               "%s holds no file that ends in " PUBLIC_END ": nobody could connect", folder);
    return CN_OK;
}

cn_status cn_key_list_load(const char *path, cn_key_list **out, cn_error *err)
{
    cn_status status;
    *out = NULL;
    cn_key_list *list = calloc(1, sizeof *list);
    CN_FAIL_IF(!list, CN_ERR_MEMORY, err, "no memory for a list of keys");
    DIR *entries = opendir(path);
    if (entries) {
        status = add_folder(list, path, entries, err);
        closedir(entries);
    } else {
        status = add(list, path, err);
    }
    if (status == CN_OK)
        *out = list;
    else
        cn_key_list_destroy(&list);
    return status;
}

void cn_key_list_destroy(cn_key_list **list)
{
    if (!list || !*list)
        return;
    free((*list)->key);
    free(*list);
    *list = NULL;
}

int cn_key_list_count(const cn_key_list *list)
{
    return list->count;
}

const cn_key *cn_key_list_find(const cn_key_list *list, const uint8_t *bytes)
{
    for (int i = 0; i < list->count; i++)
        if (memcmp(list->key[i].public_bytes, bytes, CN_KEY_BYTES) == 0)
            return &list->key[i];
    return NULL;
}
