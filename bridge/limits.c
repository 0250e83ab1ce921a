/* Reading limits files. */
#include "bridge/limits.h"

#include <stdio.h>
#include <string.h>

#include "base/yaml.h"

#define LARGEST 1e6 /* m, rad, or a second of them: what is larger limits nothing */

static cn_status parse_position(cn_yaml_node node, cn_arm_joint *joint, cn_error *err)
{
    double range[2];
    CN_TRY(cn_yaml_doubles(node, -LARGEST, LARGEST, 2, range, err));
    if (range[0] > range[1])
        return cn_yaml_fail(node, err, "position from %g to %g; expected the smaller first",
                            range[0], range[1]);
    if (range[0] < joint->position_low || range[1] > joint->position_high)
        return cn_yaml_fail(node, err,
                            "joint '%s': position from %g to %g %s, and the arm's is from %g to "
                            "%g: a limit can only be narrower",
                            joint->name, range[0], range[1], joint->unit, joint->position_low,
                            joint->position_high);
    joint->position_low = range[0];
    joint->position_high = range[1];
    return CN_OK;
}

static cn_status parse_number(cn_yaml_node map, const char *key, double low, double *value,
                              cn_error *err)
{
    cn_yaml_node node;
    return cn_yaml_find(map, key, &node) ? cn_yaml_double(node, low, LARGEST, value, err) : CN_OK;
}

/* @param fastest  the arm's own velocity limit */
static cn_status parse_joint(cn_yaml_node map, double fastest, cn_arm_joint *joint, cn_error *err)
{
    static const char *const keys[] = {"position", "velocity", "acceleration", "jerk", NULL};
    const double smallest = 1e-6;
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    if (cn_yaml_find(map, "position", &node))
        CN_TRY(parse_position(node, joint, err));
    CN_TRY(parse_number(map, "velocity", smallest, &joint->velocity, err));
    CN_TRY(parse_number(map, "acceleration", smallest, &joint->acceleration, err));
    CN_TRY(parse_number(map, "jerk", smallest, &joint->jerk, err));
    if (joint->velocity > fastest && cn_yaml_find(map, "velocity", &node))
        return cn_yaml_fail(node, err,
                            "joint '%s': velocity %g %s/s, and the arm's is %g: a limit can only "
                            "be narrower",
                            joint->name, joint->velocity, joint->unit, fastest);
    return CN_OK;
}

static cn_status parse_joints(cn_yaml_node root, cn_arm_joint *joint, int joints, double speed,
                              cn_error *err)
{
    const char *keys[CN_MAX_JOINTS + 1] = {NULL};
    cn_yaml_node map = {0}, node;
    const bool any = cn_yaml_find(root, "joints", &map);
    for (int j = 0; j < joints; j++)
        keys[j] = joint[j].name;
    if (any)
        CN_TRY(cn_yaml_check_keys(map, keys, err));
    for (int j = 0; j < joints; j++) {
        const double fastest = joint[j].velocity;
        joint[j].velocity *= speed;
        joint[j].acceleration *= speed;
        joint[j].jerk *= speed;
        if (any && cn_yaml_find(map, keys[j], &node))
            CN_TRY(parse_joint(node, fastest, &joint[j], err));
    }
    return CN_OK;
}

static cn_status parse_box(cn_yaml_node map, cn_box *box, int *line, cn_error *err)
{
    static const char *const keys[] = {"point", "low", "high", "distance", NULL};
    cn_yaml_node node;
    const char *point;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_yaml_require(map, "low", &node, err));
    CN_TRY(cn_yaml_doubles(node, -LARGEST, LARGEST, 3, box->low, err));
    CN_TRY(cn_yaml_require(map, "high", &node, err));
    CN_TRY(cn_yaml_doubles(node, -LARGEST, LARGEST, 3, box->high, err));
    for (int i = 0; i < 3; i++)
        if (box->low[i] >= box->high[i])
            return cn_yaml_fail(node, err,
                                "the box is empty: along %c it goes from %g to %g; expected low "
                                "below high",
                                "xyz"[i], box -> low[i], box -> high[i]);
    CN_TRY(parse_number(map, "distance", 0, &box->distance, err));
    CN_TRY(cn_yaml_require(map, "point", &node, err));
    CN_TRY(cn_yaml_string(node, &point, err));
    if (strlen(point) >= sizeof box->point)
        return cn_yaml_fail(node, err, "name '%s' is longer than %d bytes", point, CN_NAME - 1);
    strcpy(box->point, point);
    *line = cn_yaml_line(node);
    return CN_OK;
}

static cn_status parse_boxes(cn_yaml_node root, cn_limits *out, cn_error *err)
{
    cn_yaml_node list;
    if (!cn_yaml_find(root, "keep_out", &list))
        return CN_OK;
    if (!cn_yaml_is_list(list))
        return cn_yaml_fail(list, err, "keep_out must be a list of boxes");
    if (cn_yaml_count(list) > CN_MAX_BOXES)
        return cn_yaml_fail(list, err, "%d boxes to keep out of, at most %d", cn_yaml_count(list),
                            CN_MAX_BOXES);
    for (int i = 0; i < cn_yaml_count(list); i++)
        CN_TRY(parse_box(cn_yaml_item(list, i), &out->keep_out.box[i], &out->line[i], err));
    out->keep_out.boxes = cn_yaml_count(list);
    return CN_OK;
}

static cn_status parse(cn_yaml_node root, cn_arm_joint *joint, int joints, cn_limits *out,
                       cn_error *err)
{
    static const char *const keys[] = {"joints", "speed", "keep_out", NULL};
    cn_arm_joint narrowed[CN_MAX_JOINTS];
    double speed = 1;
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(root, keys, err));
    if (cn_yaml_find(root, "speed", &node))
        CN_TRY(cn_yaml_double(node, 1e-3, 1, &speed, err));
    memcpy(narrowed, joint, (size_t)joints * sizeof *joint);
    CN_TRY(parse_joints(root, narrowed, joints, speed, err));
    CN_TRY(parse_boxes(root, out, err));
    memcpy(joint, narrowed, (size_t)joints * sizeof *joint);
    return CN_OK;
}

cn_status cn_limits_load(const char *path, cn_arm_joint *joint, int joints, cn_limits *out,
                         cn_error *err)
{
    cn_yaml *document = NULL;
    *out = (cn_limits){0};
    CN_TRY(cn_yaml_load(path, &document, err));
    const cn_status status = parse(cn_yaml_root(document), joint, joints, out, err);
    cn_yaml_destroy(&document);
    return status;
}
