/* TensorBoard event files: scalars over steps, in TFRecord framing with masked CRC32C. Messages are
 * tensorflow.Event, encoded by hand: five fields don't justify a dependency of policy/ on proto/. */
#ifndef CN_POLICY_TFEVENTS_H
#define CN_POLICY_TFEVENTS_H

#include <stdint.h>

#include "base/error.h"

typedef struct cn_tfevents cn_tfevents;

/* Makes "<folder>/events.out.tfevents.<seconds>.<host>.<pid>" in an existing folder.
 * @return CN_ERR_IO with the path and why. */
cn_status cn_tfevents_create(const char *folder, cn_tfevents **out, cn_error *err);

/* @param tag  e.g. "rollout/return", at most 200 bytes; @param step  environment steps */
cn_status cn_tfevents_scalar(cn_tfevents *events, const char *tag, int64_t step, float value,
                             cn_error *err);

/* Hands what was added to the operating system, so that TensorBoard sees it. */
cn_status cn_tfevents_flush(cn_tfevents *events, cn_error *err);

/* Flushes, closes, nulls; NULL does nothing. */
cn_status cn_tfevents_close(cn_tfevents **events, cn_error *err);

#endif
