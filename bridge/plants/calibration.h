/* What ties a bus of servos to the joints of an arm: a small YAML file for each arm that was built
 * (docs/hardware.md).
 *
 *     joints:
 *       shoulder_pan: {id: 1, zero: 2048, direction: 1, range: [700, 3400]}
 *       shoulder_lift: {id: 2, zero: 2010, direction: -1, range: [820, 3250]}
 *     rate: 100            # optional: goals and readings a second, at most
 *     temperature: 65      # optional: degrees Celsius at which the arm stops
 *     load: 0.9            # optional: of a servo's full load; longer than a second, the arm stops
 */
#ifndef CN_BRIDGE_PLANTS_CALIBRATION_H
#define CN_BRIDGE_PLANTS_CALIBRATION_H

#include "base/error.h"
#include "bridge/plant.h"

#define CN_SERVO_STEPS        4096 /* a turn, of every servo here */
#define CN_SERVO_RAD_PER_STEP (6.283185307179586 / CN_SERVO_STEPS)

typedef struct cn_servo_joint {
    int id;
    int zero;      /* steps at which the joint is at 0 rad, as the model has it */
    int direction; /* 1, or -1: more steps are less rad */
    int low, high; /* steps between which it may be sent */
} cn_servo_joint;

typedef struct cn_calibration {
    int joints;
    cn_servo_joint joint[CN_MAX_JOINTS]; /* in the order of the arm's */
    double temperature;                  /* degrees Celsius */
    double load;                         /* 0 to 1 */
} cn_calibration;

/* Reads the file for an arm whose joints are known: each must have an entry.
 * @param info  its joints' position limits are narrowed to the calibrated ranges, and servo_rate_hz
 *              becomes the highest up to `rate` that goes into the control period
 * @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT with file and line, CN_ERR_MEMORY */
cn_status cn_calibration_load(const char *path, cn_plant_info *info, cn_calibration *out,
                              cn_error *err);

/* Writes the joints' entries; the other keys keep their defaults.
 * @param info  names the joints
 * @return CN_ERR_IO; then nothing is left at `path` that was not there before */
cn_status cn_calibration_save(const char *path, const cn_plant_info *info,
                              const cn_calibration *calibration, cn_error *err);

/* Between joint positions, rad, and steps. */
double cn_servo_position(const cn_servo_joint *joint, int steps);
double cn_servo_steps(const cn_servo_joint *joint, double position);

#endif
