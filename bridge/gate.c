/* The gate: every rule a command has to pass before the safety filter sees it. */
#include "bridge/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

static void copy_text(char *to, const char *from)
{
    snprintf(to, CN_WIRE_TEXT, "%.*s", CN_WIRE_TEXT - 1, from);
}

void cn_gate_begin(cn_gate *gate, const cn_safety *safety)
{
    *gate = (cn_gate){.safety = safety};
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

cn_status cn_gate_acquire(cn_gate *gate, uint64_t shown, const char *holder,
                          int64_t time_to_live_ns, int64_t now_ns, cn_error *err)
{
    const bool again = gate->lease != 0 && shown == gate->lease;
    CN_FAIL_IF(gate->lease != 0 && !again && now_ns < gate->lease_ends_ns, CN_ERR_REFUSED, err,
               "'%s' holds the lease, for %.1f s more unless renewed: stop it, or wait",
               gate->holder, (double)(gate->lease_ends_ns - now_ns) * 1e-9);
    if (!again) {
        gate->lease = cn_gate_token();
        gate->sequence = 0;
        gate->following = false;
    }
    copy_text(gate->holder, holder);
    gate->time_to_live_ns = time_to_live_ns < CN_GATE_LEASE_MIN_NS   ? CN_GATE_LEASE_MIN_NS
                            : time_to_live_ns > CN_GATE_LEASE_MAX_NS ? CN_GATE_LEASE_MAX_NS
                                                                     : time_to_live_ns;
    gate->lease_ends_ns = now_ns + gate->time_to_live_ns;
    return CN_OK;
}

cn_status cn_gate_show(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_error *err)
{
    CN_FAIL_IF(shown == 0, CN_ERR_REFUSED, err, "no lease: acquire it first");
    CN_FAIL_IF(gate->lease == 0, CN_ERR_REFUSED, err,
               "the lease shown is not valid any more: acquire it again");
    CN_FAIL_IF(shown != gate->lease, CN_ERR_REFUSED, err, "a foreign lease: '%s' holds it",
               gate->holder);
    gate->lease_ends_ns = now_ns + gate->time_to_live_ns;
    return CN_OK;
}

cn_status cn_gate_release(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_error *err)
{
    CN_TRY(cn_gate_show(gate, shown, now_ns, err));
    gate->lease = 0;
    gate->following = false;
    return CN_OK;
}

static cn_status fail_estopped(const cn_gate *gate, cn_error *err)
{
    CN_FAIL(CN_ERR_SAFETY, err, "emergency stop (%s): reset the robot first", gate->estop_reason);
}

static cn_status check_command(cn_gate *gate, uint64_t shown, const cn_wire_command *command,
                               bool timed, int64_t now_ns, cn_error *err)
{
    CN_TRY(cn_gate_show(gate, shown, now_ns, err));
    if (gate->estopped)
        return fail_estopped(gate, err);
    CN_FAIL_IF(command->sequence <= gate->sequence, CN_ERR_REFUSED, err,
               "command %" PRIu64 " is not newer than command %" PRIu64, command->sequence,
               gate->sequence);
    CN_FAIL_IF(
        timed && !(command->valid_for_ns > 0 && command->valid_for_ns <= CN_GATE_VALID_FOR_MAX_NS),
        CN_ERR_REFUSED, err, "a command valid for %g s: it must be above 0 and at most %g s",
        (double)command->valid_for_ns * 1e-9, (double)CN_GATE_VALID_FOR_MAX_NS * 1e-9);
    return cn_safety_check(gate->safety, &command->command, err);
}

cn_status cn_gate_command(cn_gate *gate, uint64_t shown, const cn_wire_command *command, bool timed,
                          int64_t now_ns, cn_error *err)
{
    cn_error why = {0};
    const cn_status status = check_command(gate, shown, command, timed, now_ns, &why);
    if (status != CN_OK) {
        cn_gate_refuse(gate, why.message);
        if (err)
            *err = why;
        return status;
    }
    gate->sequence = command->sequence;
    gate->applied = *command;
    gate->following = true;
    gate->valid_until_ns = timed ? now_ns + command->valid_for_ns : INT64_MAX;
    gate->commands_applied++;
    return CN_OK;
}

void cn_gate_refuse(cn_gate *gate, const char *why)
{
    gate->commands_refused++;
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
                        cn_error *err)
{
    CN_TRY(cn_gate_show(gate, shown, now_ns, err));
    if (goal_only)
        return gate->estopped ? fail_estopped(gate, err) : CN_OK;
    gate->estopped = false;
    gate->following = false;
    return CN_OK;
}

const cn_arm_command *cn_gate_wanted(cn_gate *gate, int64_t now_ns)
{
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
