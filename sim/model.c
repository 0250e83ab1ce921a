/* The model of a task, built from its YAML: one MJCF file, or several put together through mjSpec
 * and given actuators as data, so that an arm and a hand by third parties need no edited copies.
 *
 * After mjs_attach the parent spec refers to its children's assets, so all specs live until the
 * model is compiled. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "sim/internal.h"

#define MAX_PARTS 8

struct build {
    cn_yaml_node section;
    int parts;
    mjSpec *part[MAX_PARTS]; /* the first is the scene, the others are attached to it */
    mjModel *model;
};

static const char *const actuator_kinds[] = {"position", "velocity", "motor", NULL};

const char *cn_model_names(const mjModel *model, mjtObj type, char *buffer, size_t size)
{
    const int count = type == mjOBJ_JOINT    ? (int)model->njnt
                      : type == mjOBJ_SITE   ? (int)model->nsite
                      : type == mjOBJ_CAMERA ? (int)model->ncam
                                             : (int)model->nbody;
    size_t used = 0;
    snprintf(buffer, size, "none");
    for (int i = 0; i < count && used < size; i++) {
        const char *name = mj_id2name(model, (int)type, i);
        if (name)
            used += (size_t)snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", name);
    }
    return buffer;
}

bool cn_model_drive(const mjModel *model, int actuator, cn_drive *drive, double *target_per_ctrl)
{
    const mjtNum *gain = model->actuator_gainprm + actuator * mjNGAIN;
    const mjtNum *bias = model->actuator_biasprm + actuator * mjNBIAS;
    const mjtNum gear = model->actuator_gear[model->actuator_outadr[actuator] * 6];
    if (model->actuator_trntype[actuator] != mjTRN_JOINT ||
        model->actuator_dyntype[actuator] != mjDYN_NONE ||
        model->actuator_gaintype[actuator] != mjGAIN_FIXED ||
        model->actuator_ctrlnum[actuator] != 1 || gain[0] <= 0 || gear == 0)
        return false;
    *target_per_ctrl = 1 / gear;
    if (model->actuator_biastype[actuator] == mjBIAS_NONE) {
        *drive = CN_DRIVE_EFFORT;
        *target_per_ctrl = gear * gain[0];
        return true;
    }
    if (model->actuator_biastype[actuator] != mjBIAS_AFFINE || bias[0] != 0)
        return false;
    *drive = bias[1] == -gain[0] ? CN_DRIVE_POSITION : CN_DRIVE_VELOCITY;
    return *drive == CN_DRIVE_POSITION || (bias[1] == 0 && bias[2] == -gain[0]);
}

/* Parses the MJCF named by `file` into the next part. */
static cn_status add_part(struct build *b, cn_yaml_node file, mjSpec **out, cn_error *err)
{
    const char *relative;
    char path[1024], words[600] = "";
    CN_TRY(cn_yaml_string(file, &relative, err));
    CN_TRY(cn_file_resolve(cn_yaml_path(file), relative, path, sizeof path, err));
    CN_FAIL_IF(access(path, R_OK) != 0, CN_ERR_NOT_FOUND, err,
               "%s:%d: model '%s' cannot be read; ./dev setup fetches the arms of others",
               cn_yaml_path(file), cn_yaml_line(file), path);
    if (b->parts == MAX_PARTS)
        return cn_yaml_fail(file, err, "more than %d model files", MAX_PARTS);
    mjSpec *spec = mj_parseXML(path, NULL, words, (int)sizeof words);
    CN_FAIL_IF(!spec, CN_ERR_PHYSICS, err, "%s:%d: %s: %s", cn_yaml_path(file), cn_yaml_line(file),
               path, words);
    b->part[b->parts++] = spec;
    *out = spec;
    return CN_OK;
}

static cn_status attach_part(struct build *b, cn_yaml_node item, cn_error *err)
{
    static const char *const keys[] = {"file", "to", "prefix", NULL};
    cn_yaml_node file, to, node;
    const char *place, *prefix = "";
    CN_TRY(cn_yaml_check_keys(item, keys, err));
    CN_TRY(cn_yaml_require(item, "file", &file, err));
    CN_TRY(cn_yaml_require(item, "to", &to, err));
    CN_TRY(cn_yaml_string(to, &place, err));
    if (cn_yaml_find(item, "prefix", &node))
        CN_TRY(cn_yaml_string(node, &prefix, err));
    mjSpec *child;
    CN_TRY(add_part(b, file, &child, err));
    mjsElement *site = mjs_findElement(b->part[0], mjOBJ_SITE, place);
    if (!site)
        return cn_yaml_fail(to, err,
                            "site '%s' is not in the model so far; a part is attached to a "
                            "site",
                            place);
    mjsElement *world = mjs_attach(site, mjs_findBody(child, "world")->element, prefix, "");
    if (!world)
        CN_FAIL(CN_ERR_PHYSICS, err, "%s:%d: cannot attach: %s", cn_yaml_path(item),
                cn_yaml_line(item), mjs_getError(b->part[0]));
    /* What was the part's world becomes a mere frame at the site. */
    mjsBody *body = mjs_asBody(world);
    mjs_bodyToFrame(&body);
    return CN_OK;
}

/* Adds one actuator of a group that share their parameters. */
static cn_status add_actuator(struct build *b, cn_yaml_node item, cn_yaml_node joint, cn_error *err)
{
    cn_yaml_node node;
    const char *name;
    int kind;
    double kp = 0, kv = 0;
    CN_TRY(cn_yaml_string(joint, &name, err));
    if (!mjs_findElement(b->part[0], mjOBJ_JOINT, name))
        return cn_yaml_fail(joint, err, "joint '%s' is not in the model", name);
    CN_TRY(cn_yaml_require(item, "kind", &node, err));
    CN_TRY(cn_yaml_choice(node, actuator_kinds, &kind, err));
    CN_TRY(cn_task_numbers(item, "kp", 0, 0, 1e9, 1, &kp, err));
    CN_TRY(cn_task_numbers(item, "kv", 0, 0, 1e9, 1, &kv, err));
    mjsActuator *actuator = mjs_addActuator(b->part[0], NULL);
    mjs_setName(actuator->element, name);
    mjs_setString(actuator->target, name);
    actuator->trntype = mjTRN_JOINT;
    if (kind == 0) {
        if (kp <= 0)
            return cn_yaml_fail(item, err, "a position actuator needs kp > 0");
        mjs_setToPosition(actuator, kp, &kv, NULL, NULL, 0);
    } else if (kind == 1) {
        if (kv <= 0)
            return cn_yaml_fail(item, err, "a velocity actuator needs kv > 0");
        mjs_setToVelocity(actuator, kv);
    } else {
        mjs_setToMotor(actuator);
    }
    if (cn_yaml_find(item, "control_range", &node)) {
        CN_TRY(cn_yaml_doubles(node, -1e9, 1e9, 2, actuator->ctrlrange, err));
        actuator->ctrllimited = mjLIMITED_TRUE;
    }
    if (cn_yaml_find(item, "force_range", &node)) {
        CN_TRY(cn_yaml_doubles(node, -1e9, 1e9, 2, actuator->forcerange, err));
        actuator->forcelimited = mjLIMITED_TRUE;
    }
    return CN_OK;
}

static cn_status add_actuators(struct build *b, cn_yaml_node list, cn_error *err)
{
    static const char *const keys[] = {"joints",        "kind",        "kp", "kv",
                                       "control_range", "force_range", NULL};
    if (!cn_yaml_is_list(list))
        return cn_yaml_fail(list, err, "actuators must be a list");
    for (int i = 0; i < cn_yaml_count(list); i++) {
        const cn_yaml_node item = cn_yaml_item(list, i);
        cn_yaml_node joints;
        CN_TRY(cn_yaml_check_keys(item, keys, err));
        CN_TRY(cn_yaml_require(item, "joints", &joints, err));
        if (!cn_yaml_is_list(joints))
            return cn_yaml_fail(joints, err, "joints must be a list of names");
        for (int j = 0; j < cn_yaml_count(joints); j++)
            CN_TRY(add_actuator(b, item, cn_yaml_item(joints, j), err));
    }
    return CN_OK;
}

/* Which geoms collide: the listed ones with everything, the rest with those alone. */
static cn_status choose_collisions(struct build *b, cn_yaml_node list, cn_error *err)
{
    if (!cn_yaml_is_list(list))
        return cn_yaml_fail(list, err, "collide must be a list of geom names");
    for (mjsElement *e = mjs_firstElement(b->part[0], mjOBJ_GEOM); e;
         e = mjs_nextElement(b->part[0], e)) {
        mjsGeom *geom = mjs_asGeom(e);
        geom->contype = 0;
        geom->conaffinity = 1;
    }
    for (int i = 0; i < cn_yaml_count(list); i++) {
        const char *name;
        CN_TRY(cn_yaml_string(cn_yaml_item(list, i), &name, err));
        mjsElement *e = mjs_findElement(b->part[0], mjOBJ_GEOM, name);
        if (!e)
            return cn_yaml_fail(cn_yaml_item(list, i), err, "geom '%s' is not in the model", name);
        mjs_asGeom(e)->contype = 1;
    }
    return CN_OK;
}

static cn_status set_options(struct build *b, cn_yaml_node map, cn_error *err)
{
    static const char *const keys[] = {"timestep", "iterations", "gravity_compensation", "collide",
                                       NULL};
    mjSpec *scene = b->part[0];
    cn_yaml_node node;
    double compensation;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    CN_TRY(cn_task_numbers(map, "timestep", scene->option.timestep, 1e-5, 0.1, 1,
                           &scene->option.timestep, err));
    if (cn_yaml_find(map, "iterations", &node)) {
        long iterations;
        CN_TRY(cn_yaml_int(node, 1, 1000, &iterations, err));
        scene->option.iterations = (int)iterations;
    }
    if (cn_yaml_find(map, "gravity_compensation", &node)) {
        CN_TRY(cn_yaml_double(node, 0, 1, &compensation, err));
        for (mjsElement *e = mjs_firstElement(scene, mjOBJ_BODY); e; e = mjs_nextElement(scene, e))
            if (e != mjs_findBody(scene, "world")->element)
                mjs_asBody(e)->gravcomp = compensation;
    }
    if (cn_yaml_find(map, "collide", &node))
        CN_TRY(choose_collisions(b, node, err));
    return CN_OK;
}

static cn_status assemble(struct build *b, cn_error *err)
{
    static const char *const keys[] = {"file", "attach", "actuators", "options", NULL};
    mjSpec *scene;
    cn_yaml_node node;
    if (cn_yaml_is_scalar(b->section))
        return add_part(b, b->section, &scene, err);
    CN_TRY(cn_yaml_check_keys(b->section, keys, err));
    CN_TRY(cn_yaml_require(b->section, "file", &node, err));
    CN_TRY(add_part(b, node, &scene, err));
    if (cn_yaml_find(b->section, "attach", &node) && !cn_yaml_is_list(node))
        return cn_yaml_fail(node, err, "attach must be a list of parts");
    if (node.index)
        for (int i = 0; i < cn_yaml_count(node); i++)
            CN_TRY(attach_part(b, cn_yaml_item(node, i), err));
    if (cn_yaml_find(b->section, "actuators", &node))
        CN_TRY(add_actuators(b, node, err));
    if (cn_yaml_find(b->section, "options", &node))
        CN_TRY(set_options(b, node, err));
    return CN_OK;
}

static void compile(void *ctx)
{
    struct build *b = ctx;
    b->model = mj_compile(b->part[0], NULL);
}

cn_status cn_model_build(cn_yaml_node section, mjModel **out, cn_error *err)
{
    struct build b = {.section = section};
    cn_status status = CN_OK;
    *out = NULL;
    cn_mujoco_silence();
    CN_TRY_CLEANUP(assemble(&b, err));
    CN_TRY_CLEANUP(cn_mujoco_try(compile, &b, err));
    if (!b.model)
        CN_FAIL_CLEANUP(CN_ERR_PHYSICS, err, "%s:%d: %s", cn_yaml_path(section),
                        cn_yaml_line(section), mjs_getError(b.part[0]));
    /* A diverged simulation must be seen and reported, not silently begun again. */
    b.model->opt.disableflags |= mjDSBL_AUTORESET;
    *out = b.model;
cleanup:
    for (int i = b.parts - 1; i >= 0; i--)
        mj_deleteSpec(b.part[i]);
    return status;
}
