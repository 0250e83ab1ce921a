/* Replay: verification finds every bit that differs; playing brings an arm along the path it went,
 * gently at first, in lockstep and in real time, and says why it cannot. */
#include "bridge/replay.h"
#include "tests/bridge/robot.h"

#define PERIOD_S 0.02
#define TICKS    60
#define SPEED    0.5

/* The replay begins within the tolerance of the first pose, 0.02 rad, and the servos then take the
 * commanded path: nothing may be further away than that. */
#define RMSE_LIMIT 0.02

static cn_error err;

/* ---- Verification ---- */

static void double_it(void *policy, const float *observation, float *action)
{
    action[0] = 2 * observation[0];
    action[1] = observation[1] - *(const float *)policy;
}

static void test_verify_compares_bits(void)
{
    const float observations[][2] = {{1, 2}, {3, 4}, {0, 1}, {NAN, 1}};
    float actions[][2] = {{2, 1}, {6, 3}, {0, 0}, {NAN, 0}};
    float one = 1;
    cn_episode_step steps[4] = {0};
    for (int i = 0; i < 4; i++) {
        double_it(&one, observations[i], actions[i]);
        steps[i] = (cn_episode_step){
            .tick = 10 + (uint64_t)i, .observation = observations[i], .action = actions[i]};
    }
    const cn_episode e = {
        .messages = 9, .steps = 4, .step = steps, .observation_size = 2, .action_size = 2};
    cn_verify_report r;
    CN_ASSERT_OK(cn_replay_verify(&e, double_it, &one, 2, 2, &r, &err));
    CU_ASSERT(r.messages == 9 && r.actions_checked == 4 && r.mismatches == 0);
    CU_ASSERT(r.max_abs_error == 0 && r.first_mismatch == -1);

    actions[1][1] = nextafterf(actions[1][1], 10); /* one bit */
    actions[2][1] = -0.0F;                         /* equal, and yet another bit pattern */
    actions[3][0] = 7;                             /* a number where a NaN should be */
    CN_ASSERT_OK(cn_replay_verify(&e, double_it, &one, 2, 2, &r, &err));
    CU_ASSERT(r.actions_checked == 4 && r.mismatches == 3 && r.first_mismatch == 11);
    CU_ASSERT(r.max_abs_error > 0 && r.max_abs_error < 1e-6);
}

static void test_verify_errors(void)
{
    float one = 1;
    cn_episode e = {.observation_size = 2, .action_size = 2};
    cn_verify_report r;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "no policy steps",
                    cn_replay_verify(&e, double_it, &one, 2, 2, &r, &err));
    e.steps = 1;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "2 observations and 2 actions a step, the policy takes 3",
                    cn_replay_verify(&e, double_it, &one, 3, 2, &r, &err));
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "gives 1",
                    cn_replay_verify(&e, double_it, &one, 2, 1, &r, &err));
}

/* ---- Playing ---- */

/* Moves an arm in lockstep along a smooth path from wherever a reset has put it; keeps what a log
 * would. */
static cn_episode record(cn_episode_frame frames[TICKS + 1], cn_episode_command commands[TICKS])
{
    cn_episode e = {.arm = "fake",
                    .control_period_s = PERIOD_S,
                    .frames = TICKS + 1,
                    .commands = TICKS,
                    .frame = frames,
                    .command = commands};
    robot r;
    cn_frame frame;
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    CN_ASSERT_OK(cn_link_reset(link, 2, false, &frame, &err));
    for (int i = 0; i <= TICKS; i++) {
        frames[i] = (cn_episode_frame){.sequence = frame.sequence, .state = frame.state};
        if (i == TICKS)
            break;
        const double wave = 0.2 + 0.1 * sin(0.1 * i);
        commands[i] = (cn_episode_command){
            .sequence = 1 + (uint64_t)i,
            .answers_frame = frame.sequence,
            .command = robot_command(CN_COMMAND_POSITION, wave, 0.4 - wave, 0.2),
        };
        CN_ASSERT_OK(cn_link_step(link, &commands[i].command, &frame, &err));
    }
    cn_link_destroy(&link);
    robot_end(&r);
    return e;
}

/* Somebody who pauses where the log is at `at` (whole ticks), each time for a few questions. */
typedef struct pauses {
    int count, at[2];
    int begun, questions; /* of the pause under way, still to come */
    double last;          /* what was told */
} pauses;

static bool watch(void *self, double seconds)
{
    pauses *p = self;
    CU_ASSERT(seconds >= p->last);
    p->last = seconds;
    if (p->questions > 0)
        return --p->questions == 0;
    if (p->begun == p->count || seconds < p->at[p->begun] * PERIOD_S - 1e-9)
        return true;
    p->begun++;
    p->questions = 3;
    return false;
}

/* Plays the episode to a fresh arm, at rest at zero; *seconds: how long the arm's time went on. */
static cn_play_report play_watched(const cn_episode *e, bool lockstep, double rate, pauses *watcher,
                                   double *seconds)
{
    robot r;
    cn_play_report report;
    robot_start(&r, lockstep, PERIOD_S);
    cn_link *link = robot_link(&r);
    const cn_play_config config = {
        .rate = rate, .speed = SPEED, .watch = watcher ? watch : NULL, .watcher = watcher};
    CN_ASSERT_OK(cn_replay_play(e, link, &config, &report, &err));
    cn_link_destroy(&link);
    robot_stop(&r);
    *seconds = r.arm.state.time_s;
    CU_ASSERT_EQUAL(r.arm.resets, 0);
    CU_ASSERT_EQUAL(r.arm.broken, 0);
    robot_free(&r);
    return report;
}

static cn_play_report play(const cn_episode *e, bool lockstep, double rate, double *seconds)
{
    return play_watched(e, lockstep, rate, NULL, seconds);
}

static void test_play_follows_the_log_in_lockstep(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    double once, slow, fast;
    cn_play_report r = play(&e, true, 1, &once);
    CU_ASSERT_EQUAL(r.commands, TICKS);
    CU_ASSERT_EQUAL(r.deadline_misses, 0);
    CU_ASSERT(r.joint_rmse > 0 && r.joint_rmse < RMSE_LIMIT);
    /* The way there takes at least what half the velocity limit asks for. */
    CU_ASSERT(once >= TICKS * PERIOD_S + 1.875 * 0.2 / (SPEED * 0.5) - 1e-6);

    /* Half the rate takes the path's time once more, twice the rate half of it; at twice the rate
     * every second command is passed over. */
    r = play(&e, true, 0.5, &slow);
    CU_ASSERT_EQUAL(r.commands, TICKS);
    CU_ASSERT_DOUBLE_EQUAL(slow - once, TICKS * PERIOD_S, 1e-6);
    r = play(&e, true, 2, &fast);
    CU_ASSERT(r.commands >= TICKS / 2 && r.commands <= TICKS / 2 + 1);
    CU_ASSERT_DOUBLE_EQUAL(once - fast, TICKS * PERIOD_S / 2, PERIOD_S);
}

static void test_play_follows_the_log_in_real_time(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    double seconds;
    const cn_play_report r = play(&e, false, 1, &seconds);
    /* A loaded machine may miss periods; what was not missed was sent. */
    CU_ASSERT(r.commands <= TICKS && r.commands + r.deadline_misses >= TICKS);
    CU_ASSERT(r.commands > TICKS / 2);
    CU_ASSERT(r.joint_rmse < RMSE_LIMIT);
}

/* A pause loses no command, and after it the arm is brought to where the log goes on. */
static void test_play_goes_on_after_a_pause(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    pauses two = {.count = 2, .at = {TICKS / 3, TICKS / 2}}, early = {.count = 1, .at = {0}};
    double once, paused;
    play(&e, true, 1, &once);
    cn_play_report r = play_watched(&e, true, 1, &two, &paused);
    CU_ASSERT_EQUAL(two.begun, 2);
    CU_ASSERT_EQUAL(r.commands, TICKS);
    CU_ASSERT(r.joint_rmse > 0 && r.joint_rmse < RMSE_LIMIT);
    CU_ASSERT(paused > once);
    r = play_watched(&e, true, 1, &early, &paused); /* before anything has moved */
    CU_ASSERT_EQUAL(r.commands, TICKS);
    CU_ASSERT_DOUBLE_EQUAL(paused, once, 1e-6);
    frames[TICKS / 2].sequence = 0; /* where to go on from was not logged */
    two.begun = 0;
    two.last = 0;
    r = play_watched(&e, true, 1, &two, &paused);
    CU_ASSERT_EQUAL(r.commands, TICKS);
}

/* A pause gives the lease back and leaves the arm standing; others may have it meanwhile. */
typedef struct visitor {
    cn_link *link;
    int asked;
    cn_frame first, last;
} visitor;

static bool visit(void *self, double seconds)
{
    enum { STANDS = 20, OVER = 30 }; /* questions, 20 a second */
    visitor *v = self;
    if (seconds < TICKS / 2 * PERIOD_S || v->asked == OVER)
        return true;
    v->asked++;
    if (v->asked == STANDS || v->asked == OVER) {
        cn_frame *frame = v->asked == OVER ? &v->last : &v->first;
        CN_ASSERT_OK(cn_link_acquire(v->link, &err));
        CN_ASSERT_OK(cn_link_reset(v->link, 0, true, frame, &err));
        CN_ASSERT_OK(cn_link_release(v->link, &err));
    }
    return false;
}

static void test_play_stands_still_in_a_pause(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    robot r;
    cn_play_report report;
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    visitor v = {.link = robot_link(&r)};
    const cn_play_config config = {.rate = 1, .speed = SPEED, .watch = visit, .watcher = &v};
    CN_ASSERT_OK(cn_replay_play(&e, link, &config, &report, &err));
    for (int j = 0; j < 3; j++) {
        CU_ASSERT_DOUBLE_EQUAL(v.first.state.position[j], v.last.state.position[j], 1e-3);
        CU_ASSERT(fabs(v.first.state.velocity[j]) < 1e-3);
    }
    CU_ASSERT(report.commands > TICKS / 2 && report.joint_rmse < RMSE_LIMIT);
    cn_link_destroy(&v.link);
    cn_link_destroy(&link);
    robot_end(&r);
}

/* Frames that were lost to the log, and commands that answer none of it. */
static void test_play_needs_no_complete_log(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    cn_episode e = record(frames, commands);
    double seconds;
    e.frames = 1;
    commands[7].answers_frame = commands[8].answers_frame = 0;
    const cn_play_report r = play(&e, true, 1, &seconds);
    CU_ASSERT(r.commands >= TICKS - 2 && r.commands <= TICKS);
    CU_ASSERT_EQUAL(r.joint_rmse, 0);
}

static void expect_refused(const cn_episode *e, double rate, double speed, cn_status code,
                           const char *words)
{
    robot r;
    cn_play_report report;
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    const cn_play_config config = {.rate = rate, .speed = speed};
    CN_ASSERT_FAILS(code, words, cn_replay_play(e, link, &config, &report, &err));
    CU_ASSERT_EQUAL(report.commands, 0);
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_play_refuses_another_arm(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode good = record(frames, commands);
    cn_episode e = good;
    strcpy(e.arm, "jaco");
    expect_refused(&e, 1, 1, CN_ERR_MISMATCH, "the arm 'jaco', the robot is a 'fake'");
    e = good;
    e.control_period_s = 0.05;
    expect_refused(&e, 1, 1, CN_ERR_MISMATCH, "control period is 0.05 s, the robot's 0.02 s");
    e = good;
    e.commands = 0;
    expect_refused(&e, 1, 1, CN_ERR_NOT_FOUND, "0 commands and 61 frames");
    expect_refused(&good, 0, 1, CN_ERR_ARGUMENT, "a rate of 0");
    expect_refused(&good, NAN, 1, CN_ERR_ARGUMENT, "a rate of");
    expect_refused(&good, 1, 1.5, CN_ERR_ARGUMENT, "a speed of 1.5");
    frames[0].state.joints = 2;
    expect_refused(&good, 1, 1, CN_ERR_MISMATCH, "2 joints, the robot 'fake' has 3");
}

/* The first pose lies beyond a joint's range. */
static void test_play_names_the_joint_that_stays_away(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    frames[0].state.position[2] = 0.6;
    expect_refused(&e, 1, 1, CN_ERR_TIMEOUT, "joint 'rail' does not reach");
}

static void test_play_stops_when_told(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    const atomic_bool stop = true;
    const cn_play_config stopped = {.rate = 1, .speed = 1, .stop = &stop};
    const cn_play_config config = {.rate = 1, .speed = 1};
    robot r;
    cn_play_report report;
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_FAILS(CN_ERR_CANCELLED, "holds its pose",
                    cn_replay_play(&e, link, &stopped, &report, &err));
    CN_ASSERT_OK(cn_link_acquire(link, &err)); /* the lease is free again */
    CN_ASSERT_OK(cn_link_estop(link, "test", &err));
    CN_ASSERT_FAILS(CN_ERR_SAFETY, "emergency stop",
                    cn_replay_play(&e, link, &config, &report, &err));
    cn_link_destroy(&link);
    robot_end(&r);
}

static void test_play_notices_a_lost_robot(void)
{
    static cn_episode_frame frames[TICKS + 1];
    static cn_episode_command commands[TICKS];
    const cn_episode e = record(frames, commands);
    const cn_play_config config = {.rate = 1, .speed = 1};
    robot r;
    cn_play_report report;
    robot_start(&r, false, PERIOD_S);
    cn_link *link = robot_link(&r);
    robot_stop(&r);
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "has not answered",
                    cn_replay_play(&e, link, &config, &report, &err));
    cn_link_destroy(&link);
    robot_free(&r);
}

CN_TEST_MAIN("bridge.replay", T(test_verify_compares_bits), T(test_verify_errors),
             T(test_play_follows_the_log_in_lockstep), T(test_play_follows_the_log_in_real_time),
             T(test_play_goes_on_after_a_pause), T(test_play_stands_still_in_a_pause),
             T(test_play_needs_no_complete_log), T(test_play_refuses_another_arm),
             T(test_play_names_the_joint_that_stays_away), T(test_play_stops_when_told),
             T(test_play_notices_a_lost_robot))
