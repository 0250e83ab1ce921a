/* An arm of Feetech STS3215 servos (SO-100, SO-101) as a plant. */
#ifndef CN_BRIDGE_PLANTS_FEETECH_H
#define CN_BRIDGE_PLANTS_FEETECH_H

#include "bridge/plants/servo_arm.h"

extern const cn_servo_make cn_feetech_make;

/* Parameters and errors as those of cn_servo_arm_create. */
cn_status cn_feetech_create(const char *port, const cn_plant_info *info,
                            const cn_calibration *calibration, cn_plant **out, cn_error *err);

#endif
