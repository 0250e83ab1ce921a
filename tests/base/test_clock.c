/* Clocks: they go forward, agree with the system's, and sleeping is absolute. */
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "base/clock.h"
#include "tests/test.h"

#define MS (CN_NS_PER_S / 1000)

static void test_now_never_goes_back(void)
{
    int64_t before = cn_clock_now();
    const int64_t first = before;
    bool forward = true;
    for (int i = 0; i < 100000; i++) {
        const int64_t now = cn_clock_now();
        forward = forward && now >= before;
        before = now;
    }
    CU_ASSERT_TRUE(forward);
    CU_ASSERT_TRUE(before > first);
}

static void test_wall_is_the_systems_time(void)
{
    const time_t before = time(NULL);
    const int64_t wall = cn_clock_wall();
    const time_t after = time(NULL);
    /* time() may read a coarse clock that lags by a tick */
    CU_ASSERT_TRUE(wall / CN_NS_PER_S >= before - 1);
    CU_ASSERT_TRUE(wall / CN_NS_PER_S <= after + 1);
}

static void test_sleep_until_is_never_early(void)
{
    for (int i = 1; i <= 20; i++) {
        const int64_t deadline = cn_clock_now() + i * MS / 4;
        cn_clock_sleep_until(deadline);
        CU_ASSERT_TRUE(cn_clock_now() >= deadline);
    }
}

/* Deadlines are absolute: ten periods end with the tenth deadline, however late each waking was. */
static void test_sleeping_does_not_drift(void)
{
    const int64_t start = cn_clock_now();
    for (int i = 1; i <= 10; i++)
        cn_clock_sleep_until(start + i * 5 * MS);
    const int64_t spent = cn_clock_now() - start;
    CU_ASSERT_TRUE(spent >= 50 * MS);
    CU_ASSERT_TRUE(spent < 1000 * MS); /* a machine under load is late, once */
}

static void test_past_deadline_returns_at_once(void)
{
    const int64_t start = cn_clock_now();
    cn_clock_sleep_until(start - CN_NS_PER_S);
    cn_clock_sleep_until(0);
    CU_ASSERT_TRUE(cn_clock_now() - start < CN_NS_PER_S);
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* Ctrl-C must be seen at once, not after the period. */
static void test_a_signal_ends_the_sleep(void)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    struct sigaction old;
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGALRM, &action, &old), 0);
    CU_ASSERT_EQUAL_FATAL(setitimer(ITIMER_REAL, &soon, NULL), 0);
    const int64_t start = cn_clock_now();
    cn_clock_sleep_until(start + 10 * CN_NS_PER_S);
    CU_ASSERT_TRUE(cn_clock_now() - start < 5 * CN_NS_PER_S);
    sigaction(SIGALRM, &old, NULL);
}

CN_TEST_MAIN("base.clock", T(test_now_never_goes_back), T(test_wall_is_the_systems_time),
             T(test_sleep_until_is_never_early), T(test_sleeping_does_not_drift),
             T(test_past_deadline_returns_at_once), T(test_a_signal_ends_the_sleep))
