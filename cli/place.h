/* Where a policy acts: a simulated task, with or without a gap, or a robot behind an endpoint. This
 * is where sim and bridge meet: the observer of sim/ watches for the robot environment of bridge/,
 * and the twin of sim/ becomes a plant of bridge/. */
#ifndef CN_CLI_PLACE_H
#define CN_CLI_PLACE_H

#include "bridge/log.h"
#include "bridge/plants/servo_arm.h"
#include "bridge/robot_env.h"
#include "policy/policy.h"
#include "policy/rollout.h"
#include "sim/gap.h"
#include "sim/observer.h"

/* A robot, as the command line names it. */
typedef struct cli_robot_options {
    const char *endpoint; /* NULL: none was named */
    const char *key;      /* file of our own key; NULL: in the clear */
    const char *robot_key;
} cli_robot_options;

/* Rows of an option table for it. */
#define CLI_ROBOT_OPTIONS(r, help)                                                                 \
    {"robot", "ENDPOINT", help, CLI_TEXT, &(r)->endpoint, 0, 0},                                   \
        {"key", "FILE", "our own key, for a robot that asks for one", CLI_TEXT, &(r)->key, 0, 0},  \
    {                                                                                              \
        "robot-key", "FILE", "the robot's public key", CLI_TEXT, &(r)->robot_key, 0, 0             \
    }

/* Connects to the robot, with keys if there are any. @param out  cn_link_destroy */
cn_status cli_robot_connect(const cli_robot_options *robot, cn_link **out, cn_error *err);

typedef struct cli_place {
    cn_task *task;
    cn_gap gap;
    bool has_gap;
    cn_link *link;             /* NULL: simulation */
    cn_observer *observer;     /* of the robot */
    cn_robot_observer watcher; /* the same, as bridge/ sees it */
} cli_place;

/* @param policy     NULL, or gives the task file when `task` is NULL (the one it was trained on)
 * @param task, gap  NULL when not given
 * @param robot  NULL, or without an endpoint: simulation */
cn_status cli_place_open(cn_policy *policy, const char *task, const char *gap,
                         const cli_robot_options *robot, cli_place *out, cn_error *err);
void cli_place_close(cli_place *place);

/* The task's observer as bridge/ sees it, also of a place in simulation: to read logs with. Using
 * it spoils no environment that is made later. */
cn_status cli_place_watcher(cli_place *place, const cn_robot_observer **out, cn_error *err);

/* A cn_make_env: `place` is a cli_place *. */
cn_status cli_place_make_env(void *place, cn_env **out, cn_error *err);

/* The column that --column asked for; its last when nothing was (-1). */
int cli_column(const cn_policy *policy, int64_t wanted);

/* How many environments a place can have: `wanted`, or 1 for a robot. */
int cli_place_envs(const cli_place *place, int wanted);

/* A twin of the task as a plant.
 * @param camera  NULL, or the camera of the model whose pictures its frames have; borrowed
 * @param out  owned; cn_plant_destroy; borrows the task */
cn_status cli_twin_plant(const cn_task *task, const cn_gap *gap, const char *camera, cn_plant **out,
                         cn_error *err);

/* What a plant of the task's arm tells about itself. */
void cli_plant_info(const cn_task *task, cn_plant_info *info);

/* What a log is about: a task on an arm at an endpoint, without a policy. Borrows all three. */
cn_log_about cli_log_about(const cn_task *task, const cn_plant_info *arm, const char *robot);

/* Whether PLANT names a driver, "feetech:/dev/ttyUSB0", and not a task file. */
bool cli_is_servo_address(const char *plant);

/* The servos at such an address. @param port  of the same address */
const cn_servo_make *cli_servo_make(const char *plant, const char **port);

/* The arm of servos at such an address as a plant. Of the task's tracked points it has the mark
 * that `reset` draws: nothing on a servo bus measures others.
 * @param out  owned; cn_plant_destroy; borrows the task */
cn_status cli_servo_plant(const char *address, const cn_task *task, const char *calibration,
                          cn_plant **out, cn_error *err);

#endif
