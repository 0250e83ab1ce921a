/* A client that knows no manners: requests are packed by hand and sent over a bare DEALER socket.
 */
#ifndef CN_TESTS_BRIDGE_CLIENT_H
#define CN_TESTS_BRIDGE_CLIENT_H

#include <zmq.h>

#include "bridge/server.h"
#include "bridge/wire.h"
#include "tests/bridge/robot.h"

#define MS INT64_C(1000000)

typedef struct client {
    void *context, *socket;
    cn_arena *arena;
    cn_plant_info plant;
    cn_wire_reply reply;
    cn_wire_info info;
    cn_wire_frame frame;
    uint64_t id, lease, sequence;
    uint32_t version;
} client;

static inline void client_open(client *c, const robot *r)
{
    cn_error err = {0};
    const int linger = 0, wait_ms = 3000;
    *c = (client){
        .plant = r->arm.plant.info, .context = zmq_ctx_new(), .version = CN_PROTOCOL_VERSION};
    c->socket = zmq_socket(c->context, ZMQ_DEALER);
    zmq_setsockopt(c->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(c->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    CU_ASSERT_EQUAL_FATAL(zmq_connect(c->socket, cn_server_request_endpoint(r->server)), 0);
    CN_ASSERT_OK(cn_arena_create(64 * 1024, &c->arena, &err));
}

static inline void client_close(client *c)
{
    zmq_close(c->socket);
    zmq_ctx_term(c->context);
    cn_arena_destroy(&c->arena);
}

static inline const char *client_answer(client *c)
{
    cn_error err = {0};
    uint8_t in[CN_WIRE_STATE_MAX];
    const void *packed;
    uint32_t packed_size;
    const int size = zmq_recv(c->socket, in, sizeof in, 0);
    CU_ASSERT_TRUE_FATAL(size >= 0);
    CN_ASSERT_OK(cn_wire_unpack_reply(c->arena, in, (size_t)size, &c->plant, &c->reply, &c->info,
                                      &c->frame, &packed, &packed_size, &err));
    return c->reply.error;
}

static inline void client_send(client *c, cn_wire_request request)
{
    uint8_t out[CN_WIRE_REQUEST_MAX];
    request.id = ++c->id;
    request.lease = c->lease;
    request.protocol_version = c->version;
    const size_t size = cn_wire_pack_request(&request, out);
    CU_ASSERT_EQUAL_FATAL(zmq_send(c->socket, out, size, 0), (int)size);
}

/* Sends a request and returns the error in its reply, "" when it was done. */
static inline const char *client_ask(client *c, cn_wire_request request)
{
    client_send(c, request);
    const char *error = client_answer(c);
    CU_ASSERT_EQUAL(c->reply.id, c->id);
    return error;
}

static inline const char *client_acquire(client *c, const char *holder, int64_t time_to_live_ns)
{
    cn_wire_request request = {.kind = CN_WIRE_ACQUIRE, .time_to_live_ns = time_to_live_ns};
    snprintf(request.text, sizeof request.text, "%s", holder);
    const char *error = client_ask(c, request);
    if (error[0] == '\0') {
        c->lease = c->reply.lease;
        c->sequence = 0;
    }
    return error;
}

static inline cn_wire_request client_command(client *c, cn_wire_kind kind, cn_command_mode mode,
                                             double target)
{
    return (cn_wire_request){
        .kind = kind,
        .command =
            {
                .sequence = ++c->sequence,
                .valid_for_ns = 300 * MS,
                .command = robot_command(mode, target, target, target),
            },
    };
}

static inline const char *client_info(client *c)
{
    return client_ask(c, (cn_wire_request){.kind = CN_WIRE_GET_INFO});
}

static inline const char *client_reset(client *c, bool goal_only)
{
    return client_ask(c, (cn_wire_request){.kind = CN_WIRE_RESET, .goal_only = goal_only});
}

#define ASSERT_SAYS(words, error)                                                                  \
    do {                                                                                           \
        const char *said_ = (error);                                                               \
        if (!strstr(said_, words))                                                                 \
            printf("\n    expected \"%s\" in: %s\n", words, said_);                                \
        CU_ASSERT_PTR_NOT_NULL(strstr(said_, words));                                              \
    } while (0)
#define ASSERT_DONE(error) CU_ASSERT_STRING_EQUAL(error, "")

static inline void pause_ms(int64_t ms)
{
    cn_clock_sleep_until(cn_clock_now() + ms * MS);
}

#endif
