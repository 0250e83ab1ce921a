/* The safety filter, the same above a robot's plant and in simulation: whatever is asked for, what
 * leaves here is finite, within the joints' position range, and no further from the command before
 * it than velocity and acceleration allow. It works from the previous command, and it is how a stop
 * becomes smooth.
 *
 * Each joint has a commanded position p and a commanded velocity v. Every call chooses the velocity
 * nearest to what is wanted from which the joint can still come to rest, braking at its
 * acceleration limit, before the end of its range (and, in position mode, before its target), then
 * moves p by it. Position commands give p, velocity commands give v. A stop keeps the mode of the
 * last command: it brakes v to zero, then gives the same p, or zero velocity. Effort commands are
 * refused: neither position nor speed could be promised. */
#ifndef CN_POLICY_SAFETY_H
#define CN_POLICY_SAFETY_H

#include "base/error.h"
#include "policy/arm.h"

/* From rest to a joint's velocity limit in 50 ms: a policy at 10 to 50 Hz hardly notices, and the
 * arm stops from full speed in the same time. */
#define CN_SAFETY_RAMP_S 0.05

typedef struct cn_safety cn_safety;

/* @param joint   [joints], borrowed: their limits
 * @param ramp_s  s, > 0: acceleration limit of a joint = velocity limit / ramp_s
 * @return CN_ERR_ARGUMENT: joint count, a velocity limit that is not positive and finite, an empty
 *         range; CN_ERR_MEMORY */
cn_status cn_safety_create(const cn_arm_joint *joint, int joints, double ramp_s, cn_safety **out,
                           cn_error *err);
void cn_safety_destroy(cn_safety **safety);

/* Forgets the past: the arm rests at these joint positions. A joint that rests outside its range is
 * led back into it, never further out. */
void cn_safety_begin(cn_safety *safety, const cn_arm_state *measured);

/* Velocity commands leave the position to the arm, so there p drifts from the truth: pulls it
 * towards the measurement with a time constant of half a second, slow enough that the arm's own lag
 * hardly shortens the braking distance. Does nothing in position mode.
 * @param dt_s  since the measurement before */
void cn_safety_measure(cn_safety *safety, const cn_arm_state *measured, double dt_s);

/* Whether a command may be asked for at all: joint count, mode, finite targets. A finite target
 * outside the limits may: the filter brings it inside.
 * @return CN_ERR_REFUSED with the joint and the value. */
cn_status cn_safety_check(const cn_safety *safety, const cn_arm_command *wanted, cn_error *err);

/* The next command, dt_s after the one before: towards `wanted`, within the limits; NULL: stop
 * smoothly and hold. Allocates nothing.
 * @param wanted  passed cn_safety_check
 * @param dt_s    s, > 0, the same on every call: braking is planned in steps of it */
void cn_safety_next(cn_safety *safety, const cn_arm_command *wanted, double dt_s,
                    cn_arm_command *out);

#endif
