/* The parts of a task that name points and joints: what is tracked, observed, rewarded and called
 * success. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/internal.h"

cn_status cn_task_point(const cn_task *task, cn_yaml_node node, cn_point *out, cn_error *err)
{
    const char *name;
    char sites[400], bodies[400];
    CN_TRY(cn_yaml_string(node, &name, err));
    out->type = mjOBJ_SITE;
    out->id = mj_name2id(task->model, mjOBJ_SITE, name);
    if (out->id < 0) {
        out->type = mjOBJ_BODY;
        out->id = mj_name2id(task->model, mjOBJ_BODY, name);
    }
    if (out->id < 0)
        return cn_yaml_fail(node, err,
                            "point '%s' is neither a site (%s) nor a body (%s) of the "
                            "model",
                            name, cn_model_names(task->model, mjOBJ_SITE, sites, sizeof sites),
                            cn_model_names(task->model, mjOBJ_BODY, bodies, sizeof bodies));
    if (strlen(name) >= CN_NAME)
        return cn_yaml_fail(node, err, "name '%s' is longer than %d bytes", name, CN_NAME - 1);
    strcpy(out->name, name);
    out->tracked = -1;
    for (int i = 0; i < task->tracked; i++)
        if (task->track[i].type == out->type && task->track[i].id == out->id)
            out->tracked = i;
    return CN_OK;
}

/* Whether the commanded joints, and the tracked points that share its mocap body, tell where a
 * point is: a drawn target and a loose body move on their own. */
static bool kinematics_know(const cn_task *task, const cn_point *point)
{
    const mjModel *m = task->model;
    int drawn = task->target.defined ? cn_point_body(&task->target.point, m) : -1;
    for (int i = 0; i < task->tracked; i++)
        if (cn_point_body(&task->track[i], m) == drawn)
            drawn = -1;
    for (int b = cn_point_body(point, m); b > 0; b = m->body_parentid[b]) {
        if (b == drawn)
            return false;
        for (int j = m->body_jntadr[b]; j < m->body_jntadr[b] + m->body_jntnum[b]; j++)
            if (m->jnt_type[j] == mjJNT_FREE || m->jnt_type[j] == mjJNT_BALL)
                return false;
    }
    return true;
}

/* A point that the observer will ask for. */
static cn_status observed_point(cn_task *task, cn_yaml_node map, const char *key, cn_point *out,
                                cn_error *err)
{
    cn_yaml_node node;
    CN_TRY(cn_yaml_require(map, key, &node, err));
    CN_TRY(cn_task_point(task, node, out, err));
    if (out->tracked >= 0)
        return CN_OK;
    if (!kinematics_know(task, out))
        return cn_yaml_fail(node, err,
                            "point '%s' is moved by something else than the commanded joints, so "
                            "it must be measured: list it under tracked",
                            out->name);
    task->needs_kinematics = true;
    return CN_OK;
}

static cn_status observed_pair(cn_task *task, cn_yaml_node map, cn_point *from, cn_point *to,
                               cn_error *err)
{
    CN_TRY(observed_point(task, map, "from", from, err));
    return observed_point(task, map, "to", to, err);
}

cn_status cn_task_parse_tracked(cn_task *task, cn_yaml_node root, cn_error *err)
{
    cn_yaml_node list;
    if (!cn_yaml_find(root, "tracked", &list))
        return CN_OK;
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

/* ---- Observations ---- */

static const char *const observation_words[] = {"joint_position",
                                                "joint_velocity",
                                                "joint_position_sin_cos",
                                                "command_error",
                                                "previous_action",
                                                "point",
                                                "vector",
                                                NULL};

static cn_status parse_observation(cn_task *task, cn_yaml_node map, cn_observation_term *out,
                                   cn_error *err)
{
    static const char *const plain[] = {"term", "center", "scale", NULL};
    static const char *const point[] = {"term", "point", "center", "scale", NULL};
    static const char *const vector[] = {"term", "from", "to", "center", "scale", NULL};
    cn_yaml_node node;
    int kind;
    CN_TRY(cn_yaml_require(map, "term", &node, err));
    CN_TRY(cn_yaml_choice(node, observation_words, &kind, err));
    out->kind = (cn_observation_kind)kind;
    out->size = task->joints;
    if (out->kind == CN_OBSERVE_POINT) {
        CN_TRY(cn_yaml_check_keys(map, point, err));
        CN_TRY(observed_point(task, map, "point", &out->from, err));
        out->size = 3;
    } else if (out->kind == CN_OBSERVE_VECTOR) {
        CN_TRY(cn_yaml_check_keys(map, vector, err));
        CN_TRY(observed_pair(task, map, &out->from, &out->to, err));
        out->size = 3;
    } else {
        CN_TRY(cn_yaml_check_keys(map, plain, err));
        if (out->kind == CN_OBSERVE_JOINT_SIN_COS)
            out->size = 2 * task->joints;
    }
    out->offset = task->spec.observation_size;
    task->spec.observation_size += out->size;
    CN_TRY(cn_task_numbers(map, "center", 0, -1e6, 1e6, out->size, out->center, err));
    return cn_task_numbers(map, "scale", 1, 1e-6, 1e6, out->size, out->scale, err);
}

cn_status cn_task_parse_observations(cn_task *task, cn_yaml_node root, cn_error *err)
{
    cn_yaml_node groups;
    CN_TRY(cn_yaml_require(root, "observations", &groups, err));
    if (!cn_yaml_is_map(groups) || cn_yaml_count(groups) == 0)
        return cn_yaml_fail(groups, err, "observations must be a map of named groups");
    if (cn_yaml_count(groups) > CN_MAX_GROUPS)
        return cn_yaml_fail(groups, err, "%d groups, at most %d", cn_yaml_count(groups),
                            CN_MAX_GROUPS);
    for (int g = 0; g < cn_yaml_count(groups); g++) {
        const char *name;
        const cn_yaml_node terms = cn_yaml_entry(groups, g, &name);
        cn_obs_group *group = &task->spec.group[g];
        if (strlen(name) >= CN_NAME)
            return cn_yaml_fail(terms, err, "name '%s' is longer than %d bytes", name, CN_NAME - 1);
        if (!cn_yaml_is_list(terms) || cn_yaml_count(terms) == 0)
            return cn_yaml_fail(terms, err, "group '%s' must be a list of terms", name);
        strcpy(group->name, name);
        group->offset = task->spec.observation_size;
        for (int i = 0; i < cn_yaml_count(terms); i++) {
            if (task->observations == CN_MAX_TERMS)
                return cn_yaml_fail(cn_yaml_item(terms, i), err, "more than %d terms",
                                    CN_MAX_TERMS);
            CN_TRY(parse_observation(task, cn_yaml_item(terms, i),
                                     &task->observation[task->observations], err));
            task->observations++;
        }
        group->size = task->spec.observation_size - group->offset;
    }
    task->spec.groups = cn_yaml_count(groups);
    return CN_OK;
}

/* ---- Reward ---- */

static const char *const reward_words[] = {"distance", "proximity",     "inside",
                                           "action",   "action_change", "joint_speed",
                                           "velocity", "alive",         NULL};

static cn_status parse_velocity(cn_task *task, cn_yaml_node map, cn_reward_term *out, cn_error *err)
{
    static const char *const keys[] = {"term", "weight", "point", "axis", "joint", NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    out->joint = -1;
    if (cn_yaml_find(map, "joint", &node)) {
        const char *name;
        CN_TRY(cn_yaml_string(node, &name, err));
        return cn_task_joint_named(task, name, node, &out->joint, err);
    }
    CN_TRY(observed_point(task, map, "point", &out->from, err));
    CN_TRY(cn_yaml_require(map, "axis", &node, err));
    return cn_yaml_doubles(node, -1e6, 1e6, 3, out->axis, err);
}

/* A term of the distance between two points; `length_key` is its measure, NULL: it has none. */
static cn_status parse_pair(cn_task *task, cn_yaml_node map, const char *length_key,
                            cn_reward_term *out, cn_error *err)
{
    const char *const keys[] = {"term", "weight", "from", "to", length_key, NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(observed_pair(task, map, &out->from, &out->to, err));
    if (!length_key)
        return CN_OK;
    CN_TRY(cn_yaml_require(map, length_key, &node, err));
    return cn_yaml_double(node, 1e-6, 1e6, &out->length, err);
}

static cn_status parse_reward(cn_task *task, cn_yaml_node map, cn_reward_term *out, cn_error *err)
{
    static const char *const plain[] = {"term", "weight", NULL};
    cn_yaml_node node;
    int kind;
    CN_TRY(cn_yaml_require(map, "term", &node, err));
    CN_TRY(cn_yaml_choice(node, reward_words, &kind, err));
    CN_TRY(cn_yaml_require(map, "weight", &node, err));
    CN_TRY(cn_yaml_double(node, -1e6, 1e6, &out->weight, err));
    out->kind = (cn_reward_kind)kind;
    switch (out->kind) {
    case CN_REWARD_DISTANCE:
        return parse_pair(task, map, NULL, out, err);
    case CN_REWARD_PROXIMITY:
        return parse_pair(task, map, "scale", out, err);
    case CN_REWARD_INSIDE:
        return parse_pair(task, map, "below", out, err);
    case CN_REWARD_VELOCITY:
        return parse_velocity(task, map, out, err);
    case CN_REWARD_ACTION:
    case CN_REWARD_ACTION_CHANGE:
    case CN_REWARD_JOINT_SPEED:
    case CN_REWARD_ALIVE:
        break;
    }
    return cn_yaml_check_keys(map, plain, err);
}

cn_status cn_task_parse_reward(cn_task *task, cn_yaml_node root, cn_error *err)
{
    cn_yaml_node list;
    CN_TRY(cn_yaml_require(root, "reward", &list, err));
    if (!cn_yaml_is_list(list) || cn_yaml_count(list) == 0)
        return cn_yaml_fail(list, err, "reward must be a list of terms");
    if (cn_yaml_count(list) > CN_MAX_TERMS)
        return cn_yaml_fail(list, err, "%d terms, at most %d", cn_yaml_count(list), CN_MAX_TERMS);
    for (int i = 0; i < cn_yaml_count(list); i++)
        CN_TRY(parse_reward(task, cn_yaml_item(list, i), &task->reward[i], err));
    task->rewards = cn_yaml_count(list);
    return CN_OK;
}

/* ---- Success ---- */

cn_status cn_task_parse_success(cn_task *task, cn_yaml_node root, cn_error *err)
{
    static const char *const keys[] = {"from", "to", "below", "hold", "ends_episode", NULL};
    cn_success *success = &task->success;
    cn_yaml_node map, node;
    if (!cn_yaml_find(root, "success", &map))
        return CN_OK;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(observed_pair(task, map, &success->from, &success->to, err));
    CN_TRY(cn_yaml_require(map, "below", &node, err));
    CN_TRY(cn_yaml_double(node, 1e-6, 1e6, &success->below, err));
    success->hold = 1;
    if (cn_yaml_find(map, "hold", &node)) {
        long hold;
        CN_TRY(cn_yaml_int(node, 1, task->spec.step_limit, &hold, err));
        success->hold = (int)hold;
    }
    if (cn_yaml_find(map, "ends_episode", &node))
        CN_TRY(cn_yaml_bool(node, &success->ends_episode, err));
    success->defined = true;
    return CN_OK;
}
