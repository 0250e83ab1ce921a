/* Why a request is refused: one table for the enum, the name on the wire and in --json, and the
 * words for people. */
#ifndef CN_BRIDGE_REFUSAL_H
#define CN_BRIDGE_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

/* X(ID, name, words): CN_REFUSAL_ID here is REFUSAL_ID in proto/robot.proto, with the same number;
 * words complete "3 commands were ...". */
#define CN_REFUSAL_TABLE(X)                                                                        \
    X(NONE, "none", "not refused")                                                                 \
    X(WRONG_VERSION, "wrong_version", "of another protocol version")                               \
    X(MALFORMED, "malformed", "malformed")                                                         \
    X(WRONG_CLOCK, "wrong_clock", "for another clock")                                             \
    X(NO_LEASE, "no_lease", "without a lease")                                                     \
    X(FOREIGN_LEASE, "foreign_lease", "without the lease that another holds")                      \
    X(ESTOPPED, "estopped", "after an emergency stop")                                             \
    X(DUPLICATE, "duplicate", "sent twice")                                                        \
    X(REORDERED, "reordered", "older than one before")                                             \
    X(BAD_VALIDITY, "bad_validity", "valid for no time, or too long")                              \
    X(UNKNOWN_FRAME, "unknown_frame", "in answer to a frame that never was")                       \
    X(STALE, "stale", "in answer to a frame too old")                                              \
    X(WRONG_MODE, "wrong_mode", "in a mode that is not taken")                                     \
    X(WRONG_JOINTS, "wrong_joints", "for another number of joints")                                \
    X(NOT_FINITE, "not_finite", "not finite")
typedef enum cn_refusal {
#define CN_REFUSAL_ENUM(id, name, words) CN_REFUSAL_##id,
    CN_REFUSAL_TABLE(CN_REFUSAL_ENUM)
#undef CN_REFUSAL_ENUM
        CN_REFUSALS
} cn_refusal;

/* "stale"; never NULL. */
const char *cn_refusal_name(cn_refusal refusal);

/* Writes the counts above zero, "3 in answer to a frame too old, 1 sent twice"; "" when there are
 * none, and what does not fit is cut off.
 * @param counts  [CN_REFUSALS] */
void cn_refusal_list(const uint64_t *counts, char *out, size_t size);

#endif
