/* MCAP files: what the reader yields, twice, of a file that was cut off, and behind damage; and the
 * whole copy that is made of what is left. */
#include "bridge/mcap.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/mcap_format.h"
#include "bridge/survey.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGES_MAX = 4096 };

/* What was read: a checksum of each message, in order, and how it ended. */
typedef struct reading {
    int messages;
    uint32_t checksum[MESSAGES_MAX];
    cn_status end;
    int truncated;
} reading;

static uint32_t checksum_of(const cn_mcap_record *r)
{
    uint32_t sum = cn_mcap_crc32(0, r->topic, strlen(r->topic));
    sum = cn_mcap_crc32(sum, r->schema, strlen(r->schema));
    sum = cn_mcap_crc32(sum, &r->sequence, sizeof r->sequence);
    sum = cn_mcap_crc32(sum, &r->log_time, sizeof r->log_time);
    sum = cn_mcap_crc32(sum, &r->publish_time, sizeof r->publish_time);
    return cn_mcap_crc32(sum, r->data, r->size);
}

static void read_all(cn_mcap_reader *reader, reading *out)
{
    cn_error err = {0};
    cn_mcap_record record;
    out->messages = 0;
    while ((out->end = cn_mcap_next(reader, &record, &err)) == CN_OK &&
           out->messages < MESSAGES_MAX)
        out->checksum[out->messages++] = checksum_of(&record);
    fuzz_succeeded(out->end, &err);
    out->truncated = cn_mcap_truncated(reader);
}

/* The beginning of a good file yields the beginning of its messages. */
static void check_cut(const uint8_t *data, size_t size, const reading *whole)
{
    static reading part;
    cn_error err = {0};
    cn_mcap_reader *reader;
    if (!fuzz_succeeded(cn_mcap_open(fuzz_file("cut.mcap", data, size), &reader, &err), &err))
        return;
    read_all(reader, &part);
    cn_mcap_close(&reader);
    if (whole->end != CN_ERR_NOT_FOUND)
        return;
    FUZZ_CHECK(part.messages <= whole->messages);
    FUZZ_CHECK(memcmp(part.checksum, whole->checksum,
                      (size_t)part.messages * sizeof part.checksum[0]) == 0);
}

/* Goes on behind what is damaged, to the end. @return how many messages there were */
static uint64_t read_past_damage(cn_mcap_reader *reader, size_t size)
{
    cn_error err = {0};
    cn_mcap_record record;
    cn_mcap_damage damage;
    cn_status status;
    uint64_t messages = 0, before = 0;
    for (;;) {
        status = cn_mcap_next(reader, &record, &err);
        messages += status == CN_OK;
        const uint64_t whole = cn_mcap_reached(reader).whole;
        FUZZ_CHECK(whole >= before && whole <= size);
        before = whole;
        if (status == CN_OK)
            continue;
        if ((status != CN_ERR_FORMAT && status != CN_ERR_CHECKSUM) ||
            !cn_mcap_skip(reader, &damage))
            return messages;
        FUZZ_CHECK(damage.byte <= size && damage.bytes <= size - damage.byte && damage.bytes > 0);
    }
}

/* A copy of what is left is whole, and has every message that can be read. */
static void check_copy(const char *path, uint64_t messages)
{
    static cn_survey survey, again;
    cn_error err = {0};
    const char *copy = fuzz_path("copy.mcap");
    if (!fuzz_succeeded(cn_survey_run(path, copy, &survey, &err), &err))
        return;
    FUZZ_CHECK(survey.messages == messages);
    FUZZ_CHECK_OK(cn_survey_run(copy, NULL, &again, &err));
    FUZZ_CHECK(again.messages == messages && again.damages == 0 && !again.truncated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reading first, second;
    cn_error err = {0};
    cn_mcap_reader *reader;
    const char *path = fuzz_file("whole.mcap", data, size);
    if (!fuzz_succeeded(cn_mcap_open(path, &reader, &err), &err)) {
        FUZZ_CHECK(!reader);
        return 0;
    }
    read_all(reader, &first);
    cn_mcap_rewind(reader);
    read_all(reader, &second);
    FUZZ_CHECK(first.messages == second.messages && first.end == second.end);
    FUZZ_CHECK(first.truncated == second.truncated);
    FUZZ_CHECK(memcmp(first.checksum, second.checksum,
                      (size_t)first.messages * sizeof first.checksum[0]) == 0);
    cn_mcap_metadata_value(reader, "colonnade", "task");
    cn_mcap_rewind(reader);
    const uint64_t messages = read_past_damage(reader, size);
    FUZZ_CHECK(messages >= (uint64_t)first.messages);
    cn_mcap_close(&reader);
    check_copy(path, messages);
    /* The checksum decides where: anywhere, and the same whenever the input is tried again. */
    check_cut(data, cn_mcap_crc32(0, data, size) % size, &first);
    return 0;
}
