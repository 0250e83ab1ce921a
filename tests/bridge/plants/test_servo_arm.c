/* What every arm of servos does, on both makes: it begins where it is, follows, tells what it
 * measures, endures what passes, gives up with a sentence on what stays, and ends limp. */
#include "bridge/plants/servo_arm.h"

#include "bridge/plants/dynamixel.h"
#include "bridge/plants/feetech.h"
#include "tests/bridge/plants/servos.h"

static const struct kind {
    const char *make;
    servos_driver *create;
    int torque, goal, goal_bytes, position, position_bytes, temperature, load;
    long full_load;
} kinds[] = {
    {"feetech", cn_feetech_create, 40, 42, 2, 56, 2, 63, 60, 1000},
    {"dynamixel", cn_dynamixel_create, 64, 116, 4, 132, 4, 146, 126, 1750},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const int ids[3] = {1, 2, 7};

typedef struct bench {
    const struct kind *kind;
    servos emulator;
    cn_plant *arm;
} bench;

static void bench_open(bench *b, int kind)
{
    b->kind = &kinds[kind];
    servos_start(&b->emulator, kinds[kind].make);
    servos_tell(&b->emulator, "set 7 %d %d 2300", kinds[kind].position, kinds[kind].position_bytes);
    b->arm = servos_arm(&b->emulator, kinds[kind].create);
}

/* Ends the arm; as far as its servos hear, they are limp. */
static void bench_close(bench *b, bool limp)
{
    cn_plant_destroy(&b->arm);
    cn_plant_destroy(&b->arm);
    for (int i = 0; i < 3 && limp; i++)
        CU_ASSERT_EQUAL(servos_get(&b->emulator, ids[i], b->kind->torque, 1), 0);
    servos_end(&b->emulator);
}

static const cn_arm_command hold = {.mode = CN_COMMAND_NONE, .joints = 3};

static void test_servo_arm_begins_where_it_is_with_torque(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        cn_arm_state state;
        bench_open(&b, k);
        CN_ASSERT_OK(b.arm->read(b.arm, &state, &err));
        CU_ASSERT_EQUAL(state.joints, 3);
        CU_ASSERT_DOUBLE_EQUAL(state.position[2], 252 * CN_SERVO_RAD_PER_STEP, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(state.position[1], -48 * CN_SERVO_RAD_PER_STEP, 1e-12);
        CU_ASSERT_EQUAL(servos_get(&b.emulator, 7, kinds[k].goal, kinds[k].goal_bytes), 2300);
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(servos_get(&b.emulator, ids[i], kinds[k].torque, 1), 1);
        CU_ASSERT_STRING_EQUAL(servos_tell(&b.emulator, "line"), "True True True");
        bench_close(&b, true);
    }
}

static void test_servo_arm_follows_positions_in_its_joints_directions(void)
{
    bench b;
    for (int k = 0; k < KINDS; k++) {
        const cn_arm_command command = servos_command(CN_COMMAND_POSITION, 0.5, 0.5, -0.25);
        bench_open(&b, k);
        for (int j = 0; j < 3; j++)
            CU_ASSERT_TRUE(servos_reach(b.arm, &command, j, command.target[j]));
        const long base = servos_get(&b.emulator, 1, kinds[k].position, kinds[k].position_bytes);
        const long elbow = servos_get(&b.emulator, 2, kinds[k].position, kinds[k].position_bytes);
        CU_ASSERT_DOUBLE_EQUAL((double)base, 2048 + 0.5 / CN_SERVO_RAD_PER_STEP, 1.5);
        CU_ASSERT_DOUBLE_EQUAL((double)elbow, 2000 - 0.5 / CN_SERVO_RAD_PER_STEP, 1.5);
        bench_close(&b, true);
    }
}

static void test_servo_arm_follows_velocities_up_to_the_end_of_the_range(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        const cn_arm_command turn = servos_command(CN_COMMAND_VELOCITY, 0.5, -2, 0);
        bench_open(&b, k);
        const double low = b.arm->info.joint[1].position_low;
        CN_ASSERT_OK(servos_run(b.arm, &turn, 10, &err)); /* 0.4 s */
        const long base = servos_get(&b.emulator, 1, kinds[k].goal, kinds[k].goal_bytes);
        CU_ASSERT_DOUBLE_EQUAL((double)base, 2048 + 0.2 / CN_SERVO_RAD_PER_STEP, 1.5);
        CU_ASSERT_TRUE(servos_reach(b.arm, &turn, 1, low));
        CN_ASSERT_OK(servos_run(b.arm, &turn, 5, &err));
        CU_ASSERT_TRUE(servos_reach(b.arm, &turn, 1, low)); /* and no further */
        CU_ASSERT_EQUAL(servos_get(&b.emulator, 7, kinds[k].goal, kinds[k].goal_bytes), 2300);
        bench_close(&b, true);
    }
}

static void test_servo_arm_tells_velocity_and_effort(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        const cn_arm_command away = servos_command(CN_COMMAND_POSITION, -2, 0, 0);
        cn_arm_state state = {0};
        double fastest = 0;
        bench_open(&b, k);
        servos_tell(&b.emulator, "set 1 %d 2 %ld", kinds[k].load, kinds[k].full_load / 2);
        for (int i = 0; i < 20; i++) {
            CN_ASSERT_OK(servos_run(b.arm, &away, 1, &err));
            CN_ASSERT_OK(b.arm->read(b.arm, &state, &err));
            fastest = fmin(fastest, state.velocity[0]);
        }
        /* The emulated servo turns at 2000 steps/s at most; the Dynamixel tells it in units
         * of 15.6. */
        CU_ASSERT_DOUBLE_EQUAL(fastest, -2000 * CN_SERVO_RAD_PER_STEP, 16 * CN_SERVO_RAD_PER_STEP);
        CU_ASSERT_DOUBLE_EQUAL(state.effort[0], 1, 1e-12); /* half of 2 N m */
        CU_ASSERT_EQUAL(state.effort[1], 0);               /* the model says no limit */
        CU_ASSERT_TRUE(state.time_s > 0);
        bench_close(&b, true);
    }
}

static void test_servo_arm_endures_what_passes(void)
{
    static const char *const fails[] = {"half", "checksum", "missing"};
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        bench_open(&b, k);
        for (int i = 0; i < 3; i++) {
            cn_arm_state before, during, after;
            CN_ASSERT_OK(servos_run(b.arm, &hold, 1, &err));
            CN_ASSERT_OK(b.arm->read(b.arm, &before, &err));
            servos_tell(&b.emulator, "fail %s %d %d", fails[i], ids[i], CN_SERVO_ATTEMPTS / 2);
            CN_ASSERT_OK(servos_run(b.arm, &hold, 2, &err));
            CN_ASSERT_OK(b.arm->read(b.arm, &during, &err));
            CU_ASSERT_EQUAL(during.time_s, before.time_s); /* what is old says so */
            CN_ASSERT_OK(servos_run(b.arm, &hold, CN_SERVO_ATTEMPTS, &err));
            CN_ASSERT_OK(b.arm->read(b.arm, &after, &err));
            CU_ASSERT_TRUE(after.time_s > before.time_s);
        }
        bench_close(&b, true);
    }
}

static void test_servo_arm_gives_up_with_a_sentence(void)
{
    static const struct {
        const char *fails, *words;
        cn_status code;
    } cases[] = {
        {"half", "times in a row: joint 'wrist': servo 7 sends half an answer (", CN_ERR_TIMEOUT},
        {"checksum", "times in a row: joint 'wrist': servo 7 sends answers with a wrong checksum",
         CN_ERR_CHECKSUM},
        {"missing", "times in a row: joint 'wrist': servo 7 does not answer: check",
         CN_ERR_TIMEOUT},
    };
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            bench_open(&b, k);
            servos_tell(&b.emulator, "fail %s 7", cases[i].fails);
            CN_ASSERT_FAILS(cases[i].code, cases[i].words,
                            servos_run_to_failure(b.arm, &hold, &err));
            /* The others can still be braked, and the one that is missing may well hear. */
            const cn_arm_command brake = servos_command(CN_COMMAND_POSITION, 0.1, 0, 0);
            CN_ASSERT_OK(b.arm->command(b.arm, &brake, &err));
            CU_ASSERT_DOUBLE_EQUAL(
                (double)servos_get(&b.emulator, 1, kinds[k].goal, kinds[k].goal_bytes),
                2048 + 0.1 / CN_SERVO_RAD_PER_STEP, 1);
            bench_close(&b, true);
        }
}

static void test_servo_arm_ends_at_once_when_unplugged(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        bench_open(&b, k);
        CN_ASSERT_OK(servos_run(b.arm, &hold, 2, &err));
        servos_tell(&b.emulator, "unplug");
        CN_ASSERT_FAILS(CN_ERR_IO, "is the adapter still plugged in?",
                        b.arm->command(b.arm, &hold, &err));
        bench_close(&b, false);
    }
}

static void test_servo_arm_stops_when_hot(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        bench_open(&b, k);
        servos_tell(&b.emulator, "set 2 %d 1 65", kinds[k].temperature);
        cn_arm_state state;
        CN_ASSERT_OK(servos_run(b.arm, &hold, 3, &err));
        CN_ASSERT_OK(b.arm->read(b.arm, &state, &err));
        servos_tell(&b.emulator, "set 2 %d 1 66", kinds[k].temperature);
        CN_ASSERT_FAILS(CN_ERR_SAFETY,
                        "joint 'elbow': servo 2 has 66 degrees Celsius, the limit is 65",
                        servos_run_to_failure(b.arm, &hold, &err));
        bench_close(&b, true);
    }
}

static void test_servo_arm_stops_under_a_load_that_stays(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        cn_arm_state state = {0};
        bench_open(&b, k);
        const long load = kinds[k].full_load * 95 / 100;
        servos_tell(&b.emulator, "set 7 %d 2 %ld", kinds[k].load, load);
        CN_ASSERT_OK(servos_run(b.arm, &hold, 5, &err)); /* a fifth of a second is none */
        CN_ASSERT_OK(b.arm->read(b.arm, &state, &err));
        servos_tell(&b.emulator, "set 7 %d 2 0", kinds[k].load);
        CN_ASSERT_OK(servos_run(b.arm, &hold, 2, &err));
        servos_tell(&b.emulator, "set 7 %d 2 %ld", kinds[k].load, load);
        CN_ASSERT_FAILS(CN_ERR_SAFETY, "joint 'wrist': servo 7 is at 95 % of its full load",
                        servos_run_to_failure(b.arm, &hold, &err));
        bench_close(&b, true);
    }
}

static void test_servo_arm_stops_when_a_servo_reports_an_error(void)
{
    cn_error err = {0};
    bench b;
    for (int k = 0; k < KINDS; k++) {
        bench_open(&b, k);
        servos_tell(&b.emulator, "error 2 %d", k == 0 ? 32 : 0x80);
        CN_ASSERT_FAILS(CN_ERR_SAFETY,
                        k == 0 ? "joint 'elbow': servo 2 reports overload"
                               : "joint 'elbow': servo 2 reports a hardware error",
                        servos_run_to_failure(b.arm, &hold, &err));
        servos_tell(&b.emulator, "heal");
        bench_close(&b, true);
    }
}

static void test_servo_arm_is_not_created_without_all_its_servos(void)
{
    cn_error err = {0};
    servos emulator;
    cn_plant_info info;
    cn_calibration calibration;
    for (int k = 0; k < KINDS; k++) {
        cn_plant *arm = NULL;
        servos_start(&emulator, kinds[k].make);
        servos_calibrate(SERVOS_CALIBRATION, &info, &calibration);
        CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "there is no port /dev/ttyNowhere",
                        kinds[k].create("/dev/ttyNowhere", &info, &calibration, &arm, &err));
        calibration.joint[1].id = 9;
        CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "joint 'elbow': servo 9 does not answer",
                        kinds[k].create(emulator.port, &info, &calibration, &arm, &err));
        calibration.joint[1].id = 2;
        servos_tell(&emulator, "set 2 %d 1 70", kinds[k].temperature);
        CN_ASSERT_FAILS(CN_ERR_SAFETY, "let it cool",
                        kinds[k].create(emulator.port, &info, &calibration, &arm, &err));
        servos_tell(&emulator, "set 2 %d 1 30", kinds[k].temperature);
        servos_tell(&emulator, "set 7 %d %d %d", kinds[k].position, kinds[k].position_bytes,
                    k == 0 ? -300 : 5000);
        CN_ASSERT_FAILS(CN_ERR_SAFETY,
                        k == 0 ? "joint 'wrist': servo 7 stands at -300 steps"
                               : "joint 'wrist': servo 7 stands at 5000 steps",
                        kinds[k].create(emulator.port, &info, &calibration, &arm, &err));
        CU_ASSERT_PTR_NULL(arm);
        for (int i = 0; i < 3; i++) /* it never had any torque */
            CU_ASSERT_EQUAL(servos_get(&emulator, ids[i], kinds[k].torque, 1), 0);
        servos_end(&emulator);
    }
}

CN_TEST_MAIN("bridge.plants.servo_arm", T(test_servo_arm_begins_where_it_is_with_torque),
             T(test_servo_arm_follows_positions_in_its_joints_directions),
             T(test_servo_arm_follows_velocities_up_to_the_end_of_the_range),
             T(test_servo_arm_tells_velocity_and_effort), T(test_servo_arm_endures_what_passes),
             T(test_servo_arm_gives_up_with_a_sentence),
             T(test_servo_arm_ends_at_once_when_unplugged), T(test_servo_arm_stops_when_hot),
             T(test_servo_arm_stops_under_a_load_that_stays),
             T(test_servo_arm_stops_when_a_servo_reports_an_error),
             T(test_servo_arm_is_not_created_without_all_its_servos))
