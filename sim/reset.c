/* Where an episode starts: the joints around a home pose, the target in a box, in a shell, or where
 * the arm can reach. The draws come from streams of the episode's seed and from nothing else. */
#include <math.h>
#include <string.h>

#include "sim/internal.h"

/* Proposals before a distribution counts as empty. */
#define MAX_PROPOSALS 1000

static const char *const spread_words[] = {"uniform", "normal", NULL};

/* Reads map[size_key], a number or a list, and map[draw_key], for every joint of the task. */
static cn_status parse_spread(const cn_task *task, cn_yaml_node map, const char *size_key,
                              const char *draw_key, cn_spread out[CN_MAX_JOINTS], cn_error *err)
{
    double size[CN_MAX_JOINTS] = {0};
    cn_yaml_node node;
    int draw = 0;
    if (cn_yaml_find(map, draw_key, &node))
        CN_TRY(cn_yaml_choice(node, spread_words, &draw, err));
    CN_TRY(cn_task_numbers(map, size_key, 0, 0, 1e6, task->joints, size, err));
    for (int j = 0; j < task->joints; j++)
        out[j] = (cn_spread){draw == 1, size[j]};
    return CN_OK;
}

cn_status cn_task_parse_home(cn_task *task, cn_error *err)
{
    static const char *const reset_keys[] = {"joints", "target", "objects", NULL};
    static const char *const keys[] = {"home",          "spread", "draw", "velocity_spread",
                                       "velocity_draw", NULL};
    double home[CN_MAX_JOINTS];
    cn_spread position[CN_MAX_JOINTS] = {0}, velocity[CN_MAX_JOINTS] = {0};
    cn_yaml_node reset, joints = {NULL, 0}, node;
    for (int j = 0; j < task->joints; j++)
        home[j] = task->model->qpos0[task->joint[j].qpos];
    CN_TRY(cn_task_require(task, "reset", &reset, err));
    CN_TRY(cn_yaml_check_keys(reset, reset_keys, err));
    if (cn_yaml_find(reset, "joints", &joints)) {
        CN_TRY(cn_yaml_check_keys(joints, keys, err));
        if (cn_yaml_find(joints, "home", &node))
            CN_TRY(cn_yaml_doubles(node, -1e6, 1e6, task->joints, home, err));
        CN_TRY(parse_spread(task, joints, "spread", "draw", position, err));
        CN_TRY(parse_spread(task, joints, "velocity_spread", "velocity_draw", velocity, err));
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
        joint->position_spread = position[j];
        joint->velocity_spread = velocity[j];
    }
    return CN_OK;
}

/* ---- The distribution of a point ---- */

/* The joint poses whose reach is sampled: home plus or minus `spread`, within the limits; without a
 * spread the whole range, a full turn where there is none. */
static cn_status parse_reach(const cn_task *task, cn_yaml_node map, cn_draw *t, cn_error *err)
{
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

static cn_status parse_bounds(cn_yaml_node map, cn_draw *t, cn_error *err)
{
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

static cn_status parse_draw(const cn_task *task, cn_yaml_node map, cn_draw *t, cn_error *err)
{
    static const char *const keys[] = {"point", "draw",   "of",     "spread", "low",
                                       "high",  "center", "radius", NULL};
    static const char *const draws[] = {"reachable", "box", "shell", NULL};
    cn_yaml_node node;
    int kind;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_yaml_require(map, "point", &node, err));
    CN_TRY(cn_task_point(task, node, &t->point, err));
    if (!t->point.loose)
        return cn_yaml_fail(node, err,
                            "point '%s' cannot be moved: its body needs mocap=\"true\", a free "
                            "joint, or slides of its own in the world",
                            t->point.name);
    CN_TRY(cn_yaml_require(map, "draw", &node, err));
    CN_TRY(cn_yaml_choice(node, draws, &kind, err));
    t->kind = (cn_draw_kind)kind;
    if (t->kind == CN_DRAW_REACHABLE)
        CN_TRY(parse_reach(task, map, t, err));
    CN_TRY(parse_bounds(map, t, err));
    t->defined = true;
    return CN_OK;
}

cn_status cn_task_parse_draws(cn_task *task, cn_error *err)
{
    cn_yaml_node reset, node;
    CN_TRY(cn_task_require(task, "reset", &reset, err));
    if (cn_yaml_find(reset, "target", &node))
        CN_TRY(parse_draw(task, node, &task->target, err));
    if (!cn_yaml_find(reset, "objects", &node))
        return CN_OK;
    if (!cn_yaml_is_list(node))
        return cn_yaml_fail(node, err, "objects must be a list of draws");
    if (cn_yaml_count(node) > CN_MAX_OBJECTS)
        return cn_yaml_fail(node, err, "%d objects, at most %d", cn_yaml_count(node),
                            CN_MAX_OBJECTS);
    for (int i = 0; i < cn_yaml_count(node); i++)
        CN_TRY(parse_draw(task, cn_yaml_item(node, i), &task->object[task->objects++], err));
    return CN_OK;
}

/* ---- Draws ---- */

static double draw_around(double center, cn_spread spread, cn_rng *rng)
{
    if (spread.normal)
        return center + spread.size * cn_rng_normal(rng);
    return cn_rng_range(rng, center - spread.size, center + spread.size);
}

void cn_reset_joints(const cn_task *task, cn_rng *rng, mjData *data)
{
    for (int j = 0; j < task->joints; j++) {
        const cn_joint *joint = &task->joint[j];
        const double q = draw_around(joint->home, joint->position_spread, rng);
        data->qpos[joint->qpos] =
            fmin(fmax(q, joint->about.position_low), joint->about.position_high);
    }
    for (int j = 0; j < task->joints; j++)
        if (task->joint[j].velocity_spread.size > 0)
            data->qvel[task->joint[j].dof] = draw_around(0, task->joint[j].velocity_spread, rng);
}

/* Whether the arm touches something; what else touches is no concern of it. */
static bool arm_touches(const cn_task *task, const mjModel *model, const mjData *data)
{
    for (int c = 0; c < data->ncon; c++)
        for (int side = 0; side < 2; side++) {
            const int geom = data->contact[c].geom[side];
            if (geom >= 0 && cn_task_moves(task, model->geom_bodyid[geom]))
                return true;
        }
    return false;
}

/* Somewhere the arm can bring the point to: a random pose that touches nothing. */
static bool propose_reachable(const cn_task *task, const cn_draw *t, const mjModel *model,
                              cn_rng *rng, mjData *data, double out[3])
{
    for (int j = 0; j < task->spec.action_size; j++)
        data->qpos[task->joint[j].qpos] = cn_rng_range(rng, t->joint_low[j], t->joint_high[j]);
    mj_fwdPosition(model, data);
    mju_copy3(out, cn_point_position(&t->of, data));
    return !arm_touches(task, model, data);
}

static void propose_box(const cn_draw *t, cn_rng *rng, double out[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = cn_rng_range(rng, t->low[i], t->high[i]);
}

/* Uniform in the volume between two spheres. */
static void propose_shell(const cn_draw *t, cn_rng *rng, double out[3])
{
    double direction[3];
    for (int i = 0; i < 3; i++)
        direction[i] = cn_rng_normal(rng);
    mju_normalize3(direction);
    const double cubed = cn_rng_range(rng, pow(t->radius[0], 3), pow(t->radius[1], 3));
    mju_addScl3(out, t->center, direction, cbrt(cubed));
}

static bool acceptable(const cn_draw *t, const double p[3])
{
    for (int i = 0; i < 3; i++)
        if (p[i] < t->low[i] || p[i] > t->high[i])
            return false;
    const double r = mju_dist3(p, t->center);
    return r >= t->radius[0] && r <= t->radius[1];
}

cn_status cn_reset_point(const cn_task *task, const cn_draw *t, const mjModel *model, cn_rng *rng,
                         mjData *data, double *qpos, cn_error *err)
{
    double position[3];
    bool good = false;
    if (!t->defined)
        return CN_OK;
    mju_copy(qpos, data->qpos, (int)model->nq);
    for (int i = 0; i < MAX_PROPOSALS && !good; i++) {
        good = true;
        if (t->kind == CN_DRAW_REACHABLE)
            good = propose_reachable(task, t, model, rng, data, position);
        else if (t->kind == CN_DRAW_BOX)
            propose_box(t, rng, position);
        else
            propose_shell(t, rng, position);
        good = good && acceptable(t, position);
    }
    mju_copy(data->qpos, qpos, (int)model->nq);
    CN_FAIL_IF(!good, CN_ERR_ARGUMENT, err,
               "%s: none of %d draws of '%s' was acceptable; widen its bounds under reset",
               task->path, MAX_PROPOSALS, t->point.name);
    cn_point_place(&t->point, model, data, position);
    return CN_OK;
}
