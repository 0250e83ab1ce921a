/* What Foxglove is shown: made of frames and events, and of nothing else. That Foxglove's own
 * classes decode it is test_mcap_readers.py's matter. */
#include <unistd.h>

#include "base/clock.h"
#include "bridge/foxglove.h"
#include "bridge/log.h"
#include "bridge/mcap.h"
#include "proto/foxglove.pb-c.h"
#include "proto/log.pb-c.h"
#include "proto/robot.pb-c.h"
#include "tests/folder.h"

#define JOINTS 2

static cn_error err;
static char path[] = "/tmp/cn-test-foxglove-XXXXXX";
static const cn_arm_joint joint[JOINTS] = {{.name = "elbow", .unit = "rad"},
                                           {.name = "slide", .unit = "m"}};
static const cn_log_about about = {
    .task = "reach",
    .task_file = "",
    .arm = "ours",
    .policy_file = "",
    .policy_checksum = "",
    .robot = "",
    .control_period_s = 0.05,
    .joints = JOINTS,
    .joint = joint,
};

static cn_log *begin_log(const cn_log_about *what)
{
    cn_log *log = NULL;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    CN_ASSERT_OK(cn_log_create(path, what, &log, &err));
    return log;
}

/* A frame with positions (i, 0), velocities (0, -i) if `measured`, efforts (2 i, 1) if `measured`,
 * and the vectors "tool" (i, 2, 3), "touch" of two values and "target" (0, 0, i). */
static void put_frame(cn_log *log, int i, size_t joints, bool measured)
{
    double position[JOINTS + 1] = {i, 0}, velocity[JOINTS + 1] = {0, -i},
                             effort[JOINTS + 1] = {2.0 * i, 1};
    double value[3][3] = {{i, 2, 3}, {7, 7}, {0, 0, i}};
    static char *const names[] = {"tool", "touch", "target"};
    Colonnade__V1__NamedVector vector[3], *vectors[3];
    for (int k = 0; k < 3; k++) {
        vectors[k] = &vector[k];
        vector[k] = (Colonnade__V1__NamedVector)COLONNADE__V1__NAMED_VECTOR__INIT;
        vector[k].name = names[k];
        vector[k].n_value = k == 1 ? 2 : 3;
        vector[k].value = value[k];
    }
    Colonnade__V1__SensorFrame m = COLONNADE__V1__SENSOR_FRAME__INIT;
    m.sequence = 100 + (uint64_t)i;
    m.n_position = joints;
    m.n_velocity = m.n_effort = measured ? joints : 0;
    m.position = position;
    m.velocity = velocity;
    m.effort = effort;
    m.n_vectors = 3;
    m.vectors = vectors;
    uint8_t bytes[1024];
    const size_t size = colonnade__v1__sensor_frame__pack(&m, bytes);
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, (uint32_t)m.sequence, bytes, (uint32_t)size));
}

/* The next message on a topic, which must be there; it carries the times of the one before it in
 * the file, from which it was made. */
static cn_mcap_record next_on(cn_mcap_reader *reader, const char *topic, uint32_t sequence)
{
    cn_mcap_record r;
    do
        CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    while (strcmp(r.topic, topic) != 0);
    CU_ASSERT_EQUAL(r.sequence, sequence);
    CU_ASSERT_EQUAL(r.log_time, r.publish_time);
    return r;
}

static int messages_on(const char *topic)
{
    cn_mcap_reader *reader;
    cn_mcap_record r;
    int count = 0;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    while (cn_mcap_next(reader, &r, &err) == CN_OK)
        count += strcmp(r.topic, topic) == 0;
    CU_ASSERT_EQUAL(err.code, CN_ERR_NOT_FOUND);
    cn_mcap_close(&reader);
    return count;
}

static void check_time(const Google__Protobuf__Timestamp *t, const cn_mcap_record *r)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT(t->nanos >= 0 && t->nanos < CN_NS_PER_S);
    CU_ASSERT_EQUAL((uint64_t)t->seconds * (uint64_t)CN_NS_PER_S + (uint64_t)t->nanos, r->log_time);
}

/* Every joint by its name with what was measured, a zero included, and nothing that was not. */
static void check_joints(const cn_mcap_record *r, int i, bool measured)
{
    CU_ASSERT_STRING_EQUAL(r->schema, "foxglove.JointStates");
    Foxglove__JointStates *const m = foxglove__joint_states__unpack(NULL, r->size, r->data);
    CU_ASSERT_FATAL(m && m->n_joints == JOINTS);
    check_time(m->timestamp, r);
    for (int j = 0; j < JOINTS; j++) {
        const Foxglove__JointState *const s = m->joints[j];
        CU_ASSERT_STRING_EQUAL(s->name, joint[j].name);
        CU_ASSERT(s->has_position_case == FOXGLOVE__JOINT_STATE__HAS_POSITION_POSITION &&
                  s->position == (j ? 0 : i));
        CU_ASSERT_EQUAL(s->has_velocity_case == FOXGLOVE__JOINT_STATE__HAS_VELOCITY_VELOCITY,
                        measured);
        CU_ASSERT_EQUAL(s->has_effort_case == FOXGLOVE__JOINT_STATE__HAS_EFFORT_EFFORT, measured);
        CU_ASSERT(!measured || (s->velocity == (j ? -i : 0) && s->effort == (j ? 1 : 2 * i)));
        CU_ASSERT_EQUAL(s->has_acceleration_case, 0);
    }
    foxglove__joint_states__free_unpacked(m, NULL);
}

/* Vectors of three values are places in the world; others are none. */
static void check_points(const cn_mcap_record *r, int i)
{
    static const char *const names[] = {"tool", "target"};
    const double place[2][3] = {{i, 2, 3}, {0, 0, i}};
    CU_ASSERT_STRING_EQUAL(r->schema, "foxglove.FrameTransforms");
    Foxglove__FrameTransforms *const m = foxglove__frame_transforms__unpack(NULL, r->size, r->data);
    CU_ASSERT_FATAL(m && m->n_transforms == 2);
    for (int k = 0; k < 2; k++) {
        const Foxglove__FrameTransform *const t = m->transforms[k];
        check_time(t->timestamp, r);
        CU_ASSERT_STRING_EQUAL(t->parent_frame_id, "world");
        CU_ASSERT_STRING_EQUAL(t->child_frame_id, names[k]);
        CU_ASSERT(t->translation->x == place[k][0] && t->translation->y == place[k][1] &&
                  t->translation->z == place[k][2]);
        CU_ASSERT(t->rotation->x == 0 && t->rotation->y == 0 && t->rotation->z == 0 &&
                  t->rotation->w == 1);
    }
    foxglove__frame_transforms__free_unpacked(m, NULL);
}

static void check_event(const cn_mcap_record *r, const char *kind, const char *text, int level)
{
    CU_ASSERT_STRING_EQUAL(r->schema, "foxglove.Log");
    Foxglove__Log *const m = foxglove__log__unpack(NULL, r->size, r->data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    check_time(m->timestamp, r);
    CU_ASSERT_STRING_EQUAL(m->name, kind);
    CU_ASSERT_STRING_EQUAL(m->message, text);
    CU_ASSERT_EQUAL((int)m->level, level);
    foxglove__log__free_unpacked(m, NULL);
}

static void test_foxglove_is_shown_frames_and_events(void)
{
    cn_log *log = begin_log(&about);
    put_frame(log, 5, JOINTS, true);
    put_frame(log, 6, JOINTS, false);
    cn_log_event(log, "goal", "seed 3");
    cn_log_event(log, "dropped", "some");
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    cn_mcap_reader *reader;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    for (int i = 5; i < 7; i++) {
        cn_mcap_record r = next_on(reader, "/joint_states", 100 + (uint32_t)i);
        const uint64_t log_time = r.log_time;
        check_joints(&r, i, i == 5);
        r = next_on(reader, "/tf", 100 + (uint32_t)i);
        CU_ASSERT_EQUAL(r.log_time, log_time);
        check_points(&r, i);
        r = next_on(reader, "/robot/sensors", 100 + (uint32_t)i);
        CU_ASSERT_EQUAL(r.log_time, log_time);
    }
    cn_mcap_record r = next_on(reader, "/log", 0);
    check_event(&r, "goal", "seed 3", FOXGLOVE__LOG__LEVEL__INFO);
    r = next_on(reader, "/log", 1);
    check_event(&r, "dropped", "some", FOXGLOVE__LOG__LEVEL__WARNING);
    next_on(reader, "/events", 1);
    CU_ASSERT_EQUAL(cn_mcap_next(reader, &r, &err), CN_ERR_NOT_FOUND);
    cn_mcap_close(&reader);
    remove(path);
}

/* What does not decode, contradicts the joints or is too large is in the log, and is not shown. */
static void test_foxglove_is_not_shown_what_does_not_fit(void)
{
    static char text[100 << 10];
    memset(text, 'x', sizeof text - 1);
    cn_log *log = begin_log(&about);
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, 1, "\xff\xff", 2));
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_EVENTS, 1, "\xff\xff", 2));
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_COMMANDS, 1, "\xff\xff", 2));
    put_frame(log, 2, JOINTS + 1, true);
    cn_log_event(log, "long", text);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CU_ASSERT_EQUAL(messages_on("/robot/sensors"), 2);
    CU_ASSERT_EQUAL(messages_on("/robot/commands"), 1);
    CU_ASSERT_EQUAL(messages_on("/events"), 2);
    CU_ASSERT_EQUAL(messages_on("/joint_states"), 0);
    CU_ASSERT_EQUAL(messages_on("/tf"), 1); /* the points of the frame with a joint too many */
    CU_ASSERT_EQUAL(messages_on("/log"), 0);
    remove(path);
}

static void test_foxglove_needs_names_for_joints(void)
{
    cn_log_about nameless = about;
    nameless.joints = 0;
    cn_log *log = begin_log(&nameless);
    put_frame(log, 1, JOINTS, true);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CU_ASSERT_EQUAL(messages_on("/robot/sensors"), 1);
    CU_ASSERT_EQUAL(messages_on("/joint_states"), 0);
    CU_ASSERT_EQUAL(messages_on("/tf"), 1);
    remove(path);
}

/* A disk that fails fails here as well. */
static void test_foxglove_passes_on_failures(void)
{
    cn_mcap_writer *file = NULL;
    cn_foxglove *foxglove = NULL;
    uint8_t bytes[64];
    Colonnade__V1__Event event = COLONNADE__V1__EVENT__INIT;
    event.kind = event.text = "a";
    size_t size = colonnade__v1__event__pack(&event, bytes);
    const void *packed = bytes;
    CN_ASSERT_OK(cn_mcap_create("/dev/full", CN_MCAP_ZSTD, 1 << 20, &file, &err));
    CN_ASSERT_OK(cn_foxglove_create(file, &about, &foxglove, &err));
    CN_ASSERT_OK(cn_foxglove_add(foxglove, CN_LOG_EVENTS, 0, 1, &packed, &size, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full", cn_mcap_flush(file, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full",
                    cn_foxglove_add(foxglove, CN_LOG_EVENTS, 0, 1, &packed, &size, &err));
    cn_foxglove_destroy(&foxglove);
    CU_ASSERT_PTR_NULL(foxglove);
    cn_foxglove_destroy(&foxglove);
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full", cn_foxglove_create(file, &about, &foxglove, &err));
    CU_ASSERT_PTR_NULL(foxglove);
    CU_ASSERT_EQUAL(cn_mcap_finish(&file, &err), CN_ERR_IO);
}

/* A log for test_mcap_readers.py, at $CN_SAMPLE/foxglove.mcap if that is set. */
static void test_foxglove_sample(void)
{
    cn_log *log = begin_log(&about);
    for (int i = 0; i < 100; i++)
        put_frame(log, i, JOINTS, i % 2 == 0);
    cn_log_event(log, "goal", "seed 3");
    CU_ASSERT_EQUAL(cn_log_dropped(log), 0);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    file_sample(path, "foxglove.mcap");
}

CN_TEST_MAIN("bridge.foxglove", T(test_foxglove_is_shown_frames_and_events),
             T(test_foxglove_is_not_shown_what_does_not_fit),
             T(test_foxglove_needs_names_for_joints), T(test_foxglove_passes_on_failures),
             T(test_foxglove_sample))
