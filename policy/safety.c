/* The safety filter: modes, ranges and boxes around the joints' motions. */
#include "policy/safety.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/motion.h"

#define MEASURE_TIME_CONSTANT_S 0.5
#define ROUNDING                1e-9  /* rad or m: of a motion's end, with room to spare */
#define LOOK_AHEAD_S            0.005 /* between two looks along a stop, or more for a long one */
enum { LOOKS_MAX = 32 };

struct cn_safety {
    const cn_arm_joint *joint; /* [joints] */
    int joints;
    cn_motion_limits limits[CN_MAX_JOINTS];
    cn_motion motion[CN_MAX_JOINTS]; /* planned for `wanted` */
    double p[CN_MAX_JOINTS];         /* commanded position, rad or m */
    bool holds[CN_MAX_JOINTS];       /* see cn_safety_holds_position */
    cn_arm_command wanted;           /* mode of the last command; POSITION before the first */
    bool stopping;                   /* nothing is wanted */
    bool changed;                    /* what is wanted, since it was planned for */
    bool moved;                      /* where the arm is, since then */
    const cn_keep_out *keep_out;     /* NULL: there is none */
    const cn_box *kept_from;         /* braking for it, or waiting */
};

static inline double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static cn_motion_limits limits_of(const cn_arm_joint *joint)
{
    return (cn_motion_limits){joint->velocity, joint->acceleration, joint->jerk};
}

void cn_safety_ramps(cn_arm_joint *joint)
{
    joint->acceleration = joint->velocity / CN_SAFETY_RAMP_S;
    joint->jerk = joint->acceleration / CN_SAFETY_JERK_RAMP_S;
}

double cn_safety_longest_stop(const cn_arm_joint *joint, int joints)
{
    double longest = 0;
    for (int j = 0; j < joints; j++) {
        const cn_motion_limits limits = limits_of(&joint[j]);
        longest = fmax(longest, cn_motion_longest_stop(&limits));
    }
    return longest;
}

/* ---- Creation ---- */

static cn_status check_limit(const cn_arm_joint *joint, const char *what, double limit,
                             const char *per, cn_error *err)
{
    CN_FAIL_IF(!(limit > 0 && isfinite(limit)), CN_ERR_ARGUMENT, err,
               "joint '%s' has %s limit of %g %s/%s: it must be above 0 and finite", joint->name,
               what, limit, joint->unit, per);
    return CN_OK;
}

static cn_status check_joint(const cn_arm_joint *joint, cn_error *err)
{
    CN_TRY(check_limit(joint, "a velocity", joint->velocity, "s", err));
    CN_TRY(check_limit(joint, "an acceleration", joint->acceleration, "s2", err));
    CN_TRY(check_limit(joint, "a jerk", joint->jerk, "s3", err));
    CN_FAIL_IF(!(joint->position_low <= joint->position_high), CN_ERR_ARGUMENT, err,
               "joint '%s' has the range %g to %g %s: it is empty", joint->name,
               joint->position_low, joint->position_high, joint->unit);
    return CN_OK;
}

cn_status cn_safety_create(const cn_arm_joint *joint, int joints, cn_safety **out, cn_error *err)
{
    CN_FAIL_IF(joints < 1 || joints > CN_MAX_JOINTS, CN_ERR_ARGUMENT, err,
               "an arm of %d joints: 1 to %d are possible", joints, CN_MAX_JOINTS);
    for (int j = 0; j < joints; j++)
        CN_TRY(check_joint(&joint[j], err));
    cn_safety *safety = calloc(1, sizeof *safety);
    CN_FAIL_IF(!safety, CN_ERR_MEMORY, err, "no memory for the safety filter");
    safety->joint = joint;
    safety->joints = joints;
    for (int j = 0; j < joints; j++)
        safety->limits[j] = limits_of(&joint[j]);
    cn_safety_begin(safety, &(cn_arm_state){.joints = joints});
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

void cn_safety_keep_out(cn_safety *safety, const cn_keep_out *keep_out)
{
    safety->keep_out = keep_out;
    safety->kept_from = NULL;
}

void cn_safety_holds_position(cn_safety *safety, int joint)
{
    safety->holds[joint] = true;
}

void cn_safety_begin(cn_safety *safety, const cn_arm_state *measured)
{
    for (int j = 0; j < safety->joints; j++) {
        safety->p[j] = measured->position[j];
        cn_motion_rest(&safety->motion[j], safety->p[j]);
    }
    safety->wanted = (cn_arm_command){.mode = CN_COMMAND_POSITION, .joints = safety->joints};
    safety->stopping = true;
    safety->changed = safety->moved = false;
    safety->kept_from = NULL;
}

void cn_safety_measure(cn_safety *safety, const cn_arm_state *measured, double dt_s)
{
    if (safety->wanted.mode != CN_COMMAND_VELOCITY)
        return;
    const double gain = fmin(1, dt_s / MEASURE_TIME_CONSTANT_S);
    for (int j = 0; j < safety->joints; j++) {
        if (safety->holds[j])
            continue;
        const double by = gain * (measured->position[j] - safety->p[j]);
        safety->p[j] += by;
        cn_motion_shift(&safety->motion[j], by);
        safety->moved = true;
    }
}

/* ---- What is wanted ---- */

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

static void note_wanted(cn_safety *safety, const cn_arm_command *wanted)
{
    const size_t bytes = (size_t)safety->joints * sizeof(double);
    const bool same = wanted ? !safety->stopping && wanted->mode == safety->wanted.mode &&
                                   memcmp(wanted->target, safety->wanted.target, bytes) == 0
                             : safety->stopping;
    safety->stopping = !wanted;
    if (wanted && !same) {
        safety->wanted.mode = wanted->mode;
        memcpy(safety->wanted.target, wanted->target, bytes);
    }
    safety->changed = safety->changed || !same;
}

/* A speed, towards the end of the range; a joint that is beyond it, or cannot stop before it any
 * more, is not sent back. */
static void plan_velocity(cn_safety *safety, int j)
{
    const cn_arm_joint *joint = &safety->joint[j];
    const double v = safety->wanted.target[j];
    const double end = v < 0 ? joint->position_low : joint->position_high;
    const double stop = cn_motion_stops_at(&safety->motion[j], &safety->limits[j]);
    const bool room = v < 0 ? stop > end : stop < end;
    cn_motion_go(&safety->motion[j], &safety->limits[j], end,
                 room ? fmin(fabs(v), joint->velocity) : 0);
}

static void stop_all(cn_safety *safety)
{
    for (int j = 0; j < safety->joints; j++)
        cn_motion_stop(&safety->motion[j], &safety->limits[j]);
}

static void plan(cn_safety *safety)
{
    safety->changed = safety->moved = false;
    safety->kept_from = NULL;
    if (safety->stopping) {
        stop_all(safety);
        return;
    }
    for (int j = 0; j < safety->joints; j++) {
        const cn_arm_joint *joint = &safety->joint[j];
        if (safety->wanted.mode == CN_COMMAND_VELOCITY)
            plan_velocity(safety, j);
        else
            cn_motion_go(&safety->motion[j], &safety->limits[j],
                         clamp(safety->wanted.target[j], joint->position_low, joint->position_high),
                         joint->velocity);
    }
}

bool cn_safety_at_rest(const cn_safety *safety)
{
    for (int j = 0; j < safety->joints; j++)
        if (!cn_motion_at_rest(&safety->motion[j]))
            return false;
    return true;
}

/* ---- Boxes ---- */

/* Moves all joints on by dt_s and their points with them. @return the box that forbids the way;
 * NULL: none */
static const cn_box *look(const cn_safety *safety, cn_motion *motion, double dt_s, double (*at)[3])
{
    const cn_keep_out *k = safety->keep_out;
    double p[CN_MAX_JOINTS], next[CN_MAX_BOXES][3];
    const cn_box *forbids = NULL;
    for (int j = 0; j < safety->joints; j++)
        p[j] = cn_motion_advance(&motion[j], dt_s);
    k->place(k->self, p, next);
    for (int i = 0; i < k->boxes && !forbids; i++)
        forbids = cn_box_forbids(&k->box[i], at[i], next[i]) ? &k->box[i] : NULL;
    memcpy(at, next, (size_t)k->boxes * sizeof *next);
    return forbids;
}

/* The box that the arm would come into in the next tick, or if it stopped right after it. */
static const cn_box *look_ahead(const cn_safety *safety, double dt_s)
{
    const cn_keep_out *k = safety->keep_out;
    cn_motion motion[CN_MAX_JOINTS];
    double at[CN_MAX_BOXES][3], stop_s = 0;
    memcpy(motion, safety->motion, (size_t)safety->joints * sizeof *motion);
    k->place(k->self, safety->p, at);
    const cn_box *forbids = look(safety, motion, dt_s, at);
    for (int j = 0; j < safety->joints; j++) {
        cn_motion_stop(&motion[j], &safety->limits[j]);
        stop_s = fmax(stop_s, cn_motion_time_left(&motion[j]));
    }
    const int looks = (int)clamp(ceil(stop_s / LOOK_AHEAD_S), 1, LOOKS_MAX);
    for (int i = 0; i < looks && !forbids; i++)
        forbids = look(safety, motion, stop_s / looks, at);
    return forbids;
}

/* The stop that was looked along a tick ago is still free: it is what remains. */
static void keep_out(cn_safety *safety, double dt_s)
{
    if (!safety->keep_out || safety->kept_from || cn_safety_at_rest(safety))
        return;
    safety->kept_from = look_ahead(safety, dt_s);
    if (safety->kept_from)
        stop_all(safety);
}

const cn_box *cn_safety_kept_from(const cn_safety *safety)
{
    return safety->kept_from;
}

/* ---- The tick ---- */

/* An arm that brakes for a box comes to rest first, and then waits for something else. */
static bool must_plan(const cn_safety *safety)
{
    return safety->kept_from ? safety->changed && cn_safety_at_rest(safety)
                             : safety->changed || safety->moved;
}

/* A motion ends at the end of the range but for rounding, which is taken off. Further out is only
 * who began there, or was measured there: he is on his way in, and must not jump. */
static double without_rounding(double p, double low, double high)
{
    return p < low && p > low - ROUNDING ? low : p > high && p < high + ROUNDING ? high : p;
}

void cn_safety_next(cn_safety *safety, const cn_arm_command *wanted, double dt_s,
                    cn_arm_command *out)
{
    note_wanted(safety, wanted);
    if (must_plan(safety))
        plan(safety);
    keep_out(safety, dt_s);
    out->mode = safety->wanted.mode;
    out->joints = safety->joints;
    for (int j = 0; j < safety->joints; j++) {
        const double before = safety->p[j];
        safety->p[j] =
            without_rounding(cn_motion_advance(&safety->motion[j], dt_s),
                             safety->joint[j].position_low, safety->joint[j].position_high);
        out->target[j] =
            out->mode == CN_COMMAND_VELOCITY ? (safety->p[j] - before) / dt_s : safety->p[j];
    }
}
