/* The servo arm. Failures of the bus and tripped guards are told by `read`, once a frame, and not
 * by `command`: so the server can still brake the arm with the servos that hear it. Only a port
 * that is gone fails at once. */
#include "bridge/plants/servo_arm.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* How much of a servo period the exchange may take: the rest is the server's. */
#define BUS_SHARE 0.8
/* For an exchange outside the motion: at its beginning and end. */
#define PATIENCE_NS (CN_NS_PER_S / 5)
/* How long a load above its limit is none: arms accelerate, and touch things. */
#define LOAD_HOLD_S 1.0

enum { GOAL_BYTES = 4, OFF_ATTEMPTS = 3 };

typedef struct servo_arm {
    cn_plant plant; /* first: a cn_plant * is a servo_arm * */
    const cn_servo_make *make;
    cn_calibration calibration;
    cn_bus *bus;
    bool torque; /* on, for all that we know */
    uint8_t id[CN_MAX_JOINTS];
    double full_load[CN_MAX_JOINTS];
    double goal[CN_MAX_JOINTS]; /* rad */
    double period_s;            /* of the servo */
    int64_t began_ns, told_ns;  /* creation; when the servos last heard of us */
    /* The last exchange that succeeded: */
    cn_arm_state state;
    double temperature[CN_MAX_JOINTS], load[CN_MAX_JOINTS];
    double loaded_since_s[CN_MAX_JOINTS]; /* < 0: below its limit */
    uint8_t error[CN_MAX_JOINTS];
    /* Those after it that failed: */
    int failures;
    cn_error failure;
} servo_arm;

/* ---- The exchange ---- */

static cn_status write_goals(servo_arm *arm, int64_t until_ns, cn_error *err)
{
    const cn_registers goal = arm->make->goal;
    uint8_t values[CN_MAX_JOINTS * GOAL_BYTES];
    for (int j = 0; j < arm->plant.info.joints; j++) {
        const double steps = cn_servo_steps(&arm->calibration.joint[j], arm->goal[j]);
        const unsigned whole = (unsigned)lround(fmax(0, fmin(CN_SERVO_STEPS - 1, steps)));
        for (size_t i = 0; i < goal.bytes; i++)
            values[(size_t)j * goal.bytes + i] = (uint8_t)(whole >> 8 * i);
    }
    CN_TRY(
        cn_bus_sync_write(arm->bus, goal, arm->id, arm->plant.info.joints, values, until_ns, err));
    arm->told_ns = cn_clock_now();
    return CN_OK;
}

static void take_sensors(servo_arm *arm, const uint8_t *sensors)
{
    cn_arm_state *state = &arm->state;
    state->time_s = (double)(cn_clock_now() - arm->began_ns) / 1e9;
    for (int j = 0; j < arm->plant.info.joints; j++) {
        const cn_servo_joint *servo = &arm->calibration.joint[j];
        const double strength = arm->plant.info.joint[j].effort;
        cn_servo_reading r;
        arm->make->decode(sensors + (size_t)j * arm->make->sensors.bytes, arm->full_load[j], &r);
        state->position[j] = cn_servo_position(servo, r.steps);
        state->velocity[j] = servo->direction * r.velocity * CN_SERVO_RAD_PER_STEP;
        state->effort[j] = isfinite(strength) ? servo->direction * r.load * strength : 0;
        arm->temperature[j] = r.temperature;
        arm->load[j] = r.load;
        if (fabs(r.load) <= arm->calibration.load)
            arm->loaded_since_s[j] = -1;
        else if (arm->loaded_since_s[j] < 0)
            arm->loaded_since_s[j] = state->time_s;
    }
}

/* Asks every servo for its sensors, once. What is missing is remembered; only a port that is gone
 * is a failure here. */
static cn_status read_sensors(servo_arm *arm, int64_t until_ns, cn_error *err)
{
    const cn_plant_info *info = &arm->plant.info;
    uint8_t sensors[CN_MAX_JOINTS * CN_SERVO_SENSOR_BYTES];
    int failed;
    const cn_status status =
        cn_bus_sync_read(arm->bus, arm->make->sensors, arm->id, info->joints, sensors, arm->error,
                         until_ns, &failed, &arm->failure);
    if (status == CN_OK) {
        arm->failures = 0;
        take_sensors(arm, sensors);
        return CN_OK;
    }
    arm->failures++;
    if (status != CN_ERR_IO) {
        cn_error_prefix(&arm->failure, status, "joint '%s'", info->joint[failed].name);
        return CN_OK;
    }
    if (err)
        *err = arm->failure;
    return CN_ERR_IO;
}

/* ---- The plant ---- */

/* Servos follow positions, so a velocity moves their goal, as it moves the server's. It stays in
 * the range, or where it is outside goes no further out. */
static void follow(servo_arm *arm, const cn_arm_command *command)
{
    for (int j = 0; j < command->joints; j++) {
        const cn_arm_joint *joint = &arm->plant.info.joint[j];
        const double goal = arm->goal[j], target = command->target[j];
        if (command->mode == CN_COMMAND_POSITION)
            arm->goal[j] = target;
        else if (command->mode == CN_COMMAND_VELOCITY)
            arm->goal[j] =
                fmax(fmin(goal, joint->position_low),
                     fmin(fmax(goal, joint->position_high), goal + target * arm->period_s));
    }
}

/* A watchdog that has bitten would go unnoticed: nobody answers a sync write. */
static cn_status check_silence(const servo_arm *arm, cn_error *err)
{
    const double silence_s = (double)(cn_clock_now() - arm->told_ns) / 1e9;
    CN_FAIL_IF(arm->make->watchdog.bytes > 0 && silence_s > arm->make->watchdog_s, CN_ERR_SAFETY,
               err,
               "arm '%s' was told nothing for %.2f s: the watchdog of its servos (%.2f s) has "
               "stopped it; start again",
               arm->plant.info.arm, silence_s, arm->make->watchdog_s);
    return CN_OK;
}

static cn_status take_command(cn_plant *plant, const cn_arm_command *command, cn_error *err)
{
    servo_arm *arm = (servo_arm *)plant;
    const int64_t until_ns = cn_clock_now() + (int64_t)(BUS_SHARE * arm->period_s * 1e9);
    CN_TRY(check_silence(arm, err));
    follow(arm, command);
    const cn_status status = write_goals(arm, until_ns, &arm->failure);
    if (status == CN_ERR_TIMEOUT) { /* as if nobody had answered */
        arm->failures++;
        return CN_OK;
    }
    if (status != CN_OK && err)
        *err = arm->failure;
    return status == CN_OK ? read_sensors(arm, until_ns, err) : status;
}

static cn_status check_guards(const servo_arm *arm, cn_error *err)
{
    for (int j = 0; j < arm->plant.info.joints; j++) {
        const char *name = arm->plant.info.joint[j].name;
        const cn_calibration *limits = &arm->calibration;
        CN_FAIL_IF(arm->error[j], CN_ERR_SAFETY, err, "joint '%s': servo %d reports %s", name,
                   arm->id[j], arm->make->protocol->error_words(arm->error[j]));
        CN_FAIL_IF(arm->temperature[j] > limits->temperature, CN_ERR_SAFETY, err,
                   "joint '%s': servo %d has %.0f degrees Celsius, the limit is %.0f: let it cool",
                   name, arm->id[j], arm->temperature[j], limits->temperature);
        CN_FAIL_IF(arm->loaded_since_s[j] >= 0 &&
                       arm->state.time_s - arm->loaded_since_s[j] > LOAD_HOLD_S,
                   CN_ERR_SAFETY, err,
                   "joint '%s': servo %d is at %.0f %% of its full load for more than %g s, the "
                   "limit is %.0f %%: is something in its way?",
                   name, arm->id[j], 100 * fabs(arm->load[j]), LOAD_HOLD_S, 100 * limits->load);
    }
    return CN_OK;
}

static cn_status read_state(cn_plant *plant, cn_arm_state *out, cn_error *err)
{
    const servo_arm *arm = (const servo_arm *)plant;
    if (arm->failures >= CN_SERVO_ATTEMPTS) {
        if (err)
            *err = arm->failure;
        return cn_error_prefix(err, arm->failure.code, "%d times in a row", arm->failures);
    }
    CN_TRY(check_guards(arm, err));
    *out = arm->state;
    return CN_OK;
}

/* ---- Beginning and end ---- */

static cn_status set_all(servo_arm *arm, cn_registers registers, uint8_t value)
{
    uint8_t values[CN_MAX_JOINTS];
    memset(values, value, sizeof values);
    return cn_bus_sync_write(arm->bus, registers, arm->id, arm->plant.info.joints, values,
                             cn_clock_now() + PATIENCE_NS, NULL);
}

/* Whoever hears it goes limp; asked again, until all say so. A watchdog that has bitten would
 * refuse to listen, so it comes first. */
static void torque_off(servo_arm *arm)
{
    const int joints = arm->plant.info.joints;
    uint8_t torque[CN_MAX_JOINTS], error[CN_MAX_JOINTS];
    for (int i = 0; i < OFF_ATTEMPTS; i++) {
        int on = joints, unanswered;
        if (arm->make->watchdog.bytes > 0)
            set_all(arm, arm->make->watchdog, 0);
        set_all(arm, arm->make->torque, 0);
        if (cn_bus_sync_read(arm->bus, arm->make->torque, arm->id, joints, torque, error,
                             cn_clock_now() + PATIENCE_NS, &unanswered, NULL) == CN_OK)
            for (int j = 0; j < joints; j++)
                on -= torque[j] == 0;
        if (on == 0)
            return;
    }
}

static void destroy(cn_plant *plant)
{
    servo_arm *arm = (servo_arm *)plant;
    if (arm->torque)
        torque_off(arm);
    cn_bus_close(&arm->bus);
    free(arm);
}

static cn_status find_servos(servo_arm *arm, cn_error *err)
{
    const cn_registers watchdog = arm->make->watchdog;
    const uint8_t none = 0;
    for (int j = 0; j < arm->plant.info.joints; j++) {
        cn_status status = arm->make->check(arm->bus, arm->id[j], &arm->full_load[j], err);
        if (status == CN_OK && watchdog.bytes > 0)
            status = cn_bus_write(arm->bus, arm->id[j], watchdog, &none, err);
        if (status != CN_OK)
            return cn_error_prefix(err, status, "joint '%s'", arm->plant.info.joint[j].name);
    }
    return CN_OK;
}

/* A goal is within one turn: a servo that stands elsewhere would turn to it as fast as it can. */
static cn_status check_turn(const servo_arm *arm, cn_error *err)
{
    for (int j = 0; j < arm->plant.info.joints; j++) {
        const double steps = cn_servo_steps(&arm->calibration.joint[j], arm->state.position[j]);
        CN_FAIL_IF(steps < -0.5 || steps > CN_SERVO_STEPS - 0.5, CN_ERR_SAFETY, err,
                   "joint '%s': servo %d stands at %.0f steps, outside the turn from 0 to %d: turn "
                   "it back by hand, or mend its homing offset",
                   arm->plant.info.joint[j].name, arm->id[j], steps, CN_SERVO_STEPS - 1);
    }
    return CN_OK;
}

/* The first reading; the goals are where the arm is, so that it stays there when its torque comes.
 */
static cn_status stay(servo_arm *arm, cn_error *err)
{
    arm->failures = 1;
    for (int i = 0; i < CN_SERVO_ATTEMPTS && arm->failures > 0; i++)
        CN_TRY(read_sensors(arm, cn_clock_now() + PATIENCE_NS, err));
    if (arm->failures > 0) {
        if (err)
            *err = arm->failure;
        return arm->failure.code;
    }
    CN_TRY(check_guards(arm, err));
    CN_TRY(check_turn(arm, err));
    memcpy(arm->goal, arm->state.position, sizeof arm->goal);
    return write_goals(arm, cn_clock_now() + PATIENCE_NS, err);
}

static cn_status torque_on(servo_arm *arm, cn_error *err)
{
    const uint8_t on = 1;
    arm->torque = true;
    for (int j = 0; j < arm->plant.info.joints; j++) {
        const cn_status status = cn_bus_write(arm->bus, arm->id[j], arm->make->torque, &on, err);
        if (status != CN_OK)
            return cn_error_prefix(err, status, "joint '%s'", arm->plant.info.joint[j].name);
    }
    for (int j = 0; j < arm->plant.info.joints && arm->make->watchdog.bytes > 0; j++)
        CN_TRY(cn_bus_write(arm->bus, arm->id[j], arm->make->watchdog, &arm->make->watchdog_value,
                            err));
    arm->told_ns = cn_clock_now();
    return CN_OK;
}

cn_status cn_servo_arm_create(const cn_servo_make *make, const char *port,
                              const cn_plant_info *info, const cn_calibration *calibration,
                              cn_plant **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    servo_arm *arm = calloc(1, sizeof *arm);
    CN_FAIL_IF(!arm, CN_ERR_MEMORY, err, "no memory for an arm of servos");
    arm->plant =
        (cn_plant){.info = *info, .read = read_state, .command = take_command, .destroy = destroy};
    arm->make = make;
    arm->calibration = *calibration;
    arm->period_s = 1 / info->servo_rate_hz;
    arm->began_ns = cn_clock_now();
    arm->state.joints = info->joints;
    for (int j = 0; j < info->joints; j++) {
        arm->plant.holds_position[j] = true;
        arm->id[j] = (uint8_t)calibration->joint[j].id;
        arm->loaded_since_s[j] = -1;
    }
    CN_TRY_CLEANUP(cn_bus_open(port, make->protocol, &arm->bus, err));
    CN_TRY_CLEANUP(find_servos(arm, err));
    CN_TRY_CLEANUP(stay(arm, err));
    CN_TRY_CLEANUP(torque_on(arm, err));
    *out = &arm->plant;
    arm = NULL;
cleanup:
    if (arm)
        destroy(&arm->plant);
    return status;
}
