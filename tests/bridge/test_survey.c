/* Surveys: what a log holds and lost is said of whole, cut and damaged files and of killed writers,
 * and a copy holds every message that can be read, byte for byte. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "bridge/log.h"
#include "bridge/mcap_format.h"
#include "bridge/survey.h"
#include "tests/test.h"

#define CHUNKS    10
#define PER_CHUNK 20 /* messages */

static cn_error err;
static char folder[] = "/tmp/cn-test-survey-XXXXXX";
static char path[64], copy[64];
static uint64_t chunk_end[CHUNKS]; /* bytes of the file up to it, its indexes included */

static void begin(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log.mcap", folder);
    snprintf(copy, sizeof copy, "%s/copy.mcap", folder);
}

static void end(void)
{
    remove(path);
    remove(copy);
    CU_ASSERT_EQUAL(rmdir(folder), 0); /* and nothing else was left in it */
}

/* The bytes of message i: hard to compress, so that chunks are some hundred bytes each. */
static size_t content(int i, uint8_t bytes[64])
{
    const size_t size = 10 + (size_t)(i * 7 % 40);
    uint32_t random = (uint32_t)i + 1;
    for (size_t k = 0; k < size; k++) {
        random = random * 1664525u + 1013904223u;
        bytes[k] = (uint8_t)(random >> 24);
    }
    return size;
}

/* CHUNKS chunks of PER_CHUNK messages, by turns on two channels, sequences counted by channel from
 * 100; message `left_out` (-1: none) is not written. Log times are 1000 + 10 i. */
static void write_log(int left_out)
{
    static const char *const keys[] = {"task", "arm"}, *const values[] = {"reach", "jaco"};
    cn_mcap_writer *w;
    uint16_t schema, channel[2];
    struct stat info;
    begin();
    CN_ASSERT_OK(cn_mcap_create(path, CN_MCAP_ZSTD, 1 << 20, &w, &err));
    CN_ASSERT_OK(cn_mcap_metadata(w, "about", keys, values, 2, &err));
    CN_ASSERT_OK(cn_mcap_schema(w, "test.Message", "descriptor", 10, &schema, &err));
    CN_ASSERT_OK(cn_mcap_channel(w, schema, "/even", &channel[0], &err));
    CN_ASSERT_OK(cn_mcap_channel(w, schema, "/odd", &channel[1], &err));
    for (int i = 0; i < CHUNKS * PER_CHUNK; i++) {
        uint8_t bytes[64];
        const size_t size = content(i, bytes);
        const uint64_t time = 1000 + 10 * (uint64_t)i;
        if (i != left_out)
            CN_ASSERT_OK(cn_mcap_message(w, channel[i % 2], 100 + (uint32_t)i / 2, time, time + 5,
                                         bytes, size, &err));
        if (i % PER_CHUNK < PER_CHUNK - 1)
            continue;
        CN_ASSERT_OK(cn_mcap_flush(w, &err));
        CU_ASSERT_EQUAL(stat(path, &info), 0);
        chunk_end[i / PER_CHUNK] = (uint64_t)info.st_size;
    }
    CN_ASSERT_OK(cn_mcap_finish(&w, &err));
}

/* Where chunk k begins: the first one behind the header and the metadata. */
static uint64_t chunk_start(int k)
{
    uint64_t at = k > 0 ? chunk_end[k - 1] : CN_MCAP_MAGIC_SIZE;
    uint8_t head[CN_MCAP_RECORD_HEAD] = {0};
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (;; at += sizeof head + cn_mcap_load(head + 1, 8)) {
        CU_ASSERT_EQUAL_FATAL(fseek(f, (long)at, SEEK_SET), 0);
        CU_ASSERT_EQUAL_FATAL(fread(head, 1, sizeof head, f), sizeof head);
        if (head[0] == CN_MCAP_CHUNK)
            break;
    }
    fclose(f);
    return at;
}

/* Whether the copy is a whole file of the messages [0, first) and [again, end) of write_log. */
static void check_copy(int first, int again)
{
    cn_mcap_reader *reader;
    cn_mcap_record r;
    CN_ASSERT_OK(cn_mcap_open(copy, &reader, &err));
    for (int i = 0; i < CHUNKS * PER_CHUNK; i++) {
        uint8_t bytes[64];
        const size_t size = content(i, bytes);
        if (i >= first && i < again)
            continue;
        CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
        CU_ASSERT_STRING_EQUAL(r.topic, i % 2 ? "/odd" : "/even");
        CU_ASSERT_STRING_EQUAL(r.schema, "test.Message");
        CU_ASSERT(r.descriptor_set_size == 10 && memcmp(r.descriptor_set, "descriptor", 10) == 0);
        CU_ASSERT_EQUAL(r.sequence, 100 + (uint32_t)i / 2);
        CU_ASSERT_EQUAL(r.log_time, 1000 + 10 * (uint64_t)i);
        CU_ASSERT_EQUAL(r.publish_time, r.log_time + 5);
        CU_ASSERT(r.size == size && memcmp(r.data, bytes, size) == 0);
    }
    CU_ASSERT_EQUAL(cn_mcap_next(reader, &r, &err), CN_ERR_NOT_FOUND);
    CU_ASSERT_FALSE(cn_mcap_truncated(reader));
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, "about", "task"), "reach");
    CU_ASSERT_STRING_EQUAL(cn_mcap_metadata_value(reader, "about", "arm"), "jaco");
    cn_mcap_close(&reader);
}

static void test_survey_of_a_whole_log(void)
{
    cn_survey s;
    write_log(-1);
    CN_ASSERT_OK(cn_survey_run(path, NULL, &s, &err));
    CU_ASSERT_FALSE(s.truncated);
    CU_ASSERT_TRUE(s.extent.complete);
    CU_ASSERT_EQUAL(s.extent.chunks, CHUNKS);
    CU_ASSERT_EQUAL(s.messages, CHUNKS * PER_CHUNK);
    CU_ASSERT_EQUAL(s.first_ns, 1000);
    CU_ASSERT_EQUAL(s.last_ns, 1000 + 10 * (CHUNKS * PER_CHUNK - 1));
    CU_ASSERT(s.damages == 0 && s.channels == 2);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_STRING_EQUAL(s.channel[i].topic, i ? "/odd" : "/even");
        CU_ASSERT_EQUAL(s.channel[i].messages, CHUNKS * PER_CHUNK / 2);
        CU_ASSERT(s.channel[i].missing == 0 && s.channel[i].gaps == 0);
        CU_ASSERT_EQUAL(s.channel[i].first_ns, 1000 + 10 * (uint64_t)i);
    }
    CN_ASSERT_OK(cn_survey_run(path, copy, &s, &err));
    check_copy(0, 0);
    end();
}

static void test_survey_counts_what_is_missing(void)
{
    cn_survey s;
    write_log(51);
    CN_ASSERT_OK(cn_survey_run(path, NULL, &s, &err));
    CU_ASSERT(s.channel[0].missing == 0 && s.channel[0].gaps == 0);
    CU_ASSERT(s.channel[1].missing == 1 && s.channel[1].gaps == 1);
    end();
}

/* Cut at every byte: said to be cut, every whole chunk kept, nothing that was not written, and a
 * copy of it is whole. */
static void test_survey_of_a_log_cut_anywhere(void)
{
    write_log(-1);
    char *bytes;
    size_t size;
    CN_ASSERT_OK(cn_file_read(path, &bytes, &size, &err));
    free(bytes);
    for (size_t cut = size - 1; cut >= CN_MCAP_MAGIC_SIZE; cut--) {
        cn_survey s;
        int chunks = 0;
        CU_ASSERT_EQUAL_FATAL(truncate(path, (off_t)cut), 0);
        CN_ASSERT_OK(cn_survey_run(path, cut % 64 ? NULL : copy, &s, &err));
        /* A chunk is whole before its indexes are. */
        while (chunks < CHUNKS && chunk_end[chunks] <= cut)
            chunks++;
        CU_ASSERT_FATAL(s.truncated && s.damages == 0);
        CU_ASSERT_FATAL(s.messages == (uint64_t)chunks * PER_CHUNK ||
                        s.messages == (uint64_t)(chunks + 1) * PER_CHUNK);
        CU_ASSERT_EQUAL(s.messages, s.extent.chunks * PER_CHUNK);
        CU_ASSERT(s.extent.bytes == cut && s.extent.whole <= cut);
        CU_ASSERT(!s.extent.complete || chunks == CHUNKS);
        for (int i = 0; i < s.channels; i++)
            CU_ASSERT_EQUAL(s.channel[i].missing, 0);
        if (cut % 64 == 0 && cut > chunk_end[0])
            check_copy((int)s.messages, CHUNKS * PER_CHUNK);
    }
    end();
}

static void change_byte(uint64_t at, uint8_t by)
{
    FILE *f = fopen(path, "rb+");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fseek(f, (long)at, SEEK_SET), 0);
    const int was = fgetc(f);
    CU_ASSERT_EQUAL(fseek(f, (long)at, SEEK_SET), 0);
    CU_ASSERT_NOT_EQUAL(fputc(was ^ by, f), EOF);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

/* The first, a middle and the last chunk damaged: said with its place, its times and both
 * checksums; all other messages are there. */
static void test_survey_goes_on_behind_damage(void)
{
    const int damaged[] = {0, 4, CHUNKS - 1};
    for (int i = 0; i < 3; i++) {
        const int k = damaged[i];
        cn_survey s;
        write_log(-1);
        /* The checksum that the chunk says: behind its head, two times and a size. */
        const uint64_t start = chunk_start(k);
        change_byte(start + 9 + 8 + 8 + 8, 1);
        CN_ASSERT_OK(cn_survey_run(path, copy, &s, &err));
        CU_ASSERT_FALSE(s.truncated);
        CU_ASSERT_EQUAL_FATAL(s.damages, 1);
        const cn_survey_damage *d = &s.damage[0];
        CU_ASSERT(d->where.byte == start && !d->last);
        CU_ASSERT(start + d->where.bytes <= chunk_end[k]);
        CU_ASSERT_EQUAL(d->where.first_ns, 1000 + 10 * (uint64_t)(k * PER_CHUNK));
        CU_ASSERT_EQUAL(d->where.last_ns, 1000 + 10 * (uint64_t)((k + 1) * PER_CHUNK - 1));
        CU_ASSERT_EQUAL(d->what.code, CN_ERR_CHECKSUM);
        CU_ASSERT_PTR_NOT_NULL(strstr(d->what.message, ", expected "));
        CU_ASSERT_EQUAL(s.messages, (CHUNKS - 1) * PER_CHUNK);
        for (int c = 0; c < 2; c++)
            CU_ASSERT_EQUAL(s.channel[c].missing, k == 4 ? PER_CHUNK / 2 : 0);
        check_copy(k * PER_CHUNK, (k + 1) * PER_CHUNK);
        end();
    }
}

/* A record whose length is damaged hides what is behind it; that is not taken for a cut. */
static void test_survey_of_a_damaged_length(void)
{
    cn_survey s;
    write_log(-1);
    const uint64_t start = chunk_start(6);
    change_byte(start + 6, 1);
    CN_ASSERT_OK(cn_survey_run(path, copy, &s, &err));
    CU_ASSERT_FALSE(s.truncated);
    CU_ASSERT_EQUAL_FATAL(s.damages, 1);
    CU_ASSERT(s.damage[0].last && s.damage[0].where.byte == start);
    CU_ASSERT_EQUAL(s.damage[0].where.bytes, s.extent.bytes - start);
    CU_ASSERT_EQUAL(s.messages, 6 * PER_CHUNK);
    check_copy(6 * PER_CHUNK, CHUNKS * PER_CHUNK);
    end();
}

/* More damages than are described are counted all the same. */
static void test_survey_counts_damages(void)
{
    enum { MANY = CN_SURVEY_DAMAGES + 4 };
    uint8_t noise[9] = {CN_MCAP_MESSAGE}; /* an empty message: too short */
    cn_survey s;
    begin();
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fwrite(CN_MCAP_MAGIC, 1, CN_MCAP_MAGIC_SIZE, f);
    for (int i = 0; i < MANY; i++)
        fwrite(noise, 1, sizeof noise, f);
    CU_ASSERT_EQUAL(fclose(f), 0);
    CN_ASSERT_OK(cn_survey_run(path, NULL, &s, &err));
    CU_ASSERT(s.damages == MANY && s.messages == 0 && s.truncated);
    CU_ASSERT_EQUAL(s.damage[CN_SURVEY_DAMAGES - 1].where.bytes, sizeof noise);
    end();
}

enum { KILLED_SIZE = 2000 }; /* bytes of a message of the process that is killed */

static void fill(uint8_t bytes[KILLED_SIZE], uint32_t i)
{
    for (uint32_t k = 0; k < KILLED_SIZE; k++)
        bytes[k] = (uint8_t)(k * k * (i + 1) >> 8);
}

static void sleep_ms(int ms)
{
    cn_clock_sleep_until(cn_clock_now() + ms * (CN_NS_PER_S / 1000));
}

/* The process to be killed: logs a message every millisecond, and says how many it has begun. */
static void log_for_ever(atomic_uint *put)
{
    static uint8_t bytes[KILLED_SIZE];
    static const cn_log_about about = {
        .task = "",
        .task_file = "",
        .arm = "",
        .policy_file = "",
        .policy_checksum = "",
        .robot = "",
        .control_period_s = 0.01,
    };
    cn_log *log;
    if (cn_log_create(path, &about, &log, NULL) != CN_OK)
        _exit(1);
    for (uint32_t i = 0;; i++) {
        fill(bytes, i);
        atomic_store(put, i + 1);
        while (!cn_log_put(log, CN_LOG_COMMANDS, i, bytes, KILLED_SIZE))
            sleep_ms(1);
        sleep_ms(1);
    }
}

/* Whether the copy holds the first `count` messages of that process. */
static void check_killed(uint64_t count)
{
    static uint8_t bytes[KILLED_SIZE];
    cn_mcap_reader *reader;
    cn_mcap_record r;
    uint32_t i = 0;
    CN_ASSERT_OK(cn_mcap_open(copy, &reader, &err));
    for (; cn_mcap_next(reader, &r, &err) == CN_OK; i++) {
        fill(bytes, i);
        CU_ASSERT_EQUAL_FATAL(r.sequence, i);
        CU_ASSERT_FATAL(r.size == KILLED_SIZE && memcmp(r.data, bytes, KILLED_SIZE) == 0);
    }
    CU_ASSERT_EQUAL(err.code, CN_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(i, count);
    cn_mcap_close(&reader);
}

/* A process is killed in the middle of logging, at several moments: what a reader saw before is
 * there after, in order, whole, without a gap, and nothing else is. */
static void test_survey_of_killed_processes(void)
{
    static const int moments_ms[] = {20, 150, 400, 800, 1100, 1700};
    atomic_uint *const put =
        mmap(NULL, sizeof *put, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(put != MAP_FAILED);
    for (size_t m = 0; m < sizeof moments_ms / sizeof *moments_ms; m++) {
        cn_survey before, s;
        begin();
        atomic_store(put, 0);
        const pid_t child = fork();
        CU_ASSERT_FATAL(child >= 0);
        if (child == 0)
            log_for_ever(put);
        sleep_ms(moments_ms[m]);
        /* The file begins with its first chunk; until then there is none to read. */
        while (cn_survey_run(path, NULL, &before, NULL) != CN_OK)
            sleep_ms(1);
        kill(child, SIGKILL);
        CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
        CN_ASSERT_OK(cn_survey_run(path, copy, &s, &err));
        CU_ASSERT(s.truncated && s.damages == 0);
        CU_ASSERT(s.messages >= before.messages && s.messages <= atomic_load(put));
        CU_ASSERT(s.channels == 0 || s.channel[0].missing == 0);
        check_killed(s.messages);
        end();
    }
    munmap(put, sizeof *put);
}

static void test_survey_refusals(void)
{
    cn_survey s;
    write_log(-1);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "another name than the log's",
                    cn_survey_run(path, path, &s, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/tmp/no/such/copy",
                    cn_survey_run(path, "/tmp/no/such/copy", &s, &err));
    CN_ASSERT_OK(cn_survey_run(path, NULL, &s, &err));
    CU_ASSERT_EQUAL(s.messages, CHUNKS * PER_CHUNK); /* the log is untouched */
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/tmp/no/such.mcap",
                    cn_survey_run("/tmp/no/such.mcap", NULL, &s, &err));
    end();
    begin();
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("name,age\nada,36\n", f);
    fclose(f);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "not an MCAP file", cn_survey_run(path, copy, &s, &err));
    end();
}

/* A schema that is not protobuf's can be counted, not copied. */
static void test_survey_copies_protobuf_only(void)
{
    static const uint8_t file[] = {0x89, 'M', 'C', 'A', 'P', '0', '\r', '\n',
                                   /* schema 1 "a", encoding "ros1msg" */
                                   3, 22, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 'a', 7, 0, 0, 0,
                                   'r', 'o', 's', '1', 'm', 's', 'g', 0, 0, 0, 0,
                                   /* channel 1 of schema 1, topic "/a", encoding "", no metadata */
                                   4, 18, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 0, '/', 'a', 0,
                                   0, 0, 0, 0, 0, 0, 0,
                                   /* a message on channel 1: sequence, two times, no data */
                                   5, 22, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                   0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    cn_survey s;
    begin();
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(file, 1, sizeof file, f), sizeof file);
    fclose(f);
    CN_ASSERT_OK(cn_survey_run(path, NULL, &s, &err));
    CU_ASSERT(s.messages == 1 && s.truncated);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "'/a' does not hold protobuf",
                    cn_survey_run(path, copy, &s, &err));
    end();
}

CN_TEST_MAIN("bridge.survey", T(test_survey_of_a_whole_log), T(test_survey_counts_what_is_missing),
             T(test_survey_of_a_log_cut_anywhere), T(test_survey_goes_on_behind_damage),
             T(test_survey_of_a_damaged_length), T(test_survey_counts_damages),
             T(test_survey_of_killed_processes), T(test_survey_refusals),
             T(test_survey_copies_protobuf_only))
