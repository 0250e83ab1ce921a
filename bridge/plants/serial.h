/* A serial port as a servo bus needs it: raw bytes, 8N1, no flow control, and no call that waits
 * longer than it is told. */
#ifndef CN_BRIDGE_PLANTS_SERIAL_H
#define CN_BRIDGE_PLANTS_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CN_SERIAL_BAUD 1000000

typedef struct cn_serial cn_serial;

/* Opens the port at CN_SERIAL_BAUD, and for nobody else who asks for a lock (flock).
 * @return CN_ERR_NOT_FOUND, CN_ERR_IO (no permission, in use, no serial port, a rate that it cannot
 * have), CN_ERR_MEMORY */
cn_status cn_serial_open(const char *path, cn_serial **out, cn_error *err);
void cn_serial_close(cn_serial **serial);

/* Forgets what has come in and was not read. */
void cn_serial_drop_input(cn_serial *serial);

/* Hands all bytes to the port. @param until_ns  of cn_clock_now
 * @return CN_ERR_TIMEOUT (the port took none or a part), CN_ERR_IO (it is gone) */
cn_status cn_serial_write(cn_serial *serial, const uint8_t *bytes, size_t size, int64_t until_ns,
                          cn_error *err);

/* Reads what is there, and waits for a first byte if nothing is.
 * @param got  bytes read; 0: none came until then
 * @return CN_ERR_IO: the port is gone */
cn_status cn_serial_read(cn_serial *serial, uint8_t *out, size_t capacity, int64_t until_ns,
                         size_t *got, cn_error *err);

#endif
