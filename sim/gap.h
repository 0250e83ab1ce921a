/* The reality gap of a twin, as data: in what the arm behind the wire differs from the model that
 * the policy was trained on. Only the process that plays the robot reads it. */
#ifndef CN_SIM_GAP_H
#define CN_SIM_GAP_H

#include "policy/arm.h"
#include "sim/task.h"

#define CN_MAX_DELAY 16

typedef struct cn_gap {
    double joint_zero_offset[CN_MAX_JOINTS]; /* rad or m; encoder = true position + offset */
    double actuator_gain[CN_MAX_JOINTS];     /* scale of the actuators' gain, > 0 */
    double friction_scale, damping_scale;    /* joint friction loss and damping, >= 0 */
    double friction_add;                     /* N m or N added to every joint's friction loss */
    double mass_scale;                       /* mass and inertia of the arm's bodies, > 0 */
    int action_delay;                        /* control periods, 0..CN_MAX_DELAY */
    double position_noise, velocity_noise;   /* std, rad and rad/s (or m, m/s) */
    double tracked_noise;                    /* std, m */
    double dropped_frames;                   /* probability that a reading is the one before it */
} cn_gap;

/* No gap at all: the twin is the model. */
cn_gap cn_gap_none(void);

/* Reads a gap YAML against a task (joint names). @return as cn_task_load. */
cn_status cn_gap_load(const char *path, const cn_task *task, cn_gap *out, cn_error *err);

#endif
