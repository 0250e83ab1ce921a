/* colonnade robot: serves a plant, the twin of a task or an arm of servos. The only process that
 * knows a twin's gap. */
#include <stdio.h>

#include "base/realtime.h"
#include "bridge/limits.h"
#include "bridge/server.h"
#include "cli/cli.h"
#include "cli/place.h"
#include "cli/report.h"
#include "sim/kinematics.h"

static const char *const names[] = {"PLANT", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade robot PLANT --bind ENDPOINT [options]",
    .text =
        "Serves a robot: publishes its sensors at ENDPOINT, takes commands from whoever holds "
        "the lease, stops smoothly when they fall silent. Follows the clock. PLANT is one of\n"
        "  TASK              a task file: its MuJoCo twin. With --lockstep it waits for each "
        "command, so that learning runs at full speed\n"
        "  feetech:PORT      an arm of STS3215 servos (SO-100, SO-101)\n"
        "  dynamixel:PORT    an arm of XL330 and XL430 servos\n"
        "An arm of servos goes limp at the end. Read docs/hardware.md before the first motion.\n"
        "--limits says what this robot may do of what its model could, and where its tool "
        "stays out. --log writes what the servo did, period by period, and every frame and "
        "command.\n"
        "An address that other machines reach needs a key and those who are allowed "
        "(colonnade keygen).",
    .example = "colonnade robot scenes/reach.yaml --bind ipc:///tmp/arm --lockstep\n"
               "  colonnade robot feetech:/dev/ttyUSB0 --arm scenes/so101.yaml \\\n"
               "    --calibration my_arm.yaml --bind ipc:///tmp/arm",
    .positional = names,
};

typedef struct robot_options {
    const char *plant, *bind, *gap, *camera, *arm, *calibration, *limits, *log, *key, *allow;
    bool lockstep, open, json;
} robot_options;

static void report(const cn_server_stats *s, bool json)
{
    printf("%llu frames, %llu commands applied, %llu refused%s%s%s\n"
           "%llu deadline misses (%llu by work of its own), %llu watchdog stops\n",
           (unsigned long long)s->frames, (unsigned long long)s->commands_applied,
           (unsigned long long)s->commands_refused, s->last_refusal[0] ? " (last: " : "",
           s->last_refusal, s->last_refusal[0] ? ")" : "", (unsigned long long)s->deadline_misses,
           (unsigned long long)s->overruns, (unsigned long long)s->watchdog_stops);
    cli_refusals_print("", s->refused);
    if (s->period.count > 0) {
        cli_histogram_print(NULL, NULL);
        cli_histogram_print("servo period", &s->period);
        cli_histogram_print("work in it", &s->work);
        cli_histogram_print("frame to its command", &s->command_age);
    }
    if (s->leases_lapsed > 0)
        printf("%llu leases were lost by silence; the last was that of '%s'\n",
               (unsigned long long)s->leases_lapsed, s->last_lapsed);
    if (s->keep_out_stops > 0)
        printf("%llu stops before a box to keep out of\n", (unsigned long long)s->keep_out_stops);
    if (s->connections_refused > 0)
        printf("%llu connections refused; the last: %s\n",
               (unsigned long long)s->connections_refused, s->last_connection_refusal);
    if (json)
        cli_print_json(json_pack(
            "{s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:s, s:I, s:s, s:o, s:o, s:o, s:I, s:s}",
            "frames", (json_int_t)s->frames, "commands_applied", (json_int_t)s->commands_applied,
            "commands_refused", (json_int_t)s->commands_refused, "refusals",
            cli_refusals_json(s->refused), "deadline_misses", (json_int_t)s->deadline_misses,
            "overruns", (json_int_t)s->overruns, "watchdog_stops", (json_int_t)s->watchdog_stops,
            "keep_out_stops", (json_int_t)s->keep_out_stops, "last_refusal", s->last_refusal,
            "connections_refused", (json_int_t)s->connections_refused, "last_connection_refusal",
            s->last_connection_refusal, "servo_period_us", cli_histogram_json(&s->period),
            "servo_work_us", cli_histogram_json(&s->work), "command_age_us",
            cli_histogram_json(&s->command_age), "leases_lapsed", (json_int_t)s->leases_lapsed,
            "last_lapsed", s->last_lapsed));
}

/* Points that a policy of the task would need and that nothing here measures. */
static void report_unmeasured(const cn_task *task, const cn_plant *plant)
{
    for (int i = 0; i < cn_task_tracked(task); i++)
        if (plant->info.tracked < cn_task_tracked(task) && !cn_task_tracked_is_mark(task, i))
            printf("'%s' is not measured here: without it under `tracked` the task has it from the "
                   "joints\n",
                   cn_task_tracked_name(task, i));
}

static cn_status create_plant(const robot_options *o, const cn_task *task, cn_plant **out,
                              cn_error *err)
{
    cn_gap gap;
    if (cli_is_servo_address(o->plant))
        return cli_servo_plant(o->plant, task, o->calibration, out, err);
    if (o->gap)
        CN_TRY(cn_gap_load(o->gap, task, &gap, err));
    return cli_twin_plant(task, o->gap ? &gap : NULL, o->camera, out, err);
}

/* ---- Limits ---- */

static void place(void *self, const double *position, double (*at)[3])
{
    cn_kinematics_place(self, position, at);
}

/* Narrows the plant's limits; where there are boxes, *kinematics is owned and tells where its
 * points are. */
static cn_status load_limits(const char *path, const cn_task *task, cn_plant *plant,
                             cn_limits *limits, cn_kinematics **kinematics, cn_error *err)
{
    const char *point[CN_MAX_BOXES];
    if (!path)
        return CN_OK;
    CN_TRY(cn_limits_load(path, plant->info.joint, plant->info.joints, limits, err));
    cn_keep_out *boxes = &limits->keep_out;
    for (int i = 0; i < boxes->boxes; i++) {
        point[i] = boxes->box[i].point;
        const cn_status status = cn_kinematics_check(task, point[i], err);
        if (status != CN_OK)
            return cn_error_prefix(err, status, "%s:%d", path, limits->line[i]);
    }
    if (boxes->boxes > 0)
        CN_TRY(cn_kinematics_create(task, point, boxes->boxes, kinematics, err));
    boxes->place = place;
    boxes->self = *kinematics;
    return CN_OK;
}

static cn_status open_log(const robot_options *o, const cn_task *task, const cn_plant *plant,
                          cn_log **out, cn_error *err)
{
    if (!o->log)
        return CN_OK;
    const cn_log_about about = cli_log_about(task, &plant->info, o->bind);
    return cn_log_create(o->log, &about, out, err);
}

static cn_status serve(const robot_options *o, cn_error *err)
{
    cn_status status = CN_OK;
    cn_task *task = NULL;
    cn_plant *plant = NULL;
    cn_server *server = NULL;
    cn_key_list *allowed = NULL;
    cn_kinematics *kinematics = NULL;
    cn_log *log = NULL;
    cn_limits limits = {0};
    cn_key key;
    const atomic_bool *stop = cli_stop();
    CN_TRY_CLEANUP(cn_task_load(o->arm ? o->arm : o->plant, &task, err));
    if (o->key) {
        CN_TRY_CLEANUP(cn_key_load(o->key, &key, err));
        CN_TRY_CLEANUP(cn_key_list_load(o->allow, &allowed, err));
    }
    CN_TRY_CLEANUP(create_plant(o, task, &plant, err));
    CN_TRY_CLEANUP(load_limits(o->limits, task, plant, &limits, &kinematics, err));
    CN_TRY_CLEANUP(open_log(o, task, plant, &log, err));
    const cn_server_config config = {.endpoint = o->bind,
                                     .lockstep = o->lockstep,
                                     .keep_out = kinematics ? &limits.keep_out : NULL,
                                     .log = log,
                                     .key = o->key ? &key : NULL,
                                     .allowed = allowed,
                                     .open = o->open};
    if (!o->lockstep)
        cli_realtime_begin();
    CN_TRY_CLEANUP(cn_server_create(&config, plant, &server, err));
    printf("robot '%s', %d joints, %g Hz, %s: state %s, requests %s\n", plant->info.arm,
           plant->info.joints, 1.0 / plant->info.control_period_s,
           o->lockstep ? "lockstep" : "real time", cn_server_state_endpoint(server),
           cn_server_request_endpoint(server));
    report_unmeasured(task, plant);
    if (allowed)
        printf("encrypted, for %d keys\n", cn_key_list_count(allowed));
    if (!o->lockstep)
        cli_realtime_lock();
    fflush(stdout);
    cn_realtime_lead();
    CN_TRY_CLEANUP(cn_server_run(server, stop, err));
    const cn_server_stats stats = cn_server_statistics(server);
    report(&stats, o->json);
    CN_TRY_CLEANUP(cn_log_finish(&log, err));
cleanup:
    cn_server_destroy(&server);
    cn_log_finish(&log, NULL);
    cn_kinematics_destroy(&kinematics);
    cn_key_list_destroy(&allowed);
    cn_plant_destroy(&plant);
    cn_task_destroy(&task);
    return status;
}

/* What does not go together. @return -1: nothing */
static int check_usage(const robot_options *o)
{
    const bool servos = cli_is_servo_address(o->plant);
    if (!o->bind)
        return cli_wrong(&usage, "--bind is missing: where should the robot be found?");
    if (servos && (!o->arm || !o->calibration))
        return cli_wrong(&usage, "%s needs --%s: %s", o->plant, o->arm ? "calibration" : "arm",
                         o->arm ? "which servo is which joint?" : "which task is the arm's?");
    if (servos && (o->gap || o->lockstep))
        return cli_wrong(&usage, "--%s is for a simulated arm, and %s is none",
                         o->gap ? "gap" : "lockstep", o->plant);
    if (o->camera && servos)
        return cli_wrong(&usage, "--camera is for a simulated arm, and %s is none", o->plant);
    if (o->camera && o->lockstep)
        return cli_wrong(&usage, "--camera is for real time: with --lockstep nothing is drawn");
    if (!servos && (o->arm || o->calibration))
        return cli_wrong(&usage,
                         "--%s is for an arm at feetech:PORT or dynamixel:PORT, not for '%s'",
                         o->arm ? "arm" : "calibration", o->plant);
    if (!o->key != !o->allow)
        return cli_wrong(&usage, "--key and --allow go together: who it is, and whom it meets");
    if (o->key && o->open)
        return cli_wrong(&usage, "--open is for a robot without a key");
    return -1;
}

int cli_robot(int argc, char **argv)
{
    robot_options o = {0};
    const cli_option options[] = {
        {"bind", "ENDPOINT", "where to publish: ipc:///tmp/arm, tcp://*:5555", CLI_TEXT, &o.bind, 0,
         0},
        {"gap", "GAP", "in what this arm differs from its model", CLI_TEXT, &o.gap, 0, 0},
        {"camera", "NAME", "send this camera's pictures with the frames, 64 x 64", CLI_TEXT,
         &o.camera, 0, 0},
        {"arm", "TASK", "the task whose model a physical arm is", CLI_TEXT, &o.arm, 0, 0},
        {"calibration", "FILE", "which servo is which joint, and where its zero is", CLI_TEXT,
         &o.calibration, 0, 0},
        {"limits", "FILE", "what this robot may do of what it could", CLI_TEXT, &o.limits, 0, 0},
        {"log", "FILE", "MCAP log of what the robot did", CLI_TEXT, &o.log, 0, 0},
        {"lockstep", NULL, "time waits for the controller", CLI_FLAG, &o.lockstep, 0, 0},
        {"key", "FILE", "the robot's key: it meets only those who are allowed", CLI_TEXT, &o.key, 0,
         0},
        {"allow", "KEYS", "a .pub file, or a folder of them: who may connect", CLI_TEXT, &o.allow,
         0, 0},
        {"open", NULL, "no keys, even where other machines reach it", CLI_FLAG, &o.open, 0, 0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    int status = cli_parse(&usage, options, argc, argv, &o.plant);
    if (status < 0)
        status = check_usage(&o);
    if (status >= 0)
        return status;
    cn_error err = {0};
    return serve(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
