/* The STS3215: its registers, from Feetech's memory table. It has no watchdog of its own: when the
 * server is killed the arm holds its last goal. */
#include "bridge/plants/feetech.h"

#include "bridge/plants/sts.h"

enum { MODEL_STS3215 = 777, MODE_POSITION = 0 };

#define FULL_LOAD 1000.0 /* the load register counts thousandths of the full duty cycle */

static const cn_registers model = {3, 2}, mode = {33, 1};

static unsigned word(const uint8_t *bytes)
{
    return (unsigned)(bytes[0] | bytes[1] << 8);
}

static cn_status check(cn_bus *bus, uint8_t id, double *full_load, cn_error *err)
{
    uint8_t number[2], works;
    CN_TRY(cn_bus_read(bus, id, model, number, err));
    CN_FAIL_IF(word(number) != MODEL_STS3215, CN_ERR_MISMATCH, err,
               "servo %d is of model %u, not an STS3215 (%d)", id, word(number), MODEL_STS3215);
    CN_TRY(cn_bus_read(bus, id, mode, &works, err));
    CN_FAIL_IF(works != MODE_POSITION, CN_ERR_MISMATCH, err,
               "servo %d is in mode %d: set register 33 to 0, position control", id, works);
    *full_load = FULL_LOAD;
    return CN_OK;
}

/* 56: position (2), velocity (2, steps/s), load (2), voltage (1), temperature (1). */
static void decode(const uint8_t *sensors, double full_load, cn_servo_reading *out)
{
    out->steps = cn_sts_signed(word(sensors), 15);
    out->velocity = cn_sts_signed(word(sensors + 2), 15);
    out->load = cn_sts_signed(word(sensors + 4), 10) / full_load;
    out->temperature = sensors[7];
}

const cn_servo_make cn_feetech_make = {
    .protocol = &cn_sts_protocol,
    .torque = {40, 1},
    .goal = {42, 2},
    .sensors = {56, 8},
    .check = check,
    .decode = decode,
};

cn_status cn_feetech_create(const char *port, const cn_plant_info *info,
                            const cn_calibration *calibration, cn_plant **out, cn_error *err)
{
    return cn_servo_arm_create(&cn_feetech_make, port, info, calibration, out, err);
}
