/* Nothing of ours is allocated, and no file is touched, in what runs at servo or control rate, on
 * either end of the wire. Server and controller are two threads of this program. */
#include "bridge/control.h"
#include "tests/allocations.h"
#include "tests/bridge/robot.h"

#define PERIOD_S 0.02

enum { WARM_UP = 5 /* steps, for what happens once */ };

static void test_lockstep_steps_allocate_nothing(void)
{
    robot r;
    cn_error err = {0};
    fake_task task = {.step_limit = 1000};
    const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
    const float action[3] = {1, -1, 0};
    float observation[4];
    cn_env_step step;
    cn_env *env = NULL;
    robot_start(&r, true, PERIOD_S);
    cn_link *link = robot_link(&r);
    CN_ASSERT_OK(cn_robot_env_create(link, &observer, &env, &err));
    CN_ASSERT_OK(env->reset(env, 1, observation, &err));
    long before = 0;
    for (int i = 0; i < 300; i++) {
        if (i == WARM_UP)
            before = atomic_load(&allocations);
        CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
    }
    CU_ASSERT_TRUE(before > 0); /* creating was counted */
    CU_ASSERT_EQUAL(atomic_load(&allocations) - before, 0);
    cn_env_destroy(&env);
    cn_link_destroy(&link);
    robot_end(&r);
}

/* ---- Real time ---- */

/* What a thread has asked for so far. */
typedef struct use {
    long allocations, file_calls; /* of our own code */
    long read, reads; /* bytes and system calls, of whatever code, as the kernel has it */
    long written, writes;
} use;

/* The kernel's count, less the reading of it. */
static void read_io(use *u)
{
    static _Thread_local long own_bytes, own_calls;
    char text[512];
    const int fd = __real_open("/proc/thread-self/io", O_RDONLY);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    const ssize_t size = __real_read(fd, text, sizeof text - 1);
    close(fd);
    CU_ASSERT_TRUE_FATAL(size > 0);
    text[size] = '\0';
    CU_ASSERT_EQUAL_FATAL(sscanf(text, "rchar: %ld wchar: %ld syscr: %ld syscw: %ld", &u->read,
                                 &u->written, &u->reads, &u->writes),
                          4);
    u->read -= own_bytes;
    u->reads -= own_calls;
    own_bytes += size;
    own_calls++;
}

/* The use of a thread when it had warmed up, and now. */
typedef struct watch {
    int looks;
    use first, last;
} watch;

static void look(watch *w)
{
    w->last = (use){.allocations = allocations_here, .file_calls = file_calls_here};
    read_io(&w->last);
    if (w->looks++ == WARM_UP)
        w->first = w->last;
}

/* ZeroMQ's threads wake each other by numbers of 8 bytes through a descriptor; a file is read and
 * written in other portions. */
static void expect_no_use(const watch *w)
{
    enum { WAKE_UP = 8 };
    const use *a = &w->first, *b = &w->last;
    CU_ASSERT_TRUE(w->looks > 2 * WARM_UP);
    CU_ASSERT_EQUAL(b->allocations - a->allocations, 0);
    CU_ASSERT_EQUAL(b->file_calls - a->file_calls, 0);
    CU_ASSERT_TRUE(b->writes > a->writes); /* the kernel does count this thread */
    CU_ASSERT_TRUE(b->read - a->read <= WAKE_UP * (b->reads - a->reads));
    CU_ASSERT_TRUE(b->written - a->written <= WAKE_UP * (b->writes - a->writes));
}

typedef struct logged {
    cn_log *log;
    char path[64];
} logged;

/* Robot and controller, each watched on its own thread: by the plant, by the policy. */
typedef struct fixture {
    robot r; /* first: the plant is the beginning of it */
    watch server, controller;
    fake_task task;
    logged robot_log, control_log;
} fixture;

static cn_status watched_command(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    look(&((fixture *)plant)->server);
    return fake_command(plant, command, err);
}

/* Drives to the target; now and then its command is none, so that refusals are counted as well. */
static void watched_act(void *policy, const float *observation, float *action)
{
    fixture *f = policy;
    look(&f->controller);
    for (int j = 0; j < 3; j++)
        action[j] = observation[3] - observation[j];
}

static void command_sometimes_mad(void *self, const float *action, cn_arm_command *out)
{
    const fake_task *task = self;
    fake_act(self, action, out);
    if (task->steps % 8 == 7)
        out->target[0] = NAN;
}

/* A log in a file of its own. */
static void open_log(logged *l)
{
    cn_error err = {0};
    snprintf(l->path, sizeof l->path, "/tmp/colonnade-allocations-XXXXXX");
    const int fd = mkstemp(l->path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
    const cn_log_about about = {
        .task = "touch",
        .task_file = "",
        .arm = "fake",
        .policy_file = "",
        .policy_checksum = "",
        .robot = "",
        .control_period_s = PERIOD_S,
    };
    CN_ASSERT_OK(cn_log_create(l->path, &about, &l->log, &err));
}

static void close_log(logged *l)
{
    cn_error err = {0};
    CN_ASSERT_OK(cn_log_finish(&l->log, &err));
    CU_ASSERT_EQUAL(remove(l->path), 0);
}

static void setup(fixture *f)
{
    char endpoint[64];
    memset(f, 0, sizeof *f);
    f->task.step_limit = 10; /* with new goals in between */
    open_log(&f->robot_log);
    open_log(&f->control_log);
    robot_path(endpoint, sizeof endpoint);
    f->r.arm = fake_arm_make(PERIOD_S);
    f->r.arm.plant.command = watched_command;
    robot_serve(&f->r, &(cn_server_config){.endpoint = endpoint, .log = f->robot_log.log});
}

/* With everything that runs beside it: a log each, new goals, refusals, the estimate of the clock.
 */
static void test_real_time_allocates_nothing_and_reaches_for_no_file(void)
{
    fixture f;
    cn_error err = {0};
    cn_control_report report;
    setup(&f);
    cn_robot_observer observer = fake_observer(&f.task, PERIOD_S);
    observer.command = command_sometimes_mad;
    const cn_control_config config = {
        .seconds = 3, .act = watched_act, .policy = &f, .log = f.control_log.log};
    cn_link *link = robot_link(&f.r);
    CN_ASSERT_OK(cn_control_run(link, &observer, &config, &report, &err));
    CU_ASSERT_TRUE(report.goals > 0);
    CU_ASSERT_TRUE(report.refused[CN_REFUSAL_NOT_FINITE] > 0);
    CU_ASSERT_TRUE(report.clock.samples > 0);
    expect_no_use(&f.controller);
    cn_link_destroy(&link);
    robot_stop(&f.r);
    expect_no_use(&f.server);
    CU_ASSERT_EQUAL(f.r.status, CN_OK);
    robot_free(&f.r);
    close_log(&f.robot_log);
    close_log(&f.control_log);
}

/* What reaches for a file is seen in both ways: the test above can fail. */
static void test_files_are_noticed(void)
{
    char path[] = "/tmp/colonnade-allocations-XXXXXX", text[] = "more than eight bytes";
    use before = {.file_calls = file_calls_here}, after;
    const int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    read_io(&before);
    CU_ASSERT_EQUAL(write(fd, text, sizeof text), (ssize_t)sizeof text);
    CU_ASSERT_EQUAL(pread(fd, text, sizeof text, 0), (ssize_t)sizeof text);
    read_io(&after);
    close(fd);
    CU_ASSERT_EQUAL(file_calls_here - before.file_calls, 2);
    CU_ASSERT_EQUAL(after.written - before.written, (long)sizeof text);
    CU_ASSERT_EQUAL(after.read - before.read, (long)sizeof text);
    CU_ASSERT_EQUAL(after.writes - before.writes, 1);
    CU_ASSERT_EQUAL(after.reads - before.reads, 1);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

CN_TEST_MAIN("bridge.allocations", T(test_lockstep_steps_allocate_nothing),
             T(test_real_time_allocates_nothing_and_reaches_for_no_file), T(test_files_are_noticed))
