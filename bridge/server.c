/* The robot server: two sockets, one plant, two clocks. Requests are taken between servo ticks, or,
 * in lockstep, they are the ticks. The rules of who may command are in gate.c, the limits in
 * policy/safety.c. */
#include "bridge/server.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/histogram.h"
#include "bridge/endpoint.h"
#include "bridge/gate.h"
#include "bridge/recorder.h"
#include "bridge/server_sockets.h"

#define INFO_PERIOD_NS    (CN_NS_PER_S / 5)
#define TICK_MARGIN_NS    INT64_C(200000) /* before a tick no request is begun: it might be late */
#define SERVO_RATE_MAX_HZ 1e5             /* beyond it the clock has no period to sleep */

enum {
    REQUESTS_A_TICK = 64, /* between ticks, and of subscriptions: a flood must end somewhere */
    REQUESTS_AT_TICK = 8, /* those that came last of all: a flood must not hold up the servo */
    PARTS_AT_ONCE = 64, /* of a message: it may have millions, and is no request if more than one */
    IDENTITY_MAX = 255, /* bytes of a ROUTER identity */
    ARENA_BYTES = 64 * 1024, /* a request of CN_WIRE_REQUEST_MAX needs a tenth */
};

struct cn_server {
    cn_plant *plant; /* borrowed */
    bool lockstep;
    cn_server_sockets sockets;
    bool unfinished; /* parts are left of the request taken last */
    cn_wire_info info;
    cn_safety *safety;
    cn_gate gate;
    cn_arena *arena;
    cn_recorder recorder;
    cn_wire_frame frame; /* the last one taken */
    double servo_period_s;
    int64_t servo_period_ns;
    int ticks_per_frame;
    int64_t info_due_ns;
    uint64_t deadline_misses;
    int64_t tick_ns;     /* when the last servo period began; 0: none has */
    cn_histogram period; /* ns, from one to the next, in real time */
    cn_histogram work;   /* ns, of each: its tick and the requests taken after it */
    int64_t work_ns;     /* of this one, so far */
    uint64_t overruns;   /* see cn_server_stats */
    uint8_t in[CN_WIRE_REQUEST_MAX], out[CN_WIRE_STATE_MAX];
};

/* ---- Creation ---- */

static cn_status check_plant(const cn_plant *plant, bool lockstep, cn_error *err)
{
    const cn_plant_info *info = &plant->info;
    const double ticks = info->control_period_s * info->servo_rate_hz;
    CN_FAIL_IF(!(info->servo_rate_hz > 0 && info->servo_rate_hz <= SERVO_RATE_MAX_HZ &&
                 ticks >= 1 && ticks <= 1e6),
               CN_ERR_ARGUMENT, err,
               "arm '%s': a servo rate of %g Hz does not go with a control period of %g s",
               info->arm, info->servo_rate_hz, info->control_period_s);
    CN_FAIL_IF(fabs(ticks - round(ticks)) > 1e-6 * ticks, CN_ERR_ARGUMENT, err,
               "arm '%s': a control period of %g s is %g servo periods: it must be a whole number",
               info->arm, info->control_period_s, ticks);
    CN_FAIL_IF(lockstep && !plant->advance, CN_ERR_ARGUMENT, err,
               "arm '%s' lives in real time: only a simulated one can go in lockstep", info->arm);
    CN_FAIL_IF(info->tracked < 0 || info->tracked > CN_MAX_TRACKED, CN_ERR_ARGUMENT, err,
               "arm '%s' has %d tracked points: at most %d are possible", info->arm, info->tracked,
               CN_MAX_TRACKED);
    return CN_OK;
}

cn_status cn_server_create(const cn_server_config *config, cn_plant *plant, cn_server **out,
                           cn_error *err)
{
    cn_status status = CN_OK;
    CN_TRY(cn_endpoint_check(config->endpoint, true, err));
    CN_FAIL_IF(!config->key && !config->open && !cn_endpoint_is_local(config->endpoint),
               CN_ERR_ARGUMENT, err,
               "other machines reach %s: give the robot a key and those who are allowed "
               "(colonnade keygen), or open it to everybody (--open)",
               config->endpoint);
    CN_TRY(check_plant(plant, config->lockstep, err));
    cn_server *server = calloc(1, sizeof *server);
    CN_FAIL_IF(!server, CN_ERR_MEMORY, err, "no memory for a robot server");
    server->plant = plant;
    server->lockstep = config->lockstep;
    server->servo_period_s = 1 / plant->info.servo_rate_hz;
    server->servo_period_ns = (int64_t)llround(server->servo_period_s * 1e9);
    server->ticks_per_frame = (int)lround(plant->info.control_period_s * plant->info.servo_rate_hz);
    server->info.protocol_version = CN_PROTOCOL_VERSION;
    server->info.session = cn_gate_token();
    server->info.plant = plant->info;
    server->info.lockstep = config->lockstep;
    CN_TRY_CLEANUP(cn_safety_create(server->info.plant.joint, server->info.plant.joints,
                                    &server->safety, err));
    for (int j = 0; j < plant->info.joints; j++)
        if (plant->holds_position[j])
            cn_safety_holds_position(server->safety, j);
    cn_safety_keep_out(server->safety, config->keep_out);
    CN_TRY_CLEANUP(cn_arena_create(ARENA_BYTES, &server->arena, err));
    cn_recorder_begin(&server->recorder, config->log);
    cn_gate_begin(&server->gate, server->safety, server->info.plant.joints);
    CN_TRY_CLEANUP(cn_server_sockets_open(&server->sockets, config, err));
    memcpy(server->info.request_endpoint, server->sockets.request_endpoint, CN_WIRE_ENDPOINT);
    *out = server;
    return CN_OK;

cleanup:
    cn_server_destroy(&server);
    return status;
}

void cn_server_destroy(cn_server **server)
{
    if (!server || !*server)
        return;
    cn_server *s = *server;
    cn_server_sockets_close(&s->sockets);
    cn_arena_destroy(&s->arena);
    cn_safety_destroy(&s->safety);
    free(s);
    *server = NULL;
}

/* ---- Frames ---- */

/* Reads the plant into the frame. What is no number ends here: the filter works from it, and would
 * hand it to the arm. */
static cn_status read_sensors(cn_server *server, cn_error *err)
{
    const cn_plant_info *info = &server->info.plant;
    cn_arm_state *state = &server->frame.state;
    CN_TRY(server->plant->read(server->plant, state, err));
    for (int j = 0; j < info->joints; j++)
        CN_FAIL_IF(!isfinite(state->position[j]) || !isfinite(state->velocity[j]) ||
                       !isfinite(state->effort[j]),
                   CN_ERR_FORMAT, err,
                   "arm '%s': joint '%s' reads position %g, velocity %g, effort %g: check its "
                   "sensors",
                   info->arm, info->joint[j].name, state->position[j], state->velocity[j],
                   state->effort[j]);
    return CN_OK;
}

static cn_status take_frame(cn_server *server, cn_error *err)
{
    cn_wire_frame *frame = &server->frame;
    const cn_gate *gate = &server->gate;
    CN_TRY(read_sensors(server, err));
    if (!server->plant->look || !server->plant->look(server->plant, &frame->image))
        frame->image = (cn_image){0};
    frame->sequence++;
    frame->applied = gate->applied;
    frame->taken_ns = gate->taken_ns;
    frame->mode = cn_gate_mode(gate, cn_clock_now());
    frame->commands_applied = gate->commands_applied;
    frame->commands_refused = gate->commands_refused;
    frame->watchdog_stops = gate->watchdog_stops;
    frame->deadline_misses = server->deadline_misses;
    memcpy(frame->refused, gate->refused, sizeof frame->refused);
    memcpy(frame->last_refusal, gate->last_refusal, sizeof frame->last_refusal);
    frame->leases_lapsed = gate->leases_lapsed;
    memcpy(frame->last_lapsed, gate->last_lapsed, sizeof frame->last_lapsed);
    memcpy(frame->holder, gate->holder, sizeof frame->holder);
    if (gate->lease == 0 || gate->lapsed)
        frame->holder[0] = '\0';
    const cn_box *box = cn_safety_kept_from(server->safety);
    snprintf(frame->kept_from, sizeof frame->kept_from, "%s", box ? box->point : "");
    return CN_OK;
}

/* Nobody waits for a slow subscriber: what its queue cannot hold is lost to it. */
static void publish_frame(cn_server *server)
{
    server->frame.published_ns = cn_clock_now();
    cn_gate_published(&server->gate, server->frame.sequence, server->frame.published_ns);
    const size_t size = cn_wire_pack_frame(&server->frame, &server->info.plant, server->out);
    zmq_send(server->sockets.state, server->out, size, ZMQ_DONTWAIT);
    cn_recorder_frame(&server->recorder, server->frame.sequence, server->out, size);
}

static cn_durations durations_of(const cn_histogram *h)
{
    return (cn_durations){
        .p50 = cn_histogram_quantile(h, 0.5),
        .p99 = cn_histogram_quantile(h, 0.99),
        .max = h->max,
    };
}

/* Several times a second, and to every new subscriber at once; the frames' statistics of the servo
 * are as old. */
static void publish_info(cn_server *server)
{
    const int64_t now = cn_clock_now();
    uint8_t subscription[16];
    bool due = now >= server->info_due_ns;
    for (int i = 0; i < REQUESTS_A_TICK; i++) {
        if (zmq_recv(server->sockets.state, subscription, sizeof subscription, ZMQ_DONTWAIT) <= 0)
            break;
        due = due || subscription[0] == 1;
    }
    if (!due)
        return;
    server->info_due_ns = now + INFO_PERIOD_NS;
    server->frame.period = durations_of(&server->period);
    server->frame.command_age = durations_of(&server->gate.command_age);
    const size_t size = cn_wire_pack_info(&server->info, server->out);
    zmq_send(server->sockets.state, server->out, size, ZMQ_DONTWAIT);
}

/* ---- The servo ---- */

static void record_tick(cn_server *server, bool follows, const cn_arm_command *command)
{
    if (!server->recorder.log)
        return;
    const int64_t now = cn_clock_now();
    const cn_wire_mode mode = cn_gate_mode(&server->gate, now);
    const cn_log_tick tick = {
        .robot_time_ns = now,
        .frame = server->frame.sequence,
        .mode = (int)mode,
        .command = follows ? server->gate.applied.sequence : 0,
        .target = command,
    };
    cn_recorder_tick(&server->recorder, &tick,
                     mode == CN_WIRE_ESTOPPED ? server->gate.estop_reason : "");
}

static cn_status servo_tick(cn_server *server, const cn_arm_command *wanted, cn_error *err)
{
    cn_plant *plant = server->plant;
    cn_arm_command command;
    const cn_box *before = cn_safety_kept_from(server->safety);
    cn_safety_next(server->safety, wanted, server->servo_period_s, &command);
    server->frame.keep_out_stops += !before && cn_safety_kept_from(server->safety);
    CN_TRY(plant->command(plant, &command, err));
    record_tick(server, wanted != NULL, &command);
    return plant->advance ? plant->advance(plant, server->servo_period_s, err) : CN_OK;
}

/* A control period is over: the frame after it. */
static cn_status end_period(cn_server *server, cn_error *err)
{
    CN_TRY(take_frame(server, err));
    cn_safety_measure(server->safety, &server->frame.state, server->info.plant.control_period_s);
    publish_frame(server);
    return CN_OK;
}

static cn_status step(cn_server *server, cn_error *err)
{
    for (int tick = 0; tick < server->ticks_per_frame; tick++)
        CN_TRY(servo_tick(server, &server->gate.applied.command, err));
    return end_period(server, err);
}

/* A whole reset puts a simulated arm somewhere else, at rest: the filter starts again from there.
 * One that lives in real time stays where it is, and its motion goes on within the limits. */
static cn_status reset(cn_server *server, const cn_wire_request *request, cn_error *err)
{
    cn_plant *plant = server->plant;
    if (plant->reset) {
        CN_TRY(plant->reset(plant, request->seed, request->goal_only, err));
        if (!request->goal_only && plant->advance) {
            CN_TRY(read_sensors(server, err));
            cn_safety_begin(server->safety, &server->frame.state);
        }
    }
    server->frame.resets++;
    CN_TRY(take_frame(server, err));
    publish_frame(server);
    return CN_OK;
}

/* ---- Requests ---- */

/* The rules that need no gate. Of another version an emergency stop counts all the same, and the
 * info tells which one is ours. */
static cn_status check_request(const cn_server *server, const cn_wire_request *request,
                               cn_refusal *reason, cn_error *refusal)
{
    const cn_wire_kind kind = request->kind;
    const uint32_t version = request->protocol_version;
    *reason = CN_REFUSAL_WRONG_VERSION;
    CN_FAIL_IF(version != CN_PROTOCOL_VERSION && kind != CN_WIRE_GET_INFO && kind != CN_WIRE_ESTOP,
               CN_ERR_REFUSED, refusal,
               "a request of protocol version %u%s: this robot speaks version %d, so update the "
               "older one",
               version, version == 0 ? " (none is given)" : "", CN_PROTOCOL_VERSION);
    *reason = CN_REFUSAL_MALFORMED;
    CN_FAIL_IF(kind == CN_WIRE_NOTHING, CN_ERR_REFUSED, refusal,
               "a request that protocol version %d does not know", CN_PROTOCOL_VERSION);
    *reason = CN_REFUSAL_WRONG_CLOCK;
    CN_FAIL_IF(kind == CN_WIRE_STEP && !server->lockstep, CN_ERR_REFUSED, refusal,
               "this robot follows the clock: send Command, not Step");
    CN_FAIL_IF(kind == CN_WIRE_COMMAND && server->lockstep, CN_ERR_REFUSED, refusal,
               "this robot goes in lockstep: send Step, not Command");
    *reason = CN_REFUSAL_NONE;
    return CN_OK;
}

/* Carries out a request. *refusal says why it was not; the status is the plant's. */
static cn_status serve(cn_server *server, const cn_wire_request *request, cn_wire_reply *reply,
                       cn_error *refusal, cn_error *err)
{
    cn_gate *gate = &server->gate;
    cn_refusal *reason = &reply->refusal;
    const int64_t now = cn_clock_now();
    const bool is_step = request->kind == CN_WIRE_STEP;
    cn_status allowed = CN_OK;
    if (check_request(server, request, reason, refusal) != CN_OK) {
        cn_gate_refuse(gate, *reason, refusal->message);
        return CN_OK;
    }
    switch (request->kind) {
    case CN_WIRE_NOTHING: /* refused above */
        break;
    case CN_WIRE_GET_INFO:
        reply->has_info = true;
        break;
    case CN_WIRE_ACQUIRE:
        allowed = cn_gate_acquire(gate, request->lease, request->text, request->time_to_live_ns,
                                  now, reason, refusal);
        reply->lease = allowed == CN_OK ? gate->lease : 0;
        break;
    case CN_WIRE_RELEASE:
        cn_gate_release(gate, request->lease, now, reason, refusal);
        break;
    case CN_WIRE_COMMAND:
    case CN_WIRE_STEP:
        allowed = cn_gate_command(gate, request->lease, &request->command, !is_step, now, reason,
                                  refusal);
        if (allowed == CN_OK)
            cn_recorder_command(&server->recorder, &request->command);
        reply->has_frame = is_step && allowed == CN_OK;
        return reply->has_frame ? step(server, err) : CN_OK;
    case CN_WIRE_RESET:
        allowed = cn_gate_reset(gate, request->lease, request->goal_only, now, reason, refusal);
        reply->has_frame = allowed == CN_OK;
        return reply->has_frame ? reset(server, request, err) : CN_OK;
    case CN_WIRE_ESTOP:
        cn_gate_estop(gate, request->text);
        break;
    }
    return CN_OK;
}

/* Takes parts of the message under way. @param size  of the last one. @return how many */
static int take_parts(cn_server *server, int *size)
{
    int more = 0, parts = 0;
    size_t more_size = sizeof more;
    *size = 0;
    while (zmq_getsockopt(server->sockets.requests, ZMQ_RCVMORE, &more, &more_size) == 0 && more &&
           *size >= 0 && parts < PARTS_AT_ONCE) {
        *size = zmq_recv(server->sockets.requests, server->in, sizeof server->in, ZMQ_DONTWAIT);
        parts++;
    }
    server->unfinished = more && *size >= 0;
    return parts;
}

/* Takes one message and unpacks it. @return false: there is none */
static bool receive(cn_server *server, int flags, uint8_t *identity, int *identity_size,
                    cn_wire_request *request, cn_error *refusal)
{
    int size;
    *request = (cn_wire_request){0};
    *identity_size = zmq_recv(server->sockets.requests, identity, IDENTITY_MAX, flags);
    if (*identity_size < 0)
        return false;
    const int parts = take_parts(server, &size);
    if (parts == 1 && size >= 0)
        cn_wire_unpack_request(server->arena, server->in, (size_t)size, request, refusal);
    else
        cn_error_set(refusal, CN_ERR_FORMAT, __FILE__, __LINE__,
                     "a message of %d parts%s: a request has one, from a DEALER socket", parts,
                     server->unfinished ? " or more" : "");
    return true;
}

static void answer(cn_server *server, const uint8_t *identity, int identity_size,
                   const cn_wire_reply *reply)
{
    const size_t size = cn_wire_pack_reply(reply, reply->has_info ? &server->info : NULL,
                                           reply->has_frame ? &server->frame : NULL,
                                           &server->info.plant, server->out);
    /* A body that went out alone would be taken for an identity. */
    if (zmq_send(server->sockets.requests, identity, (size_t)identity_size,
                 ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(server->sockets.requests, server->out, size, ZMQ_DONTWAIT);
}

/* One request, if there is one. A Command that passes has no answer. A plant that fails ends the
 * server, but not before the one who asked has been told. */
static cn_status handle_request(cn_server *server, int flags, bool *any, cn_error *err)
{
    uint8_t identity[IDENTITY_MAX];
    int identity_size;
    cn_wire_request request;
    cn_wire_reply reply = {0};
    cn_error refusal = {0}, failure = {0};
    cn_status status = CN_OK;
    if (server->unfinished) { /* it has been refused; the servo comes in between */
        int size;
        take_parts(server, &size);
        *any = true;
        return CN_OK;
    }
    *any = receive(server, flags, identity, &identity_size, &request, &refusal);
    if (!*any)
        return CN_OK;
    if (refusal.code == CN_OK) {
        status = serve(server, &request, &reply, &refusal, &failure);
    } else {
        reply.refusal = CN_REFUSAL_MALFORMED;
        cn_gate_refuse(&server->gate, reply.refusal, refusal.message);
    }
    const char *error = status == CN_OK ? refusal.message : failure.message;
    if (request.kind != CN_WIRE_COMMAND || error[0] != '\0') {
        reply.id = request.id;
        reply.mode = cn_gate_mode(&server->gate, cn_clock_now());
        reply.has_frame = reply.has_frame && status == CN_OK;
        snprintf(reply.error, sizeof reply.error, "%.*s", (int)sizeof reply.error - 1, error);
        answer(server, identity, identity_size, &reply);
    }
    if (status != CN_OK && err)
        *err = failure;
    return status;
}

/* ---- By the clock of the caller ---- */

cn_status cn_server_begin(cn_server *server, cn_error *err)
{
    CN_TRY(read_sensors(server, err));
    cn_safety_begin(server->safety, &server->frame.state);
    return CN_OK;
}

cn_status cn_server_take(cn_server *server, bool *commanded, cn_error *err)
{
    bool any;
    const uint64_t before = server->gate.commands_applied;
    publish_info(server);
    CN_TRY(handle_request(server, 0, &any, err));
    *commanded = server->gate.commands_applied > before;
    return CN_OK;
}

cn_status cn_server_tick(cn_server *server, bool frame, cn_error *err)
{
    CN_TRY(servo_tick(server, cn_gate_wanted(&server->gate, cn_clock_now()), err));
    return frame ? end_period(server, err) : CN_OK;
}

/* ---- The two clocks ---- */

static cn_status run_lockstep(cn_server *server, const atomic_bool *stop, cn_error *err)
{
    bool any;
    while (!atomic_load(stop)) {
        CN_TRY(handle_request(server, 0, &any, err));
        publish_info(server);
    }
    return CN_OK;
}

/* @param frames  frame times passed since the tick before. More than one: the machine was too slow;
 *                those in between get no frame, but their numbers, so that whoever listens knows */
static cn_status real_time_tick(cn_server *server, uint64_t frames, cn_error *err)
{
    bool any = true;
    const int64_t now = cn_clock_now();
    if (server->tick_ns > 0)
        cn_histogram_record(&server->period, now - server->tick_ns);
    server->tick_ns = now;
    for (int i = 0; i < REQUESTS_AT_TICK && any; i++)
        CN_TRY(handle_request(server, ZMQ_DONTWAIT, &any, err));
    if (frames > 0)
        server->frame.sequence += frames - 1;
    CN_TRY(cn_server_tick(server, frames > 0, err));
    publish_info(server);
    server->work_ns = cn_clock_now() - now;
    server->overruns += server->work_ns > server->servo_period_ns;
    return CN_OK;
}

/* Waits until something happens to the request socket: a request, say. @return false: it is time */
static bool wait_request(const cn_server *server, int64_t until_ns)
{
    const int fd = server->sockets.requests_fd;
    const int64_t left_ns = until_ns - cn_clock_now();
    if (left_ns <= 0 || fd < 0 || fd >= FD_SETSIZE)
        return false;
    const struct timespec left = {.tv_sec = left_ns / CN_NS_PER_S,
                                  .tv_nsec = left_ns % CN_NS_PER_S};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return pselect(fd + 1, &set, NULL, NULL, &left, NULL) > 0;
}

/* Takes requests as they come until it is time for the next tick, so that none waits in the queue
 * for it: when a command was taken is then when it came, and the latencies that are reckoned from
 * it are those of the network. The socket's descriptor tells only what is new, so it is waited for
 * when there is no request left. */
static cn_status take_requests(cn_server *server, int64_t deadline_ns, cn_error *err)
{
    const int64_t until_ns = deadline_ns - TICK_MARGIN_NS;
    for (int i = 0; i < REQUESTS_A_TICK && cn_clock_now() < until_ns; i++) {
        bool any;
        const int64_t began = cn_clock_now();
        CN_TRY(handle_request(server, ZMQ_DONTWAIT, &any, err));
        const int64_t ended = cn_clock_now();
        server->work_ns += any ? ended - began : 0;
        server->overruns += any && ended > deadline_ns;
        if (!any && !wait_request(server, until_ns))
            break;
    }
    return CN_OK;
}

/* When the next tick is due. One that is late is counted, and periods that have gone by are
 * skipped, not caught up with: a burst of commands would be worse than a pause.
 * @return servo periods from this tick to the next, 1 or more */
static uint64_t next_tick(cn_server *server, int64_t *deadline)
{
    *deadline += server->servo_period_ns;
    const int64_t late = cn_clock_now() - *deadline;
    const int64_t skipped = late > 0 ? late / server->servo_period_ns + 1 : 0;
    server->deadline_misses += skipped > 0;
    *deadline += skipped * server->servo_period_ns;
    return 1 + (uint64_t)skipped;
}

/* Stops the arm smoothly, also after a failure: a plant that cannot be read may still be commanded.
 */
static cn_status run_real_time(cn_server *server, const atomic_bool *stop, cn_error *err)
{
    const uint64_t ticks_per_frame = (uint64_t)server->ticks_per_frame;
    int64_t deadline = cn_clock_now();
    cn_status status = CN_OK;
    uint64_t tick = 0, frames = 1;
    while (status == CN_OK && !atomic_load(stop)) {
        status = real_time_tick(server, frames, err);
        const uint64_t next = tick + next_tick(server, &deadline);
        if (status == CN_OK)
            status = take_requests(server, deadline, err);
        cn_histogram_record(&server->work, server->work_ns);
        cn_clock_sleep_until(deadline);
        frames = next / ticks_per_frame - tick / ticks_per_frame;
        tick = next;
    }
    cn_status braked = CN_OK;
    for (bool rests = false; braked == CN_OK && !rests;) {
        rests = cn_safety_at_rest(server->safety); /* the tick after the last that moved says so */
        braked = servo_tick(server, NULL, status == CN_OK ? err : NULL);
        next_tick(server, &deadline);
        cn_clock_sleep_until(deadline);
    }
    return status == CN_OK ? braked : status;
}

cn_status cn_server_run(cn_server *server, const atomic_bool *stop, cn_error *err)
{
    CN_TRY(cn_server_begin(server, err));
    return server->lockstep ? run_lockstep(server, stop, err) : run_real_time(server, stop, err);
}

cn_server_stats cn_server_statistics(cn_server *server)
{
    const cn_gate *gate = &server->gate;
    cn_server_stats stats = {
        .frames = server->frame.sequence,
        .commands_applied = gate->commands_applied,
        .commands_refused = gate->commands_refused,
        .deadline_misses = server->deadline_misses,
        .watchdog_stops = gate->watchdog_stops,
        .leases_lapsed = gate->leases_lapsed,
        .keep_out_stops = server->frame.keep_out_stops,
        .period = server->period,
        .command_age = gate->command_age,
        .work = server->work,
        .overruns = server->overruns,
    };
    memcpy(stats.last_lapsed, gate->last_lapsed, sizeof stats.last_lapsed);
    memcpy(stats.refused, gate->refused, sizeof stats.refused);
    memcpy(stats.last_refusal, gate->last_refusal, sizeof stats.last_refusal);
    if (server->sockets.authenticator)
        stats.connections_refused =
            cn_authenticator_refused(server->sockets.authenticator, stats.last_connection_refusal);
    return stats;
}

const char *cn_server_state_endpoint(const cn_server *server)
{
    return server->sockets.state_endpoint;
}

const char *cn_server_request_endpoint(const cn_server *server)
{
    return server->sockets.request_endpoint;
}
