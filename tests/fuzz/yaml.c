/* YAML documents: the parser, and every way to read a node. */
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

/* An alias may lead back to where it stands: a walk ends after so many nodes. */
enum { NODES_MAX = 2000, DEPTH_MAX = 50 };

static void check_scalar(cn_yaml_node node)
{
    static const char *const words[] = {"uniform", "normal", NULL};
    cn_error err = {0};
    double number;
    long whole;
    bool yes;
    const char *text;
    int choice;
    if (fuzz_succeeded(cn_yaml_double(node, -1e6, 1e6, &number, &err), &err))
        FUZZ_CHECK(number >= -1e6 && number <= 1e6);
    if (fuzz_succeeded(cn_yaml_int(node, -7, 1000000, &whole, &err), &err))
        FUZZ_CHECK(whole >= -7 && whole <= 1000000);
    if (fuzz_succeeded(cn_yaml_choice(node, words, &choice, &err), &err))
        FUZZ_CHECK(choice == 0 || choice == 1);
    if (fuzz_succeeded(cn_yaml_string(node, &text, &err), &err))
        FUZZ_CHECK(text[0] != '\0');
    fuzz_succeeded(cn_yaml_bool(node, &yes, &err), &err);
}

static void check_list(cn_yaml_node node)
{
    cn_error err = {0};
    double pair[2];
    if (fuzz_succeeded(cn_yaml_doubles(node, 0, 1, 2, pair, &err), &err))
        FUZZ_CHECK(cn_yaml_count(node) == 2 && pair[0] >= 0 && pair[1] <= 1);
}

static void check_map(cn_yaml_node node)
{
    static const char *const keys[] = {"term", "weight", "joints", NULL};
    cn_error err = {0};
    cn_yaml_node found;
    const char *key;
    fuzz_succeeded(cn_yaml_check_keys(node, keys, &err), &err);
    FUZZ_CHECK(fuzz_succeeded(cn_yaml_require(node, keys[0], &found, &err), &err) ==
               cn_yaml_find(node, keys[0], &found));
    for (int i = 0; i < cn_yaml_count(node) && cn_yaml_is_map(node); i++) {
        const cn_yaml_node value = cn_yaml_entry(node, i, &key);
        FUZZ_CHECK(cn_yaml_find(node, key, &found) && found.index == value.index);
    }
}

static void walk(cn_yaml_node node, int depth, int *left)
{
    const bool map = cn_yaml_is_map(node), list = cn_yaml_is_list(node);
    FUZZ_CHECK(map + list + cn_yaml_is_scalar(node) == 1);
    FUZZ_CHECK(cn_yaml_line(node) >= 1);
    check_scalar(node);
    check_list(node);
    check_map(node);
    for (int i = 0; i < cn_yaml_count(node) && depth < DEPTH_MAX && --*left > 0; i++) {
        const char *key;
        walk(map ? cn_yaml_entry(node, i, &key) : cn_yaml_item(node, i), depth + 1, left);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_yaml *document;
    int left = NODES_MAX;
    char *text = calloc(1, size + 1);
    FUZZ_CHECK(text);
    if (size)
        memcpy(text, data, size);
    if (fuzz_succeeded(cn_yaml_parse("input.yaml", text, &document, &err), &err))
        walk(cn_yaml_root(document), 0, &left);
    else
        FUZZ_CHECK(!document);
    cn_yaml_destroy(&document);
    free(text);
    return 0;
}
