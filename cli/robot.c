/* colonnade robot: serves a plant. The only process that knows its gap. */
#include <stdio.h>

#include "bridge/server.h"
#include "cli/cli.h"
#include "cli/place.h"

static const char *const names[] = {"TASK", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade robot TASK --bind ENDPOINT [--gap GAP] [--lockstep] [--key FILE --allow "
                "KEYS]",
    .text =
        "Serves the MuJoCo twin of TASK as a robot: publishes its sensors at ENDPOINT, takes "
        "commands\n"
        "from whoever holds the lease, stops smoothly when they fall silent. Follows the clock;\n"
        "with --lockstep it waits for each command instead, so that learning runs at full speed.\n"
        "An address that other machines reach needs a key and those who are allowed (colonnade "
        "keygen).",
    .example = "colonnade robot scenes/reach.yaml --gap scenes/gaps/miscalibrated.yaml "
               "--bind ipc:///tmp/arm --lockstep",
    .positional = names,
};

typedef struct robot_options {
    const char *task, *bind, *gap, *key, *allow;
    bool lockstep, open, json;
} robot_options;

static void report(const cn_server_stats *s, bool json)
{
    printf("%llu frames, %llu commands applied, %llu refused%s%s%s, %llu deadline misses, "
           "%llu watchdog stops\n",
           (unsigned long long)s->frames, (unsigned long long)s->commands_applied,
           (unsigned long long)s->commands_refused, s->last_refusal[0] ? " (last: " : "",
           s->last_refusal, s->last_refusal[0] ? ")" : "", (unsigned long long)s->deadline_misses,
           (unsigned long long)s->watchdog_stops);
    if (s->period.count > 0)
        printf("servo period, microseconds: median %.1f, p99 %.1f, max %.1f\n",
               1e-3 * (double)cn_histogram_quantile(&s->period, 0.5),
               1e-3 * (double)cn_histogram_quantile(&s->period, 0.99),
               1e-3 * (double)s->period.max);
    if (s->connections_refused > 0)
        printf("%llu connections refused; the last: %s\n",
               (unsigned long long)s->connections_refused, s->last_connection_refusal);
    if (json)
        cli_print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:s}", "frames", (json_int_t)s->frames,
            "commands_applied", (json_int_t)s->commands_applied, "commands_refused",
            (json_int_t)s->commands_refused, "deadline_misses", (json_int_t)s->deadline_misses,
            "watchdog_stops", (json_int_t)s->watchdog_stops, "last_refusal", s->last_refusal,
            "connections_refused", (json_int_t)s->connections_refused, "last_connection_refusal",
            s->last_connection_refusal));
}

static cn_status serve(const robot_options *o, cn_error *err)
{
    cn_status status = CN_OK;
    cn_task *task = NULL;
    cn_plant *plant = NULL;
    cn_server *server = NULL;
    cn_key_list *allowed = NULL;
    cn_key key;
    cn_gap gap;
    const atomic_bool *stop = cli_stop();
    CN_TRY_CLEANUP(cn_task_load(o->task, &task, err));
    if (o->gap)
        CN_TRY_CLEANUP(cn_gap_load(o->gap, task, &gap, err));
    CN_TRY_CLEANUP(cli_twin_plant(task, o->gap ? &gap : NULL, &plant, err));
    if (o->key) {
        CN_TRY_CLEANUP(cn_key_load(o->key, &key, err));
        CN_TRY_CLEANUP(cn_key_list_load(o->allow, &allowed, err));
    }
    const cn_server_config config = {.endpoint = o->bind,
                                     .lockstep = o->lockstep,
                                     .key = o->key ? &key : NULL,
                                     .allowed = allowed,
                                     .open = o->open};
    CN_TRY_CLEANUP(cn_server_create(&config, plant, &server, err));
    printf("robot '%s', %d joints, %g Hz, %s: state %s, requests %s\n", plant->info.arm,
           plant->info.joints, 1.0 / plant->info.control_period_s,
           o->lockstep ? "lockstep" : "real time", cn_server_state_endpoint(server),
           cn_server_request_endpoint(server));
    if (allowed)
        printf("encrypted, for %d keys\n", cn_key_list_count(allowed));
    fflush(stdout);
    if (!o->lockstep)
        cli_realtime();
    CN_TRY_CLEANUP(cn_server_run(server, stop, err));
    const cn_server_stats stats = cn_server_statistics(server);
    report(&stats, o->json);
cleanup:
    cn_server_destroy(&server);
    cn_key_list_destroy(&allowed);
    cn_plant_destroy(&plant);
    cn_task_destroy(&task);
    return status;
}

int cli_robot(int argc, char **argv)
{
    robot_options o = {0};
    const cli_option options[] = {
        {"bind", "ENDPOINT", "where to publish: ipc:///tmp/arm, tcp://*:5555", CLI_TEXT, &o.bind, 0,
         0},
        {"gap", "GAP", "in what this arm differs from its model", CLI_TEXT, &o.gap, 0, 0},
        {"lockstep", NULL, "time waits for the controller", CLI_FLAG, &o.lockstep, 0, 0},
        {"key", "FILE", "the robot's key: it meets only those who are allowed", CLI_TEXT, &o.key, 0,
         0},
        {"allow", "KEYS", "a .pub file, or a folder of them: who may connect", CLI_TEXT, &o.allow,
         0, 0},
        {"open", NULL, "no keys, even where other machines reach it", CLI_FLAG, &o.open, 0, 0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &o.task);
    if (status >= 0)
        return status;
    if (!o.bind)
        return cli_wrong(&usage, "--bind is missing: where should the robot be found?");
    if (!o.key != !o.allow)
        return cli_wrong(&usage, "--key and --allow go together: who it is, and whom it meets");
    if (o.key && o.open)
        return cli_wrong(&usage, "--open is for a robot without a key");
    cn_error err = {0};
    return serve(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
