/* The motion of one joint, as fast as velocity, acceleration and jerk allow: from any state to rest
 * at a target, or to rest as soon as possible. It is planned in continuous time, as up to eight
 * pieces of constant jerk, and read at the servo's ticks; so every difference of the positions read
 * is a mean of a velocity, an acceleration or a jerk within its limit, whatever the servo's rate.
 *
 * What brakes last decides: the shortest stop from a state (v, a) is known in closed form, and the
 * fastest motion to a target is full acceleration towards it up to the moment from which that stop
 * ends there. The structure is that of Berscheid and Kroeger, "Jerk-limited Real-time Trajectory
 * Generation with Arbitrary Target States", RSS 2021 (arXiv:2105.04830), for a target at rest;
 * found by one root of a monotone function in place of their case tree. */
#ifndef CN_POLICY_MOTION_H
#define CN_POLICY_MOTION_H

#include <stdbool.h>

enum { CN_MOTION_PIECES = 8 };

/* All above 0. The unit is the joint's: rad or m. */
typedef struct cn_motion_limits {
    double velocity;     /* unit/s */
    double acceleration; /* unit/s2 */
    double jerk;         /* unit/s3 */
} cn_motion_limits;

typedef struct cn_motion_state {
    double p, v, a; /* unit, unit/s, unit/s2 */
} cn_motion_state;

/* A stretch of constant jerk. */
typedef struct cn_motion_piece {
    cn_motion_state from;
    double jerk;     /* unit/s3 */
    double duration; /* s; of the last one infinite */
} cn_motion_piece;

typedef struct cn_motion {
    cn_motion_piece piece[CN_MOTION_PIECES];
    int pieces; /* at least 1 */
    int at;     /* the one under way */
    double t;   /* s, since it began */
} cn_motion;

/* Rests at p. */
void cn_motion_rest(cn_motion *motion, double p);

/* Where the joint is now. */
cn_motion_state cn_motion_now(const cn_motion *motion);

/* From now on: to rest as soon as the limits allow, wherever that is. */
void cn_motion_stop(cn_motion *motion, const cn_motion_limits *limits);

/* From now on: to rest at `target` in the shortest time, no faster than `speed`. A state from which
 * the target cannot be reached without passing it passes it and returns. The end falls short of the
 * target by rounding, never beyond it.
 * @param target  unit; may be infinite: then it goes on at `speed`
 * @param speed   unit/s, >= 0, at most the velocity limit; 0: as cn_motion_stop */
void cn_motion_go(cn_motion *motion, const cn_motion_limits *limits, double target, double speed);

/* Moves on by dt_s. @return the position then */
double cn_motion_advance(cn_motion *motion, double dt_s);

/* Takes the whole motion elsewhere: it was measured to be there. */
void cn_motion_shift(cn_motion *motion, double by);

/* Nothing is left of the plan but to rest. */
bool cn_motion_at_rest(const cn_motion *motion);

/* s, until the present plan rests; infinite where it never does. */
double cn_motion_time_left(const cn_motion *motion);

/* Where the shortest stop from now ends. */
double cn_motion_stops_at(const cn_motion *motion, const cn_motion_limits *limits);

/* The longest that a stop can take from any state within the limits, s. */
double cn_motion_longest_stop(const cn_motion_limits *limits);

#endif
