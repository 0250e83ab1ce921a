/* The limp arm, on both makes: it finds its servos, changes nothing before it is told to, and
 * reads. */
#include "bridge/plants/limp.h"

#include "bridge/plants/dynamixel.h"
#include "bridge/plants/feetech.h"
#include "tests/bridge/plants/servos.h"

static const struct kind {
    const char *name;
    const cn_servo_make *make;
    int torque, position, position_bytes;
} kinds[] = {
    {"feetech", &cn_feetech_make, 40, 56, 2},
    {"dynamixel", &cn_dynamixel_make, 64, 132, 4},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const uint8_t ids[3] = {1, 2, 7};

static void test_limp_arm_goes_limp_when_told_and_reads_steps(void)
{
    cn_error err = {0};
    for (int k = 0; k < KINDS; k++) {
        servos emulator;
        cn_limp *limp = NULL;
        int steps[3];
        servos_start(&emulator, kinds[k].name);
        servos_tell(&emulator, "set 2 %d 1 1", kinds[k].torque);
        CN_ASSERT_OK(cn_limp_open(kinds[k].make, emulator.port, ids, 3, &limp, &err));
        CU_ASSERT_EQUAL(servos_get(&emulator, 2, kinds[k].torque, 1), 1);
        CN_ASSERT_OK(cn_limp_relax(limp, &err));
        CU_ASSERT_EQUAL(servos_get(&emulator, 2, kinds[k].torque, 1), 0);
        servos_tell(&emulator, "set 7 %d %d 3000", kinds[k].position, kinds[k].position_bytes);
        CN_ASSERT_OK(cn_limp_read(limp, steps, &err));
        CU_ASSERT_EQUAL(steps[0], 2048);
        CU_ASSERT_EQUAL(steps[2], 3000);
        cn_limp_close(&limp);
        cn_limp_close(&limp);
        CU_ASSERT_PTR_NULL(limp);
        servos_end(&emulator);
    }
}

/* What passes is endured; what stays is named. */
static void test_limp_arm_names_what_fails(void)
{
    cn_error err = {0};
    for (int k = 0; k < KINDS; k++) {
        servos emulator;
        cn_limp *limp = NULL;
        int steps[3];
        servos_start(&emulator, kinds[k].name);
        servos_tell(&emulator, "fail missing 7");
        CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "servo 7 does not answer",
                        cn_limp_open(kinds[k].make, emulator.port, ids, 3, &limp, &err));
        CU_ASSERT_PTR_NULL(limp);
        servos_tell(&emulator, "heal");
        CN_ASSERT_OK(cn_limp_open(kinds[k].make, emulator.port, ids, 3, &limp, &err));
        servos_tell(&emulator, "fail checksum 2 3");
        CN_ASSERT_OK(cn_limp_read(limp, steps, &err));
        servos_tell(&emulator, "fail half 7");
        CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "servo 7 sends half an answer",
                        cn_limp_read(limp, steps, &err));
        servos_tell(&emulator, "fail missing 1");
        CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "servo 1 does not answer", cn_limp_relax(limp, &err));
        servos_tell(&emulator, "unplug");
        CN_ASSERT_FAILS(CN_ERR_IO, "is gone", cn_limp_read(limp, steps, &err));
        cn_limp_close(&limp);
        servos_end(&emulator);
    }
    cn_limp *limp = NULL;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "there is no port",
                    cn_limp_open(&cn_feetech_make, "/dev/ttyNowhere", ids, 3, &limp, &err));
}

CN_TEST_MAIN("bridge.plants.limp", T(test_limp_arm_goes_limp_when_told_and_reads_steps),
             T(test_limp_arm_names_what_fails))
