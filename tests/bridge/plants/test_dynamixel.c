/* What is particular to the X series: models, current limits, the bus watchdog. */
#include "bridge/plants/dynamixel.h"

#include "tests/bridge/plants/servos.h"

static const cn_arm_command hold = {.mode = CN_COMMAND_NONE, .joints = 3};

static void check_refused(servos *emulator, const char *order, const char *words)
{
    cn_error err = {0};
    cn_plant_info info;
    cn_calibration calibration;
    cn_plant *arm = NULL;
    servos_calibrate(SERVOS_CALIBRATION, &info, &calibration);
    servos_tell(emulator, "%s", order);
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, words,
                    cn_dynamixel_create(emulator->port, &info, &calibration, &arm, &err));
    CU_ASSERT_PTR_NULL(arm);
}

static void test_dynamixel_refuses_other_servos_and_modes(void)
{
    servos emulator;
    servos_start(&emulator, "dynamixel");
    check_refused(&emulator, "set 1 0 2 350",
                  "joint 'base': servo 1 is of model 350, not an XL330");
    servos_tell(&emulator, "set 1 0 2 1190");
    check_refused(&emulator, "set 2 11 1 1", "joint 'elbow': servo 2 is in operating mode 1");
    servos_tell(&emulator, "set 2 11 1 5");
    check_refused(&emulator, "set 7 38 2 0", "joint 'wrist': servo 7 has a current limit of 0 mA");
    servos_end(&emulator);
}

/* An XL430 measures no current: its register counts thousandths, and 38 is not asked for. */
static void test_dynamixel_takes_the_load_of_an_xl430(void)
{
    cn_error err = {0};
    servos emulator;
    cn_arm_state state;
    servos_start(&emulator, "dynamixel");
    servos_tell(&emulator, "set 1 0 2 1060");
    servos_tell(&emulator, "set 1 38 2 0");
    cn_plant *arm = servos_arm(&emulator, cn_dynamixel_create);
    servos_tell(&emulator, "set 1 126 2 65036"); /* -500 */
    CN_ASSERT_OK(servos_run(arm, &hold, 3, &err));
    CN_ASSERT_OK(arm->read(arm, &state, &err));
    CU_ASSERT_DOUBLE_EQUAL(state.effort[0], -1, 1e-12); /* half of 2 N m */
    cn_plant_destroy(&arm);
    servos_end(&emulator);
}

static void test_dynamixel_arms_the_bus_watchdog_and_disarms_it(void)
{
    cn_error err = {0};
    servos emulator;
    servos_start(&emulator, "dynamixel");
    /* It has bitten before, and refuses goals until it is cleared: without a new one, the torque
     * would bring the old one back. */
    servos_tell(&emulator, "set 2 98 1 255");
    servos_tell(&emulator, "set 2 132 4 2500");
    cn_plant *arm = servos_arm(&emulator, cn_dynamixel_create);
    CU_ASSERT_EQUAL(servos_get(&emulator, 2, 116, 4), 2500);
    CN_ASSERT_OK(servos_run(arm, &hold, 3, &err));
    CU_ASSERT_EQUAL(servos_get(&emulator, 1, 98, 1), 20);
    CU_ASSERT_EQUAL(servos_get(&emulator, 2, 98, 1), 20);
    CU_ASSERT_EQUAL(servos_get(&emulator, 7, 98, 1), 20);
    cn_plant_destroy(&arm);
    CU_ASSERT_EQUAL(servos_get(&emulator, 2, 98, 1), 0);
    servos_end(&emulator);
}

static void test_dynamixel_says_that_the_watchdog_has_bitten(void)
{
    cn_error err = {0};
    servos emulator;
    servos_start(&emulator, "dynamixel");
    cn_plant *arm = servos_arm(&emulator, cn_dynamixel_create);
    CN_ASSERT_OK(servos_run(arm, &hold, 3, &err));
    cn_clock_sleep_until(cn_clock_now() + CN_NS_PER_S);
    CN_ASSERT_FAILS(CN_ERR_SAFETY, "the watchdog of its servos (0.40 s) has stopped it",
                    arm->command(arm, &hold, &err));
    cn_plant_destroy(&arm);
    CU_ASSERT_EQUAL(servos_get(&emulator, 2, 98, 1), 0); /* and it is as it was before */
    CU_ASSERT_EQUAL(servos_get(&emulator, 2, 64, 1), 0);
    servos_end(&emulator);
}

CN_TEST_MAIN("bridge.plants.dynamixel", T(test_dynamixel_refuses_other_servos_and_modes),
             T(test_dynamixel_takes_the_load_of_an_xl430),
             T(test_dynamixel_arms_the_bus_watchdog_and_disarms_it),
             T(test_dynamixel_says_that_the_watchdog_has_bitten))
