/* From our messages to Foxglove's: unpacked into an arena, borrowed from, packed, written. */
#include "bridge/foxglove.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bridge/pictures.h"
#include "bridge/wire.h"
#include "proto/descriptor.h"
#include "proto/foxglove.pb-c.h"
#include "proto/log.pb-c.h"
#include "proto/robot.pb-c.h"

#define ARENA_BYTES                                                                                \
    ((size_t)8 << 20) /* the most that one message may take unpacked, pictures too */
#define PACK_BYTES ((size_t)32 << 10) /* the largest message that we pack */

/* X(name, topic, message) */
#define CHANNEL_TABLE(X)                                                                           \
    X(JOINT_STATES, "/joint_states", "foxglove.JointStates")                                       \
    X(TRANSFORMS, "/tf", "foxglove.FrameTransforms")                                               \
    X(LOG, "/log", "foxglove.Log")
typedef enum shown {
#define CHANNEL_ENUM(name, topic, message) name,
    CHANNEL_TABLE(CHANNEL_ENUM)
#undef CHANNEL_ENUM
        CHANNELS
} shown;

struct cn_foxglove {
    cn_mcap_writer *file;       /* borrowed */
    uint16_t channel[CHANNELS]; /* the file's numbers */
    int joints;
    char joint[CN_MAX_JOINTS][CN_NAME];
    cn_pictures *pictures;
    cn_arena *arena;
    uint8_t *pack; /* [PACK_BYTES] */
};

/* What a message of Foxglove's takes over from the one it is made of. */
typedef struct origin {
    uint32_t sequence;
    uint64_t log_time; /* ns since 1970 */
    Google__Protobuf__Timestamp timestamp;
} origin;

static cn_status put(cn_foxglove *f, shown to, const origin *from, const ProtobufCMessage *message,
                     cn_error *err)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    if (size > PACK_BYTES)
        return CN_OK;
    protobuf_c_message_pack(message, f->pack);
    return cn_mcap_message(f->file, f->channel[to], from->sequence, from->log_time, from->log_time,
                           f->pack, size, err);
}

/* ---- One message of each kind ---- */

static cn_status put_joints(cn_foxglove *f, origin *from, const Colonnade__V1__SensorFrame *frame,
                            cn_error *err)
{
    Foxglove__JointState joint[CN_MAX_JOINTS], *joints[CN_MAX_JOINTS];
    Foxglove__JointStates m = FOXGLOVE__JOINT_STATES__INIT;
    if (f->joints == 0 || frame->n_position != (size_t)f->joints)
        return CN_OK;
    for (size_t j = 0; j < frame->n_position; j++) {
        joints[j] = &joint[j];
        joint[j] = (Foxglove__JointState)FOXGLOVE__JOINT_STATE__INIT;
        joint[j].name = f->joint[j];
        joint[j].has_position_case = FOXGLOVE__JOINT_STATE__HAS_POSITION_POSITION;
        joint[j].position = frame->position[j];
        if (frame->n_velocity == frame->n_position) { /* not every arm measures these */
            joint[j].has_velocity_case = FOXGLOVE__JOINT_STATE__HAS_VELOCITY_VELOCITY;
            joint[j].velocity = frame->velocity[j];
        }
        if (frame->n_effort == frame->n_position) {
            joint[j].has_effort_case = FOXGLOVE__JOINT_STATE__HAS_EFFORT_EFFORT;
            joint[j].effort = frame->effort[j];
        }
    }
    m.timestamp = &from->timestamp;
    m.n_joints = frame->n_position;
    m.joints = joints;
    return put(f, JOINT_STATES, from, &m.base, err);
}

/* The tracked points are the vectors of three values. They have a place and no direction. */
static cn_status put_points(cn_foxglove *f, origin *from, const Colonnade__V1__SensorFrame *frame,
                            cn_error *err)
{
    Foxglove__FrameTransform transform[CN_MAX_TRACKED], *transforms[CN_MAX_TRACKED];
    Foxglove__Vector3 place[CN_MAX_TRACKED];
    Foxglove__Quaternion upright = FOXGLOVE__QUATERNION__INIT;
    Foxglove__FrameTransforms m = FOXGLOVE__FRAME_TRANSFORMS__INIT;
    upright.w = 1;
    for (size_t i = 0; i < frame->n_vectors && m.n_transforms < CN_MAX_TRACKED; i++) {
        const Colonnade__V1__NamedVector *const vector = frame->vectors[i];
        const size_t k = m.n_transforms;
        if (vector->n_value != 3)
            continue;
        place[k] = (Foxglove__Vector3)FOXGLOVE__VECTOR3__INIT;
        place[k].x = vector->value[0];
        place[k].y = vector->value[1];
        place[k].z = vector->value[2];
        transform[k] = (Foxglove__FrameTransform)FOXGLOVE__FRAME_TRANSFORM__INIT;
        transform[k].timestamp = &from->timestamp;
        transform[k].parent_frame_id = "world";
        transform[k].child_frame_id = vector->name;
        transform[k].translation = &place[k];
        transform[k].rotation = &upright;
        transforms[m.n_transforms++] = &transform[k];
    }
    m.transforms = transforms;
    return m.n_transforms ? put(f, TRANSFORMS, from, &m.base, err) : CN_OK;
}

static cn_status put_event(cn_foxglove *f, origin *from, const Colonnade__V1__Event *event,
                           cn_error *err)
{
    Foxglove__Log m = FOXGLOVE__LOG__INIT;
    m.timestamp = &from->timestamp;
    m.level = strcmp(event->kind, "dropped") == 0 ? FOXGLOVE__LOG__LEVEL__WARNING
                                                  : FOXGLOVE__LOG__LEVEL__INFO;
    m.name = event->kind;
    m.message = event->text;
    return put(f, LOG, from, &m.base, err);
}

/* *all: each of them could be written. */
static cn_status put_pictures(cn_foxglove *f, const origin *from,
                              const Colonnade__V1__SensorFrame *frame, bool *all, cn_error *err)
{
    *all = true;
    for (size_t i = 0; i < frame->n_images; i++) {
        const Colonnade__V1__Image *const image = frame->images[i];
        const cn_picture picture = {
            .camera = image->name,
            .width = image->width,
            .height = image->height,
            .rgb = image->rgb.data,
            .size = image->rgb.len,
        };
        bool written;
        CN_TRY(cn_pictures_put(f->pictures, from->log_time, &picture, &written, err));
        *all = *all && written;
    }
    return CN_OK;
}

static cn_status add_frame(cn_foxglove *f, origin *from, Colonnade__V1__SensorFrame *frame,
                           const void **packed, size_t *size, cn_error *err)
{
    bool all;
    CN_TRY(put_joints(f, from, frame, err));
    CN_TRY(put_points(f, from, frame, err));
    CN_TRY(put_pictures(f, from, frame, &all, err));
    if (frame->n_images == 0 || !all)
        return CN_OK;
    frame->n_images = 0;
    const size_t left = colonnade__v1__sensor_frame__get_packed_size(frame);
    if (left > PACK_BYTES)
        return CN_OK;
    colonnade__v1__sensor_frame__pack(frame, f->pack);
    *packed = f->pack;
    *size = left;
    return CN_OK;
}

cn_status cn_foxglove_add(cn_foxglove *f, cn_log_channel channel, uint32_t sequence,
                          uint64_t log_time, const void **packed, size_t *size, cn_error *err)
{
    origin from = {sequence, log_time, GOOGLE__PROTOBUF__TIMESTAMP__INIT};
    from.timestamp.seconds = (int64_t)(log_time / (uint64_t)CN_NS_PER_S);
    from.timestamp.nanos = (int32_t)(log_time % (uint64_t)CN_NS_PER_S);
    ProtobufCAllocator *const memory = cn_arena_reset(f->arena);
    if (channel == CN_LOG_SENSORS) {
        Colonnade__V1__SensorFrame *const frame =
            colonnade__v1__sensor_frame__unpack(memory, *size, *packed);
        return frame ? add_frame(f, &from, frame, packed, size, err) : CN_OK;
    }
    if (channel == CN_LOG_EVENTS) {
        const Colonnade__V1__Event *const event =
            colonnade__v1__event__unpack(memory, *size, *packed);
        return event ? put_event(f, &from, event, err) : CN_OK;
    }
    return CN_OK;
}

/* ---- Life ---- */

static cn_status put_channels(cn_foxglove *f, cn_error *err)
{
    static const struct {
        const char *topic, *message;
    } table[] = {
#define CHANNEL_ROW(name, topic, message) {topic, message},
        CHANNEL_TABLE(CHANNEL_ROW)
#undef CHANNEL_ROW
    };
    for (int i = 0; i < CHANNELS; i++) {
        uint16_t schema;
        CN_TRY(cn_mcap_schema(f->file, table[i].message, cn_foxglove_descriptor_set,
                              cn_foxglove_descriptor_set_size, &schema, err));
        CN_TRY(cn_mcap_channel(f->file, schema, table[i].topic, &f->channel[i], err));
    }
    return CN_OK;
}

cn_status cn_foxglove_create(cn_mcap_writer *file, const cn_log_about *about, cn_foxglove **out,
                             cn_error *err)
{
    *out = NULL;
    assert(about->joints >= 0 && about->joints <= CN_MAX_JOINTS);
    cn_status status = CN_OK;
    cn_foxglove *f = calloc(1, sizeof *f);
    CN_FAIL_IF(!f, CN_ERR_MEMORY, err, "no memory for what Foxglove is shown");
    f->file = file;
    f->joints = about->joints;
    for (int j = 0; j < about->joints; j++)
        snprintf(f->joint[j], sizeof f->joint[j], "%s", about->joint[j].name);
    f->pack = malloc(PACK_BYTES);
    if (!f->pack)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for what Foxglove is shown");
    CN_TRY_CLEANUP(cn_arena_create(ARENA_BYTES, &f->arena, err));
    CN_TRY_CLEANUP(cn_pictures_create(file, &f->pictures, err));
    CN_TRY_CLEANUP(put_channels(f, err));
    *out = f;
    f = NULL;
cleanup:
    cn_foxglove_destroy(&f);
    return status;
}

void cn_foxglove_destroy(cn_foxglove **foxglove)
{
    cn_foxglove *const f = *foxglove;
    if (!f)
        return;
    cn_pictures_destroy(&f->pictures);
    cn_arena_destroy(&f->arena);
    free(f->pack);
    free(f);
    *foxglove = NULL;
}
