/* Errors: the words, the one line for a person, where it was raised, prefixes, the macros. */
#include "tests/test.h"

static cn_error err;

static void test_every_status_has_words(void)
{
#define WORDS(name, words) CU_ASSERT_STRING_EQUAL(cn_status_words(name), words);
    CN_STATUS_TABLE(WORDS)
#undef WORDS
    CU_ASSERT_EQUAL(CN_OK, 0); /* a zeroed status is no error */
    CU_ASSERT_STRING_EQUAL(cn_status_words((cn_status)12345), "unknown status");
}

static void test_set_fills_all_fields(void)
{
    err = (cn_error){0};
    CU_ASSERT_EQUAL(cn_error_set(&err, CN_ERR_SHAPE, "net.c", 42, "%d units, not %s", 3, "four"),
                    CN_ERR_SHAPE);
    CU_ASSERT_EQUAL(err.code, CN_ERR_SHAPE);
    CU_ASSERT_STRING_EQUAL(err.where, "net.c:42");
    CU_ASSERT_STRING_EQUAL(err.message, "3 units, not four");
    CU_ASSERT_EQUAL(cn_error_set(NULL, CN_ERR_IO, "net.c", 1, "nobody listens"), CN_ERR_IO);
}

/* Too long a text is cut, not written beyond its field. */
static void test_long_texts_are_cut(void)
{
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err = (cn_error){0};
    cn_error_set(&err, CN_ERR_IO, text, 7, "%s", text);
    CU_ASSERT_EQUAL(strlen(err.message), sizeof err.message - 1);
    CU_ASSERT_EQUAL(strlen(err.where), sizeof err.where - 1);
    /* a prefix takes the place of the message's end */
    cn_error_prefix(&err, CN_ERR_IO, "task.yaml");
    CU_ASSERT_EQUAL(strlen(err.message), sizeof err.message - 1);
    CU_ASSERT_EQUAL(strncmp(err.message, "task.yaml: xxx", 14), 0);
    cn_error_prefix(&err, CN_ERR_IO, "%s", text);
    CU_ASSERT_TRUE(strlen(err.message) < sizeof err.message);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "xxx: task.yaml: "));
}

/* What a message quotes may hold line breaks; the message doesn't. */
static void test_a_message_is_one_line(void)
{
    err = (cn_error){0};
    cn_error_set(&err, CN_ERR_FORMAT, "yaml.c", 1, "found '%s'", "two\nlines\r");
    CU_ASSERT_PTR_NULL(strpbrk(err.message, "\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "two"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "lines"));
    cn_error_prefix(&err, CN_ERR_FORMAT, "a\nfile");
    CU_ASSERT_PTR_NULL(strpbrk(err.message, "\r\n"));
}

static void test_prefix_keeps_code_and_place(void)
{
    err = (cn_error){0};
    cn_error_set(&err, CN_ERR_CHECKSUM, "policy.c", 9, "column %d has changed", 1);
    CU_ASSERT_EQUAL(cn_error_prefix(&err, CN_ERR_IO, "%s", "arm.safetensors"), CN_ERR_CHECKSUM);
    CU_ASSERT_STRING_EQUAL(err.message, "arm.safetensors: column 1 has changed");
    CU_ASSERT_STRING_EQUAL(err.where, "policy.c:9");
    CU_ASSERT_EQUAL(cn_error_prefix(NULL, CN_ERR_IO, "nobody listens"), CN_ERR_IO);
}

/* ---- The macros ---- */

static cn_status positive(int x, cn_error *e)
{
    CN_FAIL_IF(x <= 0, CN_ERR_ARGUMENT, e, "x is %d, not above 0", x);
    return CN_OK;
}

static cn_status both_positive(int x, int y, cn_error *e)
{
    CN_TRY(positive(x, e));
    CN_TRY(positive(y, e));
    return CN_OK;
}

static cn_status below_ten(int x, bool *cleaned, cn_error *e)
{
    cn_status status = CN_OK;
    CN_TRY_CLEANUP(positive(x, e));
    if (x >= 10)
        CN_FAIL_CLEANUP(CN_ERR_REFUSED, e, "x is %d, not below 10", x);
cleanup:
    *cleaned = true;
    return status;
}

static void test_fail_names_file_and_line(void)
{
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "x is -3, not above 0", positive(-3, &err));
    CU_ASSERT_EQUAL(err.code, CN_ERR_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.where, "test_error.c:"));
    CU_ASSERT_EQUAL(positive(-3, NULL), CN_ERR_ARGUMENT);
}

static void test_success_leaves_the_error_alone(void)
{
    err = (cn_error){.message = "as it was"};
    CU_ASSERT_EQUAL(both_positive(1, 2, &err), CN_OK);
    CU_ASSERT_STRING_EQUAL(err.message, "as it was");
}

static void test_try_passes_the_first_failure_on(void)
{
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "x is -1,", both_positive(-1, -2, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "x is -2,", both_positive(1, -2, &err));
}

static void test_cleanup_always_runs(void)
{
    const struct {
        int x;
        cn_status status;
    } cases[] = {{5, CN_OK}, {-5, CN_ERR_ARGUMENT}, {50, CN_ERR_REFUSED}};
    for (int i = 0; i < 3; i++) {
        bool cleaned = false;
        CU_ASSERT_EQUAL(below_ten(cases[i].x, &cleaned, &err), cases[i].status);
        CU_ASSERT_TRUE(cleaned);
    }
}

CN_TEST_MAIN("base.error", T(test_every_status_has_words), T(test_set_fills_all_fields),
             T(test_long_texts_are_cut), T(test_a_message_is_one_line),
             T(test_prefix_keeps_code_and_place), T(test_fail_names_file_and_line),
             T(test_success_leaves_the_error_alone), T(test_try_passes_the_first_failure_on),
             T(test_cleanup_always_runs))
