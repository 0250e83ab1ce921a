/* Reading a reality gap. */
#include "sim/gap.h"

#include "sim/internal.h"

cn_gap cn_gap_none(void)
{
    cn_gap gap = {.friction_scale = 1, .damping_scale = 1, .mass_scale = 1};
    for (int j = 0; j < CN_MAX_JOINTS; j++)
        gap.actuator_gain[j] = 1;
    return gap;
}

/* A value by joint name: {shoulder: 0.1, elbow: -0.05}; joints left out keep theirs. */
static cn_status parse_by_joint(cn_yaml_node root, const char *key, const cn_task *task, double low,
                                double high, double *out, cn_error *err)
{
    cn_yaml_node map;
    if (!cn_yaml_find(root, key, &map))
        return CN_OK;
    if (!cn_yaml_is_map(map))
        return cn_yaml_fail(map, err, "%s must be a map from joint names to numbers", key);
    for (int i = 0; i < cn_yaml_count(map); i++) {
        const char *name;
        const cn_yaml_node value = cn_yaml_entry(map, i, &name);
        int joint;
        CN_TRY(cn_task_joint_named(task, name, value, &joint, err));
        CN_TRY(cn_yaml_double(value, low, high, &out[joint], err));
    }
    return CN_OK;
}

static cn_status parse(cn_yaml_node root, const cn_task *task, cn_gap *gap, cn_error *err)
{
    static const char *const keys[] = {"joint_zero_offset", "actuator_gain",  "friction_scale",
                                       "friction_add",      "damping_scale",  "mass_scale",
                                       "action_delay",      "position_noise", "velocity_noise",
                                       "tracked_noise",     "dropped_frames", NULL};
    cn_yaml_node node;
    CN_TRY(cn_yaml_check_keys(root, keys, err));
    CN_TRY(parse_by_joint(root, "joint_zero_offset", task, -10, 10, gap->joint_zero_offset, err));
    CN_TRY(parse_by_joint(root, "actuator_gain", task, 1e-3, 1e3, gap->actuator_gain, err));
    const struct {
        const char *key;
        double low, high, *out;
    } numbers[] = {
        {"friction_scale", 0, 1e3, &gap->friction_scale},
        {"friction_add", 0, 1e3, &gap->friction_add},
        {"damping_scale", 0, 1e3, &gap->damping_scale},
        {"mass_scale", 1e-3, 1e3, &gap->mass_scale},
        {"position_noise", 0, 10, &gap->position_noise},
        {"velocity_noise", 0, 100, &gap->velocity_noise},
        {"tracked_noise", 0, 10, &gap->tracked_noise},
        {"dropped_frames", 0, 0.99, &gap->dropped_frames},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        CN_TRY(cn_task_numbers(root, numbers[i].key, *numbers[i].out, numbers[i].low,
                               numbers[i].high, 1, numbers[i].out, err));
    if (cn_yaml_find(root, "action_delay", &node)) {
        long delay;
        CN_TRY(cn_yaml_int(node, 0, CN_MAX_DELAY, &delay, err));
        gap->action_delay = (int)delay;
    }
    return CN_OK;
}

cn_status cn_gap_load(const char *path, const cn_task *task, cn_gap *out, cn_error *err)
{
    cn_yaml *document = NULL;
    cn_gap gap = cn_gap_none();
    CN_TRY(cn_yaml_load(path, &document, err));
    const cn_status status = parse(cn_yaml_root(document), task, &gap, err);
    cn_yaml_destroy(&document);
    if (status == CN_OK)
        *out = gap;
    return status;
}
