/* The safety filter. Braking is computed for the discrete motion that the servo makes, not for the
 * continuous one, so that the limits hold exactly and not up to a step's error. */
#include "policy/safety.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vector.h"

#define MEASURE_TIME_CONSTANT_S 0.5

/* The vector loops take joints in whole registers: those beyond the last rest at 0, of a range that
 * is 0, and are looked at by nobody. */
enum { REGISTER = 8 };
_Static_assert(CN_MAX_JOINTS % REGISTER == 0, "the arrays end with whole registers");

struct cn_safety {
    const cn_arm_joint *joint; /* [joints] */
    int joints;
    int lanes; /* joints, rounded up to whole registers */
    double ramp_s;
    cn_command_mode mode;    /* of the last command; POSITION before the first */
    double p[CN_MAX_JOINTS]; /* commanded position, rad or m */
    double v[CN_MAX_JOINTS]; /* commanded velocity, unit/s */
    /* Of the joints, for the vector loop: range, velocity limit, and what is wanted. */
    double low[CN_MAX_JOINTS], high[CN_MAX_JOINTS], fastest[CN_MAX_JOINTS];
    double wanted[CN_MAX_JOINTS];
};

static inline double clamp(double x, double low, double high)
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
    safety->lanes = (joints + REGISTER - 1) / REGISTER * REGISTER;
    safety->ramp_s = ramp_s;
    safety->mode = CN_COMMAND_POSITION;
    for (int j = 0; j < joints; j++) {
        safety->low[j] = joint[j].position_low;
        safety->high[j] = joint[j].position_high;
        safety->fastest[j] = joint[j].velocity;
    }
    for (int j = joints; j < safety->lanes; j++)
        safety->fastest[j] = 1;
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

/* The fastest velocity, up to `fastest`, at which one step, and then braking by `slow` a step,
 * covers at most `distance`: with v = n slow + rest, dt (v + (v - slow) + ... + rest) = dt ((n + 1)
 * v - slow n (n + 1) / 2).
 * @param slow  acceleration * dt_s */
static inline double braking_velocity(double distance, double fastest, double slow, double dt_s)
{
    const double now = distance > 0 ? distance / dt_s : 0; /* covers it in this step */
    const double n = floor(0.5 * sqrt(1 + 8 * now / slow) - 0.5);
    const double v = now / (n + 1) + 0.5 * slow * n;
    return v < fastest ? v : fastest; /* also where it is far beyond counting */
}

/* Makes of every joint's target the velocity that brings it there and stops. */
CN_VECTOR_LOOPS static void approach(cn_safety *safety, double dt_s)
{
    for (int j = 0; j < safety->lanes; j++) {
        const double slow = safety->fastest[j] / safety->ramp_s * dt_s;
        const double distance =
            clamp(safety->wanted[j], safety->low[j], safety->high[j]) - safety->p[j];
        const double speed = braking_velocity(fabs(distance), safety->fastest[j], slow, dt_s);
        safety->wanted[j] = distance < 0 ? -speed : speed;
    }
}

/* The next velocity of every joint, the wanted one as far as it is within reach and the limits, and
 * where the step ends: within the range to the last bit; from outside it, never further out. */
CN_VECTOR_LOOPS static void move(cn_safety *safety, double dt_s)
{
    for (int j = 0; j < safety->lanes; j++) {
        const double p = safety->p[j], v = safety->v[j], fastest = safety->fastest[j];
        const double low = safety->low[j], high = safety->high[j];
        const double slow = fastest / safety->ramp_s * dt_s;
        const double up = braking_velocity(high - p, fastest, slow, dt_s);
        const double down = braking_velocity(p - low, fastest, slow, dt_s);
        /* The range comes first. While p has moved by v alone, the bounds are always in reach. */
        const double next = clamp(clamp(safety->wanted[j], v - slow, v + slow), -down, up);
        safety->p[j] = clamp(p + next * dt_s, p < low ? p : low, p > high ? p : high);
        safety->v[j] = next;
    }
}

void cn_safety_next(cn_safety *safety, const cn_arm_command *wanted, double dt_s,
                    cn_arm_command *out)
{
    const size_t bytes = (size_t)safety->joints * sizeof(double);
    if (wanted)
        safety->mode = wanted->mode;
    if (wanted)
        memcpy(safety->wanted, wanted->target, bytes);
    else
        memset(safety->wanted, 0, bytes);
    if (wanted && wanted->mode == CN_COMMAND_POSITION)
        approach(safety, dt_s);
    move(safety, dt_s);
    out->mode = safety->mode;
    out->joints = safety->joints;
    memcpy(out->target, safety->mode == CN_COMMAND_VELOCITY ? safety->v : safety->p, bytes);
}
