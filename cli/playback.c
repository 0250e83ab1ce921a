/* Playback: one time, in the log, that goes on at the rate; what was logged up to it is shown.
 *
 *   episode.mcap: reach on reach_arm
 *   [######..............]    2.95 of 10.02 s  x1  playing
 *   joint        position  velocity    effort   command
 *   base           0.1230    0.5210    0.0310    0.1300
 *   ...
 *   tool           0.5120    0.1031    0.4020  m
 *   decision    58   reward -0.212   return -3.41   success no   latency 181 us
 *   goal         2   1 of 1 before it succeeded
 *   2.51 s  goal: seed 43
 *   space pause/resume   right or s step   up/down rate   q end */
#include "cli/playback.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/keyboard.h"

#define DRAW_S     0.05 /* from picture to picture on a terminal */
#define LONGEST_S  1.0  /* that a wait takes without looking at the clock */
#define OTHER_ROWS 7    /* of the view, at most, below its head and beside joints and points */

enum { EVENTS_SHOWN = 2 };

static const char *const topics[] = {
#define CN_LOG_CHANNEL_TOPIC(name, topic, message) [name] = topic,
    CN_LOG_CHANNEL_TABLE(CN_LOG_CHANNEL_TOPIC)
#undef CN_LOG_CHANNEL_TOPIC
};

typedef struct playback {
    const cn_episode *episode;
    const cli_playback_config *config;
    cli_playback_report *report;
    uint64_t begin_ns, end_ns; /* of what is shown, in log time */
    int next[CN_LOG_CHANNELS]; /* the first message that was not shown yet */
    double position_s, rate;   /* since begin_ns */
    bool paused, keys, ended;
    double return_sum;    /* of the present goal's rewards */
    int goals, successes; /* begun; of those before the present one */
} playback;

/* ---- The channels of an episode, alike ---- */

/* -1: an episode does not hold it. */
static int count_of(const cn_episode *e, int channel)
{
    switch (channel) {
    case CN_LOG_SENSORS:
        return e->frames;
    case CN_LOG_COMMANDS:
        return e->commands;
    case CN_LOG_POLICY:
        return e->steps;
    case CN_LOG_EVENTS:
        return e->events;
    default:
        return -1;
    }
}

static uint64_t time_of(const cn_episode *e, int channel, int i)
{
    switch (channel) {
    case CN_LOG_SENSORS:
        return e->frame[i].log_time_ns;
    case CN_LOG_COMMANDS:
        return e->command[i].log_time_ns;
    case CN_LOG_POLICY:
        return e->step[i].log_time_ns;
    default:
        return e->event[i].log_time_ns;
    }
}

/* The channel whose next message comes first; -1: all were shown. */
static int next_channel(const playback *p)
{
    int first = -1;
    for (int c = 0; c < CN_LOG_CHANNELS; c++) {
        if (!p->config->shown[c] || p->next[c] == count_of(p->episode, c))
            continue;
        if (first < 0 ||
            time_of(p->episode, c, p->next[c]) < time_of(p->episode, first, p->next[first]))
            first = c;
    }
    return first;
}

static double seconds_at(const playback *p, uint64_t log_time_ns)
{
    return ((double)log_time_ns - (double)p->begin_ns) * 1e-9;
}

/* ---- Lines, where nobody watches ---- */

static void print_values(const char *name, const double *value, int count)
{
    printf("  %s", name);
    for (int i = 0; i < count; i++)
        printf(" %.4f", value[i]);
}

static const char *mode_words(cn_command_mode mode)
{
    static const char *const words[] = {"none", "position", "velocity", "effort"};
    return words[mode];
}

static void print_message(const playback *p, int channel, int i)
{
    const cn_episode *e = p->episode;
    printf("%9.3f  %-15s  ", seconds_at(p, time_of(e, channel, i)), topics[channel]);
    if (channel == CN_LOG_SENSORS) {
        const cn_episode_frame *f = &e->frame[i];
        printf("frame %" PRIu64, f->sequence);
        print_values("position", f->state.position, f->state.joints);
        for (int t = 0; t < f->state.tracked; t++)
            print_values(e->point[t], f->state.point[t], 3);
    } else if (channel == CN_LOG_COMMANDS) {
        const cn_episode_command *c = &e->command[i];
        printf("command %" PRIu64 "  frame %" PRIu64, c->sequence, c->answers_frame);
        print_values(mode_words(c->command.mode), c->command.target, c->command.joints);
    } else if (channel == CN_LOG_POLICY) {
        const cn_episode_step *s = &e->step[i];
        printf("decision %" PRIu64 "  frame %" PRIu64 "  reward %.4f  success %s  latency %.0f us",
               s->tick, s->frame, (double)s->reward, s->success ? "yes" : "no",
               (double)s->latency_ns * 1e-3);
    } else {
        printf("%s: %s", e->event[i].kind, e->event[i].text);
    }
    printf("\n");
}

/* ---- The view of a terminal ---- */

typedef struct view {
    char text[CLI_BLOCK_LINES][CLI_BLOCK_WIDTH];
    int lines;
} view;

static char *next_line(view *v)
{
    return v->text[v->lines++];
}

static void add_head(view *v, const playback *p)
{
    const cn_episode *e = p->episode;
    const double total = seconds_at(p, p->end_ns);
    char bar[64];
    cli_bar(total > 0 ? p->position_s / total : 1, cli_width() < 100 ? 20 : 50, bar);
    snprintf(next_line(v), CLI_BLOCK_WIDTH, "%s: %s on %s", p->config->path, e->task, e->arm);
    snprintf(next_line(v), CLI_BLOCK_WIDTH, "%s  %7.2f of %.2f s  x%g  %s%s", bar,
             fmax(p->position_s, 0), total, p->rate,
             p->ended ? "ended" : (p->paused ? "paused" : "playing"),
             p->config->loop ? ", again and again" : "");
}

/* A number, or "-" where there is none. */
static void add_value(char *line, bool there, double value)
{
    const size_t used = strlen(line);
    if (there)
        snprintf(line + used, CLI_BLOCK_WIDTH - used, "%10.4f", value);
    else
        snprintf(line + used, CLI_BLOCK_WIDTH - used, "%10s", "-");
}

/* One row a joint, as many as the terminal has room for. */
static void add_joints(view *v, const playback *p)
{
    const cn_episode *e = p->episode;
    const int seen = p->next[CN_LOG_SENSORS], sent = p->next[CN_LOG_COMMANDS];
    const cn_arm_state *s = seen ? &e->frame[seen - 1].state : NULL;
    const cn_arm_command *c = sent ? &e->command[sent - 1].command : NULL;
    const int joints = s ? s->joints : (c ? c->joints : 0);
    const int room = cli_height() - OTHER_ROWS - (s ? s->tracked : 0) - v->lines;
    const int rows = joints <= room ? joints : (room > 1 ? room - 1 : 0);
    if (joints == 0)
        return;
    const bool other = c && c->mode != CN_COMMAND_POSITION;
    snprintf(next_line(v), CLI_BLOCK_WIDTH, "%-14s%10s%10s%10s%10s%s%s", "joint", "position",
             "velocity", "effort", "command", other ? " of " : "",
             other ? mode_words(c->mode) : "");
    for (int j = 0; j < rows; j++) {
        char *line = next_line(v);
        snprintf(line, CLI_BLOCK_WIDTH, "%-14.14s", p->config->joint[j].name);
        add_value(line, s, s ? s->position[j] : 0);
        add_value(line, s, s ? s->velocity[j] : 0);
        add_value(line, s, s ? s->effort[j] : 0);
        add_value(line, c && j < c->joints, c ? c->target[j] : 0);
        snprintf(line + strlen(line), CLI_BLOCK_WIDTH - strlen(line), "  %s",
                 p->config->joint[j].unit);
    }
    if (rows < joints)
        snprintf(next_line(v), CLI_BLOCK_WIDTH, "and %d more joints", joints - rows);
    for (int t = 0; s && t < s->tracked; t++)
        snprintf(next_line(v), CLI_BLOCK_WIDTH, "%-14.14s%10.4f%10.4f%10.4f  m", e->point[t],
                 s->point[t][0], s->point[t][1], s->point[t][2]);
}

static void add_decision(view *v, const playback *p)
{
    const int i = p->next[CN_LOG_POLICY];
    if (i == 0)
        return;
    const cn_episode_step *s = &p->episode->step[i - 1];
    snprintf(next_line(v), CLI_BLOCK_WIDTH,
             "decision %6" PRIu64 "  reward %8.4f  return %8.3f  success %-3s  latency %.0f us",
             s->tick, (double)s->reward, p->return_sum, s->success ? "yes" : "no",
             (double)s->latency_ns * 1e-3);
}

static void add_events(view *v, const playback *p)
{
    const cn_episode *e = p->episode;
    const int count = p->next[CN_LOG_EVENTS];
    if (p->goals > 1 && p->config->shown[CN_LOG_POLICY])
        snprintf(next_line(v), CLI_BLOCK_WIDTH, "goal     %6d   of those before it %d succeeded",
                 p->goals, p->successes);
    for (int i = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0; i < count; i++)
        snprintf(next_line(v), CLI_BLOCK_WIDTH, "%8.2f s  %s: %s",
                 seconds_at(p, e->event[i].log_time_ns), e->event[i].kind, e->event[i].text);
}

static void draw(const playback *p)
{
    view v = {.lines = 0};
    add_head(&v, p);
    add_joints(&v, p);
    add_decision(&v, p);
    add_events(&v, p);
    if (p->keys && !p->ended)
        strcpy(next_line(&v), cli_keys_help);
    cli_block(v.text, v.lines);
}

/* ---- Time ---- */

/* From the front; between two rounds lies a control period, as between two frames. */
static void begin(playback *p)
{
    memset(p->next, 0, sizeof p->next);
    p->position_s = p->report->rounds > 0 ? -p->episode->control_period_s : 0;
    p->return_sum = 0;
    p->goals = p->successes = 0;
    p->report->rounds++;
}

/* Shows the next message of a channel. */
static void show(playback *p, int channel)
{
    const cn_episode *e = p->episode;
    const int i = p->next[channel]++, steps = p->next[CN_LOG_POLICY];
    p->report->messages++;
    if (channel == CN_LOG_POLICY)
        p->return_sum += (double)e->step[i].reward;
    if (channel == CN_LOG_EVENTS && strcmp(e->event[i].kind, "goal") == 0) {
        p->successes += p->goals > 0 && steps > 0 && e->step[steps - 1].success;
        p->goals++;
        p->return_sum = 0;
    }
    if (!cli_terminal())
        print_message(p, channel, i);
}

/* Since begin_ns; infinity: there is none. */
static double next_due_s(const playback *p)
{
    const int c = next_channel(p);
    return c < 0 ? INFINITY : seconds_at(p, time_of(p->episode, c, p->next[c]));
}

/* To the next frame, with the command and the decision that came of it; where no frames are shown,
 * to the next message. */
static void step(playback *p)
{
    const int before = p->next[CN_LOG_SENSORS];
    p->paused = true;
    for (int c = next_channel(p); c >= 0;) {
        p->position_s = next_due_s(p);
        show(p, c);
        c = next_channel(p);
        if (!p->config->shown[CN_LOG_SENSORS] ||
            (c == CN_LOG_SENSORS && p->next[CN_LOG_SENSORS] > before))
            return;
    }
}

/* The next rate of 1, 2, 5, 10... and its fractions. */
static double next_rate(double rate, bool faster)
{
    static const double rates[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100};
    enum { RATES = sizeof rates / sizeof rates[0] };
    if (faster) {
        for (int i = 0; i < RATES; i++)
            if (rates[i] > rate)
                return rates[i];
    } else {
        for (int i = RATES - 1; i >= 0; i--)
            if (rates[i] < rate)
                return rates[i];
    }
    return rate;
}

static void obey(playback *p, cli_key key)
{
    switch (key) {
    case CLI_KEY_PAUSE:
        p->paused = !p->paused;
        break;
    case CLI_KEY_STEP:
        step(p);
        break;
    case CLI_KEY_FASTER:
    case CLI_KEY_SLOWER:
        p->rate = next_rate(p->rate, key == CLI_KEY_FASTER);
        break;
    case CLI_KEY_END:
        p->ended = true;
        break;
    case CLI_KEY_NONE:
        break;
    }
}

/* Until a message is due, or a picture. */
static double wait_s(const playback *p)
{
    if (p->paused)
        return LONGEST_S;
    if (cli_terminal())
        return DRAW_S;
    return fmin(fmax((next_due_s(p) - p->position_s) / p->rate, 0), LONGEST_S);
}

static void play(playback *p)
{
    begin(p);
    for (int64_t last = cn_clock_now(); !p->ended && !atomic_load(cli_stop());) {
        const cli_key key = cli_keyboard_wait(wait_s(p));
        const int64_t now = cn_clock_now();
        if (!p->paused)
            p->position_s += (double)(now - last) * 1e-9 * p->rate;
        last = now;
        obey(p, key);
        while (!p->paused && next_due_s(p) <= p->position_s)
            show(p, next_channel(p));
        if (next_channel(p) < 0 && p->config->loop)
            begin(p);
        else if (next_channel(p) < 0)
            p->ended = true;
        p->position_s = fmin(p->position_s, seconds_at(p, p->end_ns));
        if (cli_terminal())
            draw(p);
        else
            fflush(stdout);
    }
}

cn_status cli_playback_run(const cn_episode *episode, const cli_playback_config *config,
                           cli_playback_report *report, cn_error *err)
{
    *report = (cli_playback_report){0};
    playback p = {.episode = episode, .config = config, .report = report, .begin_ns = UINT64_MAX};
    p.rate = config->rate;
    p.paused = config->paused;
    for (int c = 0; c < CN_LOG_CHANNELS; c++) {
        const int count = config->shown[c] ? count_of(episode, c) : 0;
        if (count > 0 && time_of(episode, c, 0) < p.begin_ns)
            p.begin_ns = time_of(episode, c, 0);
        if (count > 0 && time_of(episode, c, count - 1) > p.end_ns)
            p.end_ns = time_of(episode, c, count - 1);
    }
    CN_FAIL_IF(p.end_ns == 0, CN_ERR_NOT_FOUND, err,
               "%s: no message of the channels to be shown, in the time to be shown", config->path);
    p.keys = cli_terminal() && cli_keyboard_open();
    CN_FAIL_IF(config->paused && !p.keys, CN_ERR_ARGUMENT, err, CLI_NO_KEYS);
    play(&p);
    cli_keyboard_close();
    cli_progress_end();
    report->seconds = p.position_s;
    return CN_OK;
}

/* "/robot/sensors, /events": what an episode holds. */
static void list_topics(const cn_episode *e, char *out, size_t size)
{
    size_t used = 0;
    for (int c = 0; c < CN_LOG_CHANNELS; c++)
        if (count_of(e, c) >= 0 && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", topics[c]);
}

cn_status cli_playback_topics(const cn_episode *episode, const char *list,
                              bool shown[CN_LOG_CHANNELS], cn_error *err)
{
    char all[256];
    list_topics(episode, all, sizeof all);
    for (int c = 0; c < CN_LOG_CHANNELS; c++)
        shown[c] = !list && count_of(episode, c) >= 0;
    for (const char *word = list; word; word = strchr(word, ',')) {
        word += *word == ',';
        const size_t size = strcspn(word, ",");
        int found = -1;
        for (int c = 0; c < CN_LOG_CHANNELS; c++)
            if (count_of(episode, c) >= 0 && strlen(topics[c]) == size &&
                strncmp(word, topics[c], size) == 0)
                found = c;
        CN_FAIL_IF(found < 0, CN_ERR_ARGUMENT, err,
                   "--topics: '%.*s' is no channel to be shown; these are: %s", (int)size, word,
                   all);
        shown[found] = true;
    }
    return CN_OK;
}
