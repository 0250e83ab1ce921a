/* Real time is had, or refused with a sentence that says what to do; work goes on in either case.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "base/realtime.h"
#include "tests/test.h"

static cn_status status;
static cn_error err;

/* How a thread is scheduled. */
typedef struct place {
    int policy;
    struct sched_param param;
} place;

static place ordinary, begun, inherited, leading;

static void *look(void *at)
{
    place *p = at;
    pthread_getschedparam(pthread_self(), &p->policy, &p->param);
    return NULL;
}

/* On a thread of its own, so that the test's stays what it is. */
static void *begin(void *nothing)
{
    pthread_t child;
    cn_realtime_lead();
    look(&ordinary);
    status = cn_realtime_begin(&err);
    look(&begun);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&child, NULL, look, &inherited), 0);
    pthread_join(child, NULL);
    cn_realtime_lead();
    look(&leading);
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
    CU_ASSERT_EQUAL(ordinary.policy, SCHED_OTHER);
    if (status == CN_OK) {
        CU_ASSERT_EQUAL(begun.policy, SCHED_FIFO);
        CU_ASSERT_EQUAL(inherited.policy, SCHED_FIFO);
        CU_ASSERT_EQUAL(leading.policy, SCHED_FIFO);
        CU_ASSERT_EQUAL(inherited.param.sched_priority, begun.param.sched_priority);
        CU_ASSERT_TRUE(leading.param.sched_priority > inherited.param.sched_priority);
    } else {
        CU_ASSERT_EQUAL(status, CN_ERR_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/etc/security/limits.d"));
        CU_ASSERT_EQUAL(leading.policy, begun.policy);
    }
}

static void test_memory_is_locked_or_refused_with_a_sentence(void)
{
    cn_error why = {0};
    if (cn_realtime_lock(&why) == CN_OK) {
        CU_ASSERT_EQUAL(why.code, CN_OK);
        munlockall();
    } else {
        CU_ASSERT_EQUAL(why.code, CN_ERR_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.message, "memlock in /etc/security/limits.d"));
    }
}

CN_TEST_MAIN("base.realtime", T(test_had_or_refused_with_a_sentence),
             T(test_memory_is_locked_or_refused_with_a_sentence))
