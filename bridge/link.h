/* The controller's end of the wire: subscribes to a robot's state, sends it requests. Every wait
 * has a time-out; a robot that is not there is one clear error, not a hang. */
#ifndef CN_BRIDGE_LINK_H
#define CN_BRIDGE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/clocks.h"
#include "bridge/keys.h"
#include "bridge/plant.h"
#include "bridge/wire.h"

typedef struct cn_link cn_link;

/* One frame as received, with the state of the server beside the sensors. */
typedef struct cn_frame {
    uint64_t sequence;
    uint64_t resets;
    int64_t received_ns; /* CLOCK_MONOTONIC of this machine */
    cn_arm_state state;
    uint64_t commands_refused;
    uint64_t refused[CN_REFUSALS]; /* commands_refused by reason */
    char last_refusal[128];
    cn_durations period;  /* of the robot's servo; zeros: not measured */
    uint64_t applied;     /* sequence of the last command accepted under its lease; 0: none */
    cn_exchange exchange; /* that command's round trip with this frame, if it was ours */
    bool holding;       /* the server follows no command of ours: none is valid, it has refused one
                           since the frame before, or it was e-stopped */
    bool estopped;      /* by an emergency stop, until a reset */
    const void *packed; /* the SensorFrame's bytes, valid until the next frame: for the log */
    uint32_t packed_size;
} cn_frame;

/* By which robot and controller know each other. */
typedef struct cn_link_keys {
    cn_key own;   /* with its secret */
    cn_key robot; /* public: whoever answers has its secret, or nothing is told to him */
} cn_link_keys;

/* Connects, waits up to timeout_ms for RobotInfo, checks the protocol version.
 * @param keys  NULL: in the clear, with a robot that takes strangers
 * @return CN_ERR_ARGUMENT (not an endpoint), CN_ERR_TIMEOUT (nobody there), CN_ERR_REFUSED (it does
 * not know our key, or has another; it wants a key, or has none), CN_ERR_MISMATCH (version),
 * CN_ERR_FORMAT (what comes from there is not ours).
 *
 * Whatever asks the robot for something later returns CN_ERR_REFUSED with the server's words,
 * CN_ERR_SAFETY while an emergency stop is latched, CN_ERR_TIMEOUT when no answer comes or
 * the connection breaks (a robot that dies is noticed at once, however long it may take to answer),
 * CN_ERR_MISMATCH when the server was restarted since. */
cn_status cn_link_connect(const char *endpoint, const cn_link_keys *keys, int timeout_ms,
                          cn_link **out, cn_error *err);
/* Releases the lease, closes the sockets. */
void cn_link_destroy(cn_link **link);

const cn_plant_info *cn_link_info(const cn_link *link);
bool cn_link_lockstep(const cn_link *link);

/* Takes the lease. @return CN_ERR_REFUSED naming who holds it, CN_ERR_TIMEOUT. */
cn_status cn_link_acquire(cn_link *link, cn_error *err);
cn_status cn_link_release(cn_link *link, cn_error *err);

/* Resets the robot and waits for the first frame after it. */
cn_status cn_link_reset(cn_link *link, uint64_t seed, bool goal_only, cn_frame *out, cn_error *err);

/* Real time: sends a command and returns at once (never blocks; CN_ERR_IO when the queue is full).
 * Its sequence number goes to *sequence. The packed Command is kept for cn_link_last_command. */
cn_status cn_link_command(cn_link *link, const cn_arm_command *command, uint64_t answers_frame,
                          int64_t valid_for_ns, uint64_t *sequence, cn_error *err);

/* How long a command in answer to a frame may be followed, from the frame's publication: 2.5
 * control periods, so that one may be lost, and as long as we have thought since the frame came, up
 * to as much again. What took longer answers what is no longer true: the robot will refuse it as
 * stale.
 * @param received_ns  cn_frame.received_ns of the frame */
int64_t cn_link_valid_for(const cn_link *link, int64_t received_ns);

/* Real time: waits until deadline_ns (CLOCK_MONOTONIC) for a frame newer than the last one
 * returned, and returns the latest there is. @return CN_ERR_TIMEOUT when none came by then or
 * before a signal; CN_ERR_MISMATCH when the server was restarted; CN_ERR_FORMAT. */
cn_status cn_link_frame(cn_link *link, int64_t deadline_ns, cn_frame *out, cn_error *err);

/* Lockstep: one command, one control period, one frame. */
cn_status cn_link_step(cn_link *link, const cn_arm_command *command, cn_frame *out, cn_error *err);

cn_status cn_link_estop(cn_link *link, const char *reason, cn_error *err);

/* The bytes of the last Command sent (for the log), valid until the next one. */
const void *cn_link_last_command(const cn_link *link, uint32_t *size);

#endif
