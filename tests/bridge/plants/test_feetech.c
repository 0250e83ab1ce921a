/* What is particular to the STS3215. */
#include "bridge/plants/feetech.h"

#include "bridge/plants/sts.h"
#include "tests/bridge/plants/servos.h"

static void test_feetech_refuses_other_servos_and_modes(void)
{
    cn_error err = {0};
    servos emulator;
    cn_plant_info info;
    cn_calibration calibration;
    cn_plant *arm = NULL;
    servos_start(&emulator, "feetech");
    servos_calibrate(SERVOS_CALIBRATION, &info, &calibration);
    servos_tell(&emulator, "set 2 3 2 1284");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH,
                    "joint 'elbow': servo 2 is of model 1284, not an STS3215 (777)",
                    cn_feetech_create(emulator.port, &info, &calibration, &arm, &err));
    servos_tell(&emulator, "set 2 3 2 777");
    servos_tell(&emulator, "set 7 33 1 1");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "joint 'wrist': servo 7 is in mode 1",
                    cn_feetech_create(emulator.port, &info, &calibration, &arm, &err));
    CU_ASSERT_PTR_NULL(arm);
    servos_end(&emulator);
}

/* Sign and magnitude, in the servo's own sense; the elbow's direction is -1. */
static void test_feetech_reads_signed_registers(void)
{
    cn_error err = {0};
    servos emulator;
    cn_arm_state state;
    const cn_arm_command hold = {.mode = CN_COMMAND_NONE, .joints = 3};
    servos_start(&emulator, "feetech");
    cn_plant *arm = servos_arm(&emulator, cn_feetech_create);
    servos_tell(&emulator, "set 1 60 2 %u", cn_sts_unsigned(-250, 10));
    CN_ASSERT_OK(servos_run(arm, &hold, 3, &err));
    CN_ASSERT_OK(arm->read(arm, &state, &err));
    CU_ASSERT_DOUBLE_EQUAL(state.effort[0], -0.5, 1e-12); /* a quarter of 2 N m */
    servos_tell(&emulator, "set 2 42 2 %d", 0);           /* what nobody here would command */
    servos_tell(&emulator, "set 2 56 2 -10");
    servos_tell(&emulator, "set 2 40 1 0");
    CN_ASSERT_OK(servos_run(arm, &hold, 3, &err));
    CN_ASSERT_OK(arm->read(arm, &state, &err));
    CU_ASSERT_DOUBLE_EQUAL(state.position[1], 2010 * CN_SERVO_RAD_PER_STEP, 1e-12);
    cn_plant_destroy(&arm);
    servos_end(&emulator);
}

CN_TEST_MAIN("bridge.plants.feetech", T(test_feetech_refuses_other_servos_and_modes),
             T(test_feetech_reads_signed_registers))
