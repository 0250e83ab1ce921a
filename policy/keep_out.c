/* Points and boxes. */
#include "policy/keep_out.h"

#include <math.h>

/* m: how far a way between two samples of it may bend from the straight line. At 20 m/s2, across
 * samples 10 ms apart, it is a quarter of that (a t2 / 8). */
#define BEND_M 1e-3

/* How deep a point is in what is kept free, m; negative outside. */
static double depth(const cn_box *box, const double at[3])
{
    const double margin = box->distance + BEND_M;
    double least = INFINITY;
    for (int i = 0; i < 3; i++)
        least = fmin(least, fmin(at[i] - (box->low[i] - margin), box->high[i] + margin - at[i]));
    return least;
}

/* Slabs: the stretches of the way that lie between each pair of sides, cut with each other. */
static bool crosses(const cn_box *box, const double from[3], const double to[3])
{
    const double margin = box->distance + BEND_M;
    double enters = 0, leaves = 1; /* shares of the way */
    for (int i = 0; i < 3; i++) {
        const double low = box->low[i] - margin, high = box->high[i] + margin;
        const double way = to[i] - from[i];
        if (way == 0) {
            if (from[i] < low || from[i] > high)
                return false;
            continue;
        }
        const double a = (low - from[i]) / way, b = (high - from[i]) / way;
        enters = fmax(enters, fmin(a, b));
        leaves = fmin(leaves, fmax(a, b));
    }
    return enters <= leaves;
}

bool cn_box_forbids(const cn_box *box, const double from[3], const double to[3])
{
    const double deep = depth(box, from);
    return deep > 0 ? depth(box, to) > deep : crosses(box, from, to);
}
