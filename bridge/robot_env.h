/* cn_env over the wire: the same interface that learning uses in simulation, on a robot that is
 * another process. Observations, reward and success come from an observer that is handed in, so that
 * there is one observer for simulation and robot. */
#ifndef CN_BRIDGE_ROBOT_ENV_H
#define CN_BRIDGE_ROBOT_ENV_H

#include "bridge/link.h"
#include "policy/env.h"

/* Turns readings into observations and actions into commands; wired in cli/ to sim's observer. The
 * functions are those of sim/observer.h and take `self` first. */
typedef struct cn_robot_observer {
    void *self;
    cn_env_spec spec;
    char joint[CN_MAX_JOINTS][CN_NAME]; /* the joints it commands, in order */
    int joints;
    char point[CN_MAX_TRACKED][CN_NAME]; /* the tracked points it needs, in order */
    int tracked;
    void (*begin)(void *self, const cn_arm_state *first, float *observation);
    void (*carry_on)(void *self, const cn_arm_state *first, float *observation);
    void (*command)(void *self, const float *action, cn_arm_command *out);
    void (*observe)(void *self, const cn_arm_state *reading, cn_env_step *step, float *observation);
} cn_robot_observer;

/* Whether this robot is the arm that the observer was made for: arm, joints, tracked points, period.
 * @return CN_ERR_MISMATCH with both values. */
cn_status cn_robot_observer_match(const cn_robot_observer *observer, const cn_plant_info *info,
                                  cn_error *err);

/* Takes the lease; lockstep or real time, as the robot is.
 * @param link      borrowed; must outlive the env
 * @param observer  copied; what `self` points to is borrowed
 * @param out       owned; cn_env_destroy */
cn_status cn_robot_env_create(cn_link *link, const cn_robot_observer *observer, cn_env **out,
                              cn_error *err);

#endif
