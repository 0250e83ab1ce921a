/* Opening and closing a robot server's sockets. */
#include "bridge/server_sockets.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "bridge/endpoint.h"

enum {
    ZMQ_MESSAGE_MAX = 64 * 1024, /* bytes; libzmq closes the connection of whoever sends more */
    /* Likewise to the state socket, whose topics have one byte. Every byte of a topic is work of
     * the servo's thread, and memory; what has to pass is the handshake, with keys a long one. */
    ZMQ_TOPIC_MAX = 128,
    ZMQ_TOPIC_WITH_KEYS_MAX = 512,
    SOCKET_HWM = 256,      /* messages; ten seconds of frames for a client that pauses */
    LOCKSTEP_WAIT_MS = 50, /* how long a lockstep server looks neither at stop nor at info */
};

static cn_status zmq_fail(cn_error *err, const char *what, const char *endpoint)
{
    CN_FAIL(CN_ERR_IO, err, "cannot %s %s: %s", what, endpoint, zmq_strerror(zmq_errno()));
}

static void *open_socket(cn_server_sockets *s, int type, const cn_server_config *config)
{
    void *socket = zmq_socket(s->context, type);
    if (!socket)
        return NULL;
    const int linger = 0, hwm = SOCKET_HWM, verbose = 1, wait_ms = LOCKSTEP_WAIT_MS;
    const int ipv6 = cn_endpoint_is_ipv6(config->endpoint);
    const int64_t largest = type != ZMQ_XPUB ? ZMQ_MESSAGE_MAX
                            : config->key    ? ZMQ_TOPIC_WITH_KEYS_MAX
                                             : ZMQ_TOPIC_MAX;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (type == ZMQ_XPUB) /* every subscriber is noticed, so that it learns the robot at once */
        zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose);
    return socket;
}

static cn_status bind_socket(void *socket, const char *endpoint, char *bound, cn_error *err)
{
    size_t size = CN_WIRE_ENDPOINT;
    CN_TRY(cn_endpoint_claim(endpoint, err));
    if (zmq_bind(socket, endpoint) != 0)
        return zmq_fail(err, "bind", endpoint);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size);
    return CN_OK;
}

static cn_status bind_requests(cn_server_sockets *s, const char *state, cn_error *err)
{
    char endpoint[CN_WIRE_ENDPOINT + sizeof CN_ENDPOINT_REQUEST];
    char *bound = s->request_endpoint;
    if (cn_endpoint_is_ipc(state)) {
        snprintf(endpoint, sizeof endpoint, "%s%s", state, CN_ENDPOINT_REQUEST);
        return bind_socket(s->requests, endpoint, bound, err);
    }
    const int host = (int)(strrchr(state, ':') - state);
    const int port = cn_endpoint_port(s->state_endpoint) + 1;
    snprintf(endpoint, sizeof endpoint, "%.*s:%d", host, state, port);
    if (port <= 65535 && bind_socket(s->requests, endpoint, bound, NULL) == CN_OK)
        return CN_OK;
    snprintf(endpoint, sizeof endpoint, "%.*s:*", host, state);
    return bind_socket(s->requests, endpoint, bound, err);
}

/* Lets only those in who are allowed. */
static cn_status guard_sockets(cn_server_sockets *s, const cn_server_config *config, cn_error *err)
{
    if (!config->key)
        return CN_OK;
    CN_TRY(cn_authenticator_create(s->context, config->allowed, &s->authenticator, err));
    CN_TRY(cn_authenticator_guard(s->authenticator, s->state, config->key, err));
    return cn_authenticator_guard(s->authenticator, s->requests, config->key, err);
}

cn_status cn_server_sockets_open(cn_server_sockets *s, const cn_server_config *config,
                                 cn_error *err)
{
    const char *endpoint = config->endpoint;
    s->context = zmq_ctx_new();
    if (s->context) {
        s->state = open_socket(s, ZMQ_XPUB, config);
        s->requests = open_socket(s, ZMQ_ROUTER, config);
    }
    if (!s->state || !s->requests)
        return zmq_fail(err, "open sockets for", endpoint);
    CN_TRY(guard_sockets(s, config, err));
    size_t size = sizeof s->requests_fd;
    zmq_getsockopt(s->requests, ZMQ_FD, &s->requests_fd, &size);
    CN_TRY(bind_socket(s->state, endpoint, s->state_endpoint, err));
    return bind_requests(s, endpoint, err);
}

void cn_server_sockets_close(cn_server_sockets *s)
{
    /* While the sockets still listen nobody else can have bound these paths. */
    cn_endpoint_remove(s->state_endpoint);
    cn_endpoint_remove(s->request_endpoint);
    cn_authenticator_destroy(&s->authenticator);
    if (s->state)
        zmq_close(s->state);
    if (s->requests)
        zmq_close(s->requests);
    if (s->context)
        zmq_ctx_term(s->context);
    *s = (cn_server_sockets){0};
}
