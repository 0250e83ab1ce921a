/* Pictures to PNG, by libpng's simplified interface: fast rather than small, as the writer shares a
 * machine with the control loop. */
#include "bridge/pictures.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/descriptor.h"
#include "proto/foxglove.pb-c.h"

#define LARGEST 4096 /* pixels each way: bounds what the encoder must allocate */

typedef struct camera {
    char name[48];
    uint16_t channel; /* the file's number */
    uint32_t written; /* pictures */
} camera;

typedef struct block {
    uint8_t *data;
    size_t capacity;
} block;

struct cn_pictures {
    cn_mcap_writer *file; /* borrowed */
    uint16_t schema;      /* 0: no picture yet */
    int cameras;
    camera camera[CN_MAX_CAMERAS];
    block png, message;
};

static cn_status reserve(block *b, size_t size, cn_error *err)
{
    if (size <= b->capacity)
        return CN_OK;
    free(b->data);
    b->data = malloc(size);
    b->capacity = b->data ? size : 0;
    CN_FAIL_IF(!b->data, CN_ERR_MEMORY, err, "no memory for a picture of %zu bytes", size);
    return CN_OK;
}

/* A camera's name as a part of a topic. */
static void topic_name(const char *from, char *to, size_t size)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t n = 0;
    for (; from[n] && n + 1 < size; n++)
        to[n] = strchr(allowed, from[n]) ? from[n] : '_';
    to[n] = '\0';
}

/* Finds the camera of a name, or makes it. *out NULL: there is no room for it. */
static cn_status find_camera(cn_pictures *p, const char *name, camera **out, cn_error *err)
{
    char topic[64];
    camera c = {0};
    *out = NULL;
    topic_name(name, c.name, sizeof c.name);
    for (int i = 0; i < p->cameras; i++)
        if (strcmp(p->camera[i].name, c.name) == 0)
            *out = &p->camera[i];
    if (*out || p->cameras == CN_MAX_CAMERAS)
        return CN_OK;
    if (p->schema == 0)
        CN_TRY(cn_mcap_schema(p->file, "foxglove.CompressedImage", cn_foxglove_descriptor_set,
                              cn_foxglove_descriptor_set_size, &p->schema, err));
    snprintf(topic, sizeof topic, "/camera/%s", c.name);
    CN_TRY(cn_mcap_channel(p->file, p->schema, topic, &c.channel, err));
    p->camera[p->cameras] = c;
    *out = &p->camera[p->cameras++];
    return CN_OK;
}

/* Into p->png. *size 0: libpng refuses it. */
static cn_status encode(cn_pictures *p, const cn_picture *picture, size_t *size, cn_error *err)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION,
        .width = picture->width,
        .height = picture->height,
        .format = PNG_FORMAT_RGB,
        .flags = PNG_IMAGE_FLAG_FAST,
    };
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);
    *size = 0;
    CN_TRY(reserve(&p->png, room, err));
    if (png_image_write_to_memory(&image, p->png.data, &room, 0, picture->rgb, 0, NULL))
        *size = room;
    png_image_free(&image);
    return CN_OK;
}

cn_status cn_pictures_put(cn_pictures *p, uint64_t log_time, const cn_picture *picture,
                          bool *written, cn_error *err)
{
    camera *from;
    size_t size;
    *written = false;
    if (picture->width < 1 || picture->width > LARGEST || picture->height < 1 ||
        picture->height > LARGEST || picture->size != (size_t)picture->width * picture->height * 3)
        return CN_OK;
    CN_TRY(encode(p, picture, &size, err));
    if (size == 0)
        return CN_OK;
    CN_TRY(find_camera(p, picture->camera, &from, err));
    if (!from)
        return CN_OK;
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.seconds = (int64_t)(log_time / (uint64_t)CN_NS_PER_S);
    timestamp.nanos = (int32_t)(log_time % (uint64_t)CN_NS_PER_S);
    Foxglove__CompressedImage m = FOXGLOVE__COMPRESSED_IMAGE__INIT;
    m.timestamp = &timestamp;
    m.frame_id = from->name;
    m.format = "png";
    m.data = (ProtobufCBinaryData){size, p->png.data};
    const size_t packed = foxglove__compressed_image__get_packed_size(&m);
    CN_TRY(reserve(&p->message, packed, err));
    foxglove__compressed_image__pack(&m, p->message.data);
    *written = true;
    return cn_mcap_message(p->file, from->channel, from->written++, log_time, log_time,
                           p->message.data, packed, err);
}

cn_status cn_pictures_create(cn_mcap_writer *file, cn_pictures **out, cn_error *err)
{
    *out = calloc(1, sizeof **out);
    CN_FAIL_IF(!*out, CN_ERR_MEMORY, err, "no memory for a log's pictures");
    (*out)->file = file;
    return CN_OK;
}

void cn_pictures_destroy(cn_pictures **pictures)
{
    if (!*pictures)
        return;
    free((*pictures)->png.data);
    free((*pictures)->message.data);
    free(*pictures);
    *pictures = NULL;
}
