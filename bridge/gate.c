/* The gate: every rule a command has to pass before the safety filter sees it. */
#include "bridge/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

#define MS(ns) ((double)(ns)*1e-6)

#define REFUSE_IF(condition, why, code, err, ...)                                                  \
    do {                                                                                           \
        if (condition) {                                                                           \
            *reason = (why);                                                                       \
            CN_FAIL(code, err, __VA_ARGS__);                                                       \
        }                                                                                          \
    } while (0)

static void copy_text(char *to, const char *from)
{
    snprintf(to, CN_WIRE_TEXT, "%.*s", CN_WIRE_TEXT - 1, from);
}

void cn_gate_begin(cn_gate *gate, const cn_safety *safety, int joints)
{
    *gate = (cn_gate){.safety = safety, .joints = joints};
}

void cn_gate_published(cn_gate *gate, uint64_t sequence, int64_t now_ns)
{
    gate->published[sequence % CN_GATE_FRAMES] = (cn_gate_frame){sequence, now_ns};
    gate->last_frame = sequence;
}

uint64_t cn_gate_token(void)
{
    uint64_t token = 0;
    /* Up to 256 bytes getrandom is never interrupted; it waits only in the first seconds of a boot.
     * Without it the clock still tells two sessions apart. */
    if (getrandom(&token, sizeof token, 0) != (ssize_t)sizeof token)
        token = (uint64_t)cn_clock_wall();
    return token ? token : 1;
}

/* What nobody has noticed yet: the holder of the lease has been silent for too long. */
static void notice_silence(cn_gate *gate, int64_t now_ns)
{
    if (gate->lease == 0 || gate->lapsed || now_ns < gate->lease_ends_ns)
        return;
    gate->lapsed = true;
    gate->leases_lapsed++;
    copy_text(gate->last_lapsed, gate->holder);
}

cn_status cn_gate_acquire(cn_gate *gate, uint64_t shown, const char *holder,
                          int64_t time_to_live_ns, int64_t now_ns, cn_refusal *reason,
                          cn_error *err)
{
    const bool again = gate->lease != 0 && shown == gate->lease;
    notice_silence(gate, now_ns);
    REFUSE_IF(gate->lease != 0 && !again && !gate->lapsed, CN_REFUSAL_FOREIGN_LEASE, CN_ERR_REFUSED,
              err, "'%s' holds the lease, for %.1f s more unless renewed: stop it, or wait",
              gate->holder, (double)(gate->lease_ends_ns - now_ns) * 1e-9);
    if (!again) {
        gate->lease = cn_gate_token();
        gate->sequence = 0;
        gate->applied = (cn_wire_command){0};
        gate->following = false;
    }
    copy_text(gate->holder, holder);
    gate->time_to_live_ns = time_to_live_ns < CN_GATE_LEASE_MIN_NS   ? CN_GATE_LEASE_MIN_NS
                            : time_to_live_ns > CN_GATE_LEASE_MAX_NS ? CN_GATE_LEASE_MAX_NS
                                                                     : time_to_live_ns;
    gate->lease_ends_ns = now_ns + gate->time_to_live_ns;
    gate->lapsed = false;
    return CN_OK;
}

cn_status cn_gate_show(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_refusal *reason,
                       cn_error *err)
{
    notice_silence(gate, now_ns);
    REFUSE_IF(shown == 0, CN_REFUSAL_NO_LEASE, CN_ERR_REFUSED, err, "no lease: acquire it first");
    REFUSE_IF(gate->lease == 0, CN_REFUSAL_NO_LEASE, CN_ERR_REFUSED, err,
              "the lease shown is not valid any more: acquire it again");
    REFUSE_IF(shown != gate->lease, CN_REFUSAL_FOREIGN_LEASE, CN_ERR_REFUSED, err,
              "a foreign lease: '%s' holds it", gate->holder);
    gate->lease_ends_ns = now_ns + gate->time_to_live_ns;
    gate->lapsed = false;
    return CN_OK;
}

cn_status cn_gate_release(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_refusal *reason,
                          cn_error *err)
{
    CN_TRY(cn_gate_show(gate, shown, now_ns, reason, err));
    gate->lease = 0;
    gate->following = false;
    return CN_OK;
}

static cn_status check_estop(const cn_gate *gate, cn_refusal *reason, cn_error *err)
{
    REFUSE_IF(gate->estopped, CN_REFUSAL_ESTOPPED, CN_ERR_SAFETY, err,
              "emergency stop (%s): reset the robot first", gate->estop_reason);
    return CN_OK;
}

static cn_status check_sequence(const cn_gate *gate, const cn_wire_command *command,
                                cn_refusal *reason, cn_error *err)
{
    const bool same = command->sequence == gate->sequence;
    REFUSE_IF(command->sequence <= gate->sequence,
              same ? CN_REFUSAL_DUPLICATE : CN_REFUSAL_REORDERED, CN_ERR_REFUSED, err,
              "command %" PRIu64 " is not newer than command %" PRIu64, command->sequence,
              gate->sequence);
    return CN_OK;
}

/* Whether what the command was computed from is still true.
 * @param born_ns  when the frame that it answers was published; now for one that answers none */
static cn_status check_frame(const cn_gate *gate, const cn_wire_command *command, bool timed,
                             int64_t now_ns, int64_t *born_ns, cn_refusal *reason, cn_error *err)
{
    const uint64_t answers = command->answers_frame;
    const cn_gate_frame *const frame = &gate->published[answers % CN_GATE_FRAMES];
    *born_ns = now_ns;
    if (answers == 0)
        return CN_OK;
    REFUSE_IF(answers > gate->last_frame, CN_REFUSAL_UNKNOWN_FRAME, CN_ERR_REFUSED, err,
              "a command in answer to frame %" PRIu64 ": the last one published is %" PRIu64,
              answers, gate->last_frame);
    if (!timed)
        return CN_OK;
    REFUSE_IF(answers < gate->first_frame, CN_REFUSAL_STALE, CN_ERR_REFUSED, err,
              "a stale command: it answers frame %" PRIu64
              ", of before the reset at frame %" PRIu64,
              answers, gate->first_frame);
    REFUSE_IF(gate->last_frame - answers >= CN_GATE_FRAMES, CN_REFUSAL_STALE, CN_ERR_REFUSED, err,
              "a stale command: it answers frame %" PRIu64 ", and the last one is %" PRIu64,
              answers, gate->last_frame);
    REFUSE_IF(frame->sequence != answers, CN_REFUSAL_UNKNOWN_FRAME, CN_ERR_REFUSED, err,
              "a command in answer to frame %" PRIu64 ", which was skipped", answers);
    *born_ns = frame->published_ns;
    REFUSE_IF(now_ns - *born_ns >= command->valid_for_ns, CN_REFUSAL_STALE, CN_ERR_REFUSED, err,
              "a stale command: it answers frame %" PRIu64 ", which is %.1f ms old, and is valid "
              "for %.1f ms",
              answers, MS(now_ns - *born_ns), MS(command->valid_for_ns));
    return CN_OK;
}

/* cn_safety_check has the words, in this order. */
static cn_refusal why_unsafe(const cn_gate *gate, const cn_arm_command *wanted)
{
    if (wanted->mode != CN_COMMAND_POSITION && wanted->mode != CN_COMMAND_VELOCITY)
        return CN_REFUSAL_WRONG_MODE;
    return wanted->joints != gate->joints ? CN_REFUSAL_WRONG_JOINTS : CN_REFUSAL_NOT_FINITE;
}

static cn_status check_command(cn_gate *gate, uint64_t shown, const cn_wire_command *command,
                               bool timed, int64_t now_ns, int64_t *born_ns, cn_refusal *reason,
                               cn_error *err)
{
    const int64_t valid = command->valid_for_ns;
    CN_TRY(cn_gate_show(gate, shown, now_ns, reason, err));
    CN_TRY(check_estop(gate, reason, err));
    CN_TRY(check_sequence(gate, command, reason, err));
    REFUSE_IF(timed && !(valid > 0 && valid <= CN_WIRE_VALID_FOR_MAX_NS), CN_REFUSAL_BAD_VALIDITY,
              CN_ERR_REFUSED, err, "a command valid for %g s: it must be above 0 and at most %g s",
              (double)valid * 1e-9, (double)CN_WIRE_VALID_FOR_MAX_NS * 1e-9);
    CN_TRY(check_frame(gate, command, timed, now_ns, born_ns, reason, err));
    *reason = why_unsafe(gate, &command->command);
    CN_TRY(cn_safety_check(gate->safety, &command->command, err));
    *reason = CN_REFUSAL_NONE;
    return CN_OK;
}

cn_status cn_gate_command(cn_gate *gate, uint64_t shown, const cn_wire_command *command, bool timed,
                          int64_t now_ns, cn_refusal *reason, cn_error *err)
{
    int64_t born_ns = now_ns;
    cn_error why = {0};
    const cn_status status =
        check_command(gate, shown, command, timed, now_ns, &born_ns, reason, &why);
    if (status != CN_OK) {
        cn_gate_refuse(gate, *reason, why.message);
        if (err)
            *err = why;
        return status;
    }
    gate->sequence = command->sequence;
    gate->applied = *command;
    gate->following = true;
    gate->taken_ns = now_ns;
    gate->valid_until_ns = timed ? born_ns + command->valid_for_ns : INT64_MAX;
    gate->commands_applied++;
    if (timed && command->answers_frame > 0)
        cn_histogram_record(&gate->command_age, now_ns - born_ns);
    return CN_OK;
}

void cn_gate_refuse(cn_gate *gate, cn_refusal reason, const char *why)
{
    gate->commands_refused++;
    gate->refused[reason]++;
    copy_text(gate->last_refusal, why);
}

void cn_gate_estop(cn_gate *gate, const char *reason)
{
    gate->following = false;
    if (gate->estopped)
        return;
    gate->estopped = true;
    copy_text(gate->estop_reason, reason[0] ? reason : "no reason given");
}

cn_status cn_gate_reset(cn_gate *gate, uint64_t shown, bool goal_only, int64_t now_ns,
                        cn_refusal *reason, cn_error *err)
{
    CN_TRY(cn_gate_show(gate, shown, now_ns, reason, err));
    if (goal_only)
        return check_estop(gate, reason, err);
    gate->estopped = false;
    gate->following = false;
    gate->first_frame = gate->last_frame + 1;
    return CN_OK;
}

const cn_arm_command *cn_gate_wanted(cn_gate *gate, int64_t now_ns)
{
    notice_silence(gate, now_ns);
    if (gate->following && now_ns >= gate->valid_until_ns) {
        gate->following = false;
        gate->watchdog_stops++;
    }
    return gate->following ? &gate->applied.command : NULL;
}

cn_wire_mode cn_gate_mode(const cn_gate *gate, int64_t now_ns)
{
    if (gate->estopped)
        return CN_WIRE_ESTOPPED;
    if (gate->following)
        return CN_WIRE_ACTIVE;
    const bool leased = gate->lease != 0 && now_ns < gate->lease_ends_ns;
    return leased ? CN_WIRE_HOLDING : CN_WIRE_IDLE;
}
