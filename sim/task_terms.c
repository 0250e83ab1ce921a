/* The parts of a task that name points and joints: what is observed, rewarded, called success, and
 * what ends an episode. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/internal.h"

/* A point that the observer will ask for. */
static cn_status observed_point(cn_task *task, cn_yaml_node map, const char *key, cn_point *out,
                                cn_error *err)
{
    cn_yaml_node node;
    CN_TRY(cn_yaml_require(map, key, &node, err));
    CN_TRY(cn_task_point(task, node, out, err));
    if (out->tracked >= 0)
        return CN_OK;
    CN_TRY(cn_point_check_known(task, out, node, err));
    task->needs_kinematics = true;
    return CN_OK;
}

static cn_status observed_pair(cn_task *task, cn_yaml_node map, cn_point *from, cn_point *to,
                               cn_error *err)
{
    CN_TRY(observed_point(task, map, "from", from, err));
    return observed_point(task, map, "to", to, err);
}

/* ---- Observations ---- */

static const char *const observation_words[] = {"joint_position",
                                                "joint_velocity",
                                                "joint_position_sin_cos",
                                                "joint_position_sin",
                                                "joint_position_cos",
                                                "command_error",
                                                "previous_action",
                                                "point",
                                                "vector",
                                                NULL};

/* The joints of a term: map["joints"], or the first `count` of the task. */
static cn_status choose_joints(const cn_task *task, cn_yaml_node map, int count,
                               cn_observation_term *out, cn_error *err)
{
    cn_yaml_node list;
    out->count = count;
    for (int i = 0; i < count; i++)
        out->chosen[i] = i;
    if (!cn_yaml_find(map, "joints", &list))
        return CN_OK;
    if (!cn_yaml_is_list(list) || cn_yaml_count(list) == 0 || cn_yaml_count(list) > CN_MAX_JOINTS)
        return cn_yaml_fail(list, err, "joints must be a list of 1 to %d names", CN_MAX_JOINTS);
    out->count = cn_yaml_count(list);
    for (int i = 0; i < out->count; i++) {
        const char *name;
        CN_TRY(cn_yaml_string(cn_yaml_item(list, i), &name, err));
        CN_TRY(cn_task_joint_named(task, name, cn_yaml_item(list, i), &out->chosen[i], err));
    }
    return CN_OK;
}

/* The coordinates of a point term: map["axes"], or all three. */
static cn_status choose_axes(cn_yaml_node map, cn_observation_term *out, cn_error *err)
{
    static const char *const axes[] = {"x", "y", "z", NULL};
    cn_yaml_node list;
    out->count = 3;
    for (int i = 0; i < 3; i++)
        out->chosen[i] = i;
    if (!cn_yaml_find(map, "axes", &list))
        return CN_OK;
    if (!cn_yaml_is_list(list) || cn_yaml_count(list) == 0 || cn_yaml_count(list) > 3)
        return cn_yaml_fail(list, err, "axes must be a list of 1 to 3 of x, y, z");
    out->count = cn_yaml_count(list);
    for (int i = 0; i < out->count; i++)
        CN_TRY(cn_yaml_choice(cn_yaml_item(list, i), axes, &out->chosen[i], err));
    return CN_OK;
}

/* What a term is of: points and their axes, or joints. */
static cn_status parse_subject(cn_task *task, cn_yaml_node map, cn_observation_term *out,
                               cn_error *err)
{
    static const char *const plain[] = {"term", "center", "scale", NULL};
    static const char *const joints[] = {"term", "joints", "center", "scale", NULL};
    static const char *const point[] = {"term", "point", "axes", "center", "scale", NULL};
    static const char *const vector[] = {"term", "from", "to", "axes", "center", "scale", NULL};
    const int actions = task->spec.action_size;
    switch (out->kind) {
    case CN_OBSERVE_POINT:
        CN_TRY(cn_yaml_check_keys(map, point, err));
        CN_TRY(observed_point(task, map, "point", &out->from, err));
        return choose_axes(map, out, err);
    case CN_OBSERVE_VECTOR:
        CN_TRY(cn_yaml_check_keys(map, vector, err));
        CN_TRY(observed_pair(task, map, &out->from, &out->to, err));
        return choose_axes(map, out, err);
    case CN_OBSERVE_COMMAND_ERROR:
    case CN_OBSERVE_PREVIOUS_ACTION:
        CN_TRY(cn_yaml_check_keys(map, plain, err));
        return choose_joints(task, map, actions, out, err);
    default:
        CN_TRY(cn_yaml_check_keys(map, joints, err));
        return choose_joints(task, map, task->joints, out, err);
    }
}

static cn_status parse_observation(cn_task *task, cn_yaml_node map, cn_observation_term *out,
                                   cn_error *err)
{
    cn_yaml_node node;
    int kind;
    CN_TRY(cn_yaml_require(map, "term", &node, err));
    CN_TRY(cn_yaml_choice(node, observation_words, &kind, err));
    out->kind = (cn_observation_kind)kind;
    CN_TRY(parse_subject(task, map, out, err));
    out->size = out->kind == CN_OBSERVE_JOINT_SIN_COS ? 2 * out->count : out->count;
    out->offset = task->spec.observation_size;
    task->spec.observation_size += out->size;
    CN_TRY(cn_task_numbers(map, "center", 0, -1e6, 1e6, out->size, out->center, err));
    return cn_task_numbers(map, "scale", 1, 1e-6, 1e6, out->size, out->scale, err);
}

cn_status cn_task_parse_observations(cn_task *task, cn_error *err)
{
    cn_yaml_node groups;
    CN_TRY(cn_task_require(task, "observations", &groups, err));
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

static const char *const reward_words[] = {"distance",      "proximity",   "inside",   "action",
                                           "action_change", "joint_speed", "velocity", "progress",
                                           "alive",         NULL};

static cn_status parse_joint(const cn_task *task, cn_yaml_node node, int *out, cn_error *err)
{
    const char *name;
    CN_TRY(cn_yaml_string(node, &name, err));
    return cn_task_joint_named(task, name, node, out, err);
}

static cn_status parse_velocity(cn_task *task, cn_yaml_node map, cn_reward_term *out, cn_error *err)
{
    static const char *const keys[] = {"term", "weight", "point", "axis", "joint", NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    out->joint = -1;
    if (cn_yaml_find(map, "joint", &node))
        return parse_joint(task, node, &out->joint, err);
    CN_TRY(observed_point(task, map, "point", &out->from, err));
    CN_TRY(cn_yaml_require(map, "axis", &node, err));
    return cn_yaml_doubles(node, -1e6, 1e6, 3, out->axis, err);
}

static cn_status parse_progress(const cn_task *task, cn_yaml_node map, cn_reward_term *out,
                                cn_error *err)
{
    static const char *const keys[] = {"term", "weight", "joint", NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_yaml_require(map, "joint", &node, err));
    return parse_joint(task, node, &out->joint, err);
}

/* A term of the distance between two points; `length_key` is its measure, NULL: it has none. */
static cn_status parse_pair(cn_task *task, cn_yaml_node map, const char *length_key,
                            cn_reward_term *out, cn_error *err)
{
    const char *const keys[] = {"term", "weight", "from", "to", "before", length_key, NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(observed_pair(task, map, &out->from, &out->to, err));
    if (cn_yaml_find(map, "before", &node))
        CN_TRY(cn_yaml_bool(node, &out->before, err));
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
    case CN_REWARD_PROGRESS:
        return parse_progress(task, map, out, err);
    case CN_REWARD_ACTION:
    case CN_REWARD_ACTION_CHANGE:
    case CN_REWARD_JOINT_SPEED:
    case CN_REWARD_ALIVE:
        break;
    }
    return cn_yaml_check_keys(map, plain, err);
}

cn_status cn_task_parse_reward(cn_task *task, cn_error *err)
{
    cn_yaml_node list;
    CN_TRY(cn_task_require(task, "reward", &list, err));
    if (!cn_yaml_is_list(list) || cn_yaml_count(list) == 0)
        return cn_yaml_fail(list, err, "reward must be a list of terms");
    if (cn_yaml_count(list) > CN_MAX_TERMS)
        return cn_yaml_fail(list, err, "%d terms, at most %d", cn_yaml_count(list), CN_MAX_TERMS);
    for (int i = 0; i < cn_yaml_count(list); i++)
        CN_TRY(parse_reward(task, cn_yaml_item(list, i), &task->reward[i], err));
    task->rewards = cn_yaml_count(list);
    return CN_OK;
}

/* ---- Success and termination ---- */

cn_status cn_task_parse_success(cn_task *task, cn_error *err)
{
    static const char *const keys[] = {"from", "to", "below", "hold", "ends_episode", NULL};
    cn_success *success = &task->success;
    cn_yaml_node map, node;
    if (!cn_task_find(task, "success", &map))
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
    task->spec.has_success = true;
    return CN_OK;
}

static cn_status parse_bound(const cn_task *task, cn_yaml_node map, cn_bounds *out, cn_error *err)
{
    static const char *const keys[] = {"joint", "low", "high", NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_yaml_require(map, "joint", &node, err));
    CN_TRY(parse_joint(task, node, &out->joint, err));
    CN_TRY(cn_task_numbers(map, "low", -INFINITY, -1e6, 1e6, 1, &out->low, err));
    CN_TRY(cn_task_numbers(map, "high", INFINITY, -1e6, 1e6, 1, &out->high, err));
    if (out->low > out->high)
        return cn_yaml_fail(map, err, "low %g is above high %g", out->low, out->high);
    return CN_OK;
}

cn_status cn_task_parse_termination(cn_task *task, cn_error *err)
{
    cn_yaml_node list;
    if (!cn_task_find(task, "termination", &list))
        return CN_OK;
    if (!cn_yaml_is_list(list) || cn_yaml_count(list) > CN_MAX_JOINTS)
        return cn_yaml_fail(list, err, "termination must be a list of at most %d joints' bounds",
                            CN_MAX_JOINTS);
    for (int i = 0; i < cn_yaml_count(list); i++)
        CN_TRY(parse_bound(task, cn_yaml_item(list, i), &task->bound[i], err));
    task->bounds = cn_yaml_count(list);
    return CN_OK;
}
