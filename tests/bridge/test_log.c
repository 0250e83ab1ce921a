/* The episode log: what is put arrives in order, a kill costs little, a full ring and a full disk
 * are counted and reported and never felt by the one who puts. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bridge/log.h"
#include "bridge/mcap.h"
#include "bridge/wire.h"
#include "proto/log.pb-c.h"
#include "tests/test.h"

#define PATIENCE_NS                                                                                \
    (20 * CN_NS_PER_S) /* far beyond the one second of a flush, for a loaded machine */

static cn_error err;
static char path[] = "/tmp/cn-test-log-XXXXXX";

static const cn_log_about about = {
    .task = "reach",
    .task_file = "scenes/reach.yaml",
    .arm = "jaco",
    .policy_file = "",
    .policy_checksum = "0123456789abcdef",
    .robot = "ipc:///tmp/arm",
    .control_period_s = 0.05,
};

static void make_path(void)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
}

/* Messages on each channel and on all of these; -1 when the file can't be read. */
static int count_messages(int of[CN_LOG_CHANNELS], bool *truncated)
{
    static const char *const topics[] = {
#define TOPIC(name, topic, message) topic,
        CN_LOG_CHANNEL_TABLE(TOPIC)
#undef TOPIC
    };
    memset(of, 0, sizeof(int) * CN_LOG_CHANNELS);
    cn_mcap_reader *reader;
    cn_mcap_record record;
    if (cn_mcap_open(path, &reader, &err) != CN_OK)
        return -1;
    int total = 0;
    cn_status status;
    while ((status = cn_mcap_next(reader, &record, &err)) == CN_OK) {
        for (int i = 0; i < CN_LOG_CHANNELS; i++)
            if (strcmp(record.topic, topics[i]) == 0) {
                of[i]++;
                total++;
            }
    }
    *truncated = cn_mcap_truncated(reader) != 0;
    cn_mcap_close(&reader);
    return status == CN_ERR_NOT_FOUND ? total : -1;
}

static void test_log_keeps_order_and_content(void)
{
    const int64_t begin = cn_clock_wall();
    const float observation[] = {1, 2, 3}, action[] = {-0.5f, 0.5f};
    cn_log *log;
    make_path();
    CN_ASSERT_OK(cn_log_create(path, &about, &log, &err));
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, 41, "abc", 3));
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_COMMANDS, 7, NULL, 0));
    for (int i = 0; i < 2; i++)
        CU_ASSERT_TRUE(cn_log_policy_step(log, &(cn_log_step){.tick = 5,
                                                              .frame = 41,
                                                              .command = 7,
                                                              .observation = observation,
                                                              .observation_size = 3,
                                                              .action = action,
                                                              .action_size = 2,
                                                              .latency_ns = 1234,
                                                              .reward = -1,
                                                              .success = true}));
    const cn_arm_command target = {CN_COMMAND_VELOCITY, 2, {0.5, -1}};
    CU_ASSERT_TRUE(cn_log_servo_tick(log, &(cn_log_tick){77, 41, CN_WIRE_HOLDING, 7, &target}));
    CU_ASSERT_TRUE(cn_log_event(log, "begin", "goal 1"));
    CU_ASSERT_EQUAL(cn_log_dropped(log), 0);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CU_ASSERT_PTR_NULL(log);
    CN_ASSERT_OK(cn_log_finish(&log, &err));

    static const struct {
        const char *topic, *schema;
        uint32_t sequence;
    } expected[] = {{"/robot/sensors", "colonnade.v1.SensorFrame", 41},
                    {"/robot/commands", "colonnade.v1.Command", 7},
                    {"/policy/step", "colonnade.v1.PolicyStep", 0},
                    {"/policy/step", "colonnade.v1.PolicyStep", 1},
                    {"/robot/servo", "colonnade.v1.ServoTick", 0},
                    {"/events", "colonnade.v1.Event", 0}};
    cn_mcap_reader *reader;
    cn_mcap_record r;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    uint64_t before = (uint64_t)begin;
    for (int i = 0; i < 6; i++) {
        do /* the event, as Foxglove is shown it, is test_foxglove.c's matter */
            CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
        while (strcmp(r.topic, "/log") == 0);
        CU_ASSERT_STRING_EQUAL(r.topic, expected[i].topic);
        CU_ASSERT_STRING_EQUAL(r.schema, expected[i].schema);
        CU_ASSERT_EQUAL(r.sequence, expected[i].sequence);
        CU_ASSERT(r.log_time >= before && r.log_time <= (uint64_t)cn_clock_wall());
        before = r.log_time;
        if (i == 0)
            CU_ASSERT(r.size == 3 && memcmp(r.data, "abc", 3) == 0);
        if (i == 1)
            CU_ASSERT_EQUAL(r.size, 0);
        if (i == 2) {
            Colonnade__V1__PolicyStep *step =
                colonnade__v1__policy_step__unpack(NULL, r.size, r.data);
            CU_ASSERT_PTR_NOT_NULL_FATAL(step);
            CU_ASSERT(step->tick == 5 && step->frame == 41 && step->command == 7);
            CU_ASSERT(step->n_observation == 3 && step->observation[2] == 3);
            CU_ASSERT(step->n_action == 2 && step->action[0] == -0.5f);
            CU_ASSERT(step->latency_ns == 1234 && step->reward == -1 && step->success);
            colonnade__v1__policy_step__free_unpacked(step, NULL);
        }
        if (i == 4) {
            Colonnade__V1__ServoTick *tick =
                colonnade__v1__servo_tick__unpack(NULL, r.size, r.data);
            CU_ASSERT_PTR_NOT_NULL_FATAL(tick);
            CU_ASSERT(tick->robot_time_ns == 77 && tick->frame == 41 && tick->command == 7);
            CU_ASSERT(tick->mode == COLONNADE__V1__SERVER_MODE__SERVER_HOLDING);
            CU_ASSERT(tick->target_mode == COLONNADE__V1__COMMAND_MODE__COMMAND_VELOCITY);
            CU_ASSERT(tick->n_target == 2 && tick->target[0] == 0.5 && tick->target[1] == -1);
            colonnade__v1__servo_tick__free_unpacked(tick, NULL);
        }
    }
    CU_ASSERT_EQUAL(cn_mcap_next(reader, &r, &err), CN_ERR_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, "colonnade", "arm"), "jaco");
    CU_ASSERT_EQUAL(atof(cn_mcap_metadata_value(reader, "colonnade", "control_period_s")), 0.05);
    cn_mcap_close(&reader);
    remove(path);
}

/* Much more than the ring holds: what goes in and what is dropped are all that was put, and every
 * message that went in comes out whole, also across the ring's end. */
static void test_log_counts_what_it_drops(void)
{
    enum { PUTS = 20000, SIZE = 997 };
    static uint8_t bytes[SIZE];
    cn_log *log;
    make_path();
    CN_ASSERT_OK(cn_log_create(path, &about, &log, &err));
    uint64_t refused = 0;
    for (uint32_t i = 0; i < PUTS; i++) {
        memset(bytes, (int)(i & 0xFF), SIZE);
        refused += !cn_log_put(log, CN_LOG_SENSORS, i, bytes, SIZE);
    }
    CU_ASSERT_EQUAL(cn_log_dropped(log), refused);
    CN_ASSERT_OK(cn_log_finish(&log, &err));

    cn_mcap_reader *reader;
    cn_mcap_record r;
    uint64_t arrived = 0, events = 0;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    while (cn_mcap_next(reader, &r, &err) == CN_OK) {
        events += strcmp(r.topic, "/events") == 0;
        if (strcmp(r.topic, "/robot/sensors") != 0)
            continue;
        memset(bytes, (int)(r.sequence & 0xFF), SIZE);
        CU_ASSERT_FATAL(r.size == SIZE && memcmp(r.data, bytes, SIZE) == 0);
        arrived++;
    }
    CU_ASSERT_EQUAL(err.code, CN_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(arrived + refused, PUTS);
    CU_ASSERT_EQUAL(events, refused > 0);
    cn_mcap_close(&reader);
    remove(path);
}

static void test_log_drops_what_is_larger_than_the_ring(void)
{
    const uint32_t size = 5 << 20;
    void *bytes = calloc(1, size);
    float *floats = calloc(1 << 20, sizeof *floats);
    CU_ASSERT_FATAL(bytes && floats);
    cn_log *log;
    int of[CN_LOG_CHANNELS];
    bool truncated;
    make_path();
    CN_ASSERT_OK(cn_log_create(path, &about, &log, &err));
    CU_ASSERT_FALSE(cn_log_put(log, CN_LOG_SENSORS, 0, bytes, size));
    CU_ASSERT_FALSE(cn_log_policy_step(
        log, &(cn_log_step){.observation = floats, .observation_size = 1 << 20}));
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_COMMANDS, 0, bytes, 10));
    CU_ASSERT_EQUAL(cn_log_dropped(log), 2);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CU_ASSERT_EQUAL(count_messages(of, &truncated), 2);
    CU_ASSERT_EQUAL(of[CN_LOG_COMMANDS], 1);
    CU_ASSERT_EQUAL(of[CN_LOG_EVENTS], 1); /* that says how many are missing */
    CU_ASSERT_FALSE(truncated);
    free(bytes);
    free(floats);
    remove(path);
}

/* A process that is killed loses at most the last second. */
static void test_log_survives_a_kill(void)
{
    enum { PUTS = 50 };
    make_path();
    const pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        cn_log *log;
        if (cn_log_create(path, &about, &log, NULL) != CN_OK)
            _exit(1);
        for (uint32_t i = 0; i < PUTS; i++)
            cn_log_put(log, CN_LOG_SENSORS, i, "frame", 5);
        for (;;)
            pause();
    }
    const int64_t deadline = cn_clock_now() + PATIENCE_NS;
    int of[CN_LOG_CHANNELS];
    bool truncated = false;
    while (count_messages(of, &truncated) < PUTS && cn_clock_now() < deadline)
        cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 50);
    kill(child, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    CU_ASSERT_EQUAL(count_messages(of, &truncated), PUTS);
    CU_ASSERT_TRUE(truncated);
    remove(path);
}

static void test_log_reports_a_full_disk(void)
{
    cn_log *log;
    CN_ASSERT_OK(cn_log_create("/dev/full", &about, &log, &err));
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, 0, "frame", 5));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full: cannot write", cn_log_finish(&log, &err));
    CU_ASSERT_PTR_NULL(log);
}

static void test_log_needs_its_folder(void)
{
    cn_log *log;
    CN_ASSERT_FAILS(CN_ERR_IO, "/tmp/no/such/log.mcap",
                    cn_log_create("/tmp/no/such/log.mcap", &about, &log, &err));
    CU_ASSERT_PTR_NULL(log);
}

CN_TEST_MAIN("bridge.log", T(test_log_keeps_order_and_content), T(test_log_counts_what_it_drops),
             T(test_log_drops_what_is_larger_than_the_ring), T(test_log_survives_a_kill),
             T(test_log_reports_a_full_disk), T(test_log_needs_its_folder))
