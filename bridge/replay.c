/* Verifying and playing logs. Playing has one time base, the robot's own frames: a command that
 * answered the logged frame f is due (f - first) / rate frames after the start. So the log's host
 * clock, with its jitter, plays no part, and real time and lockstep are the same loop.
 *
 * Legend: q_t joint positions, tick: control periods since the first command, of the log. */
#include "bridge/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* ---- Verification ---- */

cn_status cn_replay_verify(const cn_episode *episode, cn_act *act, void *policy,
                           int observation_size, int action_size, cn_verify_report *report,
                           cn_error *err)
{
    *report = (cn_verify_report){.messages = episode->messages, .first_mismatch = -1};
    CN_FAIL_IF(episode->steps == 0, CN_ERR_NOT_FOUND, err,
               "the log holds no policy steps: record it with `colonnade control --log`");
    CN_FAIL_IF(episode->observation_size != observation_size || episode->action_size != action_size,
               CN_ERR_MISMATCH, err,
               "the log holds %d observations and %d actions a step, the policy takes %d and gives "
               "%d: verify with the policy that made the log",
               episode->observation_size, episode->action_size, observation_size, action_size);
    float *const action = malloc((size_t)action_size * sizeof *action);
    CN_FAIL_IF(!action, CN_ERR_MEMORY, err, "no memory for %d actions", action_size);
    for (int i = 0; i < episode->steps; i++) {
        const cn_episode_step *const step = &episode->step[i];
        act(policy, step->observation, action);
        report->actions_checked++;
        /* Bits, not values: a NaN equals itself, and -0 differs from 0. */
        if (memcmp(action, step->action, (size_t)action_size * sizeof *action) == 0)
            continue;
        report->mismatches++;
        if (report->first_mismatch < 0)
            report->first_mismatch = (int64_t)step->tick;
        for (int a = 0; a < action_size; a++) {
            const double error = fabs((double)action[a] - (double)step->action[a]);
            if (isfinite(error) && error > report->max_abs_error)
                report->max_abs_error = error;
        }
    }
    free(action);
    return CN_OK;
}

/* ---- Playing ---- */

#define PERIOD_TOLERANCE 1e-6 /* relative: periods are written in decimal, in two files */
#define LOST_PERIODS                                                                               \
    10.0                    /* control periods without a frame after which the robot is lost, and: \
                             */
#define LOST_MARGIN_S   0.2 /* for the network and both schedulers */
#define HOLDING_ALLOWED 5   /* frames in a row in which the server may follow nothing of ours */

#define PAUSE_NS (CN_NS_PER_S / 20) /* between two questions whether it is over */

#define POSE_TOLERANCE_RAD 0.02  /* how near to the first pose is there: about 1 degree, */
#define POSE_TOLERANCE_M   0.005 /* or half a centimetre */
#define POSE_WAIT_S        10.0  /* for getting there once the gentle motion is over */
#define POSE_INTEGRAL_S    0.5   /* time constant with which a servo's sag is made up for */

/* A minimum-jerk motion, s(u) = 10 u^3 - 15 u^4 + 6 u^5, is fastest in its middle: 15/8 of the
 * mean. Source: Flash and Hogan 1985, equation (A5). */
#define MIN_JERK_PEAK 1.875

/* What is due when, and which logged frame shows where it led; made before anything moves. */
typedef struct planned {
    uint64_t tick; /* when the command is due */
    int before;    /* logged frame that the command answered, or -1 */
    int after;     /* logged frame of the control period after it, or -1 */
} planned;

typedef struct player {
    const cn_episode *episode;
    cn_link *link;
    const cn_play_config *config;
    const cn_plant_info *info;
    cn_frame frame; /* the last one */
    int holding;    /* frames in a row in which the server followed nothing */
    int next;       /* command to go on with */
    bool paused;
    planned *plan;  /* [episode->commands] */
    double squares; /* of position errors, summed */
    uint64_t compared, missed;
} player;

static cn_status check_arguments(const cn_episode *episode, const cn_plant_info *info,
                                 const cn_play_config *config, cn_error *err)
{
    const double period = episode->control_period_s, rate = config->rate, speed = config->speed;
    CN_FAIL_IF(!(rate > 0 && isfinite(rate)), CN_ERR_ARGUMENT, err,
               "a rate of %g, expected a number above 0", rate);
    CN_FAIL_IF(!(speed > 0 && speed <= 1), CN_ERR_ARGUMENT, err,
               "a speed of %g, expected a fraction of the velocity limits: above 0, at most 1",
               speed);
    CN_FAIL_IF(episode->commands == 0 || episode->frames == 0, CN_ERR_NOT_FOUND, err,
               "the log holds %d commands and %d frames: there is nothing to play",
               episode->commands, episode->frames);
    CN_FAIL_IF(strcmp(episode->arm, info->arm) != 0, CN_ERR_MISMATCH, err,
               "the log is of the arm '%s', the robot is a '%s'", episode->arm, info->arm);
    CN_FAIL_IF(episode->frame[0].state.joints != info->joints, CN_ERR_MISMATCH, err,
               "the log is of an arm with %d joints, the robot '%s' has %d",
               episode->frame[0].state.joints, info->arm, info->joints);
    CN_FAIL_IF(fabs(period - info->control_period_s) > PERIOD_TOLERANCE * period, CN_ERR_MISMATCH,
               err, "the log's control period is %g s, the robot's %g s", period,
               info->control_period_s);
    return CN_OK;
}

/* The frame `sequence`, searched from *cursor on, which moves up to it; -1: it was not logged. */
static int find_frame(const cn_episode *episode, uint64_t sequence, int *cursor)
{
    while (*cursor + 1 < episode->frames && episode->frame[*cursor].sequence < sequence)
        ++*cursor;
    return episode->frame[*cursor].sequence == sequence ? *cursor : -1;
}

/* A command that doesn't answer a later frame than the one before it is due a period after that. */
static void make_plan(player *p)
{
    const cn_episode *const e = p->episode;
    int cursor = 0;
    for (int i = 0; i < e->commands; i++) {
        const uint64_t frame = e->command[i].answers_frame;
        const uint64_t last = i > 0 ? e->command[i - 1].answers_frame : frame;
        const uint64_t gap = i == 0 ? 0 : frame > last ? frame - last : 1;
        p->plan[i].tick = i > 0 ? p->plan[i - 1].tick + gap : 0;
        p->plan[i].before = find_frame(e, frame, &cursor);
        int next = cursor;
        p->plan[i].after = find_frame(e, frame + 1, &next);
    }
}

/* A robot that goes on holding does not follow us: our lease is gone, or it refuses what we send.
 */
static cn_status check_following(player *p, cn_error *err)
{
    CN_FAIL_IF(p->frame.estopped, CN_ERR_SAFETY, err,
               "emergency stop: the robot holds until it is reset");
    p->holding = p->frame.holding ? p->holding + 1 : 0;
    CN_FAIL_IF(p->holding > HOLDING_ALLOWED, CN_ERR_REFUSED, err,
               "the robot has not followed for %d control periods: %s", p->holding,
               p->frame.last_refusal[0] ? p->frame.last_refusal : "commands arrive too late");
    return CN_OK;
}

static cn_status check_stop(const player *p, cn_error *err)
{
    CN_FAIL_IF(p->config->stop && atomic_load(p->config->stop), CN_ERR_CANCELLED, err,
               "stopped: the robot holds its pose");
    return CN_OK;
}

/* Real time: the frame after the command. Any signal ends a wait; only some of them mean stop. */
static cn_status next_frame(player *p, cn_error *err)
{
    const double wait_s = LOST_PERIODS * p->info->control_period_s + LOST_MARGIN_S;
    const int64_t deadline = cn_clock_now() + (int64_t)(wait_s * 1e9);
    for (;;) {
        const cn_status status = cn_link_frame(p->link, deadline, &p->frame, err);
        if (status != CN_ERR_TIMEOUT)
            return status;
        CN_TRY(check_stop(p, err));
        if (cn_clock_now() >= deadline)
            return status;
    }
}

static void ask_watcher(player *p)
{
    const int at = p->next < p->episode->commands ? p->next : p->episode->commands - 1;
    const double seconds = (double)p->plan[at].tick * p->episode->control_period_s;
    p->paused = p->config->watch && !p->config->watch(p->config->watcher, seconds);
}

/* One command, then the next frame. */
static cn_status exchange(player *p, const cn_arm_command *command, cn_error *err)
{
    ask_watcher(p);
    CN_TRY(check_stop(p, err));
    if (cn_link_lockstep(p->link))
        return cn_link_step(p->link, command, &p->frame, err);
    const int64_t valid_for = cn_link_valid_for(p->link, p->frame.received_ns);
    uint64_t sequence;
    CN_TRY(cn_link_command(p->link, command, p->frame.sequence, valid_for, &sequence, err));
    CN_TRY(next_frame(p, err));
    return check_following(p, err);
}

/* ---- The way to a pose of the log ---- */

/* Control periods of a minimum-jerk motion in which no joint is faster than speed * its limit. */
static double approach_periods(const player *p, const double *goal, double speed)
{
    double seconds = 0;
    for (int j = 0; j < p->info->joints; j++) {
        const double distance = fabs(goal[j] - p->frame.state.position[j]);
        seconds = fmax(seconds, MIN_JERK_PEAK * distance / (speed * p->info->joint[j].velocity));
    }
    return fmax(1, ceil(seconds / p->info->control_period_s));
}

/* The joint that is furthest away, in tolerances; *away is that distance. */
static int furthest_joint(const player *p, const double *goal, double *away)
{
    int furthest = 0;
    *away = 0;
    for (int j = 0; j < p->info->joints; j++) {
        const bool slides = strcmp(p->info->joint[j].unit, "m") == 0;
        const double tolerance = slides ? POSE_TOLERANCE_M : POSE_TOLERANCE_RAD;
        const double distance = fabs(goal[j] - p->frame.state.position[j]) / tolerance;
        if (distance > *away) {
            *away = distance;
            furthest = j;
        }
    }
    return furthest;
}

/* A servo under gravity rests a little below where it was told to: the rest is made up for. */
static cn_status settle(player *p, const double *goal, cn_arm_command *command, cn_error *err)
{
    const double period = p->info->control_period_s;
    const double gain = fmin(1, period / POSE_INTEGRAL_S);
    double away;
    int j = furthest_joint(p, goal, &away);
    for (double waited = 0; away > 1 && !p->paused; waited += period) {
        CN_FAIL_IF(waited > POSE_WAIT_S, CN_ERR_TIMEOUT, err,
                   "joint '%s' does not reach the log's pose: it is at %g %s, wanted %g",
                   p->info->joint[j].name, p->frame.state.position[j], p->info->joint[j].unit,
                   goal[j]);
        for (int i = 0; i < p->info->joints; i++)
            command->target[i] += gain * (goal[i] - p->frame.state.position[i]);
        CN_TRY(exchange(p, command, err));
        j = furthest_joint(p, goal, &away);
    }
    return CN_OK;
}

/* Where the arm was when the next command was decided on, or the last time before that is logged.
 */
static const double *pose_before(const player *p)
{
    int i = p->next;
    while (i > 0 && p->plan[i].before < 0)
        i--;
    return p->episode->frame[p->plan[i].before >= 0 ? p->plan[i].before : 0].state.position;
}

/* Gives up in a pause. */
static cn_status approach(player *p, cn_error *err)
{
    const double *const goal = pose_before(p);
    const double periods = approach_periods(p, goal, p->config->speed);
    const cn_arm_state start = p->frame.state;
    cn_arm_command command = {.mode = CN_COMMAND_POSITION, .joints = p->info->joints};
    for (double n = 1; n <= periods && !p->paused; n++) {
        const double u = n / periods, s = u * u * u * (10 + u * (6 * u - 15));
        for (int j = 0; j < p->info->joints; j++)
            command.target[j] = start.position[j] + s * (goal[j] - start.position[j]);
        CN_TRY(exchange(p, &command, err));
    }
    return settle(p, goal, &command, err);
}

/* ---- The commands ---- */

static void compare(player *p, int logged)
{
    if (logged < 0)
        return;
    for (int j = 0; j < p->info->joints; j++) {
        const double now = p->frame.state.position[j];
        const double then = p->episode->frame[logged].state.position[j];
        p->squares += (now - then) * (now - then);
    }
    p->compared += (uint64_t)p->info->joints;
}

/* From the next command to the end, or to a pause. */
static cn_status play(player *p, uint64_t *commands, cn_error *err)
{
    const cn_episode *const e = p->episode;
    const uint64_t start = p->frame.sequence;
    const int first = p->next, last = e->commands - 1;
    const double begin = (double)p->plan[first].tick, end = (double)p->plan[last].tick + 1;
    for (int current = first - 1; !p->paused;) {
        /* A hair more, so that a rate that is no binary fraction still meets whole ticks. */
        const double tick = begin + (double)(p->frame.sequence - start) * p->config->rate + 1e-9;
        int due = current;
        while (due < last && (double)p->plan[due + 1].tick <= tick)
            due++;
        if (due > current && current >= first)
            compare(p, p->plan[due].before);
        if (due > current)
            ++*commands;
        if (tick >= end) {
            compare(p, p->plan[last].after);
            break;
        }
        current = due;
        p->next = current + 1;
        const uint64_t before = p->frame.sequence;
        CN_TRY(exchange(p, &e->command[current].command, err));
        p->missed += p->frame.sequence - before - 1;
    }
    return CN_OK;
}

/* Between two pauses, under a lease of its own. */
static cn_status play_until_pause(player *p, uint64_t *commands, cn_error *err)
{
    cn_status status = CN_OK;
    CN_TRY_CLEANUP(cn_link_acquire(p->link, err));
    /* A new goal moves nothing, and its answer tells where the arm is, whatever the clock. */
    CN_TRY_CLEANUP(cn_link_reset(p->link, 0, true, &p->frame, err));
    p->holding = 0;
    CN_TRY_CLEANUP(approach(p, err));
    CN_TRY_CLEANUP(play(p, commands, err));
cleanup:
    cn_link_release(p->link, NULL);
    return status;
}

static cn_status wait_while_paused(player *p, cn_error *err)
{
    for (ask_watcher(p); p->paused; ask_watcher(p)) {
        CN_TRY(check_stop(p, err));
        cn_clock_sleep_until(cn_clock_now() + PAUSE_NS);
    }
    return CN_OK;
}

cn_status cn_replay_play(const cn_episode *episode, cn_link *link, const cn_play_config *config,
                         cn_play_report *report, cn_error *err)
{
    *report = (cn_play_report){0};
    player p = {.episode = episode, .link = link, .config = config, .info = cn_link_info(link)};
    CN_TRY(check_arguments(episode, p.info, config, err));
    p.plan = calloc((size_t)episode->commands, sizeof *p.plan);
    CN_FAIL_IF(!p.plan, CN_ERR_MEMORY, err, "no memory to plan %d commands", episode->commands);
    make_plan(&p);
    cn_status status = CN_OK;
    do {
        CN_TRY_CLEANUP(wait_while_paused(&p, err));
        CN_TRY_CLEANUP(play_until_pause(&p, &report->commands, err));
    } while (p.paused && p.next < episode->commands);
cleanup:
    free(p.plan);
    report->deadline_misses = p.missed;
    report->joint_rmse = p.compared ? sqrt(p.squares / (double)p.compared) : 0;
    return status;
}
