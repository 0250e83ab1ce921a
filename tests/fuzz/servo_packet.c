/* Bytes from a bus of servos. The first chooses the protocol, the rest come in on the wire. */
#include <string.h>

#include "bridge/plants/dxl.h"
#include "bridge/plants/sts.h"
#include "tests/fuzz/fuzz.h"

enum { DXL_STATUS = 0x55 };

/* A packet that was decoded can be encoded, and is decoded as the same. */
static void check_packet(const cn_servo_protocol *protocol, const cn_packet *packet)
{
    uint8_t params[CN_PACKET_PARAMS], out[CN_PACKET_MAX];
    cn_packet again;
    size_t count = 0, used;
    FUZZ_CHECK(packet->size <= CN_PACKET_PARAMS);
    FUZZ_CHECK(protocol->error_words(packet->error)[0]);
    if (packet->size == CN_PACKET_PARAMS)
        return; /* no room for the error, which Dynamixel has behind its status */
    if (protocol == &cn_dxl_protocol)
        params[count++] = packet->error;
    memcpy(params + count, packet->params, packet->size);
    const uint8_t instruction = protocol == &cn_dxl_protocol ? DXL_STATUS : packet->error;
    const size_t size =
        protocol->encode(packet->id, instruction, params, count + packet->size, out);
    FUZZ_CHECK(size <= sizeof out);
    FUZZ_CHECK(protocol->decode(out, size, &again, &used) == CN_PACKET_WHOLE && used == size);
    FUZZ_CHECK(again.id == packet->id && again.error == packet->error);
    FUZZ_CHECK(again.size == packet->size && memcmp(again.params, packet->params, again.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const cn_servo_protocol *protocol = data[0] % 2 ? &cn_dxl_protocol : &cn_sts_protocol;
    for (size_t at = 1;;) {
        cn_packet packet = {0};
        size_t used;
        const cn_packet_state state = protocol->decode(data + at, size - at, &packet, &used);
        FUZZ_CHECK(used <= size - at);
        if (state == CN_PACKET_PARTIAL) {
            /* What it waits for fits into the buffer of a bus. */
            FUZZ_CHECK(size - at - used < CN_PACKET_MAX);
            return 0;
        }
        FUZZ_CHECK(used > 0);
        if (state == CN_PACKET_WHOLE)
            check_packet(protocol, &packet);
        at += used;
    }
}
