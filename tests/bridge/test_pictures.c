/* Pictures of frames: each camera's on its own channel, and out of the frame; what is no picture
 * stays in it. That others decode the PNG is test_mcap_readers.py's matter. */
#include <png.h>
#include <unistd.h>

#include "bridge/log.h"
#include "bridge/mcap.h"
#include "bridge/pictures.h"
#include "proto/foxglove.pb-c.h"
#include "proto/robot.pb-c.h"
#include "tests/folder.h"

enum { WIDTH = 8, HEIGHT = 6, BYTES = WIDTH * HEIGHT * 3 };

static cn_error err;
static char path[] = "/tmp/cn-test-pictures-XXXXXX";

static void make_path(void)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
}

static cn_log *begin_log(void)
{
    static const cn_log_about about = {
        .task = "reach",
        .task_file = "",
        .arm = "ours",
        .policy_file = "",
        .policy_checksum = "",
        .robot = "",
        .control_period_s = 0.05,
    };
    cn_log *log = NULL;
    make_path();
    CN_ASSERT_OK(cn_log_create(path, &about, &log, &err));
    return log;
}

/* Picture i: red grows along x, green along y, blue is i. */
static void paint(int i, uint8_t rgb[BYTES])
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            uint8_t *const pixel = rgb + (y * WIDTH + x) * 3;
            pixel[0] = (uint8_t)(30 * x);
            pixel[1] = (uint8_t)(40 * y);
            pixel[2] = (uint8_t)i;
        }
}

/* Frame i with a picture of each of these cameras; of `bytes` bytes, BYTES for a good one. */
static void put_frame(cn_log *log, int i, const char *const *camera, int cameras, size_t bytes)
{
    static uint8_t rgb[BYTES], packed[64 << 10];
    Colonnade__V1__Image image[16], *images[16];
    double position = i;
    Colonnade__V1__SensorFrame m = COLONNADE__V1__SENSOR_FRAME__INIT;
    paint(i, rgb);
    for (int k = 0; k < cameras; k++) {
        images[k] = &image[k];
        image[k] = (Colonnade__V1__Image)COLONNADE__V1__IMAGE__INIT;
        image[k].name = (char *)camera[k];
        image[k].width = WIDTH;
        image[k].height = HEIGHT;
        image[k].rgb = (ProtobufCBinaryData){bytes, rgb};
    }
    m.sequence = (uint64_t)i;
    m.n_position = 1;
    m.position = &position;
    m.n_images = (size_t)cameras;
    m.images = images;
    const size_t size = colonnade__v1__sensor_frame__pack(&m, packed);
    CU_ASSERT_TRUE(cn_log_put(log, CN_LOG_SENSORS, (uint32_t)i, packed, (uint32_t)size));
}

/* How many images the next frame in the log holds; its number must be `sequence`. */
static size_t images_of(const cn_mcap_record *r, uint64_t sequence)
{
    CU_ASSERT_STRING_EQUAL(r->topic, "/robot/sensors");
    Colonnade__V1__SensorFrame *const m =
        colonnade__v1__sensor_frame__unpack(NULL, r->size, r->data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT(m->sequence == sequence && m->n_position == 1 && m->position[0] == (double)sequence);
    const size_t images = m->n_images;
    colonnade__v1__sensor_frame__free_unpacked(m, NULL);
    return images;
}

/* Whether a message is picture i, the camera's n-th. */
static void check_picture(const cn_mcap_record *r, const char *topic, const char *camera, int i,
                          uint32_t n)
{
    uint8_t wanted[BYTES], rgb[BYTES];
    png_image png = {.version = PNG_IMAGE_VERSION};
    paint(i, wanted);
    CU_ASSERT_STRING_EQUAL(r->topic, topic);
    CU_ASSERT_STRING_EQUAL(r->schema, "foxglove.CompressedImage");
    CU_ASSERT_EQUAL(r->sequence, n);
    Foxglove__CompressedImage *const m = foxglove__compressed_image__unpack(NULL, r->size, r->data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_STRING_EQUAL(m->format, "png");
    CU_ASSERT_STRING_EQUAL(m->frame_id, camera);
    CU_ASSERT_EQUAL((uint64_t)m->timestamp->seconds * 1000000000 + (uint64_t)m->timestamp->nanos,
                    r->log_time);
    CU_ASSERT_FATAL(png_image_begin_read_from_memory(&png, m->data.data, m->data.len));
    CU_ASSERT_FATAL(png.width == WIDTH && png.height == HEIGHT);
    png.format = PNG_FORMAT_RGB;
    CU_ASSERT(png_image_finish_read(&png, NULL, rgb, 0, NULL) && !memcmp(rgb, wanted, BYTES));
    foxglove__compressed_image__free_unpacked(m, NULL);
}

static void test_pictures_have_channels_of_their_own(void)
{
    const char *const cameras[] = {"wrist", "over head/1"};
    cn_mcap_reader *reader;
    cn_mcap_record r;
    cn_log *log = begin_log();
    put_frame(log, 3, cameras, 2, BYTES);
    put_frame(log, 4, cameras, 0, BYTES);
    put_frame(log, 5, cameras, 1, BYTES);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    check_picture(&r, "/camera/wrist", "wrist", 3, 0);
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    check_picture(&r, "/camera/over_head_1", "over_head_1", 3, 0);
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    CU_ASSERT_EQUAL(images_of(&r, 3), 0);
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    CU_ASSERT_EQUAL(images_of(&r, 4), 0);
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    check_picture(&r, "/camera/wrist", "wrist", 5, 1);
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    CU_ASSERT_EQUAL(images_of(&r, 5), 0);
    CU_ASSERT_EQUAL(cn_mcap_next(reader, &r, &err), CN_ERR_NOT_FOUND);
    cn_mcap_close(&reader);
    remove(path);
}

/* Nothing of a frame is lost because it cannot be shown. */
static void test_pictures_that_are_none_stay_in_the_frame(void)
{
    const char *const camera[] = {"wrist"};
    cn_mcap_reader *reader;
    cn_mcap_record r;
    cn_log *log = begin_log();
    put_frame(log, 1, camera, 1, BYTES - 1);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    CN_ASSERT_OK(cn_mcap_open(path, &reader, &err));
    CN_ASSERT_OK(cn_mcap_next(reader, &r, &err));
    CU_ASSERT_EQUAL(images_of(&r, 1), 1);
    CU_ASSERT_EQUAL(cn_mcap_next(reader, &r, &err), CN_ERR_NOT_FOUND);
    cn_mcap_close(&reader);
    remove(path);
}

static void test_pictures_refuse_what_is_none(void)
{
    static uint8_t rgb[BYTES];
    cn_mcap_writer *file = NULL;
    cn_pictures *pictures = NULL;
    make_path();
    CN_ASSERT_OK(cn_mcap_create(path, CN_MCAP_ZSTD, 1 << 20, &file, &err));
    CN_ASSERT_OK(cn_pictures_create(file, &pictures, &err));
    const cn_picture good = {"a", WIDTH, HEIGHT, rgb, BYTES};
    cn_picture wrong[] = {good, good, good, good};
    wrong[0].size--;
    wrong[1].width = 0;
    wrong[1].size = 0;
    wrong[2].width = 4097;
    wrong[2].size = (size_t)4097 * HEIGHT * 3;
    wrong[3].width = wrong[3].height = 65536; /* whose product is 0 in 32 bits */
    wrong[3].size = 0;
    bool written = true;
    for (int i = 0; i < 4; i++) {
        CN_ASSERT_OK(cn_pictures_put(pictures, 0, &wrong[i], &written, &err));
        CU_ASSERT_FALSE(written);
    }
    for (int i = 0; i < CN_MAX_CAMERAS + 1; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        cn_picture p = good;
        p.camera = name;
        CN_ASSERT_OK(cn_pictures_put(pictures, 0, &p, &written, &err));
        CU_ASSERT_EQUAL(written, i < CN_MAX_CAMERAS);
    }
    CN_ASSERT_OK(cn_pictures_put(pictures, 0, &good, &written, &err));
    CU_ASSERT_TRUE(written);
    cn_pictures_destroy(&pictures);
    CU_ASSERT_PTR_NULL(pictures);
    cn_pictures_destroy(&pictures);
    CN_ASSERT_OK(cn_mcap_finish(&file, &err));
    remove(path);
}

static void test_pictures_pass_on_failures(void)
{
    static uint8_t rgb[BYTES];
    cn_mcap_writer *file = NULL;
    cn_pictures *pictures = NULL;
    bool written;
    CN_ASSERT_OK(cn_mcap_create("/dev/full", CN_MCAP_ZSTD, 1 << 20, &file, &err));
    CN_ASSERT_OK(cn_pictures_create(file, &pictures, &err));
    CU_ASSERT_EQUAL(cn_mcap_flush(file, &err), CN_ERR_IO);
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/full",
                    cn_pictures_put(pictures, 0, &(cn_picture){"a", WIDTH, HEIGHT, rgb, BYTES},
                                    &written, &err));
    cn_pictures_destroy(&pictures);
    CU_ASSERT_EQUAL(cn_mcap_finish(&file, &err), CN_ERR_IO);
}

/* A log for test_mcap_readers.py, at $CN_SAMPLE/pictures.mcap if that is set. */
static void test_pictures_sample(void)
{
    const char *const camera[] = {"wrist"};
    cn_log *log = begin_log();
    for (int i = 0; i < 20; i++)
        put_frame(log, i, camera, 1, BYTES);
    CN_ASSERT_OK(cn_log_finish(&log, &err));
    file_sample(path, "pictures.mcap");
}

CN_TEST_MAIN("bridge.pictures", T(test_pictures_have_channels_of_their_own),
             T(test_pictures_that_are_none_stay_in_the_frame), T(test_pictures_refuse_what_is_none),
             T(test_pictures_pass_on_failures), T(test_pictures_sample))
