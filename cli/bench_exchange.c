/* Exchanges of a frame for a command, from the robot's side. */
#include "cli/bench_exchange.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/clock.h"
#include "bridge/wire.h"
#include "cli/cli.h"

enum {
    WAIT_MS = 50,       /* for a command; as long as the server waits */
    PATIENCE = 100,     /* waits in vain, one after the other: nobody is there */
    IDENTITY_MAX = 255, /* bytes of a ROUTER identity */
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

/* Whether the controller has said how it went, or is gone. */
static bool is_over(int outcome)
{
    struct pollfd answer = {.fd = outcome, .events = POLLIN};
    return poll(&answer, 1, 0) > 0;
}

/* ---- With a robot server ---- */

static cn_status read_inner(cn_plant *plant, cn_arm_state *out, cn_error *err)
{
    cli_timed_plant *p = (cli_timed_plant *)plant;
    const cn_status status = p->inner->read(p->inner, out, err);
    p->read_ns = cn_clock_now();
    return status;
}

static cn_status command_inner(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    cli_timed_plant *p = (cli_timed_plant *)plant;
    p->command_ns = cn_clock_now();
    return p->inner->command(p->inner, command, err);
}

static cn_status advance_inner(cn_plant *plant, double seconds, cn_error *err)
{
    cn_plant *inner = ((cli_timed_plant *)plant)->inner;
    return inner->advance(inner, seconds, err);
}

static cn_status reset_inner(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err)
{
    cn_plant *inner = ((cli_timed_plant *)plant)->inner;
    return inner->reset(inner, seed, goal_only, err);
}

void cli_timed_plant_init(cli_timed_plant *timed, cn_plant *inner)
{
    *timed = (cli_timed_plant){
        .plant = {.info = inner->info,
                  .read = read_inner,
                  .command = command_inner,
                  .advance = advance_inner,
                  .reset = reset_inner},
        .inner = inner,
    };
    memcpy(timed->plant.holds_position, inner->holds_position, sizeof inner->holds_position);
}

/* After a frame that was lost, or answered late: what may still come answers nothing. */
static cn_status settle(cn_server *server, cn_error *err)
{
    bool commanded = true;
    while (commanded)
        CN_TRY(cn_server_take(server, &commanded, err));
    return CN_OK;
}

cn_status cli_exchange_served(cn_server *server, cli_timed_plant *plant, double rate, int outcome,
                              cli_exchanges *out, cn_error *err)
{
    int64_t published = 0; /* when the last frame was read; 0: it went with the reply to a reset */
    int64_t next = cn_clock_now();
    int unanswered = 0; /* frames since the last command */
    const atomic_bool *stop = cli_stop();
    out->count = out->lost = 0;
    while (!is_over(outcome)) {
        const int64_t last_read = plant->read_ns;
        bool commanded;
        CN_FAIL_IF(atomic_load(stop), CN_ERR_CANCELLED, err, "stopped");
        CN_TRY(cn_server_take(server, &commanded, err));
        if (plant->read_ns != last_read)
            published = 0;
        if (!commanded && published == 0)
            continue;
        unanswered = commanded ? unanswered : unanswered + 1;
        if (commanded) {
            CN_TRY(cn_server_tick(server, false, err));
            if (published > 0 && unanswered == 0)
                keep(out, plant->command_ns - published);
            if (unanswered > 0)
                CN_TRY(settle(server, err));
            out->lost += unanswered;
            unanswered = 0;
            pace(rate, &next);
        }
        CN_TRY(cn_server_tick(server, true, err));
        published = plant->read_ns;
    }
    return CN_OK;
}

/* ---- Bare sockets ---- */

/* @return NULL: failed; the reason is ZeroMQ's */
static void *open_socket(void *context, int type, const char *endpoint, bool binds)
{
    void *socket = zmq_socket(context, type);
    const int linger = 0, wait_ms = WAIT_MS, yes = 1;
    if (!socket)
        return NULL;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
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

static cn_status zmq_fail(bool robot, const char *endpoint, cn_error *err)
{
    CN_FAIL(CN_ERR_IO, err, "cannot %s %s: %s", robot ? "bind" : "connect to", endpoint,
            zmq_strerror(zmq_errno()));
}

cn_status cli_echo_open(bool robot, const char *state, const char *requests, cli_echo *out,
                        cn_error *err)
{
    *out = (cli_echo){.context = zmq_ctx_new()};
    out->state = open_socket(out->context, robot ? ZMQ_PUB : ZMQ_SUB, state, robot);
    if (!out->state)
        return zmq_fail(robot, state, err);
    out->requests = open_socket(out->context, robot ? ZMQ_ROUTER : ZMQ_DEALER, requests, robot);
    return out->requests ? CN_OK : zmq_fail(robot, requests, err);
}

void cli_echo_close(cli_echo *echo)
{
    if (echo->state)
        zmq_close(echo->state);
    if (echo->requests)
        zmq_close(echo->requests);
    if (echo->context)
        zmq_ctx_term(echo->context);
    *echo = (cli_echo){0};
}

/* What every message of the bare sockets begins with. */
typedef struct head {
    int64_t number;       /* of the exchange; an answer has that of its question */
    int32_t answer_bytes; /* 0: that was the last message of the block */
} head;

/* Sends one message and waits for its answer; answers to earlier ones are passed over.
 * @return when it was answered; 0: not in time */
static int64_t exchange(cli_echo *echo, const uint8_t *frame, size_t bytes)
{
    uint8_t identity[IDENTITY_MAX], command[CN_WIRE_REQUEST_MAX];
    int size;
    zmq_send(echo->state, frame, bytes, ZMQ_DONTWAIT);
    do
        size = zmq_recv(echo->requests, identity, sizeof identity, 0) < 0
                   ? -1
                   : zmq_recv(echo->requests, command, sizeof command, 0);
    while (size >= 0 && memcmp(command, frame, sizeof(int64_t)) != 0);
    return size < 0 ? 0 : cn_clock_now();
}

cn_status cli_exchange_bare(cli_echo *echo, int frame_bytes, int command_bytes, double rate,
                            double seconds, cli_exchanges *out, cn_error *err)
{
    uint8_t frame[CN_WIRE_STATE_MAX] = {0};
    head h = {.answer_bytes = command_bytes};
    int64_t next = cn_clock_now(), end = next + (int64_t)(seconds * 1e9), sent = next;
    const atomic_bool *stop = cli_stop();
    out->count = out->lost = 0;
    while (sent < end && out->lost < PATIENCE && !atomic_load(stop)) {
        h.number++;
        memcpy(frame, &h, sizeof h);
        pace(rate, &next);
        sent = cn_clock_now();
        const int64_t answered = exchange(echo, frame, (size_t)frame_bytes);
        if (answered)
            keep(out, answered - sent);
        else
            out->lost++;
    }
    h.answer_bytes = 0;
    memcpy(frame, &h, sizeof h);
    zmq_send(echo->state, frame, sizeof h, 0);
    CN_FAIL_IF(atomic_load(stop), CN_ERR_CANCELLED, err, "stopped");
    CN_FAIL_IF(out->lost == PATIENCE, CN_ERR_TIMEOUT, err, "the controller does not answer");
    return CN_OK;
}

cn_status cli_echo_answer(cli_echo *echo, cn_error *err)
{
    uint8_t frame[CN_WIRE_STATE_MAX] = {0}, command[CN_WIRE_REQUEST_MAX] = {0};
    head h;
    for (int in_vain = 0; in_vain < PATIENCE; in_vain++) {
        if (zmq_recv(echo->state, frame, sizeof frame, 0) < 0)
            continue;
        memcpy(&h, frame, sizeof h);
        if (h.answer_bytes == 0)
            return CN_OK;
        memcpy(command, &h, sizeof h);
        zmq_send(echo->requests, command, (size_t)h.answer_bytes, ZMQ_DONTWAIT);
        in_vain = -1;
    }
    CN_FAIL(CN_ERR_TIMEOUT, err, "the robot sends nothing");
}
