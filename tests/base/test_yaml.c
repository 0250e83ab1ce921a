/* YAML documents: what is read, and that every mistake names file, line and a way out. */
#include "base/yaml.h"

#include "tests/test.h"

static cn_error err;

static cn_yaml *parsed(const char *text)
{
    cn_yaml *document = NULL;
    CN_ASSERT_OK(cn_yaml_parse("a.yaml", text, &document, &err));
    return document;
}

static cn_yaml_node value_of(const cn_yaml *document, const char *key)
{
    cn_yaml_node node;
    CU_ASSERT_FATAL(cn_yaml_find(cn_yaml_root(document), key, &node));
    return node;
}

static void test_yaml_reads_every_kind(void)
{
    cn_yaml *d = parsed("number: -1.5e-1\n"
                        "whole: 2e6\n"
                        "yes: true\n"
                        "word: reach\n"
                        "numbers: [1, 2.5, 3]\n"
                        "map: {a: 1, b: 2}\n");
    double number, numbers[3];
    long whole;
    bool yes;
    const char *word, *key;
    int choice;
    CN_ASSERT_OK(cn_yaml_double(value_of(d, "number"), -1, 1, &number, &err));
    CU_ASSERT_EQUAL(number, -0.15);
    CN_ASSERT_OK(cn_yaml_int(value_of(d, "whole"), 0, 3000000, &whole, &err));
    CU_ASSERT_EQUAL(whole, 2000000);
    CN_ASSERT_OK(cn_yaml_bool(value_of(d, "yes"), &yes, &err));
    CU_ASSERT_TRUE(yes);
    CN_ASSERT_OK(cn_yaml_string(value_of(d, "word"), &word, &err));
    CU_ASSERT_STRING_EQUAL(word, "reach");
    CN_ASSERT_OK(cn_yaml_doubles(value_of(d, "numbers"), 0, 3, 3, numbers, &err));
    CU_ASSERT_EQUAL(numbers[1], 2.5);
    const char *const words[] = {"push", "reach", NULL};
    CN_ASSERT_OK(cn_yaml_choice(value_of(d, "word"), words, &choice, &err));
    CU_ASSERT_EQUAL(choice, 1);
    const cn_yaml_node map = value_of(d, "map");
    CU_ASSERT_EQUAL(cn_yaml_count(map), 2);
    const cn_yaml_node b = cn_yaml_entry(map, 1, &key);
    CU_ASSERT_STRING_EQUAL(key, "b");
    CU_ASSERT_EQUAL(cn_yaml_line(b), 6);
    CU_ASSERT_STRING_EQUAL(cn_yaml_path(b), "a.yaml");
    CU_ASSERT_EQUAL(cn_yaml_count(b), 0);
    cn_yaml_destroy(&d);
    CU_ASSERT_PTR_NULL(d);
    cn_yaml_destroy(&d);
}

static void test_yaml_tells_kinds_apart(void)
{
    cn_yaml *d = parsed("map: {a: 1}\nlist: [1]\nscalar: 1\n");
    CU_ASSERT_TRUE(cn_yaml_is_map(value_of(d, "map")));
    CU_ASSERT_TRUE(cn_yaml_is_list(value_of(d, "list")));
    CU_ASSERT_TRUE(cn_yaml_is_scalar(value_of(d, "scalar")));
    CU_ASSERT_FALSE(cn_yaml_is_scalar(value_of(d, "map")));
    CU_ASSERT_FALSE(cn_yaml_is_map(value_of(d, "list")));
    CU_ASSERT_FALSE(cn_yaml_is_list(value_of(d, "scalar")));
    cn_yaml_node none;
    CU_ASSERT_FALSE(cn_yaml_find(cn_yaml_root(d), "absent", &none));
    CU_ASSERT_FALSE(cn_yaml_is_scalar(none));
    cn_yaml_destroy(&d);
}

static void test_yaml_refuses_wrong_values(void)
{
    cn_yaml *d = parsed("a: [1, two]\nb: 0x10\nc: '5'\nd: 1.5\ne: yes\nf: {}\ng: .inf\nh: 7\n");
    double number, two[2];
    long whole;
    bool yes;
    const char *word;
    int choice;
    const char *const words[] = {"push", "reach", NULL};
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: found 'two', expected a number",
                    cn_yaml_doubles(value_of(d, "a"), 0, 9, 2, two, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: found 2 numbers, expected 3",
                    cn_yaml_doubles(value_of(d, "a"), 0, 9, 3, two, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:2: found '0x10', expected a number",
                    cn_yaml_double(value_of(d, "b"), 0, 99, &number, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:3: found '5', expected a number",
                    cn_yaml_double(value_of(d, "c"), 0, 9, &number, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:4: found '1.5', expected a whole number",
                    cn_yaml_int(value_of(d, "d"), 0, 9, &whole, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:4: found 1.5, expected 2 to 3",
                    cn_yaml_double(value_of(d, "d"), 2, 3, &number, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:5: found 'yes', expected true or false",
                    cn_yaml_bool(value_of(d, "e"), &yes, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:6: found a map, expected a word",
                    cn_yaml_string(value_of(d, "f"), &word, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:7: found '.inf', expected a number",
                    cn_yaml_double(value_of(d, "g"), 0, 9, &number, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:8: found '7', expected one of: push, reach",
                    cn_yaml_choice(value_of(d, "h"), words, &choice, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:8: found 7, expected 8 to 9",
                    cn_yaml_int(value_of(d, "h"), 8, 9, &whole, &err));
    cn_yaml_destroy(&d);
}

static void test_yaml_refuses_wrong_keys(void)
{
    const char *const keys[] = {"name", "model", NULL};
    cn_yaml *d = parsed("name: reach\nmodle: arm.xml\n");
    cn_yaml_node node;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:2: unknown key 'modle'; known here: name, model",
                    cn_yaml_check_keys(cn_yaml_root(d), keys, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: key 'model' is missing",
                    cn_yaml_require(cn_yaml_root(d), "model", &node, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: found 'reach', expected a map with: name, model",
                    cn_yaml_check_keys(value_of(d, "name"), keys, &err));
    CN_ASSERT_OK(cn_yaml_require(cn_yaml_root(d), "name", &node, &err));
    cn_yaml_destroy(&d);
}

static void test_yaml_refuses_broken_documents(void)
{
    cn_yaml *d = NULL;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:2:", cn_yaml_parse("a.yaml", "a: 1\n]\n", &d, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:3: key 'a' is already on line 1; keep one",
                    cn_yaml_parse("a.yaml", "a: 1\nb: 2\na: 3\n", &d, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:2: a second document begins here",
                    cn_yaml_parse("a.yaml", "a: 1\n---\nb: 2\n", &d, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: the document is empty",
                    cn_yaml_parse("a.yaml", "# nothing\n", &d, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a key must be a word, found a list",
                    cn_yaml_parse("a.yaml", "? [1]\n: 2\n", &d, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "no/such.yaml", cn_yaml_load("no/such.yaml", &d, &err));
    CU_ASSERT_PTR_NULL(d);
}

static void test_yaml_refuses_nul_characters(void)
{
    cn_yaml *d = NULL;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:2: 'arm.xml' goes on behind a NUL character",
                    cn_yaml_parse("a.yaml", "a: 1\nb: \"arm.xml\\0.exe\"\n", &d, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: 'a' goes on behind a NUL character",
                    cn_yaml_parse("a.yaml", "\"a\\0b\": 1\n", &d, &err));
    CU_ASSERT_PTR_NULL(d);
}

/* Each is compared with each: a million of them would take hours. */
static void test_yaml_bounds_the_keys_of_a_map(void)
{
    cn_yaml *d = NULL;
    char text[1001 * 12];
    size_t size = 0;
    for (int i = 0; i < 1000; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "k%d: 1\n", i);
    CN_ASSERT_OK(cn_yaml_parse("a.yaml", text, &d, &err));
    CU_ASSERT_EQUAL(cn_yaml_count(cn_yaml_root(d)), 1000);
    cn_yaml_destroy(&d);
    snprintf(text + size, sizeof text - size, "k: 1\n");
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a.yaml:1: a map of 1001 keys, at most 1000",
                    cn_yaml_parse("a.yaml", text, &d, &err));
}

/* An alias inside its own anchor makes a graph that a recursive reader would never leave. */
static void test_yaml_survives_an_alias_to_itself(void)
{
    cn_yaml *d = NULL;
    if (cn_yaml_parse("a.yaml", "a: &x [1, *x]\n", &d, &err) != CN_OK)
        CU_ASSERT_PTR_NULL(d)
    else
        CU_ASSERT_EQUAL(cn_yaml_count(value_of(d, "a")), 2)
    cn_yaml_destroy(&d);
}

CN_TEST_MAIN("base.yaml", T(test_yaml_reads_every_kind), T(test_yaml_tells_kinds_apart),
             T(test_yaml_refuses_wrong_values), T(test_yaml_refuses_wrong_keys),
             T(test_yaml_refuses_broken_documents), T(test_yaml_refuses_nul_characters),
             T(test_yaml_bounds_the_keys_of_a_map), T(test_yaml_survives_an_alias_to_itself))
