/* The robot as an environment. In lockstep a step is one request; in real time it is a command,
 * sent on the newest frame, and the wait for the frame that follows it. */
#include "bridge/robot_env.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PERIOD_TOLERANCE 1e-6 /* relative: periods are written in decimal, in two files */

enum {
    MISSES_ALLOWED = 5,  /* frames that may fail to come, one after the other */
    HOLDING_ALLOWED = 5, /* frames in which the server may follow no command of ours, likewise */
};
#define FRAME_PERIODS  2.0  /* control periods to wait for a frame, and: */
#define FRAME_MARGIN_S 0.02 /* for the network and both schedulers */

typedef struct robot_env {
    cn_env env; /* first: the env is this struct */
    cn_link *link;
    cn_robot_observer observer;
    cn_frame frame;
    int holding; /* frames in a row in which the server followed nothing */
} robot_env;

static cn_status match_names(const char *what, int ours, const char our[][CN_NAME], int theirs,
                             const char *(*name)(const cn_plant_info *info, int i),
                             const cn_plant_info *info, cn_error *err)
{
    CN_FAIL_IF(ours != theirs, CN_ERR_MISMATCH, err, "the task has %d %ss, the robot '%s' has %d",
               ours, what, info->arm, theirs);
    for (int i = 0; i < ours; i++)
        CN_FAIL_IF(strcmp(our[i], name(info, i)) != 0, CN_ERR_MISMATCH, err,
                   "%s %d is '%s' in the task and '%s' on the robot '%s'", what, i, our[i],
                   name(info, i), info->arm);
    return CN_OK;
}

static const char *joint_name(const cn_plant_info *info, int i)
{
    return info->joint[i].name;
}

static const char *point_name(const cn_plant_info *info, int i)
{
    return info->point[i];
}

cn_status cn_robot_observer_match(const cn_robot_observer *observer, const cn_plant_info *info,
                                  cn_error *err)
{
    const cn_env_spec *spec = &observer->spec;
    const double period = spec->control_period_s;
    CN_FAIL_IF(strcmp(spec->arm, info->arm) != 0, CN_ERR_MISMATCH, err,
               "the task is for the arm '%s', the robot is a '%s'", spec->arm, info->arm);
    CN_TRY(match_names("joint", observer->joints, observer->joint, info->joints, joint_name, info,
                       err));
    CN_TRY(match_names("tracked point", observer->tracked, observer->point, info->tracked,
                       point_name, info, err));
    CN_FAIL_IF(fabs(period - info->control_period_s) > PERIOD_TOLERANCE * period, CN_ERR_MISMATCH,
               err, "the task's control period is %g s, the robot's %g s", period,
               info->control_period_s);
    return CN_OK;
}

static cn_status robot_reset(cn_env *env, uint64_t seed, float *observation, cn_error *err)
{
    robot_env *self = (robot_env *)env;
    CN_TRY(cn_link_reset(self->link, seed, false, &self->frame, err));
    self->observer.begin(self->observer.self, &self->frame.state, observation);
    self->holding = 0;
    return CN_OK;
}

/* Waits for the frame after the command. One that does not come is waited for again, a few times: a
 * real robot drops a frame now and then. */
static cn_status next_frame(robot_env *self, cn_error *err)
{
    const double wait_s = FRAME_PERIODS * self->env.spec.control_period_s + FRAME_MARGIN_S;
    for (int misses = 0;; misses++) {
        const int64_t deadline = cn_clock_now() + (int64_t)(wait_s * 1e9);
        const cn_status status = cn_link_frame(self->link, deadline, &self->frame, err);
        if (status == CN_OK)
            return CN_OK;
        if (status != CN_ERR_TIMEOUT || misses == MISSES_ALLOWED)
            return status;
    }
}

/* A robot that goes on holding does not follow us: our lease is gone, or it refuses what we send.
 */
static cn_status check_following(robot_env *self, cn_error *err)
{
    const cn_frame *frame = &self->frame;
    CN_FAIL_IF(frame->estopped, CN_ERR_SAFETY, err,
               "emergency stop: the robot holds until it is reset");
    self->holding = frame->holding ? self->holding + 1 : 0;
    CN_FAIL_IF(self->holding > HOLDING_ALLOWED, CN_ERR_REFUSED, err,
               "the robot has not followed for %d control periods: %s", self->holding,
               frame->last_refusal[0] ? frame->last_refusal : "commands arrive too late");
    return CN_OK;
}

/* After a pause, for learning say, frames have gone by: the newest is the one before the command,
 * or the next one found would be older than it. The command answers what was observed before the
 * pause, and says so: after a long one the robot refuses it as stale, holds for one more period,
 * and the next observation is fresh. */
static cn_status real_time_step(robot_env *self, const cn_arm_command *command, cn_error *err)
{
    const uint64_t answers = self->frame.sequence;
    const int64_t received_ns = self->frame.received_ns;
    uint64_t sequence;
    const cn_status status = cn_link_frame(self->link, 0, &self->frame, err);
    if (status != CN_OK && status != CN_ERR_TIMEOUT)
        return status;
    const int64_t valid_for = cn_link_valid_for(self->link, received_ns);
    CN_TRY(cn_link_command(self->link, command, answers, valid_for, &sequence, err));
    CN_TRY(next_frame(self, err));
    return check_following(self, err);
}

static cn_status robot_step(cn_env *env, const float *action, cn_env_step *step, float *observation,
                            cn_error *err)
{
    robot_env *self = (robot_env *)env;
    cn_arm_command command;
    self->observer.command(self->observer.self, action, &command);
    if (cn_link_lockstep(self->link))
        CN_TRY(cn_link_step(self->link, &command, &self->frame, err));
    else
        CN_TRY(real_time_step(self, &command, err));
    self->observer.observe(self->observer.self, &self->frame.state, step, observation);
    return CN_OK;
}

static void robot_destroy(cn_env *env)
{
    robot_env *self = (robot_env *)env;
    cn_link_release(self->link, NULL);
    free(self);
}

cn_status cn_robot_env_create(cn_link *link, const cn_robot_observer *observer, cn_env **out,
                              cn_error *err)
{
    CN_TRY(cn_robot_observer_match(observer, cn_link_info(link), err));
    robot_env *self = calloc(1, sizeof *self);
    CN_FAIL_IF(!self, CN_ERR_MEMORY, err, "no memory for a robot environment");
    self->env = (cn_env){
        .spec = observer->spec,
        .reset = robot_reset,
        .step = robot_step,
        .destroy = robot_destroy,
    };
    self->link = link;
    self->observer = *observer;
    const cn_status status = cn_link_acquire(link, err);
    if (status != CN_OK) {
        free(self);
        return status;
    }
    *out = &self->env;
    return CN_OK;
}
