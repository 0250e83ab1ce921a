/* The X series: its registers, from ROBOTIS' control tables. Those of the XL330 measure current,
 * the XL430 a load. */
#include "bridge/plants/dynamixel.h"

#include "bridge/plants/dxl.h"

enum { MODEL_XL430 = 1060, MODEL_XL330_M077 = 1190, MODEL_XL330_M288 = 1200 };
enum { MODE_POSITION = 3, MODE_EXTENDED_POSITION = 4, MODE_CURRENT_POSITION = 5 };
enum { WATCHDOG = 20 }; /* x 20 ms */

#define FULL_LOAD      1000.0                        /* of an XL430: thousandths */
#define STEPS_PER_UNIT (0.229 / 60 * CN_SERVO_STEPS) /* of velocity: 0.229 rpm */

static const cn_registers model = {0, 2}, mode = {11, 1}, current_limit = {38, 2};

static int word(const uint8_t *bytes)
{
    return (int16_t)(uint16_t)(bytes[0] | bytes[1] << 8);
}

static int32_t double_word(const uint8_t *bytes)
{
    return (int32_t)((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24);
}

static cn_status check(cn_bus *bus, uint8_t id, double *full_load, cn_error *err)
{
    uint8_t value[2];
    CN_TRY(cn_bus_read(bus, id, model, value, err));
    const int number = word(value);
    CN_FAIL_IF(number != MODEL_XL430 && number != MODEL_XL330_M077 && number != MODEL_XL330_M288,
               CN_ERR_MISMATCH, err,
               "servo %d is of model %d, not an XL330-M077 (%d), XL330-M288 (%d) or XL430-W250 "
               "(%d)",
               id, number, MODEL_XL330_M077, MODEL_XL330_M288, MODEL_XL430);
    CN_TRY(cn_bus_read(bus, id, mode, value, err));
    CN_FAIL_IF(value[0] < MODE_POSITION || value[0] > MODE_CURRENT_POSITION, CN_ERR_MISMATCH, err,
               "servo %d is in operating mode %d: set register 11 to %d, position control", id,
               value[0], MODE_POSITION);
    *full_load = FULL_LOAD;
    if (number == MODEL_XL430)
        return CN_OK;
    CN_TRY(cn_bus_read(bus, id, current_limit, value, err));
    CN_FAIL_IF(word(value) <= 0, CN_ERR_MISMATCH, err,
               "servo %d has a current limit of %d mA (register 38): it could not move", id,
               word(value));
    *full_load = word(value);
    return CN_OK;
}

/* 126: current or load (2), velocity (4), position (4), their trajectories (8), voltage (2),
 * temperature (1). */
static void decode(const uint8_t *sensors, double full_load, cn_servo_reading *out)
{
    out->load = word(sensors) / full_load;
    out->velocity = double_word(sensors + 2) * STEPS_PER_UNIT;
    out->steps = double_word(sensors + 6);
    out->temperature = sensors[20];
}

const cn_servo_make cn_dynamixel_make = {
    .protocol = &cn_dxl_protocol,
    .torque = {64, 1},
    .goal = {116, 4},
    .sensors = {126, 21},
    .watchdog = {98, 1},
    .watchdog_value = WATCHDOG,
    .watchdog_s = WATCHDOG * 0.02,
    .check = check,
    .decode = decode,
};

cn_status cn_dynamixel_create(const char *port, const cn_plant_info *info,
                              const cn_calibration *calibration, cn_plant **out, cn_error *err)
{
    return cn_servo_arm_create(&cn_dynamixel_make, port, info, calibration, out, err);
}
