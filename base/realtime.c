/* Real time over POSIX scheduling. */
#include "base/realtime.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

/* In the middle: above everything ordinary, below the kernel's own threads for interrupts. */
#define PRIORITY      48
#define PRIORITY_LEAD 49

cn_status cn_realtime_begin(cn_error *err)
{
    const struct sched_param param = {.sched_priority = PRIORITY};
    const int refused = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
    CN_FAIL_IF(refused, CN_ERR_REFUSED, err,
               "no real-time scheduling (%s): other work of this machine may delay control; allow "
               "rtprio in /etc/security/limits.d",
               strerror(refused));
    return CN_OK;
}

cn_status cn_realtime_lock(cn_error *err)
{
    CN_FAIL_IF(mlockall(MCL_CURRENT | MCL_FUTURE) != 0, CN_ERR_REFUSED, err,
               "no locked memory (%s): a page that is swapped out may delay control; allow memlock "
               "in /etc/security/limits.d",
               strerror(errno));
    return CN_OK;
}

void cn_realtime_lead(void)
{
    struct sched_param param;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &param) == 0 && policy == SCHED_FIFO)
        pthread_setschedprio(pthread_self(), PRIORITY_LEAD);
}
