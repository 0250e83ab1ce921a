/* Bare physics. */
#include "sim/physics.h"

#include <math.h>
#include <stdlib.h>

#include "sim/internal.h"

/* Share of a joint's spread or speed that the random controls span: an arm that moves, as in
 * training, and does not run into its limits. */
#define CONTROL_SPAN 0.5

struct cn_physics {
    const cn_task *task;
    mjData *data;
    cn_rng *rng; /* of the run under way */
    int episodes;
};

cn_status cn_physics_create(const cn_task *task, cn_physics **out, cn_error *err)
{
    *out = NULL;
    cn_physics *p = calloc(1, sizeof *p);
    CN_FAIL_IF(!p, CN_ERR_MEMORY, err, "no memory for a simulation");
    p->task = task;
    const cn_status status = cn_mujoco_make_data(task->model, &p->data, err);
    if (status != CN_OK) {
        cn_physics_destroy(&p);
        return status;
    }
    *out = p;
    return CN_OK;
}

void cn_physics_destroy(cn_physics **physics)
{
    if (!*physics)
        return;
    mj_deleteData((*physics)->data);
    free(*physics);
    *physics = NULL;
}

static void draw_controls(cn_physics *p)
{
    for (int j = 0; j < p->task->spec.action_size; j++) {
        const cn_joint *joint = &p->task->joint[j];
        const double u = cn_rng_range(p->rng, -CONTROL_SPAN, CONTROL_SPAN);
        double target = u * joint->action_scale; /* of an effort */
        if (joint->drive == CN_DRIVE_POSITION)
            target = joint->home + u;
        else if (joint->drive == CN_DRIVE_VELOCITY)
            target = u * joint->about.velocity;
        p->data->ctrl[joint->ctrl] = target / joint->target_per_ctrl;
    }
}

static void run(void *ctx)
{
    cn_physics *p = ctx;
    const mjModel *m = p->task->model;
    for (int e = 0; e < p->episodes; e++) {
        mj_resetData(m, p->data);
        cn_reset_joints(p->task, p->rng, p->data);
        for (int t = 0; t < p->task->spec.step_limit; t++) {
            draw_controls(p);
            for (int i = 0; i < p->task->steps_per_period; i++)
                mj_step(m, p->data);
        }
    }
}

cn_status cn_physics_run(cn_physics *p, int episodes, cn_rng *rng, cn_error *err)
{
    p->rng = rng;
    p->episodes = episodes;
    return cn_mujoco_try(run, p, err);
}

int cn_physics_steps_per_period(const cn_task *task)
{
    return task->steps_per_period;
}

long cn_physics_steps_per_episode(const cn_task *task)
{
    return (long)task->steps_per_period * task->spec.step_limit;
}
