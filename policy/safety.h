/* The safety filter, the same above a robot's plant and in simulation: whatever is asked for, what
 * leaves here is finite, within the joints' position range, and no further from the commands before
 * it than velocity, acceleration and jerk allow. It works from its previous command, not from the
 * measurement, and it is how a stop becomes smooth.
 *
 * Each joint moves along the fastest path to what is wanted (policy/motion.h): a position command
 * is a target to rest at; a velocity command is a speed, towards the end of the range. The path is
 * planned when what is wanted changes, and read once a tick. A stop keeps the mode of the last
 * command: it brakes as fast as the limits allow, then gives the same position, or no velocity.
 * Effort commands are refused: neither position nor speed could be promised.
 *
 * With boxes to keep out of, no tick is taken after which the arm could not stop before them: the
 * stop of all joints is looked along first. An arm that would come too near brakes to rest, and
 * then waits for another command. */
#ifndef CN_POLICY_SAFETY_H
#define CN_POLICY_SAFETY_H

#include "base/error.h"
#include "policy/arm.h"
#include "policy/keep_out.h"

/* What a joint whose maker gives no more than a speed is held to: full speed after 50 ms of full
 * acceleration, full acceleration after 10 ms. A policy at 10 to 50 Hz hardly notices. */
#define CN_SAFETY_RAMP_S      0.05
#define CN_SAFETY_JERK_RAMP_S 0.01

/* Acceleration and jerk limit of a joint, from its velocity limit and these ramps. */
void cn_safety_ramps(cn_arm_joint *joint);

/* The longest that a stop of these joints can take, s. */
double cn_safety_longest_stop(const cn_arm_joint *joint, int joints);

typedef struct cn_safety cn_safety;

/* @param joint  [joints], borrowed: their limits
 * @return CN_ERR_ARGUMENT: joint count, a limit of velocity, acceleration or jerk that is not
 *         positive and finite, an empty range; CN_ERR_MEMORY */
cn_status cn_safety_create(const cn_arm_joint *joint, int joints, cn_safety **out, cn_error *err);
void cn_safety_destroy(cn_safety **safety);

/* Keeps points of the arm out of boxes from now on. @param keep_out  borrowed; NULL: of none */
void cn_safety_keep_out(cn_safety *safety, const cn_keep_out *keep_out);

/* Says that a joint's servo holds a position, which a velocity command moves: its goal is what was
 * commanded, whatever is measured. */
void cn_safety_holds_position(cn_safety *safety, int joint);

/* Forgets the past: the arm rests at these joint positions. A joint that rests outside its range is
 * led back into it, never further out. */
void cn_safety_begin(cn_safety *safety, const cn_arm_state *measured);

/* Velocity commands leave the position to the arm, so there the commanded position drifts from the
 * truth: pulls it towards the measurement with a time constant of half a second. After longer
 * motions it is where the arm is, which comes to rest beyond it by speed times its own lag. Does
 * nothing in position mode, nor to joints that hold their position.
 * @param dt_s  since the measurement before */
void cn_safety_measure(cn_safety *safety, const cn_arm_state *measured, double dt_s);

/* Whether a command may be asked for at all: joint count, mode, finite targets. A finite target
 * outside the limits may: the filter brings it inside.
 * @return CN_ERR_REFUSED with the joint and the value. */
cn_status cn_safety_check(const cn_safety *safety, const cn_arm_command *wanted, cn_error *err);

/* The next command, dt_s after the one before: towards `wanted`, within the limits; NULL: stop
 * smoothly and hold. A velocity that it gives is the mean of the tick. Allocates nothing.
 * @param wanted  passed cn_safety_check
 * @param dt_s    s, > 0 */
void cn_safety_next(cn_safety *safety, const cn_arm_command *wanted, double dt_s,
                    cn_arm_command *out);

/* Whether all joints have come to rest: the next command of a stop is that of the one before. */
bool cn_safety_at_rest(const cn_safety *safety);

/* The box for which the arm brakes or waits now; NULL: none. */
const cn_box *cn_safety_kept_from(const cn_safety *safety);

#endif
