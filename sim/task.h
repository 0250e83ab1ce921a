/* A task as data: what the arm is, how it is commanded, what is observed, what is rewarded, when it
 * has succeeded, and where an episode starts. Read from a task YAML (docs/tasks.md has the schema);
 * plain data afterwards, with every name resolved against the compiled MuJoCo model. */
#ifndef CN_SIM_TASK_H
#define CN_SIM_TASK_H

#include "base/yaml.h"
#include "policy/arm.h"
#include "policy/env.h"

typedef struct cn_task cn_task;

/* Loads the YAML, compiles the model it names and resolves every joint, site and body.
 * @return CN_ERR_NOT_FOUND (a file), CN_ERR_FORMAT ("file:line: ...", unknown key, wrong type, a
 * name that is not in the model, with those that are), CN_ERR_PHYSICS (MuJoCo's own words). */
cn_status cn_task_load(const char *path, cn_task **out, cn_error *err);
void cn_task_destroy(cn_task **task);

/* The spec of an environment of this task. */
const cn_env_spec *cn_task_spec(const cn_task *task);

/* A section for the learner to read with its own schema, "train" or "adapt"; false: there is none.
 */
bool cn_task_section(const cn_task *task, const char *name, cn_yaml_node *out);

const char *cn_task_path(const cn_task *task);

/* The commanded joints, in order: name, unit and limits from model and task. */
int cn_task_joints(const cn_task *task);
const cn_arm_joint *cn_task_joint(const cn_task *task, int joint);

/* Whether a commanded joint's servo holds a position, which a velocity command moves. */
bool cn_task_holds_position(const cn_task *task, int joint);

/* Whether the arm's actuators can follow commands of a mode: servos take positions and velocities,
 * motors take efforts. */
bool cn_task_accepts(const cn_task *task, cn_command_mode mode);

/* How often the arm takes a command, s: whole physics steps, close to 2 ms and no less than one, a
 * whole number of them in a control period. */
double cn_task_servo_period(const cn_task *task);

/* Names of the points that something outside the arm measures. */
int cn_task_tracked(const cn_task *task);
const char *cn_task_tracked_name(const cn_task *task, int point);

/* Whether a tracked point is the target that `reset` draws, and a mark without matter (a mocap
 * body): it needs no measuring, because it is where whoever draws it says. */
bool cn_task_tracked_is_mark(const cn_task *task, int point);

#endif
