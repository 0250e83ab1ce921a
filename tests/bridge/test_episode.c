/* Episodes: a log comes back as it was put, and a log that is none, that contradicts itself or that
 * holds noise is refused with the reason. */
#include <unistd.h>

#include "bridge/episode.h"
#include "bridge/log.h"
#include "bridge/mcap.h"
#include "proto/log.pb-c.h"
#include "proto/robot.pb-c.h"
#include "tests/folder.h"

#define JOINTS 2

static cn_error err;
static char path[] = "/tmp/cn-test-episode-XXXXXX";

static const cn_log_about about = {
    .task = "reach",
    .task_file = "scenes/reach.yaml",
    .arm = "jaco",
    .policy_file = "reach.safetensors",
    .policy_checksum = "0123456789abcdef",
    .robot = "ipc:///tmp/arm",
    .control_period_s = 0.05,
};

static cn_log *begin_log(void)
{
    cn_log *log = NULL;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    CN_ASSERT_OK(cn_log_create(path, &about, &log, &err));
    return log;
}

static void end_log(cn_log *log)
{
    CN_ASSERT_OK(cn_log_finish(&log, &err));
}

/* A frame with `joints` positions i + j/10, as many velocities and efforts, one point at (i, 1, 2)
 * and a touch vector of two values. @return its size */
static size_t pack_frame(int i, size_t joints, size_t velocities, uint8_t bytes[2048])
{
    double position[64], rate[64], point[3] = {i, 1, 2}, touch[2] = {7, 7};
    for (int j = 0; j < 64; j++) {
        position[j] = i + j / 10.0;
        rate[j] = -i;
    }
    Colonnade__V1__NamedVector vector[2] = {COLONNADE__V1__NAMED_VECTOR__INIT,
                                            COLONNADE__V1__NAMED_VECTOR__INIT};
    Colonnade__V1__NamedVector *vectors[] = {&vector[0], &vector[1]};
    vector[0].name = "touch";
    vector[0].n_value = 2;
    vector[0].value = touch;
    vector[1].name = "target";
    vector[1].n_value = 3;
    vector[1].value = point;
    Colonnade__V1__SensorFrame m = COLONNADE__V1__SENSOR_FRAME__INIT;
    m.sequence = 100 + (uint64_t)i;
    m.robot_time_ns = i * INT64_C(50000000);
    m.n_position = joints;
    m.position = position;
    m.n_velocity = m.n_effort = velocities;
    m.velocity = m.effort = rate;
    m.n_vectors = 2;
    m.vectors = vectors;
    m.resets = 3;
    return colonnade__v1__sensor_frame__pack(&m, bytes);
}

static size_t pack_command(int i, int mode, size_t targets, uint8_t bytes[2048])
{
    double target[64] = {i, -i};
    Colonnade__V1__Command m = COLONNADE__V1__COMMAND__INIT;
    m.sequence = 1 + (uint64_t)i;
    m.answers_frame = 100 + (uint64_t)i;
    m.mode = (Colonnade__V1__CommandMode)mode;
    m.n_target = targets;
    m.target = target;
    return colonnade__v1__command__pack(&m, bytes);
}

static void put_frame(cn_log *log, int i, size_t joints, size_t velocities)
{
    uint8_t bytes[2048];
    const size_t size = pack_frame(i, joints, velocities, bytes);
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, (uint32_t)i, bytes, (uint32_t)size));
}

static void put_command(cn_log *log, int i, int mode, size_t targets)
{
    uint8_t bytes[2048];
    const size_t size = pack_command(i, mode, targets, bytes);
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_COMMANDS, (uint32_t)i, bytes, (uint32_t)size));
}

static void put_step(cn_log *log, int i, int observations, int actions)
{
    const float observation[4] = {(float)i, 2, 3, 4}, action[4] = {-(float)i, 6};
    const cn_log_step step = {
        .tick = (uint64_t)i,
        .frame = 100 + (uint64_t)i,
        .command = 1 + (uint64_t)i,
        .observation = observation,
        .observation_size = observations,
        .action = action,
        .action_size = actions,
        .latency_ns = 99,
        .reward = -1,
        .success = i == 2,
    };
    CU_ASSERT_TRUE(cn_log_policy_step(log, &step));
}

static void put_ticks(cn_log *log, int count)
{
    for (int i = 0; i < count; i++) {
        put_frame(log, i, JOINTS, JOINTS);
        put_command(log, i, CN_COMMAND_VELOCITY, JOINTS);
        put_step(log, i, 3, 2);
    }
}

static void test_episode_is_what_was_logged(void)
{
    enum { TICKS = 300 }; /* more than the arrays first have room for */
    cn_log *log = begin_log();
    put_ticks(log, TICKS);
    cn_log_event(log, "end", "time");
    end_log(log);
    cn_episode *e;
    CN_ASSERT_OK(cn_episode_load(path, &e, &err));
    CU_ASSERT_STRING_EQUAL(e->task, "reach");
    CU_ASSERT_STRING_EQUAL(e->arm, "jaco");
    CU_ASSERT_STRING_EQUAL(e->task_file, "scenes/reach.yaml");
    CU_ASSERT_STRING_EQUAL(e->policy_file, "reach.safetensors");
    CU_ASSERT_STRING_EQUAL(e->policy_checksum, "0123456789abcdef");
    CU_ASSERT_STRING_EQUAL(e->robot, "ipc:///tmp/arm");
    CU_ASSERT_EQUAL(e->control_period_s, 0.05);
    /* Of the points in every frame, and of the event, Foxglove is shown one more. */
    CU_ASSERT_EQUAL(e->messages, 4 * TICKS + 2);
    CU_ASSERT_FALSE(e->truncated);
    CU_ASSERT_FATAL(e->frames == TICKS && e->commands == TICKS && e->steps == TICKS);
    CU_ASSERT_EQUAL_FATAL(e->events, 1);
    CU_ASSERT_STRING_EQUAL(e->event[0].kind, "end");
    CU_ASSERT_STRING_EQUAL(e->event[0].text, "time");
    CU_ASSERT(e->event[0].log_time_ns >= e->frame[0].log_time_ns);
    CU_ASSERT_STRING_EQUAL(e->point[0], "target");
    CU_ASSERT(e->observation_size == 3 && e->action_size == 2);
    for (int i = 0; i < TICKS; i++) {
        const cn_episode_frame *f = &e->frame[i];
        CU_ASSERT(f->sequence == 100 + (uint64_t)i && f->resets == 3);
        CU_ASSERT_DOUBLE_EQUAL(f->state.time_s, i * 0.05, 1e-9);
        CU_ASSERT(f->state.joints == JOINTS && f->state.position[1] == i + 0.1);
        CU_ASSERT(f->state.velocity[0] == -i && f->state.effort[1] == -i);
        CU_ASSERT(f->state.tracked == 1 && f->state.point[0][0] == i && f->state.point[0][2] == 2);
        const cn_episode_command *c = &e->command[i];
        CU_ASSERT(c->sequence == 1 + (uint64_t)i && c->answers_frame == f->sequence);
        CU_ASSERT(c->command.mode == CN_COMMAND_VELOCITY && c->command.joints == JOINTS);
        CU_ASSERT(c->command.target[0] == i && c->command.target[1] == -i);
        CU_ASSERT(c->log_time_ns >= f->log_time_ns);
        const cn_episode_step *s = &e->step[i];
        CU_ASSERT(s->tick == (uint64_t)i && s->frame == f->sequence && s->command == c->sequence);
        CU_ASSERT(s->observation[0] == (float)i && s->observation[2] == 3);
        CU_ASSERT(s->action[0] == -(float)i && s->action[1] == 6);
        CU_ASSERT(s->latency_ns == 99 && s->reward == -1 && s->success == (i == 2));
    }
    cn_episode_destroy(&e);
    CU_ASSERT_PTR_NULL(e);
    cn_episode_destroy(&e);
    remove(path);
}

/* An arm that measures positions only, and a log without any policy. */
static void test_episode_may_lack_what_is_optional(void)
{
    cn_log *log = begin_log();
    put_frame(log, 5, JOINTS, 0);
    put_command(log, 0, CN_COMMAND_NONE, 0);
    end_log(log);
    cn_episode *e;
    CN_ASSERT_OK(cn_episode_load(path, &e, &err));
    CU_ASSERT(e->frames == 1 && e->frame[0].state.velocity[0] == 0);
    CU_ASSERT(e->commands == 1 && e->command[0].command.joints == 0);
    CU_ASSERT(e->steps == 0 && e->observation_size == 0 && e->action_size == 0);
    cn_episode_destroy(&e);
    remove(path);
}

static void test_episode_of_a_cut_log(void)
{
    cn_log *log = begin_log();
    put_ticks(log, 10);
    end_log(log);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_FATAL(f && fseek(f, 0, SEEK_END) == 0);
    const long size = ftell(f);
    fclose(f);
    CU_ASSERT_EQUAL_FATAL(truncate(path, size - 4), 0);
    cn_episode *e;
    CN_ASSERT_OK(cn_episode_load(path, &e, &err));
    CU_ASSERT(e->truncated && e->frames == 10 && e->steps == 10);
    cn_episode_destroy(&e);
    CU_ASSERT_EQUAL_FATAL(truncate(path, 20), 0);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "cut off where it began", cn_episode_load(path, &e, &err));
    CU_ASSERT_PTR_NULL(e);
    remove(path);
}

static void expect_refused(cn_log *log, const char *words)
{
    cn_episode *e;
    end_log(log);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, words, cn_episode_load(path, &e, &err));
    CU_ASSERT_PTR_NULL(e);
    remove(path);
}

static void test_episode_refuses_contradictions(void)
{
    cn_log *log = begin_log();
    put_frame(log, 0, CN_MAX_JOINTS + 1, 0);
    expect_refused(log, "33 joint positions, expected 1 to 32");
    log = begin_log();
    put_frame(log, 0, 0, 0);
    expect_refused(log, "0 joint positions");
    log = begin_log();
    put_frame(log, 0, 2, 2);
    put_frame(log, 1, 3, 3);
    expect_refused(log, "3 joint positions, the ones before it have 2");
    log = begin_log();
    put_frame(log, 0, 2, 1);
    expect_refused(log, "1 values of velocity for 2 joints");
    log = begin_log();
    put_frame(log, 0, 2, 2);
    put_command(log, 0, CN_COMMAND_POSITION, 3);
    expect_refused(log, "3 joint targets, the ones before it have 2");
    log = begin_log();
    put_command(log, 0, CN_COMMAND_POSITION, 0);
    expect_refused(log, "0 joint targets");
    log = begin_log();
    put_command(log, 0, 9, 2);
    expect_refused(log, "mode 9");
    log = begin_log();
    put_step(log, 0, 3, 2);
    put_step(log, 1, 4, 2);
    expect_refused(log, "4 observations, the ones before it have 3");
    log = begin_log();
    put_step(log, 0, 3, 2);
    put_step(log, 1, 3, 1);
    expect_refused(log, "1 actions, the ones before it have 2");
}

static void test_episode_refuses_what_does_not_decode(void)
{
    static const struct {
        cn_log_channel channel;
        const char *words;
    } channels[] = {{CN_LOG_SENSORS, "SensorFrame"},
                    {CN_LOG_COMMANDS, "Command"},
                    {CN_LOG_POLICY, "PolicyStep"},
                    {CN_LOG_EVENTS, "Event"}};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        cn_log *log = begin_log();
        CU_ASSERT_TRUE(cn_log_put(log, channels[i].channel, 0, "\xff\xff\xff", 3));
        expect_refused(log, channels[i].words);
    }
}

/* Writes one message to a file without compression or checks between us and the decoder. */
static void write_file(const char *name, const char *topic, const void *bytes, size_t size)
{
    static const char *const keys[] = {
        "task", "task_file", "arm", "robot", "policy_checksum", "policy_file", "control_period_s"};
    static const char *const values[] = {"reach", "", "jaco", "", "", "", "0.05"};
    cn_mcap_writer *w;
    uint16_t id;
    CN_ASSERT_OK(cn_mcap_create(path, CN_MCAP_NONE, 4096, &w, &err));
    CN_ASSERT_OK(cn_mcap_metadata(w, name, keys, values, 7, &err));
    CN_ASSERT_OK(cn_mcap_schema(w, "colonnade.v1.SensorFrame", "", 0, &id, &err));
    CN_ASSERT_OK(cn_mcap_channel(w, id, topic, &id, &err));
    CN_ASSERT_OK(cn_mcap_message(w, id, 0, 0, 0, bytes, size, &err));
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
}

static void test_episode_is_a_log_of_ours(void)
{
    cn_episode *e;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/tmp/no/such.mcap",
                    cn_episode_load("/tmp/no/such.mcap", &e, &err));
    end_log(begin_log());
    write_file("other", "/robot/sensors", "", 0);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "not a log of Colonnade's", cn_episode_load(path, &e, &err));
    write_file("colonnade", "/robot/commands", "", 0);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "expected colonnade.v1.Command",
                    cn_episode_load(path, &e, &err));
    write_file("colonnade", "/camera", "\xff", 1);
    CN_ASSERT_OK(cn_episode_load(path, &e, &err));
    CU_ASSERT(e->messages == 1 && e->frames == 0);
    cn_episode_destroy(&e);
    remove(path);
}

/* A frame with bytes overwritten at random is loaded or refused, and nothing else. */
static void test_episode_survives_noise(void)
{
    uint8_t frame[2048];
    const size_t size = pack_frame(1, JOINTS, JOINTS, frame);
    uint32_t random = 1;
    int refused = 0;
    end_log(begin_log());
    for (int round = 0; round < 300; round++) {
        uint8_t bytes[2048];
        memcpy(bytes, frame, size);
        for (int n = 0; n < 3; n++) {
            random = random * 1664525u + 1013904223u;
            bytes[(random >> 8) % size] = (uint8_t)(random >> 24);
        }
        write_file("colonnade", "/robot/sensors", bytes, size);
        cn_episode *e;
        const cn_status status = cn_episode_load(path, &e, &err);
        CU_ASSERT(status == CN_OK || status == CN_ERR_FORMAT);
        refused += status != CN_OK;
        cn_episode_destroy(&e);
    }
    CU_ASSERT(refused > 0 && refused < 300);
    remove(path);
}

static void test_episode_trim_keeps_an_interval(void)
{
    enum { N = 10 };
    const uint64_t second = 1000000000;
    cn_episode_frame frame[N] = {0};
    cn_episode_command command[N] = {0};
    cn_episode_step step[N] = {0};
    cn_episode_event event[2] = {{.log_time_ns = 100 * second - 1, .kind = "goal"},
                                 {.log_time_ns = 104 * second, .kind = "end"}};
    for (uint64_t i = 0; i < N; i++) {
        frame[i] = (cn_episode_frame){.log_time_ns = 100 * second + i * second, .sequence = i};
        command[i] = (cn_episode_command){.log_time_ns = frame[i].log_time_ns + 1, .sequence = i};
        step[i] = (cn_episode_step){.log_time_ns = frame[i].log_time_ns + 1, .tick = i};
    }
    cn_episode e = {.frames = N, .commands = N, .steps = N, .events = 2};
    e.frame = frame;
    e.command = command;
    e.step = step;
    e.event = event;
    cn_episode_trim(&e, 0, INFINITY);
    CU_ASSERT_EQUAL(e.frames, N);
    CU_ASSERT_EQUAL(e.events, 2); /* what came before the first frame as well */
    cn_episode_trim(&e, 2.5, 3);
    CU_ASSERT_EQUAL_FATAL(e.frames, 3);
    CU_ASSERT_EQUAL(e.frame[0].sequence, 3);
    CU_ASSERT_EQUAL(e.frame[2].sequence, 5);
    CU_ASSERT_EQUAL(e.commands, 3);
    CU_ASSERT_EQUAL(e.command[0].sequence, 3);
    CU_ASSERT_EQUAL(e.steps, 3);
    CU_ASSERT_EQUAL(e.step[2].tick, 5);
    CU_ASSERT_EQUAL_FATAL(e.events, 1);
    CU_ASSERT_STRING_EQUAL(e.event[0].kind, "end");
    cn_episode_trim(&e, 18446744073.0, INFINITY); /* past the end of a 64-bit clock */
    CU_ASSERT_EQUAL(e.frames, 0);
    cn_episode_trim(&e, 0, 1); /* nothing is left to keep */
    CU_ASSERT_EQUAL(e.frames, 0);
}

/* A log of several chunks for test_mcap_readers.py, at $CN_SAMPLE/log.mcap if that is set. */
static void test_episode_sample(void)
{
    cn_log *log = begin_log();
    put_ticks(log, 3000);
    CU_ASSERT_TRUE(cn_log_event(log, "end", "time"));
    CU_ASSERT_EQUAL(cn_log_dropped(log), 0);
    end_log(log);
    file_sample(path, "log.mcap");
}

CN_TEST_MAIN("bridge.episode", T(test_episode_is_what_was_logged),
             T(test_episode_may_lack_what_is_optional), T(test_episode_of_a_cut_log),
             T(test_episode_refuses_contradictions), T(test_episode_refuses_what_does_not_decode),
             T(test_episode_is_a_log_of_ours), T(test_episode_survives_noise),
             T(test_episode_trim_keeps_an_interval), T(test_episode_sample))
