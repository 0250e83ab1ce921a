/* The reality gap of a twin, as data: in what the arm differs from the model. A gap file describes
 * the arm behind the wire, and only the process that plays the robot reads it; a task's
 * `randomize:` describes the arms that are met in simulation. Both are numbers, or distributions
 * from which every episode draws its own: one mechanism (domain randomisation: Tobin et al. 2017,
 * arXiv:1703.06907; of the dynamics: Peng et al. 2018, arXiv:1710.06537). */
#ifndef CN_SIM_GAP_H
#define CN_SIM_GAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/arm.h"
#include "sim/task.h"

#define CN_MAX_DELAY       16
#define CN_MAX_GAP_BODIES  128 /* of a model whose masses change, the world included */
#define CN_MAX_GAP_NUMBERS (5 * CN_MAX_JOINTS + CN_MAX_GAP_BODIES + 5)

typedef enum cn_gap_draw { CN_GAP_UNIFORM, CN_GAP_LOG_UNIFORM, CN_GAP_NORMAL } cn_gap_draw;

/* A number of the gap that every episode draws anew. */
typedef struct cn_gap_number {
    size_t offset; /* of the double in cn_gap */
    cn_gap_draw draw;
    double a, b;      /* ends of a uniform distribution, mean and std of a normal one */
    double low, high; /* what is drawn is brought in between */
    bool whole;       /* and is a whole number: uniform among a, a + 1, ... b */
    bool physics;     /* it changes the model, not only what is sensed and commanded */
} cn_gap_number;

typedef struct cn_gap {
    double joint_zero_offset[CN_MAX_JOINTS]; /* rad or m; encoder = true position + offset */
    double actuator_gain[CN_MAX_JOINTS];     /* scale of the actuators' gain, > 0 */
    double friction_scale[CN_MAX_JOINTS];    /* scale of the joints' friction loss, >= 0, and */
    double friction_add[CN_MAX_JOINTS];      /* N m or N added to it */
    double damping_scale[CN_MAX_JOINTS];     /* scale of the joints' damping, >= 0 */
    double mass_scale[CN_MAX_GAP_BODIES];    /* of mass and inertia, by MuJoCo's body, > 0 */
    double action_delay;                     /* whole control periods, 0..CN_MAX_DELAY */
    double position_noise, velocity_noise;   /* std, rad and rad/s (or m, m/s) */
    double tracked_noise;                    /* std, m */
    double dropped_frames;                   /* probability that a reading is the one before it */
    int numbers;                             /* that are drawn anew; 0: the gap is fixed */
    cn_gap_number number[CN_MAX_GAP_NUMBERS];
} cn_gap;

/* No gap at all: the twin is the model. */
cn_gap cn_gap_none(void);

/* Reads a gap YAML against a task (names of joints and bodies). @return as cn_task_load. */
cn_status cn_gap_load(const char *path, const cn_task *task, cn_gap *out, cn_error *err);

/* What the task's `randomize:` says; borrowed. Without the section there is no gap. */
const cn_gap *cn_gap_of_task(const cn_task *task);

/* The gap of one episode: fixed, with every number drawn. The draws depend on `seed` alone. */
void cn_gap_of_episode(const cn_gap *gap, uint64_t seed, cn_gap *out);

/* Whether an episode may have another model than the task's. */
bool cn_gap_changes_physics(const cn_gap *gap);

/* The longest action delay of any episode, control periods. */
int cn_gap_longest_delay(const cn_gap *gap);

#endif
