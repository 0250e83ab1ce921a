/* The servo of a simulated arm: the safety filter above a twin, at the servo rate. A command goes
 * through it as it goes through a robot server, so that a policy meets in simulation the arm that
 * it will command. */
#ifndef CN_SIM_SERVO_H
#define CN_SIM_SERVO_H

#include "sim/twin.h"

typedef struct cn_servo cn_servo;

/* @param task, twin  borrowed; the twin is of the task. Efforts pass unfiltered: the filter could
 *                    promise nothing for them. */
cn_status cn_servo_create(const cn_task *task, cn_twin *twin, cn_servo **out, cn_error *err);
void cn_servo_destroy(cn_servo **servo);

/* The twin rests where it reads: forgets the commands before. */
void cn_servo_begin(cn_servo *servo, const cn_arm_state *reading);

/* Follows a command for one control period, then reads the sensors.
 * @return CN_ERR_PHYSICS when the simulation diverged. */
cn_status cn_servo_follow(cn_servo *servo, const cn_arm_command *command, cn_arm_state *reading,
                          cn_error *err);

#endif
