/* The server's rules, each with its words, from a client that knows no manners: requests are packed
 * by hand and sent over a bare DEALER socket. */
#include "bridge/endpoint.h"
#include "bridge/link.h"
#include "bridge/server.h"
#include "bridge/wire.h"
#include "tests/bridge/client.h"

#include <signal.h>
#include <sys/wait.h>
#include <zmq.h>

#define PERIOD_S 0.02

/* ---- Refusals ---- */

static void test_server_names_every_refusal(void)
{
    robot r;
    client c;
    robot_start(&r, true, PERIOD_S);
    client_open(&c, &r);
    cn_wire_request step = client_command(&c, CN_WIRE_STEP, CN_COMMAND_POSITION, 0.1);
    c.version = 0;
    ASSERT_SAYS("a request of protocol version 0 (none is given): this robot speaks version 2",
                client_ask(&c, step));
    CU_ASSERT_EQUAL(c.reply.refusal, CN_REFUSAL_WRONG_VERSION);
    c.version = 1;
    ASSERT_SAYS("protocol version 1", client_acquire(&c, "tester:1", 1000 * MS));
    ASSERT_DONE(client_info(&c)); /* which tells the version */
    c.version = CN_PROTOCOL_VERSION;
    ASSERT_SAYS("no lease: acquire it first", client_ask(&c, step));
    CU_ASSERT_EQUAL(c.reply.refusal, CN_REFUSAL_NO_LEASE);
    c.lease = 12345;
    ASSERT_SAYS("the lease shown is not valid any more", client_ask(&c, step));
    ASSERT_DONE(client_acquire(&c, "tester:1", 1000 * MS));
    const uint64_t lease = c.lease;
    c.lease = lease + 1;
    ASSERT_SAYS("a foreign lease: 'tester:1' holds it", client_ask(&c, step));
    c.lease = lease;

    ASSERT_DONE(client_ask(&c, step));
    CU_ASSERT_EQUAL(c.frame.mode, CN_WIRE_ACTIVE);
    CU_ASSERT_EQUAL(c.frame.applied.sequence, 1);
    ASSERT_SAYS("command 1 is not newer than command 1", client_ask(&c, step));
    step.command.sequence = 9;
    ASSERT_DONE(client_ask(&c, step));
    step.command.sequence = 8;
    ASSERT_SAYS("command 8 is not newer than command 9", client_ask(&c, step));
    step.command.sequence = 10;

    step.command.command.target[1] = NAN;
    ASSERT_SAYS("joint 'wrist': target is nan", client_ask(&c, step));
    step.command.command.target[1] = INFINITY;
    ASSERT_SAYS("joint 'wrist': target is inf", client_ask(&c, step));
    step.command.command.target[1] = 0;
    step.command.command.joints = 2;
    ASSERT_SAYS("a command for 2 joints: the arm has 3", client_ask(&c, step));
    step.command.command.joints = 3;
    step.command.command.mode = CN_COMMAND_EFFORT;
    ASSERT_SAYS("command mode 3 (effort)", client_ask(&c, step));
    step.command.command.mode = CN_COMMAND_NONE;
    ASSERT_SAYS("command mode 0 (none)", client_ask(&c, step));
    step.command.command.mode = CN_COMMAND_POSITION;
    step.kind = CN_WIRE_COMMAND;
    ASSERT_SAYS("this robot goes in lockstep: send Step", client_ask(&c, step));
    ASSERT_SAYS("does not know", client_ask(&c, (cn_wire_request){.kind = CN_WIRE_NOTHING}));

    step.kind = CN_WIRE_STEP;
    step.command.answers_frame = 99;
    ASSERT_SAYS("in answer to frame 99", client_ask(&c, step));
    step.command.answers_frame = c.frame.sequence;
    ASSERT_DONE(client_ask(&c, step)); /* what was refused has not used up the number */
    CU_ASSERT_EQUAL(c.frame.commands_applied, 3);
    CU_ASSERT_EQUAL(c.reply.refusal, CN_REFUSAL_NONE);
    static const uint64_t expected[CN_REFUSALS] = {
        [CN_REFUSAL_WRONG_VERSION] = 2, [CN_REFUSAL_MALFORMED] = 1,
        [CN_REFUSAL_WRONG_CLOCK] = 1,   [CN_REFUSAL_NO_LEASE] = 2,
        [CN_REFUSAL_FOREIGN_LEASE] = 1, [CN_REFUSAL_DUPLICATE] = 1,
        [CN_REFUSAL_REORDERED] = 1,     [CN_REFUSAL_UNKNOWN_FRAME] = 1,
        [CN_REFUSAL_WRONG_MODE] = 2,    [CN_REFUSAL_WRONG_JOINTS] = 1,
        [CN_REFUSAL_NOT_FINITE] = 2,
    };
    CU_ASSERT_EQUAL(c.frame.commands_refused, 15);
    CU_ASSERT_EQUAL(memcmp(c.frame.refused, expected, sizeof expected), 0);
    ASSERT_SAYS("in answer to frame 99", c.frame.last_refusal);
    client_close(&c);
    robot_end(&r);
}

static void test_server_survives_garbage(void)
{
    robot r;
    client c;
    const uint8_t garbage[] = {0xff, 0x00, 0x12, 0xfe, 0x99};
    robot_start(&r, true, PERIOD_S);
    client_open(&c, &r);
    zmq_send(c.socket, garbage, sizeof garbage, 0);
    ASSERT_SAYS("5 bytes that are not a colonnade.v1.Request", client_answer(&c));
    CU_ASSERT_EQUAL(c.reply.id, 0);

    uint8_t *large = calloc(1, 1024 * 1024);
    CU_ASSERT_PTR_NOT_NULL_FATAL(large);
    zmq_send(c.socket, large, CN_WIRE_REQUEST_MAX + 1, 0);
    ASSERT_SAYS("at most 8192 are taken", client_answer(&c));

    zmq_send(c.socket, "many", 4, ZMQ_SNDMORE);
    zmq_send(c.socket, "parts", 5, 0);
    ASSERT_SAYS("a message of 2 parts", client_answer(&c));

    /* 4000 empty submessages of two bytes each would grow thirtyfold: the arena says no. */
    for (size_t i = 0; i < 4000; i++)
        memcpy(large + 2 * i, "\x32\x00", 2);
    zmq_send(c.socket, large, 8000, 0);
    ASSERT_SAYS("8000 bytes that are not a colonnade.v1.Request", client_answer(&c));

    zmq_send(c.socket, large, 1024 * 1024, 0); /* libzmq closes this connection */
    client_close(&c);
    free(large);

    client_open(&c, &r);
    ASSERT_DONE(client_info(&c));
    CU_ASSERT_TRUE(c.reply.has_info);
    CU_ASSERT_EQUAL(c.info.protocol_version, CN_PROTOCOL_VERSION);
    CU_ASSERT_STRING_EQUAL(c.info.plant.joint[2].name, "rail");
    CU_ASSERT_EQUAL(c.info.plant.joint[1].position_low, -INFINITY);
    client_close(&c);
    robot_stop(&r);
    const cn_server_stats stats = cn_server_statistics(r.server);
    CU_ASSERT_EQUAL(stats.commands_refused, 4);
    CU_ASSERT_EQUAL(stats.refused[CN_REFUSAL_MALFORMED], 4);
    robot_free(&r);
}

/* A message of very many parts is one message to ZeroMQ, and holds up no servo: some thousand parts
 * are taken between two of its ticks. */
static void test_server_goes_on_amid_a_message_of_many_parts(void)
{
    enum { PARTS = 200000, PARTS_A_TICK = 64 * (64 + 8) };
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_info(&c));
    for (int i = 0; i < PARTS; i++)
        CU_ASSERT_EQUAL_FATAL(zmq_send(c.socket, "x", 1, i < PARTS - 1 ? ZMQ_SNDMORE : 0), 1);
    client_send(&c, (cn_wire_request){.kind = CN_WIRE_GET_INFO});
    ASSERT_SAYS("a message of 64 parts or more", client_answer(&c));
    const uint64_t refused_at = atomic_load(&r.arm.commands);
    ASSERT_DONE(client_answer(&c));
    CU_ASSERT_EQUAL(c.reply.id, c.id);
    CU_ASSERT_TRUE(atomic_load(&r.arm.commands) - refused_at > PARTS / PARTS_A_TICK / 2);
    client_close(&c);
    robot_stop(&r);
    CU_ASSERT_EQUAL(cn_server_statistics(r.server).commands_refused, 1);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

/* Random bytes and damaged requests: the server goes on, and nothing of it moves the arm. */
static void test_server_survives_a_storm_of_damaged_requests(void)
{
    robot r;
    client c;
    uint64_t seed = 7;
    uint8_t out[CN_WIRE_REQUEST_MAX];
    robot_start(&r, true, PERIOD_S);
    client_open(&c, &r);
    for (int i = 0; i < 2000; i++) {
        const cn_wire_request request =
            client_command(&c, CN_WIRE_STEP, CN_COMMAND_VELOCITY, (double)i);
        const size_t size = cn_wire_pack_request(&request, out);
        for (int k = 0; k < 1 + i % 5; k++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            out[(seed >> 33) % size] = (uint8_t)(seed >> 20);
        }
        zmq_send(c.socket, out, i % 3 ? size : (seed >> 40) % size, 0);
        client_answer(&c);
    }
    client_close(&c);
    robot_stop(&r);
    CU_ASSERT_EQUAL(r.status, CN_OK);
    CU_ASSERT_EQUAL(r.arm.commands, 0);
    robot_free(&r);
}

/* ---- The lease ---- */

static void test_server_gives_the_lease_to_one(void)
{
    robot r;
    client a, b;
    robot_start(&r, true, PERIOD_S);
    client_open(&a, &r);
    client_open(&b, &r);
    ASSERT_DONE(client_acquire(&a, "first:1", 60000 * MS));
    ASSERT_SAYS("'first:1' holds the lease, for 6", client_acquire(&b, "second:2", 1000 * MS));
    ASSERT_SAYS("no lease", client_reset(&b, false));
    ASSERT_DONE(client_acquire(&a, "first:1", 1000 * MS)); /* again is no offence */
    ASSERT_DONE(client_ask(&a, (cn_wire_request){.kind = CN_WIRE_RELEASE}));
    ASSERT_DONE(client_acquire(&b, "second\n\x1b:2", 1000 * MS));
    ASSERT_SAYS("'second??:2' holds it", client_reset(&a, false)); /* printable for everybody */
    client_close(&a);
    client_close(&b);
    robot_end(&r);
}

static void test_server_lease_runs_out_only_in_silence(void)
{
    robot r;
    client a, b;
    robot_start(&r, true, PERIOD_S);
    client_open(&a, &r);
    client_open(&b, &r);
    ASSERT_DONE(client_acquire(&a, "first:1", 150 * MS));
    for (int i = 0; i < 6; i++) {
        pause_ms(50);
        ASSERT_DONE(client_reset(&a, true)); /* any request renews it */
    }
    ASSERT_SAYS("holds the lease", client_acquire(&b, "second:2", 150 * MS));
    pause_ms(200);
    ASSERT_DONE(client_reset(&a, true)); /* run out, but nobody wanted it */
    CU_ASSERT_STRING_EQUAL(a.frame.holder, "first:1");
    CU_ASSERT_EQUAL(a.frame.leases_lapsed, 1);
    pause_ms(200);
    ASSERT_DONE(client_acquire(&b, "second:2", 1000 * MS));
    ASSERT_SAYS("a foreign lease: 'second:2' holds it", client_reset(&a, true));
    ASSERT_DONE(client_reset(&b, true));
    CU_ASSERT_STRING_EQUAL(b.frame.holder, "second:2");
    CU_ASSERT_EQUAL(b.frame.leases_lapsed, 2);
    CU_ASSERT_STRING_EQUAL(b.frame.last_lapsed, "first:1");
    client_close(&a);
    client_close(&b);
    robot_end(&r);
}

/* ---- Stopping ---- */

/* Waits up to a second for a frame in which the arm is in a mode. */
static bool wait_mode(client *c, cn_wire_mode mode)
{
    for (int i = 0; i < 100; i++) {
        client_info(c);
        if (c->reply.mode == mode)
            return true;
        pause_ms(10);
    }
    return false;
}

static void test_server_watchdog_stops_smoothly_and_newer_command_resumes(void)
{
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_HOLDING));
    client_send(&c, client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.2));
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
    pause_ms(60);
    CU_ASSERT_TRUE(atomic_load(&r.arm.fastest) > 0.1);
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_HOLDING)); /* 300 ms are over */
    pause_ms(100);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    client_send(&c, client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, -0.2));
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
    pause_ms(60);
    CU_ASSERT_TRUE(atomic_load(&r.arm.fastest) > 0.1);
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_HOLDING));
    client_close(&c);
    robot_stop(&r);
    const cn_server_stats stats = cn_server_statistics(r.server);
    CU_ASSERT_EQUAL(stats.watchdog_stops, 2);
    CU_ASSERT_EQUAL(stats.commands_applied, 2);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

/* The arm lags behind its commands, and that they change their mode must not show in what it is
 * told: its servos hold where the last velocity took them. */
static void test_server_change_of_mode_breaks_no_limit(void)
{
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    for (int i = 0; i < 3; i++) {
        const double way = i % 2 ? -1 : 1;
        client_send(&c, client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.5 * way));
        CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
        robot_wait(&r, 100);
        client_send(&c, client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_POSITION, 0.3 * way));
        CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
        robot_wait(&r, 60);
    }
    client_close(&c);
    robot_end(&r);
}

/* What the network kept for too long: the arm does not stir. */
static void test_server_refuses_a_command_that_was_delayed(void)
{
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    ASSERT_DONE(client_reset(&c, true));
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.2);
    command.command.answers_frame = c.frame.sequence;
    command.command.valid_for_ns = 100 * MS;
    pause_ms(110);
    ASSERT_SAYS("a stale command: it answers frame", client_ask(&c, command));
    CU_ASSERT_EQUAL(c.reply.refusal, CN_REFUSAL_STALE);
    command.command.answers_frame += 1000000;
    ASSERT_SAYS("the last one published is", client_ask(&c, command));
    robot_wait(&r, 20);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    ASSERT_DONE(client_reset(&c, true));
    CU_ASSERT_EQUAL(c.frame.refused[CN_REFUSAL_STALE], 1);
    CU_ASSERT_EQUAL(c.frame.refused[CN_REFUSAL_UNKNOWN_FRAME], 1);
    CU_ASSERT_EQUAL(c.frame.applied.sequence, 0);
    client_close(&c);
    robot_end(&r);
}

/* Frames and commands are stamped by one clock, in the order in which they happen. */
static void test_server_stamps_frames_and_commands(void)
{
    robot r;
    client c;
    const int64_t begun = cn_clock_now(); /* here it is the server's clock as well */
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    ASSERT_DONE(client_reset(&c, true));
    const int64_t published = c.frame.published_ns;
    CU_ASSERT_TRUE(published > begun && published < cn_clock_now());
    CU_ASSERT_EQUAL(c.frame.taken_ns, 0);
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.2);
    command.command.answers_frame = c.frame.sequence;
    command.command.valid_for_ns = 5000 * MS;
    const int64_t sent = cn_clock_now();
    client_send(&c, command);
    ASSERT_DONE(client_reset(&c, true));
    CU_ASSERT_EQUAL(c.frame.applied.sequence, 1);
    CU_ASSERT_TRUE(c.frame.taken_ns > sent);
    CU_ASSERT_TRUE(c.frame.published_ns > c.frame.taken_ns);
    CU_ASSERT_TRUE(c.frame.published_ns < cn_clock_now());
    const int64_t age = c.frame.taken_ns - published;
    robot_wait(&r, 200); /* the quantiles are made five times a second */
    ASSERT_DONE(client_reset(&c, true));
    CU_ASSERT_EQUAL(c.frame.command_age.max, age);
    CU_ASSERT_TRUE(c.frame.command_age.p50 > 0 && c.frame.command_age.p50 <= age);
    client_close(&c);
    robot_end(&r);
}

static void test_server_refuses_what_would_disarm_the_watchdog(void)
{
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.2);
    command.command.valid_for_ns = 0;
    ASSERT_SAYS("a command valid for 0 s", client_ask(&c, command));
    command.command.valid_for_ns = INT64_MAX;
    ASSERT_SAYS("at most 5 s", client_ask(&c, command));
    command.kind = CN_WIRE_STEP;
    ASSERT_SAYS("this robot follows the clock: send Command", client_ask(&c, command));
    client_close(&c);
    robot_end(&r);
}

static void test_server_estop_is_latched_until_a_whole_reset(void)
{
    robot r;
    client c, stranger;
    cn_wire_request estop = {.kind = CN_WIRE_ESTOP, .text = "red button"};
    robot_start(&r, true, PERIOD_S);
    client_open(&c, &r);
    client_open(&stranger, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    stranger.version = 1;
    ASSERT_DONE(client_ask(&stranger, estop)); /* anyone may, and of any version */
    stranger.version = CN_PROTOCOL_VERSION;
    CU_ASSERT_EQUAL(stranger.reply.mode, CN_WIRE_ESTOPPED);
    snprintf(estop.text, sizeof estop.text, "another");
    ASSERT_DONE(client_ask(&stranger, estop));
    const cn_wire_request step = client_command(&c, CN_WIRE_STEP, CN_COMMAND_POSITION, 0.1);
    ASSERT_SAYS("emergency stop (red button): reset the robot first", client_ask(&c, step));
    ASSERT_SAYS("emergency stop (red button)", client_reset(&c, true));
    ASSERT_SAYS("no lease", client_reset(&stranger, false));
    CU_ASSERT_EQUAL(stranger.reply.mode, CN_WIRE_ESTOPPED);
    ASSERT_DONE(client_reset(&c, false));
    CU_ASSERT_EQUAL(c.frame.mode, CN_WIRE_HOLDING);
    CU_ASSERT_EQUAL(c.frame.resets, 1);
    ASSERT_DONE(client_ask(&c, step));
    client_close(&c);
    client_close(&stranger);
    robot_end(&r);
}

static cn_status new_goal(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err)
{
    fake_arm *arm = (fake_arm *)plant;
    (void)seed, (void)goal_only, (void)err;
    arm->resets++;
    return CN_OK;
}

/* Where time cannot be moved the arm cannot be put anywhere either: a whole reset amid a motion
 * must not let the filter forget it. */
static void test_server_reset_of_an_arm_in_real_time_breaks_no_limit(void)
{
    char endpoint[64];
    robot r;
    client c;
    robot_path(endpoint, sizeof endpoint);
    memset(&r, 0, sizeof r);
    r.arm = fake_arm_make(PERIOD_S);
    r.arm.plant.advance = NULL; /* so it reads 0 wherever it is sent */
    r.arm.plant.reset = new_goal;
    robot_serve(&r, &(cn_server_config){.endpoint = endpoint});
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_POSITION, 0.4);
    command.command.valid_for_ns = 4000 * MS;
    client_send(&c, command);
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
    robot_wait(&r, 50);
    ASSERT_DONE(client_reset(&c, false));
    ASSERT_DONE(client_reset(&c, true));
    robot_wait(&r, 50);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.resets), 2);
    client_close(&c);
    robot_end(&r);
}

/* A new goal, and the arm is measured beyond the end of its range. */
static cn_status goal_beyond(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err)
{
    (void)seed, (void)goal_only, (void)err;
    ((fake_arm *)plant)->state.position[0] = 5;
    return CN_OK;
}

/* The frame of a reset comes between those of two periods. As no time has passed, what it measures
 * must not pull at the motion as a period's frame does: here half of one would stop it. */
static void test_server_frames_of_resets_pull_at_nothing(void)
{
    char endpoint[64];
    robot r;
    client c;
    robot_path(endpoint, sizeof endpoint);
    memset(&r, 0, sizeof r);
    r.arm = fake_arm_make(10);
    r.arm.plant.advance = NULL;
    r.arm.plant.reset = goal_beyond;
    memset(r.arm.plant.holds_position, 0, sizeof r.arm.plant.holds_position);
    robot_serve(&r, &(cn_server_config){.endpoint = endpoint});
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.3);
    command.command.valid_for_ns = 4000 * MS;
    command.command.command = robot_command(CN_COMMAND_VELOCITY, 0.3, 0, 0);
    client_send(&c, command);
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
    robot_wait(&r, 50);
    ASSERT_DONE(client_reset(&c, true));
    robot_wait(&r, 50);
    CU_ASSERT_TRUE(atomic_load(&r.arm.fastest) > 0.29);
    client_close(&c);
    robot_end(&r);
}

static void test_server_estop_stops_a_moving_arm(void)
{
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.3);
    command.command.valid_for_ns = 4000 * MS;
    client_send(&c, command);
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
    ASSERT_DONE(client_ask(&c, (cn_wire_request){.kind = CN_WIRE_ESTOP}));
    pause_ms(150);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    client_close(&c);
    robot_end(&r);
}

static void test_server_stops_the_arm_when_its_controller_is_killed(void)
{
    char endpoint[64];
    robot r;
    client c;
    robot_path(endpoint, sizeof endpoint);
    const pid_t child = fork(); /* before any thread */
    if (child == 0) {
        cn_link *link = NULL;
        cn_frame frame;
        uint64_t sequence;
        const cn_arm_command command = robot_command(CN_COMMAND_VELOCITY, 0.2, 0.2, 0);
        if (cn_link_connect(endpoint, NULL, 5000, &link, NULL) != CN_OK ||
            cn_link_acquire(link, NULL) != CN_OK)
            _exit(1);
        for (;;) {
            cn_link_frame(link, cn_clock_now() + CN_NS_PER_S, &frame, NULL);
            cn_link_command(link, &command, frame.sequence, 50 * MS, &sequence, NULL);
        }
    }
    robot_start_at(&r, endpoint, false, PERIOD_S);
    client_open(&c, &r);
    bool moving = false;
    for (int i = 0; i < 500 && !moving; i++) {
        pause_ms(10);
        moving = atomic_load(&r.arm.fastest) > 0.15;
    }
    CU_ASSERT_TRUE(moving);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    pause_ms(50 + 50 +
             100); /* the last command's validity, the ramp, a margin for a busy machine */
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    client_close(&c);
    robot_stop(&r);
    CU_ASSERT_TRUE(cn_server_statistics(r.server).watchdog_stops >= 1);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

/* For longer than the test lasts. */
static void set_moving(robot *r)
{
    client c;
    client_open(&c, r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    cn_wire_request command = client_command(&c, CN_WIRE_COMMAND, CN_COMMAND_VELOCITY, 0.3);
    command.command.valid_for_ns = 4000 * MS;
    client_send(&c, command);
    CU_ASSERT_TRUE(wait_mode(&c, CN_WIRE_ACTIVE));
    pause_ms(60);
    CU_ASSERT_TRUE(atomic_load(&r->arm.fastest) > 0.1);
    client_close(&c);
}

static void start_moving(robot *r)
{
    robot_start(r, false, PERIOD_S);
    set_moving(r);
}

static void test_server_stops_the_arm_before_it_ends(void)
{
    robot r;
    start_moving(&r);
    robot_stop(&r);
    CU_ASSERT_EQUAL(r.status, CN_OK);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

/* It ends when the arm is at rest, and not when limits that are never reached would be left: these
 * speak of 1e6 / 200 s. */
static void test_server_ends_as_soon_as_the_arm_is_at_rest(void)
{
    char endpoint[64];
    robot r;
    robot_path(endpoint, sizeof endpoint);
    memset(&r, 0, sizeof r);
    r.arm = fake_arm_make(PERIOD_S);
    for (int j = 0; j < 3; j++) {
        r.arm.plant.info.joint[j].acceleration = 1e6;
        r.arm.plant.info.joint[j].jerk = 200;
    }
    robot_serve(&r, &(cn_server_config){.endpoint = endpoint});
    set_moving(&r);
    robot_stop(&r);
    CU_ASSERT_EQUAL(r.status, CN_OK);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

static void test_server_stops_the_arm_when_its_sensors_break(void)
{
    robot r;
    start_moving(&r);
    atomic_store(&r.arm.deaf, true);
    pthread_join(r.thread, NULL); /* by itself */
    CU_ASSERT_EQUAL(r.status, CN_ERR_IO);
    CU_ASSERT_STRING_EQUAL(r.failure.message, "the fake arm's sensors broke");
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

static void test_server_stops_the_arm_when_a_joint_reads_no_number(void)
{
    robot r;
    start_moving(&r);
    atomic_store(&r.arm.mad, true);
    pthread_join(r.thread, NULL);
    CU_ASSERT_EQUAL(r.status, CN_ERR_FORMAT);
    ASSERT_SAYS("arm 'fake': joint 'wrist' reads position nan", r.failure.message);
    CU_ASSERT_EQUAL(atomic_load(&r.arm.fastest), 0);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
}

/* ---- Clocks and plants ---- */

static void test_server_counts_late_ticks_and_skips_them(void)
{
    robot r;
    client c;
    robot_start(&r, false, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_info(&c));
    atomic_store(&r.arm.slow, true);
    pause_ms(200);
    atomic_store(&r.arm.slow, false);
    client_close(&c);
    robot_stop(&r);
    CU_ASSERT_TRUE(cn_server_statistics(r.server).deadline_misses >= 2);
    CU_ASSERT_EQUAL(r.status, CN_OK);
    robot_free(&r);
}

/* A servo of one tick a second answers between two of them: a request does not wait for the next.
 */
static void test_server_takes_requests_between_ticks(void)
{
    robot r;
    client c;
    char endpoint[64];
    bool between = false;
    robot_path(endpoint, sizeof endpoint);
    memset(&r, 0, sizeof r);
    r.arm = fake_arm_make(1);
    r.arm.plant.info.servo_rate_hz = 1;
    robot_serve(&r, &(cn_server_config){.endpoint = endpoint});
    client_open(&c, &r);
    for (int i = 0; i < 10 && !between; i++) { /* now and then a tick comes between */
        const uint64_t before = atomic_load(&r.arm.commands);
        ASSERT_DONE(client_info(&c));
        pause_ms(50); /* a tick that gave the answer has moved the arm by then */
        between = atomic_load(&r.arm.commands) == before;
    }
    CU_ASSERT_TRUE(between);
    client_close(&c);
    robot_end(&r);
}

static void test_server_tells_the_asker_and_ends_when_the_plant_fails(void)
{
    robot r;
    client c;
    robot_start(&r, true, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_acquire(&c, "tester:1", 10000 * MS));
    r.arm.fail = CN_ERR_PHYSICS;
    const cn_wire_request step = client_command(&c, CN_WIRE_STEP, CN_COMMAND_POSITION, 0.1);
    ASSERT_SAYS("the fake arm broke", client_ask(&c, step));
    CU_ASSERT_FALSE(c.reply.has_frame);
    pthread_join(r.thread, NULL); /* by itself */
    CU_ASSERT_EQUAL(r.status, CN_ERR_PHYSICS);
    CU_ASSERT_STRING_EQUAL(r.failure.message, "the fake arm broke");
    client_close(&c);
    robot_free(&r);
}

static void test_server_refuses_bad_plants(void)
{
    cn_error err = {0};
    fake_arm arm = fake_arm_make(PERIOD_S);
    cn_server *server = NULL;
    const cn_server_config config = {.endpoint = "tcp://127.0.0.1:*", .lockstep = true};
    arm.plant.advance = NULL;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "only a simulated one can go in lockstep",
                    cn_server_create(&config, &arm.plant, &server, &err));
    arm = fake_arm_make(0.0205);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "is 10.25 servo periods",
                    cn_server_create(&config, &arm.plant, &server, &err));
    arm = fake_arm_make(1e-4);
    arm.plant.info.servo_rate_hz = 1e10; /* a period of 0 ns */
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a servo rate of 1e+10 Hz does not go with",
                    cn_server_create(&config, &arm.plant, &server, &err));
    arm = fake_arm_make(PERIOD_S);
    arm.plant.info.joint[0].velocity = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "velocity limit of 0",
                    cn_server_create(&config, &arm.plant, &server, &err));
    CU_ASSERT_PTR_NULL(server);
}

CN_TEST_MAIN(
    "bridge.server", T(test_server_names_every_refusal), T(test_server_survives_garbage),
    T(test_server_goes_on_amid_a_message_of_many_parts),
    T(test_server_survives_a_storm_of_damaged_requests), T(test_server_gives_the_lease_to_one),
    T(test_server_lease_runs_out_only_in_silence),
    T(test_server_watchdog_stops_smoothly_and_newer_command_resumes),
    T(test_server_change_of_mode_breaks_no_limit),
    T(test_server_refuses_a_command_that_was_delayed), T(test_server_stamps_frames_and_commands),
    T(test_server_refuses_what_would_disarm_the_watchdog),
    T(test_server_estop_is_latched_until_a_whole_reset),
    T(test_server_reset_of_an_arm_in_real_time_breaks_no_limit),
    T(test_server_frames_of_resets_pull_at_nothing), T(test_server_estop_stops_a_moving_arm),
    T(test_server_stops_the_arm_when_its_controller_is_killed),
    T(test_server_stops_the_arm_before_it_ends), T(test_server_ends_as_soon_as_the_arm_is_at_rest),
    T(test_server_stops_the_arm_when_its_sensors_break),
    T(test_server_stops_the_arm_when_a_joint_reads_no_number),
    T(test_server_counts_late_ticks_and_skips_them), T(test_server_takes_requests_between_ticks),
    T(test_server_tells_the_asker_and_ends_when_the_plant_fails), T(test_server_refuses_bad_plants))
