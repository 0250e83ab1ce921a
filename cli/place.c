/* Places: wiring an observer to a robot environment. */
#include "cli/place.h"

#include <stdio.h>
#include <string.h>

#include "sim/sim_env.h"

enum { ROBOT_TIMEOUT_MS = 5000 }; /* how long a robot may take to answer the first time */

/* ---- The observer, as bridge/ sees it ---- */

static void begin(void *self, const cn_arm_state *first, float *observation)
{
    cn_observer_begin(self, first, observation);
}

static void carry_on(void *self, const cn_arm_state *first, float *observation)
{
    cn_observer_continue(self, first, observation);
}

static void command(void *self, const float *action, cn_arm_command *out)
{
    cn_observer_command(self, action, out);
}

static void observe(void *self, const cn_arm_state *reading, cn_env_step *step, float *observation)
{
    cn_observer_observe(self, reading, step, observation);
}

static cn_robot_observer watcher_of(cn_observer *observer, const cn_task *task)
{
    cn_robot_observer w = {
        .self = observer,
        .spec = *cn_task_spec(task),
        .joints = cn_task_joints(task),
        .tracked = cn_task_tracked(task),
        .begin = begin,
        .carry_on = carry_on,
        .command = command,
        .observe = observe,
    };
    for (int j = 0; j < w.joints; j++)
        snprintf(w.joint[j], sizeof w.joint[j], "%s", cn_task_joint(task, j)->name);
    for (int i = 0; i < w.tracked; i++)
        snprintf(w.point[i], sizeof w.point[i], "%s", cn_task_tracked_name(task, i));
    return w;
}

/* ---- Opening ---- */

/* The task file given, or the one the policy's last column was trained on. */
static cn_status choose_task(cn_policy *policy, const char *given, const char **out, cn_error *err)
{
    *out = given;
    if (given)
        return CN_OK;
    CN_FAIL_IF(!policy, CN_ERR_ARGUMENT, err, "give a task file with --task");
    *out = cn_policy_column_at(policy, cn_policy_columns(policy) - 1)->task_file;
    FILE *f = fopen(*out, "r");
    CN_FAIL_IF(
        !f, CN_ERR_NOT_FOUND, err,
        "the policy was trained on '%s', which is not there any more; give its task file with "
        "--task",
        *out);
    fclose(f);
    return CN_OK;
}

cn_status cli_robot_connect(const cli_robot_options *robot, cn_link **out, cn_error *err)
{
    cn_link_keys keys;
    CN_FAIL_IF(!robot->key != !robot->robot_key, CN_ERR_ARGUMENT, err,
               "--key and --robot-key go together: ours, and the one we expect of the robot");
    if (robot->key) {
        CN_TRY(cn_key_load(robot->key, &keys.own, err));
        CN_TRY(cn_key_load_public(robot->robot_key, &keys.robot, err));
    }
    return cn_link_connect(robot->endpoint, robot->key ? &keys : NULL, ROBOT_TIMEOUT_MS, out, err);
}

static cn_status open_place(cn_policy *policy, const char *task, const char *gap,
                            const cli_robot_options *robot, cli_place *p, cn_error *err)
{
    const char *task_file;
    CN_TRY(choose_task(policy, task, &task_file, err));
    CN_TRY(cn_task_load(task_file, &p->task, err));
    if (policy) {
        const cn_status status =
            cn_env_spec_match(cn_policy_spec(policy), cn_task_spec(p->task), err);
        if (status != CN_OK)
            return cn_error_prefix(err, status, "%s", task_file);
    }
    if (gap)
        CN_TRY(cn_gap_load(gap, p->task, &p->gap, err));
    p->has_gap = gap != NULL;
    if (!robot || !robot->endpoint)
        return CN_OK;
    const cn_robot_observer *watcher;
    CN_TRY(cli_place_watcher(p, &watcher, err));
    CN_TRY(cli_robot_connect(robot, &p->link, err));
    return cn_robot_observer_match(watcher, cn_link_info(p->link), err);
}

cn_status cli_place_open(cn_policy *policy, const char *task, const char *gap,
                         const cli_robot_options *robot, cli_place *out, cn_error *err)
{
    *out = (cli_place){0};
    const cn_status status = open_place(policy, task, gap, robot, out, err);
    if (status != CN_OK)
        cli_place_close(out);
    return status;
}

void cli_place_close(cli_place *p)
{
    cn_link_destroy(&p->link);
    cn_observer_destroy(&p->observer);
    cn_task_destroy(&p->task);
}

cn_status cli_place_watcher(cli_place *p, const cn_robot_observer **out, cn_error *err)
{
    if (!p->observer) {
        CN_TRY(cn_observer_create(p->task, &p->observer, err));
        p->watcher = watcher_of(p->observer, p->task);
    }
    *out = &p->watcher;
    return CN_OK;
}

cn_status cli_place_make_env(void *place, cn_env **out, cn_error *err)
{
    cli_place *p = place;
    if (p->link)
        return cn_robot_env_create(p->link, &p->watcher, out, err);
    return cn_sim_env_create(p->task, p->has_gap ? &p->gap : NULL, out, err);
}

int cli_column(const cn_policy *policy, int64_t wanted)
{
    return wanted < 0 ? cn_policy_columns(policy) - 1 : (int)wanted;
}

int cli_place_envs(const cli_place *p, int wanted)
{
    return p->link ? 1 : wanted;
}

cn_log_about cli_log_about(const cn_task *task, const cn_plant_info *arm, const char *robot)
{
    const cn_env_spec *spec = cn_task_spec(task);
    return (cn_log_about){
        .task = spec->task,
        .task_file = cn_task_path(task),
        .arm = spec->arm,
        .policy_file = "",
        .policy_checksum = "",
        .robot = robot,
        .control_period_s = spec->control_period_s,
        .joints = arm->joints,
        .joint = arm->joint,
    };
}
