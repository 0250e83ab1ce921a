/* The live control loop against a robot that follows the clock. */
#include "bridge/control.h"
#include "bridge/episode.h"
#include "tests/bridge/robot.h"

#define PERIOD_S 0.05 /* a busy machine sleeps through commands of a shorter one */

enum { FRAME_TICKS = 25 /* servo ticks of 2 ms a period */ };

typedef struct fixture {
    robot r;
    cn_link *link;
    fake_task task;
    cn_robot_observer observer;
    cn_control_config config;
    cn_control_report report;
    atomic_bool stop;
    _Atomic uint64_t acted;
    uint64_t last_act; /* after so many the control stops; 0: it does not count */
    int progressed;
} fixture;

/* Drives the base towards the target: the observation is three joints and the target's x. */
static void act(void *policy, const float *observation, float *action)
{
    fixture *f = policy;
    if (++f->acted == f->last_act)
        atomic_store(&f->stop, true);
    action[0] = 10 * (observation[3] - observation[0]);
    action[1] = action[2] = 0;
}

static void progress(void *ctx, double seconds, uint64_t ticks, uint64_t misses)
{
    fixture *f = ctx;
    CU_ASSERT_TRUE(seconds >= 1);
    CU_ASSERT_EQUAL(ticks, f->acted);
    CU_ASSERT_EQUAL(misses, f->report.deadline_misses);
    f->progressed++;
}

static void setup(fixture *f, double seconds, int step_limit)
{
    memset(f, 0, sizeof *f);
    robot_start(&f->r, false, PERIOD_S);
    f->link = robot_link(&f->r);
    f->task.step_limit = step_limit;
    f->observer = fake_observer(&f->task, PERIOD_S);
    f->config = (cn_control_config){
        .seconds = seconds,
        .seed = 3,
        .act = act,
        .policy = f,
        .stop = &f->stop,
    };
}

static void teardown(fixture *f)
{
    cn_link_destroy(&f->link);
    robot_end(&f->r);
}

static void test_control_reports_what_it_did(void)
{
    fixture f;
    cn_error err = {0};
    setup(&f, 1.3, 1000000);
    f.config.progress = progress;
    f.config.progress_ctx = &f;
    const int64_t start = cn_clock_now();
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    const double elapsed_s = (double)(cn_clock_now() - start) * 1e-9;
    const cn_control_report *report = &f.report;
    CU_ASSERT_EQUAL(report->end, CN_CONTROL_TIME);
    CU_ASSERT_EQUAL(report->ticks, f.acted);
    CU_ASSERT_EQUAL(report->latency.count, report->ticks);
    CU_ASSERT_EQUAL(report->period.count, report->ticks - 1);
    /* Every period that the robot has gone through has a command or counts as missed; the first and
     * the last are cut off. */
    const double periods = (f.task.last_s - f.task.first_s) / PERIOD_S;
    CU_ASSERT_TRUE(periods > 0);
    CU_ASSERT_TRUE((double)(report->ticks + report->deadline_misses) > periods - 1);
    const double commanded_s =
        cn_histogram_mean(&report->period) * 1e-9 * (double)report->period.count;
    CU_ASSERT_TRUE(commanded_s > 0.8 * (periods - 1) * PERIOD_S && commanded_s < elapsed_s);
    CU_ASSERT_TRUE(cn_histogram_quantile(&report->latency, 0.5) > 0);
    CU_ASSERT_TRUE(f.progressed >= 1);
    CU_ASSERT_EQUAL(f.task.begun, 1);
    robot_stop(&f.r);
    CU_ASSERT_EQUAL(f.r.arm.resets, 1);
    CU_ASSERT_EQUAL(f.r.arm.seed, 3);
    const cn_server_stats stats = cn_server_statistics(f.r.server);
    CU_ASSERT_EQUAL(stats.commands_applied, report->ticks);
    CU_ASSERT_TRUE(report->ticks + report->deadline_misses <=
                   1 + stats.frames + report->stale_frames);
    CU_ASSERT_EQUAL(stats.commands_refused, 0);
    CU_ASSERT_EQUAL(stats.command_age.count, report->ticks);
    for (int i = 0; i < CN_REFUSALS; i++)
        CU_ASSERT_EQUAL(report->refused[i], 0);
    /* Robot and controller are one machine here: the clocks are the same, and that is found. */
    const cn_clocks_estimate *clock = &report->clock;
    CU_ASSERT_TRUE(clock->known);
    CU_ASSERT_EQUAL(clock->jumps, 0);
    CU_ASSERT_TRUE(clock->samples > report->ticks / 2 && clock->samples <= report->ticks);
    CU_ASSERT_TRUE(llabs(clock->offset_ns) <= clock->uncertainty_ns);
    CU_ASSERT_EQUAL(report->to_robot.count + report->from_robot.count + report->negative,
                    2 * clock->samples);
    /* The servo's periods, as the robot measured and told them, are no shorter than they should be,
     * less a histogram's bin. */
    CU_ASSERT_TRUE(stats.period.count > 0);
    CU_ASSERT_TRUE((double)report->servo.max >= 0.9e9 / f.r.arm.plant.info.servo_rate_hz);
    CU_ASSERT_TRUE(report->servo.p50 <= report->servo.p99);
    CU_ASSERT_TRUE(report->servo.p99 <= report->servo.max);
    CU_ASSERT_TRUE(report->servo.max <= stats.period.max);
    CU_ASSERT_EQUAL(f.r.arm.broken, 0);
    CU_ASSERT_EQUAL(atomic_load(&f.r.arm.fastest), 0); /* left standing */
    CU_ASSERT_TRUE(fabs(f.r.arm.state.position[0] - f.r.arm.state.point[0][0]) < 0.05);
    cn_link_destroy(&f.link);
    robot_free(&f.r);
}

static void test_control_goes_on_with_new_goals_in_one_motion(void)
{
    fixture f;
    cn_error err = {0};
    setup(&f, INFINITY, 15);
    f.last_act = 35;
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    CU_ASSERT_EQUAL(f.report.goals, 2);
    CU_ASSERT_EQUAL(f.task.begun, 1);
    CU_ASSERT_EQUAL(f.task.continued, f.report.goals);
    CU_ASSERT_EQUAL(f.r.arm.resets, 1);
    CU_ASSERT_EQUAL(f.r.arm.goals, f.report.goals);
    CU_ASSERT_EQUAL(f.r.arm.seed, 3 + f.report.goals);
    CU_ASSERT_TRUE(f.report.successes <= f.report.goals);
    CU_ASSERT_TRUE(f.report.ticks >= 15 * f.report.goals);
    teardown(&f);
}

/* Every frame, command and decision is in the log, and each decision names its frame and command.
 */
static void test_control_logs_every_decision(void)
{
    fixture f;
    cn_error err = {0};
    cn_log *log = NULL;
    cn_episode *episode = NULL;
    char path[] = "/tmp/colonnade-control-XXXXXX";
    const int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
    setup(&f, INFINITY, 15);
    f.last_act = 20;
    const cn_log_about about = {
        .task = "touch",
        .task_file = "",
        .arm = "fake",
        .policy_file = "",
        .policy_checksum = "",
        .robot = f.r.endpoint,
        .control_period_s = PERIOD_S,
    };
    CN_ASSERT_OK(cn_log_create(path, &about, &log, &err));
    f.config.log = log;
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    CU_ASSERT_EQUAL(cn_log_dropped(log), 0);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_OK(cn_episode_load(path, &episode, &err));
    CU_ASSERT_EQUAL(episode->steps, (int)f.report.ticks);
    CU_ASSERT_EQUAL(episode->commands, (int)f.report.ticks);
    CU_ASSERT_TRUE(episode->frames >= episode->steps);
    CU_ASSERT_EQUAL(episode->events,
                    2 + (int)f.report.goals); /* first goal, further ones, the end */
    CU_ASSERT_EQUAL(episode->observation_size, 4);
    for (int i = 0, k = 0; i < episode->steps; i++) {
        const cn_episode_step *step = &episode->step[i];
        while (k < episode->frames - 1 && episode->frame[k].sequence < step->frame)
            k++;
        CU_ASSERT_EQUAL(episode->frame[k].sequence, step->frame);
        CU_ASSERT_EQUAL(step->observation[0], (float)episode->frame[k].state.position[0]);
        CU_ASSERT_EQUAL(episode->command[i].sequence, step->command);
        CU_ASSERT_EQUAL(episode->command[i].answers_frame, step->frame);
        CU_ASSERT_EQUAL(step->tick, (uint64_t)i);
    }
    cn_episode_destroy(&episode);
    remove(path);
    teardown(&f);
}

/* For another thread: the control is in its loop then. */
static void wait_acts(const fixture *f)
{
    while (atomic_load(&f->acted) < 5)
        cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 1000);
}

static void *interrupt(void *data)
{
    fixture *f = data;
    wait_acts(f);
    atomic_store(&f->stop, true);
    return NULL;
}

static void test_control_stops_when_told(void)
{
    fixture f;
    cn_error err = {0};
    pthread_t thread;
    setup(&f, INFINITY, 1000000);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, interrupt, &f), 0);
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(f.report.end, CN_CONTROL_INTERRUPTED);
    CU_ASSERT_STRING_EQUAL(cn_control_end_words(f.report.end), "interrupted");
    CU_ASSERT_TRUE(f.report.ticks > 0);
    teardown(&f);
}

static void *estop(void *data)
{
    const fixture *f = data;
    cn_error err = {0};
    cn_link *other = robot_link(&f->r);
    wait_acts(f);
    CN_ASSERT_OK(cn_link_estop(other, "test", &err));
    cn_link_destroy(&other);
    return NULL;
}

static void test_control_ends_with_an_emergency_stop(void)
{
    fixture f;
    cn_error err = {0};
    pthread_t thread;
    setup(&f, 20, 1000000);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, estop, &f), 0);
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(f.report.end, CN_CONTROL_ROBOT_HELD);
    CU_ASSERT_STRING_EQUAL(cn_control_end_words(f.report.end), "safety");
    teardown(&f);
}

static void *lose(void *data)
{
    fixture *f = data;
    wait_acts(f);
    robot_stop(&f->r);
    return NULL;
}

static void test_control_notices_a_lost_robot(void)
{
    fixture f;
    cn_error err = {0};
    pthread_t thread;
    setup(&f, 20, 1000000);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, lose, &f), 0);
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(f.report.end, CN_CONTROL_ROBOT_LOST);
    CU_ASSERT_STRING_EQUAL(cn_control_end_words(f.report.end), "robot lost");
    CU_ASSERT_TRUE(f.report.stale_frames > 10);
    CU_ASSERT_TRUE(f.report.deadline_misses >= f.report.stale_frames);
    cn_link_destroy(&f.link);
    CU_ASSERT_EQUAL(f.r.status, CN_OK);
    robot_free(&f.r);
}

/* A policy that takes two periods misses one of them, and the report says so. */
static void slow_act(void *policy, const float *observation, float *action)
{
    const fixture *f = policy;
    robot_wait(&f->r, 2 * FRAME_TICKS);
    act(policy, observation, action);
}

static void test_control_counts_the_periods_a_slow_policy_misses(void)
{
    fixture f;
    cn_error err = {0};
    setup(&f, INFINITY, 1000000);
    f.config.act = slow_act;
    f.last_act = 15;
    CN_ASSERT_OK(cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    CU_ASSERT_EQUAL(f.report.end, CN_CONTROL_INTERRUPTED);
    CU_ASSERT_EQUAL(f.report.ticks, 15);
    CU_ASSERT_TRUE(f.report.deadline_misses >= 7); /* the last frames may be on their way still */
    teardown(&f);
}

static void test_control_refuses_lockstep_and_strangers(void)
{
    fixture f;
    cn_error err = {0};
    setup(&f, 1, 100);
    f.config.seconds = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "control for 0 seconds",
                    cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    f.config.seconds = 1;
    snprintf(f.observer.joint[1], CN_NAME, "elbow");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "joint 1 is 'elbow' in the task and 'wrist' on the robot",
                    cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    cn_link *first = robot_link(&f.r);
    CN_ASSERT_OK(cn_link_acquire(first, &err));
    f.observer = fake_observer(&f.task, PERIOD_S);
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "holds the lease",
                    cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    cn_link_destroy(&first);
    teardown(&f);

    robot_start(&f.r, true, PERIOD_S);
    f.link = robot_link(&f.r);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "lockstep",
                    cn_control_run(f.link, &f.observer, &f.config, &f.report, &err));
    teardown(&f);
}

CN_TEST_MAIN("bridge.control", T(test_control_reports_what_it_did),
             T(test_control_goes_on_with_new_goals_in_one_motion),
             T(test_control_logs_every_decision), T(test_control_stops_when_told),
             T(test_control_ends_with_an_emergency_stop), T(test_control_notices_a_lost_robot),
             T(test_control_counts_the_periods_a_slow_policy_misses),
             T(test_control_refuses_lockstep_and_strangers))
