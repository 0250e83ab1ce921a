/* Points: places on the model that are observed, measured from outside, or moved. */
#include <stdio.h>
#include <string.h>

#include "sim/internal.h"

/* ---- What moves a body ---- */

static bool is_of_task(const cn_task *task, int joint)
{
    for (int j = 0; j < task->joints; j++)
        if (task->joint[j].id == joint)
            return true;
    return false;
}

bool cn_task_moves(const cn_task *task, int body)
{
    const mjModel *m = task->model;
    for (int b = body; b > 0; b = m->body_parentid[b])
        for (int j = m->body_jntadr[b]; j < m->body_jntadr[b] + m->body_jntnum[b]; j++)
            if (is_of_task(task, j))
                return true;
    return false;
}

/* Whether a body can be put anywhere: it is a mocap body, it floats, or it stands in the world on
 * slides that are not the arm's. */
static bool is_loose(const cn_task *task, int body)
{
    const mjModel *m = task->model;
    const int first = m->body_jntadr[body], count = m->body_jntnum[body];
    if (m->body_mocapid[body] >= 0)
        return true;
    if (m->body_parentid[body] != 0 || count == 0)
        return false;
    if (m->jnt_type[first] == mjJNT_FREE)
        return true;
    for (int j = first; j < first + count; j++)
        if (m->jnt_type[j] != mjJNT_SLIDE || is_of_task(task, j))
            return false;
    return true;
}

int cn_point_body(const cn_point *point, const mjModel *model)
{
    return point->type == mjOBJ_BODY ? point->id : model->site_bodyid[point->id];
}

/* ---- Names ---- */

cn_status cn_point_find(const cn_task *task, const char *name, cn_point *out, cn_error *err)
{
    char sites[400], bodies[400];
    CN_FAIL_IF(strlen(name) >= CN_NAME, CN_ERR_NOT_FOUND, err, "name '%s' is longer than %d bytes",
               name, CN_NAME - 1);
    out->type = mjOBJ_SITE;
    out->id = mj_name2id(task->model, mjOBJ_SITE, name);
    if (out->id < 0) {
        out->type = mjOBJ_BODY;
        out->id = mj_name2id(task->model, mjOBJ_BODY, name);
    }
    CN_FAIL_IF(out->id < 0, CN_ERR_NOT_FOUND, err,
               "point '%s' is neither a site (%s) nor a body (%s) of the model", name,
               cn_model_names(task->model, mjOBJ_SITE, sites, sizeof sites),
               cn_model_names(task->model, mjOBJ_BODY, bodies, sizeof bodies));
    strcpy(out->name, name);
    out->loose = is_loose(task, cn_point_body(out, task->model));
    out->tracked = -1;
    for (int i = 0; i < task->tracked; i++)
        if (task->track[i].type == out->type && task->track[i].id == out->id)
            out->tracked = i;
    return CN_OK;
}

cn_status cn_task_point(const cn_task *task, cn_yaml_node node, cn_point *out, cn_error *err)
{
    const char *name;
    cn_error why = {0};
    CN_TRY(cn_yaml_string(node, &name, err));
    if (cn_point_find(task, name, out, &why) != CN_OK)
        return cn_yaml_fail(node, err, "%s", why.message);
    return CN_OK;
}

static bool is_drawn(const cn_task *task, int body)
{
    const mjModel *m = task->model;
    bool drawn = task->target.defined && cn_point_body(&task->target.point, m) == body;
    for (int i = 0; i < task->objects; i++)
        drawn |= cn_point_body(&task->object[i].point, m) == body;
    return drawn;
}

static bool is_tracked(const cn_task *task, int body)
{
    for (int i = 0; i < task->tracked; i++)
        if (cn_point_body(&task->track[i], task->model) == body)
            return true;
    return false;
}

/* Whether a body goes where neither joints nor trackers tell: it is drawn, stands loose, or turns
 * about every axis. */
static bool goes_unseen(const cn_task *task, int body)
{
    const mjModel *m = task->model;
    const int first = m->body_jntadr[body], count = m->body_jntnum[body];
    if ((is_drawn(task, body) || (count > 0 && is_loose(task, body))) && !is_tracked(task, body))
        return true;
    for (int j = first; j < first + count; j++)
        if (m->jnt_type[j] == mjJNT_FREE || m->jnt_type[j] == mjJNT_BALL)
            return true;
    return false;
}

/* Whether a servo that the task does not command holds the joint where it begins. */
static bool is_held(const mjModel *m, int joint)
{
    cn_drive drive;
    double target_per_ctrl;
    for (int a = 0; a < m->nactuator; a++)
        if (m->actuator_trntype[a] == mjTRN_JOINT && m->actuator_trnid[2 * a] == joint &&
            cn_model_drive(m, a, &drive, &target_per_ctrl) && drive != CN_DRIVE_EFFORT)
            return true;
    return false;
}

/* A hinge or slide of the body that nothing measures and nothing holds; -1: there is none. */
static int unmeasured_joint(const cn_task *task, int body)
{
    const mjModel *m = task->model;
    if (is_loose(task, body)) /* its point is tracked */
        return -1;
    for (int j = m->body_jntadr[body]; j < m->body_jntadr[body] + m->body_jntnum[body]; j++)
        if (!is_of_task(task, j) && !is_held(m, j))
            return j;
    return -1;
}

cn_status cn_point_check_known(const cn_task *task, const cn_point *point, cn_yaml_node at,
                               cn_error *err)
{
    const mjModel *m = task->model;
    for (int b = cn_point_body(point, m); b > 0; b = m->body_parentid[b]) {
        if (goes_unseen(task, b))
            return cn_yaml_fail(at, err,
                                "point '%s' is moved by something else than the measured joints, "
                                "so it must be measured: list it under tracked",
                                point->name);
        const int joint = unmeasured_joint(task, b);
        const char *name = joint >= 0 ? mj_id2name(m, mjOBJ_JOINT, joint) : NULL;
        if (joint >= 0)
            return cn_yaml_fail(at, err,
                                "point '%s' hangs on joint '%s', which nothing measures and no "
                                "servo holds: list the point under tracked or the joint under "
                                "control: passive, or give the joint a servo",
                                point->name, name ? name : "(without a name)");
    }
    return CN_OK;
}

static cn_status parse_tracked_list(cn_task *task, cn_yaml_node list, cn_error *err)
{
    if (!cn_yaml_is_list(list))
        return cn_yaml_fail(list, err, "tracked must be a list of points");
    if (cn_yaml_count(list) > CN_MAX_TRACKED)
        return cn_yaml_fail(list, err, "%d tracked points, at most %d", cn_yaml_count(list),
                            CN_MAX_TRACKED);
    for (int i = 0; i < cn_yaml_count(list); i++) {
        cn_point point;
        CN_TRY(cn_task_point(task, cn_yaml_item(list, i), &point, err));
        if (point.tracked >= 0)
            return cn_yaml_fail(cn_yaml_item(list, i), err, "point '%s' is listed twice",
                                point.name);
        point.tracked = i;
        task->track[task->tracked++] = point;
    }
    return CN_OK;
}

cn_status cn_task_parse_tracked(cn_task *task, cn_error *err)
{
    static const char *const ages[] = {"now", "step", NULL};
    cn_yaml_node node;
    int age = 0;
    if (cn_task_find(task, "tracked", &node))
        CN_TRY(parse_tracked_list(task, node, err));
    if (cn_task_find(task, "tracked_at", &node))
        CN_TRY(cn_yaml_choice(node, ages, &age, err));
    task->tracked_as_stepped = age == 1;
    return CN_OK;
}

/* ---- Where a point is, and where it is put ---- */

const double *cn_point_position(const cn_point *point, const mjData *data)
{
    return (point->type == mjOBJ_SITE ? data->site_xpos : data->xpos) + 3 * point->id;
}

/* Where the body's origin is while its point is at `position`; `quat` is how the body is turned. */
static void origin_of(const cn_point *point, const mjModel *model, const double *quat,
                      const double position[3], double out[3])
{
    double inset[3] = {0};
    if (point->type == mjOBJ_SITE)
        mju_rotVecQuat(inset, model->site_pos + 3 * point->id, quat);
    mju_sub3(out, position, inset);
}

/* Along each slide as far as the point is to move along it. */
static void place_on_slides(const cn_point *point, const mjModel *model, mjData *data,
                            const double position[3])
{
    const int body = cn_point_body(point, model), first = model->body_jntadr[body];
    const double *quat = model->body_quat + 4 * body;
    double way[3], axis[3];
    origin_of(point, model, quat, position, way);
    mju_subFrom3(way, model->body_pos + 3 * body);
    for (int j = first; j < first + model->body_jntnum[body]; j++) {
        const int at = model->jnt_qposadr[j];
        mju_rotVecQuat(axis, model->jnt_axis + 3 * j, quat);
        data->qpos[at] = model->qpos0[at] + mju_dot3(axis, way);
        data->qvel[model->jnt_dofadr[j]] = 0;
    }
}

void cn_point_place(const cn_point *point, const mjModel *model, mjData *data,
                    const double position[3])
{
    if (!point->loose)
        return;
    const int body = cn_point_body(point, model), mocap = model->body_mocapid[body];
    const int joint = model->body_jntadr[body];
    if (mocap >= 0) {
        origin_of(point, model, data->mocap_quat + 4 * mocap, position,
                  data->mocap_pos + 3 * mocap);
    } else if (model->jnt_type[joint] == mjJNT_FREE) {
        double *pose = data->qpos + model->jnt_qposadr[joint];
        origin_of(point, model, pose + 3, position, pose);
        mju_zero(data->qvel + model->jnt_dofadr[joint], 6);
    } else {
        place_on_slides(point, model, data, position);
    }
}
