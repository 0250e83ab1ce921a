/* A physical arm as a plant: what `colonnade robot feetech:PORT` serves. The servos are the
 * driver's; the mark that a task's goals put into the air is drawn here, as in simulation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/plants/dynamixel.h"
#include "bridge/plants/feetech.h"
#include "cli/place.h"
#include "sim/twin.h"

static const struct driver {
    const char *prefix;
    const cn_servo_make *make;
    cn_status (*create)(const char *port, const cn_plant_info *info,
                        const cn_calibration *calibration, cn_plant **out, cn_error *err);
} drivers[] = {
    {"feetech:", &cn_feetech_make, cn_feetech_create},
    {"dynamixel:", &cn_dynamixel_make, cn_dynamixel_create},
};

struct servo_plant {
    cn_plant plant; /* first: a cn_plant * is a struct servo_plant * */
    cn_plant *arm;
    cn_twin *goals; /* never moved: only its target is drawn */
    int mark;       /* among the task's tracked points; -1: there is none */
    double goal[3];
};

static const struct driver *driver_of(const char *plant)
{
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        if (strncmp(plant, drivers[i].prefix, strlen(drivers[i].prefix)) == 0 &&
            plant[strlen(drivers[i].prefix)] != '\0')
            return &drivers[i];
    return NULL;
}

bool cli_is_servo_address(const char *plant)
{
    return driver_of(plant) != NULL;
}

const cn_servo_make *cli_servo_make(const char *plant, const char **port)
{
    const struct driver *driver = driver_of(plant);
    *port = plant + strlen(driver->prefix);
    return driver->make;
}

static cn_status read_sensors(cn_plant *plant, cn_arm_state *out, cn_error *err)
{
    const struct servo_plant *p = (struct servo_plant *)plant;
    CN_TRY(p->arm->read(p->arm, out, err));
    out->tracked = plant->info.tracked;
    if (p->mark >= 0)
        memcpy(out->point[0], p->goal, sizeof p->goal);
    return CN_OK;
}

static cn_status take_command(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    const struct servo_plant *p = (struct servo_plant *)plant;
    return p->arm->command(p->arm, command, err);
}

static cn_status draw_goal(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err)
{
    struct servo_plant *p = (struct servo_plant *)plant;
    cn_arm_state state;
    (void)goal_only;
    if (p->mark < 0)
        return CN_OK;
    CN_TRY(cn_twin_retarget(p->goals, seed, err));
    cn_twin_read(p->goals, &state);
    memcpy(p->goal, state.point[p->mark], sizeof p->goal);
    return CN_OK;
}

static void destroy(cn_plant *plant)
{
    struct servo_plant *p = (struct servo_plant *)plant;
    cn_plant_destroy(&p->arm);
    cn_twin_destroy(&p->goals);
    free(p);
}

static cn_status create(struct servo_plant *p, const char *address, const cn_task *task,
                        const char *calibration, cn_error *err)
{
    const struct driver *driver = driver_of(address);
    cn_plant_info *info = &p->plant.info;
    cn_calibration limits;
    cli_plant_info(task, info);
    info->tracked = 0;
    for (int i = 0; i < cn_task_tracked(task); i++)
        if (cn_task_tracked_is_mark(task, i))
            p->mark = i;
    if (p->mark >= 0)
        snprintf(info->point[info->tracked++], CN_NAME, "%s", cn_task_tracked_name(task, p->mark));
    CN_TRY(cn_twin_create(task, NULL, &p->goals, err));
    CN_TRY(draw_goal(&p->plant, 0, true, err));
    CN_TRY(cn_calibration_load(calibration, info, &limits, err));
    return driver->create(address + strlen(driver->prefix), info, &limits, &p->arm, err);
}

cn_status cli_servo_plant(const char *address, const cn_task *task, const char *calibration,
                          cn_plant **out, cn_error *err)
{
    *out = NULL;
    struct servo_plant *p = calloc(1, sizeof *p);
    CN_FAIL_IF(!p, CN_ERR_MEMORY, err, "no memory for an arm");
    p->mark = -1;
    p->plant = (cn_plant){
        .read = read_sensors,
        .command = take_command,
        .reset = draw_goal,
        .destroy = destroy,
    };
    const cn_status status = create(p, address, task, calibration, err);
    if (status == CN_OK)
        *out = &p->plant;
    else
        destroy(&p->plant);
    return status;
}
