/* A log read back into memory as plain arrays: what verification, playback and rendering need. */
#ifndef CN_BRIDGE_EPISODE_H
#define CN_BRIDGE_EPISODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "policy/arm.h"

typedef struct cn_episode_frame {
    uint64_t log_time_ns;
    uint64_t sequence;
    uint64_t resets;
    cn_arm_state state;
} cn_episode_frame;

typedef struct cn_episode_command {
    uint64_t log_time_ns;
    uint64_t sequence;
    uint64_t answers_frame;
    cn_arm_command command;
} cn_episode_command;

typedef struct cn_episode_step {
    uint64_t log_time_ns;
    uint64_t tick, frame, command;
    const float *observation; /* [observation_size], owned by the episode */
    const float *action;      /* [action_size] */
    int64_t latency_ns;
    float reward;
    bool success;
} cn_episode_step;

typedef struct cn_episode_event {
    uint64_t log_time_ns;
    char kind[CN_NAME], text[160]; /* cut where they are longer */
} cn_episode_event;

typedef struct cn_episode {
    char task[CN_NAME], arm[CN_NAME];
    char task_file[1024], policy_file[1024], policy_checksum[32], robot[256];
    double control_period_s;
    uint64_t messages; /* in the file, of every channel */
    bool truncated;    /* the file was cut off; what is here is whole */
    int frames, commands, steps, events;
    int observation_size, action_size;   /* of the steps; 0 when there are none */
    char point[CN_MAX_TRACKED][CN_NAME]; /* names of the tracked points */
    cn_episode_frame *frame;
    cn_episode_command *command;
    cn_episode_step *step;
    cn_episode_event *event;
    float *floats; /* storage of observations and actions */
} cn_episode;

/* Every frame has the same joints and tracked points (the vectors of three values), every command
 * as many targets (none, when its mode is none), every step the same sizes. Velocities and efforts
 * that were not logged are 0.
 * @param out  owned; cn_episode_destroy
 * @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT (not a log of ours, a message that doesn't
 *         decode or contradicts the ones before it), CN_ERR_CHECKSUM; CN_ERR_MEMORY. */
cn_status cn_episode_load(const char *path, cn_episode **out, cn_error *err);
void cn_episode_destroy(cn_episode **episode);

/* Keeps what was logged from start_s for duration_s after the first frame; from 0 on, also what
 * came before that. An interval without a frame leaves the episode empty.
 * @param start_s     s, >= 0
 * @param duration_s  s, > 0; infinity: to the end */
void cn_episode_trim(cn_episode *episode, double start_s, double duration_s);

#endif
