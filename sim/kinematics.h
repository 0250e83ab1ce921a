/* Where points of the arm are for given joint positions: MuJoCo's kinematics of the task's model,
 * for whoever has no sensors to read, such as limits on where a tool may go. */
#ifndef CN_SIM_KINEMATICS_H
#define CN_SIM_KINEMATICS_H

#include "sim/task.h"

typedef struct cn_kinematics cn_kinematics;

/* Whether a name is that of a site or body which the task's joints move.
 * @return CN_ERR_NOT_FOUND: there is no such point (with those there are), or they don't move it */
cn_status cn_kinematics_check(const cn_task *task, const char *point, cn_error *err);

/* @param task   borrowed
 * @param point  [points] names
 * @return as cn_kinematics_check; CN_ERR_MEMORY */
cn_status cn_kinematics_create(const cn_task *task, const char *const *point, int points,
                               cn_kinematics **out, cn_error *err);
void cn_kinematics_destroy(cn_kinematics **kinematics);

/* Bounded time, no allocation.
 * @param position  [joints of the task], rad or m
 * @param at        [points], world frame, m */
void cn_kinematics_place(cn_kinematics *kinematics, const double *position, double (*at)[3]);

#endif
