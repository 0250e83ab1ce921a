/* Time over clock_gettime and clock_nanosleep. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * CN_NS_PER_S + t.tv_nsec;
}

int64_t cn_clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t cn_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

void cn_clock_sleep_until(int64_t deadline_ns)
{
    const struct timespec t = {
        .tv_sec = (time_t)(deadline_ns / CN_NS_PER_S),
        .tv_nsec = (long)(deadline_ns % CN_NS_PER_S),
    };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}
