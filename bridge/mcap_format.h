/* What the MCAP writer and reader share: opcodes, magic, limits, checksum, little-endian numbers.
 * Private to the module. Source: the MCAP specification, version 0, mcap.dev/spec. */
#ifndef CN_BRIDGE_MCAP_FORMAT_H
#define CN_BRIDGE_MCAP_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The file begins and ends with these bytes. */
#define CN_MCAP_MAGIC      "\x89MCAP0\r\n"
#define CN_MCAP_MAGIC_SIZE 8

/* Every record is an opcode (u8), the length of its body (u64), and the body. */
#define CN_MCAP_RECORD_HEAD 9

/* The most that one chunk may hold uncompressed, bytes: bounds what a reader must allocate. */
#define CN_MCAP_CHUNK_MAX (UINT64_C(1) << 30)

typedef enum cn_mcap_opcode {
    CN_MCAP_HEADER = 0x01,
    CN_MCAP_FOOTER = 0x02,
    CN_MCAP_SCHEMA = 0x03,
    CN_MCAP_CHANNEL = 0x04,
    CN_MCAP_MESSAGE = 0x05,
    CN_MCAP_CHUNK = 0x06,
    CN_MCAP_MESSAGE_INDEX = 0x07,
    CN_MCAP_CHUNK_INDEX = 0x08,
    CN_MCAP_STATISTICS = 0x0B,
    CN_MCAP_METADATA = 0x0C,
    CN_MCAP_METADATA_INDEX = 0x0D,
    CN_MCAP_SUMMARY_OFFSET = 0x0E,
    CN_MCAP_DATA_END = 0x0F,
    CN_MCAP_OPCODE_LAST = CN_MCAP_DATA_END /* larger ones are for private or future records */
} cn_mcap_opcode;

/* CRC-32 (ISO-HDLC, the one of zlib) of `size` more bytes; `crc` is 0 at the start, or the result
 * for the bytes before. */
uint32_t cn_mcap_crc32(uint32_t crc, const void *data, size_t size);

/* An unsigned little-endian number of `width` bytes, 1 to 8. */
uint64_t cn_mcap_load(const uint8_t *from, int width);
void cn_mcap_store(uint8_t *to, uint64_t value, int width);

/* Whether the `packed_size` bytes of a chunk can become `size`: asked before those are allocated,
 * so that a few bytes of noise cost no gigabyte.
 * @param compression  "", "lz4" or "zstd"
 * @return CN_ERR_FORMAT: they can't, or another compression; the message begins with a verb. */
cn_status cn_mcap_can_unpack(const char *compression, const void *packed, size_t packed_size,
                             uint64_t size, cn_error *err);
/* Unpacks a chunk that can_unpack accepted. @param out  [size]
 * @return CN_ERR_FORMAT: it does not decompress to exactly `size` bytes; CN_ERR_MEMORY. */
cn_status cn_mcap_unpack(const char *compression, const void *packed, size_t packed_size, void *out,
                         size_t size, cn_error *err);

#endif
