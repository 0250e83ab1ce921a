/* Reading MCAP from front to back: record by record, opening one chunk after the other. Nothing
 * that the file says is believed: every length is checked against the bytes that are there, so a
 * file that was cut off yields its whole records and one that was damaged yields an error.
 *
 * Checksums of chunks are verified; those of the data section and the summary are not, since a
 * linear reader neither needs the summary nor reads every byte before it. */
#include "bridge/mcap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/mcap_format.h"

typedef struct block {
    uint8_t *data;
    size_t size, capacity;
} block;

typedef struct schema {
    char *name;    /* NULL: not seen yet */
    bool protobuf; /* what its data is */
    uint8_t *data;
    size_t size;
} schema;

typedef struct channel {
    char *topic;     /* NULL: not seen yet */
    uint16_t schema; /* its number; 0: none */
} channel;

struct cn_mcap_reader {
    int fd;
    char *path;
    uint64_t size; /* of the file when it was opened */

    schema *schema;   /* [schemas] by id */
    channel *channel; /* [channels] by id */
    size_t schemas, channels;
    cn_mcap_entry *metadata, **last_metadata; /* in file order; where the next one goes */

    uint64_t here;            /* of the record in work, for messages */
    uint64_t offset;          /* of the next record in the file */
    block record;             /* body of the current one */
    block chunk;              /* the open chunk, uncompressed */
    size_t at;                /* of the next record in it; chunk.size: none is open */
    bool truncated, complete; /* see cn_mcap_extent */
    uint64_t chunks;          /* opened since the beginning */
};

/* ---- Bytes ---- */

/* Makes room for `size` bytes; what was there before is lost. */
static cn_status resize(cn_mcap_reader *r, block *b, uint64_t size, cn_error *err)
{
    if (size > b->capacity || !b->data) {
        free(b->data);
        b->size = b->capacity = 0;
        b->data = size < SIZE_MAX ? malloc((size_t)size + 1) : NULL;
        CN_FAIL_IF(!b->data, CN_ERR_MEMORY, err,
                   "%s: no memory for a record of %" PRIu64 " bytes at byte %" PRIu64, r->path,
                   size, r->here);
        b->capacity = (size_t)size;
    }
    b->size = (size_t)size;
    return CN_OK;
}

/* The unread part of a record's body. A field that isn't there sets `short_of` and reads as 0. */
typedef struct fields {
    const uint8_t *data;
    size_t size;
    bool short_of;
} fields;

static const uint8_t *take(fields *f, uint64_t size)
{
    if (f->short_of || size > f->size) {
        f->short_of = true;
        return NULL;
    }
    const uint8_t *at = f->data;
    f->data += size;
    f->size -= (size_t)size;
    return at;
}

static uint64_t take_number(fields *f, int width)
{
    const uint8_t *at = take(f, (uint64_t)width);
    return at ? cn_mcap_load(at, width) : 0;
}

/* A byte array with its length before it. */
static fields take_sized(fields *f, int width)
{
    const uint64_t size = take_number(f, width);
    const uint8_t *at = take(f, size);
    return (fields){at, at ? (size_t)size : 0, f->short_of};
}

/* A string as C knows it, owned by the caller; *text is NULL when it is malformed or memory is out.
 */
static cn_status take_string(const cn_mcap_reader *r, fields *f, char **text, cn_error *err)
{
    *text = NULL;
    const fields s = take_sized(f, 4);
    CN_FAIL_IF(s.short_of || (s.size && memchr(s.data, '\0', s.size)), CN_ERR_FORMAT, err,
               "%s: the record at byte %" PRIu64 " holds a malformed string", r->path, r->here);
    *text = calloc(1, s.size + 1);
    CN_FAIL_IF(!*text, CN_ERR_MEMORY, err, "%s: no memory for a string of %zu bytes", r->path,
               s.size);
    if (s.size)
        memcpy(*text, s.data, s.size);
    return CN_OK;
}

static cn_status malformed(const cn_mcap_reader *r, const char *what, cn_error *err)
{
    CN_FAIL(CN_ERR_FORMAT, err, "%s: the %s at byte %" PRIu64 " is shorter than its fields",
            r->path, what, r->here);
}

static cn_status read_at(cn_mcap_reader *r, uint64_t offset, void *to, size_t size, cn_error *err)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = pread(r->fd, (uint8_t *)to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        CN_FAIL_IF(n <= 0, CN_ERR_IO, err, "%s: cannot read byte %" PRIu64 ": %s", r->path,
                   offset + done, n < 0 ? strerror(errno) : "the file became shorter");
        done += (size_t)n;
    }
    return CN_OK;
}

/* ---- Schemas, channels, metadata ---- */

/* Makes room for number `id` in a table of `item` bytes each; new items are zero. */
static cn_status grow_table(const cn_mcap_reader *r, void **table, size_t *count, uint16_t id,
                            size_t item, cn_error *err)
{
    if (id < *count)
        return CN_OK;
    const size_t wanted = id + (size_t)1;
    uint8_t *const grown = realloc(*table, wanted * item);
    CN_FAIL_IF(!grown, CN_ERR_MEMORY, err, "%s: no memory for %zu channels", r->path, wanted);
    memset(grown + *count * item, 0, (wanted - *count) * item);
    *table = grown;
    *count = wanted;
    return CN_OK;
}

static cn_status read_schema(cn_mcap_reader *r, fields f, cn_error *err)
{
    const uint16_t id = (uint16_t)take_number(&f, 2);
    void *table = r->schema;
    const cn_status grown = grow_table(r, &table, &r->schemas, id, sizeof *r->schema, err);
    r->schema = table;
    CN_TRY(grown);
    char *name = NULL, *encoding = NULL;
    cn_status status = CN_OK;
    schema *const s = &r->schema[id];
    CN_TRY_CLEANUP(take_string(r, &f, &name, err));
    CN_TRY_CLEANUP(take_string(r, &f, &encoding, err));
    if (id == 0)
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err,
                        "%s: schema '%s' at byte %" PRIu64 " has number 0, expected 1 or more",
                        r->path, name, r->here);
    if (s->name && strcmp(s->name, name) != 0)
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err,
                        "%s: schema %u at byte %" PRIu64 " is '%s', before it was '%s'", r->path,
                        id, r->here, name, s->name);
    const fields data = take_sized(&f, 4);
    if (data.short_of) {
        status = malformed(r, "schema", err);
        goto cleanup;
    }
    if (!s->name) {
        uint8_t *const copy = malloc(data.size + 1);
        if (!copy)
            CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for schema '%s'", r->path, name);
        if (data.size)
            memcpy(copy, data.data, data.size);
        *s = (schema){name, strcmp(encoding, "protobuf") == 0, copy, data.size};
        name = NULL;
    }
cleanup:
    free(name);
    free(encoding);
    return status;
}

/* The full message name of a channel's schema, "" when it has none; NULL: that is not there. */
static const char *schema_name(const cn_mcap_reader *r, uint16_t id)
{
    return id == 0 ? "" : id < r->schemas ? r->schema[id].name : NULL;
}

static cn_status read_channel(cn_mcap_reader *r, fields f, cn_error *err)
{
    const uint16_t id = (uint16_t)take_number(&f, 2);
    const uint16_t schema_id = (uint16_t)take_number(&f, 2);
    void *table = r->channel;
    const cn_status grown = grow_table(r, &table, &r->channels, id, sizeof *r->channel, err);
    r->channel = table;
    CN_TRY(grown);
    char *topic = NULL;
    CN_TRY(take_string(r, &f, &topic, err));
    cn_status status = CN_OK;
    channel *const c = &r->channel[id];
    const char *const name = schema_name(r, schema_id);
    if (!name)
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err,
                        "%s: channel '%s' at byte %" PRIu64 " uses schema %u, which is not there",
                        r->path, topic, r->here, schema_id);
    if (c->topic && (strcmp(c->topic, topic) != 0 || c->schema != schema_id))
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err,
                        "%s: channel %u at byte %" PRIu64
                        " is '%s' of %s, before it was '%s' of %s",
                        r->path, id, r->here, topic, name, c->topic, schema_name(r, c->schema));
    if (!c->topic) {
        *c = (channel){topic, schema_id};
        topic = NULL;
    }
cleanup:
    free(topic);
    return status;
}

/* The entries of a record share its name; the last of them frees it. */
static void free_metadata(cn_mcap_entry *m)
{
    if (!m->next || m->next->name != m->name)
        free(m->name);
    free(m->key);
    free(m->value);
    free(m);
}

static cn_status read_metadata(cn_mcap_reader *r, fields f, cn_error *err)
{
    fields after_name = f;
    take_sized(&after_name, 4);
    fields map = take_sized(&after_name, 4);
    if (map.short_of)
        return malformed(r, "metadata", err);
    for (char *name = NULL; map.size;) {
        cn_mcap_entry *const m = calloc(1, sizeof *m);
        CN_FAIL_IF(!m, CN_ERR_MEMORY, err, "%s: no memory for metadata", r->path);
        /* From here on it belongs to the reader, which is closed when this fails. */
        *r->last_metadata = m;
        r->last_metadata = &m->next;
        if (!name)
            CN_TRY(take_string(r, &f, &name, err));
        m->name = name;
        CN_TRY(take_string(r, &map, &m->key, err));
        CN_TRY(take_string(r, &map, &m->value, err));
    }
    return CN_OK;
}

/* ---- Messages and chunks ---- */

static cn_status read_message(const cn_mcap_reader *r, fields f, cn_mcap_record *out, cn_error *err)
{
    const uint16_t id = (uint16_t)take_number(&f, 2);
    *out = (cn_mcap_record){
        .sequence = (uint32_t)take_number(&f, 4),
        .log_time = take_number(&f, 8),
        .publish_time = take_number(&f, 8),
    };
    if (f.short_of)
        return malformed(r, "message", err);
    const channel *const c = id < r->channels ? &r->channel[id] : NULL;
    CN_FAIL_IF(!c || !c->topic, CN_ERR_FORMAT, err,
               "%s: the message at byte %" PRIu64 " is for channel %u, which is not there", r->path,
               r->here, id);
    const schema *const s = c->schema ? &r->schema[c->schema] : NULL;
    out->topic = c->topic;
    out->channel = id;
    out->schema = s ? s->name : "";
    out->schema_id = c->schema;
    out->descriptor_set = s && s->protobuf ? s->data : NULL;
    out->descriptor_set_size = s && s->protobuf ? s->size : 0;
    out->data = f.data;
    out->size = f.size;
    return CN_OK;
}

/* Decompresses the chunk in `f` and makes it the open one. */
static cn_status open_chunk(cn_mcap_reader *r, fields f, cn_error *err)
{
    take(&f, 8 + 8); /* first and last log time */
    const uint64_t size = take_number(&f, 8);
    const uint32_t crc = (uint32_t)take_number(&f, 4);
    char *compression = NULL;
    CN_TRY(take_string(r, &f, &compression, err));
    cn_status status = CN_OK;
    const fields packed = take_sized(&f, 8);
    if (packed.short_of) {
        status = malformed(r, "chunk", err);
        goto cleanup;
    }
    status = cn_mcap_can_unpack(compression, packed.data, packed.size, size, err);
    if (status == CN_OK)
        CN_TRY_CLEANUP(resize(r, &r->chunk, size, err));
    if (status == CN_OK)
        status = cn_mcap_unpack(compression, packed.data, packed.size, r->chunk.data, r->chunk.size,
                                err);
    if (status != CN_OK) {
        cn_error_prefix(err, status, "%s: the chunk at byte %" PRIu64, r->path, r->here);
        goto cleanup;
    }
    const uint32_t found = cn_mcap_crc32(0, r->chunk.data, r->chunk.size);
    if (crc != 0 && crc != found)
        CN_FAIL_CLEANUP(CN_ERR_CHECKSUM, err,
                        "%s: the chunk at byte %" PRIu64 " has checksum %08x, expected %08x",
                        r->path, r->here, found, crc);
    r->at = 0;
    r->chunks++;
cleanup:
    if (status != CN_OK)
        r->at = r->chunk.size = 0;
    free(compression);
    return status;
}

/* The next record of the open chunk. *found: it was a message. */
static cn_status next_in_chunk(cn_mcap_reader *r, cn_mcap_record *out, bool *found, cn_error *err)
{
    fields rest = {r->chunk.data + r->at, r->chunk.size - r->at, false};
    const uint8_t opcode = (uint8_t)take_number(&rest, 1);
    const fields body = take_sized(&rest, 8);
    if (body.short_of)
        return malformed(r, "last record in the chunk", err);
    if (opcode == CN_MCAP_SCHEMA)
        CN_TRY(read_schema(r, body, err));
    else if (opcode == CN_MCAP_CHANNEL)
        CN_TRY(read_channel(r, body, err));
    else if (opcode == CN_MCAP_MESSAGE)
        CN_TRY(read_message(r, body, out, err));
    else
        CN_FAIL_IF(opcode <= CN_MCAP_OPCODE_LAST, CN_ERR_FORMAT, err,
                   "%s: the chunk at byte %" PRIu64 " holds a record of kind %u, which is not "
                   "allowed in a chunk",
                   r->path, r->here, opcode);
    *found = opcode == CN_MCAP_MESSAGE;
    r->at = r->chunk.size - rest.size;
    return CN_OK;
}

/* ---- The file ---- */

/* The next record: opcode and length of its body; 0 and 0 when the file ends within it. */
static cn_status peek(cn_mcap_reader *r, uint8_t *opcode, uint64_t *length, cn_error *err)
{
    uint8_t head[CN_MCAP_RECORD_HEAD];
    *opcode = 0;
    *length = 0;
    r->here = r->offset;
    if (r->size - r->here < sizeof head)
        return CN_OK;
    CN_TRY(read_at(r, r->here, head, sizeof head, err));
    CN_FAIL_IF(head[0] == 0, CN_ERR_FORMAT, err,
               "%s: there is no record at byte %" PRIu64 ", expected one", r->path, r->here);
    const uint64_t size = cn_mcap_load(head + 1, 8);
    if (size > r->size - r->here - sizeof head)
        return CN_OK;
    *opcode = head[0];
    *length = size;
    return CN_OK;
}

static cn_status read_body(cn_mcap_reader *r, uint64_t length, fields *out, cn_error *err)
{
    CN_TRY(resize(r, &r->record, length, err));
    CN_TRY(read_at(r, r->here + CN_MCAP_RECORD_HEAD, r->record.data, r->record.size, err));
    *out = (fields){r->record.data, r->record.size, false};
    return CN_OK;
}

/* Whether the file ends as a finished one does: a footer was here, then the magic and no more. */
static cn_status check_end(cn_mcap_reader *r, uint64_t after_footer, cn_error *err)
{
    uint8_t magic[CN_MCAP_MAGIC_SIZE];
    r->truncated = r->size - after_footer < sizeof magic;
    if (r->truncated)
        return CN_OK;
    CN_TRY(read_at(r, after_footer, magic, sizeof magic, err));
    CN_FAIL_IF(memcmp(magic, CN_MCAP_MAGIC, sizeof magic) != 0, CN_ERR_FORMAT, err,
               "%s: there is no MCAP magic after the footer, at byte %" PRIu64, r->path,
               after_footer);
    return CN_OK;
}

/* A record that reaches beyond the end of the file: it was cut off, or the record's length is
 * damaged, where the file has the end of a finished one. */
static cn_status check_cut(cn_mcap_reader *r, cn_error *err)
{
    uint8_t magic[CN_MCAP_MAGIC_SIZE] = {0};
    if (r->size - r->here > CN_MCAP_RECORD_HEAD + sizeof magic)
        CN_TRY(read_at(r, r->size - sizeof magic, magic, sizeof magic, err));
    CN_FAIL_IF(memcmp(magic, CN_MCAP_MAGIC, sizeof magic) == 0, CN_ERR_FORMAT, err,
               "%s: the record at byte %" PRIu64
               " says that it reaches beyond the end of the file, which is finished",
               r->path, r->here);
    r->truncated = true;
    return CN_OK;
}

/* Takes in the next record and moves behind it. *found: it was a message, now in `out`. */
static cn_status next_in_file(cn_mcap_reader *r, cn_mcap_record *out, bool *found, bool *end,
                              cn_error *err)
{
    uint8_t opcode;
    uint64_t length;
    fields body;
    CN_TRY(peek(r, &opcode, &length, err));
    const uint64_t after = r->offset + CN_MCAP_RECORD_HEAD + length;
    *end = opcode == 0 || opcode == CN_MCAP_FOOTER;
    if (opcode == 0)
        return check_cut(r, err);
    if (opcode == CN_MCAP_FOOTER)
        return check_end(r, after, err);
    if (*end)
        return CN_OK;
    switch (opcode) {
    case CN_MCAP_SCHEMA:
    case CN_MCAP_CHANNEL:
    case CN_MCAP_MESSAGE:
    case CN_MCAP_CHUNK:
        CN_TRY(read_body(r, length, &body, err));
        break;
    default: /* indexes, statistics, attachments, and what later versions add: stepped over */
        r->complete |= opcode == CN_MCAP_DATA_END;
        r->offset = after;
        return CN_OK;
    }
    if (opcode == CN_MCAP_SCHEMA)
        CN_TRY(read_schema(r, body, err));
    else if (opcode == CN_MCAP_CHANNEL)
        CN_TRY(read_channel(r, body, err));
    else if (opcode == CN_MCAP_MESSAGE)
        CN_TRY(read_message(r, body, out, err));
    else
        CN_TRY(open_chunk(r, body, err));
    *found = opcode == CN_MCAP_MESSAGE;
    r->offset = after;
    return CN_OK;
}

cn_status cn_mcap_next(cn_mcap_reader *r, cn_mcap_record *out, cn_error *err)
{
    *out = (cn_mcap_record){0};
    for (bool found = false, end = false;;) {
        if (r->at < r->chunk.size)
            CN_TRY(next_in_chunk(r, out, &found, err));
        else
            CN_TRY(next_in_file(r, out, &found, &end, err));
        if (found)
            return CN_OK;
        CN_FAIL_IF(end, CN_ERR_NOT_FOUND, err, "%s: no more messages", r->path);
    }
}

void cn_mcap_rewind(cn_mcap_reader *r)
{
    r->offset = CN_MCAP_MAGIC_SIZE;
    r->at = r->chunk.size = 0;
    r->truncated = r->complete = false;
    r->chunks = 0;
}

int cn_mcap_truncated(const cn_mcap_reader *r)
{
    return r->truncated;
}

cn_mcap_extent cn_mcap_reached(const cn_mcap_reader *r)
{
    uint8_t opcode = 0;
    if (r->offset < r->size)
        read_at((cn_mcap_reader *)r, r->offset, &opcode, 1, NULL);
    return (cn_mcap_extent){
        .bytes = r->size,
        .whole = r->offset,
        .chunks = r->chunks,
        .complete = r->complete,
        .in_chunk = opcode == CN_MCAP_CHUNK,
    };
}

bool cn_mcap_skip(cn_mcap_reader *r, cn_mcap_damage *out)
{
    uint8_t opcode, head[CN_MCAP_RECORD_HEAD + 8 + 8];
    uint64_t length;
    *out = (cn_mcap_damage){.byte = r->here};
    const bool opened = r->at < r->chunk.size; /* the walk stands behind it already */
    if (!opened &&
        (peek(r, &opcode, &length, NULL) != CN_OK || opcode == 0 || opcode == CN_MCAP_FOOTER)) {
        out->bytes = r->size - r->offset;
        return false;
    }
    const uint64_t end = opened ? r->offset : r->offset + CN_MCAP_RECORD_HEAD + length;
    out->bytes = end - r->here;
    if (out->bytes >= sizeof head && read_at(r, r->here, head, sizeof head, NULL) == CN_OK &&
        head[0] == CN_MCAP_CHUNK) {
        out->first_ns = cn_mcap_load(head + CN_MCAP_RECORD_HEAD, 8);
        out->last_ns = cn_mcap_load(head + CN_MCAP_RECORD_HEAD + 8, 8);
    }
    r->at = r->chunk.size = 0;
    r->offset = end;
    return true;
}

/* Steps over all records and takes in the metadata, and the schemas and channels that a finished
 * file repeats at its end: with them a damaged first chunk costs no more than its own messages. A
 * file damaged further on ends the walk here and becomes an error in cn_mcap_next, after the
 * messages before the damage. */
static cn_status collect_metadata(cn_mcap_reader *r, cn_error *err)
{
    uint8_t opcode;
    uint64_t length;
    fields body;
    while (peek(r, &opcode, &length, NULL) == CN_OK && opcode != 0 && opcode != CN_MCAP_FOOTER) {
        if (opcode == CN_MCAP_METADATA) {
            CN_TRY(read_body(r, length, &body, err));
            CN_TRY(read_metadata(r, body, err));
        } else if (opcode == CN_MCAP_SCHEMA || opcode == CN_MCAP_CHANNEL) {
            CN_TRY(read_body(r, length, &body, err));
            /* One that is wrong is an error when cn_mcap_next meets it. */
            (void)(opcode == CN_MCAP_SCHEMA ? read_schema : read_channel)(r, body, NULL);
        }
        r->offset += CN_MCAP_RECORD_HEAD + length;
    }
    return CN_OK;
}

static cn_status open_file(cn_mcap_reader *r, cn_error *err)
{
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    CN_FAIL_IF(r->fd < 0, errno == ENOENT ? CN_ERR_NOT_FOUND : CN_ERR_IO, err, "%s: %s", r->path,
               strerror(errno));
    struct stat info;
    CN_FAIL_IF(fstat(r->fd, &info) != 0, CN_ERR_IO, err, "%s: %s", r->path, strerror(errno));
    CN_FAIL_IF(!S_ISREG(info.st_mode), CN_ERR_IO, err, "%s: not a file", r->path);
    r->size = (uint64_t)info.st_size;
    char magic[CN_MCAP_MAGIC_SIZE] = {0};
    if (r->size >= sizeof magic)
        CN_TRY(read_at(r, 0, magic, sizeof magic, err));
    CN_FAIL_IF(memcmp(magic, CN_MCAP_MAGIC, sizeof magic) != 0, CN_ERR_FORMAT, err,
               "%s: not an MCAP file: it does not begin with MCAP's magic", r->path);
    return CN_OK;
}

cn_status cn_mcap_open(const char *path, cn_mcap_reader **out, cn_error *err)
{
    *out = NULL;
    cn_status status = CN_OK;
    cn_mcap_reader *r = calloc(1, sizeof *r);
    CN_FAIL_IF(!r, CN_ERR_MEMORY, err, "%s: no memory for a log reader", path);
    r->fd = -1;
    r->last_metadata = &r->metadata;
    r->path = strdup(path);
    if (!r->path)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for a log reader", path);
    CN_TRY_CLEANUP(open_file(r, err));
    cn_mcap_rewind(r);
    CN_TRY_CLEANUP(collect_metadata(r, err));
    cn_mcap_rewind(r);
    *out = r;
    r = NULL;
cleanup:
    cn_mcap_close(&r);
    return status;
}

void cn_mcap_close(cn_mcap_reader **reader)
{
    cn_mcap_reader *const r = *reader;
    if (!r)
        return;
    for (size_t id = 0; id < r->schemas; id++) {
        free(r->schema[id].name);
        free(r->schema[id].data);
    }
    for (size_t id = 0; id < r->channels; id++)
        free(r->channel[id].topic);
    free(r->schema);
    free(r->channel);
    while (r->metadata) {
        cn_mcap_entry *const m = r->metadata;
        r->metadata = m->next;
        free_metadata(m);
    }
    free(r->record.data);
    free(r->chunk.data);
    if (r->fd >= 0)
        close(r->fd);
    free(r->path);
    free(r);
    *reader = NULL;
}

const cn_mcap_entry *cn_mcap_metadata_list(const cn_mcap_reader *r)
{
    return r->metadata;
}

const char *cn_mcap_metadata_value(const cn_mcap_reader *r, const char *name, const char *key)
{
    for (const cn_mcap_entry *m = r->metadata; m; m = m->next)
        if (strcmp(m->name, name) == 0 && strcmp(m->key, key) == 0)
            return m->value;
    return NULL;
}
