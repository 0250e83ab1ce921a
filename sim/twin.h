/* The twin: one simulated arm with its own mjData, and, where the gap asks for it, its own mjModel.
 * It is told commands and read like a physical arm; it knows nothing of observations or rewards.
 * The simulated environment moves one, and so does the robot server. */
#ifndef CN_SIM_TWIN_H
#define CN_SIM_TWIN_H

#include <stddef.h>
#include <stdint.h>

#include "policy/arm.h"
#include "sim/gap.h"
#include "sim/task.h"

typedef struct cn_twin cn_twin;

/* @param task  borrowed; many twins share one task and its model
 * @param gap   copied; NULL: none, whatever the task randomizes */
cn_status cn_twin_create(const cn_task *task, const cn_gap *gap, cn_twin **out, cn_error *err);
void cn_twin_destroy(cn_twin **twin);

/* Puts the arm and the target where the task's reset distribution says, and draws what the gap has
 * to be drawn; the draws depend on `seed` alone. @return CN_ERR_ARGUMENT when no draw of the target
 * is acceptable. */
cn_status cn_twin_reset(cn_twin *twin, uint64_t seed, cn_error *err);

/* Draws a new target only; the arm stays where it is and keeps moving. */
cn_status cn_twin_retarget(cn_twin *twin, uint64_t seed, cn_error *err);

/* Puts the arm at measured joint positions at rest, and those tracked points that can be moved
 * where they were measured. @return CN_ERR_SHAPE, CN_ERR_ARGUMENT (a position that is no number).
 */
cn_status cn_twin_place(cn_twin *twin, const cn_arm_state *state, cn_error *err);

/* Takes a command; it acts from the next advance on (later with an action delay). The arm holds
 * still when its actuators cannot follow the mode (cn_task_accepts). */
void cn_twin_command(cn_twin *twin, const cn_arm_command *command);

/* Simulates `seconds` (rounded to whole physics steps; at least one).
 * @return CN_ERR_PHYSICS when the simulation diverged, or left out contacts because the model's
 * memory holds no more. */
cn_status cn_twin_advance(cn_twin *twin, double seconds, cn_error *err);

/* The command of the next tick; borrowed until the one after. */
typedef const cn_arm_command *cn_twin_next(void *ctx);

/* `ticks` times: takes the next command and advances by `seconds`. @return as cn_twin_advance. */
cn_status cn_twin_follow(cn_twin *twin, cn_twin_next *next, void *ctx, int ticks, double seconds,
                         cn_error *err);

/* Reads the sensors, gap included. */
void cn_twin_read(cn_twin *twin, cn_arm_state *out);

/* Where everything is, for a picture: taken from one twin and put into another of the same task, of
 * which then only pictures are right. @param pose  [cn_twin_pose_size] */
size_t cn_twin_pose_size(const cn_twin *twin);
void cn_twin_pose(const cn_twin *twin, double *pose);
void cn_twin_set_pose(cn_twin *twin, const double *pose);

/* The physics step, s, and for rendering the model and data (mjModel, mjData), borrowed. */
double cn_twin_timestep(const cn_twin *twin);
const void *cn_twin_mjmodel(const cn_twin *twin);
void *cn_twin_mjdata(cn_twin *twin);

#endif
