/* The motion of one joint: how it ends, that it keeps limits at any rate, that it can change its
 * mind. That it is the fastest one is tested against another planner: test_motion_peer.py. */
#include "policy/motion.h"
#include "tests/random.h"
#include "tests/test.h"

#include <math.h>
#include <stdint.h>

/* Ends are known to a few last bits of the largest number on the way. */
#define END_TOLERANCE 1e-13

static const cn_motion_limits limits = {.velocity = 2, .acceleration = 10, .jerk = 400};

/* A motion that passes (v, a) at p. */
static cn_motion passing(double p, double v, double a)
{
    cn_motion m;
    cn_motion_rest(&m, p);
    m.piece[0].from = (cn_motion_state){p, v, a};
    return m;
}

static double end_of(const cn_motion *m)
{
    return m->piece[m->pieces - 1].from.p;
}

static void test_motion_rests_where_it_is_put(void)
{
    cn_motion m;
    cn_motion_rest(&m, 0.3);
    CU_ASSERT_TRUE(cn_motion_at_rest(&m));
    CU_ASSERT_EQUAL(cn_motion_advance(&m, 1e6), 0.3);
    CU_ASSERT_EQUAL(cn_motion_time_left(&m), 0);
    cn_motion_stop(&m, &limits);
    CU_ASSERT_TRUE(cn_motion_at_rest(&m));
    cn_motion_go(&m, &limits, 0.3, 2);
    CU_ASSERT_EQUAL(cn_motion_advance(&m, 1), 0.3);
}

/* The textbook's seven pieces: A / J up and down, V / A of acceleration each way, the rest at V. */
static void test_motion_takes_the_time_of_the_textbook(void)
{
    cn_motion m;
    cn_motion_rest(&m, -1);
    cn_motion_go(&m, &limits, 3, 2);
    const double ramps = 2. / 10 + 10. / 400;
    CU_ASSERT_DOUBLE_EQUAL(cn_motion_time_left(&m), 4. / 2 + ramps, END_TOLERANCE);
    CU_ASSERT_EQUAL(m.pieces, CN_MOTION_PIECES);
    const double p = cn_motion_advance(&m, 0.5 * (2 + ramps));
    CU_ASSERT_DOUBLE_EQUAL(p, 1, END_TOLERANCE); /* half the way in half the time */
    CU_ASSERT_DOUBLE_EQUAL(cn_motion_now(&m).v, 2, END_TOLERANCE);
    CU_ASSERT_FALSE(cn_motion_at_rest(&m));
    CU_ASSERT_DOUBLE_EQUAL(cn_motion_advance(&m, 9), 3, END_TOLERANCE);
    CU_ASSERT_TRUE(cn_motion_at_rest(&m));
}

static void test_motion_goes_no_faster_than_asked(void)
{
    cn_motion m;
    cn_motion_rest(&m, 0);
    cn_motion_go(&m, &limits, -INFINITY, 0.5);
    CU_ASSERT_TRUE(isinf(cn_motion_time_left(&m)));
    cn_motion_advance(&m, 5);
    CU_ASSERT_EQUAL(cn_motion_now(&m).v, -0.5);
    CU_ASSERT_EQUAL(cn_motion_now(&m).a, 0);
    cn_motion_go(&m, &limits, -INFINITY, 0.1); /* and slows down when less is asked */
    cn_motion_advance(&m, 5);
    CU_ASSERT_EQUAL(cn_motion_now(&m).v, -0.1);
    cn_motion_go(&m, &limits, 7, 0);
    cn_motion_advance(&m, 5);
    CU_ASSERT_TRUE(cn_motion_at_rest(&m));
}

static void test_motion_passes_a_target_that_is_too_near(void)
{
    cn_motion m = passing(0, 2, 0);
    cn_motion_go(&m, &limits, 0.01, 2);
    double furthest = 0;
    for (int i = 0; i < 1000; i++)
        furthest = fmax(furthest, cn_motion_advance(&m, 0.001));
    CU_ASSERT_TRUE(furthest > 0.1);
    CU_ASSERT_DOUBLE_EQUAL(cn_motion_now(&m).p, 0.01, END_TOLERANCE);
}

/* From any state, through any change of mind, the end is where it should be: at the target, or at
 * most the tolerance before it. */
static void test_motion_ends_at_its_target(void)
{
    uint64_t seed = 5;
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        const double speed = limits.velocity * random_unit(&seed);
        cn_motion m = passing(4 * random_unit(&seed) - 2, 0, 0);
        for (int k = 0; k < 3; k++) {
            cn_motion_go(&m, &limits, 4 * random_unit(&seed) - 2, limits.velocity);
            cn_motion_advance(&m, 0.3 * random_unit(&seed));
        }
        const double stop = cn_motion_stops_at(&m, &limits), target = 4 * random_unit(&seed) - 2;
        const double way = target < stop ? -1 : 1;
        cn_motion_go(&m, &limits, target, speed);
        CU_ASSERT_TRUE_FATAL(m.pieces <= CN_MOTION_PIECES);
        worst = fmax(worst, fabs(end_of(&m) - target));
        CU_ASSERT_TRUE_FATAL(way * (end_of(&m) - target) <= END_TOLERANCE);
    }
    CU_ASSERT_TRUE(worst <= END_TOLERANCE);
}

/* Of motions that change their mind at random moments. */
static void stop_anywhere(const cn_motion_limits *l, uint64_t seed)
{
    const double longest = cn_motion_longest_stop(l);
    double seen = 0;
    cn_motion m = passing(0, 0, 0);
    for (int i = 0; i < 100000; i++) {
        cn_motion_go(&m, l, random_unit(&seed) < 0.5 ? INFINITY : -INFINITY, l->velocity);
        cn_motion_advance(&m, longest * random_unit(&seed));
        cn_motion stop = m;
        cn_motion_stop(&stop, l);
        seen = fmax(seen, cn_motion_time_left(&stop));
    }
    CU_ASSERT_TRUE(seen <= longest * (1 + END_TOLERANCE));
    CU_ASSERT_TRUE(seen > 0.8 * longest); /* the bound says something */
}

static void test_motion_stop_takes_no_longer_than_the_longest(void)
{
    stop_anywhere(&limits, 6);
    /* A jerk too low for the acceleration limit to be reached, and just about. */
    stop_anywhere(&(cn_motion_limits){.velocity = 2, .acceleration = 1e6, .jerk = 1}, 7);
    stop_anywhere(&(cn_motion_limits){.velocity = 2, .acceleration = 30, .jerk = 400}, 8);
}

static void test_motion_stop_ends_where_it_says(void)
{
    uint64_t seed = 9;
    for (int i = 0; i < 10000; i++) {
        cn_motion m = passing(0, 0, 0);
        cn_motion_go(&m, &limits, i % 2 ? 9 : -9, limits.velocity);
        cn_motion_advance(&m, 0.3 * random_unit(&seed));
        cn_motion_stop(&m, &limits);
        CU_ASSERT_DOUBLE_EQUAL_FATAL(end_of(&m), cn_motion_stops_at(&m, &limits), END_TOLERANCE);
    }
}

static void test_motion_shift_takes_the_plan_along(void)
{
    cn_motion m = passing(0, 1, 5), moved = m;
    cn_motion_stop(&m, &limits);
    cn_motion_stop(&moved, &limits);
    cn_motion_shift(&moved, 0.25);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_DOUBLE_EQUAL(cn_motion_advance(&moved, 0.01), cn_motion_advance(&m, 0.01) + 0.25,
                               END_TOLERANCE);
}

CN_TEST_MAIN("policy.motion", T(test_motion_rests_where_it_is_put),
             T(test_motion_takes_the_time_of_the_textbook),
             T(test_motion_goes_no_faster_than_asked),
             T(test_motion_passes_a_target_that_is_too_near), T(test_motion_ends_at_its_target),
             T(test_motion_stop_takes_no_longer_than_the_longest),
             T(test_motion_stop_ends_where_it_says), T(test_motion_shift_takes_the_plan_along))
