/* Unpacking the chunks of MCAP files: lz4, zstd, or as they are. */
#include <inttypes.h>
#include <lz4frame.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#include "bridge/mcap_format.h"

/* The most that an LZ4 block can expand. */
#define LZ4_EXPANSION 255

cn_status cn_mcap_can_unpack(const char *compression, const void *packed, size_t packed_size,
                             uint64_t size, cn_error *err)
{
    bool possible;
    if (strcmp(compression, "lz4") == 0) {
        possible = size / LZ4_EXPANSION <= packed_size;
    } else if (strcmp(compression, "zstd") == 0) {
        const unsigned long long says = ZSTD_getFrameContentSize(packed, packed_size);
        possible = says == size || says == ZSTD_CONTENTSIZE_UNKNOWN;
    } else {
        CN_FAIL_IF(*compression, CN_ERR_FORMAT, err,
                   "is compressed as '%s'; this reader knows lz4 and zstd", compression);
        possible = size == packed_size;
    }
    CN_FAIL_IF(size > CN_MCAP_CHUNK_MAX, CN_ERR_FORMAT, err,
               "says %" PRIu64 " bytes uncompressed, expected at most %" PRIu64, size,
               CN_MCAP_CHUNK_MAX);
    CN_FAIL_IF(!possible, CN_ERR_FORMAT, err,
               "does not decompress: %zu bytes can't become %" PRIu64, packed_size, size);
    return CN_OK;
}

static cn_status unpack_lz4(const uint8_t *packed, size_t packed_size, uint8_t *out, size_t size,
                            cn_error *err)
{
    LZ4F_dctx *context = NULL;
    CN_FAIL_IF(LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)), CN_ERR_MEMORY,
               err, "finds no memory to be decompressed");
    size_t used = 0, taken = 0, left = 1;
    while (left && !LZ4F_isError(left)) {
        size_t produced = size - used, consumed = packed_size - taken;
        left = LZ4F_decompress(context, out + used, &produced, packed + taken, &consumed, NULL);
        used += produced;
        taken += consumed;
        if (!produced && !consumed)
            break;
    }
    LZ4F_freeDecompressionContext(context);
    CN_FAIL_IF(left || taken != packed_size || used != size, CN_ERR_FORMAT, err,
               "does not decompress: %zu of %zu bytes", used, size);
    return CN_OK;
}

cn_status cn_mcap_unpack(const char *compression, const void *packed, size_t packed_size, void *out,
                         size_t size, cn_error *err)
{
    if (strcmp(compression, "lz4") == 0)
        return unpack_lz4(packed, packed_size, out, size, err);
    if (strcmp(compression, "zstd") == 0) {
        const size_t n = ZSTD_decompress(out, size, packed, packed_size);
        CN_FAIL_IF(ZSTD_isError(n) || n != size, CN_ERR_FORMAT, err, "does not decompress: %s",
                   ZSTD_isError(n) ? ZSTD_getErrorName(n) : "another size than it says");
        return CN_OK;
    }
    if (size)
        memcpy(out, packed, size);
    return CN_OK;
}
