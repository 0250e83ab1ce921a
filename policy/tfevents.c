/* TensorBoard event files, encoded by hand: the three messages needed have seven fields, and
 * policy/ knows no protobuf library. */
#include "policy/tfevents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENT_BYTES (CN_TFEVENTS_TAG + 64) /* the largest event: a tag and its six numbers */

struct cn_tfevents {
    FILE *stream;
    char path[1024];
};

/* ---- Protobuf ---- */

/* Wire types, of protobuf's encoding guide. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* A message being encoded. The caller gives it room for what it holds. */
typedef struct message {
    uint8_t bytes[EVENT_BYTES];
    size_t size;
} message;

static void put_varint(message *m, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        m->bytes[m->size++] = (uint8_t)(value | 0x80);
    m->bytes[m->size++] = (uint8_t)value;
}

static void put_fixed(uint8_t *to, uint64_t value, int width)
{
    for (int i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void put_tag(message *m, unsigned field, unsigned wire_type)
{
    put_varint(m, field << 3 | wire_type);
}

static void put_bytes(message *m, unsigned field, const void *bytes, size_t size)
{
    put_tag(m, field, BYTES);
    put_varint(m, size);
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static void put_double(message *m, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(m, field, FIXED64);
    put_fixed(m->bytes + m->size, bits, 8);
    m->size += 8;
}

static void put_float(message *m, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(m, field, FIXED32);
    put_fixed(m->bytes + m->size, bits, 4);
    m->size += 4;
}

/* Field numbers: Event {wall_time = 1, step = 2, file_version = 3, summary = 5}, Summary {value =
 * 1}, Summary.Value {tag = 1, simple_value = 2}. */

static void begin_event(message *event)
{
    event->size = 0;
    put_double(event, 1, (double)cn_clock_wall() * 1e-9);
}

static void scalar_event(message *event, const char *tag, int64_t step, float value)
{
    message scalar = {.size = 0}, summary = {.size = 0};
    put_bytes(&scalar, 1, tag, strlen(tag));
    put_float(&scalar, 2, value);
    put_bytes(&summary, 1, scalar.bytes, scalar.size);
    begin_event(event);
    put_tag(event, 2, VARINT);
    put_varint(event, (uint64_t)step);
    put_bytes(event, 5, summary.bytes, summary.size);
}

/* ---- TFRecord ---- */

/* CRC-32C (Castagnoli), masked as TFRecord asks, so that a checksum of data that holds checksums
 * stays a good one. */
static uint32_t masked_crc(const uint8_t *bytes, size_t size)
{
    /* The remainders of the 16 nibbles for the reflected polynomial 82F63B78h. */
    static const uint32_t remainder[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
        0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ remainder[crc & 15];
        crc = crc >> 4 ^ remainder[crc & 15];
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

static cn_status write_failed(const cn_tfevents *e, cn_error *err)
{
    CN_FAIL(CN_ERR_IO, err, "%s: cannot write: %s; free some space", e->path, strerror(errno));
}

/* Length (u64), its checksum, the event, its checksum. */
static cn_status write_record(cn_tfevents *e, const message *event, cn_error *err)
{
    uint8_t head[12], tail[4];
    put_fixed(head, event->size, 8);
    put_fixed(head + 8, masked_crc(head, 8), 4);
    put_fixed(tail, masked_crc(event->bytes, event->size), 4);
    if (fwrite(head, sizeof head, 1, e->stream) != 1 ||
        fwrite(event->bytes, event->size, 1, e->stream) != 1 ||
        fwrite(tail, sizeof tail, 1, e->stream) != 1)
        return write_failed(e, err);
    return CN_OK;
}

/* ---- The file ---- */

/* Opens the first file of this second and process that isn't there yet. */
static cn_status open_file(cn_tfevents *e, const char *folder, cn_error *err)
{
    for (int number = 0;; number++) {
        const int n =
            snprintf(e->path, sizeof e->path, "%s/events.out.tfevents.%010lld.colonnade.%ld.%d",
                     folder, (long long)(cn_clock_wall() / CN_NS_PER_S), (long)getpid(), number);
        CN_FAIL_IF(n < 0 || (size_t)n >= sizeof e->path, CN_ERR_ARGUMENT, err, "path too long: %s",
                   folder);
        const int fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST)
            continue;
        CN_FAIL_IF(fd < 0, CN_ERR_IO, err, "%s: cannot write: %s", e->path, strerror(errno));
        e->stream = fdopen(fd, "wb");
        if (!e->stream) {
            close(fd);
            CN_FAIL(CN_ERR_MEMORY, err, "%s: no memory for a stream", e->path);
        }
        return CN_OK;
    }
}

cn_status cn_tfevents_create(const char *folder, cn_tfevents **out, cn_error *err)
{
    static const char version[] = "brain.Event:2";
    *out = NULL;
    cn_tfevents *e = calloc(1, sizeof *e);
    CN_FAIL_IF(!e, CN_ERR_MEMORY, err, "%s: no memory for events", folder);
    cn_status status = CN_OK;
    CN_TRY_CLEANUP(open_file(e, folder, err));
    message event;
    begin_event(&event);
    put_bytes(&event, 3, version, sizeof version - 1);
    CN_TRY_CLEANUP(write_record(e, &event, err));
    CN_TRY_CLEANUP(cn_tfevents_flush(e, err));
    *out = e;
    e = NULL;
cleanup:
    cn_tfevents_close(&e, NULL);
    return status;
}

cn_status cn_tfevents_scalar(cn_tfevents *events, const char *tag, int64_t step, float value,
                             cn_error *err)
{
    const size_t length = strlen(tag);
    CN_FAIL_IF(length < 1 || length >= CN_TFEVENTS_TAG, CN_ERR_ARGUMENT, err,
               "%s: a tag of %zu bytes, expected 1 to %d", events->path, length,
               CN_TFEVENTS_TAG - 1);
    message event;
    scalar_event(&event, tag, step, value);
    return write_record(events, &event, err);
}

cn_status cn_tfevents_flush(cn_tfevents *events, cn_error *err)
{
    return fflush(events->stream) == 0 ? CN_OK : write_failed(events, err);
}

cn_status cn_tfevents_close(cn_tfevents **events, cn_error *err)
{
    cn_tfevents *const e = *events;
    if (!e)
        return CN_OK;
    cn_status status = CN_OK;
    if (e->stream && fclose(e->stream) != 0)
        status = write_failed(e, err);
    free(e);
    *events = NULL;
    return status;
}

const char *cn_tfevents_path(const cn_tfevents *events)
{
    return events->path;
}
