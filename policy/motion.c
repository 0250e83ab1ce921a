/* Jerk-limited motion of one joint.
 *
 * Legend: p, v, a: position, velocity, acceleration; A, J: the limits of acceleration and jerk. A
 * change of velocity is three pieces: jerk towards it, constant acceleration, jerk back to none. */
#include "policy/motion.h"

#include <float.h>
#include <math.h>

enum { ROOT_STEPS = 80 }; /* a bound: 6 to 10 are usual */

/* ---- Pieces ---- */

static inline cn_motion_state after(cn_motion_state s, double jerk, double t)
{
    return (cn_motion_state){
        .p = s.p + t * (s.v + t * (0.5 * s.a + t * (jerk / 6))),
        .v = s.v + t * (s.a + t * (0.5 * jerk)),
        .a = s.a + t * jerk,
    };
}

/* The fastest change from (v, a) to (goal, 0). */
typedef struct change {
    double jerk; /* of the first piece; the second has none, the third the opposite */
    double first, second, third; /* s */
} change;

static inline double not_below_zero(double x) /* what rounding made of a 0 */
{
    return x > 0 ? x : 0;
}

static change change_to(double goal, double v, double a, const cn_motion_limits *l)
{
    const double J = l->jerk, A = l->acceleration;
    const double straight = v + a * fabs(a) / (2 * J); /* the velocity, if a just goes back to 0 */
    const double way = goal < straight ? -1 : 1;       /* the rest is in the sense of way = 1 */
    const double now = way * a, gain = way * (goal - v);
    double peak = sqrt(not_below_zero(J * gain + 0.5 * now * now));
    double hold = 0;
    if (peak > A) {
        peak = A;
        hold = (gain - (2 * A * A - now * now) / (2 * J)) / A;
    }
    return (change){way * J, not_below_zero((peak - now) / J), not_below_zero(hold), peak / J};
}

/* The state at the end of a change. Velocity and acceleration are known there: nothing is left to
 * rounding. */
static inline cn_motion_state end_of(const change *c, cn_motion_state s, double goal)
{
    s = after(s, c->jerk, c->first);
    s = after(s, 0, c->second);
    s = after(s, -c->jerk, c->third);
    return (cn_motion_state){s.p, goal, 0};
}

static double stops_at(cn_motion_state s, const cn_motion_limits *l)
{
    const change stop = change_to(0, s.v, s.a, l);
    return end_of(&stop, s, 0).p;
}

/* ---- Plans ---- */

/* Adds a piece. @return the state at its end */
static cn_motion_state add(cn_motion *m, cn_motion_state from, double jerk, double duration)
{
    if (duration > 0) {
        m->piece[m->pieces++] = (cn_motion_piece){from, jerk, duration};
        from = after(from, jerk, duration);
    }
    return from;
}

static void begin(cn_motion *m)
{
    m->pieces = 0;
    m->at = 0;
    m->t = 0;
}

/* Ends the plan with the shortest stop. */
static void add_stop(cn_motion *m, cn_motion_state s, const cn_motion_limits *l)
{
    const change c = change_to(0, s.v, s.a, l);
    s = add(m, s, c.jerk, c.first);
    s = add(m, s, 0, c.second);
    s = add(m, s, -c.jerk, c.third);
    add(m, (cn_motion_state){s.p, 0, 0}, 0, INFINITY);
}

/* How far beyond the target the shortest stop from s ends, in the sense of `way` (1 or -1). */
static inline double beyond(cn_motion_state s, double way, double target, const cn_motion_limits *l)
{
    return way * (stops_at(s, l) - target);
}

/* The moment within a piece of jerk `jerk` from s, 0 to `longest`, from which the shortest stop
 * ends at the target: the last one known not to be too late. At 0 it is not, at `longest` it is,
 * and the end is monotone in between: inverse quadratic interpolation where it is trusted, halvings
 * elsewhere (Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a
 * nonlinear function", 1997). */
static double last_moment(cn_motion_state s, double jerk, double longest, double way, double target,
                          const cn_motion_limits *l)
{
    double a = longest, b = 0, c = longest, part = 0.5; /* a: the newest; c: the one that left */
    double at_a = beyond(after(s, jerk, a), way, target, l), at_b = beyond(s, way, target, l);
    for (int i = 0; i < ROOT_STEPS && at_b != 0; i++) {
        const double x = a + part * (b - a);
        const double at_x = beyond(after(s, jerk, x), way, target, l);
        double at_c = at_a;
        c = a;
        if ((at_x > 0) != (at_a > 0)) {
            c = b, at_c = at_b;
            b = a, at_b = at_a;
        }
        a = x, at_a = at_x;
        const double least = DBL_EPSILON * longest / fabs(b - a);
        if (least > 0.5 || at_a == 0)
            break;
        const double xi = (a - b) / (c - b), phi = (at_a - at_b) / (at_c - at_b);
        part = phi * phi < xi && (1 - phi) * (1 - phi) < 1 - xi
                   ? at_a / (at_b - at_a) * at_c / (at_b - at_c) +
                         (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
                   : 0.5;
        part = fmin(fmax(part, least), 1 - least);
    }
    return at_a <= 0 ? a : b;
}

void cn_motion_rest(cn_motion *m, double p)
{
    begin(m);
    add(m, (cn_motion_state){p, 0, 0}, 0, INFINITY);
}

void cn_motion_stop(cn_motion *m, const cn_motion_limits *limits)
{
    const cn_motion_state now = cn_motion_now(m);
    begin(m);
    add_stop(m, now, limits);
}

void cn_motion_go(cn_motion *m, const cn_motion_limits *limits, double target, double speed)
{
    cn_motion_state s = cn_motion_now(m);
    const double gap = target - stops_at(s, limits);
    const double way = gap < 0 ? -1 : 1;
    begin(m);
    if (gap == 0 || !(speed > 0)) {
        add_stop(m, s, limits);
        return;
    }
    const change c = change_to(way * speed, s.v, s.a, limits);
    const double jerk[3] = {c.jerk, 0, -c.jerk}, duration[3] = {c.first, c.second, c.third};
    for (int i = 0; i < 3; i++) {
        const cn_motion_state end = after(s, jerk[i], duration[i]);
        if (beyond(end, way, target, limits) > 0) { /* too far: it must brake before */
            add_stop(m,
                     add(m, s, jerk[i], last_moment(s, jerk[i], duration[i], way, target, limits)),
                     limits);
            return;
        }
        s = add(m, s, jerk[i], duration[i]);
    }
    s = (cn_motion_state){s.p, way * speed, 0};
    s = add(m, s, 0, not_below_zero(way * (target - stops_at(s, limits))) / speed);
    if (isfinite(target))
        add_stop(m, s, limits);
}

/* ---- Time ---- */

cn_motion_state cn_motion_now(const cn_motion *m)
{
    const cn_motion_piece *piece = &m->piece[m->at];
    return after(piece->from, piece->jerk, m->t);
}

double cn_motion_advance(cn_motion *m, double dt_s)
{
    m->t += dt_s;
    while (m->t >= m->piece[m->at].duration) {
        m->t -= m->piece[m->at].duration;
        m->at++;
    }
    return cn_motion_now(m).p;
}

void cn_motion_shift(cn_motion *m, double by)
{
    for (int i = 0; i < m->pieces; i++)
        m->piece[i].from.p += by;
}

bool cn_motion_at_rest(const cn_motion *m)
{
    const cn_motion_piece *piece = &m->piece[m->at];
    return m->at == m->pieces - 1 && piece->from.v == 0 && piece->from.a == 0 && piece->jerk == 0;
}

double cn_motion_time_left(const cn_motion *m)
{
    double left = -m->t;
    for (int i = m->at; i < m->pieces - 1; i++)
        left += m->piece[i].duration;
    return cn_motion_at_rest(m) ? 0 : m->piece[m->pieces - 1].from.v == 0 ? left : INFINITY;
}

double cn_motion_stops_at(const cn_motion *m, const cn_motion_limits *limits)
{
    return stops_at(cn_motion_now(m), limits);
}

double cn_motion_longest_stop(const cn_motion_limits *l)
{
    /* Acceleration has to go first, the largest that can be there and still end within full speed;
     * then a stop from full speed, whose peak a low jerk keeps below the limit. */
    const double peak = fmin(l->acceleration, sqrt(l->jerk * l->velocity));
    const double most = fmin(l->acceleration, sqrt(2 * l->jerk * l->velocity));
    return most / l->jerk + l->velocity / peak + peak / l->jerk;
}
