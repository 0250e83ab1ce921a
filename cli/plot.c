/* The figure, drawn with cairo: a column of panels that share one time axis.
 *
 *   title
 *   legend
 *             1    2    3        goals by their seed, and below them other events
 *   joint   |~~~~~~~~~~~~~~~|
 *   ...
 *   reward  |~~~~~~~~~~~~~~~|
 *   latency |. . . . . . . .|    logarithmic
 *             0   1   2   3  s
 *
 * Colours: Okabe and Ito 2008, which colour-blind people can tell apart; curves differ in width as
 * well. Lengths are pixels. */
#include "cli/plot.h"

#include <cairo/cairo.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define WIDTH        1600.0
#define LEFT         190.0 /* of the panels: names and tick labels */
#define RIGHT        30.0
#define TOP          132.0 /* title, legend, goals, events */
#define BOTTOM       56.0  /* the time axis */
#define PANEL        112.0
#define GAP          12.0 /* between panels */
#define LABEL_SIZE   15.0
#define TITLE_SIZE   20.0
#define MARGIN       0.08 /* of a panel's range, above and below the curve */
#define FINE_DECADES 2    /* of a logarithmic panel with ticks at 1, 2 and 5 */
#define HOLE         3.5  /* control periods without a sample that interrupt a curve */

typedef struct colour {
    double red, green, blue, alpha;
} colour;

static const colour measured = {0.000, 0.447, 0.698, 1.0};
static const colour commanded = {0.902, 0.624, 0.000, 1.0};
static const colour succeeded = {0.000, 0.620, 0.451, 0.16};
static const colour happened = {0.800, 0.475, 0.655, 1.0};
static const colour ink = {0.13, 0.13, 0.13, 1.0};
static const colour faint = {0.88, 0.88, 0.88, 1.0};
static const colour dashed = {0.45, 0.45, 0.45, 1.0};
static const double dashes[] = {5, 4};

typedef struct figure {
    cairo_t *c;
    const cn_episode *episode;
    const cn_arm_joint *joint;
    const char *log;
    cn_command_mode mode; /* of the commands */
    int joints, panels;
    double height, seconds; /* of the time axis */
} figure;

typedef struct panel {
    double top, low, high;
    bool logarithmic; /* low and high are then decimal logarithms */
} panel;

typedef struct curve {
    panel *panel; /* NULL: only its range is asked for */
    double low, high, last_s;
    bool steps, begun;
} curve;

/* ---- Drawing ---- */

static void set(const figure *f, colour k)
{
    cairo_set_source_rgba(f->c, k.red, k.green, k.blue, k.alpha);
}

static double width_of(const figure *f, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(f->c, text, &extents);
    return extents.x_advance;
}

/* @param align  0: x is its left end, 0.5: its middle, 1: its right end */
static void write_text(const figure *f, double x, double y, double align, colour k,
                       const char *text)
{
    set(f, k);
    cairo_move_to(f->c, x - align * width_of(f, text), y);
    cairo_show_text(f->c, text);
}

static void set_font(const figure *f, double size, bool bold)
{
    cairo_select_font_face(f->c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(f->c, size);
}

static void line(const figure *f, double x0, double y0, double x1, double y1, double width,
                 colour k)
{
    set(f, k);
    cairo_set_line_width(f->c, width);
    cairo_move_to(f->c, x0, y0);
    cairo_line_to(f->c, x1, y1);
    cairo_stroke(f->c);
}

/* ---- Where things are ---- */

static double seconds_of(const figure *f, uint64_t log_time_ns)
{
    return ((double)log_time_ns - (double)f->episode->frame[0].log_time_ns) * 1e-9;
}

static double x_of(const figure *f, double seconds)
{
    return LEFT + fmin(fmax(seconds / f->seconds, 0), 1) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const panel *p, double value)
{
    return p->top + PANEL * (p->high - value) / (p->high - p->low);
}

/* A distance of 1, 2 or 5 times a power of ten, of which `range` holds about `count`. */
static double tick_step(double range, int count)
{
    const double raw = range / count, power = pow(10, floor(log10(raw)));
    const double rest = raw / power;
    return power * (rest < 1.5 ? 1 : (rest < 3.5 ? 2 : (rest < 7.5 ? 5 : 10)));
}

static double panel_top(int number)
{
    return TOP + number * (PANEL + GAP);
}

/* ---- Curves ---- */

static void add_point(const figure *f, curve *k, double seconds, double value)
{
    if (!isfinite(value))
        return;
    if (!k->panel) {
        k->low = fmin(k->low, value);
        k->high = fmax(k->high, value);
        return;
    }
    double x = x_of(f, seconds), y = y_of(k->panel, value), before;
    if (!k->begun || seconds - k->last_s > HOLE * f->episode->control_period_s) {
        cairo_move_to(f->c, x, y);
    } else if (k->steps) {
        cairo_get_current_point(f->c, &(double){0}, &before);
        cairo_line_to(f->c, x, before);
        cairo_line_to(f->c, x, y);
    } else {
        cairo_line_to(f->c, x, y);
    }
    k->begun = true;
    k->last_s = seconds;
}

static void end_curve(const figure *f, double width, colour k)
{
    set(f, k);
    cairo_set_line_width(f->c, width);
    cairo_stroke(f->c);
}

static void add_measured(const figure *f, curve *k, int joint)
{
    const cn_episode *e = f->episode;
    for (int i = 0; i < e->frames; i++) {
        const cn_arm_state *s = &e->frame[i].state;
        const double *values = f->mode == CN_COMMAND_VELOCITY ? s->velocity
                               : f->mode == CN_COMMAND_EFFORT ? s->effort
                                                              : s->position;
        add_point(f, k, seconds_of(f, e->frame[i].log_time_ns), values[joint]);
    }
}

static void add_commanded(const figure *f, curve *k, int joint)
{
    const cn_episode *e = f->episode;
    for (int i = 0; i < e->commands; i++)
        if (joint < e->command[i].command.joints && e->command[i].command.mode == f->mode)
            add_point(f, k, seconds_of(f, e->command[i].log_time_ns),
                      e->command[i].command.target[joint]);
}

static void add_rewards(const figure *f, curve *k)
{
    const cn_episode *e = f->episode;
    for (int i = 0; i < e->steps; i++)
        add_point(f, k, seconds_of(f, e->step[i].log_time_ns), (double)e->step[i].reward);
}

/* In decimal logarithms of milliseconds. */
static double latency_of(const cn_episode_step *s)
{
    return s->latency_ns > 0 ? log10((double)s->latency_ns * 1e-6) : NAN;
}

/* ---- Panels ---- */

/* A panel that has room for a range; a range of nothing is given some. */
static panel make_panel(int number, const curve *range, bool logarithmic)
{
    panel p = {.top = panel_top(number), .low = range->low, .high = range->high};
    p.logarithmic = logarithmic;
    if (!(p.low <= p.high))
        p.low = p.high = 0;
    const double least = logarithmic ? 1 : 1e-3, lacking = least - (p.high - p.low);
    const double margin = lacking > 0 ? lacking / 2 : MARGIN * (p.high - p.low);
    p.low -= margin;
    p.high += margin;
    return p;
}

static void tick(const figure *f, const panel *p, double value, double shown)
{
    char label[32];
    const double y = y_of(p, value);
    snprintf(label, sizeof label, "%g", fabs(shown) < 1e-12 ? 0.0 : shown);
    line(f, LEFT, y, WIDTH - RIGHT, y, 1, faint);
    write_text(f, LEFT - 8, y + 5, 1, ink, label);
}

static void draw_ticks(const figure *f, const panel *p)
{
    set_font(f, LABEL_SIZE - 2, false);
    if (p->logarithmic) {
        const bool fine = p->high - p->low < FINE_DECADES;
        for (double decade = floor(p->low); decade <= p->high; decade++)
            for (int digit = 1; digit <= (fine ? 5 : 1);
                 digit += digit == 1 ? 1 : 3) { /* 1, 2, 5 */
                const double value = decade + log10(digit);
                if (value >= p->low && value <= p->high)
                    tick(f, p, value, pow(10, value));
            }
        return;
    }
    const double step = tick_step(p->high - p->low, 4);
    for (double n = ceil(p->low / step); n * step <= p->high; n++)
        tick(f, p, n * step, n * step);
}

/* Success as bands, goals and other events as lines. */
static void draw_marks(const figure *f, const panel *p)
{
    const cn_episode *e = f->episode;
    for (int i = 0; i < e->steps; i++) {
        const double from = seconds_of(f, e->step[i].log_time_ns);
        const double to = i + 1 < e->steps ? seconds_of(f, e->step[i + 1].log_time_ns) : f->seconds;
        const double longest = HOLE * e->control_period_s;
        if (!e->step[i].success)
            continue;
        set(f, succeeded);
        cairo_rectangle(f->c, x_of(f, from), p->top,
                        x_of(f, from + fmin(to - from, longest)) - x_of(f, from), PANEL);
        cairo_fill(f->c);
    }
    for (int i = 0; i < e->events; i++) {
        const bool goal = strcmp(e->event[i].kind, "goal") == 0;
        const double x = x_of(f, seconds_of(f, e->event[i].log_time_ns));
        cairo_set_dash(f->c, dashes, goal ? 2 : 0, 0);
        line(f, x, p->top - GAP, x, p->top + PANEL, goal ? 1 : 2, goal ? dashed : happened);
    }
    cairo_set_dash(f->c, NULL, 0, 0);
}

/* @param unit  and up to two more lines below the name, or NULL */
static void begin_panel(const figure *f, const panel *p, const char *name,
                        const char *const below[3])
{
    draw_ticks(f, p);
    draw_marks(f, p);
    set(f, dashed);
    cairo_set_line_width(f->c, 1);
    cairo_rectangle(f->c, LEFT, p->top, WIDTH - LEFT - RIGHT, PANEL);
    cairo_stroke(f->c);
    set_font(f, LABEL_SIZE, true);
    write_text(f, 16, p->top + 24, 0, ink, name);
    set_font(f, LABEL_SIZE - 1, false);
    for (int i = 0; i < 3 && below[i]; i++)
        write_text(f, 16, p->top + 45 + 19 * i, 0, ink, below[i]);
    cairo_save(f->c);
    cairo_rectangle(f->c, LEFT, p->top, WIDTH - LEFT - RIGHT, PANEL);
    cairo_clip(f->c);
}

static void draw_joint(const figure *f, int joint)
{
    char unit[24];
    const char *const u = f->joint[joint].unit;
    curve range = {.low = INFINITY, .high = -INFINITY};
    add_measured(f, &range, joint);
    add_commanded(f, &range, joint);
    panel p = make_panel(joint, &range, false);
    snprintf(unit, sizeof unit, "%s%s", u, *u && f->mode == CN_COMMAND_VELOCITY ? "/s" : "");
    if (f->mode == CN_COMMAND_EFFORT && *u)
        strcpy(unit, strcmp(u, "m") == 0 ? "N" : "N m");
    begin_panel(f, &p, f->joint[joint].name, (const char *[3]){unit, NULL, NULL});
    curve orders = {.panel = &p, .steps = true}, readings = {.panel = &p};
    add_commanded(f, &orders, joint);
    end_curve(f, 3, commanded);
    add_measured(f, &readings, joint);
    end_curve(f, 1.4, measured);
    cairo_restore(f->c);
}

static void draw_reward(const figure *f, int number)
{
    curve range = {.low = INFINITY, .high = -INFINITY};
    add_rewards(f, &range);
    panel p = make_panel(number, &range, false);
    begin_panel(f, &p, "reward", (const char *[3]){"of each decision", NULL, NULL});
    curve rewards = {.panel = &p, .steps = true};
    add_rewards(f, &rewards);
    end_curve(f, 1.4, measured);
    cairo_restore(f->c);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* "p99 0.12" */
static void quantile_words(const double *sorted, int count, double quantile, const char *name,
                           char out[32])
{
    const int at = (int)(quantile * (count - 1) + 0.5);
    snprintf(out, 32, "%s %.3g", name, pow(10, sorted[at]));
}

static cn_status draw_latency(const figure *f, int number, cn_error *err)
{
    const cn_episode *e = f->episode;
    double *sorted = malloc((size_t)e->steps * sizeof *sorted);
    char middle[32] = "", most[32] = "";
    int count = 0;
    CN_FAIL_IF(!sorted, CN_ERR_MEMORY, err, "no memory for %d latencies", e->steps);
    for (int i = 0; i < e->steps; i++)
        if (isfinite(latency_of(&e->step[i])))
            sorted[count++] = latency_of(&e->step[i]);
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    curve range = {.low = INFINITY, .high = -INFINITY};
    if (count > 0) {
        range.low = sorted[0];
        range.high = sorted[count - 1];
        quantile_words(sorted, count, 0.5, "p50", middle);
        quantile_words(sorted, count, 0.99, "p99", most);
    }
    free(sorted);
    panel p = make_panel(number, &range, true);
    begin_panel(f, &p, "latency", (const char *[3]){"ms", middle, most});
    set(f, measured);
    for (int i = 0; i < e->steps; i++) {
        const double value = latency_of(&e->step[i]);
        if (!isfinite(value))
            continue;
        cairo_arc(f->c, x_of(f, seconds_of(f, e->step[i].log_time_ns)), y_of(&p, value), 1.6, 0,
                  6.2832);
        cairo_fill(f->c);
    }
    cairo_restore(f->c);
    return CN_OK;
}

/* ---- Around the panels ---- */

/* Goals are named by their seed and other events by their text, above the panels, as far as there
 * is room. */
static void draw_events(const figure *f)
{
    const cn_episode *e = f->episode;
    double goals_end = 0, others_end = 0;
    static const char seed[] = "seed ";
    set_font(f, LABEL_SIZE - 2, false);
    write_text(f, LEFT - 8, TOP - 36, 1, ink, "goal of seed");
    for (int i = 0; i < e->events; i++) {
        const bool is_goal = strcmp(e->event[i].kind, "goal") == 0;
        const char *const text = e->event[i].text;
        char label[256];
        double *const end = is_goal ? &goals_end : &others_end;
        if (is_goal)
            snprintf(label, sizeof label, "%s",
                     strncmp(text, seed, strlen(seed)) == 0 ? text + strlen(seed) : text);
        else
            snprintf(label, sizeof label, "%s: %s", e->event[i].kind, text);
        const double width = width_of(f, label);
        double x = x_of(f, seconds_of(f, e->event[i].log_time_ns)) - (is_goal ? width / 2 : 0);
        x = fmin(x, WIDTH - 4 - width);
        if (x < *end)
            continue;
        write_text(f, x, TOP - (is_goal ? 36 : 18), 0, ink, label);
        *end = x + width + 10;
    }
}

static double draw_legend_item(const figure *f, double x, double y, double width, colour k,
                               const char *words)
{
    line(f, x, y - 5, x + 30, y - 5, width, k);
    write_text(f, x + 38, y, 0, ink, words);
    return x + 38 + width_of(f, words) + 32;
}

static void draw_head(const figure *f)
{
    static const char *const quantities[] = {"position", "position", "velocity", "effort"};
    char words[640];
    const cn_episode *e = f->episode;
    set_font(f, TITLE_SIZE, true);
    snprintf(words, sizeof words, "%s on %s", e->task, e->arm);
    write_text(f, 16, 34, 0, ink, words);
    const double x = 16 + width_of(f, words) + 24;
    set_font(f, LABEL_SIZE, false);
    const char *slash = strrchr(f->log, '/');
    snprintf(words, sizeof words, "%s   %.2f s, %d frames, %d commands, %d decisions",
             slash ? slash + 1 : f->log, f->seconds, e->frames, e->commands, e->steps);
    write_text(f, x, 34, 0, dashed, words);
    double next = draw_legend_item(f, LEFT, 66, 1.4, measured, quantities[f->mode]);
    next = draw_legend_item(f, next, 66, 3, commanded, "command");
    next = draw_legend_item(f, next, 66, 12, succeeded, "success");
    next = draw_legend_item(f, next, 66, 2, happened, "event");
    cairo_set_dash(f->c, dashes, 2, 0);
    draw_legend_item(f, next, 66, 1, dashed, "new goal");
    cairo_set_dash(f->c, NULL, 0, 0);
}

static void draw_time_axis(const figure *f)
{
    const double bottom = panel_top(f->panels - 1) + PANEL, step = tick_step(f->seconds, 12);
    char label[32];
    set_font(f, LABEL_SIZE - 2, false);
    for (double n = 0; n * step <= f->seconds; n++) {
        snprintf(label, sizeof label, "%g", n * step);
        line(f, x_of(f, n * step), bottom, x_of(f, n * step), bottom + 5, 1, dashed);
        write_text(f, x_of(f, n * step), bottom + 20, 0.5, ink, label);
    }
    set_font(f, LABEL_SIZE, false);
    write_text(f, LEFT + (WIDTH - LEFT - RIGHT) / 2, bottom + 42, 0.5, ink,
               "time since the first frame [s]");
}

static cn_status draw(const figure *f, cn_error *err)
{
    set(f, (colour){1, 1, 1, 1});
    cairo_paint(f->c);
    draw_head(f);
    draw_events(f);
    for (int j = 0; j < f->joints; j++)
        draw_joint(f, j);
    if (f->episode->steps > 0) {
        draw_reward(f, f->joints);
        CN_TRY(draw_latency(f, f->joints + 1, err));
    }
    draw_time_axis(f);
    return CN_OK;
}

/* ---- The file ---- */

static cairo_status_t write_bytes(void *stream, const unsigned char *bytes, unsigned int size)
{
    return fwrite(bytes, 1, size, stream) == size ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static cn_status write_png(cairo_surface_t *surface, const char *path, cn_error *err)
{
    cn_file file;
    CN_TRY(cn_file_begin(path, &file, err));
    const cairo_status_t written =
        cairo_surface_write_to_png_stream(surface, write_bytes, file.stream);
    if (written != CAIRO_STATUS_SUCCESS) {
        cn_file_abandon(&file);
        CN_FAIL(CN_ERR_IO, err, "%s: %s", path, cairo_status_to_string(written));
    }
    return cn_file_commit(&file, err);
}

static figure plan(const cn_episode *e, const cn_arm_joint *joint, const char *log)
{
    figure f = {.episode = e, .joint = joint, .log = log, .mode = CN_COMMAND_POSITION};
    for (int i = 0; i < e->commands; i++)
        if (e->command[i].command.mode != CN_COMMAND_NONE) {
            f.mode = e->command[i].command.mode;
            break;
        }
    f.joints = e->frame[0].state.joints;
    f.panels = f.joints + (e->steps > 0 ? 2 : 0);
    f.height = panel_top(f.panels - 1) + PANEL + BOTTOM;
    f.seconds = fmax(seconds_of(&f, e->frame[e->frames - 1].log_time_ns), e->control_period_s);
    return f;
}

cn_status cli_plot_write(const cn_episode *episode, const cn_arm_joint *joint, const char *path,
                         const char *log, cli_plot_report *report, cn_error *err)
{
    CN_FAIL_IF(episode->frames == 0, CN_ERR_NOT_FOUND, err,
               "%s: no sensor frames in the time to be plotted", log);
    figure f = plan(episode, joint, log);
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)WIDTH, (int)f.height);
    f.c = cairo_create(surface);
    cn_status status = draw(&f, err);
    if (status == CN_OK && cairo_status(f.c) != CAIRO_STATUS_SUCCESS)
        status = cn_error_set(err, CN_ERR_MEMORY, __FILE__, __LINE__, "%s: %s", path,
                              cairo_status_to_string(cairo_status(f.c)));
    if (status == CN_OK)
        status = write_png(surface, path, err);
    cairo_destroy(f.c);
    cairo_surface_destroy(surface);
    *report = (cli_plot_report){.panels = f.panels, .seconds = f.seconds};
    return status;
}
