/* Who may move the arm, and with what: the lease, the sequence numbers, the age of what a command
 * answers, the watchdog and the emergency stop, without sockets or clocks of its own. Every command
 * that does not pass is counted and named. Times are CLOCK_MONOTONIC, ns.
 *
 * A command is as old as the frame that it answers, whatever kept it: the network, a queue, or its
 * controller. It may be followed until valid_for_ns after that frame was published, and not at all
 * when it comes later: so nothing that was delayed moves the arm late. One that says of no frame
 * that it answers it is as old as its arrival. */
#ifndef CN_BRIDGE_GATE_H
#define CN_BRIDGE_GATE_H

#include "base/histogram.h"
#include "bridge/wire.h"
#include "policy/safety.h"

#define CN_GATE_LEASE_MIN_NS (INT64_C(100) * 1000000) /* a wish outside is brought inside */
#define CN_GATE_LEASE_MAX_NS (INT64_C(60) * 1000000000)

enum { CN_GATE_FRAMES = 1024 /* whose time is remembered; what answers an older one is stale */ };

typedef struct cn_gate_frame {
    uint64_t sequence; /* 0: none */
    int64_t published_ns;
} cn_gate_frame;

typedef struct cn_gate {
    const cn_safety *safety; /* borrowed: which commands may be asked for */
    int joints;              /* of the arm */
    uint64_t lease;          /* 0: nobody holds it */
    char holder[CN_WIRE_TEXT];
    int64_t time_to_live_ns, lease_ends_ns;
    bool lapsed;                    /* its holder was silent for too long: another may have it */
    uint64_t leases_lapsed;         /* how often one was, and */
    char last_lapsed[CN_WIRE_TEXT]; /* who */
    uint64_t sequence;              /* of the last command accepted under this lease */

    cn_gate_frame published[CN_GATE_FRAMES]; /* frame n is at n % CN_GATE_FRAMES */
    uint64_t last_frame;                     /* published */
    uint64_t first_frame; /* after the last whole reset: what was before is not true any more */

    cn_wire_command applied; /* the last command accepted under this lease; sequence 0: none yet */
    bool following;          /* applied has not run out, been released, reset or stopped */
    int64_t taken_ns;        /* when applied was */
    int64_t valid_until_ns;
    cn_histogram command_age; /* ns, of the commands accepted that answer a frame; timed ones */

    bool estopped;
    char estop_reason[CN_WIRE_TEXT];

    uint64_t commands_applied, commands_refused, watchdog_stops;
    uint64_t refused[CN_REFUSALS]; /* commands_refused by reason */
    char last_refusal[CN_WIRE_TEXT];
} cn_gate;

void cn_gate_begin(cn_gate *gate, const cn_safety *safety, int joints);

/* 64 random bits, never 0: lease tokens and sessions. */
uint64_t cn_gate_token(void);

/* A frame was published: commands may answer it from now on. @param sequence  grows */
void cn_gate_published(cn_gate *gate, uint64_t sequence, int64_t now_ns);

/* Whatever fails below says in *reason why. */

/* Gives the lease to `holder` when nobody has it, when it has run out, or again to whoever shows
 * it.
 * @param shown  the token in the request; 0: none
 * @return CN_ERR_REFUSED naming the present holder */
cn_status cn_gate_acquire(cn_gate *gate, uint64_t shown, const char *holder,
                          int64_t time_to_live_ns, int64_t now_ns, cn_refusal *reason,
                          cn_error *err);

/* Whether the token is that of the lease; if so the lease lives on, even one that had run out but
 * that nobody took. @return CN_ERR_REFUSED */
cn_status cn_gate_show(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_refusal *reason,
                       cn_error *err);

/* The holder goes: what was commanded is over, and the lease is free. @return CN_ERR_REFUSED */
cn_status cn_gate_release(cn_gate *gate, uint64_t shown, int64_t now_ns, cn_refusal *reason,
                          cn_error *err);

/* Lets a command through or refuses it, counting either.
 * @param timed  the command runs out after valid_for_ns; false: lockstep, where the clock waits
 *               and no frame grows old
 * @return CN_ERR_REFUSED: lease, sequence, validity, the frame it answers, or what cn_safety_check
 * refuses; CN_ERR_SAFETY: stopped by an emergency stop */
cn_status cn_gate_command(cn_gate *gate, uint64_t shown, const cn_wire_command *command, bool timed,
                          int64_t now_ns, cn_refusal *reason, cn_error *err);

/* Counts and names a refusal that was found elsewhere, e.g. a message that is none. */
void cn_gate_refuse(cn_gate *gate, cn_refusal reason, const char *why);

/* Stops the arm until a reset; anyone may. The first reason is kept. */
void cn_gate_estop(cn_gate *gate, const char *reason);

/* Allows a reset; a whole one ends the emergency stop and what was commanded.
 * @return CN_ERR_REFUSED: lease; CN_ERR_SAFETY: goal_only under an emergency stop */
cn_status cn_gate_reset(cn_gate *gate, uint64_t shown, bool goal_only, int64_t now_ns,
                        cn_refusal *reason, cn_error *err);

/* What the arm should follow now; NULL: stop and hold. Notices and counts a command that runs out,
 * and a lease. */
const cn_arm_command *cn_gate_wanted(cn_gate *gate, int64_t now_ns);

cn_wire_mode cn_gate_mode(const cn_gate *gate, int64_t now_ns);

#endif
