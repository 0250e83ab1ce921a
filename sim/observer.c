/* The observer: readings to observations, reward and success; actions to commands. Nothing here
 * asks where the readings come from. */
#include "sim/observer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/internal.h"

struct cn_observer {
    const cn_task *task;
    mjData *data; /* for kinematics; NULL when every point in use is tracked */
    double commanded[CN_MAX_JOINTS];
    double action[CN_MAX_JOINTS], action_before[CN_MAX_JOINTS];
    double point_before[CN_MAX_TERMS]
                       [3];            /* at the reading before, of the reward's velocity terms */
    double value_before[CN_MAX_TERMS]; /* of its other terms that compare with that reading */
    int steps;                         /* readings observed in this episode */
    int held;                          /* readings in a row inside the success distance */
};

cn_status cn_observer_create(const cn_task *task, cn_observer **out, cn_error *err)
{
    *out = NULL;
    cn_observer *observer = calloc(1, sizeof *observer);
    CN_FAIL_IF(!observer, CN_ERR_MEMORY, err, "no memory for an observer");
    observer->task = task;
    if (task->needs_kinematics) {
        const cn_status status = cn_mujoco_make_data(task->model, &observer->data, err);
        if (status != CN_OK) {
            free(observer);
            return status;
        }
    }
    *out = observer;
    return CN_OK;
}

void cn_observer_destroy(cn_observer **observer)
{
    if (!*observer)
        return;
    mj_deleteData((*observer)->data);
    free(*observer);
    *observer = NULL;
}

/* ---- Points ---- */

/* Joints that are not the task's stay at the model's own pose, where servos hold them. */
static void update_kinematics(cn_observer *observer, const cn_arm_state *reading)
{
    const cn_task *task = observer->task;
    if (!observer->data)
        return;
    for (int j = 0; j < task->joints; j++)
        observer->data->qpos[task->joint[j].qpos] = reading->position[j];
    for (int i = 0; i < task->tracked; i++)
        cn_point_place(&task->track[i], task->model, observer->data, reading->point[i]);
    mj_kinematics(task->model, observer->data);
}

static const double *where(const cn_observer *observer, const cn_arm_state *reading,
                           const cn_point *point)
{
    return point->tracked >= 0 ? reading->point[point->tracked]
                               : cn_point_position(point, observer->data);
}

static double distance(const cn_observer *observer, const cn_arm_state *reading,
                       const cn_point *from, const cn_point *to)
{
    return mju_dist3(where(observer, reading, from), where(observer, reading, to));
}

/* ---- Observations ---- */

static double axis_of(const cn_observer *observer, const cn_arm_state *reading,
                      const cn_observation_term *term, int axis)
{
    const double at = where(observer, reading, &term->from)[axis];
    return term->kind == CN_OBSERVE_POINT ? at : where(observer, reading, &term->to)[axis] - at;
}

/* A raw value of a term, before center and scale. @param i  0..size-1 */
static double observe(const cn_observer *observer, const cn_arm_state *reading,
                      const cn_observation_term *term, int i)
{
    const int chosen = term->chosen[i % term->count];
    switch (term->kind) {
    case CN_OBSERVE_JOINT_POSITION:
        return reading->position[chosen];
    case CN_OBSERVE_JOINT_VELOCITY:
        return reading->velocity[chosen];
    case CN_OBSERVE_JOINT_SIN_COS:
        return i < term->count ? sin(reading->position[chosen]) : cos(reading->position[chosen]);
    case CN_OBSERVE_JOINT_SIN:
        return sin(reading->position[chosen]);
    case CN_OBSERVE_JOINT_COS:
        return cos(reading->position[chosen]);
    case CN_OBSERVE_COMMAND_ERROR:
        return observer->commanded[chosen] - reading->position[chosen];
    case CN_OBSERVE_PREVIOUS_ACTION:
        return observer->action[chosen];
    case CN_OBSERVE_POINT:
    case CN_OBSERVE_VECTOR:
        return axis_of(observer, reading, term, chosen);
    }
    return 0;
}

static void fill_observation(const cn_observer *observer, const cn_arm_state *reading,
                             float *observation)
{
    const cn_task *task = observer->task;
    for (int t = 0; t < task->observations; t++) {
        const cn_observation_term *term = &task->observation[t];
        for (int i = 0; i < term->size; i++)
            observation[term->offset + i] =
                (float)((observe(observer, reading, term, i) - term->center[i]) * term->scale[i]);
    }
}

/* ---- Reward ---- */

static double sum_of_squares(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const double d = a[i] - (b ? b[i] : 0);
        sum += d * d;
    }
    return sum;
}

/* The value of a reward term at this reading, and where it says so since the one before. */
static double reward_value(const cn_observer *observer, const cn_arm_state *reading, int t)
{
    const cn_task *task = observer->task;
    const cn_reward_term *term = &task->reward[t];
    double moved[3];
    switch (term->kind) {
    case CN_REWARD_DISTANCE:
        return distance(observer, reading, &term->from, &term->to);
    case CN_REWARD_PROXIMITY:
        return 1 - tanh(distance(observer, reading, &term->from, &term->to) / term->length);
    case CN_REWARD_INSIDE:
        return distance(observer, reading, &term->from, &term->to) < term->length;
    case CN_REWARD_ACTION:
        return sum_of_squares(observer->action, NULL, task->spec.action_size);
    case CN_REWARD_ACTION_CHANGE:
        return sum_of_squares(observer->action, observer->action_before, task->spec.action_size);
    case CN_REWARD_JOINT_SPEED:
        return sum_of_squares(reading->velocity, NULL, task->joints);
    case CN_REWARD_VELOCITY:
        if (term->joint >= 0)
            return reading->velocity[term->joint];
        mju_sub3(moved, where(observer, reading, &term->from), observer->point_before[t]);
        return mju_dot3(moved, term->axis) / task->spec.control_period_s;
    case CN_REWARD_PROGRESS:
        return (reading->position[term->joint] - observer->value_before[t]) /
               task->spec.control_period_s;
    case CN_REWARD_ALIVE:
        return 1;
    }
    return 0;
}

/* What the terms of the next reward need to know of this reading. */
static void remember(cn_observer *observer, const cn_arm_state *reading)
{
    for (int t = 0; t < observer->task->rewards; t++) {
        const cn_reward_term *term = &observer->task->reward[t];
        if (term->kind == CN_REWARD_VELOCITY && term->joint < 0)
            mju_copy3(observer->point_before[t], where(observer, reading, &term->from));
        else if (term->kind == CN_REWARD_PROGRESS)
            observer->value_before[t] = reading->position[term->joint];
        else if (term->before)
            observer->value_before[t] = reward_value(observer, reading, t);
    }
}

static double reward_of(const cn_observer *observer, const cn_arm_state *reading)
{
    double reward = 0;
    for (int t = 0; t < observer->task->rewards; t++) {
        const cn_reward_term *term = &observer->task->reward[t];
        reward += term->weight *
                  (term->before ? observer->value_before[t] : reward_value(observer, reading, t));
    }
    return reward;
}

static bool out_of_bounds(const cn_task *task, const cn_arm_state *reading)
{
    for (int b = 0; b < task->bounds; b++) {
        const cn_bounds *bound = &task->bound[b];
        const double q = reading->position[bound->joint];
        if (!(q >= bound->low && q <= bound->high))
            return true;
    }
    return false;
}

/* ---- The episode ---- */

void cn_observer_begin(cn_observer *observer, const cn_arm_state *first, float *observation)
{
    memcpy(observer->commanded, first->position, sizeof observer->commanded);
    memset(observer->action, 0, sizeof observer->action);
    memset(observer->action_before, 0, sizeof observer->action_before);
    cn_observer_continue(observer, first, observation);
}

void cn_observer_continue(cn_observer *observer, const cn_arm_state *first, float *observation)
{
    observer->steps = 0;
    observer->held = 0;
    update_kinematics(observer, first);
    remember(observer, first);
    fill_observation(observer, first, observation);
}

void cn_observer_command(cn_observer *observer, const float *action, cn_arm_command *out)
{
    const cn_task *task = observer->task;
    memcpy(observer->action_before, observer->action, sizeof observer->action);
    out->joints = task->joints;
    out->mode = task->mode == CN_CONTROL_VELOCITY ? CN_COMMAND_VELOCITY
                : task->mode == CN_CONTROL_EFFORT ? CN_COMMAND_EFFORT
                                                  : CN_COMMAND_POSITION;
    for (int j = task->spec.action_size; j < task->joints; j++)
        out->target[j] = out->mode == CN_COMMAND_POSITION ? observer->commanded[j] : 0;
    for (int j = 0; j < task->spec.action_size; j++) {
        const cn_joint *joint = &task->joint[j];
        /* What is no number moves nothing. */
        const double a = isfinite(action[j]) ? fmin(fmax((double)action[j], -1), 1) : 0;
        const double amount = a * joint->action_scale;
        observer->action[j] = a;
        if (out->mode != CN_COMMAND_POSITION) {
            out->target[j] = amount;
            continue;
        }
        const double base =
            task->mode == CN_CONTROL_POSITION ? joint->home : observer->commanded[j];
        observer->commanded[j] =
            fmin(fmax(base + amount, joint->about.position_low), joint->about.position_high);
        out->target[j] = observer->commanded[j];
    }
}

void cn_observer_observe(cn_observer *observer, const cn_arm_state *reading, cn_env_step *step,
                         float *observation)
{
    const cn_task *task = observer->task;
    const cn_success *success = &task->success;
    update_kinematics(observer, reading);
    step->reward = (float)reward_of(observer, reading);
    remember(observer, reading);
    const bool inside = success->defined &&
                        distance(observer, reading, &success->from, &success->to) < success->below;
    observer->held = inside ? observer->held + 1 : 0;
    observer->steps++;
    step->success = success->defined && observer->held >= success->hold;
    step->terminated = (step->success && success->ends_episode) || out_of_bounds(task, reading);
    step->truncated = !step->terminated && observer->steps >= task->spec.step_limit;
    fill_observation(observer, reading, observation);
}
