/* The twin: physics, actuators driven in the way the command asks for, sensors, and the gap between
 * this arm and the model that the policy was trained on. */
#include "sim/twin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/internal.h"

/* Speed asked of a velocity servo for each rad (or m) that it is away from a commanded position,
 * 1/s: settles in under half a second and stays far from the servo's own bandwidth. */
#define POSITION_LOOP_GAIN 8.0

struct waiting {
    int64_t due; /* physics step from which it acts; -1: none */
    cn_arm_command command;
};

struct cn_twin {
    const cn_task *task;
    const mjModel *model; /* the task's, or `own` */
    mjModel *own;         /* NULL unless the gap changes the physics */
    mjData *data;
    mjtNum *qpos; /* scratch [nq] */
    cn_gap gaps;  /* from which each episode has */
    cn_gap gap;   /* its own */
    cn_rng sensors;
    int64_t steps; /* physics steps since the reset */
    cn_arm_command acting;
    double goal[CN_MAX_JOINTS]; /* true joint positions that position control heads for */
    int64_t delay;              /* physics steps from a command to its effect */
    struct waiting *waiting; /* [longest delay + 1]: the command due at step s stands at s % (delay
                                + 1) */
    bool kinematics_old;     /* the joints have moved since the last kinematics */
    bool has_last;
    cn_arm_state last; /* the reading before, for dropped frames */
};

/* ---- Construction ---- */

/* Gives the model of an episode the joints, actuators and masses of its gap. Gravity compensation
 * stays that of the nominal arm: a heavier arm sags. */
static void change_physics(const cn_twin *twin)
{
    const cn_task *task = twin->task;
    const cn_gap *gap = &twin->gap;
    const mjModel *nominal = task->model;
    mjModel *m = twin->own;
    for (int j = 0; j < task->joints; j++) {
        const cn_joint *joint = &task->joint[j];
        m->dof_frictionloss[joint->dof] =
            nominal->dof_frictionloss[joint->dof] * gap->friction_scale[j] + gap->friction_add[j];
        m->dof_damping[joint->dof] = nominal->dof_damping[joint->dof] * gap->damping_scale[j];
        for (int i = 0; i < 3 && joint->drive != CN_DRIVE_NONE; i++) {
            const int g = joint->actuator * mjNGAIN + i, b = joint->actuator * mjNBIAS + i;
            m->actuator_gainprm[g] = nominal->actuator_gainprm[g] * gap->actuator_gain[j];
            m->actuator_biasprm[b] = nominal->actuator_biasprm[b] * gap->actuator_gain[j];
        }
    }
    for (int b = 1; b < m->nbody && b < CN_MAX_GAP_BODIES; b++) {
        const double scale = gap->mass_scale[b];
        m->body_mass[b] = nominal->body_mass[b] * scale;
        mju_scl3(m->body_inertia + 3 * b, nominal->body_inertia + 3 * b, scale);
        m->body_gravcomp[b] = nominal->body_gravcomp[b] / scale;
    }
}

static void begin_physics(void *ctx)
{
    cn_twin *twin = ctx;
    change_physics(twin);
    mj_resetData(twin->own, twin->data); /* the episode before must not be felt */
    mj_setConst(twin->own, twin->data);  /* what MuJoCo derives from masses */
}

cn_status cn_twin_create(const cn_task *task, const cn_gap *gap, cn_twin **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    cn_twin *twin = calloc(1, sizeof *twin);
    if (!twin || !(twin->qpos = calloc((size_t)task->model->nq, sizeof *twin->qpos)))
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a twin");
    twin->task = task;
    twin->gaps = gap ? *gap : cn_gap_none();
    const size_t longest = (size_t)(cn_gap_longest_delay(&twin->gaps) * task->steps_per_period);
    if (!(twin->waiting = calloc(longest + 1, sizeof *twin->waiting)))
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a delay of %zu physics steps", longest);
    if (cn_gap_changes_physics(&twin->gaps) && !(twin->own = mj_copyModel(NULL, task->model)))
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a model of the twin's own");
    twin->model = twin->own ? twin->own : task->model;
    CN_TRY_CLEANUP(cn_mujoco_make_data(twin->model, &twin->data, err));
    CN_TRY_CLEANUP(cn_twin_reset(twin, 0, err));
    *out = twin;
    twin = NULL;
cleanup:
    cn_twin_destroy(&twin);
    return status;
}

void cn_twin_destroy(cn_twin **twin)
{
    if (!*twin)
        return;
    mj_deleteData((*twin)->data);
    mj_deleteModel((*twin)->own);
    free((*twin)->waiting);
    free((*twin)->qpos);
    free(*twin);
    *twin = NULL;
}

/* ---- Placing ---- */

static void forward(void *ctx)
{
    cn_twin *twin = ctx;
    mj_forward(twin->model, twin->data);
}

/* Begins at the pose in qpos, at rest, with every servo holding it. */
static cn_status settle(cn_twin *twin, cn_error *err)
{
    const mjModel *m = twin->model;
    mjData *d = twin->data;
    twin->steps = 0;
    for (int64_t i = 0; i <= twin->delay; i++)
        twin->waiting[i].due = -1;
    twin->acting = (cn_arm_command){.mode = CN_COMMAND_NONE};
    twin->has_last = false;
    twin->kinematics_old = false;
    for (int a = 0; a < m->nactuator; a++) {
        cn_drive drive;
        double target_per_ctrl;
        if (cn_model_drive(m, a, &drive, &target_per_ctrl) && drive == CN_DRIVE_POSITION)
            d->ctrl[m->actuator_ctrladr[a]] =
                d->qpos[m->jnt_qposadr[m->actuator_trnid[2 * a]]] / target_per_ctrl;
    }
    for (int j = 0; j < twin->task->joints; j++)
        twin->goal[j] = d->qpos[twin->task->joint[j].qpos];
    return cn_mujoco_try(forward, twin, err);
}

struct drawing {
    cn_twin *twin;
    const cn_draw *draw;
    cn_rng rng;
    cn_error *err;
    cn_status status;
};

static void draw_point(void *ctx)
{
    struct drawing *d = ctx;
    cn_twin *twin = d->twin;
    d->status =
        cn_reset_point(twin->task, d->draw, twin->model, &d->rng, twin->data, twin->qpos, d->err);
}

static cn_status draw(cn_twin *twin, const cn_draw *what, cn_rng rng, cn_error *err)
{
    struct drawing d = {twin, what, rng, err, CN_OK};
    CN_TRY(cn_mujoco_try(draw_point, &d, err));
    twin->kinematics_old = true;
    return d.status;
}

cn_status cn_twin_retarget(cn_twin *twin, uint64_t seed, cn_error *err)
{
    return draw(twin, &twin->task->target, cn_rng_make(seed, CN_STREAM_TARGET), err);
}

cn_status cn_twin_reset(cn_twin *twin, uint64_t seed, cn_error *err)
{
    cn_rng joints = cn_rng_make(seed, CN_STREAM_JOINTS);
    cn_gap_of_episode(&twin->gaps, seed, &twin->gap);
    twin->delay = (int64_t)twin->gap.action_delay * twin->task->steps_per_period;
    if (twin->own)
        CN_TRY(cn_mujoco_try(begin_physics, twin, err));
    mj_resetData(twin->model, twin->data);
    twin->sensors = cn_rng_make(seed, CN_STREAM_SENSORS);
    cn_reset_joints(twin->task, &joints, twin->data);
    for (int i = 0; i < twin->task->objects; i++)
        CN_TRY(draw(twin, &twin->task->object[i],
                    cn_rng_make(seed, CN_STREAM_OBJECTS + (uint64_t)i), err));
    CN_TRY(cn_twin_retarget(twin, seed, err));
    return settle(twin, err);
}

cn_status cn_twin_place(cn_twin *twin, const cn_arm_state *state, cn_error *err)
{
    const cn_task *task = twin->task;
    CN_FAIL_IF(state->joints != task->joints || state->tracked != task->tracked, CN_ERR_SHAPE, err,
               "a reading of %d joints and %d points, the task '%s' has %d and %d", state->joints,
               state->tracked, task->spec.task, task->joints, task->tracked);
    for (int j = 0; j < task->joints; j++)
        CN_FAIL_IF(!isfinite(state->position[j]), CN_ERR_ARGUMENT, err,
                   "position of joint '%s' is %g", task->joint[j].about.name, state->position[j]);
    for (int i = 0; i < 3 * task->tracked; i++)
        CN_FAIL_IF(!isfinite(state->point[i / 3][i % 3]), CN_ERR_ARGUMENT, err,
                   "point '%s' was measured at %g", task->track[i / 3].name,
                   state->point[i / 3][i % 3]);
    mj_resetData(twin->model, twin->data);
    for (int j = 0; j < task->joints; j++)
        twin->data->qpos[task->joint[j].qpos] = state->position[j] - twin->gap.joint_zero_offset[j];
    for (int i = 0; i < task->tracked; i++)
        cn_point_place(&task->track[i], twin->model, twin->data, state->point[i]);
    return settle(twin, err);
}

/* ---- Moving ---- */

/* The targets of joints that there are. */
static void copy_command(cn_arm_command *to, const cn_arm_command *from)
{
    to->mode = from->mode;
    to->joints = from->joints;
    for (int j = 0; j < from->joints && j < CN_MAX_JOINTS; j++)
        to->target[j] = from->target[j];
}

static struct waiting *due_at(cn_twin *twin, int64_t step)
{
    return &twin->waiting[twin->delay ? step % (twin->delay + 1) : 0];
}

void cn_twin_command(cn_twin *twin, const cn_arm_command *command)
{
    /* Of several between two physics steps the last counts. */
    struct waiting *place = due_at(twin, twin->steps + twin->delay);
    place->due = twin->steps + twin->delay;
    copy_command(&place->command, command);
}

static void take_due_command(cn_twin *twin)
{
    const struct waiting *next = due_at(twin, twin->steps);
    if (next->due != twin->steps)
        return;
    copy_command(&twin->acting, &next->command);
    /* What the actuators cannot follow is no command: the arm holds. */
    if (!cn_task_accepts(twin->task, twin->acting.mode) ||
        twin->acting.joints != twin->task->joints)
        twin->acting.mode = CN_COMMAND_NONE;
    if (twin->acting.mode == CN_COMMAND_POSITION)
        for (int j = 0; j < twin->task->joints; j++)
            twin->goal[j] = twin->acting.target[j] - twin->gap.joint_zero_offset[j];
}

/* Controls of this physics step. Position servos follow the goal, which a velocity command moves;
 * velocity servos follow the velocity, which a position command makes from the distance to the
 * goal. */
static void drive(cn_twin *twin)
{
    const cn_command_mode mode = twin->acting.mode;
    mjData *d = twin->data;
    for (int j = 0; j < twin->task->spec.action_size; j++) {
        const cn_joint *joint = &twin->task->joint[j];
        double target = 0;
        if (joint->drive == CN_DRIVE_POSITION) {
            if (mode == CN_COMMAND_VELOCITY)
                twin->goal[j] =
                    fmin(fmax(twin->goal[j] + twin->acting.target[j] * twin->model->opt.timestep,
                              joint->about.position_low),
                         joint->about.position_high);
            target = twin->goal[j];
        } else if (joint->drive == CN_DRIVE_VELOCITY && mode == CN_COMMAND_POSITION) {
            target = POSITION_LOOP_GAIN * (twin->goal[j] - d->qpos[joint->qpos]);
        } else if (mode != CN_COMMAND_NONE) {
            target = twin->acting.target[j];
        }
        d->ctrl[joint->ctrl] = target / joint->target_per_ctrl;
    }
}

struct advance {
    cn_twin *twin;
    cn_twin_next *next; /* NULL: no new commands */
    void *next_ctx;
    int ticks;
    int64_t steps; /* of each tick */
};

static void run_steps(void *ctx)
{
    const struct advance *a = ctx;
    cn_twin *twin = a->twin;
    for (int tick = 0; tick < a->ticks; tick++) {
        if (a->next)
            cn_twin_command(twin, a->next(a->next_ctx));
        for (int64_t i = 0; i < a->steps; i++) {
            take_due_command(twin);
            drive(twin);
            mj_step(twin->model, twin->data);
            twin->steps++;
        }
    }
}

/* How often contacts or constraints found no place in the model's memory and were left out. */
static int left_out(const cn_twin *twin)
{
    const mjWarningStat *warning = twin->data->warning;
    return warning[mjWARN_CONTACTFULL].number + warning[mjWARN_CNSTRFULL].number;
}

static cn_status advance(struct advance *a, double seconds, cn_error *err)
{
    static const struct {
        mjtWarning warning;
        const char *words;
    } diverged[] = {{mjWARN_BADQPOS, "a joint position"},
                    {mjWARN_BADQVEL, "a joint velocity"},
                    {mjWARN_BADQACC, "a joint acceleration"},
                    {mjWARN_BADCTRL, "a control"}};
    cn_twin *twin = a->twin;
    a->steps = llround(seconds / twin->model->opt.timestep);
    if (a->steps < 1)
        a->steps = 1;
    twin->kinematics_old = !twin->task->tracked_as_stepped;
    const int left_out_before = left_out(twin);
    CN_TRY(cn_mujoco_try(run_steps, a, err));
    for (size_t i = 0; i < sizeof diverged / sizeof diverged[0]; i++)
        CN_FAIL_IF(twin->data->warning[diverged[i].warning].number > 0, CN_ERR_PHYSICS, err,
                   "%s: %s is not a usable number at %g s; a smaller timestep or softer actuators "
                   "may help",
                   twin->task->path, diverged[i].words, twin->data->time);
    CN_FAIL_IF(
        left_out(twin) > left_out_before, CN_ERR_PHYSICS, err,
        "%s: contacts were left out at %g s, because %zu bytes hold no more of them; give the "
        "model more with <size memory=\"...\"/>",
        twin->task->path, twin->data->time, (size_t)twin->model->narena);
    return CN_OK;
}

cn_status cn_twin_advance(cn_twin *twin, double seconds, cn_error *err)
{
    return advance(&(struct advance){.twin = twin, .ticks = 1}, seconds, err);
}

cn_status cn_twin_follow(cn_twin *twin, cn_twin_next *next, void *ctx, int ticks, double seconds,
                         cn_error *err)
{
    struct advance a = {.twin = twin, .next = next, .next_ctx = ctx, .ticks = ticks};
    return advance(&a, seconds, err);
}

/* ---- Sensing ---- */

static void add_noise(cn_twin *twin, cn_arm_state *state)
{
    const cn_gap *gap = &twin->gap;
    for (int j = 0; j < state->joints; j++) {
        if (gap->position_noise > 0)
            state->position[j] += gap->position_noise * cn_rng_normal(&twin->sensors);
        if (gap->velocity_noise > 0)
            state->velocity[j] += gap->velocity_noise * cn_rng_normal(&twin->sensors);
    }
    if (gap->tracked_noise > 0)
        for (int i = 0; i < 3 * state->tracked; i++)
            state->point[i / 3][i % 3] += gap->tracked_noise * cn_rng_normal(&twin->sensors);
}

void cn_twin_read(cn_twin *twin, cn_arm_state *out)
{
    const cn_task *task = twin->task;
    const mjData *d = twin->data;
    if (twin->has_last && twin->gap.dropped_frames > 0 &&
        cn_rng_uniform(&twin->sensors) < twin->gap.dropped_frames) {
        *out = twin->last;
        return;
    }
    if (task->tracked > 0 && twin->kinematics_old)
        mj_kinematics(twin->model, twin->data);
    twin->kinematics_old = false;
    out->time_s = d->time;
    out->joints = task->joints;
    for (int j = 0; j < task->joints; j++) {
        const cn_joint *joint = &task->joint[j];
        out->position[j] = d->qpos[joint->qpos] + twin->gap.joint_zero_offset[j];
        out->velocity[j] = d->qvel[joint->dof];
        out->effort[j] = d->qfrc_actuator[joint->dof];
    }
    out->tracked = task->tracked;
    for (int i = 0; i < task->tracked; i++)
        mju_copy3(out->point[i], cn_point_position(&task->track[i], d));
    add_noise(twin, out);
    if (twin->gap.dropped_frames > 0) {
        twin->last = *out;
        twin->has_last = true;
    }
}

/* What MuJoCo's kinematics start from. */
enum { POSE = mjSTATE_QPOS | mjSTATE_MOCAP_POS | mjSTATE_MOCAP_QUAT };

size_t cn_twin_pose_size(const cn_twin *twin)
{
    return (size_t)mj_stateSize(twin->model, POSE);
}

void cn_twin_pose(const cn_twin *twin, double *pose)
{
    mj_getState(twin->model, twin->data, pose, POSE);
}

void cn_twin_set_pose(cn_twin *twin, const double *pose)
{
    mj_setState(twin->model, twin->data, pose, POSE);
    twin->kinematics_old = true;
}

double cn_twin_timestep(const cn_twin *twin)
{
    return twin->model->opt.timestep;
}

const void *cn_twin_mjmodel(const cn_twin *twin)
{
    return twin->model;
}

void *cn_twin_mjdata(cn_twin *twin)
{
    return twin->data;
}
