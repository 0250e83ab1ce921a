/* The STS protocol. Its checksum is weak and its header may occur within a packet, so a damaged
 * packet costs two bytes and no more: the next may begin inside what was taken for it. */
#include "bridge/plants/sts.h"

#include <assert.h>
#include <string.h>

enum {
    HEADER = 4,      /* FF FF ID LEN */
    SMALLEST_LEN = 2 /* error and sum */
};

static uint8_t checksum(const uint8_t *packet, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 2; i < size; i++)
        sum += packet[i];
    return (uint8_t)~sum;
}

static size_t encode(uint8_t id, uint8_t instruction, const uint8_t *params, size_t size,
                     uint8_t *out)
{
    assert(size <= CN_PACKET_PARAMS);
    out[0] = out[1] = 0xFF;
    out[2] = id;
    out[3] = (uint8_t)(size + 2);
    out[4] = instruction;
    if (size > 0)
        memcpy(out + 5, params, size);
    out[5 + size] = checksum(out, 5 + size);
    return 6 + size;
}

static cn_packet_state decode(const uint8_t *bytes, size_t size, cn_packet *out, size_t *used)
{
    size_t at = 0;
    /* A third FF is not an id but noise before the header. */
    while (at < size && !(bytes[at] == 0xFF && (at + 1 >= size || bytes[at + 1] == 0xFF) &&
                          (at + 2 >= size || bytes[at + 2] != 0xFF)))
        at++;
    *used = at;
    if (size - at < HEADER)
        return CN_PACKET_PARTIAL;
    const uint8_t *packet = bytes + at;
    const size_t length = packet[3], whole = HEADER + length;
    out->id = packet[2];
    *used = at + 2;
    if (length < SMALLEST_LEN || length - SMALLEST_LEN > CN_PACKET_PARAMS)
        return CN_PACKET_DAMAGED;
    if (size - at < whole) {
        *used = at;
        return CN_PACKET_PARTIAL;
    }
    if (checksum(packet, whole - 1) != packet[whole - 1])
        return CN_PACKET_DAMAGED;
    *used = at + whole;
    out->error = packet[4];
    out->size = length - SMALLEST_LEN;
    memcpy(out->params, packet + 5, out->size);
    return CN_PACKET_WHOLE;
}

/* Of the lowest bit that is set. */
static const char *error_words(uint8_t error)
{
    static const char *const words[8] = {
        "a supply voltage out of range",
        "a position sensor that fails",
        "overheating",
        "too much current",
        "an unknown error",
        "overload",
        "an unknown error",
        "an unknown error",
    };
    int bit = 0;
    while (bit < 7 && !(error & 1u << bit))
        bit++;
    return words[bit];
}

const cn_servo_protocol cn_sts_protocol = {
    .address_bytes = 1,
    .encode = encode,
    .decode = decode,
    .error_words = error_words,
};

int cn_sts_signed(unsigned raw, int sign_bit)
{
    const unsigned sign = 1u << sign_bit;
    const int magnitude = (int)(raw & (sign - 1));
    return raw & sign ? -magnitude : magnitude;
}

unsigned cn_sts_unsigned(int value, int sign_bit)
{
    const unsigned sign = 1u << sign_bit;
    const unsigned magnitude = (unsigned)(value < 0 ? -value : value);
    assert(magnitude < sign);
    return value < 0 ? sign | magnitude : magnitude;
}
