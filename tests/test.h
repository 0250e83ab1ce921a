/* A CUnit program from one table of tests. A test that is written and not listed is a compiler error
 * (unused function), so there is one place to register it.
 *
 *     static void test_rng_repeats(void) { CU_ASSERT_EQUAL(...); }
 *     CN_TEST_MAIN("tensor.rng", T(test_rng_repeats), T(test_rng_is_uniform))
 */
#ifndef CN_TESTS_TEST_H
#define CN_TESTS_TEST_H

#include <CUnit/Basic.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define T(function)                                                                                \
    {                                                                                              \
        #function, function                                                                        \
    }

#define CN_TEST_MAIN(suite, ...)                                                                   \
    int main(void)                                                                                 \
    {                                                                                              \
        static const struct {                                                                      \
            const char *name;                                                                      \
            CU_TestFunc run;                                                                       \
        } tests[] = {__VA_ARGS__};                                                                 \
        if (CU_initialize_registry() != CUE_SUCCESS)                                               \
            return 1;                                                                              \
        CU_pSuite s = CU_add_suite(suite, NULL, NULL);                                             \
        for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)                                \
            if (!s || !CU_add_test(s, tests[i].name, tests[i].run))                                \
                return 1;                                                                          \
        CU_basic_set_mode(CU_BRM_VERBOSE);                                                         \
        CU_basic_run_tests();                                                                      \
        const bool good = CU_get_number_of_tests_run() > 0 && CU_get_number_of_failures() == 0;    \
        CU_cleanup_registry();                                                                     \
        return good ? 0 : 1;                                                                       \
    }

/* The call must succeed; on failure the test prints the error and goes on to the next test. */
#define CN_ASSERT_OK(expression)                                                                   \
    do {                                                                                           \
        const cn_status ok_status_ = (expression);                                                 \
        if (ok_status_ != CN_OK)                                                                   \
            printf("\n    %s: %s: %s\n", #expression, cn_status_words(ok_status_), err.message);   \
        CU_ASSERT_EQUAL_FATAL(ok_status_, CN_OK);                                                  \
    } while (0)

/* The call must fail with exactly `code`, and its message must contain `words`. */
#define CN_ASSERT_FAILS(code, words, expression)                                                   \
    do {                                                                                           \
        err = (cn_error){0};                                                                       \
        CU_ASSERT_EQUAL(expression, code);                                                         \
        if (!strstr(err.message, words))                                                           \
            printf("\n    expected \"%s\" in: %s\n", words, err.message);                          \
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));                                        \
    } while (0)

#endif
