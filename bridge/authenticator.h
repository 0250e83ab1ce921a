/* Who may connect: answers ZeroMQ's question about every CURVE handshake of a context from a list
 * of keys, on a thread of its own (ZAP, rfc.zeromq.org/spec/27). What it refuses it counts and
 * names; those that are connected notice nothing. */
#ifndef CN_BRIDGE_AUTHENTICATOR_H
#define CN_BRIDGE_AUTHENTICATOR_H

#include <stdint.h>

#include "bridge/keys.h"

#define CN_AUTHENTICATOR_TEXT 128

typedef struct cn_authenticator cn_authenticator;

/* Starts answering; to be created before the first socket binds.
 * @param context  of ZeroMQ, borrowed
 * @param allowed  borrowed
 * @return CN_ERR_IO (a context has one authenticator), CN_ERR_MEMORY. */
cn_status cn_authenticator_create(void *context, const cn_key_list *allowed, cn_authenticator **out,
                                  cn_error *err);
/* Before the context is terminated, and before the sockets that it guards are closed. */
void cn_authenticator_destroy(cn_authenticator **authenticator);

/* Makes a socket ask who connects, as the owner of `key`; counts those, too, that get no further
 * than the handshake. At most two sockets. Call it before the socket binds.
 * @return CN_ERR_IO */
cn_status cn_authenticator_guard(cn_authenticator *authenticator, void *socket, const cn_key *key,
                                 cn_error *err);

/* Connections refused so far, by any thread; and why the last was.
 * @param why  out [CN_AUTHENTICATOR_TEXT], "" when there was none; NULL: not asked */
uint64_t cn_authenticator_refused(cn_authenticator *authenticator, char *why);

#endif
