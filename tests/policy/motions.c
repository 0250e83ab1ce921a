/* Plans motions for tests/policy/test_motion_peer.py: a line "V A J p v a target" in, how long the
 * motion takes out. */
#include <stdio.h>

#include "policy/motion.h"

int main(void)
{
    cn_motion_limits l;
    cn_motion_state s;
    double target;
    while (scanf("%lf %lf %lf %lf %lf %lf %lf", &l.velocity, &l.acceleration, &l.jerk, &s.p, &s.v,
                 &s.a, &target) == 7) {
        cn_motion m;
        cn_motion_rest(&m, s.p);
        m.piece[0].from = s;
        cn_motion_go(&m, &l, target, l.velocity);
        printf("%.17g\n", cn_motion_time_left(&m));
    }
    return 0;
}
