/* The two sockets of a robot server: opened, guarded by keys, bound where others find them. */
#ifndef CN_BRIDGE_SERVER_SOCKETS_H
#define CN_BRIDGE_SERVER_SOCKETS_H

#include "bridge/authenticator.h"
#include "bridge/server.h"
#include "bridge/wire.h"

typedef struct cn_server_sockets {
    void *context, *state, *requests; /* ZeroMQ: context, XPUB, ROUTER */
    int requests_fd;                  /* becomes readable when something happens to `requests` */
    cn_authenticator *authenticator;  /* NULL: no encryption */
    /* Where they really are: wildcards and port 0 resolved. */
    char state_endpoint[CN_WIRE_ENDPOINT], request_endpoint[CN_WIRE_ENDPOINT];
} cn_server_sockets;

/* @param out  zeroed; to be closed also after a failure
 * @return CN_ERR_IO: address in use, no permission; CN_ERR_MEMORY */
cn_status cn_server_sockets_open(cn_server_sockets *out, const cn_server_config *config,
                                 cn_error *err);
void cn_server_sockets_close(cn_server_sockets *sockets);

#endif
