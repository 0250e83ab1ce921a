/* The pictures of a log: each camera's on a channel of its own, /camera/NAME, as
 * foxglove.CompressedImage in PNG, which loses nothing. Private to the module. */
#ifndef CN_BRIDGE_PICTURES_H
#define CN_BRIDGE_PICTURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bridge/mcap.h"

#define CN_MAX_CAMERAS 8

typedef struct cn_pictures cn_pictures;

typedef struct cn_picture {
    const char *camera; /* its name; what a topic cannot hold becomes '_' */
    uint32_t width, height;
    const uint8_t *rgb; /* [height, width, 3], top row first */
    size_t size;        /* bytes of it */
} cn_picture;

/* @param file  borrowed; must outlive *out. @return CN_ERR_MEMORY. */
cn_status cn_pictures_create(cn_mcap_writer *file, cn_pictures **out, cn_error *err);
void cn_pictures_destroy(cn_pictures **pictures);

/* Writes one; the first of a camera brings its channel, and they are numbered from 0.
 * @param written  false: it is no picture (its size is not 3 * width * height), too large for PNG,
 * or of one camera more than CN_MAX_CAMERAS
 * @return what cn_mcap_message returns; CN_ERR_MEMORY. */
cn_status cn_pictures_put(cn_pictures *pictures, uint64_t log_time, const cn_picture *picture,
                          bool *written, cn_error *err);

#endif
