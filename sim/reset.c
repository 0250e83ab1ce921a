/* Where an episode starts: the joints around a home pose, the target in a box, in a shell, or where
 * the arm can reach. The draws come from streams of the episode's seed and from nothing else. */
#include <math.h>
#include <string.h>

#include "sim/internal.h"

/* Proposals before a distribution counts as empty. */
#define MAX_PROPOSALS 1000

cn_status cn_task_parse_home(cn_task *task, cn_yaml_node root, cn_error *err)
{
    static const char *const reset_keys[] = {"joints", "target", NULL};
    static const char *const keys[] = {"home", "spread", NULL};
    double home[CN_MAX_JOINTS], spread[CN_MAX_JOINTS] = {0};
    cn_yaml_node reset, joints = {NULL, 0}, node;
    for (int j = 0; j < task->joints; j++)
        home[j] = task->model->qpos0[task->joint[j].qpos];
    CN_TRY(cn_yaml_require(root, "reset", &reset, err));
    CN_TRY(cn_yaml_check_keys(reset, reset_keys, err));
    if (cn_yaml_find(reset, "joints", &joints)) {
        CN_TRY(cn_yaml_check_keys(joints, keys, err));
        if (cn_yaml_find(joints, "home", &node))
            CN_TRY(cn_yaml_doubles(node, -1e6, 1e6, task->joints, home, err));
        CN_TRY(cn_task_numbers(joints, "spread", 0, 0, 1e6, task->joints, spread, err));
    } else {
        joints = reset;
    }
    for (int j = 0; j < task->joints; j++) {
        cn_joint *joint = &task->joint[j];
        if (home[j] < joint->about.position_low || home[j] > joint->about.position_high)
            return cn_yaml_fail(joints, err, "home of joint '%s' is %g, outside its range %g to %g",
                                joint->about.name, home[j], joint->about.position_low,
                                joint->about.position_high);
        joint->home = home[j];
        joint->spread = spread[j];
    }
    return CN_OK;
}

/* ---- The target's distribution ---- */

/* The joint poses whose reach is sampled: home plus or minus `spread`, within the limits; without a
 * spread the whole range, a full turn where there is none. */
static cn_status parse_reach(cn_task *task, cn_yaml_node map, cn_error *err)
{
    cn_target_draw *t = &task->target;
    double spread[CN_MAX_JOINTS];
    cn_yaml_node node;
    CN_TRY(cn_yaml_require(map, "of", &node, err));
    CN_TRY(cn_task_point(task, node, &t->of, err));
    CN_TRY(cn_task_numbers(map, "spread", INFINITY, 0, 1e6, task->joints, spread, err));
    for (int j = 0; j < task->joints; j++) {
        const cn_joint *joint = &task->joint[j];
        t->joint_low[j] = fmax(joint->about.position_low, joint->home - spread[j]);
        t->joint_high[j] = fmin(joint->about.position_high, joint->home + spread[j]);
        if (isinf(t->joint_low[j]))
            t->joint_low[j] = joint->home - mjPI;
        if (isinf(t->joint_high[j]))
            t->joint_high[j] = joint->home + mjPI;
    }
    return CN_OK;
}

static cn_status parse_bounds(cn_task *task, cn_yaml_node map, cn_error *err)
{
    cn_target_draw *t = &task->target;
    cn_yaml_node node;
    const char *const needed[][2] = {{NULL, NULL}, {"low", "high"}, {"center", "radius"}};
    for (int i = 0; i < 2; i++)
        if (needed[t->kind][i])
            CN_TRY(cn_yaml_require(map, needed[t->kind][i], &node, err));
    CN_TRY(cn_task_numbers(map, "low", -INFINITY, -1e6, 1e6, 3, t->low, err));
    CN_TRY(cn_task_numbers(map, "high", INFINITY, -1e6, 1e6, 3, t->high, err));
    CN_TRY(cn_task_numbers(map, "center", 0, -1e6, 1e6, 3, t->center, err));
    t->radius[0] = 0;
    t->radius[1] = INFINITY;
    if (cn_yaml_find(map, "radius", &node))
        CN_TRY(cn_yaml_doubles(node, 0, 1e6, 2, t->radius, err));
    for (int i = 0; i < 3; i++)
        if (t->low[i] > t->high[i])
            return cn_yaml_fail(map, err, "low %g is above high %g", t->low[i], t->high[i]);
    if (t->radius[0] > t->radius[1])
        return cn_yaml_fail(map, err, "radius %g to %g is empty", t->radius[0], t->radius[1]);
    return CN_OK;
}

cn_status cn_task_parse_target(cn_task *task, cn_yaml_node root, cn_error *err)
{
    static const char *const keys[] = {"point", "draw",   "of",     "spread", "low",
                                       "high",  "center", "radius", NULL};
    static const char *const draws[] = {"reachable", "box", "shell", NULL};
    cn_target_draw *t = &task->target;
    cn_yaml_node reset, map, node;
    int kind;
    CN_TRY(cn_yaml_require(root, "reset", &reset, err));
    if (!cn_yaml_find(reset, "target", &map))
        return CN_OK;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_yaml_require(map, "point", &node, err));
    CN_TRY(cn_task_point(task, node, &t->point, err));
    if (task->model->body_mocapid[cn_point_body(&t->point, task->model)] < 0)
        return cn_yaml_fail(node, err, "point '%s' cannot be moved: its body needs mocap=\"true\"",
                            t->point.name);
    CN_TRY(cn_yaml_require(map, "draw", &node, err));
    CN_TRY(cn_yaml_choice(node, draws, &kind, err));
    t->kind = (cn_draw_kind)kind;
    if (t->kind == CN_DRAW_REACHABLE)
        CN_TRY(parse_reach(task, map, err));
    CN_TRY(parse_bounds(task, map, err));
    t->defined = true;
    return CN_OK;
}

/* ---- Points ---- */

int cn_point_body(const cn_point *point, const mjModel *model)
{
    return point->type == mjOBJ_BODY ? point->id : model->site_bodyid[point->id];
}

const double *cn_point_position(const cn_point *point, const mjData *data)
{
    return (point->type == mjOBJ_SITE ? data->site_xpos : data->xpos) + 3 * point->id;
}

void cn_point_place(const cn_point *point, const mjModel *model, mjData *data,
                    const double position[3])
{
    const int mocap = model->body_mocapid[cn_point_body(point, model)];
    if (mocap < 0)
        return;
    double inset[3] = {0};
    if (point->type == mjOBJ_SITE)
        mju_rotVecQuat(inset, model->site_pos + 3 * point->id, data->mocap_quat + 4 * mocap);
    mju_sub3(data->mocap_pos + 3 * mocap, position, inset);
}

/* ---- Draws ---- */

void cn_reset_joints(const cn_task *task, cn_rng *rng, mjData *data)
{
    for (int j = 0; j < task->joints; j++) {
        const cn_joint *joint = &task->joint[j];
        const double q =
            cn_rng_range(rng, joint->home - joint->spread, joint->home + joint->spread);
        data->qpos[joint->qpos] =
            fmin(fmax(q, joint->about.position_low), joint->about.position_high);
    }
}

/* Somewhere the arm can bring the point to: a random pose that touches nothing. */
static bool propose_reachable(const cn_task *task, const mjModel *model, cn_rng *rng, mjData *data,
                              double out[3])
{
    const cn_target_draw *t = &task->target;
    for (int j = 0; j < task->joints; j++)
        data->qpos[task->joint[j].qpos] = cn_rng_range(rng, t->joint_low[j], t->joint_high[j]);
    mj_fwdPosition(model, data);
    mju_copy3(out, cn_point_position(&t->of, data));
    return data->ncon == 0;
}

static void propose_box(const cn_target_draw *t, cn_rng *rng, double out[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = cn_rng_range(rng, t->low[i], t->high[i]);
}

/* Uniform in the volume between two spheres. */
static void propose_shell(const cn_target_draw *t, cn_rng *rng, double out[3])
{
    double direction[3];
    for (int i = 0; i < 3; i++)
        direction[i] = cn_rng_normal(rng);
    mju_normalize3(direction);
    const double cubed = cn_rng_range(rng, pow(t->radius[0], 3), pow(t->radius[1], 3));
    mju_addScl3(out, t->center, direction, cbrt(cubed));
}

static bool acceptable(const cn_target_draw *t, const double p[3])
{
    for (int i = 0; i < 3; i++)
        if (p[i] < t->low[i] || p[i] > t->high[i])
            return false;
    const double r = mju_dist3(p, t->center);
    return r >= t->radius[0] && r <= t->radius[1];
}

cn_status cn_reset_target(const cn_task *task, const mjModel *model, cn_rng *rng, mjData *data,
                          double *qpos, cn_error *err)
{
    const cn_target_draw *t = &task->target;
    double position[3];
    bool good = false;
    if (!t->defined)
        return CN_OK;
    mju_copy(qpos, data->qpos, (int)model->nq);
    for (int i = 0; i < MAX_PROPOSALS && !good; i++) {
        good = true;
        if (t->kind == CN_DRAW_REACHABLE)
            good = propose_reachable(task, model, rng, data, position);
        else if (t->kind == CN_DRAW_BOX)
            propose_box(t, rng, position);
        else
            propose_shell(t, rng, position);
        good = good && acceptable(t, position);
    }
    mju_copy(data->qpos, qpos, (int)model->nq);
    CN_FAIL_IF(!good, CN_ERR_ARGUMENT, err,
               "%s: none of %d draws of the target '%s' was acceptable; widen reset: target",
               task->path, MAX_PROPOSALS, t->point.name);
    cn_point_place(&t->point, model, data, position);
    return CN_OK;
}
