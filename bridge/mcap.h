/* MCAP files (mcap.dev specification, version 0): a chunked, indexed, compressed writer, and a
 * linear reader that keeps every whole record of a file that was cut off. */
#ifndef CN_BRIDGE_MCAP_H
#define CN_BRIDGE_MCAP_H

#include <stdbool.h>
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
    const char *topic;           /* of the channel */
    const char *schema;          /* full message name; "": none */
    uint16_t channel, schema_id; /* their numbers in this file; schema 0: none */
    const void *descriptor_set;  /* the schema's data; NULL: none that is protobuf's */
    size_t descriptor_set_size;
    uint32_t sequence;
    uint64_t log_time, publish_time;
    const void *data; /* valid until the next call */
    size_t size;
} cn_mcap_record;

/* How far a reader has come. */
typedef struct cn_mcap_extent {
    uint64_t bytes;  /* of the file */
    uint64_t whole;  /* of them, up to the end of the last whole record read */
    uint64_t chunks; /* whole ones read */
    bool complete;   /* the data section's end was there: no message is missing behind it */
    bool in_chunk;   /* the record at `whole` is a chunk */
} cn_mcap_extent;

/* A record that could not be read. */
typedef struct cn_mcap_damage {
    uint64_t byte, bytes;       /* where it begins, how long it is with its head */
    uint64_t first_ns, last_ns; /* a chunk: log times of its messages, as it says; else 0 */
} cn_mcap_damage;

/* One value of the file's metadata; those of one record share its name. */
typedef struct cn_mcap_entry {
    char *name, *key, *value;
    struct cn_mcap_entry *next;
} cn_mcap_entry;

/* @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT (not an MCAP file). */
cn_status cn_mcap_open(const char *path, cn_mcap_reader **out, cn_error *err);
void cn_mcap_close(cn_mcap_reader **reader);
/* Next message in file order. @return CN_ERR_NOT_FOUND at the end; CN_ERR_FORMAT or CN_ERR_CHECKSUM
 * for a damaged file. A file that was cut off ends like a whole one; cn_mcap_truncated tells. */
cn_status cn_mcap_next(cn_mcap_reader *reader, cn_mcap_record *out, cn_error *err);
/* After CN_ERR_FORMAT or CN_ERR_CHECKSUM, which cn_mcap_next would return again: goes behind the
 * damaged record, a chunk with all its messages. False when nothing behind it can be found. */
bool cn_mcap_skip(cn_mcap_reader *reader, cn_mcap_damage *out);
void cn_mcap_rewind(cn_mcap_reader *reader);
int cn_mcap_truncated(const cn_mcap_reader *reader); /* after the end was reached */
cn_mcap_extent cn_mcap_reached(const cn_mcap_reader *reader);
/* Metadata is read on open. The list is in file order, NULL when empty; a value that is not there
 * is NULL. */
const cn_mcap_entry *cn_mcap_metadata_list(const cn_mcap_reader *reader);
const char *cn_mcap_metadata_value(const cn_mcap_reader *reader, const char *name, const char *key);

#endif
