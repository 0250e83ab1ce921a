/* Forward kinematics in an mjData of its own. */
#include "sim/kinematics.h"

#include <stdlib.h>
#include <string.h>

#include "sim/internal.h"

struct cn_kinematics {
    const cn_task *task;
    mjData *data;
    int points;
    cn_point point[]; /* [points] */
};

static cn_status find_point(const cn_task *task, const char *name, cn_point *out, cn_error *err)
{
    CN_TRY(cn_point_find(task, name, out, err));
    CN_FAIL_IF(!cn_task_moves(task, cn_point_body(out, task->model)), CN_ERR_NOT_FOUND, err,
               "point '%s' is not moved by the arm's joints", name);
    return CN_OK;
}

cn_status cn_kinematics_check(const cn_task *task, const char *point, cn_error *err)
{
    cn_point found;
    return find_point(task, point, &found, err);
}

cn_status cn_kinematics_create(const cn_task *task, const char *const *point, int points,
                               cn_kinematics **out, cn_error *err)
{
    cn_status status = CN_OK;
    cn_kinematics *k = calloc(1, sizeof *k + (size_t)points * sizeof *k->point);
    CN_FAIL_IF(!k, CN_ERR_MEMORY, err, "no memory for the kinematics of %d points", points);
    k->task = task;
    k->points = points;
    for (int i = 0; i < points; i++)
        CN_TRY_CLEANUP(find_point(task, point[i], &k->point[i], err));
    CN_TRY_CLEANUP(cn_mujoco_make_data(task->model, &k->data, err));
    *out = k;
    k = NULL;
cleanup:
    cn_kinematics_destroy(&k);
    return status;
}

void cn_kinematics_destroy(cn_kinematics **kinematics)
{
    if (!kinematics || !*kinematics)
        return;
    mj_deleteData((*kinematics)->data);
    free(*kinematics);
    *kinematics = NULL;
}

void cn_kinematics_place(cn_kinematics *k, const double *position, double (*at)[3])
{
    for (int j = 0; j < k->task->joints; j++)
        k->data->qpos[k->task->joint[j].qpos] = position[j];
    mj_kinematics(k->task->model, k->data);
    for (int i = 0; i < k->points; i++)
        memcpy(at[i], cn_point_position(&k->point[i], k->data), sizeof at[i]);
}
