/* Inside sim/: the task as plain data with every name resolved, and what its files share. Only sim/
 * includes this header.
 *
 * Lengths are m, angles rad, times s. A joint number counts the task's joints, not MuJoCo's. */
#ifndef CN_SIM_INTERNAL_H
#define CN_SIM_INTERNAL_H

#include <mujoco/mujoco.h>

#include "base/yaml.h"
#include "policy/arm.h"
#include "policy/env.h"
#include "sim/gap.h"
#include "sim/task.h"
#include "tensor/rng.h"

#define CN_MAX_TERMS   64
#define CN_MAX_OBJECTS 8
#define CN_TERM_WIDTH  (2 * CN_MAX_JOINTS) /* the widest term: sine and cosine of every joint */

/* Streams of a seed, so that the draws of one purpose never move those of another. */
enum {
    CN_STREAM_JOINTS = 1,
    CN_STREAM_TARGET = 2,
    CN_STREAM_SENSORS = 3,
    CN_STREAM_GAP = 4,
    CN_STREAM_OBJECTS = 16, /* and the following, one an object */
};

/* A place on the model that can be measured: a site, or else a body's origin. */
typedef struct cn_point {
    char name[CN_NAME];
    mjtObj type; /* mjOBJ_SITE or mjOBJ_BODY */
    int id;
    int tracked; /* number of the tracked point that it is; -1: only kinematics knows it */
    bool loose;  /* nothing but us decides where it is: cn_point_place can move it */
} cn_point;

/* What a joint's actuator follows. */
typedef enum cn_drive {
    CN_DRIVE_POSITION, /* servo: force = kp (target - position) - kv velocity */
    CN_DRIVE_VELOCITY, /* servo: force = kv (target - velocity) */
    CN_DRIVE_EFFORT,   /* motor: force = gain * control */
    CN_DRIVE_NONE,     /* passive: measured and not driven */
} cn_drive;

/* A quantity that is drawn anew for each episode. */
typedef struct cn_spread {
    bool normal; /* else uniform */
    double size; /* std of a normal, half the width of a uniform distribution; 0: not drawn */
} cn_spread;

typedef struct cn_joint {
    cn_arm_joint about; /* name, unit, limits */
    int id, qpos, dof;  /* MuJoCo's joint and its addresses */
    int actuator, ctrl; /* of a passive joint -1 */
    cn_drive drive;
    double target_per_ctrl; /* control = target / this: 1 / gear, for a motor gear * gain */
    double action_scale;    /* what an action of 1 means, in the unit of the mode */
    double home;            /* an episode starts around this position, */
    cn_spread position_spread, velocity_spread; /* and around rest */
} cn_joint;

typedef enum cn_control_mode {
    CN_CONTROL_POSITION_DELTA, /* commanded position += action * scale */
    CN_CONTROL_POSITION,       /* commanded position = home + action * scale */
    CN_CONTROL_VELOCITY,       /* commanded velocity = action * scale */
    CN_CONTROL_EFFORT,         /* commanded effort = action * scale */
} cn_control_mode;

typedef enum cn_observation_kind {
    CN_OBSERVE_JOINT_POSITION,
    CN_OBSERVE_JOINT_VELOCITY,
    CN_OBSERVE_JOINT_SIN_COS, /* sines of the joints, then cosines */
    CN_OBSERVE_JOINT_SIN,
    CN_OBSERVE_JOINT_COS,
    CN_OBSERVE_COMMAND_ERROR, /* commanded minus measured position */
    CN_OBSERVE_PREVIOUS_ACTION,
    CN_OBSERVE_POINT,
    CN_OBSERVE_VECTOR,
} cn_observation_kind;

/* One term of an observation group: (value - center) * scale. */
typedef struct cn_observation_term {
    cn_observation_kind kind;
    int offset, size; /* floats from the start of the observation, and how many */
    int count;        /* joints of a joint term, axes of a point or vector: */
    int chosen[CN_MAX_JOINTS];
    cn_point from, to;
    double center[CN_TERM_WIDTH], scale[CN_TERM_WIDTH];
} cn_observation_term;

typedef enum cn_reward_kind {
    CN_REWARD_DISTANCE,      /* d */
    CN_REWARD_PROXIMITY,     /* 1 - tanh(d / scale) */
    CN_REWARD_INSIDE,        /* 1 when d < below */
    CN_REWARD_ACTION,        /* |action|^2 */
    CN_REWARD_ACTION_CHANGE, /* |action - previous action|^2 */
    CN_REWARD_JOINT_SPEED,   /* |joint velocity|^2 */
    CN_REWARD_VELOCITY,      /* velocity of a point along an axis, or of a joint */
    CN_REWARD_PROGRESS,      /* what a joint moved in the control period, a second */
    CN_REWARD_ALIVE,         /* 1 */
} cn_reward_kind;

typedef struct cn_reward_term {
    cn_reward_kind kind;
    double weight; /* negative for a cost */
    cn_point from, to;
    double length; /* `scale` or `below`, m */
    double axis[3];
    int joint;   /* of a velocity or progress term; -1: the velocity is that of `from` */
    bool before; /* of the reading that the action answered, not of the one after it */
} cn_reward_term;

typedef struct cn_success {
    bool defined;
    cn_point from, to;
    double below;
    int hold; /* readings in a row, >= 1 */
    bool ends_episode;
} cn_success;

/* An episode terminates when the joint is measured outside. */
typedef struct cn_bounds {
    int joint;
    double low, high;
} cn_bounds;

typedef enum cn_draw_kind { CN_DRAW_REACHABLE, CN_DRAW_BOX, CN_DRAW_SHELL } cn_draw_kind;

/* How a point is drawn: proposed by its kind, kept if it lies in the box and in the shell. */
typedef struct cn_draw {
    bool defined;
    cn_draw_kind kind;
    cn_point point; /* what is moved */
    cn_point of;    /* whose reach is sampled */
    double joint_low[CN_MAX_JOINTS], joint_high[CN_MAX_JOINTS];
    double low[3], high[3];
    double center[3], radius[2];
} cn_draw;

struct cn_task {
    char *path;
    cn_yaml *document;
    cn_yaml *base; /* has the sections that `document` lacks; NULL: there is none */
    mjModel *model;
    cn_env_spec spec;
    int joints;                    /* the commanded ones, one an action, */
    cn_joint joint[CN_MAX_JOINTS]; /* then the passive ones */
    cn_control_mode mode;
    int steps_per_period; /* physics steps */
    int tracked;
    cn_point track[CN_MAX_TRACKED];
    bool tracked_as_stepped; /* points are where the last physics step computed them */
    bool needs_kinematics;   /* some point in use is not tracked */
    int observations;
    cn_observation_term observation[CN_MAX_TERMS];
    int rewards;
    cn_reward_term reward[CN_MAX_TERMS];
    cn_success success;
    int bounds;
    cn_bounds bound[CN_MAX_JOINTS];
    cn_draw target;
    int objects;
    cn_draw object[CN_MAX_OBJECTS];
    cn_gap randomize; /* what simulated episodes draw; fixed at none without the section */
};

/* ---- mujoco.c ---- */

/* Keeps MuJoCo from printing and from writing files; needed before any of its functions that may
 * warn outside of cn_mujoco_try. */
void cn_mujoco_silence(void);

/* Runs call(ctx); an error inside MuJoCo comes back as CN_ERR_PHYSICS with MuJoCo's words instead
 * of ending the process. The call must own nothing that a jump out of it would leak. Cheap (one
 * setjmp). */
cn_status cn_mujoco_try(void (*call)(void *ctx), void *ctx, cn_error *err);

/* mj_makeData; NULL-checked. */
cn_status cn_mujoco_make_data(const mjModel *model, mjData **out, cn_error *err);

/* ---- model.c ---- */

/* Builds the model of a task's `model:` section. @param out  owned; mj_deleteModel */
cn_status cn_model_build(cn_yaml_node section, mjModel **out, cn_error *err);

/* "a, b, c": the names of the model's objects of a type, for messages. Returns buffer. */
const char *cn_model_names(const mjModel *model, mjtObj type, char *buffer, size_t size);

/* Which drive an actuator is, and what target a control of 1 stands for; false: not one of ours. */
bool cn_model_drive(const mjModel *model, int actuator, cn_drive *drive, double *target_per_ctrl);

/* ---- task_terms.c: observations, reward, success, termination ---- */
cn_status cn_task_parse_observations(cn_task *task, cn_error *err);
cn_status cn_task_parse_reward(cn_task *task, cn_error *err);
cn_status cn_task_parse_success(cn_task *task, cn_error *err);
cn_status cn_task_parse_termination(cn_task *task, cn_error *err);

/* ---- task.c ---- */

/* A section of the task, or of its base. */
bool cn_task_find(const cn_task *task, const char *key, cn_yaml_node *out);
cn_status cn_task_require(const cn_task *task, const char *key, cn_yaml_node *out, cn_error *err);

/* Reads map[key], one number for all or a list of `count`; every out[i] is `fallback` if absent. */
cn_status cn_task_numbers(cn_yaml_node map, const char *key, double fallback, double low,
                          double high, int count, double *out, cn_error *err);

/* The number of the task's joint of that name; a mistake is reported at `at`. */
cn_status cn_task_joint_named(const cn_task *task, const char *name, cn_yaml_node at, int *out,
                              cn_error *err);

/* ---- reset.c: where an episode starts ---- */
cn_status cn_task_parse_home(cn_task *task, cn_error *err);
cn_status cn_task_parse_draws(cn_task *task, cn_error *err);

/* Puts the joints of `data` where the draw says. */
void cn_reset_joints(const cn_task *task, cn_rng *rng, mjData *data);

/* Draws where a point lies and puts it there; nothing if the draw is not defined. qpos comes back
 * as it was but for the point's own, what depends on it does not.
 * @param qpos  scratch [nq]
 * @return CN_ERR_ARGUMENT when the distribution yields nothing. */
cn_status cn_reset_point(const cn_task *task, const cn_draw *draw, const mjModel *model,
                         cn_rng *rng, mjData *data, double *qpos, cn_error *err);

/* ---- gap.c ---- */

/* Reads a gap from a map. */
cn_status cn_gap_parse(cn_yaml_node map, const cn_task *task, cn_gap *out, cn_error *err);

/* ---- point.c ---- */
cn_status cn_task_parse_tracked(cn_task *task, cn_error *err);

/* Resolves a point's name. @return CN_ERR_NOT_FOUND with those there are */
cn_status cn_point_find(const cn_task *task, const char *name, cn_point *out, cn_error *err);

/* The same for a name in the task's file. */
cn_status cn_task_point(const cn_task *task, cn_yaml_node name, cn_point *out, cn_error *err);

/* Whether the measured joints, and the tracked points, tell where a point is: what is drawn, a
 * loose body, and a joint that nobody measures move on their own. A joint that a servo holds beside
 * the task's stays where it begins. @return CN_ERR_FORMAT at the node `at` when they don't. */
cn_status cn_point_check_known(const cn_task *task, const cn_point *point, cn_yaml_node at,
                               cn_error *err);

/* Whether one of the task's joints moves the body. */
bool cn_task_moves(const cn_task *task, int body);

/* The body that a point is fixed to. */
int cn_point_body(const cn_point *point, const mjModel *model);

/* Where a point is, in data whose kinematics are up to date. Borrowed, [3]. */
const double *cn_point_position(const cn_point *point, const mjData *data);

/* Moves the body under a loose point, at rest, so that the point comes to lie there; other points
 * are left alone. */
void cn_point_place(const cn_point *point, const mjModel *model, mjData *data,
                    const double position[3]);

#endif
