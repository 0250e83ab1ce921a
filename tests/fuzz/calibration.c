/* Calibration files of servo arms. */
#include "bridge/plants/calibration.h"

#include <math.h>

#include "bridge/plants/packet.h"
#include "tests/fuzz/fuzz.h"

static const cn_plant_info arm = {
    .arm = "three",
    .joints = 3,
    .joint = {{"base", "rad", -2, 2, 3, 60, 6000, INFINITY},
              {"elbow", "rad", -INFINITY, INFINITY, 3, 60, 6000, INFINITY},
              {"wrist", "rad", -3, 3, 3, 60, 6000, INFINITY}},
    .control_period_s = 0.05,
    .servo_rate_hz = 500,
};

static void check_joint(const cn_servo_joint *servo, const cn_arm_joint *joint)
{
    FUZZ_CHECK(servo->id >= 0 && servo->id <= CN_SERVO_ID_MAX);
    FUZZ_CHECK(servo->direction == 1 || servo->direction == -1);
    FUZZ_CHECK(servo->low >= 0 && servo->low < servo->high && servo->high < CN_SERVO_STEPS);
    FUZZ_CHECK(joint->position_low < joint->position_high);
    /* No position that is allowed sends the servo out of its range. */
    const double rounding = 1e-6; /* steps */
    const double ends[] = {cn_servo_steps(servo, joint->position_low),
                           cn_servo_steps(servo, joint->position_high)};
    for (int i = 0; i < 2; i++)
        FUZZ_CHECK(ends[i] >= servo->low - rounding && ends[i] <= servo->high + rounding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_plant_info info = arm;
    cn_calibration calibration;
    const char *path = fuzz_file("calibration.yaml", data, size);
    if (!fuzz_succeeded(cn_calibration_load(path, &info, &calibration, &err), &err))
        return 0;
    FUZZ_CHECK(calibration.joints == info.joints);
    for (int j = 0; j < info.joints; j++) {
        check_joint(&calibration.joint[j], &info.joint[j]);
        for (int i = 0; i < j; i++)
            FUZZ_CHECK(calibration.joint[i].id != calibration.joint[j].id);
    }
    const double periods = info.servo_rate_hz * info.control_period_s;
    FUZZ_CHECK(periods >= 1 - 1e-9 && fabs(periods - round(periods)) < 1e-9);
    FUZZ_CHECK(calibration.load > 0 && calibration.load <= 1);
    return 0;
}
