/* Packing and unpacking: plain structs to protobuf-c messages on the stack, and back out of an
 * arena. */
#include "bridge/wire.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/robot.pb-c.h"

typedef Colonnade__V1__Command pb_command;
typedef Colonnade__V1__Image pb_image;
typedef Colonnade__V1__Joint pb_joint;
typedef Colonnade__V1__NamedVector pb_vector;
typedef Colonnade__V1__RefusalCount pb_refusal;
typedef Colonnade__V1__Reply pb_reply;
typedef Colonnade__V1__Request pb_request;
typedef Colonnade__V1__RobotInfo pb_info;
typedef Colonnade__V1__SensorFrame pb_frame;
typedef Colonnade__V1__ServerState pb_server;
typedef Colonnade__V1__State pb_state;

#define SAME_NUMBER(id, name, words)                                                               \
    static_assert((int)CN_REFUSAL_##id == (int)COLONNADE__V1__REFUSAL__REFUSAL_##id,               \
                  "refusal.h and robot.proto number refusals differently");
CN_REFUSAL_TABLE(SAME_NUMBER)
#undef SAME_NUMBER

enum { STATE_FRAME_FIELD = 2, REPLY_FRAME_FIELD = 4 };

/* ---- The arena ---- */

static void *arena_alloc(void *data, size_t size)
{
    cn_arena *arena = data;
    const size_t align = _Alignof(max_align_t);
    const size_t start = (arena->used + align - 1) / align * align;
    if (start > arena->size || size > arena->size - start)
        return NULL;
    arena->used = start + size;
    return arena->bytes + start;
}

static void arena_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

cn_status cn_arena_create(size_t size, cn_arena **out, cn_error *err)
{
    cn_arena *arena = malloc(sizeof *arena);
    unsigned char *bytes = malloc(size);
    if (!arena || !bytes) {
        free(arena);
        free(bytes);
        CN_FAIL(CN_ERR_MEMORY, err, "no memory for an arena of %zu bytes", size);
    }
    *arena = (cn_arena){
        .allocator = {.alloc = arena_alloc, .free = arena_free, .allocator_data = arena},
        .size = size,
        .bytes = bytes,
    };
    *out = arena;
    return CN_OK;
}

void cn_arena_destroy(cn_arena **arena)
{
    if (!arena || !*arena)
        return;
    free((*arena)->bytes);
    free(*arena);
    *arena = NULL;
}

ProtobufCAllocator *cn_arena_reset(cn_arena *arena)
{
    arena->used = 0;
    return &arena->allocator;
}

/* ---- Packing: the messages borrow from the plain structs, hence the casts that drop const ---- */

typedef struct info_message {
    pb_info info;
    pb_joint joint[CN_MAX_JOINTS];
    pb_joint *joints[CN_MAX_JOINTS];
    char *tracked[CN_MAX_TRACKED];
} info_message;

typedef struct frame_message {
    pb_frame frame;
    pb_vector vector[CN_MAX_TRACKED];
    pb_vector *vectors[CN_MAX_TRACKED];
    pb_image image, *images[1];
    pb_command applied;
    pb_server server;
    pb_refusal refusal[CN_REFUSALS];
    pb_refusal *refusals[CN_REFUSALS];
} frame_message;

static size_t pack(const void *message, uint8_t *out, size_t capacity)
{
    assert(protobuf_c_message_get_packed_size(message) <= capacity);
    (void)capacity;
    return protobuf_c_message_pack(message, out);
}

static pb_command command_message(const cn_wire_command *command)
{
    pb_command m = COLONNADE__V1__COMMAND__INIT;
    m.sequence = command->sequence;
    m.answers_frame = command->answers_frame;
    m.valid_for_ns = command->valid_for_ns;
    m.mode = (Colonnade__V1__CommandMode)command->command.mode;
    m.n_target = (size_t)command->command.joints;
    m.target = (double *)command->command.target;
    return m;
}

static void fill_info(const cn_wire_info *info, info_message *m)
{
    const cn_plant_info *plant = &info->plant;
    m->info = (pb_info)COLONNADE__V1__ROBOT_INFO__INIT;
    m->info.protocol_version = info->protocol_version;
    m->info.session = info->session;
    m->info.arm = (char *)plant->arm;
    m->info.control_period_s = plant->control_period_s;
    m->info.servo_rate_hz = plant->servo_rate_hz;
    m->info.lockstep = info->lockstep;
    m->info.request_endpoint = (char *)info->request_endpoint;
    m->info.n_joints = (size_t)plant->joints;
    m->info.joints = m->joints;
    for (int j = 0; j < plant->joints; j++) {
        const cn_arm_joint *joint = &plant->joint[j];
        m->joint[j] = (pb_joint)COLONNADE__V1__JOINT__INIT;
        m->joint[j].name = (char *)joint->name;
        m->joint[j].unit = (char *)joint->unit;
        m->joint[j].position_low = joint->position_low;
        m->joint[j].position_high = joint->position_high;
        m->joint[j].velocity_limit = joint->velocity;
        m->joint[j].acceleration_limit = joint->acceleration;
        m->joint[j].jerk_limit = joint->jerk;
        m->joint[j].effort_limit = joint->effort;
        m->joints[j] = &m->joint[j];
    }
    m->info.n_tracked = (size_t)plant->tracked;
    m->info.tracked = m->tracked;
    for (int i = 0; i < plant->tracked; i++)
        m->tracked[i] = (char *)plant->point[i];
}

static void fill_refusals(const cn_wire_frame *frame, frame_message *m)
{
    size_t n = 0;
    for (int i = CN_REFUSAL_NONE + 1; i < CN_REFUSALS; i++) {
        if (frame->refused[i] == 0)
            continue;
        m->refusal[n] = (pb_refusal)COLONNADE__V1__REFUSAL_COUNT__INIT;
        m->refusal[n].reason = (Colonnade__V1__Refusal)i;
        m->refusal[n].count = frame->refused[i];
        m->refusals[n] = &m->refusal[n];
        n++;
    }
    m->server.n_refusals = n;
    m->server.refusals = m->refusals;
}

static void fill_server(const cn_wire_frame *frame, pb_server *m)
{
    *m = (pb_server)COLONNADE__V1__SERVER_STATE__INIT;
    m->mode = (Colonnade__V1__ServerMode)frame->mode;
    m->commands_applied = frame->commands_applied;
    m->commands_refused = frame->commands_refused;
    m->deadline_misses = frame->deadline_misses;
    m->watchdog_stops = frame->watchdog_stops;
    m->last_refusal = (char *)frame->last_refusal;
    m->period_p50_ns = frame->period.p50;
    m->period_p99_ns = frame->period.p99;
    m->period_max_ns = frame->period.max;
    m->holder = (char *)frame->holder;
    m->leases_lapsed = frame->leases_lapsed;
    m->last_lapsed = (char *)frame->last_lapsed;
    m->command_age_p50_ns = frame->command_age.p50;
    m->command_age_p99_ns = frame->command_age.p99;
    m->command_age_max_ns = frame->command_age.max;
    m->keep_out_stops = frame->keep_out_stops;
    m->kept_from = (char *)frame->kept_from;
}

static void fill_image(const cn_image *image, frame_message *m)
{
    const size_t size = (size_t)image->width * (size_t)image->height * 3;
    assert(size <= CN_IMAGE_MAX);
    m->image = (pb_image)COLONNADE__V1__IMAGE__INIT;
    m->image.name = (char *)image->camera;
    m->image.width = (uint32_t)image->width;
    m->image.height = (uint32_t)image->height;
    m->image.rgb = (ProtobufCBinaryData){size, (uint8_t *)image->rgb};
    m->images[0] = &m->image;
    m->frame.images = m->images;
    m->frame.n_images = 1;
}

static void fill_frame(const cn_wire_frame *frame, const cn_plant_info *plant, frame_message *m)
{
    const cn_arm_state *state = &frame->state;
    const size_t joints = (size_t)state->joints;
    m->frame = (pb_frame)COLONNADE__V1__SENSOR_FRAME__INIT;
    m->frame.sequence = frame->sequence;
    m->frame.robot_time_ns = (int64_t)llround(state->time_s * 1e9);
    m->frame.n_position = m->frame.n_velocity = m->frame.n_effort = joints;
    m->frame.position = (double *)state->position;
    m->frame.velocity = (double *)state->velocity;
    m->frame.effort = (double *)state->effort;
    m->frame.n_vectors = (size_t)state->tracked;
    m->frame.vectors = m->vectors;
    for (int i = 0; i < state->tracked; i++) {
        m->vector[i] = (pb_vector)COLONNADE__V1__NAMED_VECTOR__INIT;
        m->vector[i].name = (char *)plant->point[i];
        m->vector[i].n_value = 3;
        m->vector[i].value = (double *)state->point[i];
        m->vectors[i] = &m->vector[i];
    }
    if (frame->image.rgb)
        fill_image(&frame->image, m);
    if (frame->applied.sequence > 0) {
        m->applied = command_message(&frame->applied);
        m->frame.applied = &m->applied;
    }
    fill_server(frame, &m->server);
    fill_refusals(frame, m);
    m->frame.server = &m->server;
    m->frame.resets = frame->resets;
    m->frame.published_ns = frame->published_ns;
    m->frame.taken_ns = frame->taken_ns;
}

size_t cn_wire_pack_request(const cn_wire_request *request, uint8_t *out)
{
    pb_request m = COLONNADE__V1__REQUEST__INIT;
    Colonnade__V1__GetInfo get_info = COLONNADE__V1__GET_INFO__INIT;
    Colonnade__V1__AcquireLease acquire = COLONNADE__V1__ACQUIRE_LEASE__INIT;
    Colonnade__V1__ReleaseLease release = COLONNADE__V1__RELEASE_LEASE__INIT;
    Colonnade__V1__Step step = COLONNADE__V1__STEP__INIT;
    Colonnade__V1__Reset reset = COLONNADE__V1__RESET__INIT;
    Colonnade__V1__EStop estop = COLONNADE__V1__ESTOP__INIT;
    pb_command command;
    m.id = request->id;
    m.lease = request->lease;
    m.protocol_version = request->protocol_version;
    switch (request->kind) {
    case CN_WIRE_NOTHING:
        break;
    case CN_WIRE_GET_INFO:
        m.body_case = COLONNADE__V1__REQUEST__BODY_GET_INFO;
        m.get_info = &get_info;
        break;
    case CN_WIRE_ACQUIRE:
        m.body_case = COLONNADE__V1__REQUEST__BODY_ACQUIRE;
        acquire.holder = (char *)request->text;
        acquire.time_to_live_ns = request->time_to_live_ns;
        m.acquire = &acquire;
        break;
    case CN_WIRE_RELEASE:
        m.body_case = COLONNADE__V1__REQUEST__BODY_RELEASE;
        m.release = &release;
        break;
    case CN_WIRE_COMMAND:
        m.body_case = COLONNADE__V1__REQUEST__BODY_COMMAND;
        command = command_message(&request->command);
        m.command = &command;
        break;
    case CN_WIRE_STEP:
        m.body_case = COLONNADE__V1__REQUEST__BODY_STEP;
        command = command_message(&request->command);
        step.command = &command;
        m.step = &step;
        break;
    case CN_WIRE_RESET:
        m.body_case = COLONNADE__V1__REQUEST__BODY_RESET;
        reset.seed = request->seed;
        reset.goal_only = request->goal_only;
        m.reset = &reset;
        break;
    case CN_WIRE_ESTOP:
        m.body_case = COLONNADE__V1__REQUEST__BODY_ESTOP;
        estop.reason = (char *)request->text;
        m.estop = &estop;
        break;
    }
    return pack(&m, out, CN_WIRE_REQUEST_MAX);
}

size_t cn_wire_pack_info(const cn_wire_info *info, uint8_t *out)
{
    info_message body;
    fill_info(info, &body);
    pb_state m = COLONNADE__V1__STATE__INIT;
    m.body_case = COLONNADE__V1__STATE__BODY_INFO;
    m.info = &body.info;
    return pack(&m, out, CN_WIRE_STATE_MAX);
}

size_t cn_wire_pack_frame(const cn_wire_frame *frame, const cn_plant_info *plant, uint8_t *out)
{
    frame_message body;
    fill_frame(frame, plant, &body);
    pb_state m = COLONNADE__V1__STATE__INIT;
    m.body_case = COLONNADE__V1__STATE__BODY_FRAME;
    m.frame = &body.frame;
    return pack(&m, out, CN_WIRE_STATE_MAX);
}

size_t cn_wire_pack_reply(const cn_wire_reply *reply, const cn_wire_info *info,
                          const cn_wire_frame *frame, const cn_plant_info *plant, uint8_t *out)
{
    info_message info_body;
    frame_message frame_body;
    pb_reply m = COLONNADE__V1__REPLY__INIT;
    m.id = reply->id;
    m.error = (char *)reply->error;
    m.mode = (Colonnade__V1__ServerMode)reply->mode;
    m.refusal = (Colonnade__V1__Refusal)reply->refusal;
    if (info) {
        fill_info(info, &info_body);
        m.body_case = COLONNADE__V1__REPLY__BODY_INFO;
        m.info = &info_body.info;
    } else if (frame) {
        fill_frame(frame, plant, &frame_body);
        m.body_case = COLONNADE__V1__REPLY__BODY_FRAME;
        m.frame = &frame_body.frame;
    } else if (reply->lease != 0) {
        m.body_case = COLONNADE__V1__REPLY__BODY_LEASE;
        m.lease = reply->lease;
    }
    return pack(&m, out, CN_WIRE_STATE_MAX);
}

size_t cn_wire_pack_command(const cn_wire_command *command, uint8_t *out)
{
    const pb_command m = command_message(command);
    return pack(&m, out, CN_WIRE_REQUEST_MAX);
}

/* ---- Unpacking ---- */

/* Copies as printable ASCII: these strings end up in terminals, logs and other people's decoders.
 */
static void copy_text(const char *from, char *to, size_t size)
{
    size_t n = 0;
    for (; from[n] != '\0' && n + 1 < size; n++)
        to[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
    to[n] = '\0';
}

static cn_status read_doubles(const char *what, size_t count, const double *from, int expected,
                              double *to, cn_error *err)
{
    CN_FAIL_IF(count != (size_t)expected, CN_ERR_FORMAT, err,
               "a frame with %zu values of %s for %d joints", count, what, expected);
    for (size_t j = 0; j < count; j++) {
        CN_FAIL_IF(!isfinite(from[j]), CN_ERR_FORMAT, err, "a frame whose %s of joint %zu is %g",
                   what, j, from[j]);
        to[j] = from[j];
    }
    return CN_OK;
}

static cn_status read_command(const pb_command *m, cn_wire_command *out, cn_error *err)
{
    CN_FAIL_IF(m->n_target > CN_MAX_JOINTS, CN_ERR_FORMAT, err,
               "a command with %zu targets: there can be at most %d", m->n_target, CN_MAX_JOINTS);
    *out = (cn_wire_command){
        .sequence = m->sequence,
        .answers_frame = m->answers_frame,
        .valid_for_ns = m->valid_for_ns,
        .command = {.mode = (cn_command_mode)m->mode, .joints = (int)m->n_target},
    };
    if (m->n_target > 0)
        memcpy(out->command.target, m->target, m->n_target * sizeof *m->target);
    return CN_OK;
}

static cn_status read_body(const pb_request *m, cn_wire_request *out, cn_error *err)
{
    switch (m->body_case) {
    case COLONNADE__V1__REQUEST__BODY_GET_INFO:
        out->kind = CN_WIRE_GET_INFO;
        return CN_OK;
    case COLONNADE__V1__REQUEST__BODY_ACQUIRE:
        out->kind = CN_WIRE_ACQUIRE;
        copy_text(m->acquire->holder, out->text, sizeof out->text);
        out->time_to_live_ns = m->acquire->time_to_live_ns;
        return CN_OK;
    case COLONNADE__V1__REQUEST__BODY_RELEASE:
        out->kind = CN_WIRE_RELEASE;
        return CN_OK;
    case COLONNADE__V1__REQUEST__BODY_COMMAND:
        out->kind = CN_WIRE_COMMAND;
        return read_command(m->command, &out->command, err);
    case COLONNADE__V1__REQUEST__BODY_STEP:
        out->kind = CN_WIRE_STEP;
        CN_FAIL_IF(!m->step->command, CN_ERR_FORMAT, err, "a Step without a command");
        return read_command(m->step->command, &out->command, err);
    case COLONNADE__V1__REQUEST__BODY_RESET:
        out->kind = CN_WIRE_RESET;
        out->seed = m->reset->seed;
        out->goal_only = m->reset->goal_only;
        return CN_OK;
    case COLONNADE__V1__REQUEST__BODY_ESTOP:
        out->kind = CN_WIRE_ESTOP;
        copy_text(m->estop->reason, out->text, sizeof out->text);
        return CN_OK;
    default:
        out->kind = CN_WIRE_NOTHING;
        return CN_OK;
    }
}

cn_status cn_wire_unpack_request(cn_arena *arena, const void *data, size_t size,
                                 cn_wire_request *out, cn_error *err)
{
    *out = (cn_wire_request){0};
    CN_FAIL_IF(size > CN_WIRE_REQUEST_MAX, CN_ERR_FORMAT, err,
               "a request of %zu bytes: at most %d are taken", size, CN_WIRE_REQUEST_MAX);
    const pb_request *m = colonnade__v1__request__unpack(cn_arena_reset(arena), size, data);
    CN_FAIL_IF(!m, CN_ERR_FORMAT, err, "%zu bytes that are not a colonnade.v1.Request", size);
    out->id = m->id;
    out->lease = m->lease;
    out->protocol_version = m->protocol_version;
    return read_body(m, out, err);
}

static cn_status read_joint(const pb_joint *m, cn_arm_joint *out, cn_error *err)
{
    copy_text(m->name, out->name, sizeof out->name);
    copy_text(m->unit, out->unit, sizeof out->unit);
    out->position_low = m->position_low;
    out->position_high = m->position_high;
    out->velocity = m->velocity_limit;
    out->acceleration = m->acceleration_limit;
    out->jerk = m->jerk_limit;
    out->effort = m->effort_limit;
    CN_FAIL_IF(!(out->position_low <= out->position_high), CN_ERR_FORMAT, err,
               "joint '%s' may move from %g to %g %s", out->name, out->position_low,
               out->position_high, out->unit);
    const double limit[] = {out->velocity, out->acceleration, out->jerk};
    for (int i = 0; i < 3; i++)
        CN_FAIL_IF(
            !(limit[i] > 0 && isfinite(limit[i])), CN_ERR_FORMAT, err,
            "joint '%s' has limits of velocity %g, acceleration %g and jerk %g: they must be "
            "above 0 and finite",
            out->name, out->velocity, out->acceleration, out->jerk);
    return CN_OK;
}

static cn_status read_info(const pb_info *m, cn_wire_info *out, cn_error *err)
{
    *out = (cn_wire_info){
        .protocol_version = m->protocol_version,
        .session = m->session,
        .lockstep = m->lockstep,
    };
    cn_plant_info *plant = &out->plant;
    CN_FAIL_IF(m->n_joints < 1 || m->n_joints > CN_MAX_JOINTS, CN_ERR_FORMAT, err,
               "a robot of %zu joints: 1 to %d are possible", m->n_joints, CN_MAX_JOINTS);
    CN_FAIL_IF(m->n_tracked > CN_MAX_TRACKED, CN_ERR_FORMAT, err,
               "a robot with %zu tracked points: at most %d are possible", m->n_tracked,
               CN_MAX_TRACKED);
    CN_FAIL_IF(!(m->control_period_s >= 1e-4 && m->control_period_s <= 10), CN_ERR_FORMAT, err,
               "a control period of %g s: 0.0001 to 10 s are possible", m->control_period_s);
    copy_text(m->arm, plant->arm, sizeof plant->arm);
    copy_text(m->request_endpoint, out->request_endpoint, sizeof out->request_endpoint);
    plant->control_period_s = m->control_period_s;
    plant->servo_rate_hz = m->servo_rate_hz;
    plant->joints = (int)m->n_joints;
    for (int j = 0; j < plant->joints; j++)
        CN_TRY(read_joint(m->joints[j], &plant->joint[j], err));
    plant->tracked = (int)m->n_tracked;
    for (int i = 0; i < plant->tracked; i++)
        copy_text(m->tracked[i], plant->point[i], sizeof plant->point[i]);
    return CN_OK;
}

/* The tracked points in the robot's order; vectors of other names are not ours to read. */
static cn_status read_points(const pb_frame *m, const cn_plant_info *plant, cn_arm_state *out,
                             cn_error *err)
{
    out->tracked = plant->tracked;
    for (int i = 0; i < plant->tracked; i++) {
        const pb_vector *found = NULL;
        for (size_t k = 0; k < m->n_vectors && !found; k++)
            if (strcmp(m->vectors[k]->name, plant->point[i]) == 0)
                found = m->vectors[k];
        CN_FAIL_IF(!found || found->n_value != 3, CN_ERR_FORMAT, err,
                   "a frame without three values for the tracked point '%s'", plant->point[i]);
        for (int k = 0; k < 3; k++) {
            CN_FAIL_IF(!isfinite(found->value[k]), CN_ERR_FORMAT, err,
                       "a frame whose tracked point '%s' has a coordinate of %g", plant->point[i],
                       found->value[k]);
            out->point[i][k] = found->value[k];
        }
    }
    return CN_OK;
}

static void read_server(const pb_server *m, cn_wire_frame *out)
{
    out->mode = (cn_wire_mode)m->mode;
    out->commands_applied = m->commands_applied;
    out->commands_refused = m->commands_refused;
    out->deadline_misses = m->deadline_misses;
    out->watchdog_stops = m->watchdog_stops;
    copy_text(m->last_refusal, out->last_refusal, sizeof out->last_refusal);
    out->period = (cn_durations){m->period_p50_ns, m->period_p99_ns, m->period_max_ns};
    copy_text(m->holder, out->holder, sizeof out->holder);
    out->leases_lapsed = m->leases_lapsed;
    copy_text(m->last_lapsed, out->last_lapsed, sizeof out->last_lapsed);
    out->command_age =
        (cn_durations){m->command_age_p50_ns, m->command_age_p99_ns, m->command_age_max_ns};
    out->keep_out_stops = m->keep_out_stops;
    copy_text(m->kept_from, out->kept_from, sizeof out->kept_from);
    for (size_t i = 0; i < m->n_refusals; i++) {
        const unsigned reason = (unsigned)m->refusals[i]->reason;
        if (reason > CN_REFUSAL_NONE && reason < CN_REFUSALS) /* others are of a newer robot */
            out->refused[reason] = m->refusals[i]->count;
    }
}

static cn_status read_frame(const pb_frame *m, const cn_plant_info *plant, cn_wire_frame *out,
                            cn_error *err)
{
    *out = (cn_wire_frame){
        .sequence = m->sequence,
        .resets = m->resets,
        .published_ns = m->published_ns,
        .taken_ns = m->taken_ns,
    };
    cn_arm_state *state = &out->state;
    state->time_s = (double)m->robot_time_ns * 1e-9;
    state->joints = plant->joints;
    CN_TRY(
        read_doubles("position", m->n_position, m->position, state->joints, state->position, err));
    CN_TRY(
        read_doubles("velocity", m->n_velocity, m->velocity, state->joints, state->velocity, err));
    CN_TRY(read_doubles("effort", m->n_effort, m->effort, state->joints, state->effort, err));
    CN_TRY(read_points(m, plant, state, err));
    if (m->applied)
        CN_TRY(read_command(m->applied, &out->applied, err));
    if (m->server)
        read_server(m->server, out);
    return CN_OK;
}

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        const uint8_t byte = *(*at)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Finds the bytes of the last submessage `field` of a message that protobuf-c has accepted. */
static void find_field(const void *data, size_t size, uint64_t field, const void **packed,
                       uint32_t *packed_size)
{
    enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };
    const uint8_t *at = data;
    const uint8_t *const end = at + size;
    uint64_t tag, length;
    *packed = NULL;
    *packed_size = 0;
    while (at < end && read_varint(&at, end, &tag)) {
        switch (tag & 7) {
        case VARINT:
            if (!read_varint(&at, end, &length))
                return;
            length = 0;
            break;
        case FIXED64:
            length = 8;
            break;
        case FIXED32:
            length = 4;
            break;
        case BYTES:
            if (!read_varint(&at, end, &length))
                return;
            break;
        default:
            return;
        }
        if (length > (uint64_t)(end - at))
            return;
        if ((tag & 7) == BYTES && tag >> 3 == field) {
            *packed = at;
            *packed_size = (uint32_t)length;
        }
        at += length;
    }
}

const void *cn_wire_packed_frame(const void *state, size_t size, uint32_t *packed_size)
{
    const void *packed;
    find_field(state, size, STATE_FRAME_FIELD, &packed, packed_size);
    return packed;
}

cn_status cn_wire_unpack_state(cn_arena *arena, const void *data, size_t size,
                               const cn_plant_info *plant, bool *is_frame, cn_wire_info *info,
                               cn_wire_frame *frame, const void **packed, uint32_t *packed_size,
                               cn_error *err)
{
    *packed = NULL;
    *packed_size = 0;
    const pb_state *m = colonnade__v1__state__unpack(cn_arena_reset(arena), size, data);
    CN_FAIL_IF(!m, CN_ERR_FORMAT, err, "%zu bytes that are not a colonnade.v1.State", size);
    *is_frame = m->body_case == COLONNADE__V1__STATE__BODY_FRAME;
    if (*is_frame) {
        find_field(data, size, STATE_FRAME_FIELD, packed, packed_size);
        return plant ? read_frame(m->frame, plant, frame, err) : CN_OK;
    }
    CN_FAIL_IF(m->body_case != COLONNADE__V1__STATE__BODY_INFO, CN_ERR_FORMAT, err,
               "a State that holds neither an info nor a frame");
    return read_info(m->info, info, err);
}

cn_status cn_wire_unpack_reply(cn_arena *arena, const void *data, size_t size,
                               const cn_plant_info *plant, cn_wire_reply *out, cn_wire_info *info,
                               cn_wire_frame *frame, const void **packed, uint32_t *packed_size,
                               cn_error *err)
{
    *out = (cn_wire_reply){0};
    *packed = NULL;
    *packed_size = 0;
    const pb_reply *m = colonnade__v1__reply__unpack(cn_arena_reset(arena), size, data);
    CN_FAIL_IF(!m, CN_ERR_FORMAT, err, "%zu bytes that are not a colonnade.v1.Reply", size);
    out->id = m->id;
    out->mode = (cn_wire_mode)m->mode;
    copy_text(m->error, out->error, sizeof out->error);
    out->refusal = (unsigned)m->refusal < CN_REFUSALS ? (cn_refusal)m->refusal : CN_REFUSAL_NONE;
    switch (m->body_case) {
    case COLONNADE__V1__REPLY__BODY_INFO:
        out->has_info = true;
        return read_info(m->info, info, err);
    case COLONNADE__V1__REPLY__BODY_FRAME:
        out->has_frame = true;
        find_field(data, size, REPLY_FRAME_FIELD, packed, packed_size);
        return read_frame(m->frame, plant, frame, err);
    case COLONNADE__V1__REPLY__BODY_LEASE:
        out->lease = m->lease;
        return CN_OK;
    default:
        return CN_OK;
    }
}
