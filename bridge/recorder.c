/* Recording what the server does. Packing into buffers that are there, and a ring: nothing waits.
 */
#include "bridge/recorder.h"

#include <stdio.h>

void cn_recorder_begin(cn_recorder *recorder, cn_log *log)
{
    recorder->log = log;
    recorder->mode = CN_WIRE_IDLE;
}

void cn_recorder_frame(cn_recorder *recorder, uint64_t sequence, const uint8_t *state, size_t size)
{
    uint32_t packed_size;
    if (!recorder->log)
        return;
    const void *packed = cn_wire_packed_frame(state, size, &packed_size);
    cn_log_put(recorder->log, CN_LOG_SENSORS, (uint32_t)sequence, packed, packed_size);
}

void cn_recorder_command(cn_recorder *recorder, const cn_wire_command *command)
{
    if (!recorder->log)
        return;
    const size_t size = cn_wire_pack_command(command, recorder->command);
    cn_log_put(recorder->log, CN_LOG_COMMANDS, (uint32_t)command->sequence, recorder->command,
               (uint32_t)size);
}

void cn_recorder_tick(cn_recorder *recorder, const cn_log_tick *tick, const char *why)
{
    static const char *const words[] = {
        [CN_WIRE_IDLE] = "idle: nobody holds the lease",
        [CN_WIRE_ACTIVE] = "active: it follows commands",
        [CN_WIRE_HOLDING] = "holding: no valid command",
        [CN_WIRE_ESTOPPED] = "emergency stop",
    };
    char text[2 * CN_WIRE_TEXT];
    if (!recorder->log)
        return;
    cn_log_servo_tick(recorder->log, tick);
    if ((cn_wire_mode)tick->mode == recorder->mode)
        return;
    recorder->mode = (cn_wire_mode)tick->mode;
    snprintf(text, sizeof text, "%s%s%s", words[recorder->mode], why[0] ? "; " : "", why);
    cn_log_event(recorder->log, "mode", text);
}
