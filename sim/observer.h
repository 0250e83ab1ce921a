/* The observer: the only code that turns sensor readings into observations, reward and success, and
 * actions into commands; the same for simulation and robot. What the arm measures is put into an
 * mjData of its own, and MuJoCo's kinematics give the rest. A tracked point is taken from the
 * reading, any other from the kinematics. */
#ifndef CN_SIM_OBSERVER_H
#define CN_SIM_OBSERVER_H

#include "policy/arm.h"
#include "policy/env.h"
#include "sim/task.h"

typedef struct cn_observer cn_observer;

/* @param task  borrowed */
cn_status cn_observer_create(const cn_task *task, cn_observer **out, cn_error *err);
void cn_observer_destroy(cn_observer **observer);

/* Begins an episode from the first reading; fills the first observation [observation_size]. */
void cn_observer_begin(cn_observer *observer, const cn_arm_state *first, float *observation);

/* Begins a new goal in a running motion: counters and success start again, the commanded pose
 * stays. */
void cn_observer_continue(cn_observer *observer, const cn_arm_state *first, float *observation);

/* Turns an action [action_size] (clipped to [-1, 1]) into the arm's command. */
void cn_observer_command(cn_observer *observer, const float *action, cn_arm_command *out);

/* Observes the reading after that command: observation, reward, terminated, truncated, success. */
void cn_observer_observe(cn_observer *observer, const cn_arm_state *reading, cn_env_step *step,
                         float *observation);

#endif
