/* The observer on readings made by hand: every observation, every reward, success and the ends of
 * an episode, and actions of every mode. */
#include "sim/observer.h"

#include "tests/sim/arm.h"

static cn_error err;

static const double rounding = 1e-6; /* of a float near 1 */

static cn_task *task;
static float observation[64];

static cn_observer *make(const char *piece, const char *by)
{
    cn_observer *observer = NULL;
    CN_ASSERT_OK(load_swapped(piece, by, &task, &err));
    CN_ASSERT_OK(cn_observer_create(task, &observer, &err));
    return observer;
}

static void finish(cn_observer *observer)
{
    cn_observer_destroy(&observer);
    CU_ASSERT_PTR_NULL(observer);
    cn_observer_destroy(&observer);
    cn_task_destroy(&task);
}

/* A reading with the tool `distance` from the target. */
static cn_arm_state reading_at(double distance)
{
    cn_arm_state s = {.joints = 2, .tracked = 2, .position = {0.3, -0.6}, .velocity = {0.5, 2}};
    s.point[0][0] = 0.4 - distance;
    s.point[1][0] = 0.4;
    s.point[0][2] = s.point[1][2] = 0.25;
    return s;
}

static cn_env_step observe(cn_observer *observer, const cn_arm_state *reading)
{
    const float still[2] = {0, 0};
    cn_arm_command command;
    cn_env_step step;
    cn_observer_command(observer, still, &command);
    cn_observer_observe(observer, reading, &step, observation);
    return step;
}

static void test_observer_observes_every_term(void)
{
    cn_observer *o = make("[{term: point, point: target}]",
                          "[{term: point, point: target, center: [0.4, 0, 0], scale: [1, 1, 4]}, "
                          "{term: vector, from: tool, to: target}, {term: joint_position_sin_cos}, "
                          "{term: command_error}, {term: previous_action}]");
    cn_arm_state s = reading_at(0.1);
    cn_observer_begin(o, &s, observation);
    const float action[2] = {0.5f, -0.25f};
    cn_arm_command command;
    cn_env_step step;
    cn_observer_command(o, action, &command);
    s.position[0] = 0.32;
    cn_observer_observe(o, &s, &step, observation);
    const double expected[] = {0.32,      -0.6,      0.25,        1,      0,         0,
                               1,         0.1,       0,           0,      sin(0.32), sin(-0.6),
                               cos(0.32), cos(-0.6), 0.35 - 0.32, -0.025, 0.5,       -0.25};
    CU_ASSERT_EQUAL(cn_task_spec(task)->observation_size, 18);
    for (int i = 0; i < 18; i++)
        CU_ASSERT_DOUBLE_EQUAL(observation[i], expected[i], rounding);
    finish(o);
}

static void test_observer_rewards_every_term(void)
{
    static const struct {
        const char *term;
        double expected;
    } cases[] = {
        {"{term: distance, from: tool, to: target, weight: -2}", -0.2},
        {"{term: proximity, from: tool, to: target, scale: 0.2, weight: 1}", 1 - 0.46211715726},
        {"{term: inside, from: tool, to: target, below: 0.11, weight: 3}", 3},
        {"{term: inside, from: tool, to: target, below: 0.09, weight: 3}", 0},
        {"{term: action, weight: -1}", -(0.25 + 1)},
        {"{term: action_change, weight: -1}", -(0.0625 + 4)},
        {"{term: joint_speed, weight: 1}", 4.25},
        {"{term: velocity, joint: elbow, weight: 1}", 2},
        {"{term: velocity, point: tool, axis: [1, 0, 0], weight: 1}", 0.1 / 0.05},
        {"{term: alive, weight: 0.5}", 0.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_observer *o =
            make("{term: distance, from: tool, to: target, weight: -1}", cases[i].term);
        const float first[2] = {0.25f, 1}, second[2] = {0.5f, -1};
        const cn_arm_state far = reading_at(0.2), near = reading_at(0.1);
        cn_arm_command command;
        cn_env_step step;
        cn_observer_begin(o, &far, observation);
        cn_observer_command(o, first, &command);
        cn_observer_observe(o, &far, &step, observation);
        cn_observer_command(o, second, &command);
        cn_observer_observe(o, &near, &step, observation);
        CU_ASSERT_DOUBLE_EQUAL(step.reward, cases[i].expected, rounding * 5);
        finish(o);
    }
}

static void test_observer_success_must_hold(void)
{
    cn_observer *o = make(NULL, NULL);
    const cn_arm_state far = reading_at(0.2), near = reading_at(0.04);
    cn_observer_begin(o, &near, observation);
    CU_ASSERT_FALSE(observe(o, &near).success);
    CU_ASSERT_FALSE(observe(o, &near).success);
    CU_ASSERT_FALSE(observe(o, &far).success); /* flew through: counts again from nothing */
    CU_ASSERT_FALSE(observe(o, &near).success);
    CU_ASSERT_FALSE(observe(o, &near).success);
    cn_env_step step = observe(o, &near);
    CU_ASSERT_TRUE(step.success);
    CU_ASSERT_FALSE(step.terminated);
    CU_ASSERT_FALSE(observe(o, &far).success);
    cn_observer_begin(o, &near, observation);
    CU_ASSERT_FALSE(observe(o, &near).success);
    finish(o);
}

static void test_observer_truncates_at_the_limit(void)
{
    cn_observer *o = make(NULL, NULL);
    const cn_arm_state near = reading_at(0.04);
    cn_observer_begin(o, &near, observation);
    for (int i = 1; i <= 20; i++) {
        const cn_env_step step = observe(o, &near);
        CU_ASSERT_EQUAL(step.truncated, i == 20);
        CU_ASSERT_FALSE(step.terminated);
    }
    finish(o);
}

static void test_observer_terminates_only_if_asked(void)
{
    cn_observer *o = make("hold: 3, ends_episode: false", "hold: 20, ends_episode: true");
    const cn_arm_state near = reading_at(0.04);
    cn_env_step step = {0};
    cn_observer_begin(o, &near, observation);
    for (int i = 0; i < 20; i++)
        step = observe(o, &near);
    CU_ASSERT_TRUE(step.success && step.terminated);
    CU_ASSERT_FALSE(step.truncated); /* the task ended it, in the very step of the limit */
    finish(o);
}

static void test_observer_without_success_never_succeeds(void)
{
    cn_observer *o =
        make("success: {from: tool, to: target, below: 0.05, hold: 3, ends_episode: false}\n", "");
    const cn_arm_state near = reading_at(0);
    cn_observer_begin(o, &near, observation);
    CU_ASSERT_FALSE(observe(o, &near).success);
    finish(o);
}

static void test_observer_delta_integrates_the_command(void)
{
    cn_observer *o = make(NULL, NULL);
    cn_arm_state s = reading_at(0.1);
    cn_arm_command command;
    const float push[2] = {7, -0.5f}; /* 7 is clipped to 1 */
    cn_observer_begin(o, &s, observation);
    cn_observer_command(o, push, &command);
    s.position[0] = 0; /* what is measured meanwhile does not matter */
    cn_env_step step;
    cn_observer_observe(o, &s, &step, observation);
    cn_observer_command(o, push, &command);
    CU_ASSERT_EQUAL(command.mode, CN_COMMAND_POSITION);
    CU_ASSERT_EQUAL(command.joints, 2);
    CU_ASSERT_DOUBLE_EQUAL(command.target[0], 0.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(command.target[1], -0.7, 1e-12);
    for (int i = 0; i < 30; i++)
        cn_observer_command(o, push, &command);
    CU_ASSERT_EQUAL(command.target[0], 2); /* the joint's limit */
    const float broken[2] = {NAN, INFINITY};
    const double before = command.target[1];
    cn_observer_command(o, broken, &command);
    CU_ASSERT_EQUAL(command.target[0], 2);
    CU_ASSERT_EQUAL(command.target[1], before);
    finish(o);
}

static void test_observer_commands_in_every_mode(void)
{
    static const struct {
        const char *mode;
        cn_command_mode sent;
        double target;
        const char *unit;
    } cases[] = {
        {"mode: joint_position, period: 0.05, scale: 0.4", CN_COMMAND_POSITION, 0.4, "rad"},
        {"mode: joint_velocity, period: 0.05, scale: 1.5", CN_COMMAND_VELOCITY, 0.75, "rad/s"},
        {"mode: joint_velocity, period: 0.05, velocity_limit: 2", CN_COMMAND_VELOCITY, 1, "rad/s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_observer *o =
            make("mode: joint_position_delta, period: 0.05, scale: 0.1", cases[i].mode);
        const cn_arm_state s = reading_at(0.1);
        const float action[2] = {0.5f, 0};
        cn_arm_command command;
        cn_observer_begin(o, &s, observation);
        cn_observer_command(o, action, &command);
        CU_ASSERT_EQUAL(command.mode, cases[i].sent);
        CU_ASSERT_DOUBLE_EQUAL(command.target[0], cases[i].target, 1e-12);
        CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->action_unit, cases[i].unit);
        finish(o);
    }
    cn_observer *o = NULL;
    const float action[2] = {0.5f, -1};
    cn_arm_command command;
    CN_ASSERT_OK(load_motors(&task, &err));
    CN_ASSERT_OK(cn_observer_create(task, &o, &err));
    cn_observer_command(o, action, &command);
    CU_ASSERT_EQUAL(command.mode, CN_COMMAND_EFFORT);
    CU_ASSERT_DOUBLE_EQUAL(command.target[1], -5, 1e-12);
    finish(o);
}

static void test_observer_continue_keeps_the_commanded_pose(void)
{
    cn_observer *o = make(NULL, NULL);
    cn_arm_state s = reading_at(0.04);
    cn_arm_command command;
    const float push[2] = {1, 0};
    cn_observer_begin(o, &s, observation);
    cn_observer_command(o, push, &command);
    for (int i = 0; i < 10; i++)
        observe(o, &s);
    s.position[0] = 0.1;
    cn_observer_continue(o, &s, observation);
    CU_ASSERT_DOUBLE_EQUAL(observation[0], 0.1, rounding);
    CU_ASSERT_FALSE(observe(o, &s).success); /* counts again */
    for (int i = 2; i < 20; i++)
        CU_ASSERT_FALSE(observe(o, &s).truncated);
    CU_ASSERT_TRUE(observe(o, &s).truncated);
    cn_observer_command(o, push, &command);
    CU_ASSERT_DOUBLE_EQUAL(command.target[0], 0.5, 1e-12);
    finish(o);
}

static void test_observer_observes_chosen_joints_and_axes(void)
{
    cn_observer *o =
        make("[{term: point, point: target}]",
             "[{term: point, point: target, axes: [z, x]}, "
             "{term: vector, from: tool, to: target, axes: [x]}, "
             "{term: joint_position, joints: [elbow]}, "
             "{term: joint_velocity, joints: [elbow, shoulder], scale: [1, 2]}, "
             "{term: joint_position_sin, joints: [elbow]}, {term: joint_position_cos}]");
    const cn_arm_state s = reading_at(0.1);
    cn_observer_begin(o, &s, observation);
    const double expected[] = {0.25, 0.4, 0.1, -0.6, 2, 1, sin(-0.6), cos(0.3), cos(-0.6)};
    CU_ASSERT_EQUAL(cn_task_spec(task)->observation_size, 4 + 9);
    for (int i = 0; i < 9; i++)
        CU_ASSERT_DOUBLE_EQUAL(observation[4 + i], expected[i], rounding);
    finish(o);
}

/* Terms that look back: what a joint moved since the reading before, and a distance that counts
 * where the action was chosen. */
static void test_observer_rewards_look_back(void)
{
    cn_observer *o = make("{term: distance, from: tool, to: target, weight: -1}",
                          "{term: distance, from: tool, to: target, before: true, weight: 1}\n"
                          "  - {term: progress, joint: elbow, weight: 1}");
    cn_arm_state s = reading_at(0.3);
    cn_observer_begin(o, &s, observation);
    s = reading_at(0.2);
    s.position[1] += 0.01;
    CU_ASSERT_DOUBLE_EQUAL(observe(o, &s).reward, 0.3 + 0.01 / 0.05, rounding);
    CU_ASSERT_DOUBLE_EQUAL(observe(o, &s).reward, 0.2 + 0, rounding);
    finish(o);
}

static void test_observer_terminates_out_of_bounds(void)
{
    cn_observer *o =
        make("step_limit: 20\n", "step_limit: 20\ntermination: [{joint: shoulder, high: 0.5}, "
                                 "{joint: elbow, low: -1, high: 1}]\n");
    cn_arm_state s = reading_at(0.3);
    cn_observer_begin(o, &s, observation);
    s.position[0] = 0.5; /* the bound itself is inside */
    s.position[1] = -1;
    CU_ASSERT_FALSE(observe(o, &s).terminated);
    static const double outside[][2] = {{0.51, 0}, {0, -1.01}, {0, 1.01}, {NAN, 0}};
    for (int i = 0; i < 4; i++) {
        memcpy(s.position, outside[i], sizeof outside[i]);
        const cn_env_step step = observe(o, &s);
        CU_ASSERT_TRUE(step.terminated && !step.truncated && !step.success);
    }
    finish(o);
}

/* An untracked point comes from the kinematics of the measured joints. */
static void test_observer_computes_untracked_points(void)
{
    cn_observer *o = make("tracked: [tool, target]", "tracked: [target]");
    cn_arm_state s = {.joints = 2, .tracked = 1, .position = {0.4, 0.5}};
    s.point[0][0] = 0.1;
    s.point[0][2] = 0.3;
    cn_observer_begin(o, &s, observation);
    const double x = 0.3 * sin(0.4) + 0.3 * sin(0.9), z = 0.2 + 0.3 * cos(0.4) + 0.3 * cos(0.9);
    CU_ASSERT_DOUBLE_EQUAL(observe(o, &s).reward, -hypot(x - 0.1, z - 0.3), rounding);
    finish(o);
}

CN_TEST_MAIN("sim.observer", T(test_observer_observes_every_term),
             T(test_observer_rewards_every_term), T(test_observer_success_must_hold),
             T(test_observer_truncates_at_the_limit), T(test_observer_terminates_only_if_asked),
             T(test_observer_without_success_never_succeeds),
             T(test_observer_delta_integrates_the_command), T(test_observer_commands_in_every_mode),
             T(test_observer_continue_keeps_the_commanded_pose),
             T(test_observer_observes_chosen_joints_and_axes), T(test_observer_rewards_look_back),
             T(test_observer_terminates_out_of_bounds), T(test_observer_computes_untracked_points))
