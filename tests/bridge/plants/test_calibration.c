/* Calibration files: what they say, and each mistake with its line. */
#include "bridge/plants/calibration.h"
#include "tests/bridge/plants/servos.h"

static void test_calibration_narrows_the_limits_of_the_model(void)
{
    cn_plant_info info;
    cn_calibration c;
    servos_calibrate(SERVOS_CALIBRATION, &info, &c);
    CU_ASSERT_EQUAL(c.joints, 3);
    CU_ASSERT_EQUAL(c.joint[2].id, 7);
    CU_ASSERT_EQUAL(c.joint[1].direction, -1);
    CU_ASSERT_EQUAL(c.temperature, 65);
    CU_ASSERT_EQUAL(c.load, 0.9);
    CU_ASSERT_EQUAL(info.servo_rate_hz, 25);
    const double step = CN_SERVO_RAD_PER_STEP;
    CU_ASSERT_EQUAL(info.joint[0].position_low, -2); /* the model's are narrower */
    CU_ASSERT_EQUAL(info.joint[0].position_high, 2);
    CU_ASSERT_DOUBLE_EQUAL(info.joint[1].position_low, -1000 * step, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(info.joint[1].position_high, 1000 * step, 1e-12);
}

static void test_calibration_turns_steps_into_radians_and_back(void)
{
    const cn_servo_joint forward = {.zero = 2048, .direction = 1};
    const cn_servo_joint backward = {.zero = 1000, .direction = -1};
    CU_ASSERT_EQUAL(cn_servo_position(&forward, 2048), 0);
    CU_ASSERT_DOUBLE_EQUAL(cn_servo_position(&forward, 3072), 1.5707963267948966, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(cn_servo_position(&backward, 2024), -1.5707963267948966, 1e-15);
    for (int steps = 0; steps < CN_SERVO_STEPS; steps++) {
        CU_ASSERT_EQUAL(lround(cn_servo_steps(&forward, cn_servo_position(&forward, steps))),
                        steps);
        CU_ASSERT_EQUAL(lround(cn_servo_steps(&backward, cn_servo_position(&backward, steps))),
                        steps);
    }
}

/* The rate goes into the control period a whole number of times, and at least once. */
static void test_calibration_chooses_a_rate(void)
{
    static const struct {
        double rate, wanted;
    } cases[] = {{100, 100}, {99, 95}, {1, 5}, {25, 25}, {500, 500}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        cn_plant_info info;
        cn_calibration c;
        snprintf(text, sizeof text, "%.*srate: %g\n",
                 (int)(strstr(SERVOS_CALIBRATION, "rate") - SERVOS_CALIBRATION), SERVOS_CALIBRATION,
                 cases[i].rate);
        servos_calibrate(text, &info, &c);
        CU_ASSERT_DOUBLE_EQUAL(info.servo_rate_hz, cases[i].wanted, 1e-9);
    }
}

static void test_calibration_names_the_line_of_a_mistake(void)
{
    static const struct {
        const char *base, *words;
    } cases[] = {
        {"{id: 1, zero: 2048, direction: 1}", ":2: key 'range' is missing"},
        {"{id: 1, zero: 2048, direction: 0, range: [0, 4095]}",
         ":2: direction 0; expected 1 or -1"},
        {"{id: 300, zero: 2048, direction: 1, range: [0, 4095]}",
         ":2: found 300, expected 0 to 252"},
        {"{id: 1, zero: 2048.5, direction: 1, range: [0, 4095]}",
         ":2: found '2048.5', expected a who"},
        {"{id: 1, zero: 2048, direction: 1, range: [3000, 1000]}", ":2: range 3000 to 1000"},
        {"{id: 1, zero: 2048, direction: 1, range: [0, 5000]}", ":2: found 5000"},
        {"{id: 1, zero: 2048, direction: 1, range: [0, 4095], kp: 1}", ":2: unknown key 'kp'"},
        {"{id: 2, zero: 2048, direction: 1, range: [0, 4095]}", ":3: id 2 is that of joint 'base'"},
        {"{id: 1, zero: 0, direction: 1, range: [3000, 4000]}", "check zero and direction"},
        {"{id: 1, zero: 2048, direction: 1, range: [0, 4095]}\n  arm: {}", ":3: unknown key 'arm'"},
    };
    cn_error err = {0};
    const test_folder folder = folder_create();
    const char *path = folder_path(&folder, "calibration.yaml");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        cn_plant_info info = servos_info();
        cn_calibration c;
        snprintf(text, sizeof text,
                 "joints:\n  base: %s\n"
                 "  elbow: {id: 2, zero: 2000, direction: -1, range: [1000, 3000]}\n"
                 "  wrist: {id: 7, zero: 2048, direction: 1, range: [0, 4095]}\n",
                 cases[i].base);
        file_write(path, text);
        CN_ASSERT_FAILS(CN_ERR_FORMAT, cases[i].words, cn_calibration_load(path, &info, &c, &err));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "calibration.yaml:"));
    }
    folder_destroy(&folder);
}

static void test_calibration_needs_every_joint_and_joints_that_turn(void)
{
    cn_error err = {0};
    cn_calibration c;
    cn_plant_info info = servos_info();
    const test_folder folder = folder_create();
    const char *path = folder_path(&folder, "calibration.yaml");
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "calibration.yaml",
                    cn_calibration_load(path, &info, &c, &err));
    file_write(path, "joints:\n  base: {id: 1, zero: 2048, direction: 1, range: [0, 4095]}\n");
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "key 'elbow' is missing",
                    cn_calibration_load(path, &info, &c, &err));
    file_write(path, "rate: 50\n");
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":1: key 'joints' is missing",
                    cn_calibration_load(path, &info, &c, &err));
    file_write(path, "joints: {}\nspeed: 3\n");
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":2: unknown key 'speed'",
                    cn_calibration_load(path, &info, &c, &err));
    file_write(path, SERVOS_CALIBRATION);
    snprintf(info.joint[2].unit, sizeof info.joint[2].unit, "m");
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":4: joint 'wrist' slides (m)",
                    cn_calibration_load(path, &info, &c, &err));
    folder_destroy(&folder);
}

static void test_calibration_that_is_saved_is_read_again(void)
{
    cn_error err = {0};
    cn_plant_info info;
    cn_calibration c, again;
    servos_calibrate(SERVOS_CALIBRATION, &info, &c);
    const test_folder folder = folder_create();
    const char *path = folder_path(&folder, "saved.yaml");
    info = servos_info();
    CN_ASSERT_OK(cn_calibration_save(path, &info, &c, &err));
    CN_ASSERT_OK(cn_calibration_load(path, &info, &again, &err));
    CU_ASSERT_EQUAL(again.joints, 3);
    for (int j = 0; j < 3; j++) {
        CU_ASSERT_EQUAL(again.joint[j].id, c.joint[j].id);
        CU_ASSERT_EQUAL(again.joint[j].zero, c.joint[j].zero);
        CU_ASSERT_EQUAL(again.joint[j].direction, c.joint[j].direction);
        CU_ASSERT_EQUAL(again.joint[j].low, c.joint[j].low);
        CU_ASSERT_EQUAL(again.joint[j].high, c.joint[j].high);
    }
    CU_ASSERT_EQUAL(info.servo_rate_hz, 100);
    const char *nowhere = folder_path(&folder, "no/where.yaml");
    CN_ASSERT_FAILS(CN_ERR_IO, "where.yaml", cn_calibration_save(nowhere, &info, &c, &err));
    folder_destroy(&folder);
}

CN_TEST_MAIN("bridge.plants.calibration", T(test_calibration_narrows_the_limits_of_the_model),
             T(test_calibration_turns_steps_into_radians_and_back),
             T(test_calibration_chooses_a_rate), T(test_calibration_names_the_line_of_a_mistake),
             T(test_calibration_needs_every_joint_and_joints_that_turn),
             T(test_calibration_that_is_saved_is_read_again))
