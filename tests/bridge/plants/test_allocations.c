/* Nothing is allocated by an arm of servos once it exists, whether the bus is well or not. */
#include "bridge/plants/dynamixel.h"
#include "bridge/plants/feetech.h"
#include "tests/allocations.h"
#include "tests/bridge/plants/servos.h"

static void check(const char *make, servos_driver *create)
{
    cn_error err = {0};
    cn_arm_state state;
    const cn_arm_command command = servos_command(CN_COMMAND_VELOCITY, 0.1, 0.1, 0.1);
    servos emulator;
    servos_start(&emulator, make);
    cn_plant *arm = servos_arm(&emulator, create);
    const long before = atomic_load(&allocations);
    CU_ASSERT_TRUE(before > 0); /* creating was counted */
    CN_ASSERT_OK(servos_run(arm, &command, 10, &err));
    CN_ASSERT_OK(arm->read(arm, &state, &err));
    servos_tell(&emulator, "fail checksum 2");
    CU_ASSERT_EQUAL(servos_run_to_failure(arm, &command, &err), CN_ERR_CHECKSUM);
    CU_ASSERT_EQUAL(atomic_load(&allocations) - before, 0);
    cn_plant_destroy(&arm);
    servos_end(&emulator);
}

static void test_feetech_allocates_nothing(void)
{
    check("feetech", cn_feetech_create);
}

static void test_dynamixel_allocates_nothing(void)
{
    check("dynamixel", cn_dynamixel_create);
}

CN_TEST_MAIN("bridge.plants.allocations", T(test_feetech_allocates_nothing),
             T(test_dynamixel_allocates_nothing))
