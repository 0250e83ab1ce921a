/* Reading calibration files, and the arithmetic of one joint. */
#include "bridge/plants/calibration.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/yaml.h"
#include "bridge/plants/packet.h"

#define RATE_HZ 100.0
/* A hundredth of a second is what a bus of six servos and a USB adapter take with room to spare. */
#define RATE_MAX_HZ 500.0
#define TEMPERATURE 65.0 /* degrees Celsius: the servos themselves give up at 70 to 80 */
#define LOAD        0.9

double cn_servo_position(const cn_servo_joint *joint, int steps)
{
    return joint->direction * (steps - joint->zero) * CN_SERVO_RAD_PER_STEP;
}

double cn_servo_steps(const cn_servo_joint *joint, double position)
{
    return joint->zero + joint->direction * position / CN_SERVO_RAD_PER_STEP;
}

static cn_status whole(cn_yaml_node map, const char *key, long low, long high, int *out,
                       cn_error *err)
{
    cn_yaml_node node;
    long value;
    CN_TRY(cn_yaml_require(map, key, &node, err));
    CN_TRY(cn_yaml_int(node, low, high, &value, err));
    *out = (int)value;
    return CN_OK;
}

static cn_status parse_range(cn_yaml_node map, cn_servo_joint *out, cn_error *err)
{
    cn_yaml_node node;
    double ends[2];
    CN_TRY(cn_yaml_require(map, "range", &node, err));
    CN_TRY(cn_yaml_doubles(node, 0, CN_SERVO_STEPS - 1, 2, ends, err));
    out->low = (int)ends[0];
    out->high = (int)ends[1];
    if (out->low != ends[0] || out->high != ends[1] || out->low >= out->high)
        return cn_yaml_fail(node, err,
                            "range %g to %g; expected two whole steps, the smaller first", ends[0],
                            ends[1]);
    return CN_OK;
}

static cn_status parse_joint(cn_yaml_node map, cn_servo_joint *out, cn_error *err)
{
    static const char *const keys[] = {"id", "zero", "direction", "range", NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(whole(map, "id", 0, CN_SERVO_ID_MAX, &out->id, err));
    CN_TRY(whole(map, "zero", -CN_SERVO_STEPS, 2 * CN_SERVO_STEPS, &out->zero, err));
    CN_TRY(whole(map, "direction", -1, 1, &out->direction, err));
    if (out->direction == 0) {
        cn_yaml_find(map, "direction", &node);
        return cn_yaml_fail(node, err, "direction 0; expected 1 or -1");
    }
    return parse_range(map, out, err);
}

/* Keeps a joint's commands within what both the model and the servo's range allow. */
static cn_status narrow(cn_yaml_node map, const cn_servo_joint *servo, cn_arm_joint *joint,
                        cn_error *err)
{
    const double a = cn_servo_position(servo, servo->low);
    const double b = cn_servo_position(servo, servo->high);
    const double low = fmax(joint->position_low, fmin(a, b));
    const double high = fmin(joint->position_high, fmax(a, b));
    if (strcmp(joint->unit, "rad") != 0)
        return cn_yaml_fail(map, err, "joint '%s' slides (%s): a servo turns", joint->name,
                            joint->unit);
    if (low >= high)
        return cn_yaml_fail(map, err,
                            "joint '%s' would go from %.3g to %.3g rad, the model's from %.3g to "
                            "%.3g: check zero and direction",
                            joint->name, fmin(a, b), fmax(a, b), joint->position_low,
                            joint->position_high);
    joint->position_low = low;
    joint->position_high = high;
    return CN_OK;
}

static cn_status parse_joints(cn_yaml_node root, cn_plant_info *info, cn_calibration *out,
                              cn_error *err)
{
    const char *keys[CN_MAX_JOINTS + 1] = {NULL};
    cn_yaml_node map, node;
    out->joints = info->joints;
    for (int j = 0; j < info->joints; j++)
        keys[j] = info->joint[j].name;
    CN_TRY(cn_yaml_require(root, "joints", &map, err));
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    for (int j = 0; j < info->joints; j++) {
        CN_TRY(cn_yaml_require(map, keys[j], &node, err));
        CN_TRY(parse_joint(node, &out->joint[j], err));
        CN_TRY(narrow(node, &out->joint[j], &info->joint[j], err));
        for (int i = 0; i < j; i++)
            if (out->joint[i].id == out->joint[j].id)
                return cn_yaml_fail(node, err, "id %d is that of joint '%s' already",
                                    out->joint[j].id, keys[i]);
    }
    return CN_OK;
}

static cn_status number(cn_yaml_node root, const char *key, double low, double high, double *out,
                        cn_error *err)
{
    cn_yaml_node node;
    return cn_yaml_find(root, key, &node) ? cn_yaml_double(node, low, high, out, err) : CN_OK;
}

static cn_status parse(cn_yaml_node root, cn_plant_info *info, cn_calibration *out, cn_error *err)
{
    static const char *const keys[] = {"joints", "rate", "temperature", "load", NULL};
    double rate = RATE_HZ;
    out->temperature = TEMPERATURE;
    out->load = LOAD;
    CN_TRY(cn_yaml_check_keys(root, keys, err));
    CN_TRY(number(root, "rate", 1, RATE_MAX_HZ, &rate, err));
    CN_TRY(number(root, "temperature", 20, 80, &out->temperature, err));
    CN_TRY(number(root, "load", 0.05, 1, &out->load, err));
    CN_TRY(parse_joints(root, info, out, err));
    const double periods = floor(info->control_period_s * rate + 1e-9);
    info->servo_rate_hz = fmax(1, periods) / info->control_period_s;
    return CN_OK;
}

cn_status cn_calibration_load(const char *path, cn_plant_info *info, cn_calibration *out,
                              cn_error *err)
{
    cn_yaml *document = NULL;
    *out = (cn_calibration){0};
    CN_TRY(cn_yaml_load(path, &document, err));
    const cn_status status = parse(cn_yaml_root(document), info, out, err);
    cn_yaml_destroy(&document);
    return status;
}

cn_status cn_calibration_save(const char *path, const cn_plant_info *info,
                              const cn_calibration *calibration, cn_error *err)
{
    cn_file file;
    CN_TRY(cn_file_begin(path, &file, err));
    fprintf(file.stream, "# Of the arm '%s', by colonnade calibrate; docs/hardware.md explains.\n",
            info->arm);
    fprintf(file.stream, "joints:\n");
    for (int j = 0; j < calibration->joints; j++) {
        const cn_servo_joint *servo = &calibration->joint[j];
        fprintf(file.stream, "  %s: {id: %d, zero: %d, direction: %d, range: [%d, %d]}\n",
                info->joint[j].name, servo->id, servo->zero, servo->direction, servo->low,
                servo->high);
    }
    return cn_file_commit(&file, err);
}
