/* What a control thread wants of the operating system. */
#ifndef CN_BASE_REALTIME_H
#define CN_BASE_REALTIME_H

#include "base/error.h"

/* Makes the calling thread one that runs whenever it can (SCHED_FIFO). Threads that it starts later
 * inherit that: those of sockets should, or messages wait for the ordinary work of the machine.
 * @return CN_ERR_REFUSED: it is not permitted, and how it could be */
cn_status cn_realtime_begin(cn_error *err);

/* Locks the process's memory, what it has and what it will have, so that no page of it is ever
 * waited for. After all threads have started: their stacks may be more than is permitted.
 * @return CN_ERR_REFUSED: it is not permitted, and how it could be */
cn_status cn_realtime_lock(cn_error *err);

/* Puts the calling thread above those that inherited real time from it: a servo waits for no
 * message. Nothing happens where cn_realtime_begin was refused. */
void cn_realtime_lead(void);

#endif
