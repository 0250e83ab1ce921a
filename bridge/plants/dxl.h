/* Dynamixel Protocol 2.0, as pure functions on bytes.
 *
 *     FF FF FD 00 ID LEN_L LEN_H INSTRUCTION params CRC_L CRC_H       LEN = params + 3
 *     FF FF FD 00 ID LEN_L LEN_H 55 ERROR params CRC_L CRC_H          LEN = params + 4
 *
 * An FF FF FD from the instruction on is followed by a stuffed FD, which LEN and CRC count.
 * Registers are little-endian two's complement. Source: emanual.robotis.com/docs/en/dxl/protocol2.
 */
#ifndef CN_BRIDGE_PLANTS_DXL_H
#define CN_BRIDGE_PLANTS_DXL_H

#include "bridge/plants/packet.h"

extern const cn_servo_protocol cn_dxl_protocol;

/* CRC-16 of polynomial 8005h, initially 0, unreflected. */
uint16_t cn_dxl_crc(const uint8_t *bytes, size_t size);

#endif
