/* Who may move the arm, and with what: the lease, the sequence numbers, the watchdog and the
 * emergency stop, without sockets or clocks of its own. Every command that does not pass is counted
 * and named. Times are CLOCK_MONOTONIC, ns. */
#ifndef CN_BRIDGE_GATE_H
#define CN_BRIDGE_GATE_H

#include "policy/safety.h"
#include "bridge/wire.h"

#define CN_GATE_VALID_FOR_MAX_NS (INT64_C(5) * 1000000000) /* a longer silence is not control */
#define CN_GATE_LEASE_MIN_NS     (INT64_C(100) * 1000000)  /* a wish outside is brought inside */
#define CN_GATE_LEASE_MAX_NS     (INT64_C(60) * 1000000000)

typedef struct cn_gate {
    const cn_safety *safety; /* borrowed: which commands may be asked for */
    uint64_t lease;          /* 0: nobody holds it */
    char holder[CN_WIRE_TEXT];
    int64_t time_to_live_ns, lease_ends_ns;
    uint64_t sequence; /* of the last command accepted under this lease */

    cn_wire_command applied; /* the last command accepted; sequence 0: none yet */
    bool following;          /* applied has not run out, been released, reset or stopped */
    int64_t valid_until_ns;

    bool estopped;
    char estop_reason[CN_WIRE_TEXT];

    uint64_t commands_applied, commands_refused, watchdog_stops;
    char last_refusal[CN_WIRE_TEXT];
} cn_gate;

void cn_gate_begin(cn_gate *gate, const cn_safety *safety);

/* 64 random bits, never 0: lease tokens and sessions. */
uint64_t cn_gate_token(void);

/* Gives the lease to `holder` when nobody has it, when it has run out, or again to whoever shows
 * it.
 * @param shown  the token in the request; 0: none
 * @return CN_ERR_REFUSED naming the present holder */
cn_status cn_gate_acquire(cn_gate *gate, uint64_t shown, const char *holder,
                          int64_t time_to_live_ns, int64_t now_ns, cn_error *err);

/* Whether the token is that of the lease; if so the lease lives on, even one that had run out but
 * that nobody took. @return CN_ERR_REFUSED */
cn_status cn_gate_show(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_error *err);

/* The holder goes: what was commanded is over, and the lease is free. @return CN_ERR_REFUSED */
cn_status cn_gate_release(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_error *err);

/* Lets a command through or refuses it, counting either.
 * @param timed  the command runs out after valid_for_ns; false: lockstep, where the clock waits
 * @return CN_ERR_REFUSED: lease, sequence, validity, or what cn_safety_check refuses;
 * CN_ERR_SAFETY: stopped by an emergency stop */
cn_status cn_gate_command(cn_gate *gate, uint64_t shown, const cn_wire_command *command, bool timed,
                          int64_t now_ns, cn_error *err);

/* Counts and names a refusal that was found elsewhere, e.g. a message that is none. */
void cn_gate_refuse(cn_gate *gate, const char *why);

/* Stops the arm until a reset; anyone may. The first reason is kept. */
void cn_gate_estop(cn_gate *gate, const char *reason);

/* Allows a reset; a whole one ends the emergency stop and what was commanded.
 * @return CN_ERR_REFUSED: lease; CN_ERR_SAFETY: goal_only under an emergency stop */
cn_status cn_gate_reset(cn_gate *gate, uint64_t shown, bool goal_only, int64_t now_ns,
                        cn_error *err);

/* What the arm should follow now; NULL: stop and hold. Notices and counts a command that runs out.
 */
const cn_arm_command *cn_gate_wanted(cn_gate *gate, int64_t now_ns);

cn_wire_mode cn_gate_mode(const cn_gate *gate, int64_t now_ns);

#endif
