/* The limits file: what a robot may do of what its arm could. Joint limits become narrower, and
 * points of the arm get boxes to keep out of. docs/hardware.md has the schema.
 *
 *     joints:
 *       shoulder: {position: [-1, 1], velocity: 0.5, acceleration: 5, jerk: 200}
 *     speed: 0.1     # of the arm's own, for every limit of a joint that is not given
 *     keep_out:
 *       - {point: tool, low: [-1, -1, -1], high: [1, 1, 0], distance: 0.02} # m, world frame */
#ifndef CN_BRIDGE_LIMITS_H
#define CN_BRIDGE_LIMITS_H

#include "base/error.h"
#include "policy/keep_out.h"

typedef struct cn_limits {
    cn_keep_out keep_out;   /* its `place` is left to whoever knows the kinematics */
    int line[CN_MAX_BOXES]; /* of each box's point in the file, for messages */
} cn_limits;

/* Narrows the joints, reads the boxes. Acceleration and jerk may be any; position and velocity must
 * lie within the arm's.
 * @param joint  [joints], the arm's own limits; unchanged on failure
 * @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT with file and line */
cn_status cn_limits_load(const char *path, cn_arm_joint *joint, int joints, cn_limits *out,
                         cn_error *err);

#endif
