/* The robot's own log: every frame, every command that was accepted, every period of the servo and
 * every change of mode, as the server saw them. What a controller's log cannot know, such as how
 * the arm stopped after the controller died, is in here. Without a log nothing is recorded. */
#ifndef CN_BRIDGE_RECORDER_H
#define CN_BRIDGE_RECORDER_H

#include "bridge/log.h"
#include "bridge/wire.h"

typedef struct cn_recorder {
    cn_log *log;       /* borrowed; NULL: none */
    cn_wire_mode mode; /* of the tick before */
    uint8_t command[CN_WIRE_REQUEST_MAX];
} cn_recorder;

/* @param log  borrowed; NULL: record nothing */
void cn_recorder_begin(cn_recorder *recorder, cn_log *log);

/* @param state  [size] a packed State that holds the frame */
void cn_recorder_frame(cn_recorder *recorder, uint64_t sequence, const uint8_t *state, size_t size);

void cn_recorder_command(cn_recorder *recorder, const cn_wire_command *command);

/* A change of mode since the tick before becomes an event, with `why` behind it. */
void cn_recorder_tick(cn_recorder *recorder, const cn_log_tick *tick, const char *why);

#endif
