/* The serial protocol of Feetech's STS servos (STS3215), as pure functions on bytes.
 *
 *     FF FF ID LEN INSTRUCTION params SUM      LEN = params + 2
 *     FF FF ID LEN ERROR params SUM            SUM = ~(ID + ... + last param) & FF
 *
 * Registers are little-endian; signed ones hold sign and magnitude. */
#ifndef CN_BRIDGE_PLANTS_STS_H
#define CN_BRIDGE_PLANTS_STS_H

#include "bridge/plants/packet.h"

extern const cn_servo_protocol cn_sts_protocol;

/* Signed registers. @param sign_bit  15 for positions and velocities, 11 for the homing offset, 10
 * for loads @param value  its magnitude must be below 2^sign_bit */
int cn_sts_signed(unsigned raw, int sign_bit);
unsigned cn_sts_unsigned(int value, int sign_bit);

#endif
