/* TensorBoard event files, byte by byte: framing, checksums and fields. That TensorBoard itself
 * reads them is test_tfevents_reader.py's matter. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "policy/tfevents.h"
#include "tests/test.h"

/* Records are: length (8), its checksum (4), the event, its checksum (4). */
#define FRAME 16

static cn_error err;
static char folder[] = "/tmp/cn-test-events-XXXXXX";

static void make_folder(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static uint32_t load32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* CRC-32C bit by bit, against the table in the source; then TFRecord's mask. */
static uint32_t masked_crc(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

/* The event at *at, and *at moved behind it; checks lengths and checksums. */
static const uint8_t *next_event(const uint8_t *bytes, size_t total, size_t *at, size_t *size)
{
    CU_ASSERT_FATAL(*at + FRAME <= total);
    *size = load32(bytes + *at);
    CU_ASSERT_EQUAL(load32(bytes + *at + 4), 0);
    CU_ASSERT_EQUAL(load32(bytes + *at + 8), masked_crc(bytes + *at, 8));
    CU_ASSERT_FATAL(*at + FRAME + *size <= total);
    const uint8_t *event = bytes + *at + 12;
    CU_ASSERT_EQUAL(load32(event + *size), masked_crc(event, *size));
    *at += FRAME + *size;
    return event;
}

static void test_tfevents_bytes(void)
{
    make_folder();
    const double begin = (double)cn_clock_wall() * 1e-9;
    cn_tfevents *events;
    CN_ASSERT_OK(cn_tfevents_create(folder, &events, &err));
    CN_ASSERT_OK(cn_tfevents_scalar(events, "a/b", 300, 1.5f, &err));
    char path[1024];
    strcpy(path, cn_tfevents_path(events));
    CU_ASSERT_PTR_NOT_NULL(strstr(path, "/events.out.tfevents."));
    CN_ASSERT_OK(cn_tfevents_flush(events, &err));

    char *text;
    size_t total, at = 0, size;
    CN_ASSERT_OK(cn_file_read(path, &text, &total, &err));
    const uint8_t *bytes = (const uint8_t *)text;
    const uint8_t *event = next_event(bytes, total, &at, &size);
    CU_ASSERT_EQUAL(size, 9 + 2 + 13);
    CU_ASSERT(memcmp(event + 9,
                     "\x1a\x0d"
                     "brain.Event:2",
                     15) == 0);
    double wall;
    CU_ASSERT_EQUAL(event[0], 0x09);
    memcpy(&wall, event + 1, sizeof wall);
    CU_ASSERT(wall >= begin && wall <= (double)cn_clock_wall() * 1e-9);

    event = next_event(bytes, total, &at, &size);
    /* step 300; a summary of 12 bytes with a value of 10: tag "a/b", simple value 1.5 */
    static const char expected[] = "\x10\xac\x02"
                                   "\x2a\x0c"
                                   "\x0a\x0a"
                                   "\x0a\x03"
                                   "a/b"
                                   "\x15\x00\x00\xc0\x3f";
    CU_ASSERT_EQUAL_FATAL(size, 9 + sizeof expected - 1);
    CU_ASSERT(memcmp(event + 9, expected, sizeof expected - 1) == 0);
    CU_ASSERT_EQUAL(at, total);
    free(text);
    CN_ASSERT_OK(cn_tfevents_close(&events, &err));
    CU_ASSERT_PTR_NULL(events);
    CN_ASSERT_OK(cn_tfevents_close(&events, &err));
    remove(path);
    rmdir(folder);
}

/* The longest tag, negative steps and values that are no numbers fit and are framed well. */
static void test_tfevents_extremes(void)
{
    make_folder();
    char tag[CN_TFEVENTS_TAG + 1], path[1024], *text;
    memset(tag, 'x', sizeof tag);
    tag[CN_TFEVENTS_TAG - 1] = '\0';
    cn_tfevents *events;
    CN_ASSERT_OK(cn_tfevents_create(folder, &events, &err));
    CN_ASSERT_OK(cn_tfevents_scalar(events, tag, INT64_MIN, NAN, &err));
    CN_ASSERT_OK(cn_tfevents_scalar(events, tag, INT64_MAX, INFINITY, &err));
    strcpy(path, cn_tfevents_path(events));
    CN_ASSERT_OK(cn_tfevents_close(&events, &err));
    size_t total, at = 0, size;
    CN_ASSERT_OK(cn_file_read(path, &text, &total, &err));
    for (int i = 0; i < 3; i++)
        next_event((const uint8_t *)text, total, &at, &size);
    CU_ASSERT_EQUAL(at, total);
    free(text);
    remove(path);
    rmdir(folder);
}

/* A second writer in the same folder and second takes another file. */
static void test_tfevents_never_overwrites(void)
{
    make_folder();
    cn_tfevents *first, *second;
    CN_ASSERT_OK(cn_tfevents_create(folder, &first, &err));
    CN_ASSERT_OK(cn_tfevents_create(folder, &second, &err));
    CU_ASSERT_STRING_NOT_EQUAL(cn_tfevents_path(first), cn_tfevents_path(second));
    remove(cn_tfevents_path(first));
    remove(cn_tfevents_path(second));
    CN_ASSERT_OK(cn_tfevents_close(&first, &err));
    CN_ASSERT_OK(cn_tfevents_close(&second, &err));
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static void test_tfevents_errors(void)
{
    cn_tfevents *events;
    CN_ASSERT_FAILS(CN_ERR_IO, "/tmp/no/such", cn_tfevents_create("/tmp/no/such", &events, &err));
    CU_ASSERT_PTR_NULL(events);
    char deep[2000];
    memset(deep, 'd', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "path too long", cn_tfevents_create(deep, &events, &err));
    make_folder();
    CN_ASSERT_OK(cn_tfevents_create(folder, &events, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a tag of 0 bytes",
                    cn_tfevents_scalar(events, "", 0, 0, &err));
    deep[CN_TFEVENTS_TAG] = '\0';
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a tag of 256 bytes, expected 1 to 255",
                    cn_tfevents_scalar(events, deep, 0, 0, &err));
    remove(cn_tfevents_path(events));
    CN_ASSERT_OK(cn_tfevents_close(&events, &err));
    rmdir(folder);
}

/* A file that may not grow stands for a full disk. */
static void test_tfevents_full_disk(void)
{
    make_folder();
    cn_tfevents *events;
    CN_ASSERT_OK(cn_tfevents_create(folder, &events, &err));
    struct rlimit before, small;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 50;
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    CN_ASSERT_OK(cn_tfevents_scalar(events, "a", 0, 0, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot write", cn_tfevents_flush(events, &err));
    remove(cn_tfevents_path(events));
    CN_ASSERT_OK(cn_tfevents_scalar(events, "a", 1, 0, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot write", cn_tfevents_close(&events, &err));
    CU_ASSERT_PTR_NULL(events);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    rmdir(folder);
}

/* Two curves for test_tfevents_reader.py, in the folder $CN_SAMPLE if there is one. */
static void test_tfevents_sample(void)
{
    const char *wanted = getenv("CN_SAMPLE");
    if (!wanted)
        make_folder();
    cn_tfevents *events;
    CN_ASSERT_OK(cn_tfevents_create(wanted ? wanted : folder, &events, &err));
    for (int i = 0; i < 100; i++) {
        CN_ASSERT_OK(cn_tfevents_scalar(events, "train/return", i * 1000, (float)i / 4, &err));
        CN_ASSERT_OK(cn_tfevents_scalar(events, "train/success", i * 1000, (float)-i, &err));
    }
    if (!wanted)
        remove(cn_tfevents_path(events));
    CN_ASSERT_OK(cn_tfevents_close(&events, &err));
    if (!wanted)
        CU_ASSERT_EQUAL(rmdir(folder), 0);
}

CN_TEST_MAIN("policy.tfevents", T(test_tfevents_bytes), T(test_tfevents_extremes),
             T(test_tfevents_never_overwrites), T(test_tfevents_errors), T(test_tfevents_full_disk),
             T(test_tfevents_sample))
