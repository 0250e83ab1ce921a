/* An arm of Dynamixel X servos on Protocol 2.0 as a plant, its bus watchdog armed: when the server
 * falls silent the servos stop by themselves. */
#ifndef CN_BRIDGE_PLANTS_DYNAMIXEL_H
#define CN_BRIDGE_PLANTS_DYNAMIXEL_H

#include "bridge/plants/servo_arm.h"

extern const cn_servo_make cn_dynamixel_make;

/* Parameters and errors as those of cn_servo_arm_create. */
cn_status cn_dynamixel_create(const char *port, const cn_plant_info *info,
                              const cn_calibration *calibration, cn_plant **out, cn_error *err);

#endif
