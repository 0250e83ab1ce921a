/* The episode log: one MCAP file with protobuf channels, written by a thread of its own. Putting a
 * message in copies it into a ring that was allocated beforehand: no allocation, no lock that the
 * disk could hold, no waiting. When the ring is full the message is dropped and counted. */
#ifndef CN_BRIDGE_LOG_H
#define CN_BRIDGE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "policy/arm.h"

/* X(name, topic, message): the channels of a log. Those of bridge/foxglove.h are made from them. */
#define CN_LOG_CHANNEL_TABLE(X)                                                                    \
    X(CN_LOG_SENSORS, "/robot/sensors", "colonnade.v1.SensorFrame")                                \
    X(CN_LOG_COMMANDS, "/robot/commands", "colonnade.v1.Command")                                  \
    X(CN_LOG_SERVO, "/robot/servo", "colonnade.v1.ServoTick")                                      \
    X(CN_LOG_POLICY, "/policy/step", "colonnade.v1.PolicyStep")                                    \
    X(CN_LOG_EVENTS, "/events", "colonnade.v1.Event")
typedef enum cn_log_channel {
#define CN_LOG_CHANNEL_ENUM(name, topic, message) name,
    CN_LOG_CHANNEL_TABLE(CN_LOG_CHANNEL_ENUM)
#undef CN_LOG_CHANNEL_ENUM
        CN_LOG_CHANNELS
} cn_log_channel;

/* What the log is about; becomes its "colonnade" metadata. Strings are copied. */
typedef struct cn_log_about {
    const char *task;      /* task name */
    const char *task_file; /* path of the task YAML */
    const char *arm;
    const char *policy_file;     /* path, may be "" */
    const char *policy_checksum; /* 16 hex digits, may be "" */
    const char *robot;           /* endpoint */
    double control_period_s;
    int joints;                /* 0: unknown; then there is no /joint_states */
    const cn_arm_joint *joint; /* [joints], for their names */
} cn_log_about;

typedef struct cn_log cn_log;

/* Makes the file and starts the writer thread. @return CN_ERR_IO (folder, permission). */
cn_status cn_log_create(const char *path, const cn_log_about *about, cn_log **out, cn_error *err);

/* Puts one packed message; false when the ring was full and it was dropped. From one thread. */
bool cn_log_put(cn_log *log, cn_log_channel channel, uint32_t sequence, const void *packed,
                uint32_t size);

/* Convenience for the control loop: packs and puts without allocating. */
typedef struct cn_log_step {
    uint64_t tick, frame, command;
    const float *observation;
    int observation_size;
    const float *action;
    int action_size;
    int64_t latency_ns;
    float reward;
    bool success;
} cn_log_step;
bool cn_log_policy_step(cn_log *log, const cn_log_step *step);

/* What a robot's servo did in one period. */
typedef struct cn_log_tick {
    int64_t robot_time_ns;
    uint64_t frame;
    int mode;                     /* a cn_wire_mode */
    uint64_t command;             /* 0: none */
    const cn_arm_command *target; /* what the plant was told */
} cn_log_tick;
bool cn_log_servo_tick(cn_log *log, const cn_log_tick *tick);
bool cn_log_event(cn_log *log, const char *kind, const char *text);

uint64_t cn_log_dropped(const cn_log *log);

/* Writes what is left, finishes the file, frees. @return the first failure of the writer thread
 * (disk full, ...); whatever was written before it is kept. */
cn_status cn_log_finish(cn_log **log, cn_error *err);

#endif
