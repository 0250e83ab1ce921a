/* The robot that messages are read for. */
#ifndef CN_TESTS_FUZZ_ROBOT_H
#define CN_TESTS_FUZZ_ROBOT_H

#include <math.h>
#include <string.h>

#include "bridge/wire.h"
#include "tests/bridge/two_joints.h"
#include "tests/fuzz/fuzz.h"

/* An arena of the size that a controller has (bridge/link.c); never freed. */
static inline cn_arena *robot_arena(void)
{
    static cn_arena *arena;
    cn_error err = {0};
    if (!arena)
        FUZZ_CHECK_OK(cn_arena_create((size_t)8 << 20, &arena, &err));
    return arena;
}

static inline void check_text(const char *text, size_t size)
{
    FUZZ_CHECK(memchr(text, '\0', size));
    for (; *text; text++)
        FUZZ_CHECK(*text >= ' ' && *text <= '~');
}

/* What the users of an info rely on, and that it travels. */
static inline void check_info(const cn_wire_info *info)
{
    const cn_plant_info *plant = &info->plant;
    FUZZ_CHECK(plant->joints >= 1 && plant->joints <= CN_MAX_JOINTS);
    FUZZ_CHECK(plant->tracked >= 0 && plant->tracked <= CN_MAX_TRACKED);
    FUZZ_CHECK(plant->control_period_s >= 1e-4 && plant->control_period_s <= 10);
    check_text(plant->arm, sizeof plant->arm);
    check_text(info->request_endpoint, sizeof info->request_endpoint);
    for (int j = 0; j < plant->joints; j++) {
        const cn_arm_joint *joint = &plant->joint[j];
        check_text(joint->name, sizeof joint->name);
        check_text(joint->unit, sizeof joint->unit);
        FUZZ_CHECK(joint->position_low <= joint->position_high);
    }
    for (int i = 0; i < plant->tracked; i++)
        check_text(plant->point[i], sizeof plant->point[i]);

    cn_error err = {0};
    uint8_t out[CN_WIRE_STATE_MAX], again[CN_WIRE_STATE_MAX];
    bool is_frame;
    cn_wire_info read;
    cn_wire_frame frame;
    const void *packed;
    uint32_t packed_size;
    const size_t size = cn_wire_pack_info(info, out);
    FUZZ_CHECK_OK(cn_wire_unpack_state(robot_arena(), out, size, &two_joints, &is_frame, &read,
                                       &frame, &packed, &packed_size, &err));
    FUZZ_CHECK(!is_frame && packed_size == 0);
    FUZZ_CHECK(cn_wire_pack_info(&read, again) == size && memcmp(out, again, size) == 0);
}

static inline void check_vector(const double *values, int count)
{
    for (int i = 0; i < count; i++)
        FUZZ_CHECK(isfinite(values[i]));
}

/* Reads a State that holds a SensorFrame of these bytes, as a log does. */
static inline void read_packed(const void *packed, uint32_t size, cn_wire_frame *out)
{
    static uint8_t state[1 << 20];
    size_t at = 0;
    cn_error err = {0};
    cn_wire_info info;
    bool is_frame;
    FUZZ_CHECK(size < sizeof state - 8);
    state[at++] = (uint8_t)CN_WIRE_TOPIC_FRAME[0];
    for (uint32_t rest = size; at == 1 || rest > 0; rest >>= 7)
        state[at++] = (uint8_t)(rest > 0x7f ? rest | 0x80 : rest);
    memcpy(state + at, packed, size);
    FUZZ_CHECK_OK(cn_wire_unpack_state(robot_arena(), state, at + size, &two_joints, &is_frame,
                                       &info, out, &packed, &size, &err));
    FUZZ_CHECK(is_frame);
}

/* What the users of a frame rely on, and that the bytes that go into a log are the frame. */
static inline void check_frame(const cn_wire_frame *frame, const uint8_t *data, size_t size,
                               const void *packed, uint32_t packed_size)
{
    const cn_arm_state *state = &frame->state;
    FUZZ_CHECK(state->joints == two_joints.joints && state->tracked == two_joints.tracked);
    check_vector(state->position, state->joints);
    check_vector(state->velocity, state->joints);
    check_vector(state->effort, state->joints);
    check_vector(state->point[0], 3 * state->tracked);
    check_text(frame->last_refusal, sizeof frame->last_refusal);

    const uint8_t *from = packed;
    FUZZ_CHECK(from >= data && packed_size <= size && from + packed_size <= data + size);
    uint8_t out[CN_WIRE_STATE_MAX], again[CN_WIRE_STATE_MAX];
    cn_wire_frame logged;
    read_packed(packed, packed_size, &logged);
    const size_t written = cn_wire_pack_frame(frame, &two_joints, out);
    FUZZ_CHECK(cn_wire_pack_frame(&logged, &two_joints, again) == written);
    FUZZ_CHECK(memcmp(out, again, written) == 0);
}

#endif
