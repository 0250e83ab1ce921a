/* A TensorBoard event file: the curves of a training run, one scalar at a time.
 *
 *     cn_tfevents *events;
 *     CN_TRY(cn_tfevents_create("runs/reach", &events, err));
 *     CN_TRY(cn_tfevents_scalar(events, "train/return", step, value, err));
 *     CN_TRY(cn_tfevents_close(&events, err));
 *
 * The file holds TFRecords, and each of these a protobuf of type tensorflow.Event. A run that is
 * resumed opens another file in the same folder; TensorBoard shows them as one curve.
 * Source: TensorFlow's core/lib/io/record_writer.h, core/util/event.proto and
 * core/framework/summary.proto. */
#ifndef CN_POLICY_TFEVENTS_H
#define CN_POLICY_TFEVENTS_H

#include <stdint.h>

#include "base/error.h"

#define CN_TFEVENTS_TAG 256 /* bytes of a tag, NUL included */

typedef struct cn_tfevents cn_tfevents;

/* Makes a new file "events.out.tfevents.<time>.colonnade.<process>.<number>" in an existing folder.
 * @param out  owned; cn_tfevents_close
 * @return CN_ERR_IO (no such folder, permission, disk full), CN_ERR_ARGUMENT (path too long),
 *         CN_ERR_MEMORY. */
cn_status cn_tfevents_create(const char *folder, cn_tfevents **out, cn_error *err);

/* Adds one point of the curve `tag`, e.g. "train/return". Buffered; allocates nothing.
 * @param step   environment steps or updates, as the curve's owner counts them
 * @param value  any float; TensorBoard shows NaN and infinity as such
 * @return CN_ERR_ARGUMENT (tag empty or too long), CN_ERR_IO. */
cn_status cn_tfevents_scalar(cn_tfevents *events, const char *tag, int64_t step, float value,
                             cn_error *err);

/* Hands what is buffered to the system, so that a TensorBoard that is watching sees it. */
cn_status cn_tfevents_flush(cn_tfevents *events, cn_error *err);

/* Flushes, closes, frees and nulls; NULL and a second call do nothing. The events are freed also
 * when the last bytes could not be written (CN_ERR_IO). */
cn_status cn_tfevents_close(cn_tfevents **events, cn_error *err);

const char *cn_tfevents_path(const cn_tfevents *events);

#endif
