/* The controller's end: connecting, waiting, and being told clearly what is wrong. */
#include "bridge/endpoint.h"
#include "bridge/link.h"
#include "bridge/wire.h"
#include "tests/bridge/robot.h"

#include <signal.h>
#include <sys/wait.h>
#include <zmq.h>

#define PERIOD_S 0.02
#define MS       INT64_C(1000000)

enum { FRAME_TICKS = 10 /* servo ticks of 2 ms a period */ };

static void test_link_learns_the_robot(void)
{
    robot r;
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    const cn_plant_info *info = cn_link_info(link);
    CU_ASSERT_EQUAL(info->joint[1].position_low, -INFINITY);
    CU_ASSERT_STRING_EQUAL(info->arm, "fake");
    CU_ASSERT_EQUAL(info->joints, 3);
    CU_ASSERT_STRING_EQUAL(info->joint[2].name, "rail");
    CU_ASSERT_STRING_EQUAL(info->joint[2].unit, "m");
    CU_ASSERT_EQUAL(info->joint[0].velocity, 1.5);
    CU_ASSERT_EQUAL(info->tracked, 1);
    CU_ASSERT_STRING_EQUAL(info->point[0], "target");
    CU_ASSERT_EQUAL(info->control_period_s, PERIOD_S);
    CU_ASSERT_EQUAL(info->servo_rate_hz, 500);
    CU_ASSERT_FALSE(cn_link_lockstep(link));
    cn_link_destroy(&link);
    CU_ASSERT_PTR_NULL(link);
    cn_link_destroy(&link);
    robot_end(&r);
}

/* A subscription is answered with the robot's info at once. Waiting for the regular one, every 200
 * ms, would cost ten links more than a second together, every time. */
static void test_link_connects_at_once(void)
{
    robot r;
    robot_start(&r, false, PERIOD_S);
    bool at_once = false;
    for (int attempt = 0; attempt < 20 && !at_once;
         attempt++) { /* on a busy machine some are slow */
        const int64_t start = cn_clock_now();
        for (int i = 0; i < 10; i++) {
            cn_link *link = robot_link(&r);
            cn_link_destroy(&link);
        }
        at_once = cn_clock_now() - start < CN_NS_PER_S / 2;
    }
    CU_ASSERT_TRUE(at_once);
    robot_end(&r);
}

static void test_link_waits_for_a_robot_that_comes_later(void)
{
    char endpoint[64];
    robot r;
    cn_error err = {0};
    cn_link *link = NULL;
    robot_path(endpoint, sizeof endpoint);
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "no robot answers at ipc://",
                    cn_link_connect(endpoint, NULL, 100, &link, &err));
    CU_ASSERT_PTR_NULL(link);
    robot_start_at(&r, endpoint, false, PERIOD_S);
    link = robot_link(&r);
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_link_refuses_bad_endpoints(void)
{
    cn_error err = {0};
    cn_link *link = NULL;
    const char *const bad[] = {
        "", "arm", "tcp://*:5555", "tcp://host", "tcp://host:0", "tcp://:5555", "inproc://arm"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "is not an endpoint: write tcp://HOST:5555",
                        cn_link_connect(bad[i], NULL, 100, &link, &err));
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "is `colonnade robot` running there?",
                    cn_link_connect("tcp://127.0.0.1:1", NULL, 100, &link, &err));
    CU_ASSERT_PTR_NULL(link);
}

static void test_link_tcp_finds_the_announced_port(void)
{
    robot r;
    cn_error err = {0};
    robot_start_at(&r, "tcp://0.0.0.0:*", true, PERIOD_S);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", cn_endpoint_port(r.endpoint));
    cn_link *link = NULL;
    CN_ASSERT_OK(cn_link_connect(endpoint, NULL, PATIENCE_MS, &link, &err));
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_link_frames_are_newer_each_time(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame = {0};
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
        CU_ASSERT_TRUE(frame.sequence > last);
        CU_ASSERT_TRUE(frame.holding);
        CU_ASSERT_TRUE(frame.packed_size > 0);
        last = frame.sequence;
    }
    cn_status status; /* the next one may have come meanwhile */
    while ((status = cn_link_frame(link, cn_clock_now(), &frame, &err)) == CN_OK)
        last = frame.sequence;
    CU_ASSERT_EQUAL(status, CN_ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no frame from the robot at"));
    robot_wait(&r, 20 * FRAME_TICKS);
    CN_ASSERT_OK(cn_link_frame(link, 0, &frame, &err)); /* the latest of twenty, at once */
    CU_ASSERT_TRUE(frame.sequence >= last + 5);         /* some may be on their way still */
    cn_link_destroy(&link);
    robot_end(&r);
}

/* More frames go by than any queue on the way holds. What is given afterwards is of now: the frame
 * after it is one of the next, and not one that is a thousand further. */
static void test_link_frame_after_a_long_pause_is_the_newest(void)
{
    enum { SCHEDULER = 500 /* periods of 2 ms in which a busy machine may leave us waiting */ };
    robot r;
    cn_error err = {0};
    cn_frame frame;
    robot_start(&r, false, 0.002);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
    const uint64_t before = frame.sequence;
    robot_wait(&r, 1500);
    CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
    const uint64_t first = frame.sequence;
    CU_ASSERT_TRUE(first > before + 1500 - SCHEDULER);
    CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
    CU_ASSERT_TRUE(frame.sequence <= first + SCHEDULER);
    cn_link_destroy(&link);
    robot_end(&r);
}

/* The packed bytes of frames and commands are messages of their own: wrapped again as a State and a
 * Request they read the same. Tag and length make the wrapping. */
static void test_link_packed_bytes_are_whole_messages(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame;
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    const cn_arm_command command = robot_command(CN_COMMAND_POSITION, 0.25, -0.5, 0.125);
    CN_ASSERT_OK(cn_link_step(link, &command, &frame, &err));
    CU_ASSERT_TRUE_FATAL(frame.packed_size >= 128 && frame.packed_size < 16384);
    uint8_t wrapped[20000];
    memcpy(wrapped, CN_WIRE_TOPIC_FRAME, 1);
    wrapped[1] = (uint8_t)(frame.packed_size & 0x7f) | 0x80;
    wrapped[2] = (uint8_t)(frame.packed_size >> 7);
    memcpy(wrapped + 3, frame.packed, frame.packed_size);
    cn_arena *arena = NULL;
    CN_ASSERT_OK(cn_arena_create(65536, &arena, &err));
    cn_wire_frame read;
    cn_wire_info info;
    bool is_frame;
    const void *packed;
    uint32_t size;
    CN_ASSERT_OK(cn_wire_unpack_state(arena, wrapped, frame.packed_size + 3, cn_link_info(link),
                                      &is_frame, &info, &read, &packed, &size, &err));
    CU_ASSERT_TRUE(is_frame);
    CU_ASSERT_EQUAL(read.sequence, frame.sequence);
    CU_ASSERT_EQUAL(read.state.time_s, frame.state.time_s);
    CU_ASSERT_EQUAL(memcmp(read.state.position, frame.state.position, 3 * sizeof(double)), 0);
    CU_ASSERT_EQUAL(read.applied.sequence, 1);
    CU_ASSERT_EQUAL(memcmp(read.applied.command.target, command.target, 3 * sizeof(double)), 0);
    CU_ASSERT_EQUAL(size, frame.packed_size);

    const uint8_t *last = cn_link_last_command(link, &size);
    CU_ASSERT_TRUE_FATAL(size < 128);
    wrapped[0] = 6 << 3 | 2; /* Request.command */
    wrapped[1] = (uint8_t)size;
    memcpy(wrapped + 2, last, size);
    cn_wire_request request;
    CN_ASSERT_OK(cn_wire_unpack_request(arena, wrapped, size + 2, &request, &err));
    CU_ASSERT_EQUAL(request.command.sequence, 1);
    CU_ASSERT_EQUAL(memcmp(request.command.command.target, command.target, 3 * sizeof(double)), 0);
    cn_arena_destroy(&arena);
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_link_sequence_does_not_drift(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame;
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    for (int lease = 0; lease < 3; lease++) {
        CN_ASSERT_OK(cn_link_acquire(link, &err));
        for (int i = 0; i < 200; i++) {
            const cn_arm_command command = robot_command(CN_COMMAND_POSITION, 0.001 * i, 0, 0);
            CN_ASSERT_OK(cn_link_step(link, &command, &frame, &err));
        }
        CN_ASSERT_OK(cn_link_release(link, &err));
    }
    CU_ASSERT_EQUAL(frame.sequence, 600);
    CU_ASSERT_EQUAL(frame.commands_refused, 0);
    CU_ASSERT_DOUBLE_EQUAL(frame.state.time_s, 600 * PERIOD_S, 1e-9); /* ns on the wire */
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_link_second_controller_is_told_who_is_first(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame;
    char pid[32];
    robot_start(&r, true, PERIOD_S);
    cn_link *first = robot_link(&r), *second = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(first, &err));
    snprintf(pid, sizeof pid, ":%ld' holds the lease", (long)getpid());
    CN_ASSERT_FAILS(CN_ERR_REFUSED, pid, cn_link_acquire(second, &err));
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "no lease", cn_link_reset(second, 1, false, &frame, &err));
    cn_link_destroy(&first); /* releases */
    CN_ASSERT_OK(cn_link_acquire(second, &err));
    cn_link_destroy(&second);
    robot_end(&r);
}

static void test_link_estop_has_its_own_status(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame;
    const cn_arm_command command = robot_command(CN_COMMAND_POSITION, 0, 0, 0);
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    CN_ASSERT_OK(cn_link_estop(link, "a person", &err));
    CN_ASSERT_FAILS(CN_ERR_SAFETY, "emergency stop (a person)",
                    cn_link_step(link, &command, &frame, &err));
    CN_ASSERT_OK(cn_link_reset(link, 1, false, &frame, &err));
    CU_ASSERT_FALSE(frame.estopped);
    CU_ASSERT_EQUAL(frame.resets, 1);
    CN_ASSERT_OK(cn_link_step(link, &command, &frame, &err));
    CU_ASSERT_FALSE(frame.holding);
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_link_refused_command_shows_in_the_frames(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame = {0};
    uint64_t sequence;
    const cn_arm_command command = robot_command(CN_COMMAND_POSITION, NAN, 0, 0);
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    for (int burst = 0; burst < 5; burst++) { /* more answers in all than the link's queue holds */
        for (int i = 0; i < 30; i++)
            CN_ASSERT_OK(cn_link_command(link, &command, 0, 50 * MS, &sequence, &err));
        for (int i = 0; i < 100 && frame.commands_refused < sequence; i++)
            CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
        CU_ASSERT_EQUAL(frame.commands_refused, sequence);
    }
    CU_ASSERT_EQUAL(sequence, 150);
    CU_ASSERT_STRING_EQUAL(frame.last_refusal, "joint 'base': target is nan");
    CN_ASSERT_OK(cn_link_reset(link, 1, true, &frame, &err));
    cn_link_destroy(&link);
    robot_end(&r);
}

/* The arm may well be following somebody, or an older command of ours: a refusal still counts as
 * holding, or a controller whose lease is gone would never know. */
static void test_link_refused_command_counts_as_holding(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame;
    uint64_t sequence;
    const cn_arm_command good = robot_command(CN_COMMAND_POSITION, 0.1, 0, 0);
    const cn_arm_command bad = robot_command(CN_COMMAND_POSITION, NAN, 0, 0);
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    CN_ASSERT_OK(cn_link_command(link, &good, 0, 4000 * MS, &sequence, &err));
    do
        CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
    while (frame.holding);
    CN_ASSERT_OK(cn_link_command(link, &bad, 0, 4000 * MS, &sequence, &err));
    bool held = false;
    uint64_t refused_before;
    do { /* answer and frame come over two connections: one frame more, should the answer be last */
        refused_before = frame.commands_refused;
        CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
        held = held || frame.holding;
    } while (refused_before == 0);
    CU_ASSERT_TRUE(held);
    CU_ASSERT_FALSE(frame.estopped);
    CN_ASSERT_OK(cn_link_frame(link, cn_clock_now() + PATIENCE_MS * MS, &frame, &err));
    CU_ASSERT_FALSE(frame.holding); /* the good one is followed still */
    cn_link_destroy(&link);
    robot_end(&r);
}

/* 2.5 periods after a frame that has just come; what was thought counts on top, up to as much. */
static void test_link_commands_are_valid_as_long_as_thought(void)
{
    robot r;
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    const double periods = 2.5 * PERIOD_S * 1e9;
    const int64_t before = cn_clock_now();
    const double valid = (double)cn_link_valid_for(link, before);
    const double thought = (double)(cn_clock_now() - before);
    CU_ASSERT_TRUE(valid >= periods - 1 && valid <= periods + fmin(thought, periods));
    CU_ASSERT_DOUBLE_EQUAL((double)cn_link_valid_for(link, before - CN_NS_PER_S), 2 * periods, 1);
    cn_link_destroy(&link);
    robot_end(&r);

    robot_start(&r, true, 3); /* of a slow robot no more than robots take */
    link = robot_link(&r);
    CU_ASSERT_EQUAL(cn_link_valid_for(link, cn_clock_now()), CN_WIRE_VALID_FOR_MAX_NS);
    cn_link_destroy(&link);
    robot_end(&r);
}

static cn_status die(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    (void)plant;
    (void)command;
    (void)err;
    raise(SIGKILL);
    return CN_OK;
}

/* A server in a process of its own, which dies in its first step. */
static pid_t start_mortal(const char *endpoint)
{
    const pid_t child = fork();
    if (child != 0)
        return child;
    static atomic_bool stop;
    cn_server *server = NULL;
    fake_arm arm = fake_arm_make(PERIOD_S);
    arm.plant.command = die;
    const cn_server_config config = {.endpoint = endpoint, .lockstep = true};
    if (cn_server_create(&config, &arm.plant, &server, NULL) == CN_OK)
        cn_server_run(server, &stop, NULL);
    _exit(1);
}

static void test_link_notices_a_death_within_a_step(void)
{
    char endpoint[64], requests[80];
    int how;
    cn_error err = {0};
    cn_frame frame;
    cn_link *link = NULL;
    const cn_arm_command command = robot_command(CN_COMMAND_POSITION, 0, 0, 0);
    robot_path(endpoint, sizeof endpoint);
    const pid_t child = start_mortal(endpoint);
    CU_ASSERT_TRUE_FATAL(child > 0);
    CN_ASSERT_OK(cn_link_connect(endpoint, NULL, PATIENCE_MS, &link, &err));
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    /* By the connection, not by patience: that would ask whether it is still running. */
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "the connection to the robot at ipc://",
                    cn_link_step(link, &command, &frame, &err));
    /* And with the connection broken before it asks. */
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "is it still running?",
                    cn_link_step(link, &command, &frame, &err));
    cn_link_destroy(&link);
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    CU_ASSERT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    snprintf(requests, sizeof requests, "%s" CN_ENDPOINT_REQUEST, endpoint + strlen("ipc://"));
    unlink(requests);
    unlink(endpoint + strlen("ipc://"));
    *strrchr(endpoint, '/') = '\0';
    CU_ASSERT_EQUAL(rmdir(endpoint + strlen("ipc://")), 0);
}

/* Longer than every sign of life that the link waits for: no info and no frame comes meanwhile. */
static void test_link_takes_a_long_step_for_no_death(void)
{
    robot r;
    cn_error err = {0};
    cn_frame frame;
    const cn_arm_command command = robot_command(CN_COMMAND_POSITION, 0.1, 0, 0);
    robot_start(&r, true, 0.05);
    atomic_store(&r.arm.slow, true); /* 25 servo ticks of 3 periods */
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    const int64_t start = cn_clock_now();
    CN_ASSERT_OK(cn_link_step(link, &command, &frame, &err));
    CU_ASSERT_TRUE(cn_clock_now() - start > 3500 * MS);
    CU_ASSERT_EQUAL(frame.sequence, 1);
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_link_notices_a_restart(void)
{
    robot r;
    char endpoint[256];
    cn_error err = {0};
    cn_frame frame;
    robot_start(&r, false, PERIOD_S);
    snprintf(endpoint, sizeof endpoint, "%s", r.endpoint);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    robot_stop(&r);
    cn_server_destroy(&r.server);
    robot_start_at(&r, endpoint, false, PERIOD_S);
    cn_status status;
    const int64_t deadline = cn_clock_now() + PATIENCE_MS * MS;
    do
        status = cn_link_frame(link, cn_clock_now() + 100 * MS, &frame, &err);
    while ((status == CN_OK || status == CN_ERR_TIMEOUT) && cn_clock_now() < deadline);
    CU_ASSERT_EQUAL(status, CN_ERR_MISMATCH);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "was restarted: connect again"));
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "was restarted: connect again",
                    cn_link_reset(link, 1, false, &frame, &err));
    cn_link_destroy(&link);
    robot_end(&r);
}

/* Something that speaks ZeroMQ, and not our language or another version of it. */
typedef struct stranger {
    void *socket; /* PUB */
    uint8_t says[CN_WIRE_STATE_MAX];
    size_t size;
    atomic_bool stop;
} stranger;

static void *stranger_thread(void *data)
{
    stranger *s = data;
    while (!atomic_load(&s->stop)) {
        zmq_send(s->socket, s->says, s->size, 0);
        cn_clock_sleep_until(cn_clock_now() + 5 * MS);
    }
    return NULL;
}

static void meet(stranger *s, cn_status code, const char *words)
{
    char endpoint[64];
    cn_error err = {0};
    cn_link *link = NULL;
    pthread_t thread;
    const int linger = 0;
    void *context = zmq_ctx_new();
    robot_path(endpoint, sizeof endpoint);
    s->socket = zmq_socket(context, ZMQ_PUB);
    atomic_store(&s->stop, false);
    zmq_setsockopt(s->socket, ZMQ_LINGER, &linger, sizeof linger);
    CU_ASSERT_EQUAL_FATAL(zmq_bind(s->socket, endpoint), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stranger_thread, s), 0);
    CN_ASSERT_FAILS(code, words, cn_link_connect(endpoint, NULL, PATIENCE_MS, &link, &err));
    atomic_store(&s->stop, true);
    pthread_join(thread, NULL);
    zmq_close(s->socket);
    zmq_ctx_term(context);
    unlink(endpoint + strlen("ipc://"));
    *strrchr(endpoint, '/') = '\0';
    CU_ASSERT_EQUAL(rmdir(endpoint + strlen("ipc://")), 0);
}

static void test_link_refuses_strangers(void)
{
    static stranger s;
    const fake_arm arm = fake_arm_make(PERIOD_S);
    cn_wire_info info = {
        .protocol_version = CN_PROTOCOL_VERSION + 1,
        .plant = arm.plant.info,
        .request_endpoint = "ipc:///tmp/x",
    };
    s.size = cn_wire_pack_info(&info, s.says);
    meet(&s, CN_ERR_MISMATCH, "speaks protocol version 3, this program 2");
    s.size = 7; /* cut off */
    meet(&s, CN_ERR_FORMAT, "7 bytes that are not a colonnade.v1.State");
    info.protocol_version = CN_PROTOCOL_VERSION;
    snprintf(info.request_endpoint, sizeof info.request_endpoint, "tcp://127.0.0.1:5");
    s.size = cn_wire_pack_info(&info, s.says);
    meet(&s, CN_ERR_FORMAT, "announces 'tcp://127.0.0.1:5' for requests");
    info.plant.control_period_s = NAN;
    s.size = cn_wire_pack_info(&info, s.says);
    meet(&s, CN_ERR_FORMAT, "a control period of nan s");
    info.plant.joints = 0;
    s.size = cn_wire_pack_info(&info, s.says);
    meet(&s, CN_ERR_FORMAT, "a robot of 0 joints");
}

CN_TEST_MAIN("bridge.link", T(test_link_learns_the_robot), T(test_link_connects_at_once),
             T(test_link_waits_for_a_robot_that_comes_later), T(test_link_refuses_bad_endpoints),
             T(test_link_tcp_finds_the_announced_port), T(test_link_frames_are_newer_each_time),
             T(test_link_packed_bytes_are_whole_messages), T(test_link_sequence_does_not_drift),
             T(test_link_second_controller_is_told_who_is_first),
             T(test_link_estop_has_its_own_status),
             T(test_link_refused_command_shows_in_the_frames),
             T(test_link_refused_command_counts_as_holding),
             T(test_link_commands_are_valid_as_long_as_thought),
             T(test_link_frame_after_a_long_pause_is_the_newest),
             T(test_link_notices_a_death_within_a_step),
             T(test_link_takes_a_long_step_for_no_death), T(test_link_notices_a_restart),
             T(test_link_refuses_strangers))
