/* Loading a task: the YAML's top level, the model, and how the arm is commanded. Terms and resets
 * have files of their own. docs/tasks.md describes the schema. */
#include "sim/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "policy/safety.h"
#include "sim/internal.h"

/* Servos of small arms take commands at about this period. */
#define SERVO_PERIOD_S 0.002

/* rad/s or m/s: assumed where neither actuator nor task says how fast a joint may move. */
#define DEFAULT_VELOCITY_LIMIT 3.0

static const char *const mode_words[] = {"joint_position_delta", "joint_position", "joint_velocity",
                                         "effort", NULL};

bool cn_task_find(const cn_task *task, const char *key, cn_yaml_node *out)
{
    return cn_yaml_find(cn_yaml_root(task->document), key, out) ||
           (task->base && cn_yaml_find(cn_yaml_root(task->base), key, out));
}

cn_status cn_task_require(const cn_task *task, const char *key, cn_yaml_node *out, cn_error *err)
{
    if (cn_task_find(task, key, out))
        return CN_OK;
    return cn_yaml_require(cn_yaml_root(task->document), key, out, err);
}

cn_status cn_task_numbers(cn_yaml_node map, const char *key, double fallback, double low,
                          double high, int count, double *out, cn_error *err)
{
    cn_yaml_node node;
    for (int i = 0; i < count; i++)
        out[i] = fallback;
    if (!cn_yaml_find(map, key, &node))
        return CN_OK;
    if (cn_yaml_is_list(node))
        return cn_yaml_doubles(node, low, high, count, out, err);
    CN_TRY(cn_yaml_double(node, low, high, &out[0], err));
    for (int i = 1; i < count; i++)
        out[i] = out[0];
    return CN_OK;
}

cn_status cn_task_joint_named(const cn_task *task, const char *name, cn_yaml_node at, int *out,
                              cn_error *err)
{
    char known[600] = "";
    size_t used = 0;
    for (int j = 0; j < task->joints; j++) {
        if (strcmp(task->joint[j].about.name, name) == 0) {
            *out = j;
            return CN_OK;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", j ? ", " : "",
                                     task->joint[j].about.name);
    }
    return cn_yaml_fail(at, err, "joint '%s' is not one of the task's: %s", name, known);
}

/* Copies a name of the model or the task into a field; too long a name is an error, not a cut. */
static cn_status copy_name(cn_yaml_node at, const char *name, char out[CN_NAME], cn_error *err)
{
    if (strlen(name) >= CN_NAME)
        return cn_yaml_fail(at, err, "name '%s' is longer than %d bytes", name, CN_NAME - 1);
    strcpy(out, name);
    return CN_OK;
}

static cn_status parse_name(const cn_task *task, const char *key, char out[CN_NAME], cn_error *err)
{
    cn_yaml_node node;
    const char *name;
    CN_TRY(cn_task_require(task, key, &node, err));
    CN_TRY(cn_yaml_string(node, &name, err));
    return copy_name(node, name, out, err);
}

static int actuator_of(const mjModel *m, int joint)
{
    for (int a = 0; a < m->nactuator; a++)
        if (m->actuator_trntype[a] == mjTRN_JOINT && m->actuator_trnid[2 * a] == joint)
            return a;
    return -1;
}

/* Unit and limits of a joint, from the model. */
static void describe_joint(const mjModel *m, cn_joint *joint)
{
    cn_arm_joint *about = &joint->about;
    strcpy(about->unit, m->jnt_type[joint->id] == mjJNT_SLIDE ? "m" : "rad");
    about->position_low = -INFINITY;
    about->position_high = INFINITY;
    about->velocity = DEFAULT_VELOCITY_LIMIT;
    about->effort = INFINITY;
    if (m->jnt_limited[joint->id]) {
        about->position_low = m->jnt_range[2 * joint->id];
        about->position_high = m->jnt_range[2 * joint->id + 1];
    }
    if (m->jnt_actfrclimited[joint->id])
        about->effort = m->jnt_actfrcrange[2 * joint->id + 1];
}

/* What a joint's actuator limits in addition. */
static void describe_actuator(const mjModel *m, cn_joint *joint)
{
    cn_arm_joint *about = &joint->about;
    const double gear = fabs(m->actuator_gear[m->actuator_outadr[joint->actuator] * 6]);
    if (joint->drive == CN_DRIVE_VELOCITY && m->actuator_ctrllimited[joint->ctrl])
        about->velocity = m->actuator_ctrlrange[2 * joint->ctrl + 1] / gear;
    if (m->actuator_forcelimited[joint->actuator])
        about->effort = fmin(about->effort, m->actuator_forcerange[2 * joint->actuator + 1] * gear);
}

/* Adds MuJoCo's joint `id` to the task's joints, as a passive one. */
static cn_status add_joint(cn_task *task, int id, cn_yaml_node at, cn_error *err)
{
    const mjModel *m = task->model;
    const char *name = mj_id2name(m, mjOBJ_JOINT, id);
    if (task->joints == CN_MAX_JOINTS)
        return cn_yaml_fail(at, err, "more than %d joints", CN_MAX_JOINTS);
    if (!name)
        return cn_yaml_fail(at, err, "an actuated joint of the model has no name; give it one");
    cn_joint *joint = &task->joint[task->joints];
    CN_TRY(copy_name(at, name, joint->about.name, err));
    if (m->jnt_type[id] != mjJNT_HINGE && m->jnt_type[id] != mjJNT_SLIDE)
        return cn_yaml_fail(at, err, "joint '%s' is neither hinge nor slide", name);
    for (int j = 0; j < task->joints; j++)
        if (task->joint[j].id == id)
            return cn_yaml_fail(at, err, "joint '%s' is listed twice", name);
    joint->id = id;
    joint->qpos = m->jnt_qposadr[id];
    joint->dof = m->jnt_dofadr[id];
    joint->actuator = joint->ctrl = -1;
    joint->drive = CN_DRIVE_NONE;
    describe_joint(m, joint);
    task->joints++;
    return CN_OK;
}

static cn_status add_commanded(cn_task *task, int id, cn_yaml_node at, cn_error *err)
{
    const mjModel *m = task->model;
    CN_TRY(add_joint(task, id, at, err));
    cn_joint *joint = &task->joint[task->joints - 1];
    joint->actuator = actuator_of(m, id);
    if (joint->actuator < 0)
        return cn_yaml_fail(at, err, "joint '%s' has no actuator; add one under model: actuators",
                            joint->about.name);
    joint->ctrl = m->actuator_ctrladr[joint->actuator];
    if (!cn_model_drive(m, joint->actuator, &joint->drive, &joint->target_per_ctrl))
        return cn_yaml_fail(at, err,
                            "the actuator of joint '%s' is neither a position servo, a "
                            "velocity servo nor a motor",
                            joint->about.name);
    describe_actuator(m, joint);
    task->spec.action_size = task->joints;
    return CN_OK;
}

typedef cn_status add_function(cn_task *task, int id, cn_yaml_node at, cn_error *err);

/* Adds the joints that control[key] lists. */
static cn_status add_listed(cn_task *task, cn_yaml_node list, const char *key, add_function *add,
                            cn_error *err)
{
    char known[600];
    if (!cn_yaml_is_list(list) || cn_yaml_count(list) == 0)
        return cn_yaml_fail(list, err, "%s must be a list of at least one name", key);
    for (int i = 0; i < cn_yaml_count(list); i++) {
        const cn_yaml_node item = cn_yaml_item(list, i);
        const char *name;
        CN_TRY(cn_yaml_string(item, &name, err));
        const int id = mj_name2id(task->model, mjOBJ_JOINT, name);
        if (id < 0)
            return cn_yaml_fail(item, err, "joint '%s' is not in the model; it has: %s", name,
                                cn_model_names(task->model, mjOBJ_JOINT, known, sizeof known));
        CN_TRY(add(task, id, item, err));
    }
    return CN_OK;
}

static cn_status parse_joints(cn_task *task, cn_yaml_node control, cn_error *err)
{
    const mjModel *m = task->model;
    cn_yaml_node list;
    if (cn_yaml_find(control, "joints", &list))
        CN_TRY(add_listed(task, list, "joints", add_commanded, err));
    else
        for (int id = 0; id < m->njnt; id++)
            if (actuator_of(m, id) >= 0)
                CN_TRY(add_commanded(task, id, control, err));
    if (task->joints == 0)
        return cn_yaml_fail(control, err,
                            "no joint of the model has an actuator; add some under model: "
                            "actuators");
    if (cn_yaml_find(control, "passive", &list))
        CN_TRY(add_listed(task, list, "passive", add_joint, err));
    return CN_OK;
}

bool cn_task_accepts(const cn_task *task, cn_command_mode mode)
{
    for (int j = 0; j < task->spec.action_size; j++) {
        const bool motor = task->joint[j].drive == CN_DRIVE_EFFORT;
        if (motor != (mode == CN_COMMAND_EFFORT))
            return false;
    }
    return mode != CN_COMMAND_NONE;
}

static cn_status parse_mode(cn_task *task, cn_yaml_node control, cn_error *err)
{
    cn_yaml_node node;
    int mode;
    CN_TRY(cn_yaml_require(control, "mode", &node, err));
    CN_TRY(cn_yaml_choice(node, mode_words, &mode, err));
    task->mode = (cn_control_mode)mode;
    const cn_command_mode sent = task->mode == CN_CONTROL_EFFORT     ? CN_COMMAND_EFFORT
                                 : task->mode == CN_CONTROL_VELOCITY ? CN_COMMAND_VELOCITY
                                                                     : CN_COMMAND_POSITION;
    if (!cn_task_accepts(task, sent))
        return cn_yaml_fail(node, err,
                            "the actuators cannot follow mode '%s': motors take effort, "
                            "servos take positions and velocities",
                            mode_words[mode]);
    bool slide = false, hinge = false;
    for (int j = 0; j < task->spec.action_size; j++)
        *(task->model->jnt_type[task->joint[j].id] == mjJNT_SLIDE ? &slide : &hinge) = true;
    const char *const length = slide && hinge ? "rad or m" : slide ? "m" : "rad";
    const char *const force = slide && hinge ? "N m or N" : slide ? "N" : "N m";
    snprintf(task->spec.action_unit, CN_NAME, "%s%s",
             task->mode == CN_CONTROL_EFFORT ? force : length,
             task->mode == CN_CONTROL_POSITION_DELTA ? "/step"
             : task->mode == CN_CONTROL_VELOCITY     ? "/s"
                                                     : "");
    return CN_OK;
}

/* What an action of 1 means where the task does not say it: all the speed there is, or all that the
 * motor's control range allows; 0 where that is unlimited or not the same in both directions. */
static double full_scale(const cn_task *task, const cn_joint *joint)
{
    const mjModel *m = task->model;
    if (task->mode == CN_CONTROL_VELOCITY)
        return joint->about.velocity;
    const double *range = m->actuator_ctrlrange + 2 * joint->ctrl;
    if (task->mode != CN_CONTROL_EFFORT || !m->actuator_ctrllimited[joint->ctrl] ||
        range[0] != -range[1])
        return 0;
    return range[1] * fabs(joint->target_per_ctrl);
}

static cn_status parse_scale(cn_task *task, cn_yaml_node control, cn_error *err)
{
    double scale[CN_MAX_JOINTS], velocity[CN_MAX_JOINTS];
    const int actions = task->spec.action_size;
    cn_yaml_node node;
    CN_TRY(cn_task_numbers(control, "scale", 0, 1e-6, 1e6, actions, scale, err));
    CN_TRY(cn_task_numbers(control, "velocity_limit", 0, 1e-6, 1e6, actions, velocity, err));
    for (int j = 0; j < actions; j++) {
        cn_joint *joint = &task->joint[j];
        if (velocity[j] > 0)
            joint->about.velocity = velocity[j];
        joint->action_scale = scale[j] > 0 ? scale[j] : full_scale(task, joint);
        if (joint->action_scale <= 0)
            return cn_yaml_require(control, "scale", &node, err);
        memcpy(task->spec.action[j], joint->about.name, CN_NAME);
    }
    for (int j = 0; j < task->joints; j++)
        cn_safety_ramps(&task->joint[j].about);
    return CN_OK;
}

static cn_status parse_control(cn_task *task, cn_error *err)
{
    static const char *const keys[] = {"period", "mode",           "joints", "passive",
                                       "scale",  "velocity_limit", NULL};
    const double rounding = 1e-6; /* of a step: decimal YAML numbers are not exact in binary */
    cn_yaml_node control, node;
    CN_TRY(cn_task_require(task, "control", &control, err));
    CN_TRY(cn_yaml_check_keys(control, keys, err));
    CN_TRY(cn_yaml_require(control, "period", &node, err));
    CN_TRY(cn_yaml_double(node, 1e-4, 10, &task->spec.control_period_s, err));
    const double timestep = task->model->opt.timestep;
    const double steps = task->spec.control_period_s / timestep;
    if (steps < 1 - rounding || fabs(steps - round(steps)) > rounding * steps)
        return cn_yaml_fail(node, err, "period %g s is not a whole number of physics steps of %g s",
                            task->spec.control_period_s, timestep);
    task->steps_per_period = (int)lround(steps);
    CN_TRY(parse_joints(task, control, err));
    CN_TRY(parse_mode(task, control, err));
    return parse_scale(task, control, err);
}

static const char *const task_keys[] = {
    "name",       "arm",       "base",         "model",  "control", "tracked",
    "tracked_at", "reset",     "observations", "reward", "success", "termination",
    "step_limit", "randomize", "train",        "adapt",  NULL};

/* Reads the task that this one is a variation of. */
static cn_status load_base(cn_task *task, cn_yaml_node file, cn_error *err)
{
    const char *relative;
    char path[1024];
    cn_yaml_node node;
    CN_TRY(cn_yaml_string(file, &relative, err));
    CN_TRY(cn_file_resolve(task->path, relative, path, sizeof path, err));
    CN_TRY(cn_yaml_load(path, &task->base, err));
    CN_TRY(cn_yaml_check_keys(cn_yaml_root(task->base), task_keys, err));
    if (cn_yaml_find(cn_yaml_root(task->base), "base", &node))
        return cn_yaml_fail(node, err, "a base cannot have a base of its own");
    return CN_OK;
}

static cn_status parse(cn_task *task, cn_error *err)
{
    cn_yaml_node node;
    long limit;
    CN_TRY(cn_yaml_check_keys(cn_yaml_root(task->document), task_keys, err));
    if (cn_task_find(task, "base", &node))
        CN_TRY(load_base(task, node, err));
    CN_TRY(parse_name(task, "name", task->spec.task, err));
    CN_TRY(parse_name(task, "arm", task->spec.arm, err));
    CN_TRY(cn_task_require(task, "step_limit", &node, err));
    CN_TRY(cn_yaml_int(node, 1, 1000000, &limit, err));
    task->spec.step_limit = (int)limit;
    CN_TRY(cn_task_require(task, "model", &node, err));
    CN_TRY(cn_model_build(node, &task->model, err));
    CN_TRY(parse_control(task, err));
    CN_TRY(cn_task_parse_home(task, err));
    CN_TRY(cn_task_parse_tracked(task, err));
    CN_TRY(cn_task_parse_draws(task, err));
    task->randomize = cn_gap_none();
    if (cn_task_find(task, "randomize", &node))
        CN_TRY(cn_gap_parse(node, task, &task->randomize, err));
    CN_TRY(cn_task_parse_observations(task, err));
    CN_TRY(cn_task_parse_reward(task, err));
    CN_TRY(cn_task_parse_success(task, err));
    return cn_task_parse_termination(task, err);
}

cn_status cn_task_load(const char *path, cn_task **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    cn_task *task = calloc(1, sizeof *task);
    if (!task || !(task->path = strdup(path)))
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for a task", path);
    CN_TRY_CLEANUP(cn_yaml_load(path, &task->document, err));
    CN_TRY_CLEANUP(parse(task, err));
    *out = task;
    task = NULL;
cleanup:
    cn_task_destroy(&task);
    return status;
}

void cn_task_destroy(cn_task **task)
{
    if (!*task)
        return;
    mj_deleteModel((*task)->model);
    cn_yaml_destroy(&(*task)->document);
    cn_yaml_destroy(&(*task)->base);
    free((*task)->path);
    free(*task);
    *task = NULL;
}

const cn_env_spec *cn_task_spec(const cn_task *task)
{
    return &task->spec;
}

bool cn_task_section(const cn_task *task, const char *name, cn_yaml_node *out)
{
    return cn_task_find(task, name, out);
}

const char *cn_task_path(const cn_task *task)
{
    return task->path;
}

int cn_task_joints(const cn_task *task)
{
    return task->joints;
}

const cn_arm_joint *cn_task_joint(const cn_task *task, int joint)
{
    return &task->joint[joint].about;
}

bool cn_task_holds_position(const cn_task *task, int joint)
{
    return task->joint[joint].drive == CN_DRIVE_POSITION;
}

double cn_task_servo_period(const cn_task *task)
{
    const double timestep = task->spec.control_period_s / task->steps_per_period;
    int steps = (int)fmax(1, floor(SERVO_PERIOD_S / timestep * (1 + 1e-9)));
    while (task->steps_per_period % steps != 0)
        steps--;
    return steps * timestep;
}

int cn_task_tracked(const cn_task *task)
{
    return task->tracked;
}

const char *cn_task_tracked_name(const cn_task *task, int point)
{
    return task->track[point].name;
}

bool cn_task_tracked_is_mark(const cn_task *task, int point)
{
    const int body = cn_point_body(&task->track[point], task->model);
    return task->target.defined && body == cn_point_body(&task->target.point, task->model) &&
           task->model->body_mocapid[body] >= 0;
}
