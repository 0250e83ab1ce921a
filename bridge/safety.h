/* The safety filter: whatever is asked for, what leaves here is finite, within the joints' position
 * range, and no further from the command before it than velocity and acceleration allow. It works from
 * the previous command, never from the measurement, and it is how a stop becomes smooth. */
#ifndef CN_BRIDGE_SAFETY_H
#define CN_BRIDGE_SAFETY_H

#include "bridge/plant.h"

typedef struct cn_safety cn_safety;

/* @param info  borrowed: joints and their limits
 * @param acceleration  unit/s^2 of every joint, > 0 */
cn_status cn_safety_create(const cn_plant_info *info, double acceleration, cn_safety **out,
                           cn_error *err);
void cn_safety_destroy(cn_safety **safety);

/* Forgets the past: the arm rests at these joint positions. */
void cn_safety_begin(cn_safety *safety, const cn_arm_state *measured);

/* Whether a command may be asked for at all: joint count, mode, finite targets.
 * @return CN_ERR_REFUSED with the joint and the value. */
cn_status cn_safety_check(const cn_safety *safety, const cn_arm_command *wanted, cn_error *err);

/* The next command, dt_s after the one before: towards `wanted`, within the limits; NULL: stop
 * smoothly and hold. Allocates nothing. */
void cn_safety_next(cn_safety *safety, const cn_arm_command *wanted, double dt_s,
                    cn_arm_command *out);

#endif
