/* Messages as plain structs: there and back, and what must not come in. */
#include "bridge/endpoint.h"
#include "bridge/wire.h"
#include "proto/robot.pb-c.h"
#include "tests/bridge/two_joints.h"
#include "tests/test.h"

#include <stdint.h>

static cn_wire_frame some_frame(void)
{
    return (cn_wire_frame){
        .sequence = UINT64_MAX,
        .resets = 3,
        .published_ns = 1000000007,
        .taken_ns = 1000000005,
        .state =
            {
                .time_s = 1.25,
                .joints = 2,
                .position = {0.1, -0.2},
                .velocity = {1e-300, 4},
                .effort = {-5, 6},
                .tracked = 2,
                .point = {{1, 2, 3}, {4, 5, 6}},
            },
        .applied =
            {
                .sequence = 7,
                .answers_frame = 6,
                .valid_for_ns = 5,
                .command = {.mode = CN_COMMAND_VELOCITY, .joints = 2, .target = {0.5, -0.5}},
            },
        .mode = CN_WIRE_ACTIVE,
        .commands_applied = 1,
        .commands_refused = 2,
        .refused = {[CN_REFUSAL_STALE] = 300, [CN_REFUSAL_NOT_FINITE] = 1},
        .deadline_misses = 3,
        .watchdog_stops = 4,
        .last_refusal = "because",
        .holder = "host:1",
        .leases_lapsed = 5,
        .keep_out_stops = 6,
        .kept_from = "tool",
        .last_lapsed = "host:2",
        .period = {2000000, 2100000, 2500000},
        .command_age = {300000, 400000, 500000},
    };
}

typedef struct reader {
    cn_arena *arena;
    bool is_frame;
    cn_wire_info info;
    cn_wire_frame frame;
    cn_wire_reply reply;
    const void *packed;
    uint32_t packed_size;
} reader;

static reader reader_create(size_t arena)
{
    cn_error err = {0};
    reader r = {0};
    CN_ASSERT_OK(cn_arena_create(arena, &r.arena, &err));
    return r;
}

static cn_status read_state(reader *r, const uint8_t *data, size_t size, cn_error *err)
{
    return cn_wire_unpack_state(r->arena, data, size, &two_joints, &r->is_frame, &r->info,
                                &r->frame, &r->packed, &r->packed_size, err);
}

static void test_wire_frame_there_and_back(void)
{
    cn_error err = {0};
    uint8_t out[CN_WIRE_STATE_MAX];
    reader r = reader_create(65536);
    const cn_wire_frame frame = some_frame();
    const size_t size = cn_wire_pack_frame(&frame, &two_joints, out);
    CU_ASSERT_EQUAL(memcmp(out, CN_WIRE_TOPIC_FRAME, 1), 0);
    CN_ASSERT_OK(read_state(&r, out, size, &err));
    CU_ASSERT_TRUE(r.is_frame);
    uint8_t again[CN_WIRE_STATE_MAX];
    CU_ASSERT_EQUAL(cn_wire_pack_frame(&r.frame, &two_joints, again), size);
    CU_ASSERT_EQUAL(memcmp(again, out, size), 0);
    CU_ASSERT_EQUAL(r.frame.state.time_s, 1.25);
    CU_ASSERT_EQUAL(r.frame.state.velocity[0], 1e-300);
    CU_ASSERT_EQUAL(r.frame.state.point[1][2], 6);
    CU_ASSERT_EQUAL(r.frame.applied.command.target[1], -0.5);
    CU_ASSERT_EQUAL(r.frame.sequence, UINT64_MAX);
    CU_ASSERT_EQUAL(r.frame.mode, CN_WIRE_ACTIVE);
    CU_ASSERT_EQUAL(r.frame.watchdog_stops, 4);
    CU_ASSERT_STRING_EQUAL(r.frame.last_refusal, "because");
    CU_ASSERT_EQUAL(memcmp(r.frame.refused, frame.refused, sizeof frame.refused), 0);
    CU_ASSERT_EQUAL(r.frame.period.p50, 2000000);
    CU_ASSERT_EQUAL(r.frame.period.p99, 2100000);
    CU_ASSERT_EQUAL(r.frame.period.max, 2500000);
    CU_ASSERT_EQUAL(r.frame.command_age.p50, 300000);
    CU_ASSERT_EQUAL(r.frame.command_age.p99, 400000);
    CU_ASSERT_EQUAL(r.frame.command_age.max, 500000);
    CU_ASSERT_EQUAL(r.frame.published_ns, 1000000007);
    CU_ASSERT_EQUAL(r.frame.taken_ns, 1000000005);
    CU_ASSERT_STRING_EQUAL(r.frame.holder, "host:1");
    CU_ASSERT_STRING_EQUAL(r.frame.last_lapsed, "host:2");
    CU_ASSERT_EQUAL(r.frame.leases_lapsed, 5);
    CU_ASSERT_EQUAL(r.frame.keep_out_stops, 6);
    CU_ASSERT_STRING_EQUAL(r.frame.kept_from, "tool");
    CU_ASSERT_EQUAL(r.packed_size, size - 3); /* all but tag and a length of two bytes */

    const cn_wire_reply reply = {.id = 300, .mode = CN_WIRE_ACTIVE, .refusal = CN_REFUSAL_ESTOPPED};
    const size_t reply_size = cn_wire_pack_reply(&reply, NULL, &frame, &two_joints, out);
    CN_ASSERT_OK(cn_wire_unpack_reply(r.arena, out, reply_size, &two_joints, &r.reply, &r.info,
                                      &r.frame, &r.packed, &r.packed_size, &err));
    CU_ASSERT_TRUE(r.reply.has_frame);
    CU_ASSERT_EQUAL(r.reply.id, 300);
    CU_ASSERT_EQUAL(r.reply.refusal, CN_REFUSAL_ESTOPPED);
    CU_ASSERT_EQUAL(r.packed_size, size - 3);
    cn_arena_destroy(&r.arena);
    CU_ASSERT_PTR_NULL(r.arena);
}

/* The picture is in the packed frame, and the numbers beside it are the same. */
static void test_wire_frame_with_a_picture(void)
{
    cn_error err = {0};
    static uint8_t rgb[CN_IMAGE_MAX], out[CN_WIRE_STATE_MAX];
    for (int i = 0; i < CN_IMAGE_MAX; i++)
        rgb[i] = (uint8_t)(i * i >> 3);
    reader r = reader_create(65536);
    cn_wire_frame frame = some_frame();
    frame.image = (cn_image){"wrist", 64, 64, rgb};
    const size_t size = cn_wire_pack_frame(&frame, &two_joints, out);
    CN_ASSERT_OK(read_state(&r, out, size, &err));
    CU_ASSERT_EQUAL(r.frame.state.point[1][2], 6);
    CU_ASSERT_PTR_NULL(r.frame.image.rgb);
    Colonnade__V1__SensorFrame *m =
        colonnade__v1__sensor_frame__unpack(NULL, r.packed_size, r.packed);
    CU_ASSERT_FATAL(m && m->n_images == 1);
    CU_ASSERT_STRING_EQUAL(m->images[0]->name, "wrist");
    CU_ASSERT(m->images[0]->width == 64 && m->images[0]->height == 64);
    CU_ASSERT_FATAL(m->images[0]->rgb.len == sizeof rgb);
    CU_ASSERT_EQUAL(memcmp(m->images[0]->rgb.data, rgb, sizeof rgb), 0);
    colonnade__v1__sensor_frame__free_unpacked(m, NULL);
    cn_arena_destroy(&r.arena);
}

static void test_wire_info_there_and_back(void)
{
    cn_error err = {0};
    uint8_t out[CN_WIRE_STATE_MAX];
    reader r = reader_create(65536);
    const cn_wire_info info = {
        .protocol_version = 1,
        .session = UINT64_MAX,
        .plant = two_joints,
        .lockstep = true,
        .request_endpoint = "tcp://0.0.0.0:5556",
    };
    const size_t size = cn_wire_pack_info(&info, out);
    CU_ASSERT_EQUAL(memcmp(out, CN_WIRE_TOPIC_INFO, 1), 0);
    CN_ASSERT_OK(read_state(&r, out, size, &err));
    CU_ASSERT_FALSE(r.is_frame);
    uint8_t again[CN_WIRE_STATE_MAX];
    CU_ASSERT_EQUAL(cn_wire_pack_info(&r.info, again), size);
    CU_ASSERT_EQUAL(memcmp(again, out, size), 0);
    CU_ASSERT_STRING_EQUAL(r.info.plant.joint[1].name, "rail");
    CU_ASSERT_EQUAL(r.info.plant.joint[1].position_low, -INFINITY);
    CU_ASSERT_TRUE(r.info.lockstep);
    cn_arena_destroy(&r.arena);
}

static void test_wire_requests_there_and_back(void)
{
    cn_error err = {0};
    uint8_t out[CN_WIRE_REQUEST_MAX], again[CN_WIRE_REQUEST_MAX];
    reader r = reader_create(65536);
    for (int kind = CN_WIRE_NOTHING; kind <= CN_WIRE_ESTOP; kind++) {
        cn_wire_request request = {.id = 5,
                                   .lease = UINT64_MAX,
                                   .protocol_version = 2,
                                   .kind = (cn_wire_kind)kind},
                        read;
        if (kind == CN_WIRE_COMMAND || kind == CN_WIRE_STEP)
            request.command = some_frame().applied;
        if (kind == CN_WIRE_ACQUIRE || kind == CN_WIRE_ESTOP)
            snprintf(request.text, sizeof request.text, "host:1");
        if (kind == CN_WIRE_ACQUIRE)
            request.time_to_live_ns = -1;
        if (kind == CN_WIRE_RESET) {
            request.seed = 9;
            request.goal_only = true;
        }
        const size_t size = cn_wire_pack_request(&request, out);
        CN_ASSERT_OK(cn_wire_unpack_request(r.arena, out, size, &read, &err));
        CU_ASSERT_EQUAL(read.kind, request.kind);
        CU_ASSERT_EQUAL(read.protocol_version, 2);
        CU_ASSERT_EQUAL(cn_wire_pack_request(&read, again), size);
        CU_ASSERT_EQUAL(memcmp(again, out, size), 0);
        for (size_t cut = 1; cut < size; cut++) /* no part of it is read beyond its end */
            cn_wire_unpack_request(r.arena, out, cut, &read, NULL);
    }
    cn_arena_destroy(&r.arena);
}

/* A frame for another arm, without its points, or with numbers that are none. */
static void test_wire_refuses_frames_that_do_not_fit(void)
{
    cn_error err = {0};
    uint8_t out[CN_WIRE_STATE_MAX];
    reader r = reader_create(65536);
    cn_wire_frame frame = some_frame();
    frame.state.joints = 1;
    size_t size = cn_wire_pack_frame(&frame, &two_joints, out);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "1 values of position for 2 joints",
                    read_state(&r, out, size, &err));
    frame = some_frame();
    frame.state.tracked = 1;
    size = cn_wire_pack_frame(&frame, &two_joints, out);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "tracked point 'cube'", read_state(&r, out, size, &err));
    frame = some_frame();
    frame.state.velocity[1] = NAN;
    size = cn_wire_pack_frame(&frame, &two_joints, out);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "velocity of joint 1 is nan", read_state(&r, out, size, &err));
    frame = some_frame();
    frame.state.point[0][2] = INFINITY;
    size = cn_wire_pack_frame(&frame, &two_joints, out);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "has a coordinate of inf", read_state(&r, out, size, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "neither an info nor a frame", read_state(&r, out, 0, &err));
    cn_arena_destroy(&r.arena);
}

static void test_wire_refuses_more_targets_than_joints_can_be(void)
{
    cn_error err = {0};
    uint8_t out[CN_WIRE_REQUEST_MAX];
    reader r = reader_create(65536);
    double target[CN_MAX_JOINTS + 1] = {0};
    Colonnade__V1__Command command = COLONNADE__V1__COMMAND__INIT;
    Colonnade__V1__Request message = COLONNADE__V1__REQUEST__INIT;
    command.n_target = CN_MAX_JOINTS + 1;
    command.target = target;
    message.id = 77;
    message.body_case = COLONNADE__V1__REQUEST__BODY_COMMAND;
    message.command = &command;
    const size_t size = colonnade__v1__request__pack(&message, out);
    cn_wire_request read;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a command with 33 targets: there can be at most 32",
                    cn_wire_unpack_request(r.arena, out, size, &read, &err));
    CU_ASSERT_EQUAL(read.id, 77);
    cn_arena_destroy(&r.arena);
}

static void test_arena_is_capped_and_aligned(void)
{
    cn_error err = {0};
    reader r = reader_create(256);
    ProtobufCAllocator *allocator = cn_arena_reset(r.arena);
    char *a = allocator->alloc(allocator->allocator_data, 3);
    char *b = allocator->alloc(allocator->allocator_data, 200);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL((uintptr_t)b % _Alignof(max_align_t), 0);
    CU_ASSERT_TRUE(b >= a + 3);
    CU_ASSERT_PTR_NULL(allocator->alloc(allocator->allocator_data, 100));
    CU_ASSERT_PTR_NULL(allocator->alloc(allocator->allocator_data, SIZE_MAX));
    allocator->free(allocator->allocator_data, b);
    cn_arena_reset(r.arena);
    CU_ASSERT_PTR_NOT_NULL(allocator->alloc(allocator->allocator_data, 256));
    cn_arena_destroy(&r.arena);

    uint8_t out[CN_WIRE_STATE_MAX];
    reader small = reader_create(128); /* too little for a frame: an error, and no more */
    const cn_wire_frame frame = some_frame();
    const size_t size = cn_wire_pack_frame(&frame, &two_joints, out);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "are not a colonnade.v1.State",
                    read_state(&small, out, size, &err));
    cn_arena_destroy(&small.arena);
}

static void test_endpoint_of_requests(void)
{
    cn_error err = {0};
    char out[CN_WIRE_ENDPOINT];
    CN_ASSERT_OK(cn_endpoint_of_requests("tcp://arm.lab:5555", "tcp://0.0.0.0:6000", out, &err));
    CU_ASSERT_STRING_EQUAL(out, "tcp://arm.lab:6000");
    CN_ASSERT_OK(cn_endpoint_of_requests("tcp://[::1]:5555", "tcp://[::]:6000", out, &err));
    CU_ASSERT_STRING_EQUAL(out, "tcp://[::1]:6000");
    CN_ASSERT_OK(cn_endpoint_of_requests("ipc:///tmp/a", "ipc:///tmp/a.request", out, &err));
    CU_ASSERT_STRING_EQUAL(out, "ipc:///tmp/a.request");
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "announces ''",
                    cn_endpoint_of_requests("tcp://arm.lab:5555", "", out, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "announces 'ipc:///etc/x'",
                    cn_endpoint_of_requests("tcp://arm.lab:5555", "ipc:///etc/x", out, &err));
    CU_ASSERT_EQUAL(cn_endpoint_port("tcp://arm.lab:5555"), 5555);
}

CN_TEST_MAIN("bridge.wire", T(test_wire_frame_there_and_back), T(test_wire_frame_with_a_picture),
             T(test_wire_info_there_and_back), T(test_wire_requests_there_and_back),
             T(test_wire_refuses_frames_that_do_not_fit),
             T(test_wire_refuses_more_targets_than_joints_can_be),
             T(test_arena_is_capped_and_aligned), T(test_endpoint_of_requests))
