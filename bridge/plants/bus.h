/* A bus of servos: one request at a time, and the answers to it, in bounded time. Whoever fails is
 * named by its id and by how. */
#ifndef CN_BRIDGE_PLANTS_BUS_H
#define CN_BRIDGE_PLANTS_BUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "bridge/plants/packet.h"

typedef struct cn_bus cn_bus;

/* Some registers in a row. */
typedef struct cn_registers {
    unsigned address;
    size_t bytes;
} cn_registers;

/* @param protocol  borrowed @return as cn_serial_open */
cn_status cn_bus_open(const char *path, const cn_servo_protocol *protocol, cn_bus **out,
                      cn_error *err);
void cn_bus_close(cn_bus **bus);

/* Reads or writes registers of one servo, trying a few times: for what happens before and after the
 * motion. Values are little-endian, [registers.bytes].
 * @return CN_ERR_TIMEOUT (no answer, or half of one), CN_ERR_CHECKSUM, CN_ERR_REFUSED (the servo
 * reports an error), CN_ERR_IO (the port is gone) */
cn_status cn_bus_read(cn_bus *bus, uint8_t id, cn_registers registers, uint8_t *values,
                      cn_error *err);
cn_status cn_bus_write(cn_bus *bus, uint8_t id, cn_registers registers, const uint8_t *values,
                       cn_error *err);

/* The same registers of several servos in one packet, which nobody answers.
 * @param id      [servos]
 * @param values  [servos][registers.bytes]
 * @return CN_ERR_TIMEOUT, CN_ERR_IO */
cn_status cn_bus_sync_write(cn_bus *bus, cn_registers registers, const uint8_t *id, int servos,
                            const uint8_t *values, int64_t until_ns, cn_error *err);

/* Reads the same registers of several servos, once. What is still on its way from before is
 * dropped.
 * @param values  [servos][registers.bytes]; of those that answered in time
 * @param error   [servos]: of their status packets
 * @param failed  the first servo, 0 to servos - 1, without a good answer; servos: there is none
 * @return CN_ERR_TIMEOUT, CN_ERR_CHECKSUM, CN_ERR_IO as above */
cn_status cn_bus_sync_read(cn_bus *bus, cn_registers registers, const uint8_t *id, int servos,
                           uint8_t *values, uint8_t *error, int64_t until_ns, int *failed,
                           cn_error *err);

#endif
