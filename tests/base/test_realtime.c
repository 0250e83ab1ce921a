/* Real time is had, or refused with a sentence that says what to do; work goes on in either case.
 */
#include <pthread.h>
#include <sched.h>

#include "base/realtime.h"
#include "tests/test.h"

static cn_status status;
static cn_error err;
static int policy;

/* On a thread of its own, so that the test's stays what it is. */
static void *begin(void *nothing)
{
    struct sched_param param;
    status = cn_realtime_begin(&err);
    pthread_getschedparam(pthread_self(), &policy, &param);
    return nothing;
}

static void run(void)
{
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, begin, NULL), 0);
    pthread_join(thread, NULL);
}

static void test_had_or_refused_with_a_sentence(void)
{
    run();
    if (status == CN_OK) {
        CU_ASSERT_EQUAL(policy, SCHED_FIFO);
    } else {
        CU_ASSERT_EQUAL(status, CN_ERR_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/etc/security/limits.d"));
    }
}

CN_TEST_MAIN("base.realtime", T(test_had_or_refused_with_a_sentence))
