/* The gate's rules on a clock of the test's own: what a delay, a loss or a repetition on the way
 * does to a command, each alone. Times are in ms since the gate began. */
#include "bridge/gate.h"
#include "tests/test.h"

#define MS INT64_C(1000000)

enum { PERIOD = 20 /* ms from frame to frame */ };

static cn_error err; /* of the call that is checked */

typedef struct fixture {
    cn_arm_joint joint[2];
    cn_safety *safety;
    cn_gate gate;
    cn_refusal reason;
} fixture;

/* A gate whose lease is held, after ten frames: frame n was published at n * PERIOD ms. */
static void setup(fixture *f)
{
    memset(f, 0, sizeof *f);
    for (int j = 0; j < 2; j++)
        f->joint[j] = (cn_arm_joint){"joint", "rad", -2, 2, 1, 20, 2000, INFINITY};
    CN_ASSERT_OK(cn_safety_create(f->joint, 2, &f->safety, &err));
    cn_gate_begin(&f->gate, f->safety, 2);
    CN_ASSERT_OK(cn_gate_acquire(&f->gate, 0, "tester", 10000 * MS, 0, &f->reason, &err));
    for (uint64_t n = 1; n <= 10; n++)
        cn_gate_published(&f->gate, n, (int64_t)n * PERIOD * MS);
}

static void teardown(fixture *f)
{
    cn_safety_destroy(&f->safety);
}

static cn_wire_command a_command(uint64_t sequence, uint64_t answers, int64_t valid_ms)
{
    return (cn_wire_command){
        .sequence = sequence,
        .answers_frame = answers,
        .valid_for_ns = valid_ms * MS,
        .command = {.mode = CN_COMMAND_POSITION, .joints = 2, .target = {(double)sequence, 0}},
    };
}

static cn_status give(fixture *f, const cn_wire_command *command, bool timed, int64_t at_ms)
{
    return cn_gate_command(&f->gate, f->gate.lease, command, timed, at_ms * MS, &f->reason, &err);
}

/* A command that is refused counts once, under its reason, and changes nothing else. */
static void refused(fixture *f, const cn_wire_command *command, int64_t at_ms, cn_refusal reason,
                    const char *words)
{
    const cn_gate before = f->gate;
    const cn_status expected = reason == CN_REFUSAL_ESTOPPED ? CN_ERR_SAFETY : CN_ERR_REFUSED;
    CN_ASSERT_FAILS(expected, words, give(f, command, true, at_ms));
    CU_ASSERT_EQUAL(f->reason, reason);
    CU_ASSERT_EQUAL(f->gate.refused[reason], before.refused[reason] + 1);
    CU_ASSERT_EQUAL(f->gate.commands_refused, before.commands_refused + 1);
    CU_ASSERT_EQUAL(f->gate.commands_applied, before.commands_applied);
    CU_ASSERT_EQUAL(f->gate.sequence, before.sequence);
    CU_ASSERT_EQUAL(f->gate.following, before.following);
    CU_ASSERT_EQUAL(f->gate.valid_until_ns, before.valid_until_ns);
    CU_ASSERT_EQUAL(memcmp(&f->gate.applied, &before.applied, sizeof before.applied), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(f->gate.last_refusal, words));
}

static bool follows(fixture *f, uint64_t sequence, int64_t at_ms)
{
    const cn_arm_command *wanted = cn_gate_wanted(&f->gate, at_ms * MS);
    return wanted && wanted->target[0] == (double)sequence;
}

static bool holds(fixture *f, int64_t at_ms)
{
    return !cn_gate_wanted(&f->gate, at_ms * MS);
}

/* ---- Delay ---- */

/* Frame 10 is of 200 ms: what answers it, valid for 50 ms, ends at 250 ms whenever it comes. */
static void test_gate_command_ends_by_the_age_of_its_frame(void)
{
    for (int64_t delay = 0; delay < 50; delay += 7) {
        fixture f;
        setup(&f);
        const cn_wire_command command = a_command(1, 10, 50);
        CN_ASSERT_OK(give(&f, &command, true, 200 + delay));
        CU_ASSERT_EQUAL(f.reason, CN_REFUSAL_NONE);
        CU_ASSERT_TRUE(follows(&f, 1, 200 + delay));
        CU_ASSERT_TRUE(follows(&f, 1, 249));
        CU_ASSERT_TRUE(holds(&f, 250));
        CU_ASSERT_EQUAL(f.gate.watchdog_stops, 1);
        teardown(&f);
    }
}

static void test_gate_refuses_what_comes_too_late(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command late = a_command(1, 10, 50);
    refused(&f, &late, 250, CN_REFUSAL_STALE,
            "it answers frame 10, which is 50.0 ms old, and is valid for 50.0 ms");
    refused(&f, &late, 100000, CN_REFUSAL_STALE, "stale");
    CU_ASSERT_TRUE(holds(&f, 251));
    CU_ASSERT_EQUAL(f.gate.watchdog_stops, 0);
    teardown(&f);
}

/* The network stood still, and lets go of all at once: none of it moves the arm. */
static void test_gate_burst_after_an_outage_moves_nothing(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command first = a_command(1, 3, 50);
    CN_ASSERT_OK(give(&f, &first, true, 61));
    CU_ASSERT_TRUE(holds(&f, 110));
    for (uint64_t n = 4; n <= 10; n++) {
        const cn_wire_command command = a_command(n, n, 50);
        refused(&f, &command, 400, CN_REFUSAL_STALE, "stale");
        CU_ASSERT_TRUE(holds(&f, 400));
    }
    const cn_wire_command fresh = a_command(11, 21, 50);
    for (uint64_t n = 11; n <= 21; n++)
        cn_gate_published(&f.gate, n, (int64_t)n * PERIOD * MS);
    CN_ASSERT_OK(give(&f, &fresh, true, 421)); /* what was refused has used up no number */
    CU_ASSERT_TRUE(follows(&f, 11, 421));
    teardown(&f);
}

/* A newer command that answers an older frame may shorten what there was, never lengthen it. */
static void test_gate_delayed_newer_command_ends_when_it_says(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command one = a_command(1, 10, 100), two = a_command(2, 8, 100);
    CN_ASSERT_OK(give(&f, &one, true, 201));
    CN_ASSERT_OK(give(&f, &two, true, 240));
    CU_ASSERT_TRUE(follows(&f, 2, 259));
    CU_ASSERT_TRUE(holds(&f, 260));
    teardown(&f);
}

/* Of no frame: it is as old as its arrival. */
static void test_gate_command_that_answers_nothing_counts_from_its_arrival(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command command = a_command(1, 0, 50);
    CN_ASSERT_OK(give(&f, &command, true, 1000));
    CU_ASSERT_TRUE(follows(&f, 1, 1049));
    CU_ASSERT_TRUE(holds(&f, 1050));
    teardown(&f);
}

/* ---- Order ---- */

static void test_gate_tells_repeated_from_reordered(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command five = a_command(5, 10, 100), four = a_command(4, 10, 100);
    CN_ASSERT_OK(give(&f, &five, true, 201));
    refused(&f, &five, 202, CN_REFUSAL_DUPLICATE, "command 5 is not newer than command 5");
    refused(&f, &four, 203, CN_REFUSAL_REORDERED, "command 4 is not newer than command 5");
    refused(&f, &five, 299, CN_REFUSAL_DUPLICATE, "command 5"); /* and does not live longer */
    CU_ASSERT_TRUE(follows(&f, 5, 299));
    CU_ASSERT_TRUE(holds(&f, 300));
    refused(&f, &five, 301, CN_REFUSAL_DUPLICATE, "command 5"); /* nor again */
    CU_ASSERT_TRUE(holds(&f, 301));
    teardown(&f);
}

static void test_gate_numbers_begin_anew_with_a_lease(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command five = a_command(5, 10, 100), one = a_command(1, 10, 100);
    CN_ASSERT_OK(give(&f, &five, true, 201));
    const uint64_t old = f.gate.lease;
    CN_ASSERT_OK(cn_gate_release(&f.gate, old, 202 * MS, &f.reason, &err));
    CU_ASSERT_TRUE(holds(&f, 202));
    CN_ASSERT_OK(cn_gate_acquire(&f.gate, 0, "next", 1000 * MS, 203 * MS, &f.reason, &err));
    CU_ASSERT_EQUAL(f.gate.applied.sequence, 0);
    CN_ASSERT_OK(give(&f, &one, true, 204));
    CU_ASSERT_TRUE(follows(&f, 1, 204));
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "a foreign lease: 'next' holds it",
                    cn_gate_command(&f.gate, old, &five, true, 205 * MS, &f.reason, &err));
    CU_ASSERT_EQUAL(f.reason, CN_REFUSAL_FOREIGN_LEASE);
    CU_ASSERT_TRUE(follows(&f, 1, 205));
    teardown(&f);
}

/* Noticed by whoever looks first: the servo, the next who wants it, or the holder come back. */
static void test_gate_names_who_lost_the_lease_by_silence(void)
{
    for (int who = 0; who < 3; who++) {
        fixture f;
        setup(&f); /* the lease lasts 10 s */
        CU_ASSERT_TRUE(holds(&f, 9999));
        CN_ASSERT_FAILS(CN_ERR_REFUSED, "'tester' holds the lease, for 0.0 s more",
                        cn_gate_acquire(&f.gate, 0, "next", 1, 9999 * MS, &f.reason, &err));
        CU_ASSERT_EQUAL(f.reason, CN_REFUSAL_FOREIGN_LEASE);
        CU_ASSERT_EQUAL(f.gate.leases_lapsed, 0);
        if (who == 0)
            CU_ASSERT_TRUE(holds(&f, 10000));
        if (who == 1)
            CN_ASSERT_OK(cn_gate_acquire(&f.gate, 0, "next", 0, 10000 * MS, &f.reason, &err));
        if (who == 2)
            CN_ASSERT_OK(cn_gate_show(&f.gate, f.gate.lease, 10000 * MS, &f.reason, &err));
        CU_ASSERT_EQUAL(f.gate.leases_lapsed, 1);
        CU_ASSERT_STRING_EQUAL(f.gate.last_lapsed, "tester");
        CU_ASSERT_EQUAL(f.gate.lapsed, who == 0);
        CU_ASSERT_TRUE(holds(&f, 10050));
        CU_ASSERT_EQUAL(f.gate.leases_lapsed, 1); /* once */
        teardown(&f);
    }
}

static void test_gate_lease_that_is_given_back_is_not_lost(void)
{
    fixture f;
    setup(&f);
    CN_ASSERT_OK(cn_gate_release(&f.gate, f.gate.lease, 1 * MS, &f.reason, &err));
    CU_ASSERT_TRUE(holds(&f, 60000));
    CU_ASSERT_EQUAL(f.gate.leases_lapsed, 0);
    teardown(&f);
}

static void test_gate_measures_the_age_of_commands(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command first = a_command(1, 10, 100), second = a_command(2, 10, 100),
                          of_none = a_command(3, 0, 100), late = a_command(4, 10, 100);
    CN_ASSERT_OK(give(&f, &first, true, 201));
    CU_ASSERT_EQUAL(f.gate.taken_ns, 201 * MS);
    CN_ASSERT_OK(give(&f, &second, true, 240));
    CN_ASSERT_OK(give(&f, &of_none, true, 250));
    refused(&f, &late, 900, CN_REFUSAL_STALE, "700.0 ms old");
    CU_ASSERT_EQUAL(f.gate.taken_ns, 250 * MS);
    CU_ASSERT_EQUAL(f.gate.command_age.count, 2);
    CU_ASSERT_EQUAL(f.gate.command_age.max, 40 * MS);
    teardown(&f);
}

/* ---- Frames ---- */

static void test_gate_refuses_frames_that_never_were(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command future = a_command(1, 11, 100), skipped = a_command(1, 12, 100);
    refused(&f, &future, 201, CN_REFUSAL_UNKNOWN_FRAME,
            "in answer to frame 11: the last one published is 10");
    cn_gate_published(&f.gate, 14, 280 * MS);
    refused(&f, &skipped, 281, CN_REFUSAL_UNKNOWN_FRAME, "frame 12, which was skipped");
    teardown(&f);
}

static void test_gate_forgets_frames_of_long_ago(void)
{
    fixture f;
    setup(&f);
    const uint64_t last = 10 + CN_GATE_FRAMES;
    for (uint64_t n = 11; n <= last; n++)
        cn_gate_published(&f.gate, n, (int64_t)n * MS / 1000);
    const cn_wire_command forgotten = a_command(1, 10, 5000), oldest = a_command(1, 11, 5000);
    refused(&f, &forgotten, 201, CN_REFUSAL_STALE, "it answers frame 10, and the last one is 1034");
    CN_ASSERT_OK(give(&f, &oldest, true, 201));
    teardown(&f);
}

/* What was seen before the arm was put elsewhere is not true any more, however fresh it is. */
static void test_gate_refuses_answers_from_before_a_reset(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command before = a_command(1, 10, 100), after = a_command(1, 11, 100);
    CN_ASSERT_OK(cn_gate_reset(&f.gate, f.gate.lease, true, 201 * MS, &f.reason, &err));
    CN_ASSERT_OK(give(&f, &before, true, 202)); /* a new goal moves nothing */
    CN_ASSERT_OK(cn_gate_reset(&f.gate, f.gate.lease, false, 203 * MS, &f.reason, &err));
    cn_gate_published(&f.gate, 11, 204 * MS);
    const cn_wire_command again = a_command(2, 10, 100);
    refused(&f, &again, 205, CN_REFUSAL_STALE,
            "it answers frame 10, of before the reset at frame 11");
    const cn_wire_command fresh = a_command(2, after.answers_frame, 100);
    CN_ASSERT_OK(give(&f, &fresh, true, 205));
    teardown(&f);
}

/* In lockstep time waits for the command: no frame grows old, but it must have been. */
static void test_gate_lockstep_knows_no_age(void)
{
    fixture f;
    setup(&f);
    cn_wire_command command = a_command(1, 10, 0);
    CN_ASSERT_OK(give(&f, &command, false, 3600000));
    CU_ASSERT_TRUE(follows(&f, 1, 36000000));
    command = a_command(2, 11, 0);
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "the last one published is 10", give(&f, &command, false, 300));
    CU_ASSERT_EQUAL(f.reason, CN_REFUSAL_UNKNOWN_FRAME);
    teardown(&f);
}

/* ---- The command itself, and who sends it ---- */

static void test_gate_names_what_is_wrong_with_a_command(void)
{
    fixture f;
    setup(&f);
    cn_wire_command command = a_command(1, 10, 100);
    command.valid_for_ns = 0;
    refused(&f, &command, 201, CN_REFUSAL_BAD_VALIDITY, "a command valid for 0 s");
    command.valid_for_ns = -5;
    refused(&f, &command, 201, CN_REFUSAL_BAD_VALIDITY, "a command valid for -5e-09 s");
    command.valid_for_ns = CN_WIRE_VALID_FOR_MAX_NS + 1;
    refused(&f, &command, 201, CN_REFUSAL_BAD_VALIDITY, "at most 5 s");
    command = a_command(1, 10, 100);
    command.command.mode = CN_COMMAND_EFFORT;
    refused(&f, &command, 201, CN_REFUSAL_WRONG_MODE, "command mode 3 (effort)");
    command.command.mode = (cn_command_mode)77;
    refused(&f, &command, 201, CN_REFUSAL_WRONG_MODE, "command mode 77");
    command = a_command(1, 10, 100);
    command.command.joints = 3;
    refused(&f, &command, 201, CN_REFUSAL_WRONG_JOINTS, "a command for 3 joints: the arm has 2");
    command = a_command(1, 10, 100);
    command.command.target[1] = NAN;
    refused(&f, &command, 201, CN_REFUSAL_NOT_FINITE, "target is nan");
    teardown(&f);
}

static void test_gate_estop_holds_whatever_comes(void)
{
    fixture f;
    setup(&f);
    const cn_wire_command one = a_command(1, 10, 100), two = a_command(2, 10, 100);
    CN_ASSERT_OK(give(&f, &one, true, 201));
    cn_gate_estop(&f.gate, "red button");
    CU_ASSERT_TRUE(holds(&f, 202));
    refused(&f, &two, 203, CN_REFUSAL_ESTOPPED, "emergency stop (red button)");
    CN_ASSERT_FAILS(CN_ERR_SAFETY, "emergency stop",
                    cn_gate_reset(&f.gate, f.gate.lease, true, 204 * MS, &f.reason, &err));
    CU_ASSERT_EQUAL(f.reason, CN_REFUSAL_ESTOPPED);
    CN_ASSERT_OK(cn_gate_reset(&f.gate, f.gate.lease, false, 205 * MS, &f.reason, &err));
    /* Sent before the stop, and kept by the network until after the reset. */
    refused(&f, &two, 206, CN_REFUSAL_STALE, "of before the reset");
    CU_ASSERT_TRUE(holds(&f, 207));
    teardown(&f);
}

static void test_gate_refusals_have_names_and_words(void)
{
    char text[200];
    uint64_t counts[CN_REFUSALS] = {0};
    cn_refusal_list(counts, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "");
    counts[CN_REFUSAL_STALE] = 3;
    counts[CN_REFUSAL_DUPLICATE] = 1;
    cn_refusal_list(counts, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "1 sent twice, 3 in answer to a frame too old");
    char little[8];
    cn_refusal_list(counts, little, sizeof little);
    CU_ASSERT_STRING_EQUAL(little, "1 sent ");
    CU_ASSERT_STRING_EQUAL(cn_refusal_name(CN_REFUSAL_STALE), "stale");
    CU_ASSERT_STRING_EQUAL(cn_refusal_name(CN_REFUSALS), "unknown");
}

CN_TEST_MAIN("bridge.gate", T(test_gate_command_ends_by_the_age_of_its_frame),
             T(test_gate_refuses_what_comes_too_late),
             T(test_gate_burst_after_an_outage_moves_nothing),
             T(test_gate_delayed_newer_command_ends_when_it_says),
             T(test_gate_command_that_answers_nothing_counts_from_its_arrival),
             T(test_gate_tells_repeated_from_reordered),
             T(test_gate_numbers_begin_anew_with_a_lease),
             T(test_gate_names_who_lost_the_lease_by_silence),
             T(test_gate_lease_that_is_given_back_is_not_lost),
             T(test_gate_measures_the_age_of_commands), T(test_gate_refuses_frames_that_never_were),
             T(test_gate_forgets_frames_of_long_ago),
             T(test_gate_refuses_answers_from_before_a_reset), T(test_gate_lockstep_knows_no_age),
             T(test_gate_names_what_is_wrong_with_a_command),
             T(test_gate_estop_holds_whatever_comes), T(test_gate_refusals_have_names_and_words))
