/* Protocol 2.0. Stuffing keeps the header out of every packet's body, so bytes can be searched for
 * it safely. */
#include "bridge/plants/dxl.h"

#include <assert.h>
#include <string.h>

enum {
    HEADER = 7, /* FF FF FD 00 ID LEN_L LEN_H */
    CRC = 2,
    STATUS = 0x55,
    SMALLEST_LEN = 4,                     /* 55, error, CRC */
    LARGEST_LEN = CN_PACKET_MAX - HEADER, /* stuffed */
};

static const uint8_t header[4] = {0xFF, 0xFF, 0xFD, 0x00};

uint16_t cn_dxl_crc(const uint8_t *bytes, size_t size)
{
    unsigned crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000u ? crc << 1 ^ 0x8005u : crc << 1) & 0xFFFFu;
    }
    return (uint16_t)crc;
}

/* Whether FF FF FD ends at body[i]. */
static int ends_header(const uint8_t *body, size_t i)
{
    return i >= 2 && body[i] == 0xFD && body[i - 1] == 0xFF && body[i - 2] == 0xFF;
}

static size_t encode(uint8_t id, uint8_t instruction, const uint8_t *params, size_t size,
                     uint8_t *out)
{
    assert(size <= CN_PACKET_PARAMS);
    uint8_t *body = out + HEADER;
    size_t n = 0;
    memcpy(out, header, sizeof header);
    out[4] = id;
    body[n++] = instruction;
    for (size_t i = 0; i < size; i++) {
        body[n++] = params[i];
        if (ends_header(body, n - 1))
            body[n++] = 0xFD;
    }
    out[5] = (uint8_t)(n + CRC);
    out[6] = (uint8_t)((n + CRC) >> 8);
    const uint16_t crc = cn_dxl_crc(out, HEADER + n);
    body[n++] = (uint8_t)crc;
    body[n++] = (uint8_t)(crc >> 8);
    return HEADER + n;
}

/* The first place from which bytes may be a header, whole or begun. */
static size_t find_header(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        const size_t rest = size - at;
        if (memcmp(bytes + at, header, rest < sizeof header ? rest : sizeof header) == 0)
            break;
        at++;
    }
    return at;
}

/* Takes parameters out of a body without CRC: 55, error, parameters, stuffed.
 * @return whether they fit */
static int unstuff(const uint8_t *body, size_t size, cn_packet *out)
{
    out->error = body[1];
    out->size = 0;
    for (size_t i = 2; i < size; i++) {
        if (out->size == CN_PACKET_PARAMS)
            return 0;
        out->params[out->size++] = body[i];
        if (ends_header(body, i) && i + 1 < size && body[i + 1] == 0xFD)
            i++;
    }
    return 1;
}

static cn_packet_state decode(const uint8_t *bytes, size_t size, cn_packet *out, size_t *used)
{
    const size_t at = find_header(bytes, size);
    *used = at;
    if (size - at < HEADER)
        return CN_PACKET_PARTIAL;
    const uint8_t *packet = bytes + at;
    const size_t length = (size_t)(packet[5] | packet[6] << 8), whole = HEADER + length;
    out->id = packet[4];
    *used = at + sizeof header;
    if (length < SMALLEST_LEN || length > LARGEST_LEN)
        return CN_PACKET_DAMAGED;
    if (size - at < whole) {
        *used = at;
        return CN_PACKET_PARTIAL;
    }
    const uint16_t crc = (uint16_t)(packet[whole - 2] | packet[whole - 1] << 8);
    if (cn_dxl_crc(packet, whole - CRC) != crc)
        return CN_PACKET_DAMAGED;
    *used = at + whole;
    if (packet[HEADER] != STATUS || !unstuff(packet + HEADER, length - CRC, out))
        return CN_PACKET_DAMAGED;
    return CN_PACKET_WHOLE;
}

static const char *error_words(uint8_t error)
{
    static const char *const words[] = {
        "no error",
        "that it failed to carry out the instruction",
        "an instruction that it does not know",
        "a wrong CRC",
        "a value out of range (or that its bus watchdog has stopped it)",
        "a wrong length",
        "a value beyond its limits",
        "a register that cannot be accessed now",
    };
    if (error & 0x80)
        return "a hardware error: overload, overheating, or a voltage out of range; once it is "
               "mended, reboot the servo";
    return error < sizeof words / sizeof words[0] ? words[error] : "an unknown error";
}

const cn_servo_protocol cn_dxl_protocol = {
    .address_bytes = 2,
    .encode = encode,
    .decode = decode,
    .error_words = error_words,
};
