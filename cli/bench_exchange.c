/* Exchanges of a frame for a command, from the robot's side. */
#include "cli/bench_exchange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/clock.h"
#include "bridge/endpoint.h"
#include "bridge/gate.h"
#include "bridge/server.h"
#include "cli/cli.h"

#define INFO_PERIOD_NS (CN_NS_PER_S / 5)

enum {
    WAIT_MS = 100,       /* for a command */
    PATIENCE = 50,       /* waits in vain, one after the other: nobody is there */
    IDENTITY_MAX = 255,  /* bytes of a ROUTER identity */
    SOCKET_HWM = 256,    /* as the server has it */
    ARENA_BYTES = 65536, /* the same */
};

/* ---- Samples ---- */

static void keep(cli_exchanges *e, int64_t ns)
{
    if (e->count < e->most)
        e->ns[e->count++] = ns;
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double cli_exchanges_quantile(cli_exchanges *e, double q)
{
    if (e->count == 0)
        return NAN;
    qsort(e->ns, (size_t)e->count, sizeof *e->ns, by_value);
    const int at = (int)ceil(q * e->count) - 1;
    return 1e-9 * (double)e->ns[at > 0 ? at : 0];
}

/* Waits for the moment of the next frame; one that has gone by is not caught up with. */
static void pace(double rate, int64_t *next)
{
    if (rate <= 0)
        return;
    const int64_t now = cn_clock_now(), due = *next + (int64_t)(1e9 / rate);
    *next = due > now ? due : now;
    cn_clock_sleep_until(*next);
}

/* ---- Sockets ---- */

static cn_status zmq_fail(const char *what, const char *endpoint, cn_error *err)
{
    CN_FAIL(CN_ERR_IO, err, "cannot %s %s: %s", what, endpoint, zmq_strerror(zmq_errno()));
}

/* @return NULL: failed; the reason is ZeroMQ's */
static void *open_socket(void *context, int type, const char *endpoint, bool binds)
{
    void *socket = zmq_socket(context, type);
    const int linger = 0, hwm = SOCKET_HWM, wait_ms = WAIT_MS, yes = 1;
    if (!socket)
        return NULL;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    if (type == ZMQ_SUB) { /* as the link has it */
        zmq_setsockopt(socket, ZMQ_CONFLATE, &yes, sizeof yes);
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    }
    if ((binds ? zmq_bind : zmq_connect)(socket, endpoint) == 0)
        return socket;
    zmq_close(socket);
    return NULL;
}

static void close_sockets(void *context, void *state, void *requests)
{
    if (state)
        zmq_close(state);
    if (requests)
        zmq_close(requests);
    if (context)
        zmq_ctx_term(context);
}

/* Takes what a DEALER sent, whole. @return bytes of its body; -1: nothing came in time */
static int receive(void *router, uint8_t identity[IDENTITY_MAX], int *identity_size, uint8_t *body,
                   size_t most)
{
    *identity_size = zmq_recv(router, identity, IDENTITY_MAX, 0);
    return *identity_size < 0 ? -1 : zmq_recv(router, body, most, 0);
}

/* ---- The robot ---- */

struct cli_bench_robot {
    cn_plant *plant;
    void *context, *state, *requests; /* ZeroMQ: context, XPUB, ROUTER */
    cn_wire_info info;
    cn_wire_frame frame;
    cn_safety *safety;
    cn_gate gate;
    cn_arena *arena;
    int64_t info_due_ns;
    double servo_period_s;
    int frame_bytes, command_bytes;
    int identity_size;
    uint8_t identity[IDENTITY_MAX];
    uint8_t in[CN_WIRE_REQUEST_MAX], out[CN_WIRE_STATE_MAX];
};

cn_status cli_robot_create(cn_plant *plant, const char *endpoint, const char *requests,
                           cli_bench_robot **out, cn_error *err)
{
    cn_status status = CN_OK;
    cli_bench_robot *r = calloc(1, sizeof *r);
    CN_FAIL_IF(!r, CN_ERR_MEMORY, err, "no memory for a robot");
    r->plant = plant;
    r->servo_period_s = 1 / plant->info.servo_rate_hz;
    r->info = (cn_wire_info){
        .protocol_version = CN_PROTOCOL_VERSION, .session = cn_gate_token(), .plant = plant->info};
    snprintf(r->info.request_endpoint, sizeof r->info.request_endpoint, "%s", requests);
    CN_TRY_CLEANUP(cn_arena_create(ARENA_BYTES, &r->arena, err));
    CN_TRY_CLEANUP(cn_safety_create(r->info.plant.joint, r->info.plant.joints, CN_SAFETY_RAMP_S,
                                    &r->safety, err));
    cn_gate_begin(&r->gate, r->safety);
    CN_TRY_CLEANUP(plant->read(plant, &r->frame.state, err));
    cn_safety_begin(r->safety, &r->frame.state);
    r->context = zmq_ctx_new();
    r->state = open_socket(r->context, ZMQ_XPUB, endpoint, true);
    r->requests = r->state ? open_socket(r->context, ZMQ_ROUTER, requests, true) : NULL;
    if (!r->requests)
        CN_TRY_CLEANUP(zmq_fail("bind", r->state ? requests : endpoint, err));
    *out = r;
    return CN_OK;

cleanup:
    cli_bench_robot_destroy(&r);
    return status;
}

void cli_bench_robot_destroy(cli_bench_robot **robot)
{
    if (!*robot)
        return;
    close_sockets((*robot)->context, (*robot)->state, (*robot)->requests);
    cn_safety_destroy(&(*robot)->safety);
    cn_arena_destroy(&(*robot)->arena);
    free(*robot);
    *robot = NULL;
}

void cli_bench_robot_sizes(const cli_bench_robot *robot, int *frame, int *command)
{
    *frame = robot->frame_bytes;
    *command = robot->command_bytes;
}

/* As the server does: several times a second, and to every new subscriber at once. */
static void publish_info(cli_bench_robot *r)
{
    uint8_t subscription[16];
    while (zmq_recv(r->state, subscription, sizeof subscription, ZMQ_DONTWAIT) > 0)
        r->info_due_ns = 0;
    const int64_t now = cn_clock_now();
    if (now < r->info_due_ns)
        return;
    r->info_due_ns = now + INFO_PERIOD_NS;
    zmq_send(r->state, r->out, cn_wire_pack_info(&r->info, r->out), ZMQ_DONTWAIT);
}

static void fill_frame(cli_bench_robot *r)
{
    cn_safety_measure(r->safety, &r->frame.state, r->info.plant.control_period_s);
    r->frame.sequence++;
    r->frame.applied = r->gate.applied;
    r->frame.mode = cn_gate_mode(&r->gate, cn_clock_now());
    r->frame.commands_applied = r->gate.commands_applied;
}

static void publish_frame(cli_bench_robot *r)
{
    fill_frame(r);
    const size_t size = cn_wire_pack_frame(&r->frame, &r->info.plant, r->out);
    zmq_send(r->state, r->out, size, ZMQ_DONTWAIT);
    r->frame_bytes = (int)size;
}

static cn_status reset(cli_bench_robot *r, const cn_wire_request *request, cn_error *err)
{
    cn_plant *plant = r->plant;
    CN_TRY(cn_gate_reset(&r->gate, request->lease, request->goal_only, cn_clock_now(), err));
    CN_TRY(plant->reset(plant, request->seed, request->goal_only, err));
    CN_TRY(plant->read(plant, &r->frame.state, err));
    if (!request->goal_only)
        cn_safety_begin(r->safety, &r->frame.state);
    r->frame.resets++;
    fill_frame(r);
    return CN_OK;
}

/* What a controller asks besides commanding: lease, reset, release. */
static cn_status answer(cli_bench_robot *r, const cn_wire_request *request, cn_error *err)
{
    cn_wire_reply reply = {.id = request->id};
    const int64_t now = cn_clock_now();
    if (request->kind == CN_WIRE_ACQUIRE) {
        CN_TRY(cn_gate_acquire(&r->gate, request->lease, request->text, request->time_to_live_ns,
                               now, err));
        reply.lease = r->gate.lease;
    } else if (request->kind == CN_WIRE_RESET) {
        CN_TRY(reset(r, request, err));
        reply.has_frame = true;
    } else
        CN_TRY(cn_gate_release(&r->gate, request->lease, now, err));
    reply.mode = cn_gate_mode(&r->gate, now);
    const size_t size = cn_wire_pack_reply(&reply, NULL, reply.has_frame ? &r->frame : NULL,
                                           &r->info.plant, r->out);
    zmq_send(r->requests, r->identity, (size_t)r->identity_size, ZMQ_SNDMORE);
    zmq_send(r->requests, r->out, size, 0);
    return CN_OK;
}

/* Takes one request, if one comes in time; a command all the way to what the plant is told. */
static cn_status take(cli_bench_robot *r, cn_wire_request *request, cn_arm_command *limited,
                      bool *any, cn_error *err)
{
    const int size = receive(r->requests, r->identity, &r->identity_size, r->in, sizeof r->in);
    *any = size >= 0;
    if (!*any)
        return CN_OK;
    CN_TRY(cn_wire_unpack_request(r->arena, r->in, (size_t)size, request, err));
    if (request->kind != CN_WIRE_COMMAND)
        return CN_OK;
    CN_TRY(cn_gate_command(&r->gate, request->lease, &request->command, true, cn_clock_now(), err));
    cn_safety_next(r->safety, cn_gate_wanted(&r->gate, cn_clock_now()), r->servo_period_s, limited);
    r->command_bytes = size;
    return CN_OK;
}

static cn_status move(cli_bench_robot *r, const cn_arm_command *limited, cn_error *err)
{
    CN_TRY(r->plant->command(r->plant, limited, err));
    CN_TRY(r->plant->advance(r->plant, r->servo_period_s, err));
    return r->plant->read(r->plant, &r->frame.state, err);
}

cn_status cli_bench_robot_serve(cli_bench_robot *r, double rate, cli_exchanges *out, cn_error *err)
{
    int64_t sent = 0, next = cn_clock_now(); /* sent: when the frame left that is to be answered */
    cn_wire_request request = {0};
    out->count = out->lost = 0;
    for (int in_vain = 0; request.kind != CN_WIRE_RELEASE;) {
        cn_arm_command limited;
        bool any;
        CN_FAIL_IF(atomic_load(cli_stop()), CN_ERR_CANCELLED, err, "stopped");
        CN_TRY(take(r, &request, &limited, &any, err));
        const int64_t now = cn_clock_now();
        publish_info(r);
        in_vain = any ? 0 : in_vain + 1;
        CN_FAIL_IF(in_vain == PATIENCE, CN_ERR_TIMEOUT, err, "the controller does not answer");
        if (any && request.kind != CN_WIRE_COMMAND) {
            CN_TRY(answer(r, &request, err));
            sent = 0; /* a command that comes now is for the frame in that answer */
            continue;
        }
        if (!any && sent == 0)
            continue; /* nobody follows frames yet */
        if (any) {
            if (sent && request.command.answers_frame == r->frame.sequence)
                keep(out, now - sent);
            CN_TRY(move(r, &limited, err));
            pace(rate, &next);
        } else
            out->lost++;
        sent = cn_clock_now();
        publish_frame(r);
    }
    return CN_OK;
}

/* ---- Bare sockets ---- */

cn_status cli_echo_open(bool robot, const char *state, const char *requests, cli_echo *out,
                        cn_error *err)
{
    *out = (cli_echo){.context = zmq_ctx_new()};
    out->state = open_socket(out->context, robot ? ZMQ_PUB : ZMQ_SUB, state, robot);
    if (!out->state)
        return zmq_fail(robot ? "bind" : "connect to", state, err);
    out->requests = open_socket(out->context, robot ? ZMQ_ROUTER : ZMQ_DEALER, requests, robot);
    return out->requests ? CN_OK : zmq_fail(robot ? "bind" : "connect to", requests, err);
}

void cli_echo_close(cli_echo *echo)
{
    close_sockets(echo->context, echo->state, echo->requests);
    *echo = (cli_echo){0};
}

/* A message of one byte ends a block; of two, it asks whether anybody is there yet. */
enum { END_BYTES = 1, HELLO_BYTES = 2 };

/* Until the other end has subscribed and answers. */
static cn_status greet(cli_echo *echo, cn_error *err)
{
    uint8_t identity[IDENTITY_MAX], in[HELLO_BYTES];
    int size = -1, identity_size;
    for (int i = 0; i < PATIENCE && size != HELLO_BYTES; i++) {
        CN_FAIL_IF(atomic_load(cli_stop()), CN_ERR_CANCELLED, err, "stopped");
        zmq_send(echo->state, "??", HELLO_BYTES, 0);
        size = receive(echo->requests, identity, &identity_size, in, sizeof in);
    }
    CN_FAIL_IF(size != HELLO_BYTES, CN_ERR_TIMEOUT, err, "the controller does not answer");
    return CN_OK;
}

cn_status cli_echo_ask(cli_echo *echo, int frame_bytes, double rate, double seconds,
                       cli_exchanges *out, cn_error *err)
{
    uint8_t frame[CN_WIRE_STATE_MAX] = {0}, command[CN_WIRE_REQUEST_MAX], identity[IDENTITY_MAX];
    int identity_size;
    int64_t number = 0;
    out->count = out->lost = 0;
    CN_TRY(greet(echo, err));
    int64_t sent = cn_clock_now(), next = sent;
    const int64_t end = sent + (int64_t)(seconds * 1e9);
    while (sent < end && out->lost < PATIENCE && !atomic_load(cli_stop())) {
        pace(rate, &next);
        number++;
        memcpy(frame, &number, sizeof number);
        sent = cn_clock_now();
        zmq_send(echo->state, frame, (size_t)frame_bytes, ZMQ_DONTWAIT);
        int size;
        do /* an answer to one that was given up is passed over */
            size = receive(echo->requests, identity, &identity_size, command, sizeof command);
        while (size >= 0 && (size == HELLO_BYTES || memcmp(command, frame, sizeof number) != 0));
        if (size >= 0)
            keep(out, cn_clock_now() - sent);
        else
            out->lost++;
    }
    zmq_send(echo->state, frame, END_BYTES, 0);
    CN_FAIL_IF(atomic_load(cli_stop()), CN_ERR_CANCELLED, err, "stopped");
    CN_FAIL_IF(out->lost == PATIENCE, CN_ERR_TIMEOUT, err, "the controller does not answer");
    return CN_OK;
}

cn_status cli_echo_answer(cli_echo *echo, int command_bytes, cn_error *err)
{
    uint8_t frame[CN_WIRE_STATE_MAX] = {0}, command[CN_WIRE_REQUEST_MAX] = {0};
    for (int in_vain = 0; in_vain < PATIENCE;) {
        const int size = zmq_recv(echo->state, frame, sizeof frame, 0);
        if (size == END_BYTES)
            return CN_OK;
        memcpy(command, frame, sizeof(int64_t)); /* its number */
        if (size >= 0)
            zmq_send(echo->requests, command,
                     size == HELLO_BYTES ? HELLO_BYTES : (size_t)command_bytes, ZMQ_DONTWAIT);
        in_vain = size >= 0 ? 0 : in_vain + 1;
    }
    CN_FAIL(CN_ERR_TIMEOUT, err, "the robot sends nothing");
}
