/* Writing MCAP. Messages gather in an open chunk; when it is full it is compressed, checksummed,
 * and written with its message indexes. The summary (schemas, channels, chunk indexes, metadata
 * indexes) is encoded on the way and written at the end.
 *
 * The first failure sticks: nothing more is written after it, every further call returns it again,
 * and what reached the file before stays readable. */
#include "bridge/mcap.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "bridge/mcap_format.h"

/* Fast: the writer shares a machine with the control loop. */
#define ZSTD_LEVEL 1

/* A growing block of bytes. When memory runs out it sets `failed` and ignores what follows, so that
 * a record can be encoded in one go and checked once. */
typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
} bytes;

typedef struct channel {
    uint64_t messages; /* in the whole file */
    bytes index;       /* of the open chunk: log time and offset of each message */
} channel;

struct cn_mcap_writer {
    int fd;
    char *path;
    cn_mcap_compression compression;
    size_t chunk_bytes;
    ZSTD_CCtx *zstd;
    cn_error failure; /* code CN_OK: none yet */

    bytes out;         /* what the file gets next */
    uint64_t written;  /* bytes in the file */
    uint32_t data_crc; /* of them */

    bytes chunk; /* records of the open chunk */
    bytes packed;
    uint64_t chunk_messages, chunk_first, chunk_last; /* count; log times, ns */

    channel *channel; /* [channels], id is position + 1 */
    uint16_t schemas, channels;
    uint32_t chunks, metadata;
    uint64_t messages, first, last;

    bytes schema_records, channel_records, chunk_indexes, metadata_indexes;
};

/* ---- Bytes ---- */

static uint8_t *extend(bytes *b, size_t size)
{
    if (b->failed || size > SIZE_MAX / 2 - b->size) {
        b->failed = true;
        return NULL;
    }
    if (b->size + size > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : 256;
        while (capacity < b->size + size)
            capacity *= 2;
        uint8_t *grown = realloc(b->data, capacity);
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    b->size += size;
    return b->data + b->size - size;
}

static void put(bytes *b, const void *data, size_t size)
{
    uint8_t *to = extend(b, size);
    if (to && size)
        memcpy(to, data, size);
}

static void put_number(bytes *b, uint64_t value, int width)
{
    uint8_t *to = extend(b, (size_t)width);
    if (to)
        cn_mcap_store(to, value, width);
}

static void put_string(bytes *b, const char *text)
{
    put_number(b, strlen(text), 4);
    put(b, text, strlen(text));
}

/* A record, or an array with a length of `width` bytes before it: begin, put its body, end. */
static size_t begin_sized(bytes *b, int width)
{
    put_number(b, 0, width);
    return b->size;
}

static void end_sized(bytes *b, size_t begin, int width)
{
    if (!b->failed)
        cn_mcap_store(b->data + begin - width, b->size - begin, width);
}

static size_t begin_record(bytes *b, cn_mcap_opcode opcode)
{
    put_number(b, opcode, 1);
    return begin_sized(b, 8);
}

static void end_record(bytes *b, size_t begin)
{
    end_sized(b, begin, 8);
}

/* ---- The file ---- */

static cn_status check_memory(const cn_mcap_writer *w, const bytes *b, cn_error *err)
{
    CN_FAIL_IF(b->failed, CN_ERR_MEMORY, err, "%s: no memory to encode a record after %zu bytes",
               w->path, b->size);
    return CN_OK;
}

/* The position that the next byte of `out` will have in the file. */
static uint64_t position(const cn_mcap_writer *w)
{
    return w->written + w->out.size;
}

static cn_status write_out(cn_mcap_writer *w, cn_error *err)
{
    CN_TRY(check_memory(w, &w->out, err));
    size_t done = 0;
    while (done < w->out.size) {
        const ssize_t n = write(w->fd, w->out.data + done, w->out.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        CN_FAIL_IF(n <= 0, CN_ERR_IO, err,
                   "%s: cannot write at byte %llu: %s; free some space or log to another disk",
                   w->path, (unsigned long long)(w->written + done),
                   n < 0 ? strerror(errno) : "no progress");
        done += (size_t)n;
    }
    w->data_crc = cn_mcap_crc32(w->data_crc, w->out.data, w->out.size);
    w->written += w->out.size;
    w->out.size = 0;
    return CN_OK;
}

static cn_status sync_file(cn_mcap_writer *w, cn_error *err)
{
    /* Pipes and devices have nothing to sync and say so. */
    const bool synced = fsync(w->fd) == 0 || errno == EINVAL || errno == ENOTSUP;
    CN_FAIL_IF(!synced, CN_ERR_IO, err, "%s: cannot sync to disk: %s", w->path, strerror(errno));
    return CN_OK;
}

/* Keeps the first failure and hands it out. */
static cn_status settle(cn_mcap_writer *w, cn_status status, cn_error *err)
{
    if (status != CN_OK && w->failure.code == CN_OK)
        w->failure.code = status;
    if (w->failure.code != CN_OK && err)
        *err = w->failure;
    return w->failure.code;
}

static void destroy(cn_mcap_writer *w)
{
    bytes *const blocks[] = {
        &w->out,           &w->chunk,           &w->packed, &w->schema_records, &w->channel_records,
        &w->chunk_indexes, &w->metadata_indexes};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]->data);
    for (int i = 0; i < w->channels; i++)
        free(w->channel[i].index.data);
    free(w->channel);
    ZSTD_freeCCtx(w->zstd);
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w);
}

cn_status cn_mcap_create(const char *path, cn_mcap_compression compression, size_t chunk_bytes,
                         cn_mcap_writer **out, cn_error *err)
{
    *out = NULL;
    CN_FAIL_IF(chunk_bytes < 1 || chunk_bytes > CN_MCAP_CHUNK_MAX / 2, CN_ERR_ARGUMENT, err,
               "%s: chunks of %zu bytes, expected 1 to %llu", path, chunk_bytes,
               (unsigned long long)CN_MCAP_CHUNK_MAX / 2);
    cn_status status = CN_OK;
    cn_mcap_writer *w = calloc(1, sizeof *w);
    CN_FAIL_IF(!w, CN_ERR_MEMORY, err, "%s: no memory for a log writer", path);
    w->fd = -1;
    w->compression = compression;
    w->chunk_bytes = chunk_bytes;
    w->path = strdup(path);
    w->zstd = ZSTD_createCCtx();
    if (!w->path || !w->zstd)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for a log writer", path);
    put(&w->out, CN_MCAP_MAGIC, CN_MCAP_MAGIC_SIZE);
    const size_t header = begin_record(&w->out, CN_MCAP_HEADER);
    put_string(&w->out, ""); /* no profile: the schemas say it all */
    put_string(&w->out, "colonnade");
    end_record(&w->out, header);
    CN_TRY_CLEANUP(check_memory(w, &w->out, err));
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0)
        CN_FAIL_CLEANUP(CN_ERR_IO, err, "%s: cannot write: %s", path, strerror(errno));
    *out = w;
    return CN_OK;
cleanup:
    destroy(w);
    return status;
}

/* ---- Chunks ---- */

/* Compresses the open chunk into `packed`; `none` is taken from the chunk itself. */
static cn_status pack_chunk(cn_mcap_writer *w, const bytes **result, cn_error *err)
{
    const bytes *chunk = &w->chunk;
    *result = chunk;
    if (w->compression == CN_MCAP_NONE)
        return CN_OK;
    const bool zstd = w->compression == CN_MCAP_ZSTD;
    const size_t bound =
        zstd ? ZSTD_compressBound(chunk->size) : LZ4F_compressFrameBound(chunk->size, NULL);
    w->packed.size = 0;
    uint8_t *to = extend(&w->packed, bound);
    CN_TRY(check_memory(w, &w->packed, err));
    const size_t size =
        zstd ? ZSTD_compressCCtx(w->zstd, to, bound, chunk->data, chunk->size, ZSTD_LEVEL)
             : LZ4F_compressFrame(to, bound, chunk->data, chunk->size, NULL);
    const bool failed = zstd ? ZSTD_isError(size) != 0 : LZ4F_isError(size) != 0;
    CN_FAIL_IF(failed, CN_ERR_MEMORY, err, "%s: cannot compress a chunk of %zu bytes: %s", w->path,
               chunk->size, zstd ? ZSTD_getErrorName(size) : LZ4F_getErrorName(size));
    w->packed.size = size;
    *result = &w->packed;
    return CN_OK;
}

static const char *compression_name(const cn_mcap_writer *w)
{
    static const char *const names[] = {"", "lz4", "zstd"};
    return names[w->compression];
}

/* The Chunk record into `out`; its length goes to *length. */
static void put_chunk(cn_mcap_writer *w, const bytes *packed, uint64_t *length)
{
    const uint64_t start = position(w);
    const size_t record = begin_record(&w->out, CN_MCAP_CHUNK);
    put_number(&w->out, w->chunk_first, 8);
    put_number(&w->out, w->chunk_last, 8);
    put_number(&w->out, w->chunk.size, 8);
    put_number(&w->out, cn_mcap_crc32(0, w->chunk.data, w->chunk.size), 4);
    put_string(&w->out, compression_name(w));
    put_number(&w->out, packed->size, 8);
    put(&w->out, packed->data, packed->size);
    end_record(&w->out, record);
    *length = position(w) - start;
}

/* A MessageIndex for every channel in the chunk, into `out`, and the ChunkIndex that finds them. */
static void put_indexes(cn_mcap_writer *w, uint64_t chunk_start, uint64_t chunk_length,
                        size_t packed_size)
{
    bytes *const index = &w->chunk_indexes;
    const size_t record = begin_record(index, CN_MCAP_CHUNK_INDEX);
    put_number(index, w->chunk_first, 8);
    put_number(index, w->chunk_last, 8);
    put_number(index, chunk_start, 8);
    put_number(index, chunk_length, 8);
    const size_t offsets = begin_sized(index, 4);
    const uint64_t start = position(w);
    for (uint16_t i = 0; i < w->channels; i++) {
        bytes *const entries = &w->channel[i].index;
        if (!entries->size)
            continue;
        put_number(index, i + 1u, 2);
        put_number(index, position(w), 8);
        const size_t message_index = begin_record(&w->out, CN_MCAP_MESSAGE_INDEX);
        put_number(&w->out, i + 1u, 2);
        put_number(&w->out, entries->size, 4);
        put(&w->out, entries->data, entries->size);
        end_record(&w->out, message_index);
        entries->size = 0;
    }
    end_sized(index, offsets, 4);
    put_number(index, position(w) - start, 8);
    put_string(index, compression_name(w));
    put_number(index, packed_size, 8);
    put_number(index, w->chunk.size, 8);
    end_record(index, record);
}

static cn_status close_chunk(cn_mcap_writer *w, cn_error *err)
{
    if (!w->chunk.size)
        return CN_OK;
    const bytes *packed;
    CN_TRY(pack_chunk(w, &packed, err));
    const uint64_t start = position(w);
    uint64_t length;
    put_chunk(w, packed, &length);
    put_indexes(w, start, length, packed->size);
    CN_TRY(check_memory(w, &w->chunk_indexes, err));
    CN_TRY(write_out(w, err));
    w->chunks++;
    w->chunk.size = 0;
    w->chunk_messages = w->chunk_first = w->chunk_last = 0;
    return CN_OK;
}

/* ---- What the caller puts in ---- */

cn_status cn_mcap_schema(cn_mcap_writer *w, const char *name, const void *descriptor_set,
                         size_t size, uint16_t *id, cn_error *err)
{
    *id = 0;
    CN_TRY(settle(w, CN_OK, err));
    CN_FAIL_IF(w->schemas == UINT16_MAX, CN_ERR_ARGUMENT, err, "%s: more than %d schemas", w->path,
               UINT16_MAX);
    CN_FAIL_IF(size > CN_MCAP_CHUNK_MAX / 4, CN_ERR_ARGUMENT, err,
               "%s: schema '%s' has %zu bytes, expected at most %llu", w->path, name, size,
               (unsigned long long)CN_MCAP_CHUNK_MAX / 4);
    bytes *const records = &w->schema_records;
    const size_t start = records->size;
    const size_t record = begin_record(records, CN_MCAP_SCHEMA);
    put_number(records, w->schemas + 1u, 2);
    put_string(records, name);
    put_string(records, "protobuf");
    put_number(records, size, 4);
    put(records, descriptor_set, size);
    end_record(records, record);
    CN_TRY(settle(w, check_memory(w, records, &w->failure), err));
    put(&w->chunk, records->data + start, records->size - start);
    CN_TRY(settle(w, check_memory(w, &w->chunk, &w->failure), err));
    *id = ++w->schemas;
    return CN_OK;
}

cn_status cn_mcap_channel(cn_mcap_writer *w, uint16_t schema, const char *topic, uint16_t *id,
                          cn_error *err)
{
    *id = 0;
    CN_TRY(settle(w, CN_OK, err));
    CN_FAIL_IF(schema < 1 || schema > w->schemas, CN_ERR_ARGUMENT, err,
               "%s: channel '%s' asks for schema %u; there are 1 to %u", w->path, topic, schema,
               w->schemas);
    CN_FAIL_IF(w->channels == UINT16_MAX, CN_ERR_ARGUMENT, err, "%s: more than %d channels",
               w->path, UINT16_MAX);
    channel *grown = realloc(w->channel, (w->channels + 1u) * sizeof *grown);
    if (!grown)
        return settle(w,
                      cn_error_set(&w->failure, CN_ERR_MEMORY, __FILE__, __LINE__,
                                   "%s: no memory for channel '%s'", w->path, topic),
                      err);
    w->channel = grown;
    bytes *const records = &w->channel_records;
    const size_t start = records->size;
    const size_t record = begin_record(records, CN_MCAP_CHANNEL);
    put_number(records, w->channels + 1u, 2);
    put_number(records, schema, 2);
    put_string(records, topic);
    put_string(records, "protobuf");
    put_number(records, 0, 4); /* an empty map of metadata */
    end_record(records, record);
    CN_TRY(settle(w, check_memory(w, records, &w->failure), err));
    put(&w->chunk, records->data + start, records->size - start);
    CN_TRY(settle(w, check_memory(w, &w->chunk, &w->failure), err));
    w->channel[w->channels] = (channel){0};
    *id = ++w->channels;
    return CN_OK;
}

cn_status cn_mcap_metadata(cn_mcap_writer *w, const char *name, const char *const *keys,
                           const char *const *values, int count, cn_error *err)
{
    CN_TRY(settle(w, CN_OK, err));
    const uint64_t start = position(w);
    const size_t record = begin_record(&w->out, CN_MCAP_METADATA);
    put_string(&w->out, name);
    const size_t map = begin_sized(&w->out, 4);
    for (int i = 0; i < count; i++) {
        put_string(&w->out, keys[i]);
        put_string(&w->out, values[i]);
    }
    end_sized(&w->out, map, 4);
    end_record(&w->out, record);
    bytes *const indexes = &w->metadata_indexes;
    const size_t index = begin_record(indexes, CN_MCAP_METADATA_INDEX);
    put_number(indexes, start, 8);
    put_number(indexes, position(w) - start, 8);
    put_string(indexes, name);
    end_record(indexes, index);
    CN_TRY(settle(w, check_memory(w, &w->out, &w->failure), err));
    CN_TRY(settle(w, check_memory(w, indexes, &w->failure), err));
    w->metadata++;
    return CN_OK;
}

static void count_message(cn_mcap_writer *w, channel *c, uint64_t log_time)
{
    if (!w->chunk_messages || log_time < w->chunk_first)
        w->chunk_first = log_time;
    if (!w->chunk_messages || log_time > w->chunk_last)
        w->chunk_last = log_time;
    if (!w->messages || log_time < w->first)
        w->first = log_time;
    if (!w->messages || log_time > w->last)
        w->last = log_time;
    w->chunk_messages++;
    w->messages++;
    c->messages++;
}

cn_status cn_mcap_message(cn_mcap_writer *w, uint16_t channel_id, uint32_t sequence,
                          uint64_t log_time, uint64_t publish_time, const void *data, size_t size,
                          cn_error *err)
{
    CN_TRY(settle(w, CN_OK, err));
    CN_FAIL_IF(channel_id < 1 || channel_id > w->channels, CN_ERR_ARGUMENT, err,
               "%s: message for channel %u; there are 1 to %u", w->path, channel_id, w->channels);
    CN_FAIL_IF(size > CN_MCAP_CHUNK_MAX / 4, CN_ERR_ARGUMENT, err,
               "%s: message of %zu bytes, expected at most %llu", w->path, size,
               (unsigned long long)CN_MCAP_CHUNK_MAX / 4);
    channel *const c = &w->channel[channel_id - 1];
    put_number(&c->index, log_time, 8);
    put_number(&c->index, w->chunk.size, 8);
    const size_t record = begin_record(&w->chunk, CN_MCAP_MESSAGE);
    put_number(&w->chunk, channel_id, 2);
    put_number(&w->chunk, sequence, 4);
    put_number(&w->chunk, log_time, 8);
    put_number(&w->chunk, publish_time, 8);
    put(&w->chunk, data, size);
    end_record(&w->chunk, record);
    CN_TRY(settle(w, check_memory(w, &w->chunk, &w->failure), err));
    CN_TRY(settle(w, check_memory(w, &c->index, &w->failure), err));
    count_message(w, c, log_time);
    return w->chunk.size < w->chunk_bytes ? CN_OK : settle(w, close_chunk(w, &w->failure), err);
}

cn_status cn_mcap_flush(cn_mcap_writer *w, cn_error *err)
{
    CN_TRY(settle(w, CN_OK, err));
    CN_TRY(settle(w, close_chunk(w, &w->failure), err));
    CN_TRY(settle(w, write_out(w, &w->failure), err));
    return settle(w, sync_file(w, &w->failure), err);
}

/* ---- The end of the file ---- */

static void put_statistics(const cn_mcap_writer *w, bytes *to)
{
    const size_t record = begin_record(to, CN_MCAP_STATISTICS);
    put_number(to, w->messages, 8);
    put_number(to, w->schemas, 2);
    put_number(to, w->channels, 4);
    put_number(to, 0, 4); /* attachments */
    put_number(to, w->metadata, 4);
    put_number(to, w->chunks, 4);
    put_number(to, w->first, 8);
    put_number(to, w->last, 8);
    const size_t counts = begin_sized(to, 4);
    for (uint16_t i = 0; i < w->channels; i++) {
        put_number(to, i + 1u, 2);
        put_number(to, w->channel[i].messages, 8);
    }
    end_sized(to, counts, 4);
    end_record(to, record);
}

/* Groups of equal records, then a SummaryOffset for each group that is not empty. */
static void put_summary(cn_mcap_writer *w, const bytes *statistics, uint64_t *offset_start)
{
    const struct {
        cn_mcap_opcode opcode;
        const bytes *records;
    } groups[] = {
        {CN_MCAP_SCHEMA, &w->schema_records},
        {CN_MCAP_CHANNEL, &w->channel_records},
        {CN_MCAP_STATISTICS, statistics},
        {CN_MCAP_CHUNK_INDEX, &w->chunk_indexes},
        {CN_MCAP_METADATA_INDEX, &w->metadata_indexes},
    };
    const size_t count = sizeof groups / sizeof groups[0];
    uint64_t start = position(w);
    for (size_t i = 0; i < count; i++)
        put(&w->out, groups[i].records->data, groups[i].records->size);
    *offset_start = position(w);
    for (size_t i = 0; i < count; i++) {
        const uint64_t length = groups[i].records->size;
        if (!length)
            continue;
        const size_t record = begin_record(&w->out, CN_MCAP_SUMMARY_OFFSET);
        put_number(&w->out, groups[i].opcode, 1);
        put_number(&w->out, start, 8);
        put_number(&w->out, length, 8);
        end_record(&w->out, record);
        start += length;
    }
}

static cn_status finish(cn_mcap_writer *w, cn_error *err)
{
    CN_TRY(close_chunk(w, err));
    CN_TRY(write_out(w, err)); /* so that data_crc covers the whole data section */
    const size_t data_end = begin_record(&w->out, CN_MCAP_DATA_END);
    put_number(&w->out, w->data_crc, 4);
    end_record(&w->out, data_end);

    const uint64_t summary_start = position(w);
    const size_t summary = w->out.size;
    uint64_t offset_start;
    bytes statistics = {0};
    put_statistics(w, &statistics);
    put_summary(w, &statistics, &offset_start);
    free(statistics.data);
    w->out.failed |= statistics.failed;

    /* The summary's checksum covers the footer up to the checksum itself, so its length is set
     * before the body is complete. */
    put_number(&w->out, CN_MCAP_FOOTER, 1);
    put_number(&w->out, 8 + 8 + 4, 8);
    put_number(&w->out, summary_start, 8);
    put_number(&w->out, offset_start, 8);
    CN_TRY(check_memory(w, &w->out, err));
    put_number(&w->out, cn_mcap_crc32(0, w->out.data + summary, w->out.size - summary), 4);
    put(&w->out, CN_MCAP_MAGIC, CN_MCAP_MAGIC_SIZE);
    CN_TRY(write_out(w, err));
    return sync_file(w, err);
}

cn_status cn_mcap_finish(cn_mcap_writer **writer, cn_error *err)
{
    cn_mcap_writer *const w = *writer;
    if (!w)
        return CN_OK;
    if (w->failure.code == CN_OK)
        settle(w, finish(w, &w->failure), NULL);
    const int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0 && w->failure.code == CN_OK)
        cn_error_set(&w->failure, CN_ERR_IO, __FILE__, __LINE__, "%s: cannot close: %s", w->path,
                     strerror(errno));
    const cn_status status = settle(w, CN_OK, err);
    destroy(w);
    *writer = NULL;
    return status;
}
