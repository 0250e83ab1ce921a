/* colonnade control: a policy on a robot, in real time. */
#include "bridge/control.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/measure.h"
#include "cli/report.h"
#include "policy/agent.h"

static const char *const names[] = {"POLICY", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade control POLICY --robot ENDPOINT [--seconds S] [--log FILE]",
    .text =
        "Runs POLICY on a robot at the task's rate, goal after goal. At the end, and on Ctrl-C, "
        "the arm stops smoothly and holds. --log writes every frame, command and decision to an "
        "MCAP file for `colonnade replay` and Foxglove. Exit status 3: the robot stopped us.",
    .example = "colonnade control run/last.safetensors --robot ipc:///tmp/arm --log run.mcap",
    .positional = names,
};

typedef struct control_options {
    const char *policy, *task, *log;
    cli_robot_options robot;
    double seconds;
    int64_t seed, column;
    bool json;
} control_options;

static void show(void *ctx, double seconds, uint64_t ticks, uint64_t misses)
{
    const control_options *o = ctx;
    char bar[32];
    cli_bar(seconds / o->seconds, 20, bar);
    cli_progress(false, "%s %5.1f of %.1f s  %" PRIu64 " ticks  %" PRIu64 " misses", bar, seconds,
                 o->seconds, ticks, misses);
}

/* How well the two one-way latencies are known, which hang on the robot's clock. */
static void print_clock(const cn_control_report *r)
{
    const cn_clocks_estimate *c = &r->clock;
    const uint64_t latencies = r->to_robot.count + r->from_robot.count + r->negative;
    if (!c->known)
        return;
    printf("the robot's clock is %.1f us %s ours, known to +- %.1f us",
           fabs((double)c->offset_ns) / 1e3, c->offset_ns < 0 ? "behind" : "ahead of",
           (double)c->uncertainty_ns / 1e3);
    if (!isnan(c->drift_ppm))
        printf(", drifting by %.2f +- %.0f ppm", c->drift_ppm, c->drift_uncertainty_ppm);
    if (c->jumps > 0)
        printf("; it jumped %" PRIu64 " times", c->jumps);
    if (r->negative > 0)
        printf("; %" PRIu64 " of %" PRIu64 " latencies came out negative and are left out",
               r->negative, latencies);
    printf("\n");
}

static json_t *clock_to_json(const cn_clocks_estimate *c)
{
    if (!c->known)
        return json_null();
    return json_pack("{s:f, s:f, s:o, s:I, s:I}", "offset_us", (double)c->offset_ns / 1e3,
                     "uncertainty_us", (double)c->uncertainty_ns / 1e3, "drift_ppm",
                     isnan(c->drift_ppm) ? json_null() : json_real(c->drift_ppm), "jumps",
                     (json_int_t)c->jumps, "round_trips", (json_int_t)c->samples);
}

static void report(const control_options *o, const cn_control_report *r, uint64_t dropped)
{
    cli_progress_end();
    printf("stopped by %s after %" PRIu64 " ticks: %" PRIu64 " deadline misses, %" PRIu64
           " stale frames; %" PRIu64 " of %" PRIu64 " goals reached\n",
           cn_control_end_words(r->end), r->ticks, r->deadline_misses, r->stale_frames,
           r->successes, r->goals);
    cli_histogram_print(NULL, NULL);
    cli_histogram_print("frame to command", &r->latency);
    cli_histogram_print("command to command", &r->period);
    cli_histogram_print("command to robot", &r->to_robot);
    cli_histogram_print("robot to us", &r->from_robot);
    if (r->servo.max > 0)
        printf("  %-22s %9.1f %9.1f %9s %9.1f\n", "the robot's servo", (double)r->servo.p50 / 1e3,
               (double)r->servo.p99 / 1e3, "", (double)r->servo.max / 1e3);
    print_clock(r);
    cli_refusals_print("the robot ", r->refused);
    if (o->log)
        printf("log     %s%s\n", o->log,
               dropped ? " (messages were dropped: the disk is too slow)" : "");
    if (o->json)
        cli_print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:{s:f, s:f, s:f}, s:o, s:o, s:o, s:o, s:I, s:I, "
            "s:s}",
            "ticks", (json_int_t)r->ticks, "deadline_misses", (json_int_t)r->deadline_misses,
            "stale_frames", (json_int_t)r->stale_frames, "goals", (json_int_t)r->goals, "successes",
            (json_int_t)r->successes, "latency_us", cli_histogram_json(&r->latency), "period_us",
            cli_histogram_json(&r->period), "servo_period_us", "p50", (double)r->servo.p50 / 1e3,
            "p99", (double)r->servo.p99 / 1e3, "max", (double)r->servo.max / 1e3, "refusals",
            cli_refusals_json(r->refused), "latency_to_robot_us", cli_histogram_json(&r->to_robot),
            "latency_from_robot_us", cli_histogram_json(&r->from_robot), "clock",
            clock_to_json(&r->clock), "negative_latencies", (json_int_t)r->negative, "log_dropped",
            (json_int_t)dropped, "stopped_by", cn_control_end_words(r->end)));
}

static cn_status open_log(const control_options *o, cn_policy *policy, const cli_place *place,
                          cn_log **out, cn_error *err)
{
    *out = NULL;
    if (!o->log)
        return CN_OK;
    char checksum[17];
    snprintf(checksum, sizeof checksum, "%016" PRIx64, cn_policy_checksum(policy, -1));
    cn_log_about about = cli_log_about(place->task, cn_link_info(place->link), o->robot.endpoint);
    about.policy_file = o->policy;
    about.policy_checksum = checksum;
    return cn_log_create(o->log, &about, out, err);
}

/* An end that is not ours is a failure of its own kind. */
static cn_status judge(const control_options *o, const cn_control_report *r, cn_error *err)
{
    const cn_control_end end = r->end;
    CN_FAIL_IF(end == CN_CONTROL_ROBOT_LOST, CN_ERR_SAFETY, err,
               "the robot at %s fell silent; is it still running?", o->robot.endpoint);
    CN_FAIL_IF(end == CN_CONTROL_ROBOT_HELD, CN_ERR_SAFETY, err,
               "the robot at %s holds and follows no command: %s", o->robot.endpoint,
               r->last_refusal[0] ? r->last_refusal : "an emergency stop, or another controller");
    return CN_OK;
}

/* After a failure: what was logged is kept, but no log is better than an empty one. */
static void discard_log(cn_log **log, const char *path, uint64_t ticks)
{
    struct stat about;
    cn_log_finish(log, NULL);
    if (ticks == 0 && lstat(path, &about) == 0 && S_ISREG(about.st_mode))
        unlink(path);
}

static cn_status control(const control_options *o, cn_error *err)
{
    cn_status status = CN_OK;
    cn_policy *policy = NULL;
    cn_agent *agent = NULL;
    cn_log *log = NULL;
    cli_place place = {0};
    cn_control_report *r = calloc(1, sizeof *r);
    if (!r)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a report");
    CN_TRY_CLEANUP(cn_policy_load(o->policy, &policy, err));
    cli_realtime_begin();
    CN_TRY_CLEANUP(cli_place_open(policy, o->task, NULL, &o->robot, &place, err));
    CN_TRY_CLEANUP(
        cn_agent_create(policy, cli_column(policy, o->column), 1, CN_AGENT_ACTOR, &agent, err));
    CN_TRY_CLEANUP(open_log(o, policy, &place, &log, err));
    const cn_control_config config = {
        .seconds = o->seconds,
        .seed = (uint64_t)o->seed,
        .act = cn_agent_act,
        .policy = agent,
        .log = log,
        .stop = cli_stop(),
        .progress = show,
        .progress_ctx = (void *)o,
    };
    cli_realtime_lock();
    CN_TRY_CLEANUP(cn_control_run(place.link, &place.watcher, &config, r, err));
    const uint64_t dropped = log ? cn_log_dropped(log) : 0;
    if (log)
        CN_TRY_CLEANUP(cn_log_finish(&log, err));
    report(o, r, dropped);
    status = judge(o, r, err);
cleanup:
    if (log)
        discard_log(&log, o->log, r->ticks);
    cn_agent_destroy(&agent);
    cli_place_close(&place);
    cn_policy_destroy(&policy);
    free(r);
    return status;
}

int cli_control(int argc, char **argv)
{
    control_options o = {.seconds = 10.0, .seed = 1, .column = -1};
    const cli_option options[] = {
        CLI_ROBOT_OPTIONS(&o.robot, "the robot's state endpoint"),
        {"seconds", "S", "how long (default 10)", CLI_REAL, &o.seconds, 0.001, 1e9},
        {"log", "FILE", "MCAP log of the run", CLI_TEXT, &o.log, 0, 0},
        {"task", "TASK", "task file (default: the policy's)", CLI_TEXT, &o.task, 0, 0},
        {"seed", "S", "of the goals (default 1)", CLI_INT, &o.seed, 0, 1e12},
        {"column", "K", "act as column K, from 0 (default: the last)", CLI_INT, &o.column, 0, 64},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &o.policy);
    if (status >= 0)
        return status;
    if (!o.robot.endpoint)
        return cli_wrong(&usage, "--robot is missing: which robot?");
    cn_error err = {0};
    return control(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
