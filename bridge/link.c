/* The link: a SUB socket for infos, one for frames, and a DEALER. The SUB sockets keep the latest
 * message alone, so that a controller that paused meets no frame of long ago. Requests carry a
 * number, and a reply with another number belongs to a command that was refused or to a request
 * that was given up. In lockstep frames come with the replies, so only infos are subscribed to.
 *
 * The life of the robot is not judged by its silence: a lockstep server says nothing while its
 * plant computes. It is judged by the connection, which the server's operating system closes when
 * the process dies and which libzmq's own threads keep warm with heartbeats while it lives. */
#include "bridge/link.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "bridge/endpoint.h"
#include "bridge/monitor.h"
#include "bridge/wire.h"

#define NS_PER_MS     INT64_C(1000000)
#define VALID_PERIODS 2.5 /* control periods that a command may be followed without a newer one */

enum {
    REPLY_WAIT_MS = 2000,          /* for a request that only the server has to think about */
    MOVE_WAIT_MS = 20000,          /* for one that moves a plant: a reset may take its time */
    RELEASE_WAIT_MS = 200,         /* on the way out, when the robot may be gone */
    MESSAGE_MAX = 4 * 1024 * 1024, /* bytes; a robot of somebody else's may send images */
    COMMAND_HWM = 64,              /* commands on their way; beyond it the robot is not there */
    HEARTBEAT_MS = 1000,           /* on the request socket, and: */
    HEARTBEAT_WAIT_MS = 3000,      /* without any, the machine or the network is gone */
    RECONNECT_WAIT_MS = 2000,      /* for a broken connection to come back */
    LEASE_REAL_TIME_MS = 2000,     /* a controller that is silent so long may be replaced */
    LEASE_LOCKSTEP_MS = 30000,     /* a trainer thinks longer between two steps */
    SENT = 256,                    /* commands whose time of sending is remembered */
};

typedef struct sent_command {
    uint64_t sequence;
    int64_t at_ns;
} sent_command;

struct cn_link {
    char endpoint[CN_WIRE_ENDPOINT];
    void *context, *infos, *frames, *requests; /* ZeroMQ: context, SUB, SUB, DEALER */
    void *monitor;                             /* PAIR: tells how the DEALER's connection is */
    void *greeting;                            /* PAIR: how the robot takes us; until it has */
    bool hung_up;                              /* it ended a connection before it took us */
    cn_arena *arena;
    cn_wire_info info;
    uint64_t lease;          /* 0: none */
    uint64_t next_id;        /* of the last request */
    uint64_t sequence;       /* of the last command */
    sent_command sent[SENT]; /* command n is at n % SENT */
    uint64_t last_frame;     /* sequence of the last frame seen */
    bool restarted;          /* an info of another session has come */
    bool broken;             /* the DEALER's connection was lost and is not back */
    bool refused;        /* a command, since the last frame given; not one overtaken or doubled */
    cn_wire_frame frame; /* the last frame seen */
    uint32_t packed_size, command_size;
    uint8_t *in, *packed; /* [MESSAGE_MAX] the message just received; the bytes of `frame` */
    uint8_t out[CN_WIRE_REQUEST_MAX];
    uint8_t command[CN_WIRE_REQUEST_MAX]; /* the last Command sent */
};

/* ---- Sockets ---- */

static cn_status zmq_fail(const cn_link *link, const char *what, cn_error *err)
{
    CN_FAIL(CN_ERR_IO, err, "cannot %s %s: %s", what, link->endpoint, zmq_strerror(zmq_errno()));
}

/* Nothing is said to a robot that has not the secret of `robot`. */
static bool set_keys(void *socket, const cn_link_keys *keys)
{
    return !keys ||
           (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->robot.public_text, CN_KEY_TEXT) ==
                0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->own.public_text, CN_KEY_TEXT) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->own.secret_text, CN_KEY_TEXT) == 0);
}

/* @return NULL: none to be had, and none that encrypts */
static void *open_socket(cn_link *link, int type, const cn_link_keys *keys)
{
    void *socket = zmq_socket(link->context, type);
    if (!socket)
        return NULL;
    const int linger = 0, ipv6 = cn_endpoint_is_ipv6(link->endpoint), latest_only = 1;
    const int heartbeat = HEARTBEAT_MS, patience = HEARTBEAT_WAIT_MS;
    const int64_t largest = MESSAGE_MAX;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (!set_keys(socket, keys)) {
        zmq_close(socket);
        return NULL;
    }
    if (type == ZMQ_SUB) {
        zmq_setsockopt(socket, ZMQ_CONFLATE, &latest_only, sizeof latest_only);
        return socket;
    }
    const int hwm = COMMAND_HWM;
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_HEARTBEAT_IVL, &heartbeat, sizeof heartbeat);
    zmq_setsockopt(socket, ZMQ_HEARTBEAT_TIMEOUT, &patience, sizeof patience);
    return socket;
}

/* Waits until one of the sockets has a message; false when the deadline has passed or a signal
 * came. Whole milliseconds are rounded up: a deadline is met late rather than by spinning.
 * @param second  NULL: there is only the first */
static bool wait_readable(void *first, void *second, int64_t deadline_ns)
{
    const int64_t left = deadline_ns - cn_clock_now();
    zmq_pollitem_t items[] = {{.socket = first, .events = ZMQ_POLLIN},
                              {.socket = second, .events = ZMQ_POLLIN}};
    return left > 0 &&
           zmq_poll(items, second ? 2 : 1, (long)((left + NS_PER_MS - 1) / NS_PER_MS)) > 0;
}

/* @return bytes in link->in, or -1: nothing there. What is longer than the buffer, libzmq has not
 * let in. */
static int take_message(cn_link *link, void *socket)
{
    return zmq_recv(socket, link->in, MESSAGE_MAX, ZMQ_DONTWAIT);
}

/* ---- State ---- */

static void keep_frame(cn_link *link, const cn_wire_frame *frame, const void *packed,
                       uint32_t packed_size)
{
    link->frame = *frame;
    link->last_frame = frame->sequence;
    memcpy(link->packed, packed, packed_size);
    link->packed_size = packed_size;
}

/* A command of ours that the robot has taken, and the frame that says so. */
static cn_exchange exchange_of(const cn_link *link, const cn_wire_frame *frame, int64_t received_ns)
{
    const uint64_t applied = frame->applied.sequence;
    const sent_command *const sent = &link->sent[applied % SENT];
    if (applied == 0 || link->lease == 0 || sent->sequence != applied)
        return (cn_exchange){0};
    return (cn_exchange){
        .sent_ns = sent->at_ns,
        .taken_ns = frame->taken_ns,
        .published_ns = frame->published_ns,
        .received_ns = received_ns,
    };
}

static void give_frame(cn_link *link, cn_frame *out)
{
    const cn_wire_frame *frame = &link->frame;
    out->sequence = frame->sequence;
    out->resets = frame->resets;
    out->received_ns = cn_clock_now();
    out->applied = frame->applied.sequence;
    out->exchange = exchange_of(link, frame, out->received_ns);
    out->state = frame->state;
    out->commands_refused = frame->commands_refused;
    memcpy(out->refused, frame->refused, sizeof out->refused);
    memcpy(out->last_refusal, frame->last_refusal, sizeof out->last_refusal);
    out->period = frame->period;
    out->holding = frame->mode != CN_WIRE_ACTIVE || link->refused;
    link->refused = false;
    out->estopped = frame->mode == CN_WIRE_ESTOPPED;
    out->packed = link->packed;
    out->packed_size = link->packed_size;
}

static cn_status fail_restarted(const cn_link *link, cn_error *err)
{
    CN_FAIL(CN_ERR_MISMATCH, err, "the robot at %s was restarted: connect again", link->endpoint);
}

/* Takes the latest info, if a new one has come: is it still the same server? */
static cn_status check_session(cn_link *link, cn_error *err)
{
    bool is_frame;
    cn_wire_info info;
    const void *packed;
    uint32_t packed_size;
    const int size = take_message(link, link->infos);
    if (size >= 0) {
        CN_TRY(cn_wire_unpack_state(link->arena, link->in, (size_t)size, NULL, &is_frame, &info,
                                    NULL, &packed, &packed_size, err));
        link->restarted = link->restarted || (!is_frame && info.session != link->info.session);
    }
    return link->restarted ? fail_restarted(link, err) : CN_OK;
}

/* Waits for a frame until the deadline, in the call that receives it: a poll before it would cost
 * more than unpacking does. Whole milliseconds as in wait_readable.
 * @return bytes in link->in, or -1: none came by then or before a signal */
static int await_frame(cn_link *link, int64_t deadline_ns)
{
    const int64_t left_ms = (deadline_ns - cn_clock_now() + NS_PER_MS - 1) / NS_PER_MS;
    const int wait_ms = left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
    zmq_setsockopt(link->frames, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    return zmq_recv(link->frames, link->in, MESSAGE_MAX, 0);
}

/* Takes the latest frame, waiting for one; *any: one came, *newer: than the last one seen. */
static cn_status take_frame(cn_link *link, int64_t deadline_ns, bool *any, bool *newer,
                            cn_error *err)
{
    bool is_frame;
    cn_wire_info info;
    cn_wire_frame frame;
    const void *packed;
    uint32_t packed_size;
    const int size = await_frame(link, deadline_ns);
    *any = size >= 0;
    *newer = false;
    if (!*any)
        return CN_OK;
    CN_TRY(cn_wire_unpack_state(link->arena, link->in, (size_t)size, &link->info.plant, &is_frame,
                                &info, &frame, &packed, &packed_size, err));
    *newer = is_frame && frame.sequence > link->last_frame;
    if (*newer)
        keep_frame(link, &frame, packed, packed_size);
    return CN_OK;
}

/* An answer that nobody waited for: a command was refused. That it came twice, or behind a newer
 * one, takes nothing from what the robot follows. */
static void note_refusal(cn_link *link, const cn_wire_reply *reply)
{
    link->refused = link->refused || (reply->refusal != CN_REFUSAL_DUPLICATE &&
                                      reply->refusal != CN_REFUSAL_REORDERED);
}

/* Takes the answers that nobody waits for. Left alone they would fill the queue, and the next reply
 * would be lost. */
static void take_refusals(cn_link *link)
{
    cn_wire_reply reply;
    cn_wire_info info;
    cn_wire_frame frame;
    const void *packed;
    uint32_t packed_size;
    int size;
    for (int i = 0; i < COMMAND_HWM && (size = take_message(link, link->requests)) >= 0; i++)
        if (cn_wire_unpack_reply(link->arena, link->in, (size_t)size, &link->info.plant, &reply,
                                 &info, &frame, &packed, &packed_size, NULL) == CN_OK)
            note_refusal(link, &reply);
        else /* whatever it was, it was no consent */
            link->refused = true;
}

cn_status cn_link_frame(cn_link *link, int64_t deadline_ns, cn_frame *out, cn_error *err)
{
    for (bool newer = false; !newer;) {
        bool any;
        CN_TRY(check_session(link, err));
        CN_TRY(take_frame(link, deadline_ns, &any, &newer, err));
        take_refusals(link); /* after the frame, which follows them */
        CN_FAIL_IF(!any, CN_ERR_TIMEOUT, err, "no frame from the robot at %s", link->endpoint);
    }
    give_frame(link, out);
    return CN_OK;
}

/* ---- Requests ---- */

static cn_status send_request(cn_link *link, cn_wire_request *request, cn_error *err)
{
    request->id = ++link->next_id;
    request->lease = link->lease;
    request->protocol_version = CN_PROTOCOL_VERSION;
    const size_t size = cn_wire_pack_request(request, link->out);
    CN_FAIL_IF(zmq_send(link->requests, link->out, size, ZMQ_DONTWAIT) < 0, CN_ERR_IO, err,
               "the robot at %s takes no more requests: %s", link->endpoint,
               zmq_strerror(zmq_errno()));
    return CN_OK;
}

/* What a refusal means: after a restart nothing of before is valid, and saying so helps most. */
static cn_status fail_refused(cn_link *link, const cn_wire_reply *reply, cn_error *err)
{
    if (check_session(link, NULL) == CN_ERR_MISMATCH)
        return fail_restarted(link, err);
    CN_FAIL(reply->mode == CN_WIRE_ESTOPPED ? CN_ERR_SAFETY : CN_ERR_REFUSED, err,
            "the robot at %s refuses: %s", link->endpoint, reply->error);
}

/* Learns how the connection is now. @return whether it broke since the last call */
static bool follow_connection(cn_link *link)
{
    uint16_t what;
    bool broke = false;
    while (cn_monitor_take(link->monitor, &what, NULL)) {
        link->broken = what == ZMQ_EVENT_DISCONNECTED;
        broke = broke || link->broken;
    }
    return broke;
}

/* Waits until there is a message on the request socket, and takes it. A connection that breaks
 * meanwhile has taken the request with it. */
static cn_status wait_reply(cn_link *link, int64_t deadline, double wait_s, int *size,
                            cn_error *err)
{
    while ((*size = take_message(link, link->requests)) < 0) {
        CN_FAIL_IF(follow_connection(link), CN_ERR_TIMEOUT, err,
                   "the connection to the robot at %s broke: is it still running?", link->endpoint);
        CN_FAIL_IF(
            !wait_readable(link->requests, link->monitor, deadline) && cn_clock_now() >= deadline,
            CN_ERR_TIMEOUT, err, "the robot at %s has not answered for %g s: is it still running?",
            link->endpoint, wait_s);
    }
    return CN_OK;
}

/* Sends a request and waits for its reply; a frame in it is kept. */
static cn_status ask(cn_link *link, cn_wire_request *request, int wait_ms, cn_wire_reply *reply,
                     cn_error *err)
{
    follow_connection(link);
    if (link->broken && wait_ms > RECONNECT_WAIT_MS)
        wait_ms = RECONNECT_WAIT_MS;
    const int64_t deadline = cn_clock_now() + wait_ms * NS_PER_MS;
    cn_wire_info info;
    cn_wire_frame frame;
    const void *packed;
    uint32_t packed_size;
    CN_TRY(send_request(link, request, err));
    for (int size;;) {
        CN_TRY(wait_reply(link, deadline, wait_ms * 1e-3, &size, err));
        CN_TRY(cn_wire_unpack_reply(link->arena, link->in, (size_t)size, &link->info.plant, reply,
                                    &info, &frame, &packed, &packed_size, err));
        if (reply->id == request->id)
            break;
        note_refusal(link, reply);
    }
    if (reply->error[0] != '\0')
        return fail_refused(link, reply, err);
    if (reply->has_frame)
        keep_frame(link, &frame, packed, packed_size);
    return CN_OK;
}

static cn_status ask_for_frame(cn_link *link, cn_wire_request *request, int wait_ms, cn_frame *out,
                               cn_error *err)
{
    cn_wire_reply reply;
    CN_TRY(ask(link, request, wait_ms, &reply, err));
    CN_FAIL_IF(!reply.has_frame, CN_ERR_FORMAT, err, "the robot at %s answers without a frame",
               link->endpoint);
    give_frame(link, out);
    return CN_OK;
}

cn_status cn_link_acquire(cn_link *link, cn_error *err)
{
    cn_wire_reply reply;
    const int64_t ms = link->info.lockstep ? LEASE_LOCKSTEP_MS : LEASE_REAL_TIME_MS;
    cn_wire_request request = {.kind = CN_WIRE_ACQUIRE, .time_to_live_ns = ms * NS_PER_MS};
    char host[CN_WIRE_TEXT / 2] = "";
    gethostname(host, sizeof host - 1);
    snprintf(request.text, sizeof request.text, "%s:%ld", host, (long)getpid());
    CN_TRY(ask(link, &request, REPLY_WAIT_MS, &reply, err));
    CN_FAIL_IF(reply.lease == 0, CN_ERR_FORMAT, err, "the robot at %s answers without a lease",
               link->endpoint);
    if (reply.lease != link->lease) {
        link->sequence = 0;
        memset(link->sent, 0, sizeof link->sent);
    }
    link->lease = reply.lease;
    return CN_OK;
}

static cn_status release(cn_link *link, int wait_ms, cn_error *err)
{
    cn_wire_reply reply;
    cn_wire_request request = {.kind = CN_WIRE_RELEASE};
    if (link->lease == 0)
        return CN_OK;
    const cn_status status = ask(link, &request, wait_ms, &reply, err);
    link->lease = 0;
    return status;
}

cn_status cn_link_release(cn_link *link, cn_error *err)
{
    return release(link, REPLY_WAIT_MS, err);
}

cn_status cn_link_reset(cn_link *link, uint64_t seed, bool goal_only, cn_frame *out, cn_error *err)
{
    cn_wire_request request = {.kind = CN_WIRE_RESET, .seed = seed, .goal_only = goal_only};
    return ask_for_frame(link, &request, goal_only ? REPLY_WAIT_MS : MOVE_WAIT_MS, out, err);
}

static cn_wire_request number_command(cn_link *link, cn_wire_kind kind,
                                      const cn_arm_command *command, uint64_t answers_frame,
                                      int64_t valid_for_ns)
{
    cn_wire_request request = {.kind = kind};
    request.command = (cn_wire_command){
        .sequence = ++link->sequence,
        .answers_frame = answers_frame,
        .valid_for_ns = valid_for_ns,
        .command = *command,
    };
    link->command_size = (uint32_t)cn_wire_pack_command(&request.command, link->command);
    link->sent[link->sequence % SENT] = (sent_command){link->sequence, cn_clock_now()};
    return request;
}

cn_status cn_link_command(cn_link *link, const cn_arm_command *command, uint64_t answers_frame,
                          int64_t valid_for_ns, uint64_t *sequence, cn_error *err)
{
    cn_wire_request request =
        number_command(link, CN_WIRE_COMMAND, command, answers_frame, valid_for_ns);
    *sequence = link->sequence;
    return send_request(link, &request, err);
}

int64_t cn_link_valid_for(const cn_link *link, int64_t received_ns)
{
    const double silence_ns = VALID_PERIODS * link->info.plant.control_period_s * 1e9;
    const double thought_ns = (double)(cn_clock_now() - received_ns);
    return (int64_t)fmin(silence_ns + fmin(thought_ns, silence_ns), CN_WIRE_VALID_FOR_MAX_NS);
}

cn_status cn_link_step(cn_link *link, const cn_arm_command *command, cn_frame *out, cn_error *err)
{
    cn_wire_request request = number_command(link, CN_WIRE_STEP, command, link->last_frame, 0);
    return ask_for_frame(link, &request, MOVE_WAIT_MS, out, err);
}

cn_status cn_link_estop(cn_link *link, const char *reason, cn_error *err)
{
    cn_wire_reply reply;
    cn_wire_request request = {.kind = CN_WIRE_ESTOP};
    snprintf(request.text, sizeof request.text, "%s", reason);
    return ask(link, &request, REPLY_WAIT_MS, &reply, err);
}

const void *cn_link_last_command(const cn_link *link, uint32_t *size)
{
    *size = link->command_size;
    return link->command;
}

/* ---- Connecting ---- */

/* Whether the robot has turned the connection for infos down, and why. */
static cn_status check_handshake(cn_link *link, bool encrypted, cn_error *err)
{
    uint16_t what;
    while (cn_monitor_take(link->greeting, &what, NULL)) {
        CN_FAIL_IF(what == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, CN_ERR_REFUSED, err,
                   "the robot at %s does not know our key: its --allow must have the .pub file",
                   link->endpoint);
        CN_FAIL_IF(what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, CN_ERR_REFUSED, err,
                   encrypted ? "what answers at %s takes no keys: it is no robot, or an open one"
                             : "what answers at %s wants to know who we are: give --key and "
                               "--robot-key, or it is no robot",
                   link->endpoint);
        link->hung_up = true;
    }
    return CN_OK;
}

/* Who asks for a key may have hung up before we could read that. */
static cn_status fail_unanswered(const cn_link *link, bool encrypted, cn_error *err)
{
    CN_FAIL_IF(link->hung_up && !encrypted, CN_ERR_REFUSED, err,
               "what answers at %s hangs up on us: give --key and --robot-key if it asks for keys, "
               "or it is no robot",
               link->endpoint);
    CN_FAIL(CN_ERR_TIMEOUT, err, "no robot answers at %s: is `colonnade robot` running there%s?",
            link->endpoint, encrypted ? ", with the key of --robot-key" : "");
}

static cn_status wait_for_info(cn_link *link, const cn_link_keys *keys, int timeout_ms,
                               cn_error *err)
{
    const int64_t deadline = cn_clock_now() + timeout_ms * NS_PER_MS;
    const void *packed;
    uint32_t packed_size;
    bool is_frame = true;
    while (is_frame) {
        const bool readable = wait_readable(link->infos, link->greeting, deadline);
        if (!readable && cn_clock_now() >= deadline)
            return fail_unanswered(link, keys != NULL, err);
        CN_TRY(check_handshake(link, keys != NULL, err));
        const int size = take_message(link, link->infos);
        if (size >= 0)
            CN_TRY(cn_wire_unpack_state(link->arena, link->in, (size_t)size, NULL, &is_frame,
                                        &link->info, NULL, &packed, &packed_size, err));
    }
    CN_FAIL_IF(link->info.protocol_version != CN_PROTOCOL_VERSION, CN_ERR_MISMATCH, err,
               "the robot at %s speaks protocol version %u, this program %d: update the older one",
               link->endpoint, link->info.protocol_version, CN_PROTOCOL_VERSION);
    return CN_OK;
}

static cn_status open_sockets(cn_link *link, const cn_link_keys *keys, cn_error *err)
{
    link->context = zmq_ctx_new();
    if (link->context) {
        link->infos = open_socket(link, ZMQ_SUB, keys);
        link->frames = open_socket(link, ZMQ_SUB, keys);
        link->requests = open_socket(link, ZMQ_DEALER, keys);
    }
    if (link->infos && link->frames && link->requests) {
        link->monitor = cn_monitor_open(link->context, link->requests, "inproc://events",
                                        ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
        link->greeting =
            cn_monitor_open(link->context, link->infos, "inproc://greeting",
                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    }
    if (!link->monitor || !link->greeting)
        return zmq_fail(link, "open sockets for", err);
    return CN_OK;
}

static cn_status connect_sockets(cn_link *link, const cn_link_keys *keys, int timeout_ms,
                                 cn_error *err)
{
    char requests[CN_WIRE_ENDPOINT];
    zmq_setsockopt(link->infos, ZMQ_SUBSCRIBE, CN_WIRE_TOPIC_INFO, 1);
    zmq_setsockopt(link->frames, ZMQ_SUBSCRIBE, CN_WIRE_TOPIC_FRAME, 1);
    if (zmq_connect(link->infos, link->endpoint) != 0)
        return zmq_fail(link, "connect to", err);
    CN_TRY(wait_for_info(link, keys, timeout_ms, err));
    cn_monitor_close(link->infos, &link->greeting);
    if (!link->info.lockstep && zmq_connect(link->frames, link->endpoint) != 0)
        return zmq_fail(link, "connect to the frames of", err);
    CN_TRY(cn_endpoint_of_requests(link->endpoint, link->info.request_endpoint, requests, err));
    if (zmq_connect(link->requests, requests) != 0)
        return zmq_fail(link, "connect to the request socket of", err);
    return CN_OK;
}

cn_status cn_link_connect(const char *endpoint, const cn_link_keys *keys, int timeout_ms,
                          cn_link **out, cn_error *err)
{
    cn_status status = CN_OK;
    CN_TRY(cn_endpoint_check(endpoint, false, err));
    cn_link *link = calloc(1, sizeof *link);
    CN_FAIL_IF(!link, CN_ERR_MEMORY, err, "no memory for a link");
    snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
    link->in = malloc(MESSAGE_MAX);
    link->packed = malloc(MESSAGE_MAX);
    if (!link->in || !link->packed)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a link's messages");
    CN_TRY_CLEANUP(cn_arena_create(2 * MESSAGE_MAX, &link->arena, err));
    CN_TRY_CLEANUP(open_sockets(link, keys, err));
    CN_TRY_CLEANUP(connect_sockets(link, keys, timeout_ms, err));
    *out = link;
    return CN_OK;

cleanup:
    cn_link_destroy(&link);
    return status;
}

void cn_link_destroy(cn_link **link)
{
    if (!link || !*link)
        return;
    cn_link *l = *link;
    release(l, RELEASE_WAIT_MS, NULL);
    cn_monitor_close(l->requests, &l->monitor);
    cn_monitor_close(l->infos, &l->greeting);
    void *const sockets[] = {l->requests, l->frames, l->infos};
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++)
        if (sockets[i])
            zmq_close(sockets[i]);
    if (l->context)
        zmq_ctx_term(l->context);
    cn_arena_destroy(&l->arena);
    free(l->in);
    free(l->packed);
    free(l);
    *link = NULL;
}

const cn_plant_info *cn_link_info(const cn_link *link)
{
    return &link->info.plant;
}

bool cn_link_lockstep(const cn_link *link)
{
    return link->info.lockstep;
}
