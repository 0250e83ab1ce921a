/* The live control loop. Its rhythm is the robot's: a frame comes, a command goes, and a frame
 * number that was skipped is a control period without a command of ours. */
#include "bridge/control.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/safety.h"

#define FRAME_PERIODS 1.5 /* control periods without a frame that make the last one stale */
#define LOST_S        1.0 /* s without a frame after which the robot is lost: or, if that is longer, */
#define LOST_PERIODS  10 /* control periods */
#define WATCH_S       30 /* at most, for the log: how the arm stops, which lasts as its limits say */

enum { HOLDING_ALLOWED = 5 /* frames in which the server may follow no command of ours */ };

typedef struct loop {
    cn_link *link;
    const cn_robot_observer *observer;
    const cn_control_config *config;
    cn_control_report *report;
    cn_frame frame;
    cn_env_step step;   /* what the task says of the frame */
    float *observation; /* [observation_size] of the frame */
    float action[CN_MAX_ACTIONS];
    int64_t started_ns, sent_ns, progress_ns;
    uint64_t refused[CN_REFUSALS]; /* by the robot, before we began */
    cn_clocks clocks;
    uint64_t applied; /* the command whose round trip was seen last */
    int holding;      /* frames in a row in which the server followed nothing */
    uint64_t goal;    /* number of the present one */
    bool over;        /* report->end says why */
} loop;

const char *cn_control_end_words(cn_control_end end)
{
    switch (end) {
    case CN_CONTROL_TIME:
        return "time";
    case CN_CONTROL_INTERRUPTED:
        return "interrupted";
    case CN_CONTROL_ROBOT_HELD:
        return "safety";
    case CN_CONTROL_ROBOT_LOST:
        return "robot lost";
    }
    return "unknown";
}

static void finish(loop *l, cn_control_end end)
{
    l->over = true;
    l->report->end = end;
}

static int64_t periods_ns(const loop *l, double periods)
{
    return (int64_t)(periods * l->observer->spec.control_period_s * 1e9);
}

static void note_latency(loop *l, cn_histogram *histogram, int64_t latency_ns)
{
    if (latency_ns < 0)
        l->report->negative++;
    else
        cn_histogram_record(histogram, latency_ns);
}

/* The first frame after a command of ours was taken ends its round trip. */
static void note_exchange(loop *l)
{
    const cn_exchange *const x = &l->frame.exchange;
    if (x->sent_ns == 0 || l->frame.applied == l->applied)
        return;
    l->applied = l->frame.applied;
    const bool used = cn_clocks_add(&l->clocks, x);
    l->report->clock = cn_clocks_now(&l->clocks, x->received_ns);
    if (!used)
        return;
    const int64_t ahead = l->report->clock.offset_ns;
    note_latency(l, &l->report->to_robot, x->taken_ns - ahead - x->sent_ns);
    note_latency(l, &l->report->from_robot, x->received_ns - (x->published_ns - ahead));
}

/* What the robot says of itself with every frame. */
static void note_robot(loop *l)
{
    note_exchange(l);
    l->report->servo = l->frame.period;
    uint64_t refused = 0;
    for (int i = 0; i < CN_REFUSALS; i++) {
        l->report->refused[i] = l->frame.refused[i] - l->refused[i];
        refused += l->report->refused[i];
    }
    if (refused > 0)
        memcpy(l->report->last_refusal, l->frame.last_refusal, sizeof l->report->last_refusal);
}

static void log_frame(const loop *l)
{
    if (l->config->log)
        cn_log_put(l->config->log, CN_LOG_SENSORS, (uint32_t)l->frame.sequence, l->frame.packed,
                   l->frame.packed_size);
}

static void log_event(const loop *l, const char *kind, const char *text)
{
    if (l->config->log)
        cn_log_event(l->config->log, kind, text);
}

static void log_goal(const loop *l)
{
    char text[32];
    snprintf(text, sizeof text, "seed %" PRIu64, l->config->seed + l->goal);
    log_event(l, "goal", text);
}

static void log_decision(const loop *l, uint64_t command, int64_t latency_ns)
{
    uint32_t size;
    const void *packed = cn_link_last_command(l->link, &size);
    if (!l->config->log)
        return;
    cn_log_put(l->config->log, CN_LOG_COMMANDS, (uint32_t)command, packed, size);
    const cn_log_step step = {
        .tick = l->report->ticks,
        .frame = l->frame.sequence,
        .command = command,
        .observation = l->observation,
        .observation_size = l->observer->spec.observation_size,
        .action = l->action,
        .action_size = l->observer->spec.action_size,
        .latency_ns = latency_ns,
        .reward = l->step.reward,
        .success = l->step.success,
    };
    cn_log_policy_step(l->config->log, &step);
}

/* Observation to command on its way. A full queue means that the robot takes nothing: the frames
 * that fail to come will tell, so it is only a period missed. */
static void decide(loop *l)
{
    cn_arm_command command;
    uint64_t sequence;
    l->config->act(l->config->policy, l->observation, l->action);
    l->observer->command(l->observer->self, l->action, &command);
    const int64_t valid_for = cn_link_valid_for(l->link, l->frame.received_ns);
    if (cn_link_command(l->link, &command, l->frame.sequence, valid_for, &sequence, NULL) !=
        CN_OK) {
        l->report->deadline_misses++;
        return;
    }
    const int64_t now = cn_clock_now();
    const int64_t latency = now - l->frame.received_ns;
    cn_histogram_record(&l->report->latency, latency);
    if (l->report->ticks > 0)
        cn_histogram_record(&l->report->period, now - l->sent_ns);
    l->sent_ns = now;
    log_decision(l, sequence, latency);
    l->report->ticks++;
}

static bool told_to_stop(const loop *l)
{
    return l->config->stop && atomic_load(l->config->stop);
}

/* Waits for the next frame, past periods in which none comes, until the robot counts as lost. Only
 * time that was waited counts: a controller that was frozen itself first looks what has come. */
static cn_status wait_frame(loop *l, cn_error *err)
{
    const uint64_t before = l->frame.sequence;
    const int64_t period = periods_ns(l, 1);
    const uint64_t patience = (uint64_t)fmax(LOST_S * 1e9 / (double)period, LOST_PERIODS);
    int64_t deadline = l->frame.received_ns + periods_ns(l, FRAME_PERIODS);
    uint64_t stale = 0;
    cn_status status;
    while ((status = cn_link_frame(l->link, deadline, &l->frame, err)) == CN_ERR_TIMEOUT) {
        const int64_t now = cn_clock_now();
        if (told_to_stop(l) || stale == patience)
            break;
        if (now < deadline)
            continue; /* a signal */
        stale++;
        deadline = (deadline > now - period ? deadline : now) + period;
    }
    const uint64_t skipped = status == CN_OK ? l->frame.sequence - before - 1 : 0;
    l->report->stale_frames += stale;
    l->report->deadline_misses += skipped > stale ? skipped : stale;
    if (status == CN_OK) {
        note_robot(l);
        log_frame(l);
    } else if (status == CN_ERR_MISMATCH || (status == CN_ERR_TIMEOUT && !told_to_stop(l)))
        finish(l, CN_CONTROL_ROBOT_LOST);
    else if (status != CN_ERR_TIMEOUT)
        return status;
    return CN_OK;
}

/* The server may hold for a moment, after a late command; an arm that goes on holding is stopped.
 */
static void check_following(loop *l)
{
    l->holding = l->frame.holding ? l->holding + 1 : 0;
    if (l->frame.estopped || l->holding > HOLDING_ALLOWED)
        finish(l, CN_CONTROL_ROBOT_HELD);
}

static void check_end(loop *l)
{
    const int64_t now = cn_clock_now();
    const double seconds = (double)(now - l->started_ns) * 1e-9;
    if (l->config->progress && now >= l->progress_ns) {
        l->progress_ns += CN_NS_PER_S;
        l->config->progress(l->config->progress_ctx, seconds, l->report->ticks,
                            l->report->deadline_misses);
    }
    if (l->over)
        return;
    if (told_to_stop(l))
        finish(l, CN_CONTROL_INTERRUPTED);
    else if (seconds >= l->config->seconds)
        finish(l, CN_CONTROL_TIME);
}

/* The goal is reached, or its time is over: the next one, in the same motion. The frame that
 * answers takes the place of the one that ended the goal, so there is still one command a period.
 */
static cn_status next_goal(loop *l, cn_error *err)
{
    l->report->goals++;
    l->report->successes += l->step.success;
    l->goal++;
    const cn_status status =
        cn_link_reset(l->link, l->config->seed + l->goal, true, &l->frame, err);
    if (status == CN_ERR_TIMEOUT || status == CN_ERR_MISMATCH) {
        finish(l, CN_CONTROL_ROBOT_LOST);
        return CN_OK;
    }
    if (status == CN_ERR_SAFETY || status == CN_ERR_REFUSED) {
        finish(l, CN_CONTROL_ROBOT_HELD);
        return CN_OK;
    }
    CN_TRY(status);
    log_goal(l);
    log_frame(l);
    l->step = (cn_env_step){0};
    l->observer->carry_on(l->observer->self, &l->frame.state, l->observation);
    return CN_OK;
}

static cn_status start(loop *l, cn_error *err)
{
    CN_TRY(cn_link_reset(l->link, l->config->seed, false, &l->frame, err));
    memcpy(l->refused, l->frame.refused, sizeof l->refused);
    log_goal(l);
    log_frame(l);
    l->observer->begin(l->observer->self, &l->frame.state, l->observation);
    l->started_ns = cn_clock_now();
    l->progress_ns = l->started_ns + CN_NS_PER_S;
    return CN_OK;
}

static cn_status run(loop *l, cn_error *err)
{
    CN_TRY(start(l, err));
    while (!l->over) {
        decide(l);
        CN_TRY(wait_frame(l, err));
        check_end(l);
        if (l->over)
            break;
        check_following(l);
        if (l->over)
            break;
        l->observer->observe(l->observer->self, &l->frame.state, &l->step, l->observation);
        if (l->step.terminated || l->step.truncated)
            CN_TRY(next_goal(l, err));
    }
    return CN_OK;
}

/* Gives the lease back, which stops the arm smoothly, and watches it stop, so that the log has it.
 */
static void leave(loop *l)
{
    const cn_plant_info *robot = cn_link_info(l->link);
    const double stop_s = fmin(cn_safety_longest_stop(robot->joint, robot->joints), WATCH_S);
    const int64_t stopped = cn_clock_now() + (int64_t)(stop_s * 1e9) + periods_ns(l, 2);
    if (l->report->end == CN_CONTROL_ROBOT_LOST || cn_link_release(l->link, NULL) != CN_OK)
        return;
    while (cn_link_frame(l->link, stopped, &l->frame, NULL) == CN_OK) {
        note_robot(l);
        log_frame(l);
    }
}

cn_status cn_control_run(cn_link *link, const cn_robot_observer *observer,
                         const cn_control_config *config, cn_control_report *report, cn_error *err)
{
    *report = (cn_control_report){0};
    CN_FAIL_IF(!(config->seconds > 0), CN_ERR_ARGUMENT, err,
               "control for %g seconds: it must be above 0", config->seconds);
    CN_FAIL_IF(cn_link_lockstep(link), CN_ERR_ARGUMENT, err,
               "this robot goes in lockstep; live control needs one that follows the clock: "
               "start `colonnade robot` without --lockstep");
    CN_TRY(cn_robot_observer_match(observer, cn_link_info(link), err));
    loop l = {.link = link, .observer = observer, .config = config, .report = report};
    l.observation = calloc((size_t)observer->spec.observation_size, sizeof *l.observation);
    CN_FAIL_IF(!l.observation, CN_ERR_MEMORY, err, "no memory for %d observations",
               observer->spec.observation_size);
    cn_status status = cn_link_acquire(link, err);
    if (status == CN_OK) {
        status = run(&l, err);
        log_event(&l, "end", status == CN_OK ? cn_control_end_words(report->end) : "failed");
        leave(&l);
    }
    free(l.observation);
    return status;
}
