/* ZeroMQ endpoints as people write them: checking them, and finding the request socket's. */
#ifndef CN_BRIDGE_ENDPOINT_H
#define CN_BRIDGE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "bridge/wire.h"

#define CN_ENDPOINT_REQUEST ".request" /* what an ipc request socket adds to the state path */

/* tcp://HOST:PORT or ipc://PATH. @param bind  the host may be *, the port * or 0.
 * @return CN_ERR_ARGUMENT with what is expected, also for an ipc path too long for a socket. */
cn_status cn_endpoint_check(const char *endpoint, bool bind, cn_error *err);

bool cn_endpoint_is_ipc(const char *endpoint);
bool cn_endpoint_is_ipv6(const char *endpoint); /* tcp://[::1]:5555: a socket must be told */

/* Whether only this machine reaches it: ipc, and tcp on loopback. */
bool cn_endpoint_is_local(const char *endpoint);

/* Makes an ipc path free to bind: refuses one that a living server listens on (ZeroMQ would
 * silently take it over) or that is a file of another kind (ZeroMQ would delete it). Does nothing
 * for tcp.
 * @return CN_ERR_IO */
cn_status cn_endpoint_claim(const char *endpoint, cn_error *err);

/* Removes the socket file of an endpoint that is bound: ZeroMQ leaves it behind. "" does nothing.
 */
void cn_endpoint_remove(const char *bound);

/* The port of a tcp endpoint, e.g. 5555. */
int cn_endpoint_port(const char *endpoint);

/* Where a client that knows the state endpoint reaches the announced request socket: tcp takes the
 * host that was given and the port that was announced. @param out [CN_WIRE_ENDPOINT]
 * @return CN_ERR_FORMAT */
cn_status cn_endpoint_of_requests(const char *state, const char *announced, char *out,
                                  cn_error *err);

#endif
