/* The safety filter. Braking is computed for the discrete motion that the servo makes, not for the
 * continuous one, so that the limits hold exactly and not up to a step's error. */
#include "policy/safety.h"

#include <math.h>
#include <stdlib.h>

#define MEASURE_TIME_CONSTANT_S 0.5

struct cn_safety {
    const cn_arm_joint *joint; /* [joints] */
    int joints;
    double ramp_s;
    cn_command_mode mode;    /* of the last command; POSITION before the first */
    double p[CN_MAX_JOINTS]; /* commanded position, rad or m */
    double v[CN_MAX_JOINTS]; /* commanded velocity, unit/s */
};

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

cn_status cn_safety_create(const cn_arm_joint *joint, int joints, double ramp_s, cn_safety **out,
                           cn_error *err)
{
    CN_FAIL_IF(joints < 1 || joints > CN_MAX_JOINTS, CN_ERR_ARGUMENT, err,
               "an arm of %d joints: 1 to %d are possible", joints, CN_MAX_JOINTS);
    CN_FAIL_IF(!(ramp_s > 0 && isfinite(ramp_s)), CN_ERR_ARGUMENT, err,
               "a ramp of %g s: it must be above 0", ramp_s);
    for (int j = 0; j < joints; j++) {
        const cn_arm_joint *limits = &joint[j];
        CN_FAIL_IF(!(limits->velocity > 0 && isfinite(limits->velocity)), CN_ERR_ARGUMENT, err,
                   "joint '%s' has a velocity limit of %g %s/s: it must be above 0 and finite",
                   limits->name, limits->velocity, limits->unit);
        CN_FAIL_IF(!(limits->position_low <= limits->position_high), CN_ERR_ARGUMENT, err,
                   "joint '%s' has the range %g to %g %s: it is empty", limits->name,
                   limits->position_low, limits->position_high, limits->unit);
    }
    cn_safety *safety = calloc(1, sizeof *safety);
    CN_FAIL_IF(!safety, CN_ERR_MEMORY, err, "no memory for the safety filter");
    safety->joint = joint;
    safety->joints = joints;
    safety->ramp_s = ramp_s;
    safety->mode = CN_COMMAND_POSITION;
    *out = safety;
    return CN_OK;
}

void cn_safety_destroy(cn_safety **safety)
{
    if (!safety || !*safety)
        return;
    free(*safety);
    *safety = NULL;
}

void cn_safety_begin(cn_safety *safety, const cn_arm_state *measured)
{
    for (int j = 0; j < safety->joints; j++) {
        safety->p[j] = measured->position[j];
        safety->v[j] = 0;
    }
    safety->mode = CN_COMMAND_POSITION;
}

void cn_safety_measure(cn_safety *safety, const cn_arm_state *measured, double dt_s)
{
    if (safety->mode != CN_COMMAND_VELOCITY)
        return;
    const double gain = fmin(1, dt_s / MEASURE_TIME_CONSTANT_S);
    for (int j = 0; j < safety->joints; j++)
        safety->p[j] += gain * (measured->position[j] - safety->p[j]);
}

static const char *mode_words(cn_command_mode mode)
{
    switch (mode) {
    case CN_COMMAND_NONE:
        return "none";
    case CN_COMMAND_EFFORT:
        return "effort";
    default:
        return "unknown";
    }
}

cn_status cn_safety_check(const cn_safety *safety, const cn_arm_command *wanted, cn_error *err)
{
    CN_FAIL_IF(wanted->mode != CN_COMMAND_POSITION && wanted->mode != CN_COMMAND_VELOCITY,
               CN_ERR_REFUSED, err, "command mode %d (%s): only position and velocity are taken",
               (int)wanted->mode, mode_words(wanted->mode));
    CN_FAIL_IF(wanted->joints != safety->joints, CN_ERR_REFUSED, err,
               "a command for %d joints: the arm has %d", wanted->joints, safety->joints);
    for (int j = 0; j < safety->joints; j++)
        CN_FAIL_IF(!isfinite(wanted->target[j]), CN_ERR_REFUSED, err, "joint '%s': target is %g",
                   safety->joint[j].name, wanted->target[j]);
    return CN_OK;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* The fastest velocity, up to `fastest`, at which one step, and then braking by `slow` a step,
 * covers at most `distance`: with v = n slow + rest, dt (v + (v - slow) + ... + rest) = dt ((n + 1)
 * v - slow n (n + 1) / 2), which is no more than dt (v + v^2 / (2 slow)).
 * @param slow  acceleration * dt_s */
static double braking_velocity(double distance, double fastest, double slow, double dt_s)
{
    if (!(distance > 0))
        return 0;
    if (distance * slow > dt_s * fastest * (slow + fastest)) /* far: no need for a root */
        return fastest;
    const double steps = distance / (slow * dt_s);
    const double n = floor((sqrt(1 + 8 * steps) - 1) / 2);
    return smaller(fastest, distance / dt_s / (n + 1) + slow * n / 2);
}

/* The velocity of a joint for the next step: the wanted one, within reach and within the limits. */
static double next_velocity(const cn_safety *safety, int j, double wanted, double slow, double dt_s)
{
    const cn_arm_joint *joint = &safety->joint[j];
    const double p = safety->p[j], v = safety->v[j];
    const double up = braking_velocity(joint->position_high - p, joint->velocity, slow, dt_s);
    const double down = braking_velocity(p - joint->position_low, joint->velocity, slow, dt_s);
    /* The range comes first. While p has moved by v alone, the bounds are always within reach. */
    return clamp(clamp(wanted, v - slow, v + slow), -down, up);
}

/* Where the step ends: within the range to the last bit; from outside it, never further out. */
static double next_position(const cn_arm_joint *joint, double p, double step)
{
    return clamp(p + step, p < joint->position_low ? p : joint->position_low,
                 p > joint->position_high ? p : joint->position_high);
}

static double wanted_velocity(const cn_safety *safety, int j, const cn_arm_command *wanted,
                              double slow, double dt_s)
{
    if (!wanted)
        return 0;
    if (wanted->mode == CN_COMMAND_VELOCITY)
        return wanted->target[j];
    const cn_arm_joint *joint = &safety->joint[j];
    const double target = clamp(wanted->target[j], joint->position_low, joint->position_high);
    const double distance = target - safety->p[j];
    return copysign(braking_velocity(fabs(distance), joint->velocity, slow, dt_s), distance);
}

void cn_safety_next(cn_safety *safety, const cn_arm_command *wanted, double dt_s,
                    cn_arm_command *out)
{
    if (wanted)
        safety->mode = wanted->mode;
    *out = (cn_arm_command){.mode = safety->mode, .joints = safety->joints};
    for (int j = 0; j < safety->joints; j++) {
        const cn_arm_joint *joint = &safety->joint[j];
        const double slow = joint->velocity / safety->ramp_s * dt_s;
        const double v =
            next_velocity(safety, j, wanted_velocity(safety, j, wanted, slow, dt_s), slow, dt_s);
        safety->p[j] = next_position(joint, safety->p[j], v * dt_s);
        safety->v[j] = v;
        out->target[j] = safety->mode == CN_COMMAND_VELOCITY ? v : safety->p[j];
    }
}
