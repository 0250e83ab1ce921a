/* The safety filter under friendly and under hostile commands. */
#include "policy/safety.h"
#include "tests/random.h"
#include "tests/test.h"

#include <math.h>
#include <stdint.h>

#define DT 0.002
/* Velocity, acceleration and jerk are differences of positions divided by dt once, twice and three
 * times: a motion is known to some last bits of a position of a few rad, 1e-15, which become 5e-13,
 * 1e-9 and 1e-6; a margin of ten or more beside the limits. */
#define VELOCITY_TOLERANCE     1e-11
#define ACCELERATION_TOLERANCE 1e-7
#define JERK_TOLERANCE         1e-4
/* The test's own sum of millions of velocities rounds otherwise than the filter's. */
#define SUM_TOLERANCE 1e-8
/* Under sanitizers a tenth of the ten million is enough. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ATTACKS 500000
#else
#define ATTACKS 5000000
#endif
#define MAX_COMMAND_TICKS 40
/* A target is reached when only rounding is left. */
#define TARGET_TOLERANCE 1e-12

/* An arm as the filter sees it. */
typedef struct limits {
    int joints;
    cn_arm_joint joint[3];
} limits;

static const limits arm = {
    .joints = 3,
    .joint = {{"hinge", "rad", -2, 3, 1.5, 30, 3000, 10},
              {"free", "rad", -INFINITY, INFINITY, 2.5, 10, 5000, INFINITY},
              {"slide", "m", 0.1, 0.15, 0.2, 4, 100, 50}},
};

static cn_safety *make(const double *p)
{
    cn_error err = {0};
    cn_safety *safety = NULL;
    CN_ASSERT_OK(cn_safety_create(arm.joint, arm.joints, &safety, &err));
    cn_arm_state at = {.joints = 3};
    memcpy(at.position, p, 3 * sizeof *p);
    cn_safety_begin(safety, &at);
    return safety;
}

static cn_arm_command command(cn_command_mode mode, double a, double b, double c)
{
    return (cn_arm_command){.mode = mode, .joints = 3, .target = {a, b, c}};
}

/* A command of one of many kinds of malice; false: none at all, stop. */
static bool draw_command(uint64_t *seed, cn_command_mode mode, cn_arm_command *out)
{
    const double kind = random_sign(seed);
    if (kind < -0.8)
        return false;
    const double size = kind < 0 ? 1 : kind < 0.5 ? 10 : kind < 0.8 ? 1e6 : 1e300;
    *out =
        command(mode, size * random_sign(seed), size * random_sign(seed), size * random_sign(seed));
    return true;
}

typedef struct motion {
    double p[3], v[3], a[3];
} motion;

/* The promise, checked from outside: p and its three differences are within the limits. */
static bool keeps_limits(const motion *from, const motion *to, double slack)
{
    for (int j = 0; j < 3; j++) {
        const cn_arm_joint *joint = &arm.joint[j];
        const double jerk = (to->a[j] - from->a[j]) / DT;
        if (!isfinite(to->p[j]) || to->p[j] < joint->position_low - slack ||
            to->p[j] > joint->position_high + slack ||
            fabs(to->v[j]) > joint->velocity + VELOCITY_TOLERANCE ||
            fabs(to->a[j]) > joint->acceleration + ACCELERATION_TOLERANCE ||
            fabs(jerk) > joint->jerk + JERK_TOLERANCE) {
            printf("\n    joint %d: p %.17g v %.17g a %.17g j %.17g\n", j, to->p[j], to->v[j],
                   to->a[j], jerk);
            return false;
        }
    }
    return true;
}

/* What the arm does next, by the command that it gets. */
static motion moved_by(const motion *now, const cn_arm_command *out)
{
    motion next;
    for (int j = 0; j < 3; j++) {
        const double t = out->target[j];
        const bool velocity = out->mode == CN_COMMAND_VELOCITY;
        next.v[j] = velocity ? t : (t - now->p[j]) / DT;
        next.p[j] = velocity ? now->p[j] + t * DT : t;
        next.a[j] = (next.v[j] - now->v[j]) / DT;
    }
    return next;
}

/* Commands of every kind, each held for a random time of `held` ticks at most. */
static void attack(cn_command_mode mode, uint64_t seed, int commands, int held)
{
    motion now = {.p = {0.5, 0, 0.12}};
    cn_safety *safety = make(now.p);
    cn_arm_command wanted, out;
    int broken = 0;
    long moving = 0;
    for (int i = 0; i < commands && !broken; i++) {
        const bool any = draw_command(&seed, mode, &wanted);
        const int ticks = 1 + (int)((held - 1) * 0.5 * (1 + random_sign(&seed)));
        for (int k = 0; k < ticks && !broken; k++) {
            cn_safety_next(safety, any ? &wanted : NULL, DT, &out);
            const motion next = moved_by(&now, &out);
            broken += !keeps_limits(&now, &next, mode == CN_COMMAND_VELOCITY ? SUM_TOLERANCE : 0);
            moving += next.v[0] != 0;
            now = next;
        }
    }
    CU_ASSERT_EQUAL(broken, 0);
    CU_ASSERT_TRUE(moving > commands / 2);
    cn_safety_destroy(&safety);
    CU_ASSERT_PTR_NULL(safety);
}

/* Ten million commands of what a broken or hostile controller may send; those that are no numbers
 * end at cn_safety_check. */
static void test_safety_limits_hold_under_position_attack(void)
{
    attack(CN_COMMAND_POSITION, 1, 50000, MAX_COMMAND_TICKS);
    attack(CN_COMMAND_POSITION, 2, ATTACKS, 2);
}

static void test_safety_limits_hold_under_velocity_attack(void)
{
    attack(CN_COMMAND_VELOCITY, 3, 50000, MAX_COMMAND_TICKS);
    attack(CN_COMMAND_VELOCITY, 4, ATTACKS, 2);
}

/* Between the ends of everything, each time as soon as the other is reached or long before. */
static void test_safety_limits_hold_between_extremes(void)
{
    const double end[2][3] = {{-2, -1e9, 0.1}, {3, 1e9, 0.15}};
    for (int period = 1; period < 400; period += 7) {
        motion now = {.p = {0.5, 0, 0.12}};
        cn_safety *safety = make(now.p);
        bool kept = true;
        for (int tick = 0; tick < 4000 && kept; tick++) {
            const double *e = end[tick / period % 2];
            const cn_arm_command wanted = command(CN_COMMAND_POSITION, e[0], e[1], e[2]);
            cn_arm_command out;
            cn_safety_next(safety, &wanted, DT, &out);
            const motion next = moved_by(&now, &out);
            kept = keeps_limits(&now, &next, 0);
            now = next;
        }
        CU_ASSERT_TRUE(kept);
        cn_safety_destroy(&safety);
    }
}

static void test_safety_reaches_a_target_without_overshoot(void)
{
    const double start[3] = {-2, 1, 0.1};
    cn_safety *safety = make(start);
    const cn_arm_command wanted = command(CN_COMMAND_POSITION, 2.7, -1, 0.14);
    cn_arm_command out;
    bool over = false;
    const int ticks = (int)(4.7 / 1.5 / DT + cn_safety_longest_stop(arm.joint, 3) / DT);
    for (int i = 0; i < ticks; i++) {
        cn_safety_next(safety, &wanted, DT, &out);
        over = over || out.target[0] > 2.7 + TARGET_TOLERANCE ||
               out.target[1] < -1 - TARGET_TOLERANCE || out.target[2] > 0.14 + TARGET_TOLERANCE;
    }
    CU_ASSERT_FALSE(over);
    for (int j = 0; j < 3; j++)
        CU_ASSERT_DOUBLE_EQUAL(out.target[j], wanted.target[j], TARGET_TOLERANCE);
    cn_safety_destroy(&safety);
}

/* V / A + A / J: full acceleration first has to be reached, and left again. One tick more, as what
 * is given is the mean of a tick. */
static void test_safety_full_speed_takes_the_ramps(void)
{
    const double start[3] = {0, 0, 0.12};
    cn_safety *safety = make(start);
    const cn_arm_command wanted = command(CN_COMMAND_VELOCITY, 99, 99, 0);
    cn_arm_command out;
    const int ticks = (int)((1.5 / 30 + 30. / 3000) / DT + 0.5);
    for (int i = 0; i < ticks; i++) {
        cn_safety_next(safety, &wanted, DT, &out);
        CU_ASSERT_TRUE(out.target[0] < 1.5 - VELOCITY_TOLERANCE);
    }
    cn_safety_next(safety, &wanted, DT, &out);
    CU_ASSERT_DOUBLE_EQUAL(out.target[0], 1.5, VELOCITY_TOLERANCE);
    cn_safety_destroy(&safety);
}

static void test_safety_ramps_follow_the_speed(void)
{
    cn_arm_joint joint = {.velocity = 2};
    cn_safety_ramps(&joint);
    CU_ASSERT_DOUBLE_EQUAL(joint.acceleration, 2 / CN_SAFETY_RAMP_S, 0);
    CU_ASSERT_DOUBLE_EQUAL(joint.jerk, 2 / CN_SAFETY_RAMP_S / CN_SAFETY_JERK_RAMP_S, 0);
    /* Full speed and full acceleration at once, which the limits do not even allow together. */
    CU_ASSERT_TRUE(cn_safety_longest_stop(&joint, 1) >= CN_SAFETY_RAMP_S + CN_SAFETY_JERK_RAMP_S);
    CU_ASSERT_TRUE(cn_safety_longest_stop(&joint, 1) <
                   CN_SAFETY_RAMP_S + 4 * CN_SAFETY_JERK_RAMP_S);
}

static void test_safety_target_outside_ends_at_the_limit(void)
{
    const double start[3] = {0, 0, 0.12};
    cn_safety *safety = make(start);
    const cn_arm_command wanted = command(CN_COMMAND_POSITION, 99, 0, -99);
    cn_arm_command out;
    for (int i = 0; i < 2000; i++)
        cn_safety_next(safety, &wanted, DT, &out);
    CU_ASSERT_DOUBLE_EQUAL(out.target[0], 3, TARGET_TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(out.target[2], 0.1, TARGET_TOLERANCE);
    cn_safety_destroy(&safety);
}

static void test_safety_stop_is_smooth_and_holds(void)
{
    const double start[3] = {0, 0, 0.12};
    cn_safety *safety = make(start);
    const cn_arm_command wanted = command(CN_COMMAND_POSITION, 2, 9, 0.15);
    cn_arm_command before, out;
    for (int i = 0; i < 100; i++)
        cn_safety_next(safety, &wanted, DT, &before);
    cn_safety_next(safety, NULL, DT, &out);
    CU_ASSERT_EQUAL(out.mode, CN_COMMAND_POSITION);
    CU_ASSERT_TRUE(out.target[1] > before.target[1]); /* it cannot stop at once */
    for (int i = 0; i < (int)(cn_safety_longest_stop(arm.joint, 3) / DT) + 1; i++)
        cn_safety_next(safety, NULL, DT, &before);
    for (int i = 0; i < 100; i++)
        cn_safety_next(safety, NULL, DT, &out);
    CU_ASSERT_EQUAL(memcmp(out.target, before.target, 3 * sizeof(double)), 0);
    cn_safety_destroy(&safety);
}

static void test_safety_stop_of_a_velocity_ends_at_zero(void)
{
    const double start[3] = {0, 0, 0.12};
    cn_safety *safety = make(start);
    const cn_arm_command wanted = command(CN_COMMAND_VELOCITY, 1, -1, 0.1);
    cn_arm_command out;
    for (int i = 0; i < 50; i++)
        cn_safety_next(safety, &wanted, DT, &out);
    CU_ASSERT_TRUE(out.target[0] > 0 && out.target[1] < 0);
    for (int i = 0; i < (int)(cn_safety_longest_stop(arm.joint, 3) / DT) + 1; i++)
        cn_safety_next(safety, NULL, DT, &out);
    CU_ASSERT_EQUAL(out.mode, CN_COMMAND_VELOCITY);
    for (int j = 0; j < 3; j++)
        CU_ASSERT_EQUAL(out.target[j], 0);
    cn_safety_destroy(&safety);
}

static void test_safety_holds_before_the_first_command(void)
{
    const double start[3] = {0.3, -0.4, 0.11};
    cn_safety *safety = make(start);
    cn_arm_command out;
    cn_safety_next(safety, NULL, DT, &out);
    CU_ASSERT_EQUAL(out.mode, CN_COMMAND_POSITION);
    CU_ASSERT_EQUAL(out.joints, 3);
    CU_ASSERT_EQUAL(memcmp(out.target, start, sizeof start), 0);
    cn_safety_destroy(&safety);
}

static void test_safety_outside_the_range_moves_only_inwards(void)
{
    const double start[3] = {3.2, 0, 0.09};
    cn_safety *safety = make(start);
    const cn_arm_command wanted = command(CN_COMMAND_POSITION, 99, 0, -99);
    cn_arm_command out;
    double last[3] = {3.2, 0, 0.09};
    bool outwards = false, jumped = false;
    for (int i = 0; i < 500; i++) {
        cn_safety_next(safety, &wanted, DT, &out);
        outwards = outwards || out.target[0] > last[0] + TARGET_TOLERANCE ||
                   out.target[2] < last[2] - TARGET_TOLERANCE;
        jumped = jumped || last[0] - out.target[0] > (1.5 + VELOCITY_TOLERANCE) * DT;
        memcpy(last, out.target, sizeof last);
    }
    CU_ASSERT_FALSE(outwards);
    CU_ASSERT_FALSE(jumped);
    CU_ASSERT_DOUBLE_EQUAL(out.target[0], 3, TARGET_TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(out.target[2], 0.1, TARGET_TOLERANCE);
    cn_safety_destroy(&safety);
}

/* An arm that follows only 90 % of a velocity must still be driven to the end of its range, and an
 * arm that follows more must be stopped before it. */
static void test_safety_measurement_removes_the_drift_of_velocities(void)
{
    const double follows[] = {0.9, 1.1};
    for (int k = 0; k < 2; k++) {
        cn_arm_state at = {.joints = 3, .position = {0, 0, 0.12}};
        cn_safety *safety = make(at.position);
        const cn_arm_command wanted = command(CN_COMMAND_VELOCITY, 0.5, 0, 0);
        cn_arm_command out;
        for (int i = 0; i < 10000; i++) {
            cn_safety_next(safety, &wanted, DT, &out);
            at.position[0] += follows[k] * out.target[0] * DT;
            cn_safety_measure(safety, &at, DT);
        }
        /* Half a second at a tenth of 0.5 rad/s is the drift that the slow pull leaves; and a tenth
         * of the way that braking takes, v2 / 2 A + v A / 2 J, comes upon it. */
        const double braking = 0.5 * 0.5 / (2 * 30) + 0.5 * 30 / (2 * 3000);
        CU_ASSERT_DOUBLE_EQUAL(at.position[0], 3, 0.1 * (0.5 * 0.5 + braking));
        cn_safety_destroy(&safety);
    }
}

/* Servos that hold a position, which velocities move, and that are a tenth of a second behind it:
 * velocities, then a position, as far as the end of the range. */
static void test_safety_holds_what_servos_hold(void)
{
    const double lag_s = 0.1;
    cn_arm_state at = {.joints = 3, .position = {0, 0, 0.12}};
    double goal[3] = {0, 0, 0.12}, fastest = 0, furthest = 0;
    cn_safety *safety = make(at.position);
    for (int j = 0; j < 3; j++)
        cn_safety_holds_position(safety, j);
    for (int i = 0; i < 4000; i++) {
        const cn_arm_command wanted = i / 500 % 2 ? command(CN_COMMAND_POSITION, 2.5, 0, 0.12)
                                                  : command(CN_COMMAND_VELOCITY, 1.2, 0, 0.1);
        cn_arm_command out;
        cn_safety_next(safety, &wanted, DT, &out);
        for (int j = 0; j < 3; j++) {
            const bool velocity = out.mode == CN_COMMAND_VELOCITY;
            const double next = velocity ? goal[j] + out.target[j] * DT : out.target[j];
            fastest = fmax(fastest, fabs(next - goal[j]) / DT / arm.joint[j].velocity);
            furthest = fmax(furthest, next - arm.joint[j].position_high);
            goal[j] = next;
            at.position[j] += (goal[j] - at.position[j]) * DT / lag_s;
        }
        cn_safety_measure(safety, &at, DT);
    }
    CU_ASSERT_DOUBLE_EQUAL(fastest, 1, VELOCITY_TOLERANCE);
    CU_ASSERT_DOUBLE_EQUAL(furthest, 0, SUM_TOLERANCE);
    cn_safety_destroy(&safety);
}

static void test_safety_check_names_joint_and_value(void)
{
    const double start[3] = {0, 0, 0.12};
    cn_error err = {0};
    cn_safety *safety = make(start);
    cn_arm_command c = command(CN_COMMAND_POSITION, 0, 1e300, 0);
    CN_ASSERT_OK(cn_safety_check(safety, &c, &err));
    c.target[1] = NAN;
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "joint 'free': target is nan",
                    cn_safety_check(safety, &c, &err));
    c.target[1] = -INFINITY;
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "joint 'free': target is -inf",
                    cn_safety_check(safety, &c, &err));
    c = command(CN_COMMAND_EFFORT, 0, 0, 0);
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "command mode 3 (effort)", cn_safety_check(safety, &c, &err));
    c.mode = (cn_command_mode)17;
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "command mode 17", cn_safety_check(safety, &c, &err));
    c = command(CN_COMMAND_VELOCITY, 0, 0, 0);
    c.joints = 2;
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "a command for 2 joints: the arm has 3",
                    cn_safety_check(safety, &c, &err));
    cn_safety_destroy(&safety);
}

static void test_safety_create_refuses_limits_that_limit_nothing(void)
{
    cn_error err = {0};
    cn_safety *safety = NULL;
    limits bad = arm;
    bad.joint[0].velocity = INFINITY;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "'hinge' has a velocity limit of inf",
                    cn_safety_create(bad.joint, bad.joints, &safety, &err));
    bad = arm;
    bad.joint[1].acceleration = 0;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "'free' has an acceleration limit of 0 rad/s2",
                    cn_safety_create(bad.joint, bad.joints, &safety, &err));
    bad = arm;
    bad.joint[2].jerk = NAN;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "'slide' has a jerk limit of nan m/s3",
                    cn_safety_create(bad.joint, bad.joints, &safety, &err));
    bad = arm;
    bad.joint[2].position_low = 1;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "'slide' has the range 1 to 0.15 m",
                    cn_safety_create(bad.joint, bad.joints, &safety, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "an arm of 0 joints",
                    cn_safety_create(arm.joint, 0, &safety, &err));
    CU_ASSERT_PTR_NULL(safety);
}

CN_TEST_MAIN("policy.safety", T(test_safety_limits_hold_under_position_attack),
             T(test_safety_limits_hold_under_velocity_attack),
             T(test_safety_limits_hold_between_extremes),
             T(test_safety_reaches_a_target_without_overshoot),
             T(test_safety_full_speed_takes_the_ramps), T(test_safety_ramps_follow_the_speed),
             T(test_safety_target_outside_ends_at_the_limit),
             T(test_safety_stop_is_smooth_and_holds),
             T(test_safety_stop_of_a_velocity_ends_at_zero),
             T(test_safety_holds_before_the_first_command),
             T(test_safety_outside_the_range_moves_only_inwards),
             T(test_safety_measurement_removes_the_drift_of_velocities),
             T(test_safety_holds_what_servos_hold), T(test_safety_check_names_joint_and_value),
             T(test_safety_create_refuses_limits_that_limit_nothing))
