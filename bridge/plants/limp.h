/* An arm of servos without torque, which somebody moves by hand: what finds its calibration. */
#ifndef CN_BRIDGE_PLANTS_LIMP_H
#define CN_BRIDGE_PLANTS_LIMP_H

#include "bridge/plants/servo_arm.h"

typedef struct cn_limp cn_limp;

/* Finds the servos and changes nothing.
 * @param make  borrowed
 * @param id    [servos], copied; servos 1 to CN_MAX_JOINTS
 * @param out   owned; cn_limp_close leaves the servos as they are
 * @return as cn_bus_read, naming the servo; CN_ERR_MISMATCH: another kind of servo; CN_ERR_MEMORY
 */
cn_status cn_limp_open(const cn_servo_make *make, const char *port, const uint8_t *id, int servos,
                       cn_limp **out, cn_error *err);
void cn_limp_close(cn_limp **limp);

/* Turns the torque of all servos off: the arm falls. @return as cn_bus_write */
cn_status cn_limp_relax(cn_limp *limp, cn_error *err);

/* Where the servos stand. A reading that fails is tried again, CN_SERVO_ATTEMPTS times in all.
 * @param steps  [servos]
 * @return as cn_bus_sync_read */
cn_status cn_limp_read(cn_limp *limp, int *steps, cn_error *err);

#endif
