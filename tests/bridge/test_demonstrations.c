/* Demonstrations: what a log becomes, at the ends of goals above all, and which logs are refused.
 */
#include <unistd.h>

#include "bridge/demonstrations.h"
#include "bridge/log.h"
#include "proto/robot.pb-c.h"
#include "tests/bridge/robot.h"

#define PERIOD_S 0.05

static cn_error err;
static char path[] = "/tmp/cn-test-demonstrations-XXXXXX";

static const cn_log_about about = {
    .task = "touch",
    .task_file = "",
    .arm = "fake",
    .policy_file = "",
    .policy_checksum = "",
    .robot = "",
    .control_period_s = PERIOD_S,
};

static cn_log *begin_log(const cn_log_about *of)
{
    cn_log *log = NULL;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    CN_ASSERT_OK(cn_log_create(path, of, &log, &err));
    return log;
}

/* Frame i: the joints are at i/100, i/100 + 1, i/100 + 2, the target is at 1. */
static double position_of(int i, int joint)
{
    return 0.01 * i + joint;
}

static void put_frame(cn_log *log, int i, uint64_t resets)
{
    uint8_t bytes[1024];
    double position[3], point[3] = {1, 0, 0};
    for (int j = 0; j < 3; j++)
        position[j] = position_of(i, j);
    Colonnade__V1__NamedVector target = COLONNADE__V1__NAMED_VECTOR__INIT, *vectors[] = {&target};
    target.name = "target";
    target.n_value = 3;
    target.value = point;
    Colonnade__V1__SensorFrame m = COLONNADE__V1__SENSOR_FRAME__INIT;
    m.sequence = 100 + (uint64_t)i;
    m.n_position = 3;
    m.position = position;
    m.n_vectors = 1;
    m.vectors = vectors;
    m.resets = resets;
    const size_t size = colonnade__v1__sensor_frame__pack(&m, bytes);
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, (uint32_t)i, bytes, (uint32_t)size));
}

/* The decision on frame i, as the fake observer sees it; its action is beyond the bound. */
static void put_step(cn_log *log, int i, float reward)
{
    const float observation[4] = {(float)position_of(i, 0), (float)position_of(i, 1),
                                  (float)position_of(i, 2), 1.0f};
    const float action[3] = {0.1f * (float)i, 2.0f, -3.0f};
    const cn_log_step step = {
        .frame = 100 + (uint64_t)i,
        .observation = observation,
        .observation_size = 4,
        .action = action,
        .action_size = 3,
        .reward = reward,
    };
    CU_ASSERT_TRUE(cn_log_policy_step(log, &step));
}

static cn_status load(fake_task *task, cn_replay **out)
{
    const cn_robot_observer observer = fake_observer(task, PERIOD_S);
    const char *const paths[] = {path};
    return cn_demonstrations_load(paths, 1, &observer, out, &err);
}

/* Row `row` leads from frame i to frame next. */
static void check_row(const cn_replay *demos, int row, int i, int next, float reward)
{
    const cn_transition t = cn_replay_at(demos, row);
    CU_ASSERT_EQUAL(t.observation[0], (float)position_of(i, 0));
    CU_ASSERT_EQUAL(t.next[0], (float)position_of(next, 0));
    CU_ASSERT_EQUAL(t.next[3], 1.0f);
    CU_ASSERT_EQUAL(t.action[0], 0.1f * (float)i);
    CU_ASSERT_EQUAL(t.action[1], 1.0f);
    CU_ASSERT_EQUAL(t.action[2], -1.0f);
    CU_ASSERT_DOUBLE_EQUAL(t.reward, reward, 1e-6);
    CU_ASSERT_FALSE(t.terminated);
}

/* Two goals. The first: decisions on frames 0, 1 and 3 (2 was missed), then frame 4 ends it. The
 * second: a decision on frame 5, and the log's end on frame 6. */
static void test_goals_end_with_what_the_observer_sees(void)
{
    cn_replay *demos = NULL;
    fake_task task = {.step_limit = 100};
    cn_log *log = begin_log(&about);
    for (int i = 0; i <= 6; i++) {
        put_frame(log, i, i < 5 ? 1 : 2);
        if (i != 2 && i != 4 && i != 6)
            put_step(log, i, 10.0f + (float)i);
    }
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_OK(load(&task, &demos));
    CU_ASSERT_EQUAL_FATAL(cn_replay_count(demos), 4);
    check_row(demos, 0, 0, 1, 11.0f); /* rewards are logged with the step that saw them, */
    check_row(demos, 1, 1, 2, (float)-fabs(position_of(2, 0) - 1.0)); /* or the observer's */
    check_row(demos, 2, 3, 4, (float)-fabs(position_of(4, 0) - 1.0));
    check_row(demos, 3, 5, 6, (float)-fabs(position_of(6, 0) - 1.0));
    CU_ASSERT_EQUAL(task.begun, 1);
    CU_ASSERT_EQUAL(task.continued, 1);
    cn_replay_destroy(&demos);
    unlink(path);
}

/* Frames that were dropped take their steps along, and the steps before them: what came of those
 * was not seen after one period. */
static void test_dropped_frames(void)
{
    cn_replay *demos = NULL;
    fake_task task = {.step_limit = 100};
    cn_log *log = begin_log(&about);
    for (int i = 0; i < 6; i++) {
        if (i != 2)
            put_frame(log, i, 1);
        put_step(log, i, (float)i);
    }
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_OK(load(&task, &demos));
    CU_ASSERT_EQUAL_FATAL(cn_replay_count(demos), 3); /* the last step's outcome is not there */
    check_row(demos, 0, 0, 1, 1.0f);
    check_row(demos, 1, 3, 4, 4.0f);
    check_row(demos, 2, 4, 5, 5.0f);
    cn_replay_destroy(&demos);
    unlink(path);
}

/* ---- A walk ---- */

typedef struct taken {
    int count, refuse_at;
    cn_demonstration d[8];
} taken;

static cn_status take(void *self, const cn_demonstration *d, cn_error *e)
{
    taken *t = self;
    CN_FAIL_IF(t->count == t->refuse_at, CN_ERR_IO, e, "no more than %d", t->count);
    t->d[t->count++] = *d;
    return CN_OK;
}

/* Decisions on frames 97 to 99, of which 98 was not logged; frame 100 is at the target. */
static void test_a_walk_says_where_it_is(void)
{
    fake_task task = {.step_limit = 100};
    const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
    cn_episode *episode;
    taken all = {.refuse_at = -1}, few = {.refuse_at = 1};
    cn_log *log = begin_log(&about);
    for (int i = 96; i <= 100; i++) {
        if (i != 98)
            put_frame(log, i, 7);
        if (i < 100)
            put_step(log, i, 0);
    }
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_OK(cn_episode_load(path, &episode, &err));
    CN_ASSERT_OK(cn_demonstrations_walk(episode, &observer, take, &all, &err));
    CU_ASSERT_EQUAL_FATAL(all.count, 2);
    CU_ASSERT(all.d[0].step == 0 && all.d[0].frame == 0 && all.d[0].next == 1);
    CU_ASSERT(all.d[1].step == 3 && all.d[1].frame == 2 && all.d[1].next == 3);
    CU_ASSERT_FALSE(all.d[0].success);
    CU_ASSERT_TRUE(all.d[1].success);
    CN_ASSERT_FAILS(CN_ERR_IO, "no more than 1",
                    cn_demonstrations_walk(episode, &observer, take, &few, &err));
    strcpy(episode->point[0], "ball");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "tracked point 1 is 'ball', the task's is 'target'",
                    cn_demonstrations_walk(episode, &observer, take, &all, &err));
    CU_ASSERT_EQUAL(all.count, 2);
    cn_episode_destroy(&episode);
    unlink(path);
}

/* ---- Refusals ---- */

/* Every other frame is missing: no step is followed by what came of it. */
static void test_a_log_without_transitions(void)
{
    cn_replay *demos = NULL;
    fake_task task = {.step_limit = 100};
    cn_log *log = begin_log(&about);
    for (int i = 0; i < 6; i += 2) {
        put_frame(log, i, 1);
        put_step(log, i, (float)i);
    }
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "none of its 3 policy steps is followed by the next frame",
                    load(&task, &demos));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, path));
    CU_ASSERT_PTR_NULL(demos);
    unlink(path);
}

static void check_refused(const cn_log_about *of, bool steps, double shift, cn_status code,
                          const char *words)
{
    cn_replay *demos = NULL;
    fake_task task = {.step_limit = 100};
    cn_log *log = begin_log(of);
    for (int i = 0; i < 3; i++) {
        put_frame(log, i + (int)shift, 1);
        if (steps)
            put_step(log, i, 0.0f);
    }
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_FAILS(code, words, load(&task, &demos));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, path)); /* every message names the log */
    CU_ASSERT_PTR_NULL(demos);
    unlink(path);
}

static void test_refusals(void)
{
    cn_log_about other = about;
    other.arm = "jaco";
    check_refused(&other, true, 0, CN_ERR_MISMATCH,
                  "a log of the arm 'jaco', not of the arm 'fake'");
    other = about;
    other.task = "push";
    check_refused(&other, true, 0, CN_ERR_MISMATCH,
                  "a log of the task 'push', this is the task 'touch'");
    other = about;
    other.control_period_s = 0.1;
    check_refused(&other, true, 0, CN_ERR_MISMATCH,
                  "a control period of 0.1 s, the task's is 0.05");
    check_refused(&about, false, 0, CN_ERR_NOT_FOUND, "the log holds no policy steps");
    check_refused(&about, true, 50, CN_ERR_NOT_FOUND, "the frames of its policy steps are missing");
    cn_replay *demos = NULL;
    fake_task task = {.step_limit = 100};
    const cn_robot_observer observer = fake_observer(&task, PERIOD_S);
    const char *const none[] = {"/no/such/log.mcap"};
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/no/such/log.mcap",
                    cn_demonstrations_load(none, 1, &observer, &demos, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "0 logs",
                    cn_demonstrations_load(none, 0, &observer, &demos, &err));
}

/* The task file has changed since: it makes something else of the first reading. */
static void test_another_observer_is_refused(void)
{
    cn_replay *demos = NULL;
    fake_task task = {.step_limit = 100};
    cn_log *log = begin_log(&about);
    const float observation[4] = {0.0f, 1.0f, 2.5f, 1.0f}, action[3] = {0};
    const cn_log_step step = {.frame = 100,
                              .observation = observation,
                              .observation_size = 4,
                              .action = action,
                              .action_size = 3};
    put_frame(log, 0, 1);
    CU_ASSERT_TRUE(cn_log_policy_step(log, &step));
    put_frame(log, 1, 1);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_FAILS(CN_ERR_MISMATCH,
                    "observation 2 of the first step is 2.5, this task makes it 2: the log is of "
                    "another task file or model",
                    load(&task, &demos));
    unlink(path);
}

CN_TEST_MAIN("bridge.demonstrations", T(test_goals_end_with_what_the_observer_sees),
             T(test_dropped_frames), T(test_a_walk_says_where_it_is),
             T(test_a_log_without_transitions), T(test_refusals),
             T(test_another_observer_is_refused))
