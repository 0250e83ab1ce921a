/* Transactions on a servo bus. An answer counts if it comes from a servo that was asked and has the
 * size asked for: anything else on the wire is the late answer to an earlier request. */
#include "bridge/plants/bus.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bridge/plants/serial.h"
#include "policy/arm.h"

#define PATIENCE_NS (CN_NS_PER_S / 10) /* for one servo that is not in motion */

enum { ATTEMPTS = 4 };

struct cn_bus {
    cn_serial *serial;
    const cn_servo_protocol *protocol;
    uint8_t in[CN_PACKET_MAX]; /* bytes that are not yet a packet */
    size_t held;
    cn_packet packet;  /* the last answer */
    bool damaged[256]; /* since the last request: a packet of this id */
};

cn_status cn_bus_open(const char *path, const cn_servo_protocol *protocol, cn_bus **out,
                      cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    cn_bus *bus = calloc(1, sizeof *bus);
    CN_FAIL_IF(!bus, CN_ERR_MEMORY, err, "no memory for a servo bus");
    bus->protocol = protocol;
    CN_TRY_CLEANUP(cn_serial_open(path, &bus->serial, err));
    *out = bus;
    bus = NULL;
cleanup:
    cn_bus_close(&bus);
    return status;
}

void cn_bus_close(cn_bus **bus)
{
    if (!bus || !*bus)
        return;
    cn_serial_close(&(*bus)->serial);
    free(*bus);
    *bus = NULL;
}

/* ---- Requests ---- */

/* Appends a register address or a length. */
static size_t put_number(const cn_bus *bus, uint8_t *params, size_t at, size_t number)
{
    for (size_t i = 0; i < bus->protocol->address_bytes; i++)
        params[at++] = (uint8_t)(number >> 8 * i);
    return at;
}

static cn_status send(cn_bus *bus, uint8_t id, uint8_t instruction, const uint8_t *params,
                      size_t size, int64_t until_ns, cn_error *err)
{
    uint8_t packet[CN_PACKET_MAX];
    const size_t bytes = bus->protocol->encode(id, instruction, params, size, packet);
    bus->held = 0;
    memset(bus->damaged, 0, sizeof bus->damaged);
    cn_serial_drop_input(bus->serial);
    return cn_serial_write(bus->serial, packet, bytes, until_ns, err);
}

/* Waits for the next status packet. @param whole  false: there was none in time */
static cn_status receive(cn_bus *bus, int64_t until_ns, bool *whole, cn_error *err)
{
    *whole = false;
    for (;;) {
        size_t used = 0, got = 0;
        const cn_packet_state state =
            bus->protocol->decode(bus->in, bus->held, &bus->packet, &used);
        bus->held -= used;
        memmove(bus->in, bus->in + used, bus->held);
        if (state == CN_PACKET_WHOLE) {
            *whole = true;
            return CN_OK;
        }
        if (state == CN_PACKET_DAMAGED) {
            bus->damaged[bus->packet.id] = true;
            continue;
        }
        CN_TRY(cn_serial_read(bus->serial, bus->in + bus->held, sizeof bus->in - bus->held,
                              until_ns, &got, err));
        if (got == 0)
            return CN_OK;
        bus->held += got;
    }
}

/* Why a servo has not answered, as far as what came in its place tells. */
static cn_status blame(const cn_bus *bus, uint8_t id, cn_error *err)
{
    CN_FAIL_IF(bus->damaged[id], CN_ERR_CHECKSUM, err,
               "servo %d sends answers with a wrong checksum: check cables and baud rate", id);
    CN_FAIL_IF(bus->held > 0, CN_ERR_TIMEOUT, err,
               "servo %d sends half an answer (%zu bytes): check its cable", id, bus->held);
    CN_FAIL(CN_ERR_TIMEOUT, err,
            "servo %d does not answer: check its id, its cable, the power supply and the baud rate",
            id);
}

/* ---- One servo ---- */

/* Sends a request and waits for the answer of `size` bytes in bus->packet. */
static cn_status ask(cn_bus *bus, uint8_t id, uint8_t instruction, const uint8_t *params,
                     size_t count, size_t size, cn_error *err)
{
    const int64_t until_ns = cn_clock_now() + PATIENCE_NS;
    bool whole = true;
    CN_TRY(send(bus, id, instruction, params, count, until_ns, err));
    while (whole) {
        CN_TRY(receive(bus, until_ns, &whole, err));
        const uint8_t error = bus->packet.error;
        if (!whole || bus->packet.id != id)
            continue;
        if (bus->packet.size == size)
            return CN_OK;
        CN_FAIL_IF(error && bus->packet.size == 0, CN_ERR_REFUSED, err, "servo %d reports %s", id,
                   bus->protocol->error_words(error));
    }
    return blame(bus, id, err);
}

static cn_status ask_again(cn_bus *bus, uint8_t id, uint8_t instruction, const uint8_t *params,
                           size_t count, size_t size, cn_error *err)
{
    cn_status status = CN_ERR_TIMEOUT;
    for (int i = 0; i < ATTEMPTS && (status == CN_ERR_TIMEOUT || status == CN_ERR_CHECKSUM); i++)
        status = ask(bus, id, instruction, params, count, size, err);
    CN_TRY(status);
    CN_FAIL_IF(bus->packet.error, CN_ERR_REFUSED, err, "servo %d reports %s", id,
               bus->protocol->error_words(bus->packet.error));
    return CN_OK;
}

cn_status cn_bus_read(cn_bus *bus, uint8_t id, cn_registers registers, uint8_t *values,
                      cn_error *err)
{
    uint8_t params[4];
    const size_t count =
        put_number(bus, params, put_number(bus, params, 0, registers.address), registers.bytes);
    CN_TRY(ask_again(bus, id, CN_SERVO_READ, params, count, registers.bytes, err));
    memcpy(values, bus->packet.params, registers.bytes);
    return CN_OK;
}

cn_status cn_bus_write(cn_bus *bus, uint8_t id, cn_registers registers, const uint8_t *values,
                       cn_error *err)
{
    uint8_t params[CN_PACKET_PARAMS];
    const size_t count = put_number(bus, params, 0, registers.address);
    assert(count + registers.bytes <= sizeof params);
    memcpy(params + count, values, registers.bytes);
    return ask_again(bus, id, CN_SERVO_WRITE, params, count + registers.bytes, 0, err);
}

/* ---- All servos ---- */

cn_status cn_bus_sync_write(cn_bus *bus, cn_registers registers, const uint8_t *id, int servos,
                            const uint8_t *values, int64_t until_ns, cn_error *err)
{
    uint8_t params[CN_PACKET_PARAMS];
    size_t count =
        put_number(bus, params, put_number(bus, params, 0, registers.address), registers.bytes);
    assert(count + (size_t)servos * (1 + registers.bytes) <= sizeof params);
    for (int i = 0; i < servos; i++) {
        params[count++] = id[i];
        memcpy(params + count, values + (size_t)i * registers.bytes, registers.bytes);
        count += registers.bytes;
    }
    return send(bus, CN_SERVO_ALL, CN_SERVO_SYNC_WRITE, params, count, until_ns, err);
}

static int position_of(uint8_t id, const uint8_t *ids, int servos)
{
    int i = 0;
    while (i < servos && ids[i] != id)
        i++;
    return i;
}

cn_status cn_bus_sync_read(cn_bus *bus, cn_registers registers, const uint8_t *id, int servos,
                           uint8_t *values, uint8_t *error, int64_t until_ns, int *failed,
                           cn_error *err)
{
    uint8_t params[4 + CN_MAX_JOINTS];
    bool answered[CN_MAX_JOINTS] = {false}, whole = true;
    assert(servos <= CN_MAX_JOINTS);
    size_t count =
        put_number(bus, params, put_number(bus, params, 0, registers.address), registers.bytes);
    memcpy(params + count, id, (size_t)servos);
    count += (size_t)servos;
    *failed = 0;
    CN_TRY(send(bus, CN_SERVO_ALL, CN_SERVO_SYNC_READ, params, count, until_ns, err));
    for (int waiting = servos; waiting > 0 && whole;) {
        CN_TRY(receive(bus, until_ns, &whole, err));
        const int i = position_of(bus->packet.id, id, servos);
        if (!whole || i == servos || answered[i] || bus->packet.size != registers.bytes)
            continue;
        memcpy(values + (size_t)i * registers.bytes, bus->packet.params, registers.bytes);
        error[i] = bus->packet.error;
        answered[i] = true;
        waiting--;
    }
    while (*failed < servos && answered[*failed])
        ++*failed;
    return *failed < servos ? blame(bus, id[*failed], err) : CN_OK;
}
