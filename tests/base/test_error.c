/* Errors: code, place and message, always one line. */
#include "base/error.h"

#include "tests/test.h"

static cn_status fail_with(const char *text, cn_error *err)
{
    CN_FAIL(CN_ERR_FORMAT, err, "%s", text);
}

static void test_error_keeps_code_place_and_message(void)
{
    cn_error err = {0};
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a word", fail_with("a word", &err));
    CU_ASSERT_EQUAL(err.code, CN_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.where, "test_error.c:"));
    CU_ASSERT_EQUAL(fail_with("a word", NULL), CN_ERR_FORMAT);
}

static void test_error_is_one_line_whatever_it_quotes(void)
{
    cn_error err = {0};
    fail_with("line one\nline\ttwo\r\n\033[31mred\n", &err);
    CU_ASSERT_STRING_EQUAL(err.message, "line one line two [31mred");
    CU_ASSERT_EQUAL(cn_error_prefix(&err, CN_ERR_IO, "a\nfile"), CN_ERR_FORMAT);
    CU_ASSERT_STRING_EQUAL(err.message, "a file: line one line two [31mred");
    fail_with("gr\xc3\xbc\xc3\x9f", &err); /* bytes above 127 are not control characters */
    CU_ASSERT_STRING_EQUAL(err.message, "gr\xc3\xbc\xc3\x9f");
}

static void test_error_prefix_without_an_error_passes_the_code(void)
{
    CU_ASSERT_EQUAL(cn_error_prefix(NULL, CN_ERR_IO, "file"), CN_ERR_IO);
}

static void test_error_cuts_what_is_too_long(void)
{
    char text[3000];
    cn_error err = {0};
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    fail_with(text, &err);
    CU_ASSERT_EQUAL(strlen(err.message), sizeof err.message - 1);
    cn_error_prefix(&err, CN_ERR_IO, "%s", text);
    CU_ASSERT_EQUAL(strlen(err.message), sizeof err.message - 1);
}

static void test_error_words_are_known_for_every_code(void)
{
    CU_ASSERT_STRING_EQUAL(cn_status_words(CN_OK), "ok");
    CU_ASSERT_STRING_EQUAL(cn_status_words(CN_ERR_SAFETY), "stopped by safety");
    CU_ASSERT_STRING_EQUAL(cn_status_words((cn_status)999), "unknown status");
}

CN_TEST_MAIN("base.error", T(test_error_keeps_code_place_and_message),
             T(test_error_is_one_line_whatever_it_quotes),
             T(test_error_prefix_without_an_error_passes_the_code),
             T(test_error_cuts_what_is_too_long), T(test_error_words_are_known_for_every_code))
