/* An arm of servos on one bus as a plant: what every make has in common. Each servo period goals go
 * out in one packet and readings come back; that exchange is all that ever waits for the bus, and
 * never longer than the period. An exchange that fails is tried again in the next period. What a
 * make of servo is like is a table: feetech.c, dynamixel.c. */
#ifndef CN_BRIDGE_PLANTS_SERVO_ARM_H
#define CN_BRIDGE_PLANTS_SERVO_ARM_H

#include "bridge/plant.h"
#include "bridge/plants/bus.h"
#include "bridge/plants/calibration.h"

/* After so many exchanges in a row without an answer of every servo, the plant fails. */
#define CN_SERVO_ATTEMPTS 10

#define CN_SERVO_SENSOR_BYTES 32 /* a make's sensors have no more */

/* What a servo measures, in its own sense of rotation. */
typedef struct cn_servo_reading {
    int steps;
    double velocity;    /* steps/s */
    double load;        /* -1 to 1, of its full load */
    double temperature; /* degrees Celsius */
} cn_servo_reading;

typedef struct cn_servo_make {
    const cn_servo_protocol *protocol;
    cn_registers torque;   /* 1: hold and move, 0: limp */
    cn_registers goal;     /* steps, little-endian */
    cn_registers sensors;  /* what decode takes apart */
    cn_registers watchdog; /* of the bus; bytes 0: the servo has none */
    uint8_t watchdog_value;
    double watchdog_s; /* what that value means */
    /* Checks that a servo is one of this make and follows positions.
     * @param full_load  what its load register reads at full load */
    cn_status (*check)(cn_bus *bus, uint8_t id, double *full_load, cn_error *err);
    void (*decode)(const uint8_t *sensors, double full_load, cn_servo_reading *out);
} cn_servo_make;

/* Finds every servo, reads it, tells it to stay where it is, and turns its torque on.
 * @param make  borrowed
 * @param info  copied; as cn_calibration_load has left it
 * @param out   owned; cn_plant_destroy turns the torque off, as far as the bus still answers
 * @return as cn_bus_read, naming the joint; CN_ERR_MISMATCH: another kind of servo */
cn_status cn_servo_arm_create(const cn_servo_make *make, const char *port,
                              const cn_plant_info *info, const cn_calibration *calibration,
                              cn_plant **out, cn_error *err);

#endif
