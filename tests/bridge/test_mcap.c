/* MCAP written and read back: whole files, files cut off anywhere, and files that were damaged.
 * That others can read them is test_mcap_readers.py's matter. */
#include <unistd.h>

#include "base/file.h"
#include "bridge/mcap.h"
#include "bridge/mcap_format.h"
#include "tests/folder.h"

#define MESSAGES    200
#define CHUNK_BYTES 2048 /* a few dozen messages: the file has several chunks */

static cn_error err;
static char path[] = "/tmp/cn-test-mcap-XXXXXX";

/* A new empty file; every test ends with remove(path). */
static void make_path(void)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
}

/* The bytes of message i: its size and content depend on i alone; message 0 is empty. */
static size_t content(int i, uint8_t bytes[64])
{
    const size_t size = (size_t)(i * 7 % 61);
    for (size_t k = 0; k < size; k++)
        bytes[k] = (uint8_t)((size_t)i * 31 + k * k);
    return size;
}

static void put_messages(cn_mcap_writer *w, const uint16_t channel[2], int first, int end)
{
    for (int i = first; i < end; i++) {
        uint8_t bytes[64];
        const size_t size = content(i, bytes);
        CN_ASSERT_OK(cn_mcap_message(w, channel[i % 2], (uint32_t)i, 1000 + (uint64_t)i,
                                     2000 + (uint64_t)i, bytes, size, &err));
    }
}

static cn_mcap_writer *begin_file(cn_mcap_compression compression, uint16_t channel[2])
{
    static const char *const keys[] = {"task", "arm"}, *const values[] = {"reach", "jaco"};
    cn_mcap_writer *w;
    uint16_t schema;
    make_path();
    CN_ASSERT_OK(cn_mcap_create(path, compression, CHUNK_BYTES, &w, &err));
    CN_ASSERT_OK(cn_mcap_schema(w, "test.Message", "descriptor", 10, &schema, &err));
    CN_ASSERT_OK(cn_mcap_channel(w, schema, "/even", &channel[0], &err));
    CN_ASSERT_OK(cn_mcap_channel(w, schema, "/odd", &channel[1], &err));
    CN_ASSERT_OK(cn_mcap_metadata(w, "about", keys, values, 2, &err));
    return w;
}

static void write_file(cn_mcap_compression compression)
{
    uint16_t channel[2];
    cn_mcap_writer *w = begin_file(compression, channel);
    put_messages(w, channel, 0, MESSAGES);
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
    CU_ASSERT_PTR_NULL(w);
}

/* Whether the record is message i, whole. */
static bool is_message(const cn_mcap_record *r, int i)
{
    uint8_t bytes[64];
    const size_t size = content(i, bytes);
    return strcmp(r->topic, i % 2 ? "/odd" : "/even") == 0 &&
           strcmp(r->schema, "test.Message") == 0 && r->sequence == (uint32_t)i &&
           r->log_time == 1000 + (uint64_t)i && r->publish_time == 2000 + (uint64_t)i &&
           r->size == size && (size == 0 || memcmp(r->data, bytes, size) == 0);
}

/* Reads on until something else than a message comes; *count messages came, each whole and in
 * order. */
static cn_status read_messages(cn_mcap_reader *reader, int *count)
{
    cn_mcap_record record;
    cn_status status;
    bool good = true;
    for (*count = 0; (status = cn_mcap_next(reader, &record, &err)) == CN_OK; ++*count)
        good = good && is_message(&record, *count);
    CU_ASSERT(good);
    return status;
}

static void write_bytes(const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, size, f), size);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

static void test_mcap_round_trip(void)
{
    for (int c = CN_MCAP_NONE; c <= CN_MCAP_ZSTD; c++) {
        write_file((cn_mcap_compression)c);
        cn_mcap_reader *reader;
        int count;
        CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
        for (int pass = 0; pass < 2; pass++) {
            CU_ASSERT_EQUAL(read_messages(reader, &count), CN_ERR_NOT_FOUND);
            CU_ASSERT_EQUAL(count, MESSAGES);
            CU_ASSERT_FALSE(cn_mcap_truncated(reader));
            cn_mcap_rewind(reader);
        }
        cn_mcap_close(&reader);
        CU_ASSERT_PTR_NULL(reader);
        cn_mcap_close(&reader);
        remove(path);
    }
}

static void test_mcap_metadata(void)
{
    write_file(CN_MCAP_ZSTD);
    cn_mcap_reader *reader;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, "about", "task"), "reach");
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, "about", "arm"), "jaco");
    CU_ASSERT_PTR_NULL(cn_mcap_metadata_value(reader, "about", "robot"));
    CU_ASSERT_PTR_NULL(cn_mcap_metadata_value(reader, "other", "task"));
    cn_mcap_close(&reader);
    remove(path);
}

/* A long name is kept once, however many entries have it: once each would be 50 GB. */
static void test_mcap_metadata_of_many_entries(void)
{
    enum { NAME = 1 << 20, ENTRIES = 50000 };
    char *const name = malloc(NAME + 1);
    const char **const texts = malloc(ENTRIES * sizeof *texts);
    cn_mcap_writer *w;
    cn_mcap_reader *reader;
    CU_ASSERT_PTR_NOT_NULL_FATAL(name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(texts);
    memset(name, 'n', NAME);
    name[NAME] = '\0';
    for (int i = 0; i < ENTRIES; i++)
        texts[i] = i == ENTRIES / 2 ? "k" : "";
    make_path();
    CN_ASSERT_OK(cn_mcap_create(path, CN_MCAP_NONE, CHUNK_BYTES, &w, &err));
    CN_ASSERT_OK(cn_mcap_metadata(w, name, texts, texts, ENTRIES, &err));
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, name, "k"), "k");
    cn_mcap_close(&reader);
    remove(path);
    free(texts);
    free(name);
}

static void test_mcap_without_messages(void)
{
    uint16_t channel[2];
    cn_mcap_writer *w = begin_file(CN_MCAP_LZ4, channel);
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
    cn_mcap_reader *reader;
    int count;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CU_ASSERT_EQUAL(read_messages(reader, &count), CN_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_FALSE(cn_mcap_truncated(reader));
    cn_mcap_close(&reader);
    remove(path);
}

/* What was flushed is there for a reader although the writer never finished. */
static void test_mcap_flush_survives_a_kill(void)
{
    uint16_t channel[2];
    cn_mcap_writer *w = begin_file(CN_MCAP_ZSTD, channel);
    put_messages(w, channel, 0, 5);
    CN_ASSERT_OK(cn_mcap_flush(w, &err));
    put_messages(w, channel, 5, 9);
    cn_mcap_reader *reader;
    int count;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CU_ASSERT_EQUAL(read_messages(reader, &count), CN_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(count, 5);
    CU_ASSERT_TRUE(cn_mcap_truncated(reader));
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, "about", "task"), "reach");
    cn_mcap_close(&reader);
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
    remove(path);
}

/* Cut at every byte: the whole chunks before the cut, no less, and never an error. */
static void test_mcap_cut_anywhere(void)
{
    write_file(CN_MCAP_ZSTD);
    char *bytes;
    size_t size;
    CN_ASSERT_OK(cn_file_read(path, &bytes, &size, &err));
    int before = 0;
    for (size_t cut = CN_MCAP_MAGIC_SIZE; cut <= size; cut++) {
        cn_mcap_reader *reader;
        int count;
        if (cut == CN_MCAP_MAGIC_SIZE)
            write_bytes(bytes, cut);
        else {
            FILE *f = fopen(path, "ab");
            CU_ASSERT_PTR_NOT_NULL_FATAL(f);
            fputc((unsigned char)bytes[cut - 1], f);
            fclose(f);
        }
        CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
        CU_ASSERT_EQUAL(read_messages(reader, &count), CN_ERR_NOT_FOUND);
        CU_ASSERT_EQUAL(cn_mcap_truncated(reader), cut < size);
        CU_ASSERT(count >= before);
        before = count;
        cn_mcap_close(&reader);
    }
    CU_ASSERT_EQUAL(before, MESSAGES);
    free(bytes);
    remove(path);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator: enough for noise */
    return *state >> 8;
}

/* Reads on behind every damage, each within the file and behind the one before. @return why it
 * ended */
static cn_status read_past_damage(cn_mcap_reader *reader, size_t file_size)
{
    cn_mcap_record record;
    cn_mcap_damage damage;
    uint64_t behind = 0;
    for (int count = 0;;) {
        const cn_status status = cn_mcap_next(reader, &record, &err);
        if (status == CN_OK) {
            CU_ASSERT_FATAL(++count <= 2 * MESSAGES);
            continue;
        }
        if (status != CN_ERR_FORMAT && status != CN_ERR_CHECKSUM)
            return status;
        const bool goes_on = cn_mcap_skip(reader, &damage);
        CU_ASSERT(damage.byte >= behind && damage.byte + damage.bytes <= file_size);
        if (!goes_on)
            return status;
        behind = damage.byte + damage.bytes;
        CU_ASSERT_FATAL(behind > damage.byte);
    }
}

/* Whatever is overwritten, reading ends, and with one of the errors the header names. */
static void test_mcap_survives_mutations(void)
{
    uint32_t random = 1;
    for (int round = 0; round < 600; round++) {
        if (round % 200 == 0)
            write_file((cn_mcap_compression)(round / 200));
        char *bytes;
        size_t size;
        CN_ASSERT_OK(cn_file_read(path, &bytes, &size, &err));
        char *const copy = malloc(size);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, bytes, size);
        for (uint32_t n = next_random(&random) % 8 + 1; n > 0; n--) {
            /* half of them near the start, where records are dense */
            const uint32_t span = n % 2 ? 256 : (uint32_t)size;
            copy[next_random(&random) % span] = (char)next_random(&random);
        }
        write_bytes(copy, size);
        cn_mcap_reader *reader;
        cn_status status = cn_mcap_open(path, &reader, &err);
        if (status == CN_OK)
            status = read_past_damage(reader, size);
        CU_ASSERT(status == CN_ERR_NOT_FOUND || status == CN_ERR_FORMAT ||
                  status == CN_ERR_CHECKSUM || status == CN_ERR_MEMORY);
        cn_mcap_close(&reader);
        write_bytes(bytes, size);
        free(copy);
        free(bytes);
        if (round % 200 == 199)
            remove(path);
    }
}

/* One flipped bit inside a chunk is caught by its checksum, and the error repeats. */
static void test_mcap_finds_a_flipped_bit(void)
{
    write_file(CN_MCAP_NONE);
    char *bytes;
    size_t size;
    CN_ASSERT_OK(cn_file_read(path, &bytes, &size, &err));
    bytes[1000] ^= 4;
    write_bytes(bytes, size);
    cn_mcap_reader *reader;
    cn_mcap_record record;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CN_ASSERT_FAILS(CN_ERR_CHECKSUM, "has checksum", cn_mcap_next(reader, &record, &err));
    CN_ASSERT_FAILS(CN_ERR_CHECKSUM, "has checksum", cn_mcap_next(reader, &record, &err));
    cn_mcap_close(&reader);
    free(bytes);
    remove(path);
}

/* Files made by hand, each wrong in one way. */
typedef struct draft {
    uint8_t bytes[512];
    size_t size;
} draft;

static void add(draft *d, const void *bytes, size_t size)
{
    memcpy(d->bytes + d->size, bytes, size);
    d->size += size;
}

static void add_number(draft *d, uint64_t value, int width)
{
    cn_mcap_store(d->bytes + d->size, value, width);
    d->size += (size_t)width;
}

static void add_record(draft *d, int opcode, const draft *body)
{
    add_number(d, (uint64_t)opcode, 1);
    add_number(d, body->size, 8);
    add(d, body->bytes, body->size);
}

static void add_schema(draft *d, uint16_t id, const char *name)
{
    draft body = {0};
    add_number(&body, id, 2);
    add_number(&body, strlen(name), 4);
    add(&body, name, strlen(name));
    add_number(&body, 0, 4);
    add_number(&body, 0, 4);
    add_record(d, CN_MCAP_SCHEMA, &body);
}

static void add_channel(draft *d, uint16_t id, uint16_t schema, const char *topic)
{
    draft body = {0};
    add_number(&body, id, 2);
    add_number(&body, schema, 2);
    add_number(&body, strlen(topic), 4);
    add(&body, topic, strlen(topic));
    add_number(&body, 0, 4);
    add_number(&body, 0, 4);
    add_record(d, CN_MCAP_CHANNEL, &body);
}

/* An uncompressed chunk that says it holds `size` bytes, compressed as `compression`. */
static void add_chunk(draft *d, uint64_t size, const char *compression, const draft *records)
{
    draft body = {0};
    add_number(&body, 0, 8);
    add_number(&body, 0, 8);
    add_number(&body, size, 8);
    add_number(&body, 0, 4);
    add_number(&body, strlen(compression), 4);
    add(&body, compression, strlen(compression));
    add_number(&body, records->size, 8);
    add(&body, records->bytes, records->size);
    add_record(d, CN_MCAP_CHUNK, &body);
}

static void expect_refused(const draft *d, const char *words)
{
    make_path();
    write_bytes(d->bytes, d->size);
    cn_mcap_reader *reader;
    cn_mcap_record record;
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, words, cn_mcap_next(reader, &record, &err));
    cn_mcap_close(&reader);
    remove(path);
}

static void test_mcap_refuses_wrong_records(void)
{
    draft magic = {0};
    add(&magic, CN_MCAP_MAGIC, CN_MCAP_MAGIC_SIZE);
    draft d = magic, inner = {0}, body = {0};
    add_channel(&d, 1, 7, "/a");
    expect_refused(&d, "uses schema 7, which is not there");

    d = magic;
    add_schema(&d, 1, "a.A");
    add_channel(&d, 1, 1, "/a");
    add_channel(&d, 1, 1, "/b");
    expect_refused(&d, "channel 1 at byte 61 is '/b' of a.A, before it was '/a' of a.A");

    d = magic;
    add_schema(&d, 1, "a.A");
    add_schema(&d, 1, "a.B");
    expect_refused(&d, "before it was 'a.A'");

    d = magic;
    add_schema(&d, 0, "a.A");
    expect_refused(&d, "has number 0");

    d = magic;
    add_number(&body, 9, 2);
    add_number(&body, 0, 8);
    add_number(&body, 0, 8);
    add_record(&d, CN_MCAP_MESSAGE, &body);
    expect_refused(&d, "the message at byte 8 is shorter than its fields");

    d = magic;
    add_number(&body, 0, 4);
    add_record(&d, CN_MCAP_MESSAGE, &body);
    expect_refused(&d, "for channel 9, which is not there");

    d = magic;
    add_number(&d, 0, 8);
    add_number(&d, 0, 8);
    expect_refused(&d, "there is no record at byte 8");

    d = magic;
    add_record(&inner, CN_MCAP_CHUNK, &(draft){0});
    add_chunk(&d, inner.size, "", &inner);
    expect_refused(&d, "not allowed in a chunk");

    d = magic;
    add_chunk(&d, inner.size - 1, "", &inner);
    expect_refused(&d, "9 bytes can't become 8");

    d = magic;
    inner.size--;
    add_chunk(&d, inner.size, "", &inner);
    expect_refused(&d, "shorter than its fields");
}

static void test_mcap_refuses_wrong_chunks(void)
{
    draft magic = {0};
    add(&magic, CN_MCAP_MAGIC, CN_MCAP_MAGIC_SIZE);
    draft d = magic, noise = {{1, 2, 3}, 3};
    add_chunk(&d, CN_MCAP_CHUNK_MAX + 1, "zstd", &noise);
    expect_refused(&d, "expected at most 1073741824");

    d = magic;
    add_chunk(&d, 10, "zstd", &noise);
    expect_refused(&d, "does not decompress");

    d = magic;
    add_chunk(&d, 10, "lz4", &noise);
    expect_refused(&d, "does not decompress");

    d = magic;
    add_chunk(&d, CN_MCAP_CHUNK_MAX, "lz4", &noise);
    expect_refused(&d, "3 bytes can't become 1073741824");

    d = magic;
    add_chunk(&d, 3, "bz2", &noise);
    expect_refused(&d, "is compressed as 'bz2'");

    d = magic;
    add_record(&d, CN_MCAP_CHUNK, &noise);
    expect_refused(&d, "malformed string");
}

static void test_mcap_open_errors(void)
{
    cn_mcap_reader *reader;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/tmp/no/such.mcap",
                    cn_mcap_open("/tmp/no/such.mcap", &reader, &err));
    CU_ASSERT_PTR_NULL(reader);
    CN_ASSERT_FAILS(CN_ERR_IO, "not a file", cn_mcap_open("/tmp", &reader, &err));
    make_path();
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "not an MCAP file", cn_mcap_open(path, &reader, &err));
    write_bytes("name,age\nada,36\n", 16);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "not an MCAP file", cn_mcap_open(path, &reader, &err));
    remove(path);
}

static void test_mcap_writer_errors(void)
{
    cn_mcap_writer *w;
    uint16_t id;
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot write",
                    cn_mcap_create("/tmp/no/such.mcap", CN_MCAP_ZSTD, 1024, &w, &err));
    CU_ASSERT_PTR_NULL(w);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "chunks of 0 bytes",
                    cn_mcap_create(path, CN_MCAP_ZSTD, 0, &w, &err));
    make_path();
    CN_ASSERT_OK(cn_mcap_create(path, CN_MCAP_ZSTD, 1024, &w, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "schema 1; there are 1 to 0",
                    cn_mcap_channel(w, 1, "/a", &id, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "channel 1; there are 1 to 0",
                    cn_mcap_message(w, 1, 0, 0, 0, "", 0, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "expected at most",
                    cn_mcap_schema(w, "a", "", (size_t)CN_MCAP_CHUNK_MAX, &id, &err));
    CN_ASSERT_OK(cn_mcap_schema(w, "a", "", 0, &id, &err));
    CN_ASSERT_OK(cn_mcap_channel(w, id, "/a", &id, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "expected at most",
                    cn_mcap_message(w, id, 0, 0, 0, "", (size_t)CN_MCAP_CHUNK_MAX, &err));
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
    remove(path);
}

/* A full disk is an error at once and stays one. */
static void test_mcap_full_disk(void)
{
    cn_mcap_writer *w;
    CN_ASSERT_OK(cn_mcap_create("/dev/full", CN_MCAP_ZSTD, 1024, &w, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full: cannot write at byte 0", cn_mcap_flush(w, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full: cannot write at byte 0",
                    cn_mcap_metadata(w, "a", NULL, NULL, 0, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full: cannot write at byte 0", cn_mcap_finish(&w, &err));
    CU_ASSERT_PTR_NULL(w);
}

/* The check value of CRC-32/ISO-HDLC, and that it can be computed in pieces. */
static void test_mcap_checksum(void)
{
    CU_ASSERT_EQUAL(cn_mcap_crc32(0, "123456789", 9), 0xCBF43926);
    CU_ASSERT_EQUAL(cn_mcap_crc32(cn_mcap_crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
}

/* One file of each compression for test_mcap_readers.py, in the folder $CN_SAMPLE if that is set.
 */
static void test_mcap_samples(void)
{
    static const char *const names[] = {"none.mcap", "lz4.mcap", "zstd.mcap"};
    for (int c = CN_MCAP_NONE; c <= CN_MCAP_ZSTD; c++) {
        write_file((cn_mcap_compression)c);
        file_sample(path, names[c]);
    }
}

CN_TEST_MAIN("bridge.mcap", T(test_mcap_round_trip), T(test_mcap_metadata),
             T(test_mcap_metadata_of_many_entries), T(test_mcap_without_messages),
             T(test_mcap_flush_survives_a_kill), T(test_mcap_cut_anywhere),
             T(test_mcap_survives_mutations), T(test_mcap_finds_a_flipped_bit),
             T(test_mcap_refuses_wrong_records), T(test_mcap_refuses_wrong_chunks),
             T(test_mcap_open_errors), T(test_mcap_writer_errors), T(test_mcap_full_disk),
             T(test_mcap_checksum), T(test_mcap_samples))
