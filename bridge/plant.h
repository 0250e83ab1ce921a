/* cn_plant: what a robot server moves. A servo bus is a plant, the MuJoCo twin is one; limits,
 * watchdog and lease live in the server, above every plant. */
#ifndef CN_BRIDGE_PLANT_H
#define CN_BRIDGE_PLANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "policy/arm.h"

typedef struct cn_plant_info {
    char arm[CN_NAME];
    int joints;
    cn_arm_joint joint[CN_MAX_JOINTS];
    int tracked;
    char point[CN_MAX_TRACKED][CN_NAME];
    double control_period_s; /* one frame and at most one command each */
    double servo_rate_hz;    /* how often the plant takes a command */
} cn_plant_info;

#define CN_IMAGE_MAX                                                                               \
    (64 * 64 * 3) /* bytes of pixels; the largest picture that a plant may send                    \
                   */

typedef struct cn_image {
    const char *camera; /* its name */
    int width, height;
    const uint8_t *rgb; /* [height, width, 3], top row first */
} cn_image;

typedef struct cn_plant cn_plant;
struct cn_plant {
    cn_plant_info info;
    bool holds_position[CN_MAX_JOINTS]; /* a joint's servo does; a velocity command moves it */
    cn_status (*read)(cn_plant *plant, cn_arm_state *out, cn_error *err);
    /* Called at the servo rate with limited, finite targets. */
    cn_status (*command)(cn_plant *plant, const cn_arm_command *command, cn_error *err);
    /* Moves a simulated plant's time; NULL for one that lives in real time. */
    cn_status (*advance)(cn_plant *plant, double seconds, cn_error *err);
    /* Prepares an episode; goal_only, and where `advance` is NULL always: a new target and nothing
     * else. NULL: there is nothing to reset. */
    cn_status (*reset)(cn_plant *plant, uint64_t seed, bool goal_only, cn_error *err);
    /* Called with every frame. The newest picture, borrowed until the next call; false when none
     * has come since. Must not wait for one. NULL: there is no camera. */
    bool (*look)(cn_plant *plant, cn_image *out);
    void (*destroy)(cn_plant *plant); /* holds or releases the arm safely, then frees plant */
};

/* Destroys and nulls; NULL and a second call do nothing. */
void cn_plant_destroy(cn_plant **plant);

#endif
