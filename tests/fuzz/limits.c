/* Limits files: they narrow what the arm may do, and the safety filter keeps to what is left. */
#include "bridge/limits.h"

#include <math.h>

#include "policy/safety.h"
#include "tests/fuzz/fuzz.h"

enum { JOINTS = 2, TICKS = 40 };
#define DT_S 0.002

static const cn_arm_joint arm[JOINTS] = {{"base", "rad", -2, 2, 1.5, 30, 3000, 10},
                                         {"rail", "m", -INFINITY, INFINITY, 3, 60, 6000, INFINITY}};

static void check_narrower(const cn_arm_joint *joint, const cn_limits *limits)
{
    for (int j = 0; j < JOINTS; j++) {
        FUZZ_CHECK(joint[j].position_low >= arm[j].position_low);
        FUZZ_CHECK(joint[j].position_high <= arm[j].position_high);
        FUZZ_CHECK(joint[j].position_low <= joint[j].position_high);
        FUZZ_CHECK(joint[j].velocity > 0 && joint[j].velocity <= arm[j].velocity);
    }
    FUZZ_CHECK(limits->keep_out.boxes >= 0 && limits->keep_out.boxes <= CN_MAX_BOXES);
    for (int i = 0; i < limits->keep_out.boxes; i++)
        FUZZ_CHECK(limits->keep_out.box[i].distance >= 0 && limits->keep_out.box[i].point[0]);
}

/* Sends the arm as far as it goes, to and fro, from a place where it may be. */
static void drive(cn_safety *safety, const cn_arm_joint *joint)
{
    const double rounding = 1e-9;
    cn_arm_state state = {.joints = JOINTS};
    cn_arm_command wanted = {.mode = CN_COMMAND_POSITION, .joints = JOINTS}, out;
    for (int j = 0; j < JOINTS; j++)
        state.position[j] = fmin(fmax(0, joint[j].position_low), joint[j].position_high);
    cn_safety_begin(safety, &state);
    for (int t = 0; t < TICKS; t++) {
        for (int j = 0; j < JOINTS; j++)
            wanted.target[j] = t / 10 % 2 ? -1e6 : 1e6;
        cn_safety_next(safety, &wanted, DT_S, &out);
        for (int j = 0; j < JOINTS; j++) {
            const double step = fabs(out.target[j] - state.position[j]);
            FUZZ_CHECK(out.target[j] >= joint[j].position_low - rounding);
            FUZZ_CHECK(out.target[j] <= joint[j].position_high + rounding);
            FUZZ_CHECK(step <= joint[j].velocity * DT_S * (1 + rounding) + rounding);
            state.position[j] = out.target[j];
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_limits limits;
    cn_arm_joint joint[JOINTS] = {arm[0], arm[1]};
    cn_safety *safety;
    const char *path = fuzz_file("limits.yaml", data, size);
    if (!fuzz_succeeded(cn_limits_load(path, joint, JOINTS, &limits, &err), &err))
        return 0;
    check_narrower(joint, &limits);
    if (fuzz_succeeded(cn_safety_create(joint, JOINTS, &safety, &err), &err))
        drive(safety, joint);
    cn_safety_destroy(&safety);
    return 0;
}
