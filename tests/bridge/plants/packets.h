/* Packets written as people write them, for tests of the codecs. */
#ifndef CN_TESTS_BRIDGE_PLANTS_PACKETS_H
#define CN_TESTS_BRIDGE_PLANTS_PACKETS_H

#include "bridge/plants/packet.h"
#include "tests/test.h"

/* "FF FF 01" into bytes; returns how many. */
static inline size_t packet_bytes(const char *text, uint8_t *out)
{
    size_t size = 0;
    char *end;
    for (unsigned long byte = strtoul(text, &end, 16); end != text;
         byte = strtoul(text, &end, 16)) {
        out[size++] = (uint8_t)byte;
        text = end;
    }
    return size;
}

/* Whether a request is encoded as exactly these bytes. */
static inline void packet_check(const cn_servo_protocol *protocol, uint8_t id, uint8_t instruction,
                                const char *params, const char *wanted)
{
    uint8_t in[CN_PACKET_PARAMS], out[CN_PACKET_MAX], golden[CN_PACKET_MAX];
    const size_t count = packet_bytes(params, in);
    const size_t size = protocol->encode(id, instruction, in, count, out);
    CU_ASSERT_EQUAL_FATAL(size, packet_bytes(wanted, golden));
    CU_ASSERT_EQUAL(memcmp(out, golden, size), 0);
}

/* Decodes one packet out of bytes; returns its state. */
static inline cn_packet_state packet_decode(const cn_servo_protocol *protocol, const char *text,
                                            cn_packet *out, size_t *used)
{
    uint8_t in[CN_PACKET_MAX];
    const size_t size = packet_bytes(text, in);
    *out = (cn_packet){0};
    return protocol->decode(in, size, out, used);
}

/* The packet that is found whole after `used` bytes. */
static inline cn_packet packet_answer(const cn_servo_protocol *protocol, const char *text,
                                      size_t used)
{
    cn_packet packet;
    size_t taken;
    CU_ASSERT_EQUAL(packet_decode(protocol, text, &packet, &taken), CN_PACKET_WHOLE);
    CU_ASSERT_EQUAL(taken, used);
    return packet;
}

/* Whatever comes in, a decoder goes on: it uses no more than there is, always something unless it
 * waits for more, and a good packet after the rubbish is found. */
static inline void packet_storm(const cn_servo_protocol *protocol, const char *good, uint8_t id)
{
    uint8_t in[4 * CN_PACKET_MAX], tail[CN_PACKET_MAX];
    const size_t tail_size = packet_bytes(good, tail);
    uint64_t seed = 3;
    int found = 0;
    for (int round = 0; round < 2000; round++) {
        size_t size = 0, at = 0, used = 0;
        for (; size < 64; size++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            in[size] = (seed >> 40) % 4 ? (uint8_t)(seed >> 33) : 0xFF;
        }
        /* Rubbish may promise up to a whole packet: filled up, the good one comes after that. */
        memset(in + size, 0, CN_PACKET_MAX);
        size += CN_PACKET_MAX;
        memcpy(in + size, tail, tail_size);
        size += tail_size;
        cn_packet packet;
        cn_packet_state state = CN_PACKET_DAMAGED;
        while (state != CN_PACKET_PARTIAL) {
            state = protocol->decode(in + at, size - at, &packet, &used);
            CU_ASSERT_TRUE_FATAL(used <= size - at);
            CU_ASSERT_TRUE_FATAL(used > 0 || state == CN_PACKET_PARTIAL);
            found += state == CN_PACKET_WHOLE && packet.id == id && at + used == size;
            at += used;
        }
    }
    CU_ASSERT_EQUAL(found, 2000);
}

#endif
