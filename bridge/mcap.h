/* MCAP files (mcap.dev specification, version 0): a chunked, indexed, compressed writer, and a
 * linear reader that keeps every whole record of a file that was cut off. */
#ifndef CN_BRIDGE_MCAP_H
#define CN_BRIDGE_MCAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum cn_mcap_compression { CN_MCAP_NONE, CN_MCAP_LZ4, CN_MCAP_ZSTD } cn_mcap_compression;

typedef struct cn_mcap_writer cn_mcap_writer;

/* Opens `path` for writing; chunks are written as they close, and by cn_mcap_flush. The first
 * failure of any function below but CN_ERR_ARGUMENT sticks: nothing is written after it, and all
 * return it.
 * @param chunk_bytes  uncompressed size at which a chunk closes, e.g. 256 KiB
 * @return CN_ERR_IO (folder, permission), CN_ERR_ARGUMENT (chunk_bytes), CN_ERR_MEMORY; the
 * functions below CN_ERR_IO (disk full, ...), CN_ERR_ARGUMENT (no such schema or channel, too
 * large), CN_ERR_MEMORY. */
cn_status cn_mcap_create(const char *path, cn_mcap_compression compression, size_t chunk_bytes,
                         cn_mcap_writer **out, cn_error *err);

/* A protobuf schema: full message name and a FileDescriptorSet. *id is used by channels. */
cn_status cn_mcap_schema(cn_mcap_writer *w, const char *name, const void *descriptor_set,
                         size_t size, uint16_t *id, cn_error *err);
cn_status cn_mcap_channel(cn_mcap_writer *w, uint16_t schema, const char *topic, uint16_t *id,
                          cn_error *err);
cn_status cn_mcap_metadata(cn_mcap_writer *w, const char *name, const char *const *keys,
                           const char *const *values, int count, cn_error *err);
/* @param log_time, publish_time  ns since 1970 */
cn_status cn_mcap_message(cn_mcap_writer *w, uint16_t channel, uint32_t sequence, uint64_t log_time,
                          uint64_t publish_time, const void *data, size_t size, cn_error *err);
/* Closes the open chunk and fsyncs: everything before is safe from kill -9. */
cn_status cn_mcap_flush(cn_mcap_writer *w, cn_error *err);
/* Writes summary, indexes, statistics and footer; frees and nulls the writer. */
cn_status cn_mcap_finish(cn_mcap_writer **w, cn_error *err);

typedef struct cn_mcap_reader cn_mcap_reader;

typedef struct cn_mcap_record {
    const char *topic;  /* of the channel */
    const char *schema; /* full message name */
    uint32_t sequence;
    uint64_t log_time, publish_time;
    const void *data; /* valid until the next call */
    size_t size;
} cn_mcap_record;

/* @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT (not an MCAP file). */
cn_status cn_mcap_open(const char *path, cn_mcap_reader **out, cn_error *err);
void cn_mcap_close(cn_mcap_reader **reader);
/* Next message in file order. @return CN_ERR_NOT_FOUND at the end; CN_ERR_FORMAT or CN_ERR_CHECKSUM
 * for a damaged file. A file that was cut off ends like a whole one; cn_mcap_truncated tells. */
cn_status cn_mcap_next(cn_mcap_reader *reader, cn_mcap_record *out, cn_error *err);
void cn_mcap_rewind(cn_mcap_reader *reader);
int cn_mcap_truncated(const cn_mcap_reader *reader); /* after the end was reached */
/* A metadata value, or NULL; metadata is read on open. */
const char *cn_mcap_metadata_value(const cn_mcap_reader *reader, const char *name, const char *key);

#endif
