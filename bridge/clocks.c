/* The offset is that of the round trip that leaves least doubt now: a short one, or a recent one.
 * The drift is the slope of a line through the shortest round trip of every window. */
#include "bridge/clocks.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

#define WINDOW_NS     (2 * CN_NS_PER_S)
#define TRIP_SLACK_NS INT64_C(50000)
#define TIME_MAX      (INT64_MAX / 4) /* times up to it have differences, and those sums */

/* s/s. How fast two clocks may part: hardly ever more, before the drift is known, and PHI of RFC
 * 5905, by which it may change once it is. */
#define DRIFT_BOUND  100e-6
#define DRIFT_WANDER 15e-6

enum {
    DRIFT_WINDOWS = 4, /* fewer are too short a line */
    STRANGERS = 3,     /* one alone may be a mistake of its own */
    PAIRS = CN_CLOCKS_WINDOWS * (CN_CLOCKS_WINDOWS - 1) / 2,
};

static bool is_time(int64_t ns)
{
    return ns >= 0 && ns <= TIME_MAX;
}

static bool measure(const cn_exchange *x, cn_clocks_point *out)
{
    if (!is_time(x->sent_ns) || !is_time(x->taken_ns) || !is_time(x->published_ns) ||
        !is_time(x->received_ns) || x->sent_ns == 0)
        return false;
    *out = (cn_clocks_point){
        .at_ns = x->sent_ns + (x->received_ns - x->sent_ns) / 2,
        .offset_ns = ((x->taken_ns - x->sent_ns) + (x->published_ns - x->received_ns)) / 2,
        .trip_ns = (x->received_ns - x->sent_ns) - (x->published_ns - x->taken_ns),
    };
    return x->sent_ns <= x->received_ns && x->taken_ns <= x->published_ns && out->trip_ns >= 0;
}

/* By how much the clock may be off that a point gave, some time later. */
static double doubt_ns(const cn_clocks *c, const cn_clocks_point *p, int64_t now_ns)
{
    return 0.5 * (double)p->trip_ns + c->wander * fabs((double)(now_ns - p->at_ns));
}

cn_clocks_estimate cn_clocks_now(const cn_clocks *clocks, int64_t now_ns)
{
    const cn_clocks_point *surest = &clocks->best;
    cn_clocks_estimate e = {.drift_ppm = NAN,
                            .drift_uncertainty_ppm = NAN,
                            .samples = clocks->samples,
                            .jumps = clocks->jumps};
    if (clocks->samples == 0)
        return e;
    for (int i = 0; i < clocks->windows; i++)
        if (doubt_ns(clocks, &clocks->minimum[i], now_ns) < doubt_ns(clocks, surest, now_ns))
            surest = &clocks->minimum[i];
    const double since_ns = (double)(now_ns - surest->at_ns);
    e.known = true;
    e.offset_ns = surest->offset_ns + (int64_t)llround(clocks->drift * since_ns);
    e.uncertainty_ns = (int64_t)ceil(doubt_ns(clocks, surest, now_ns));
    if (clocks->drifts) {
        e.drift_ppm = clocks->drift * 1e6;
        e.drift_uncertainty_ppm = clocks->wander * 1e6;
    }
    return e;
}

/* Insertion sort: for some hundred numbers, every other second; qsort may allocate. */
static void sort(double *value, int count)
{
    for (int i = 1; i < count; i++) {
        const double v = value[i];
        int k = i;
        for (; k > 0 && value[k - 1] > v; k--)
            value[k] = value[k - 1];
        value[k] = v;
    }
}

/* The points that are worth a line: whose way was not much longer than the shortest.
 * @return how many */
static int choose_points(const cn_clocks *c, const cn_clocks_point *chosen[CN_CLOCKS_WINDOWS])
{
    int64_t shortest = INT64_MAX;
    int count = 0;
    for (int i = 0; i < c->windows; i++)
        if (c->minimum[i].trip_ns < shortest)
            shortest = c->minimum[i].trip_ns;
    for (int i = 0; i < c->windows; i++)
        if (c->minimum[i].trip_ns / 2 <= shortest + TRIP_SLACK_NS)
            chosen[count++] = &c->minimum[i];
    return count;
}

/* Every pair of points gives a slope, and bounds of it, as each offset is off by at most half its
 * round trip: the drift lies where all bounds meet, if it is constant. */
static void fit_drift(cn_clocks *c)
{
    const cn_clocks_point *point[CN_CLOCKS_WINDOWS];
    double slope[PAIRS], low = -INFINITY, high = INFINITY;
    const int points = choose_points(c, point);
    int pairs = 0;
    if (points < DRIFT_WINDOWS)
        return;
    for (int i = 0; i < points; i++)
        for (int k = 0; k < i; k++) {
            const double apart = (double)(point[i]->at_ns - point[k]->at_ns);
            const double change = (double)(point[i]->offset_ns - point[k]->offset_ns);
            const double doubt = 0.5 * (double)(point[i]->trip_ns + point[k]->trip_ns);
            slope[pairs] = change / apart;
            low = fmax(low, slope[pairs] - doubt / fabs(apart));
            high = fmin(high, slope[pairs] + doubt / fabs(apart));
            pairs++;
        }
    sort(slope, pairs);
    c->drifts = true;
    c->drift = 0.5 * (slope[(pairs - 1) / 2] + slope[pairs / 2]);
    c->wander = DRIFT_BOUND;
    if (low <= high) {
        c->drift = fmin(fmax(c->drift, low), high);
        c->wander = fmax(DRIFT_WANDER, fmax(high - c->drift, c->drift - low));
    }
}

/* The present window is over: its best joins the others. */
static void close_window(cn_clocks *c)
{
    c->minimum[c->next] = c->best;
    c->next = (c->next + 1) % CN_CLOCKS_WINDOWS;
    if (c->windows < CN_CLOCKS_WINDOWS)
        c->windows++;
    fit_drift(c);
}

static void begin(cn_clocks *c, const cn_clocks_point *first, uint64_t samples, uint64_t jumps)
{
    *c = (cn_clocks){
        .best = *first,
        .window_ends_ns = first->at_ns + WINDOW_NS,
        .wander = DRIFT_BOUND,
        .samples = samples,
        .jumps = jumps,
    };
}

bool cn_clocks_add(cn_clocks *c, const cn_exchange *exchange)
{
    cn_clocks_point point;
    if (!measure(exchange, &point))
        return false;
    if (c->samples == 0) {
        begin(c, &point, 1, 0);
        return true;
    }
    /* Both are within their bounds, or one of them is not true. */
    const cn_clocks_estimate e = cn_clocks_now(c, point.at_ns);
    const double apart = fabs((double)(point.offset_ns - e.offset_ns));
    if (apart > 0.5 * (double)point.trip_ns + (double)e.uncertainty_ns) {
        c->strangers++;
        if (c->strangers < STRANGERS)
            return false;
        begin(c, &point, c->samples + 1, c->jumps + 1);
        return true;
    }
    c->strangers = 0;
    c->samples++;
    if (point.at_ns >= c->window_ends_ns) {
        close_window(c);
        c->best = point;
        c->window_ends_ns = point.at_ns + WINDOW_NS;
    } else if (point.trip_ns < c->best.trip_ns)
        c->best = point;
    return true;
}
