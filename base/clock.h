/* Time: the monotonic clock, wall clock and absolute sleeping, all in nanoseconds. */
#ifndef CN_BASE_CLOCK_H
#define CN_BASE_CLOCK_H

#include <stdint.h>

#define CN_NS_PER_S INT64_C(1000000000)

/* CLOCK_MONOTONIC, ns. Never jumps. */
int64_t cn_clock_now(void);

/* CLOCK_REALTIME, ns since 1970. For log stamps and file names only. */
int64_t cn_clock_wall(void);

/* Sleeps until CLOCK_MONOTONIC reads at least deadline_ns (absolute, so that periods don't drift).
 * Returns early only on a signal, so that Ctrl-C is seen at once. */
void cn_clock_sleep_until(int64_t deadline_ns);

#endif
