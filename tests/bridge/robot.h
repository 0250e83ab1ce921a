/* A robot for tests: three first-order joints and one tracked point behind a real server on a
 * thread, and the observer of a small reaching task. The plant checks from its side that no command
 * breaks a limit. */
#ifndef CN_TESTS_BRIDGE_ROBOT_H
#define CN_TESTS_BRIDGE_ROBOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "bridge/robot_env.h"
#include "bridge/server.h"
#include "policy/safety.h"
#include "tests/test.h"

#define ARM_LAG_S   0.02
#define PATIENCE_MS 60000 /* nothing takes this long, even on a busy machine */
/* Velocities are differences of positions divided by the servo period, 2 ms: rounding of 1e-16
 * becomes 1e-13, in accelerations 1e-10, in jerks 1e-7. */
#define ARM_VELOCITY_TOLERANCE     1e-9
#define ARM_ACCELERATION_TOLERANCE 1e-6
#define ARM_JERK_TOLERANCE         1e-3

typedef struct fake_arm {
    cn_plant plant;
    cn_arm_state state;
    double commanded[3], speed[3], change[3]; /* by the last command: position, its differences */
    /* Written by the server's thread, read by the test's, or the other way round: */
    _Atomic uint64_t commands, broken, resets, goals;
    _Atomic uint64_t seed;  /* of the last reset */
    _Atomic double fastest; /* largest |commanded speed| of the last command */
    _Atomic cn_status fail; /* what advance returns */
    atomic_bool slow;       /* every command takes three control periods */
    atomic_bool deaf;       /* reading fails */
    atomic_bool mad;        /* a joint reads what is no number */
} fake_arm;

static inline cn_status fake_read(cn_plant *plant, cn_arm_state *out, cn_error *err)
{
    fake_arm *arm = (fake_arm *)plant;
    CN_FAIL_IF(atomic_load(&arm->deaf), CN_ERR_IO, err, "the fake arm's sensors broke");
    *out = arm->state;
    if (atomic_load(&arm->mad))
        out->position[1] = NAN;
    return CN_OK;
}

static inline void fake_check(fake_arm *arm, const cn_arm_command *command, double dt)
{
    double fastest = 0;
    for (int j = 0; j < 3; j++) {
        const cn_arm_joint *joint = &arm->plant.info.joint[j];
        const bool velocity = command->mode == CN_COMMAND_VELOCITY;
        const double t = command->target[j];
        const double speed = velocity ? t : (t - arm->commanded[j]) / dt;
        const double change = (speed - arm->speed[j]) / dt;
        const bool outside = !velocity && (t < joint->position_low || t > joint->position_high);
        if (!isfinite(t) || outside || fabs(speed) > joint->velocity + ARM_VELOCITY_TOLERANCE ||
            fabs(change) > joint->acceleration + ARM_ACCELERATION_TOLERANCE ||
            fabs(change - arm->change[j]) / dt > joint->jerk + ARM_JERK_TOLERANCE)
            arm->broken++;
        arm->commanded[j] = velocity ? arm->commanded[j] + t * dt : t;
        arm->speed[j] = speed;
        arm->change[j] = change;
        fastest = fmax(fastest, fabs(speed));
    }
    atomic_store(&arm->fastest, fastest);
}

static inline cn_status fake_command(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    fake_arm *arm = (fake_arm *)plant;
    (void)err;
    arm->commands++;
    fake_check(arm, command, 1 / plant->info.servo_rate_hz);
    if (atomic_load(&arm->slow))
        cn_clock_sleep_until(cn_clock_now() + (int64_t)(3e9 * plant->info.control_period_s));
    return CN_OK;
}

static inline cn_status fake_advance(cn_plant *plant, double seconds, cn_error *err)
{
    fake_arm *arm = (fake_arm *)plant;
    cn_arm_state *s = &arm->state;
    const cn_status fail = atomic_load(&arm->fail);
    CN_FAIL_IF(fail != CN_OK, fail, err, "the fake arm broke");
    s->time_s += seconds;
    for (int j = 0; j < 3; j++) {
        s->velocity[j] = (arm->commanded[j] - s->position[j]) / ARM_LAG_S;
        s->position[j] += s->velocity[j] * seconds;
    }
    return CN_OK;
}

static inline cn_status fake_reset(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err)
{
    fake_arm *arm = (fake_arm *)plant;
    (void)err;
    arm->seed = seed;
    arm->state.point[0][0] = (double)(seed % 7) * 0.1;
    if (goal_only) {
        arm->goals++;
        return CN_OK;
    }
    arm->resets++;
    for (int j = 0; j < 3; j++) {
        arm->state.position[j] = arm->commanded[j] = 0.1 * (double)(seed % 5);
        arm->state.velocity[j] = arm->speed[j] = arm->change[j] = 0;
    }
    return CN_OK;
}

static inline void fake_destroy(cn_plant *plant)
{
    (void)plant;
}

static inline fake_arm fake_arm_make(double control_period_s)
{
    return (fake_arm){
        .plant =
            {
                .info =
                    {
                        .arm = "fake",
                        .joints = 3,
                        .joint = {{"base", "rad", -2, 2, 1.5, 30, 3000, 10},
                                  {"wrist", "rad", -INFINITY, INFINITY, 3, 60, 6000, INFINITY},
                                  {"rail", "m", -0.5, 0.5, 0.5, 10, 1000, 50}},
                        .tracked = 1,
                        .point = {"target"},
                        .control_period_s = control_period_s,
                        .servo_rate_hz = 500,
                    },
                .holds_position = {true, true, true},
                .read = fake_read,
                .command = fake_command,
                .advance = fake_advance,
                .reset = fake_reset,
                .destroy = fake_destroy,
            },
        .state = {.joints = 3, .tracked = 1},
    };
}

/* ---- The server on its thread ---- */

typedef struct robot {
    fake_arm arm;
    cn_server *server;
    pthread_t thread;
    atomic_bool stop;
    cn_status status;
    cn_error failure;
    char endpoint[256];
} robot;

static inline void *robot_thread(void *data)
{
    robot *r = data;
    r->status = cn_server_run(r->server, &r->stop, &r->failure);
    return NULL;
}

/* A socket path of our own in a fresh folder; robot_stop removes the folder. */
static inline void robot_path(char *endpoint, size_t size)
{
    char folder[] = "/tmp/colonnade-test-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(endpoint, size, "ipc://%s/arm", folder);
}

/* Serves r->arm as it is. */
static inline void robot_serve(robot *r, const cn_server_config *config)
{
    cn_error err = {0};
    CN_ASSERT_OK(cn_server_create(config, &r->arm.plant, &r->server, &err));
    snprintf(r->endpoint, sizeof r->endpoint, "%s", cn_server_state_endpoint(r->server));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&r->thread, NULL, robot_thread, r), 0);
}

static inline void robot_start_with(robot *r, const cn_server_config *config, double period_s)
{
    memset(r, 0, sizeof *r);
    r->arm = fake_arm_make(period_s);
    robot_serve(r, config);
}

static inline void robot_start_at(robot *r, const char *endpoint, bool lockstep, double period_s)
{
    const cn_server_config config = {.endpoint = endpoint, .lockstep = lockstep, .open = true};
    robot_start_with(r, &config, period_s);
}

static inline void robot_start(robot *r, bool lockstep, double period_s)
{
    char endpoint[64];
    robot_path(endpoint, sizeof endpoint);
    robot_start_at(r, endpoint, lockstep, period_s);
}

/* Waits until the server has commanded the arm so many times more: time as the server has it. */
static inline void robot_wait(const robot *r, uint64_t commands)
{
    const uint64_t until = atomic_load(&r->arm.commands) + commands;
    while (atomic_load(&r->arm.commands) < until)
        cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S / 1000);
}

/* Ends the thread; the server's statistics can be read until robot_free. */
static inline void robot_stop(robot *r)
{
    atomic_store(&r->stop, true);
    pthread_join(r->thread, NULL);
}

static inline void robot_free(robot *r)
{
    cn_server_destroy(&r->server);
    if (strncmp(r->endpoint, "ipc:///", 7) == 0) {
        *strrchr(r->endpoint, '/') = '\0';
        CU_ASSERT_EQUAL(rmdir(r->endpoint + 6), 0); /* the server has left nothing behind */
    }
}

/* The end of every test: the server ran without failure and the plant saw no limit broken. */
static inline void robot_end(robot *r)
{
    robot_stop(r);
    CU_ASSERT_EQUAL(r->status, CN_OK);
    CU_ASSERT_EQUAL(r->arm.broken, 0);
    robot_free(r);
}

static inline cn_link *robot_link(const robot *r)
{
    cn_error err = {0};
    cn_link *link = NULL;
    CN_ASSERT_OK(cn_link_connect(r->endpoint, NULL, PATIENCE_MS, &link, &err));
    return link;
}

static inline cn_arm_command robot_command(cn_command_mode mode, double a, double b, double c)
{
    return (cn_arm_command){.mode = mode, .joints = 3, .target = {a, b, c}};
}

/* ---- A task: bring the joint "base" to the target's x ---- */

typedef struct fake_task {
    double commanded[3];
    double first_s, last_s; /* when the arm's state was read */
    int steps, step_limit;
    uint64_t begun, continued;
} fake_task;

static inline void fake_fill(const cn_arm_state *reading, float *observation)
{
    for (int j = 0; j < 3; j++)
        observation[j] = (float)reading->position[j];
    observation[3] = (float)reading->point[0][0];
}

static inline void fake_begin(void *self, const cn_arm_state *first, float *observation)
{
    fake_task *task = self;
    memcpy(task->commanded, first->position, sizeof task->commanded);
    task->first_s = task->last_s = first->time_s;
    task->steps = 0;
    task->begun++;
    fake_fill(first, observation);
}

static inline void fake_carry_on(void *self, const cn_arm_state *first, float *observation)
{
    fake_task *task = self;
    task->steps = 0;
    task->continued++;
    fake_fill(first, observation);
}

static inline void fake_act(void *self, const float *action, cn_arm_command *out)
{
    fake_task *task = self;
    *out = (cn_arm_command){.mode = CN_COMMAND_POSITION, .joints = 3};
    for (int j = 0; j < 3; j++) {
        task->commanded[j] += 0.02 * fmax(-1, fmin(1, (double)action[j]));
        out->target[j] = task->commanded[j];
    }
}

static inline void fake_observe(void *self, const cn_arm_state *reading, cn_env_step *step,
                                float *observation)
{
    fake_task *task = self;
    const double away = fabs(reading->position[0] - reading->point[0][0]);
    task->last_s = reading->time_s;
    task->steps++;
    *step = (cn_env_step){
        .reward = (float)-away,
        .success = away < 0.02,
        .truncated = task->steps >= task->step_limit,
    };
    fake_fill(reading, observation);
}

static inline cn_robot_observer fake_observer(fake_task *task, double control_period_s)
{
    return (cn_robot_observer){
        .self = task,
        .spec =
            {
                .task = "touch",
                .arm = "fake",
                .groups = 1,
                .group = {{"state", 0, 4}},
                .observation_size = 4,
                .action_size = 3,
                .control_period_s = control_period_s,
                .step_limit = task->step_limit,
                .has_success = true,
            },
        .joint = {"base", "wrist", "rail"},
        .joints = 3,
        .point = {"target"},
        .tracked = 1,
        .begin = fake_begin,
        .carry_on = fake_carry_on,
        .command = fake_act,
        .observe = fake_observe,
    };
}

#endif
