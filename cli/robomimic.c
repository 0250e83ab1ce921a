/* robomimic's HDF5: the samples of a demonstration are gathered in memory, a column a dataset, and
 * written when it ends, into a file in memory that goes to the disk as a whole.
 *
 * Legend: J joints, T tracked points, S = 2 J + 3 T, A action size, O observation size, n samples.
 */
#include "cli/robomimic.h"

#include <hdf5.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum {
    PARTS = 3 + CN_MAX_TRACKED, /* of an observation: positions, velocities, policy's, points */
    COLUMNS = 4 + 2 * PARTS,
    DEMO_NAME = 24,
};

/* Environment types are robomimic's own; of these, a Gym environment is the nearest: robomimic
 * makes one only for rollouts, which need a robot here. */
#define GYM_TYPE 2

#define IMAGE_STEP ((size_t)1 << 20) /* bytes by which the file in memory grows */

/* A dataset of the present demonstration. */
typedef struct column {
    char name[CN_NAME + 32];
    hid_t type;  /* in memory; in the file the same in little-endian */
    size_t size; /* bytes of a value */
    int width;   /* values of a sample */
    bool flat;   /* (n,), not (n, width) */
    char *bytes; /* [room * width * size] */
} column;

struct cli_robomimic {
    cn_robot_observer observer;
    cn_file file;
    hid_t hdf5, data, intermediate; /* file, group, property list; negative: not there */
    column column[COLUMNS];
    int columns;
    int64_t room, samples; /* of the present demonstration */
    bool success;          /* at its last sample */
    cli_robomimic_report report;
    char (*successful)[DEMO_NAME]; /* [report.successes] */
};

/* ---- HDF5 ---- */

/* The innermost entry of HDF5's stack of errors: the reason. */
static herr_t keep_reason(unsigned n, const H5E_error2_t *entry, void *out)
{
    if (n == 0)
        snprintf(out, 256, "%s", entry->desc ? entry->desc : "no reason given");
    return 0;
}

static cn_status hdf5_failed(const cli_robomimic *r, const char *what, cn_error *err)
{
    char reason[256] = "no reason given";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, reason);
    CN_FAIL(CN_ERR_IO, err, "%s: HDF5 cannot write %s: %s", r->file.path, what, reason);
}

static hid_t text_type(size_t size)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* A scalar attribute. */
static cn_status write_attribute(const cli_robomimic *r, hid_t object, const char *name, hid_t type,
                                 const void *value, cn_error *err)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool done = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return done ? CN_OK : hdf5_failed(r, name, err);
}

static cn_status write_number(const cli_robomimic *r, hid_t object, const char *name, int64_t value,
                              cn_error *err)
{
    return write_attribute(r, object, name, H5T_NATIVE_INT64, &value, err);
}

static cn_status write_words(const cli_robomimic *r, hid_t object, const char *name,
                             const char *value, cn_error *err)
{
    const hid_t type = text_type(H5T_VARIABLE);
    const cn_status status = write_attribute(r, object, name, type, &value, err);
    H5Tclose(type);
    return status;
}

/* A dataset of one or two dimensions; groups on its way are made. */
static cn_status write_dataset(const cli_robomimic *r, hid_t group, const char *name, hid_t type,
                               int rank, const hsize_t *size, const void *values, cn_error *err)
{
    const hid_t space = H5Screate_simple(rank, size, NULL);
    const hid_t set =
        H5Dcreate2(group, name, type, space, r->intermediate, H5P_DEFAULT, H5P_DEFAULT);
    const bool done = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    return done ? CN_OK : hdf5_failed(r, name, err);
}

/* ---- Columns ---- */

static void add_column(cli_robomimic *r, const char *folder, const char *name, hid_t type,
                       int width, bool flat)
{
    column *c = &r->column[r->columns++];
    *c = (column){.type = type, .size = H5Tget_size(type), .width = width, .flat = flat};
    const size_t used = (size_t)snprintf(c->name, sizeof c->name, "%s", folder);
    snprintf(c->name + used, sizeof c->name - used, "%s", name);
    for (char *slash = strchr(c->name + used, '/'); slash; slash = strchr(slash, '/'))
        *slash = '_'; /* it would make a group */
}

static void plan_columns(cli_robomimic *r)
{
    static const char *const folders[] = {"obs/", "next_obs/"};
    const cn_robot_observer *o = &r->observer;
    add_column(r, "", "actions", H5T_NATIVE_FLOAT, o->spec.action_size, false);
    add_column(r, "", "rewards", H5T_NATIVE_FLOAT, 1, true);
    add_column(r, "", "dones", H5T_NATIVE_INT64, 1, true);
    add_column(r, "", "states", H5T_NATIVE_DOUBLE, 2 * o->joints + 3 * o->tracked, false);
    for (int i = 0; i < 2; i++) {
        add_column(r, folders[i], "observation", H5T_NATIVE_FLOAT, o->spec.observation_size, false);
        add_column(r, folders[i], "joint_position", H5T_NATIVE_DOUBLE, o->joints, false);
        add_column(r, folders[i], "joint_velocity", H5T_NATIVE_DOUBLE, o->joints, false);
        for (int t = 0; t < o->tracked; t++) {
            char name[CN_NAME + 8];
            snprintf(name, sizeof name, "point_%s", o->point[t]);
            add_column(r, folders[i], name, H5T_NATIVE_DOUBLE, 3, false);
        }
    }
}

static cn_status make_room(cli_robomimic *r, cn_error *err)
{
    if (r->samples < r->room)
        return CN_OK;
    const int64_t room = r->room ? 2 * r->room : 256;
    for (int i = 0; i < r->columns; i++) {
        column *c = &r->column[i];
        char *bytes = realloc(c->bytes, (size_t)room * (size_t)c->width * c->size);
        CN_FAIL_IF(!bytes, CN_ERR_MEMORY, err, "no memory for %lld samples", (long long)room);
        c->bytes = bytes;
    }
    r->room = room;
    return CN_OK;
}

/* Copies the present sample's values into the next column; *at moves on. */
static void put(cli_robomimic *r, int *at, const void *values)
{
    column *c = &r->column[(*at)++];
    const size_t size = (size_t)c->width * c->size;
    memcpy(c->bytes + (size_t)r->samples * size, values, size);
}

static void put_part(cli_robomimic *r, int *at, const float *observation, const cn_arm_state *s)
{
    put(r, at, observation);
    put(r, at, s->position);
    put(r, at, s->velocity);
    for (int t = 0; t < s->tracked; t++)
        put(r, at, s->point[t]);
}

cn_status cli_robomimic_add(cli_robomimic *r, const cn_episode *episode, const cn_demonstration *d,
                            cn_error *err)
{
    const cn_arm_state *now = &episode->frame[d->frame].state;
    const cn_arm_state *then = &episode->frame[d->next].state;
    const int64_t done = 0; /* the last one is set when it is known to be the last */
    const size_t joints = (size_t)now->joints;
    double state[2 * CN_MAX_JOINTS + 3 * CN_MAX_TRACKED];
    int at = 0;
    CN_TRY(make_room(r, err));
    memcpy(state, now->position, joints * sizeof *state);
    memcpy(state + joints, now->velocity, joints * sizeof *state);
    memcpy(state + 2 * joints, now->point, (size_t)now->tracked * sizeof now->point[0]);
    put(r, &at, d->transition.action);
    put(r, &at, &d->transition.reward);
    put(r, &at, &done);
    put(r, &at, state);
    put_part(r, &at, d->transition.observation, now);
    put_part(r, &at, d->transition.next, then);
    r->success = d->success;
    r->samples++;
    return CN_OK;
}

/* ---- Demonstrations ---- */

static cn_status note_success(cli_robomimic *r, const char *name, cn_error *err)
{
    const size_t count = (size_t)r->report.successes + 1;
    char(*names)[DEMO_NAME] = realloc(r->successful, count * sizeof *names);
    CN_FAIL_IF(!names, CN_ERR_MEMORY, err, "no memory for %zu names", count);
    r->successful = names;
    memset(names[count - 1], 0, DEMO_NAME);
    strcpy(names[count - 1], name);
    r->report.successes++;
    return CN_OK;
}

static cn_status write_columns(cli_robomimic *r, hid_t demo, cn_error *err)
{
    for (int i = 0; i < r->columns; i++) {
        const column *c = &r->column[i];
        const hsize_t size[2] = {(hsize_t)r->samples, (hsize_t)c->width};
        if (strcmp(c->name, "dones") == 0)
            ((int64_t *)(void *)c->bytes)[r->samples - 1] = 1;
        CN_TRY(write_dataset(r, demo, c->name, c->type, c->flat ? 1 : 2, size, c->bytes, err));
    }
    return CN_OK;
}

cn_status cli_robomimic_end_demo(cli_robomimic *r, const char *log, uint64_t goal, int left_out,
                                 cn_error *err)
{
    char name[DEMO_NAME];
    if (r->samples == 0)
        return CN_OK;
    cn_status status = CN_OK;
    snprintf(name, sizeof name, "demo_%lld", (long long)r->report.demos);
    const hid_t demo = H5Gcreate2(r->data, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (demo < 0)
        return hdf5_failed(r, name, err);
    CN_TRY_CLEANUP(write_columns(r, demo, err));
    CN_TRY_CLEANUP(write_number(r, demo, "num_samples", r->samples, err));
    CN_TRY_CLEANUP(write_words(r, demo, "log", log, err));
    CN_TRY_CLEANUP(write_number(r, demo, "goal", (int64_t)goal, err));
    CN_TRY_CLEANUP(write_number(r, demo, "left_out", left_out, err));
    CN_TRY_CLEANUP(write_number(r, demo, "success", r->success, err));
    if (r->success)
        CN_TRY_CLEANUP(note_success(r, name, err));
    r->report.demos++;
    r->report.samples += r->samples;
    r->samples = 0;
cleanup:
    H5Gclose(demo);
    return status;
}

/* ---- The whole ---- */

/* What env_args tells. @return a new reference */
static json_t *describe(const cn_robot_observer *o)
{
    json_t *joints = json_array(), *actions = json_array(), *groups = json_array();
    for (int j = 0; j < o->joints; j++)
        json_array_append_new(joints, json_string(o->joint[j]));
    for (int a = 0; a < o->spec.action_size; a++)
        json_array_append_new(actions, json_string(o->spec.action[a]));
    for (int g = 0; g < o->spec.groups; g++)
        json_array_append_new(groups,
                              json_pack("{s:s, s:i, s:i}", "name", o->spec.group[g].name, "offset",
                                        o->spec.group[g].offset, "size", o->spec.group[g].size));
    return json_pack("{s:s, s:i, s:{s:s, s:f, s:o, s:o, s:s, s:o}}", "env_name", o->spec.task,
                     "type", GYM_TYPE, "env_kwargs", "arm", o->spec.arm, "control_period_s",
                     o->spec.control_period_s, "joints", joints, "actions", actions, "action_unit",
                     o->spec.action_unit, "observation", groups);
}

/* A file in memory: HDF5 1.10 does not survive a disk that fails it. */
static hid_t create_in_memory(void)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, IMAGE_STEP, false);
    const hid_t file = H5Fcreate("robomimic", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    return file;
}

cn_status cli_robomimic_create(const char *path, const cn_robot_observer *observer,
                               cli_robomimic **out, cn_error *err)
{
    *out = NULL;
    cn_status status = CN_OK;
    cli_robomimic *r = calloc(1, sizeof *r);
    CN_FAIL_IF(!r, CN_ERR_MEMORY, err, "no memory for a training set");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    r->observer = *observer;
    r->hdf5 = r->data = r->intermediate = H5I_INVALID_HID;
    CN_TRY_CLEANUP(cn_file_begin(path, &r->file, err));
    r->intermediate = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(r->intermediate, 1);
    r->hdf5 = create_in_memory();
    if (r->hdf5 >= 0)
        r->data = H5Gcreate2(r->hdf5, "data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (r->data < 0) {
        status = hdf5_failed(r, "data", err);
        goto cleanup;
    }
    plan_columns(r);
    *out = r;
    r = NULL;
cleanup:
    cli_robomimic_destroy(&r);
    return status;
}

static cn_status write_mask(cli_robomimic *r, cn_error *err)
{
    if (r->report.successes == 0)
        return CN_OK;
    const hid_t type = text_type(DEMO_NAME);
    const hsize_t size = (hsize_t)r->report.successes;
    const cn_status status =
        write_dataset(r, r->hdf5, "mask/successful", type, 1, &size, r->successful, err);
    H5Tclose(type);
    return status;
}

static cn_status write_about(cli_robomimic *r, cn_error *err)
{
    json_t *about = describe(&r->observer);
    char *text = json_dumps(about, JSON_REAL_PRECISION(9));
    json_decref(about);
    CN_FAIL_IF(!text, CN_ERR_MEMORY, err, "no memory for a description");
    const cn_status status = write_words(r, r->data, "env_args", text, err);
    free(text);
    CN_TRY(status);
    return write_number(r, r->data, "total", r->report.samples, err);
}

/* The bytes of the file in memory go to the stream, whose errors cn_file_commit sees. */
static cn_status write_image(cli_robomimic *r, cn_error *err)
{
    H5Fflush(r->hdf5, H5F_SCOPE_GLOBAL);
    const ssize_t size = H5Fget_file_image(r->hdf5, NULL, 0);
    if (size <= 0)
        return hdf5_failed(r, "all of it", err);
    void *image = malloc((size_t)size);
    CN_FAIL_IF(!image, CN_ERR_MEMORY, err, "%s: no memory for %zd bytes", r->file.path, size);
    const bool whole = H5Fget_file_image(r->hdf5, image, (size_t)size) == size;
    if (whole)
        fwrite(image, 1, (size_t)size, r->file.stream);
    free(image);
    return whole ? CN_OK : hdf5_failed(r, "all of it", err);
}

cn_status cli_robomimic_finish(cli_robomimic *r, cli_robomimic_report *report, cn_error *err)
{
    CN_TRY(write_about(r, err));
    CN_TRY(write_mask(r, err));
    CN_TRY(write_image(r, err));
    *report = r->report;
    return cn_file_commit(&r->file, err);
}

void cli_robomimic_destroy(cli_robomimic **robomimic)
{
    cli_robomimic *const r = *robomimic;
    if (!r)
        return;
    if (r->data >= 0)
        H5Gclose(r->data);
    if (r->hdf5 >= 0)
        H5Fclose(r->hdf5);
    if (r->intermediate >= 0)
        H5Pclose(r->intermediate);
    cn_file_abandon(&r->file);
    for (int i = 0; i < r->columns; i++)
        free(r->column[i].bytes);
    free(r->successful);
    free(r);
    *robomimic = NULL;
}
