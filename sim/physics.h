/* Bare physics: what a machine could do if nothing but MuJoCo ran. The measure that training is
 * held against. */
#ifndef CN_SIM_PHYSICS_H
#define CN_SIM_PHYSICS_H

#include "sim/task.h"
#include "tensor/rng.h"

typedef struct cn_physics cn_physics;

/* One simulation of the task's model. @param task  borrowed */
cn_status cn_physics_create(const cn_task *task, cn_physics **out, cn_error *err);
void cn_physics_destroy(cn_physics **physics);

/* Runs `episodes` of the task's length: a reset, then mj_step and nothing else, the actuators'
 * controls drawn anew each control period. @return CN_ERR_PHYSICS when MuJoCo fails. */
cn_status cn_physics_run(cn_physics *physics, int episodes, cn_rng *rng, cn_error *err);

/* Physics steps of one control period, and of one episode. */
int cn_physics_steps_per_period(const cn_task *task);
long cn_physics_steps_per_episode(const cn_task *task);

#endif
