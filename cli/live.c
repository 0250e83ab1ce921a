/* The live table of a training run, and its plain line.
 *
 *   [##..................]  11 %  126976 of 1200000 steps  17613/s  1m 43s left
 *                 return       95 % interval   success  95 % interval      steps
 *   training       -3.93                           5 %                    126976
 *   evaluation      2.27       -0.67 to 5.21       8 %      3 to 17 %      98304
 *   best            2.27       -0.67 to 5.21       8 %      3 to 17 %      98304
 *   learning    kl 0.0205  clip fraction 0.279  entropy 2.02
 *               learning rate 0.000898  value error 0.15  loss 0.00474
 *   threads     environments 54 %  network 2 %  update 41 %  idle 3 %
 *   next        evaluation in 1328 steps (0s)  checkpoint in 15904 steps (1s) */
#include "cli/live.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"

#define LEARNING_LINES 2 /* of metrics; what does not fit is not shown */

typedef struct table {
    char text[CLI_BLOCK_LINES][CLI_BLOCK_WIDTH];
    int lines;
} table;

static char *next_line(table *t)
{
    return t->text[t->lines++];
}

static double fraction_of(const cn_train_progress *p)
{
    return fmin((double)p->steps / (double)p->total_steps, 1.0);
}

static void time_left(const cn_train_progress *p, char *out, int size)
{
    cli_duration(p->seconds * (1.0 / fraction_of(p) - 1.0), out, size);
}

static void add_bar(table *t, const cn_train_progress *p, int width)
{
    char bar[64], left[24];
    const int cells = width < 80 ? 10 : (width < 120 ? 20 : 50);
    cli_bar(fraction_of(p), cells, bar);
    time_left(p, left, sizeof left);
    snprintf(next_line(t), CLI_BLOCK_WIDTH, "%s %3.0f %%  %lld of %lld steps  %.0f/s  %s left", bar,
             100.0 * fraction_of(p), (long long)p->steps, (long long)p->total_steps,
             p->steps_per_second, left);
}

/* "87 %", or "-" where the task does not say what success is. */
static void percent(double rate, char out[16])
{
    if (isnan(rate))
        strcpy(out, "-");
    else
        snprintf(out, 16, "%.0f %%", 100.0 * rate);
}

/* A row of an evaluation that was after `steps`; 0: there was none. */
static void add_evaluation(table *t, const char *name, const cn_evaluation *e, int64_t steps)
{
    char returns[64] = "", successes[64] = "", rate[16];
    if (steps == 0) {
        snprintf(next_line(t), CLI_BLOCK_WIDTH, "%-10s  %8s", name, "-");
        return;
    }
    if (!isnan(e->return_low))
        snprintf(returns, sizeof returns, "%.2f to %.2f", e->return_low, e->return_high);
    if (!isnan(e->success_low))
        snprintf(successes, sizeof successes, "%.0f to %.0f %%", 100.0 * e->success_low,
                 100.0 * e->success_high);
    percent(e->success_rate, rate);
    snprintf(next_line(t), CLI_BLOCK_WIDTH, "%-10s  %8.2f  %18s  %8s  %13s  %9lld", name,
             e->return_mean, returns, rate, successes, (long long)steps);
}

static void add_results(table *t, const cli_live *live, const cn_train_progress *p)
{
    char rate[16];
    snprintf(next_line(t), CLI_BLOCK_WIDTH, "%-10s  %8s  %18s  %8s  %13s  %9s", "", "return",
             "95 % interval", "success", "95 % interval", "steps");
    percent(live->success_rate, rate);
    if (live->episodes > 0)
        snprintf(next_line(t), CLI_BLOCK_WIDTH, "%-10s  %8.2f  %18s  %8s  %13s  %9lld", "training",
                 live->return_mean, "", rate, "", (long long)p->steps);
    else
        snprintf(next_line(t), CLI_BLOCK_WIDTH, "%-10s  %8s", "training", "-");
    if (p->next_evaluation == 0)
        return;
    add_evaluation(t, "evaluation", &p->evaluation, p->evaluation_steps);
    add_evaluation(t, "best", &p->report->best, p->report->best_steps);
}

/* "ppo/clip_fraction" is "clip fraction 0.25". */
static void metric_words(const cn_metric *metric, char *out, size_t size)
{
    const char *slash = strchr(metric->tag, '/');
    snprintf(out, size, "%s %.3g", slash ? slash + 1 : metric->tag, metric->value);
    for (char *c = strchr(out, '_'); c; c = strchr(c, '_'))
        *c = ' ';
}

static void add_learning(table *t, const cn_train_progress *p, int width)
{
    int shown = 0;
    for (int line = 0; line < LEARNING_LINES; line++) {
        char *out = next_line(t), words[64];
        size_t used = (size_t)snprintf(out, CLI_BLOCK_WIDTH, "%-10s", line ? "" : "learning");
        for (; shown < p->metrics; shown++) {
            if (isnan(p->metric[shown].value))
                continue;
            metric_words(&p->metric[shown], words, sizeof words);
            if (used + strlen(words) + 2 >= (size_t)width)
                break;
            used += (size_t)snprintf(out + used, CLI_BLOCK_WIDTH - used, "  %s", words);
        }
    }
}

/* Appends "evaluation in 76000 steps (3s)". */
static void add_event(char *line, const char *name, int64_t at, const cn_train_progress *p)
{
    const size_t used = strlen(line);
    const int64_t steps = at < p->total_steps ? at - p->steps : p->total_steps - p->steps;
    char time[24];
    cli_duration((double)steps / p->steps_per_second, time, sizeof time);
    snprintf(line + used, CLI_BLOCK_WIDTH - used, "  %s in %lld steps (%s)", name,
             (long long)(steps > 0 ? steps : 0), time);
}

static void add_next(table *t, const cn_train_progress *p)
{
    if (p->next_evaluation == 0 && p->next_checkpoint == 0)
        return;
    char *line = next_line(t);
    snprintf(line, CLI_BLOCK_WIDTH, "%-10s", "next");
    if (p->next_evaluation > 0)
        add_event(line, "evaluation", p->next_evaluation, p);
    if (p->next_checkpoint > 0 && p->next_checkpoint <= p->total_steps)
        add_event(line, "checkpoint", p->next_checkpoint, p);
}

static void draw(const cli_live *live, const cn_train_progress *p)
{
    table t = {.lines = 0};
    const int width = cli_width();
    add_bar(&t, p, width);
    add_results(&t, live, p);
    add_learning(&t, p, width);
    snprintf(next_line(&t), CLI_BLOCK_WIDTH,
             "%-10s  environments %.0f %%  network %.0f %%  update %.0f %%  idle %.0f %%",
             "threads", 100.0 * p->last.environments, 100.0 * p->last.inference,
             100.0 * p->last.update, 100.0 * p->last.idle);
    add_next(&t, p);
    cli_block(t.text, t.lines);
}

static void episodes_words(const cli_live *live, char *out, size_t size)
{
    const size_t used = (size_t)snprintf(out, size, "  return %8.2f", live->return_mean);
    if (!isnan(live->success_rate))
        snprintf(out + used, size - used, "  success %3.0f%%", 100.0 * live->success_rate);
}

static void evaluation_words(const cn_train_progress *p, char *out, size_t size)
{
    const cn_evaluation *e = &p->evaluation;
    const char *best = p->evaluated && p->best ? " (best)" : "";
    if (e->successes >= 0)
        snprintf(out, size, "  eval %3.0f%% (%.0f to %.0f%%)%s", 100.0 * e->success_rate,
                 100.0 * e->success_low, 100.0 * e->success_high, best);
    else
        snprintf(out, size, "  eval %.2f%s", e->return_mean, best);
}

/* "[####......]  624000 steps  23400/s  return 4.21  success 87%  eval 92% (83 to 97%)  25s left"
 */
static void print_line(const cli_live *live, const cn_train_progress *p)
{
    char bar[32], left[24], episodes[64] = "", evaluation[64] = "";
    if (live->episodes > 0)
        episodes_words(live, episodes, sizeof episodes);
    if (p->evaluation_steps > 0)
        evaluation_words(p, evaluation, sizeof evaluation);
    cli_bar(fraction_of(p), 20, bar);
    time_left(p, left, sizeof left);
    cli_progress(p->evaluated || p->steps >= p->total_steps, "%s %8lld steps  %6.0f/s%s%s  %s left",
                 bar, (long long)p->steps, p->steps_per_second, episodes, evaluation, left);
}

void cli_live_show(cli_live *live, const cn_train_progress *p)
{
    if (p->episodes > 0) {
        live->episodes = p->episodes;
        live->return_mean = p->return_mean;
        live->success_rate = p->success_rate;
    }
    if (cli_terminal())
        draw(live, p);
    else
        print_line(live, p);
}
