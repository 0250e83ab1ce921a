/* What the two servo protocols share. A host sends an instruction to one servo or to all, and
 * each servo that is asked answers with a status packet. Both protocols know the same instructions
 * and number them alike; they differ in header, checksum, and in how wide lengths and register
 * addresses are. Codecs are pure functions on bytes: sts.h, dxl.h. */
#ifndef CN_BRIDGE_PLANTS_PACKET_H
#define CN_BRIDGE_PLANTS_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum {
    CN_SERVO_PING = 1,
    CN_SERVO_READ = 2,
    CN_SERVO_WRITE = 3,
    CN_SERVO_SYNC_READ = 0x82,
    CN_SERVO_SYNC_WRITE = 0x83,
};

enum {
    CN_SERVO_ID_MAX = 252,  /* in both protocols the largest that one servo may have */
    CN_SERVO_ALL = 0xFE,    /* the broadcast id */
    CN_PACKET_PARAMS = 240, /* parameters of a packet: a sync write to 32 servos has 164 */
    CN_PACKET_MAX = 340,    /* bytes on the wire: every third may be stuffed, and 11 around */
};

/* A status packet, decoded. */
typedef struct cn_packet {
    uint8_t id;
    uint8_t error; /* 0: none; otherwise in the words of the protocol */
    size_t size;   /* of params */
    uint8_t params[CN_PACKET_PARAMS];
} cn_packet;

typedef enum cn_packet_state {
    CN_PACKET_PARTIAL, /* the bytes so far may become one: wait for more */
    CN_PACKET_WHOLE,
    CN_PACKET_DAMAGED, /* wrong checksum, or impossible for this protocol */
} cn_packet_state;

typedef struct cn_servo_protocol {
    size_t address_bytes; /* of register addresses and of lengths in parameters */
    /* @param size  of params, at most CN_PACKET_PARAMS
     * @param out   [CN_PACKET_MAX]
     * @return bytes written */
    size_t (*encode)(uint8_t id, uint8_t instruction, const uint8_t *params, size_t size,
                     uint8_t *out);
    /* Looks for the first status packet. @param used  bytes that are dealt with: the packet, and
     * what stood before it and belongs to none
     * @param out  filled when WHOLE; of a DAMAGED one only the id, as it was read */
    cn_packet_state (*decode)(const uint8_t *bytes, size_t size, cn_packet *out, size_t *used);
    /* What a status packet's error means: "servo 3 reports " + the words. */
    const char *(*error_words)(uint8_t error);
} cn_servo_protocol;

#endif
