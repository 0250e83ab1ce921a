/* Where episodes start: joints and their speeds, passive joints, and objects of every kind that can
 * be put somewhere. */
#include <math.h>
#include <mujoco/mujoco.h>

#include "sim/twin.h"
#include "tests/sim/arm.h"

static cn_error err;

static const double rounding = 1e-12; /* of positions near 1 */

static cn_task *task;

static cn_twin *make(const char *in_model, const char *by_model, const char *in_task,
                     const char *by_task)
{
    cn_twin *twin = NULL;
    CN_ASSERT_OK(load_variant(in_model, by_model, in_task, by_task, &task, &err));
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    return twin;
}

static void finish(cn_twin *twin)
{
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

static const char light[] = "<light pos='0 0 3'/>";
static const char tracked[] = "tracked: [tool, target]";

static void test_reset_draws_positions_and_speeds(void)
{
    enum { N = 2000 };
    static const struct {
        const char *joints;
        double position_std, velocity_std;
        bool bounded; /* a uniform distribution has an end */
    } cases[] = {
        {"spread: 0.1, velocity_spread: 0.3", 0.1 / 1.7320508, 0.3 / 1.7320508, true},
        {"spread: 0.1, draw: normal, velocity_spread: 0.3, velocity_draw: normal", 0.1, 0.3, false},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        cn_twin *twin = make(NULL, NULL, "spread: 0.1", cases[c].joints);
        double sum[2] = {0}, square[2] = {0}, furthest = 0;
        for (uint64_t seed = 0; seed < N; seed++) {
            cn_arm_state s;
            CN_ASSERT_OK(cn_twin_reset(twin, seed, &err));
            cn_twin_read(twin, &s);
            const double q = s.position[1] - 0.4, v = s.velocity[1];
            sum[0] += q, sum[1] += v;
            square[0] += q * q, square[1] += v * v;
            furthest = fmax(furthest, fabs(v));
        }
        const double std[2] = {cases[c].position_std, cases[c].velocity_std};
        for (int i = 0; i < 2; i++) { /* four standard errors of mean and of std */
            CU_ASSERT_DOUBLE_EQUAL(sum[i] / N, 0, 4 * std[i] / sqrt(N));
            CU_ASSERT_DOUBLE_EQUAL(sqrt(square[i] / N), std[i], 4 * std[i] / sqrt(2 * N));
        }
        CU_ASSERT_EQUAL(furthest <= 0.3, cases[c].bounded);
        finish(twin);
    }
}

static void test_reset_draws_passive_joints(void)
{
    static const char rod[] =
        "<body name='rod' pos='1 0 1'><joint name='swing' range='-1 1' limited='true'/>"
        "<geom type='capsule' fromto='0 0 0 0 0 0.3' size='0.02' contype='0' "
        "conaffinity='0'/></body>";
    cn_twin *twin = NULL;
    CN_ASSERT_FAILS(
        CN_ERR_FORMAT, "task.yaml:8: found 2 numbers, expected 3",
        load_variant(light, rod, "scale: 0.1", "scale: 0.1, passive: [swing]", &task, &err));
    twin = make(light, rod,
                "scale: 0.1}\nstep_limit: 20\ntracked: [tool, target]\nreset:\n"
                "  joints: {home: [0.2, 0.4]",
                "scale: 0.1, passive: [swing]}\nstep_limit: 20\ntracked: [tool, target]\nreset:\n"
                "  joints: {home: [0.2, 0.4, -0.5]");
    CU_ASSERT_EQUAL(cn_task_joints(task), 3);
    CU_ASSERT_STRING_EQUAL(cn_task_joint(task, 2)->name, "swing");
    CU_ASSERT_EQUAL(cn_task_joint(task, 2)->position_high, 1);
    CU_ASSERT_EQUAL(cn_task_spec(task)->action_size, 2);
    CU_ASSERT_EQUAL(cn_task_spec(task)->group[0].size, 6);
    double low = 1, high = -1;
    cn_arm_state s;
    for (uint64_t seed = 0; seed < 200; seed++) {
        CN_ASSERT_OK(cn_twin_reset(twin, seed, &err));
        cn_twin_read(twin, &s);
        low = fmin(low, s.position[2]);
        high = fmax(high, s.position[2]);
    }
    CU_ASSERT_TRUE(low >= -0.6 && low < -0.58 && high <= -0.4 && high > -0.42);
    CN_ASSERT_OK(cn_twin_advance(twin, 0.2, &err)); /* nothing holds it */
    const double before = s.position[2];
    cn_twin_read(twin, &s);
    CU_ASSERT_TRUE(s.position[2] < before - 0.01 && s.velocity[2] < -0.1 && s.effort[2] == 0);
    finish(twin);
}

/* A body on slides, a floating one, and one without joints that is moved by us alone; in a box,
 * with a hole where they may not lie. */
static void test_reset_puts_objects_somewhere(void)
{
    static const char *const bodies[] = {
        "<body name='ball' pos='0.1 0.2 0.3' euler='0 0 1.5707963267948966'>"
        "<joint name='bx' type='slide' axis='0 -1 0' ref='0.7'/>"
        "<joint name='by' type='slide' axis='1 0 0'/><joint name='bz' type='slide' axis='0 0 1'/>"
        "<geom size='0.01'/><site name='mark' pos='0.05 0 0'/></body>",
        "<body name='ball' pos='0.1 0.2 0.3' euler='0 1 0'><freejoint/><geom size='0.01'/>"
        "<site name='mark' pos='0.05 0 0'/></body>",
        "<body name='ball' mocap='true'><geom size='0.01'/><site name='mark' pos='0.05 0 "
        "0'/></body>",
    };
    for (int b = 0; b < 3; b++) {
        cn_twin *twin = make(light, bodies[b], "tracked: [tool, target]\nreset:\n",
                             "tracked: [tool, target, mark]\nreset:\n"
                             "  objects:\n  - {point: mark, draw: box, low: [-1, -1, 0.5], "
                             "high: [1, 1, 0.5], center: [0, 0, 0.5], radius: [0.6, 3]}\n");
        double low = 1, high = -1;
        for (uint64_t seed = 0; seed < 200; seed++) {
            cn_arm_state s = {0}, again = {0};
            CN_ASSERT_OK(cn_twin_reset(twin, seed, &err));
            cn_twin_read(twin, &s);
            CU_ASSERT_DOUBLE_EQUAL(s.point[2][2], 0.5, rounding);
            CU_ASSERT_TRUE(hypot(s.point[2][0], s.point[2][1]) > 0.6 - rounding);
            low = fmin(low, s.point[2][1]);
            high = fmax(high, s.point[2][1]);
            CN_ASSERT_OK(cn_twin_reset(twin, seed, &err)); /* the same seed, the same place */
            cn_twin_read(twin, &again);
            CU_ASSERT_EQUAL(memcmp(s.point, again.point, sizeof s.point), 0);
        }
        CU_ASSERT_TRUE(low >= -1 && low < -0.9 && high <= 1 && high > 0.9);
        finish(twin);
    }
}

/* Objects don't disturb the draws of joints and target. */
static void test_reset_of_objects_leaves_the_rest_alone(void)
{
    static const char ball[] = "<body name='ball'><freejoint/><geom size='0.01'/></body>";
    cn_arm_state with = {0}, without = {0};
    cn_twin *twin = make(light, ball, NULL, NULL);
    CN_ASSERT_OK(cn_twin_reset(twin, 3, &err));
    cn_twin_read(twin, &without);
    finish(twin);
    twin = make(light, ball, "reset:\n",
                "reset:\n  objects: [{point: ball, draw: box, low: 1, high: 2}]\n");
    CN_ASSERT_OK(cn_twin_reset(twin, 3, &err));
    cn_twin_read(twin, &with);
    CU_ASSERT_EQUAL(memcmp(with.position, without.position, sizeof with.position), 0);
    CU_ASSERT_EQUAL(memcmp(with.point, without.point, sizeof with.point), 0);
    finish(twin);
}

/* What lies on the floor touches it, and the arm does not; a block that the arm must touch in every
 * pose leaves it nothing to reach. */
static void test_reset_reach_minds_only_what_the_arm_touches(void)
{
    static const char ball[] =
        "<geom type='plane' size='2 2 0.1'/>"
        "<body name='ball' pos='1 0 0.05'><freejoint/><geom size='0.051'/></body>";
    static const char block[] = "<geom type='sphere' pos='0 0 0.2' size='0.2' contype='2'/>";
    cn_twin *twin = make(light, ball, NULL, NULL);
    CN_ASSERT_OK(cn_twin_reset(twin, 1, &err));
    CU_ASSERT_TRUE(((const mjData *)cn_twin_mjdata(twin))->ncon > 0);
    finish(twin);
    char arm[600];
    snprintf(arm, sizeof arm,
             "%s<body name='upper' pos='0 0 0.2' gravcomp='1'><geom type='sphere' size='0.05' "
             "contype='0' conaffinity='2'/>",
             block);
    CN_ASSERT_OK(load_variant("<body name='upper' pos='0 0 0.2' gravcomp='1'>", arm, NULL, NULL,
                              &task, &err));
    twin = NULL;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "none of 1000 draws of 'target'",
                    cn_twin_create(task, NULL, &twin, &err));
    finish(twin);
}

static void test_reset_mistakes_name_file_and_line(void)
{
    static const struct {
        const char *by;
        const char *words;
    } mistakes[] = {
        {"  joints: {velocity_spread: -1}\n", "task.yaml:8: found -1, expected 0 to"},
        {"  joints: {draw: gaussian}\n",
         "task.yaml:8: found 'gaussian', expected one of: uniform, normal"},
        {"  objects: {point: target}\n", "task.yaml:8: objects must be a list"},
        {"  objects: [{point: target, draw: box, low: 0}]\n", "task.yaml:8: key 'high' is missing"},
        {"  objects: [{point: lower, draw: box, low: 0, high: 1}]\n",
         "task.yaml:8: point 'lower' cannot be moved"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        task = NULL;
        CN_ASSERT_FAILS(CN_ERR_FORMAT, mistakes[i].words,
                        load_swapped("  joints: {home: [0.2, 0.4], spread: 0.1}\n", mistakes[i].by,
                                     &task, &err));
        cn_task_destroy(&task);
    }
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "task.yaml:12: point 'ball' is moved by something else",
                    load_variant(light,
                                 "<body name='ball'><joint name='bx' type='slide'/>"
                                 "<geom size='0.1'/></body>",
                                 "point: target}]", "point: ball}]", &task, &err));
}

/* Tracked points as the last physics step computed them are one step old. */
static void test_reset_tracking_can_be_a_step_old(void)
{
    cn_arm_state now = {0}, old = {0};
    const cn_arm_command push = {CN_COMMAND_POSITION, 2, {1, 1}};
    for (int late = 0; late < 2; late++) {
        cn_twin *twin = make(NULL, NULL, tracked,
                             late ? "tracked: [tool, target]\ntracked_at: step"
                                  : "tracked: [tool, target]\ntracked_at: now");
        cn_twin_command(twin, &push);
        CN_ASSERT_OK(cn_twin_advance(twin, late ? 0.06 : 0.05, &err));
        cn_twin_read(twin, late ? &old : &now);
        finish(twin);
    }
    CU_ASSERT_EQUAL(memcmp(now.point, old.point, sizeof now.point[0]), 0);
    CU_ASSERT_NOT_EQUAL(now.position[0], old.position[0]);
}

CN_TEST_MAIN("sim.reset", T(test_reset_draws_positions_and_speeds),
             T(test_reset_draws_passive_joints), T(test_reset_puts_objects_somewhere),
             T(test_reset_of_objects_leaves_the_rest_alone),
             T(test_reset_reach_minds_only_what_the_arm_touches),
             T(test_reset_mistakes_name_file_and_line), T(test_reset_tracking_can_be_a_step_old))
