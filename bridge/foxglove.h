/* What Foxglove shows without being told how: messages of its own schemas (proto/foxglove.proto),
 * made from those of the log by whoever writes the file. Private to the module.
 *
 *   /joint_states  foxglove.JointStates      of every SensorFrame
 *   /tf            foxglove.FrameTransforms  of every SensorFrame with tracked points: where they
 * are /log           foxglove.Log              of every Event
 *
 * Their log time is that of the message they come from, and so is their sequence but for pictures,
 * which not every frame has: those of a camera are counted. */
#ifndef CN_BRIDGE_FOXGLOVE_H
#define CN_BRIDGE_FOXGLOVE_H

#include <stdint.h>

#include "base/error.h"
#include "bridge/log.h"
#include "bridge/mcap.h"

typedef struct cn_foxglove cn_foxglove;

/* Adds schemas and channels to the file, and copies the names of the joints.
 * @param file  borrowed; must outlive *out
 * @return CN_ERR_MEMORY, or what cn_mcap_channel returns. */
cn_status cn_foxglove_create(cn_mcap_writer *file, const cn_log_about *about, cn_foxglove **out,
                             cn_error *err);
void cn_foxglove_destroy(cn_foxglove **foxglove);

/* Writes what there is to be shown of a packed message of the log, before the message itself. One
 * that does not decode, or has another number of joints, shows nothing.
 * @param packed, size  in: the message. Out: what of it is still to be logged: a frame whose
 * pictures were written comes back without them; valid until the next call
 * @return what cn_mcap_message returns; CN_ERR_MEMORY. */
cn_status cn_foxglove_add(cn_foxglove *foxglove, cn_log_channel channel, uint32_t sequence,
                          uint64_t log_time, const void **packed, size_t *size, cn_error *err);

#endif
