/* The MuJoCo twin of a task as a plant: what `colonnade robot TASK` serves. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/camera.h"
#include "cli/place.h"
#include "sim/twin.h"

struct twin_plant {
    cn_plant plant; /* first: a cn_plant * is a struct twin_plant * */
    cn_twin *twin;
    cli_camera *camera; /* NULL: none */
};

static cn_twin *twin_of(cn_plant *plant)
{
    return ((struct twin_plant *)plant)->twin;
}

static cn_status read_sensors(cn_plant *plant, cn_arm_state *out, cn_error *err)
{
    (void)err;
    cn_twin_read(twin_of(plant), out);
    return CN_OK;
}

static cn_status take_command(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    (void)err;
    cn_twin_command(twin_of(plant), command);
    return CN_OK;
}

static cn_status advance(cn_plant *plant, double seconds, cn_error *err)
{
    return cn_twin_advance(twin_of(plant), seconds, err);
}

static cn_status reset(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err)
{
    if (goal_only)
        return cn_twin_retarget(twin_of(plant), seed, err);
    return cn_twin_reset(twin_of(plant), seed, err);
}

/* The picture of this moment comes with a later frame. */
static bool look(cn_plant *plant, cn_image *out)
{
    struct twin_plant *p = (struct twin_plant *)plant;
    cli_camera_show(p->camera, p->twin);
    return cli_camera_look(p->camera, out);
}

static void destroy(cn_plant *plant)
{
    struct twin_plant *p = (struct twin_plant *)plant;
    cli_camera_close(&p->camera);
    cn_twin_destroy(&p->twin);
    free(p);
}

void cli_plant_info(const cn_task *task, cn_plant_info *info)
{
    const cn_env_spec *spec = cn_task_spec(task);
    info->control_period_s = spec->control_period_s;
    info->servo_rate_hz = 1.0 / cn_task_servo_period(task);
    info->joints = cn_task_joints(task);
    info->tracked = cn_task_tracked(task);
    snprintf(info->arm, sizeof info->arm, "%s", spec->arm);
    for (int j = 0; j < info->joints; j++)
        info->joint[j] = *cn_task_joint(task, j);
    for (int i = 0; i < info->tracked; i++)
        snprintf(info->point[i], sizeof info->point[i], "%s", cn_task_tracked_name(task, i));
}

cn_status cli_twin_plant(const cn_task *task, const cn_gap *gap, const char *camera, cn_plant **out,
                         cn_error *err)
{
    *out = NULL;
    struct twin_plant *p = calloc(1, sizeof *p);
    CN_FAIL_IF(!p, CN_ERR_MEMORY, err, "no memory for a twin");
    cn_status status = CN_OK;
    CN_TRY_CLEANUP(cn_twin_create(task, gap, &p->twin, err));
    CN_TRY_CLEANUP(cn_twin_reset(p->twin, 0, err));
    if (camera)
        CN_TRY_CLEANUP(cli_camera_open(task, camera, &p->camera, err));
    p->plant = (cn_plant){
        .read = read_sensors,
        .command = take_command,
        .advance = advance,
        .reset = reset,
        .look = camera ? look : NULL,
        .destroy = destroy,
    };
    cli_plant_info(task, &p->plant.info);
    for (int j = 0; j < p->plant.info.joints; j++)
        p->plant.holds_position[j] = cn_task_holds_position(task, j);
    *out = &p->plant;
    p = NULL;
cleanup:
    if (p)
        destroy(&p->plant);
    return status;
}
