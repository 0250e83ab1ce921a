/* colonnade replay: what to do with a logged episode. */
#include "bridge/replay.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/keyboard.h"
#include "cli/measure.h"
#include "cli/place.h"
#include "cli/playback.h"
#include "cli/plot.h"
#include "cli/video.h"
#include "policy/agent.h"
#include "sim/servo.h"

#define TELL_NS         (CN_NS_PER_S / 4) /* between two words on what a robot does */
#define MOST_ROBOT_RATE 10.0

static const char *const names[] = {"LOG", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade replay LOG [options]",
    .text =
        "Plays the log for you to watch: on a terminal a view that obeys keys (space pause/resume, "
        "right or s step, up/down rate, q end), elsewhere a line a "
        "message. Or does one of these with it:\n"
        "  --verify  computes every logged action again from its logged observation and compares "
        "the bits; any difference is exit status 1\n"
        "  --sim     plays the logged commands to the simulated arm and reports how far it strays\n"
        "  --plot    draws joints and commands, reward and latency over time\n"
        "  --video   films the episode (needs ffmpeg)\n"
        "  --robot   moves a robot gently to the first pose and plays the commands to it",
    .example = "colonnade replay episode.mcap --rate 0.5 --start 10",
    .positional = names,
};

typedef struct replay_options {
    const char *log, *verify, *sim, *plot, *video, *task, *camera, *topics;
    cli_robot_options robot;
    double rate, speed, start, duration;
    int64_t column;
    bool loop, paused, json;
} replay_options;

/* The joints of the log as the task describes them: --task, or the one that the log names, if it is
 * still there. Without it they are numbered. */
static cn_status describe_joints(const replay_options *o, const cn_episode *e, cn_arm_joint *joint,
                                 cn_error *err)
{
    cn_task *task = NULL;
    cn_error why;
    for (int j = 0; j < CN_MAX_JOINTS; j++) {
        joint[j] = (cn_arm_joint){0};
        snprintf(joint[j].name, CN_NAME, "joint %d", j + 1);
    }
    if (cn_task_load(o->task ? o->task : e->task_file, &task, o->task ? err : &why) != CN_OK)
        return o->task ? err->code : CN_OK;
    const int joints = e->frames ? e->frame[0].state.joints : 0;
    const bool same = strcmp(cn_task_spec(task)->arm, e->arm) == 0 &&
                      (joints == 0 || joints == cn_task_joints(task));
    for (int j = 0; same && j < cn_task_joints(task); j++)
        joint[j] = *cn_task_joint(task, j);
    cn_task_destroy(&task);
    CN_FAIL_IF(o->task && !same, CN_ERR_MISMATCH, err,
               "%s is of the arm '%s' with %d joints, %s is not", o->log, e->arm, joints, o->task);
    return CN_OK;
}

/* ---- To watch ---- */

static cn_status watch(const replay_options *o, const cn_episode *e, cn_error *err)
{
    cn_arm_joint joint[CN_MAX_JOINTS];
    cli_playback_report r;
    cli_playback_config config = {
        .path = o->log, .joint = joint, .rate = o->rate, .loop = o->loop, .paused = o->paused};
    CN_TRY(cli_playback_topics(e, o->topics, config.shown, err));
    CN_TRY(describe_joints(o, e, joint, err));
    CN_TRY(cli_playback_run(e, &config, &r, err));
    if (o->json)
        cli_print_json(json_pack("{s:I, s:f, s:I}", "messages", (json_int_t)r.messages, "seconds",
                                 r.seconds, "rounds", (json_int_t)r.rounds));
    return CN_OK;
}

/* ---- --verify ---- */

static cn_status verify(const replay_options *o, const cn_episode *e, bool *same, cn_error *err)
{
    cn_status status = CN_OK;
    cn_policy *policy = NULL;
    cn_agent *agent = NULL;
    cn_verify_report r;
    CN_TRY_CLEANUP(cn_policy_load(o->verify, &policy, err));
    CN_TRY_CLEANUP(
        cn_agent_create(policy, cli_column(policy, o->column), 1, CN_AGENT_ACTOR, &agent, err));
    const cn_env_spec *spec = cn_policy_spec(policy);
    CN_TRY_CLEANUP(cn_replay_verify(e, cn_agent_act, agent, spec->observation_size,
                                    spec->action_size, &r, err));
    *same = r.mismatches == 0;
    printf("%" PRIu64 " actions checked, %" PRIu64 " mismatches", r.actions_checked, r.mismatches);
    if (!*same)
        printf(" (largest difference %g, first at tick %" PRId64 ")", r.max_abs_error,
               r.first_mismatch);
    printf("\n");
    if (o->json)
        cli_print_json(json_pack("{s:I, s:I, s:I, s:f, s:I}", "messages", (json_int_t)r.messages,
                                 "actions_checked", (json_int_t)r.actions_checked, "mismatches",
                                 (json_int_t)r.mismatches, "max_abs_error", r.max_abs_error,
                                 "first_mismatch", (json_int_t)r.first_mismatch));
cleanup:
    cn_agent_destroy(&agent);
    cn_policy_destroy(&policy);
    return status;
}

/* ---- --sim ---- */

/* The frame that followed command i: the first with a higher sequence than the one it answered. */
static const cn_episode_frame *frame_after(const cn_episode *e, int command, int *cursor)
{
    while (*cursor < e->frames && e->frame[*cursor].sequence <= e->command[command].answers_frame)
        (*cursor)++;
    return *cursor < e->frames ? &e->frame[*cursor] : NULL;
}

static double squared_distance(const cn_arm_state *a, const cn_arm_state *b)
{
    double sum = 0.0;
    for (int j = 0; j < a->joints; j++)
        sum += (a->position[j] - b->position[j]) * (a->position[j] - b->position[j]);
    return sum;
}

/* Plays all commands; *sum gets the squared joint errors of `frames` frames. */
static cn_status play_in_simulation(const cn_episode *e, cn_servo *servo, double *sum, int *frames,
                                    cn_error *err)
{
    int cursor = 0;
    cn_arm_state now;
    *sum = 0.0;
    *frames = 0;
    for (int i = 0; i < e->commands; i++) {
        if (e->command[i].command.joints == 0)
            continue;
        CN_TRY(cn_servo_follow(servo, &e->command[i].command, &now, err));
        const cn_episode_frame *then = frame_after(e, i, &cursor);
        if (!then)
            break;
        *sum += squared_distance(&now, &then->state);
        (*frames)++;
    }
    return CN_OK;
}

static cn_status simulate(const replay_options *o, const cn_episode *e, cn_error *err)
{
    cn_status status = CN_OK;
    cn_task *task = NULL;
    cn_twin *twin = NULL;
    cn_servo *servo = NULL;
    double sum;
    int frames;
    CN_TRY_CLEANUP(cn_task_load(o->sim, &task, err));
    if (strcmp(cn_task_spec(task)->arm, e->arm) != 0)
        CN_FAIL_CLEANUP(CN_ERR_MISMATCH, err, "%s is of the arm '%s', %s has the arm '%s'", o->log,
                        e->arm, o->sim, cn_task_spec(task)->arm);
    if (e->frames == 0 || e->commands == 0)
        CN_FAIL_CLEANUP(CN_ERR_NOT_FOUND, err,
                        "%s holds %d frames and %d commands: nothing to play", o->log, e->frames,
                        e->commands);
    CN_TRY_CLEANUP(cn_twin_create(task, NULL, &twin, err));
    CN_TRY_CLEANUP(cn_twin_reset(twin, 0, err));
    CN_TRY_CLEANUP(cn_servo_create(task, twin, &servo, err));
    CN_TRY_CLEANUP(cn_twin_place(twin, &e->frame[0].state, err));
    cn_servo_begin(servo, &e->frame[0].state);
    CN_TRY_CLEANUP(play_in_simulation(e, servo, &sum, &frames, err));
    const double values = (double)frames * cn_task_joints(task);
    const double rmse = frames ? sqrt(sum / values) : NAN;
    printf("%d commands simulated: joints stray by %.4f rad (root mean square)\n", frames, rmse);
    if (o->json)
        cli_print_json(json_pack("{s:f, s:i}", "joint_rmse_rad", rmse, "commands", frames));
cleanup:
    cn_servo_destroy(&servo);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
    return status;
}

/* ---- --plot ---- */

static cn_status plot(const replay_options *o, const cn_episode *e, cn_error *err)
{
    cn_arm_joint joint[CN_MAX_JOINTS];
    cli_plot_report r;
    CN_TRY(describe_joints(o, e, joint, err));
    CN_TRY(cli_plot_write(e, joint, o->plot, o->log, &r, err));
    printf("%d panels, %.2f s: %s\n", r.panels, r.seconds, o->plot);
    if (o->json)
        cli_print_json(json_pack("{s:i, s:f, s:s}", "panels", r.panels, "seconds", r.seconds,
                                 "plot", o->plot));
    return CN_OK;
}

/* ---- --video ---- */

static cn_status film(const replay_options *o, const cn_episode *e, cn_error *err)
{
    cn_task *task = NULL;
    cli_video_report r;
    CN_TRY(cn_task_load(o->task ? o->task : e->task_file, &task, err));
    const cn_status status = cli_video_write(e, task, o->video, o->camera, o->rate, &r, err);
    cn_task_destroy(&task);
    CN_TRY(status);
    printf("%d frames, %.1f s: %s\n", r.frames, r.seconds, o->video);
    if (o->json)
        cli_print_json(json_pack("{s:i, s:f, s:s}", "frames", r.frames, "seconds", r.seconds,
                                 "video", o->video));
    return CN_OK;
}

/* ---- --robot ---- */

typedef struct person {
    bool keys, paused;
    atomic_bool end;
    int64_t told_ns;
} person;

static bool obey(void *self, double seconds)
{
    person *p = self;
    const cli_key key = p->keys ? cli_keyboard_wait(0) : CLI_KEY_NONE;
    if (key == CLI_KEY_PAUSE)
        p->paused = !p->paused;
    if (key == CLI_KEY_END || atomic_load(cli_stop()))
        atomic_store(&p->end, true);
    const int64_t now = cn_clock_now();
    if (p->keys && (key != CLI_KEY_NONE || now - p->told_ns > TELL_NS)) {
        cli_progress(true, "%8.2f s  %s   space pause/resume   q end", seconds,
                     p->paused ? "paused: the robot holds" : "playing");
        p->told_ns = now;
    }
    return !p->paused;
}

static void tell_round(const replay_options *o, const cn_play_report *r, int round)
{
    cli_progress_end();
    if (o->loop)
        printf("round %d: ", round);
    printf("%" PRIu64 " commands played, %" PRIu64 " deadline misses\n"
           "joints strayed by %.4f rad (root mean square)\n",
           r->commands, r->deadline_misses, r->joint_rmse);
    fflush(stdout);
}

/* Once, or again and again until somebody ends it. *last is the last round that was whole. */
static cn_status play_rounds(const replay_options *o, const cn_episode *e, cn_link *link,
                             cn_play_report *last, int *rounds, cn_error *err)
{
    person p = {.paused = o->paused, .keys = cli_terminal() && cli_keyboard_open()};
    const cn_play_config config = {
        .rate = o->rate, .speed = o->speed, .stop = &p.end, .watch = obey, .watcher = &p};
    CN_FAIL_IF(o->paused && !p.keys, CN_ERR_ARGUMENT, err, CLI_NO_KEYS);
    cn_status status = CN_OK;
    do {
        cn_play_report r;
        status = cn_replay_play(e, link, &config, &r, err);
        if (status != CN_OK)
            break;
        *last = r;
        tell_round(o, last, ++*rounds);
    } while (o->loop);
    cli_keyboard_close();
    cli_progress_end();
    return o->loop && status == CN_ERR_CANCELLED ? CN_OK : status;
}

static cn_status play(const replay_options *o, const cn_episode *e, cn_error *err)
{
    cn_link *link = NULL;
    cn_play_report r = {0};
    int rounds = 0;
    cli_stop();
    CN_TRY(cli_robot_connect(&o->robot, &link, err));
    const cn_status status = play_rounds(o, e, link, &r, &rounds, err);
    cn_link_destroy(&link);
    CN_TRY(status);
    if (o->json)
        cli_print_json(json_pack("{s:I, s:I, s:f, s:i}", "commands", (json_int_t)r.commands,
                                 "deadline_misses", (json_int_t)r.deadline_misses, "joint_rmse_rad",
                                 r.joint_rmse, "rounds", rounds));
    return CN_OK;
}

static bool holds_anything(const cn_episode *e)
{
    return e->frames + e->commands + e->steps + e->events > 0;
}

static cn_status replay(const replay_options *o, bool *same, cn_error *err)
{
    cn_episode *e = NULL;
    *same = true;
    CN_TRY(cn_episode_load(o->log, &e, err));
    if (e->truncated)
        printf("%s was cut off; what is left is whole\n", o->log);
    const bool empty = !holds_anything(e);
    cn_episode_trim(e, o->start, o->duration);
    cn_status status;
    if (!empty && !holds_anything(e))
        status = cn_error_set(err, CN_ERR_NOT_FOUND, __FILE__, __LINE__,
                              "%s holds nothing from %g s on: --start is behind its end", o->log,
                              o->start);
    else if (o->verify)
        status = verify(o, e, same, err);
    else if (o->sim)
        status = simulate(o, e, err);
    else if (o->plot)
        status = plot(o, e, err);
    else if (o->video)
        status = film(o, e, err);
    else if (o->robot.endpoint)
        status = play(o, e, err);
    else
        status = watch(o, e, err);
    cn_episode_destroy(&e);
    return status;
}

int cli_replay(int argc, char **argv)
{
    replay_options o = {.rate = 1.0, .speed = 0.2, .duration = INFINITY, .column = -1};
    const cli_option options[] = {
        {"verify", "POLICY", "check every action", CLI_TEXT, &o.verify, 0, 0},
        {"sim", "TASK", "play the commands in simulation", CLI_TEXT, &o.sim, 0, 0},
        {"plot", "FILE", "draw it: out.png", CLI_TEXT, &o.plot, 0, 0},
        {"video", "FILE", "film it: out.mp4", CLI_TEXT, &o.video, 0, 0},
        CLI_ROBOT_OPTIONS(&o.robot, "play the commands to a robot"),
        {"start", "S", "seconds of the log to leave out", CLI_REAL, &o.start, 0, 1e9},
        {"duration", "S", "seconds of the log to replay (default: all)", CLI_REAL, &o.duration,
         1e-3, 1e9},
        {"column", "K", "verify column K, from 0 (default: the last)", CLI_INT, &o.column, 0, 64},
        {"task", "TASK", "task file that names the joints and draws the film (default: the log's)",
         CLI_TEXT, &o.task, 0, 0},
        {"camera", "NAME", "of the model, for --video", CLI_TEXT, &o.camera, 0, 0},
        {"rate", "R", "speed of playing: seconds of the log a second (default 1)", CLI_REAL,
         &o.rate, 0.01, 100},
        {"loop", NULL, "play again and again, until Ctrl-C", CLI_FLAG, &o.loop, 0, 0},
        {"paused", NULL, "begin paused; space goes on", CLI_FLAG, &o.paused, 0, 0},
        {"topics", "A,B", "channels to show (default: all)", CLI_TEXT, &o.topics, 0, 0},
        {"approach", "F", "share of the speed limits on the way to the first pose (default 0.2)",
         CLI_REAL, &o.speed, 0.01, 1},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &o.log);
    if (status >= 0)
        return status;
    const int fixed = (o.verify != NULL) + (o.sim != NULL) + (o.plot != NULL) + (o.video != NULL);
    if (fixed && (o.loop || o.paused))
        return cli_wrong(&usage, "--loop and --paused are for watching and for --robot");
    if ((fixed || o.robot.endpoint) && o.topics)
        return cli_wrong(&usage, "--topics is for watching: without it all of the log is used");
    if (o.robot.endpoint && o.rate > MOST_ROBOT_RATE)
        return cli_wrong(&usage, "--rate %g: a robot is played to at a rate of at most %g", o.rate,
                         MOST_ROBOT_RATE);
    const char *end = o.plot ? strrchr(o.plot, '.') : NULL;
    if (o.plot && (!end || strcmp(end, ".png") != 0))
        return cli_wrong(&usage, "--plot %s: the figure is a PNG, so call it .png", o.plot);
    const int chosen = fixed + (o.robot.endpoint != NULL);
    if (chosen > 1)
        return cli_wrong(&usage,
                         "choose one of --verify, --sim, --plot, --video and --robot (%d given)",
                         chosen);
    cn_error err = {0};
    bool same;
    if (replay(&o, &same, &err) != CN_OK)
        return cli_fail(&err);
    return same ? CLI_DONE : CLI_FAILED;
}
