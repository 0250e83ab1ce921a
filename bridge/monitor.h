/* What happens to the connections of a ZeroMQ socket, as messages that can be polled for. */
#ifndef CN_BRIDGE_MONITOR_H
#define CN_BRIDGE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#define CN_MONITOR_ADDRESS 256 /* bytes of a peer's address, NUL included; longer ones are cut */

/* @param socket   borrowed
 * @param address  inproc://..., of its own in the context
 * @param events   ZMQ_EVENT_... to be told
 * @return a PAIR socket that is readable when one has come, for cn_monitor_close; NULL: none to be
 *         had, zmq_errno says why */
void *cn_monitor_open(void *context, void *socket, const char *address, int events);

/* Before `socket` is closed, by the thread that reads the monitor or after it. Nulls; NULL does
 * nothing. */
void cn_monitor_close(void *socket, void **monitor);

/* Takes the next event, if there is one.
 * @param address  out [CN_MONITOR_ADDRESS]: of whom; NULL: not asked */
bool cn_monitor_take(void *monitor, uint16_t *event, char *address);

#endif
