/* Limits files: what they narrow, and each mistake with its line. */
#include "bridge/limits.h"

#include <math.h>

#include "tests/folder.h"

static const cn_arm_joint arm[2] = {{"base", "rad", -2, 2, 1.5, 30, 3000, 10},
                                    {"rail", "m", -INFINITY, INFINITY, 0.5, 10, 1000, 50}};

static cn_error err;

static cn_status load(const char *text, cn_arm_joint *joint, cn_limits *out)
{
    const test_folder folder = folder_create();
    const char *path = folder_path(&folder, "limits.yaml");
    file_write(path, text);
    memcpy(joint, arm, sizeof arm);
    const cn_status status = cn_limits_load(path, joint, 2, out, &err);
    folder_destroy(&folder);
    return status;
}

static void test_limits_narrow_what_they_name(void)
{
    cn_arm_joint joint[2];
    cn_limits limits;
    CN_ASSERT_OK(load("joints:\n"
                      "  rail: {position: [-0.1, 0.2], velocity: 0.3}\n"
                      "  base: {acceleration: 40, jerk: 200}\n",
                      joint, &limits));
    CU_ASSERT_EQUAL(joint[0].position_low, -2);
    CU_ASSERT_EQUAL(joint[0].velocity, 1.5);
    CU_ASSERT_EQUAL(joint[0].acceleration, 40);
    CU_ASSERT_EQUAL(joint[0].jerk, 200);
    CU_ASSERT_EQUAL(joint[1].position_low, -0.1);
    CU_ASSERT_EQUAL(joint[1].position_high, 0.2);
    CU_ASSERT_EQUAL(joint[1].velocity, 0.3);
    CU_ASSERT_EQUAL(joint[1].acceleration, 10);
    CU_ASSERT_EQUAL(limits.keep_out.boxes, 0);
}

static void test_limits_speed_is_for_what_is_not_named(void)
{
    cn_arm_joint joint[2];
    cn_limits limits;
    CN_ASSERT_OK(load("speed: 0.1\njoints: {base: {velocity: 1.5}}\n", joint, &limits));
    CU_ASSERT_EQUAL(joint[0].velocity, 1.5);
    CU_ASSERT_DOUBLE_EQUAL(joint[0].acceleration, 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(joint[1].velocity, 0.05, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(joint[1].jerk, 100, 1e-12);
    CN_ASSERT_OK(load("speed: 0.1\n", joint, &limits));
    CU_ASSERT_DOUBLE_EQUAL(joint[0].velocity, 0.15, 1e-12);
}

static void test_limits_read_boxes(void)
{
    cn_arm_joint joint[2];
    cn_limits limits;
    CN_ASSERT_OK(load("keep_out:\n"
                      "  - {point: tool, low: [-1, -2, -3], high: [1, 2, 0], distance: 0.02}\n"
                      "  - {point: elbow, low: [0, 0, 0], high: [1, 1, 1]}\n",
                      joint, &limits));
    CU_ASSERT_EQUAL(limits.keep_out.boxes, 2);
    CU_ASSERT_STRING_EQUAL(limits.keep_out.box[0].point, "tool");
    CU_ASSERT_EQUAL(limits.keep_out.box[0].low[2], -3);
    CU_ASSERT_EQUAL(limits.keep_out.box[0].high[1], 2);
    CU_ASSERT_EQUAL(limits.keep_out.box[0].distance, 0.02);
    CU_ASSERT_EQUAL(limits.keep_out.box[1].distance, 0);
    CU_ASSERT_EQUAL(limits.line[1], 3);
    CU_ASSERT_EQUAL(joint[0].velocity, 1.5);
}

static void test_limits_name_the_line_of_a_mistake(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"joints:\n  base: {velocity: 2}\n", ":2: joint 'base': velocity 2 rad/s, and the arm's is "
                                             "1.5: a limit can only be narrower"},
        {"joints:\n  base: {position: [-2.5, 1]}\n",
         ":2: joint 'base': position from -2.5 to 1 rad, and the arm's is from -2 to 2"},
        {"joints:\n  base: {position: [1, -1]}\n", ":2: position from 1 to -1"},
        {"joints:\n  base: {jerk: 0}\n", ":2: found 0"},
        {"joints:\n  base: {velocity: .nan}\n", ":2: found '.nan'"},
        {"joints:\n  base: {speed: 1}\n", ":2: unknown key 'speed'"},
        {"joints:\n  elbow: {velocity: 1}\n", ":2: unknown key 'elbow'"},
        {"speed: 1.5\n", ":1: found 1.5"},
        {"box: 1\n", ":1: unknown key 'box'"},
        {"keep_out: 3\n", ":1: keep_out must be a list"},
        {"keep_out:\n  - {low: [0, 0, 0], high: [1, 1, 1]}\n", ":2: key 'point' is missing"},
        {"keep_out:\n  - {point: tool, low: [0, 0, 0], high: [1, -1, 1]}\n",
         ":2: the box is empty: along y it goes from 0 to -1"},
        {"keep_out:\n  - {point: tool, low: [0, 0, 0], high: [1, 1, 1], distance: -1}\n",
         ":2: found -1"},
        {"keep_out: [{point: a, low: [0, 0], high: [1, 1, 1]}]\n", ":1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_arm_joint joint[2];
        cn_limits limits;
        CN_ASSERT_FAILS(CN_ERR_FORMAT, cases[i].words, load(cases[i].text, joint, &limits));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "limits.yaml:"));
        CU_ASSERT_EQUAL(memcmp(joint, arm, sizeof arm), 0);
    }
}

static void test_limits_are_of_a_file(void)
{
    cn_arm_joint joint[2];
    cn_limits limits;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "nowhere.yaml",
                    cn_limits_load("nowhere.yaml", joint, 2, &limits, &err));
}

CN_TEST_MAIN("bridge.limits", T(test_limits_narrow_what_they_name),
             T(test_limits_speed_is_for_what_is_not_named), T(test_limits_read_boxes),
             T(test_limits_name_the_line_of_a_mistake), T(test_limits_are_of_a_file))
