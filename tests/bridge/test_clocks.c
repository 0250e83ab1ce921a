/* The estimate of the robot's clock against one that the test makes up: every error is known. */
#include "base/clock.h"
#include "bridge/clocks.h"
#include "tests/test.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

/* A robot whose clock is offset + (1 + drift) * ours, behind a network with a least delay each way
 * and jitter above it. */
typedef struct world {
    cn_clocks clocks;
    int64_t now_ns; /* by our clock */
    int64_t offset_ns;
    double drift; /* s/s */
    int64_t there_ns, back_ns, jitter_ns;
    uint64_t random;
} world;

static world world_make(int64_t offset_ns, double drift, int64_t delay_ns, int64_t jitter_ns)
{
    return (world){
        .now_ns = 5 * CN_NS_PER_S,
        .offset_ns = offset_ns,
        .drift = drift,
        .there_ns = delay_ns,
        .back_ns = delay_ns,
        .jitter_ns = jitter_ns,
        .random = 1,
    };
}

static int64_t robot_time(const world *w, int64_t at_ns)
{
    return at_ns + w->offset_ns + (int64_t)llround(w->drift * (double)at_ns);
}

/* Heavy at 0, with a long tail: the cube of an even number in [0, 1). */
static int64_t jitter(world *w)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const double u = (double)(w->random >> 11) * 0x1p-53;
    return (int64_t)((double)w->jitter_ns * u * u * u);
}

/* A command now, taken when it arrives, and the frame that says so `hold` later. */
static cn_exchange world_exchange(world *w, int64_t hold_ns)
{
    const int64_t taken = w->now_ns + w->there_ns + jitter(w);
    const int64_t published = taken + hold_ns;
    return (cn_exchange){
        .sent_ns = w->now_ns,
        .taken_ns = robot_time(w, taken),
        .published_ns = robot_time(w, published),
        .received_ns = published + w->back_ns + jitter(w),
    };
}

static bool world_step(world *w)
{
    const cn_exchange x = world_exchange(w, 45 * MS);
    const bool used = cn_clocks_add(&w->clocks, &x);
    w->now_ns += 50 * MS;
    return used;
}

static void world_run(world *w, int64_t seconds)
{
    for (int64_t i = 0; i < seconds * 20; i++)
        CU_ASSERT_TRUE(world_step(w));
}

/* The estimate's error, ns; it must be within what the estimate says of itself. */
static double world_error(const world *w)
{
    const cn_clocks_estimate e = cn_clocks_now(&w->clocks, w->now_ns);
    const double error = (double)(e.offset_ns - (robot_time(w, w->now_ns) - w->now_ns));
    CU_ASSERT_TRUE(e.known);
    if (!(fabs(error) <= (double)e.uncertainty_ns))
        printf("\n    off by %g ns, said to be within %g ns\n", error, (double)e.uncertainty_ns);
    CU_ASSERT_TRUE(fabs(error) <= (double)e.uncertainty_ns);
    return error;
}

static void test_clocks_know_nothing_at_first(void)
{
    const cn_clocks clocks = {0};
    const cn_clocks_estimate e = cn_clocks_now(&clocks, CN_NS_PER_S);
    CU_ASSERT_FALSE(e.known);
    CU_ASSERT_TRUE(isnan(e.drift_ppm));
    CU_ASSERT_EQUAL(e.samples, 0);
}

static void test_clocks_find_an_offset_at_once(void)
{
    const int64_t offsets[] = {0, 3 * MS, -3 * MS, 400000 * CN_NS_PER_S, -4 * CN_NS_PER_S};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        world w = world_make(offsets[i], 0, 100 * US, 0);
        CU_ASSERT_TRUE(world_step(&w));
        CU_ASSERT_TRUE(fabs(world_error(&w)) <= 1); /* the delays are the same: but for rounding */
        const cn_clocks_estimate e = cn_clocks_now(&w.clocks, w.now_ns);
        CU_ASSERT_TRUE(e.uncertainty_ns >= 100 * US && e.uncertainty_ns < 110 * US);
        CU_ASSERT_TRUE(isnan(e.drift_ppm));
    }
}

/* Most round trips are longer by milliseconds; the shortest ones tell. */
static void test_clocks_are_not_deceived_by_jitter(void)
{
    world w = world_make(7 * MS, 0, 100 * US, 20 * MS);
    world_run(&w, 1);
    for (int i = 0; i < 60; i++) {
        world_run(&w, 1);
        /* Of 20 to 40 round trips in a window the best has some 1e-4 of the jitter each way. */
        CU_ASSERT_TRUE(fabs(world_error(&w)) < 250 * (double)US);
    }
    CU_ASSERT_EQUAL(cn_clocks_now(&w.clocks, w.now_ns).jumps, 0);
}

static void test_clocks_find_the_drift(void)
{
    const double drifts[] = {0, 20e-6, -20e-6, 80e-6};
    for (size_t i = 0; i < sizeof drifts / sizeof drifts[0]; i++) {
        world w = world_make(-2 * MS, drifts[i], 100 * US, 2 * MS);
        for (int s = 0; s < 40; s++) {
            world_run(&w, 1);
            world_error(&w);
        }
        const cn_clocks_estimate e = cn_clocks_now(&w.clocks, w.now_ns);
        CU_ASSERT_EQUAL(e.jumps, 0);
        /* Offsets that are off by some 10 us, over half a minute. */
        CU_ASSERT_TRUE(fabs(e.drift_ppm - drifts[i] * 1e6) < 3);
        /* With it the offset still holds after a pause of ten seconds: 20 ppm were 200 us. */
        w.now_ns += 10 * CN_NS_PER_S;
        CU_ASSERT_TRUE(fabs(world_error(&w)) < 100 * (double)US);
    }
}

/* Nobody can tell an asymmetric delay from an offset: but the error is within what is said. */
static void test_clocks_say_how_wrong_an_asymmetric_delay_makes_them(void)
{
    world w = world_make(0, 0, 0, 0);
    w.there_ns = 3 * MS;
    w.back_ns = 1 * MS;
    world_run(&w, 10);
    CU_ASSERT_TRUE(fabs(world_error(&w) - (double)(1 * MS)) < 1 * (double)US);
    CU_ASSERT_TRUE(cn_clocks_now(&w.clocks, w.now_ns).uncertainty_ns >= 2 * MS);
}

/* A route that becomes slower, and asymmetric, is not a jump; a better one is used at once. */
static void test_clocks_take_a_change_of_delay_for_no_jump(void)
{
    world w = world_make(5 * MS, 0, 100 * US, 0);
    world_run(&w, 5);
    w.there_ns = 30 * MS;
    world_run(&w, 5);
    CU_ASSERT_EQUAL(cn_clocks_now(&w.clocks, w.now_ns).jumps, 0);
    CU_ASSERT_TRUE(fabs(world_error(&w)) < 10 * (double)US); /* the good ones are remembered */
    w.there_ns = w.back_ns = 10 * US;
    CU_ASSERT_TRUE(world_step(&w));
    CU_ASSERT_TRUE(cn_clocks_now(&w.clocks, w.now_ns).uncertainty_ns < 20 * US);
    world_error(&w);
}

static void test_clocks_begin_anew_after_a_jump(void)
{
    const int64_t jumps[] = {2 * MS, -2 * MS, 1000 * CN_NS_PER_S};
    for (size_t i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        world w = world_make(2000 * CN_NS_PER_S, 20e-6, 100 * US, 0);
        world_run(&w, 20);
        w.offset_ns += jumps[i];
        CU_ASSERT_FALSE(world_step(&w)); /* one may be a mistake of its own */
        CU_ASSERT_FALSE(world_step(&w));
        CU_ASSERT_TRUE(world_step(&w));
        const cn_clocks_estimate e = cn_clocks_now(&w.clocks, w.now_ns);
        CU_ASSERT_EQUAL(e.jumps, 1);
        CU_ASSERT_TRUE(isnan(e.drift_ppm));
        CU_ASSERT_TRUE(fabs(world_error(&w)) < 10 * (double)US);
        world_run(&w, 20);
        CU_ASSERT_EQUAL(cn_clocks_now(&w.clocks, w.now_ns).jumps, 1);
        world_error(&w);
    }
}

/* A robot that starts again, with a clock that starts again as well. */
static void test_clocks_survive_a_restart(void)
{
    world w = world_make(300 * CN_NS_PER_S, 0, 100 * US, 1 * MS);
    world_run(&w, 10);
    w.offset_ns = -w.now_ns; /* it reads 0 now */
    w.now_ns += 10 * CN_NS_PER_S;
    for (int i = 0; i < 3; i++)
        world_step(&w);
    world_run(&w, 10);
    CU_ASSERT_EQUAL(cn_clocks_now(&w.clocks, w.now_ns).jumps, 1);
    world_error(&w);
}

static void test_clocks_pass_over_a_single_contradiction(void)
{
    world w = world_make(0, 0, 100 * US, 0);
    world_run(&w, 5);
    cn_exchange wrong = world_exchange(&w, 45 * MS);
    wrong.taken_ns += 20 * MS; /* within the frame's period: the order is possible */
    wrong.published_ns += 20 * MS;
    CU_ASSERT_FALSE(cn_clocks_add(&w.clocks, &wrong));
    world_run(&w, 5);
    CU_ASSERT_FALSE(cn_clocks_add(&w.clocks, &wrong));
    CU_ASSERT_EQUAL(cn_clocks_now(&w.clocks, w.now_ns).jumps, 0);
    CU_ASSERT_TRUE(fabs(world_error(&w)) < 10 * (double)US);
}

/* Also from a robot that means harm. */
static void test_clocks_refuse_impossible_times(void)
{
    cn_clocks clocks = {0};
    const cn_exchange bad[] = {
        {0},
        {.sent_ns = 10, .taken_ns = 20, .published_ns = 19, .received_ns = 30},
        {.sent_ns = 10, .taken_ns = 20, .published_ns = 21, .received_ns = 9},
        {.sent_ns = 10,
         .taken_ns = 20,
         .published_ns = 60,
         .received_ns = 30}, /* back in no time */
        {.sent_ns = 10, .taken_ns = -20, .published_ns = 20, .received_ns = 30},
        {.sent_ns = 10, .taken_ns = INT64_MIN, .published_ns = INT64_MAX, .received_ns = 30},
        {.sent_ns = 10, .taken_ns = 20, .published_ns = INT64_MAX, .received_ns = 30},
        {.sent_ns = INT64_MAX, .taken_ns = 0, .published_ns = 0, .received_ns = INT64_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(cn_clocks_add(&clocks, &bad[i]));
    CU_ASSERT_FALSE(cn_clocks_now(&clocks, 100).known);
    const cn_exchange far = {10, INT64_MAX / 4, INT64_MAX / 4, 30}, near = {40, 0, 0, 60};
    CU_ASSERT_TRUE(cn_clocks_add(&clocks, &far));
    for (int i = 0; i < 3; i++)
        cn_clocks_add(&clocks, &near);
    CU_ASSERT_EQUAL(cn_clocks_now(&clocks, 100).jumps, 1);
}

CN_TEST_MAIN("bridge.clocks", T(test_clocks_know_nothing_at_first),
             T(test_clocks_find_an_offset_at_once), T(test_clocks_are_not_deceived_by_jitter),
             T(test_clocks_find_the_drift),
             T(test_clocks_say_how_wrong_an_asymmetric_delay_makes_them),
             T(test_clocks_take_a_change_of_delay_for_no_jump),
             T(test_clocks_begin_anew_after_a_jump), T(test_clocks_survive_a_restart),
             T(test_clocks_pass_over_a_single_contradiction),
             T(test_clocks_refuse_impossible_times))
