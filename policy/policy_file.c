/* Policies as safetensors files. The tensors are the parameters by name and
 * "normalizer/<k>/{count,mean,square}"; the metadata entry "colonnade" is one JSON object that
 * says how they fit together. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

#define FORMAT_VERSION 1
#define METADATA_KEY   "colonnade"
#define MAX_WIDTH      (1 << 20) /* of a layer or a group: anything wider is damage */

static const char *const activation_words[] = {"identity", "tanh", "relu"};
static const char *const lateral_words[] = {"none", "linear", "adapter"};
static const char *const bound_words[] = {"clip", "tanh"};

/* ---- Saving ---- */

static json_t *ints_to_json(const int *values, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

static json_t *column_to_json(const cn_policy_column *c)
{
    char checksum[17];
    snprintf(checksum, sizeof checksum, "%016" PRIx64, c->checksum);
    return json_pack(
        "{s:o, s:o, s:s, s:s, s:s, s:b, s:i, s:f, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:s}",
        "groups", ints_to_json(c->group, c->groups), "hidden", ints_to_json(c->hidden, c->layers),
        "activation", activation_words[c->activation], "lateral", lateral_words[c->lateral],
        "bound", bound_words[c->bound], "state_std", c->state_std, "adapter_size", c->adapter_size,
        "adapter_scale", (double)c->adapter_scale, "frozen", c->frozen, "checksum", checksum,
        "task", c->task, "task_file", c->task_file, "method", c->method, "seed",
        (json_int_t)c->seed, "steps", (json_int_t)c->steps, "ended", c->ended);
}

static json_t *spec_to_json(const cn_env_spec *spec)
{
    json_t *groups = json_array(), *actions = json_array();
    for (int g = 0; g < spec->groups; g++)
        json_array_append_new(groups, json_pack("{s:s, s:i}", "name", spec->group[g].name, "size",
                                                spec->group[g].size));
    for (int i = 0; i < spec->action_size; i++)
        json_array_append_new(actions, json_string(spec->action[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:f, s:i, s:b}", "task", spec->task, "arm",
                     spec->arm, "observation", groups, "actions", actions, "action_unit",
                     spec->action_unit, "control_period_s", spec->control_period_s, "step_limit",
                     spec->step_limit, "has_success", spec->has_success);
}

/* @return the metadata's text, free(); NULL without memory. */
static char *policy_to_text(const cn_policy *p)
{
    json_t *columns = json_array();
    for (int k = 0; k < p->columns; k++)
        json_array_append_new(columns, column_to_json(&p->column[k]));
    json_t *root = json_pack("{s:i, s:o, s:o}", "format", FORMAT_VERSION, "env",
                             spec_to_json(&p->spec), "columns", columns);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return text;
}

static cn_tensor_view view_of_param(cn_params *params, cn_param slice)
{
    const cn_param_info *info = cn_params_info(params, slice);
    return cn_tensor_matrix(info->name, CN_F32, info->rows, info->cols,
                            cn_params_slice(params, slice));
}

/* The three tensors of a normaliser; names [3][CN_PARAM_NAME] keeps their names. */
static void views_of_normalizer(const cn_normalizer *n, int k, char names[3][CN_PARAM_NAME],
                                cn_tensor_view views[3])
{
    const char *const part[3] = {"count", "mean", "square"};
    const double *const data[3] = {&n->count, n->mean, n->square};
    for (int i = 0; i < 3; i++) {
        const int64_t size = i == 0 ? 1 : n->size;
        snprintf(names[i], CN_PARAM_NAME, "normalizer/%d/%s", k, part[i]);
        views[i] = (cn_tensor_view){
            .name = names[i],
            .dtype = CN_F64,
            .rank = 1,
            .shape = {size},
            .data = data[i],
            .bytes = (size_t)size * sizeof(double),
        };
    }
}

cn_status cn_policy_write(const cn_policy *p, const char *path, const cn_tensor_view *extra,
                          int extra_count, cn_error *err)
{
    cn_status status = cn_policy_verify(p, err);
    if (status != CN_OK)
        return cn_error_prefix(err, status, "%s not written", path);
    const int slices = cn_params_slices(p->params), own = slices + 3 * p->columns;
    char names[CN_MAX_COLUMNS][3][CN_PARAM_NAME];
    char *text = policy_to_text(p);
    cn_tensor_view *views = calloc((size_t)(own + extra_count), sizeof *views);
    if (!text || !views)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory to save %d tensors", path,
                        own + extra_count);
    for (int i = 0; i < slices; i++)
        views[i] = view_of_param(p->params, i);
    for (int k = 0; k < p->columns; k++)
        views_of_normalizer(&p->normalizer[k], k, names[k], views + slices + 3 * k);
    if (extra_count > 0)
        memcpy(views + own, extra, (size_t)extra_count * sizeof *views);
    const cn_metadata_entry metadata = {METADATA_KEY, text};
    status = cn_safetensors_write(path, views, own + extra_count, &metadata, 1, err);
cleanup:
    free(text);
    free(views);
    return status;
}

cn_status cn_policy_save(const cn_policy *p, const char *path, cn_error *err)
{
    return cn_policy_write(p, path, NULL, 0, err);
}

/* ---- Loading ---- */

static cn_status read_word(const char *path, const char *what, const char *word,
                           const char *const *words, int count, int *out, cn_error *err)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return CN_OK;
        }
    }
    CN_FAIL(CN_ERR_FORMAT, err, "%s: unknown %s '%s'; a newer program may have written it", path,
            what, word);
}

static cn_status read_ints(const char *path, const char *what, const json_t *list, int max,
                           int *out, int *count, cn_error *err)
{
    CN_FAIL_IF(!json_is_array(list) || json_array_size(list) > (size_t)max, CN_ERR_FORMAT, err,
               "%s: '%s' is not a list of at most %d numbers", path, what, max);
    *count = (int)json_array_size(list);
    for (int i = 0; i < *count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        CN_FAIL_IF(!json_is_integer(item) || json_integer_value(item) < 0 ||
                       json_integer_value(item) > MAX_WIDTH,
                   CN_ERR_FORMAT, err, "%s: entry %d of '%s' is not a number from 0 to %d", path, i,
                   what, MAX_WIDTH);
        out[i] = (int)json_integer_value(item);
    }
    return CN_OK;
}

static cn_status read_text(const char *path, const char *what, const char *text, char *out,
                           size_t size, cn_error *err)
{
    CN_FAIL_IF(strlen(text) >= size, CN_ERR_FORMAT, err, "%s: %s '%s' is longer than %zu bytes",
               path, what, text, size - 1);
    strcpy(out, text);
    return CN_OK;
}

static cn_status read_name(const char *path, const char *what, const char *text, char out[CN_NAME],
                           cn_error *err)
{
    return read_text(path, what, text, out, CN_NAME, err);
}

static cn_status read_column(const char *path, json_t *json, cn_policy_column *c, cn_error *err)
{
    json_t *groups, *hidden;
    const char *activation, *lateral, *checksum, *task, *task_file, *method, *ended = "";
    const char *bound = bound_words[CN_BOUND_CLIP]; /* the first files knew no other */
    double scale;
    int frozen, state_std = false, word = 0;
    json_int_t seed, steps;
    *c = (cn_policy_column){0};
    CN_FAIL_IF(
        json_unpack(
            json,
            "{s:o, s:o, s:s, s:s, s?s, s?b, s:i, s:F, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s?s}",
            "groups", &groups, "hidden", &hidden, "activation", &activation, "lateral", &lateral,
            "bound", &bound, "state_std", &state_std, "adapter_size", &c->adapter_size,
            "adapter_scale", &scale, "frozen", &frozen, "checksum", &checksum, "task", &task,
            "task_file", &task_file, "method", &method, "seed", &seed, "steps", &steps, "ended",
            &ended) != 0,
        CN_ERR_FORMAT, err, "%s: a column's description is incomplete", path);
    CN_FAIL_IF(c->adapter_size < 0 || c->adapter_size > MAX_WIDTH, CN_ERR_FORMAT, err,
               "%s: 'adapter_size' is %d, not a number from 0 to %d", path, c->adapter_size,
               MAX_WIDTH);
    CN_TRY(read_ints(path, "groups", groups, CN_MAX_GROUPS, c->group, &c->groups, err));
    CN_TRY(read_ints(path, "hidden", hidden, CN_MAX_LAYERS, c->hidden, &c->layers, err));
    CN_TRY(read_word(path, "activation", activation, activation_words, 3, &word, err));
    c->activation = (cn_activation)word;
    CN_TRY(read_word(path, "lateral", lateral, lateral_words, 3, &word, err));
    c->lateral = (cn_lateral)word;
    CN_TRY(read_word(path, "bound", bound, bound_words, 2, &word, err));
    c->bound = (cn_bound)word;
    c->state_std = state_std != 0;
    CN_TRY(read_name(path, "task", task, c->task, err));
    CN_TRY(read_text(path, "task file", task_file, c->task_file, sizeof c->task_file, err));
    CN_TRY(read_name(path, "method", method, c->method, err));
    CN_TRY(read_name(path, "reason to end", ended, c->ended, err));
    c->adapter_scale = (float)scale;
    c->frozen = frozen != 0;
    c->checksum = strtoull(checksum, NULL, 16);
    c->seed = (uint64_t)seed;
    c->steps = steps;
    return CN_OK;
}

static cn_status read_groups(const char *path, const json_t *list, cn_env_spec *spec, cn_error *err)
{
    CN_FAIL_IF(json_array_size(list) < 1 || json_array_size(list) > CN_MAX_GROUPS, CN_ERR_FORMAT,
               err, "%s: %zu observation groups; 1 to %d are possible", path, json_array_size(list),
               CN_MAX_GROUPS);
    spec->groups = (int)json_array_size(list);
    for (int g = 0; g < spec->groups; g++) {
        cn_obs_group *group = &spec->group[g];
        const char *name;
        CN_FAIL_IF(json_unpack(json_array_get(list, (size_t)g), "{s:s, s:i}", "name", &name, "size",
                               &group->size) != 0 ||
                       group->size < 1 || group->size > MAX_WIDTH,
                   CN_ERR_FORMAT, err, "%s: observation group %d is not {name, size}", path, g);
        CN_TRY(read_name(path, "observation group", name, group->name, err));
        group->offset = spec->observation_size;
        spec->observation_size += group->size;
    }
    return CN_OK;
}

static cn_status read_spec(const char *path, json_t *json, cn_env_spec *spec, cn_error *err)
{
    json_t *groups, *actions;
    const char *task, *arm, *unit;
    int has_success = true;
    *spec = (cn_env_spec){0};
    CN_FAIL_IF(json_unpack(json, "{s:s, s:s, s:o, s:o, s:s, s:F, s:i, s?b}", "task", &task, "arm",
                           &arm, "observation", &groups, "actions", &actions, "action_unit", &unit,
                           "control_period_s", &spec->control_period_s, "step_limit",
                           &spec->step_limit, "has_success", &has_success) != 0,
               CN_ERR_FORMAT, err, "%s: the description of its environment is incomplete", path);
    spec->has_success = has_success;
    CN_FAIL_IF(!(spec->control_period_s > 0.0), CN_ERR_FORMAT, err,
               "%s: a control period of %g s, not more than 0", path, spec->control_period_s);
    CN_TRY(read_name(path, "task", task, spec->task, err));
    CN_TRY(read_name(path, "arm", arm, spec->arm, err));
    CN_TRY(read_name(path, "action unit", unit, spec->action_unit, err));
    CN_TRY(read_groups(path, groups, spec, err));
    CN_FAIL_IF(json_array_size(actions) < 1 || json_array_size(actions) > CN_MAX_ACTIONS,
               CN_ERR_FORMAT, err, "%s: %zu actions; 1 to %d are possible", path,
               json_array_size(actions), CN_MAX_ACTIONS);
    spec->action_size = (int)json_array_size(actions);
    for (int i = 0; i < spec->action_size; i++) {
        const char *name = json_string_value(json_array_get(actions, (size_t)i));
        CN_FAIL_IF(!name, CN_ERR_FORMAT, err, "%s: action %d is not a name", path, i);
        CN_TRY(read_name(path, "action", name, spec->action[i], err));
    }
    return CN_OK;
}

cn_status cn_policy_read_tensor(const char *path, const cn_safetensors *file,
                                const cn_tensor_view *want, void *out, cn_error *err)
{
    const cn_tensor_view *have = cn_safetensors_find(file, want->name);
    CN_FAIL_IF(!have, CN_ERR_FORMAT, err, "%s: the tensor '%s' is missing", path, want->name);
    bool same = have->dtype == want->dtype && have->rank == want->rank;
    for (int i = 0; same && i < want->rank; i++)
        same = have->shape[i] == want->shape[i];
    CN_FAIL_IF(!same, CN_ERR_SHAPE, err,
               "%s: the tensor '%s' has %zu bytes of another shape or type; its column needs %zu",
               path, want->name, have->bytes, want->bytes);
    memcpy(out, have->data, want->bytes);
    return CN_OK;
}

static cn_status read_tensors(const char *path, const cn_safetensors *file, cn_policy *p,
                              cn_error *err)
{
    for (int i = 0; i < cn_params_slices(p->params); i++) {
        const cn_tensor_view want = view_of_param(p->params, i);
        CN_TRY(cn_policy_read_tensor(path, file, &want, cn_params_slice(p->params, i), err));
    }
    for (int k = 0; k < p->columns; k++) {
        cn_normalizer *n = &p->normalizer[k];
        char names[3][CN_PARAM_NAME];
        cn_tensor_view want[3];
        views_of_normalizer(n, k, names, want);
        CN_TRY(cn_policy_read_tensor(path, file, &want[0], &n->count, err));
        CN_TRY(cn_policy_read_tensor(path, file, &want[1], n->mean, err));
        CN_TRY(cn_policy_read_tensor(path, file, &want[2], n->square, err));
        cn_normalizer_refresh(n);
    }
    return CN_OK;
}

/* How many parameters the tensors can hold: asked before they are allocated, so that a damaged
 * width costs no memory. */
static size_t floats_of(const cn_safetensors *file)
{
    size_t floats = 0;
    for (int i = 0; i < cn_safetensors_count(file); i++)
        floats += cn_safetensors_at(file, i)->bytes / sizeof(float);
    return floats;
}

/* Grows the columns that the metadata describes and marks the frozen ones with their checksums. */
static cn_status read_columns(const char *path, const json_t *columns, cn_policy *p, cn_error *err)
{
    CN_FAIL_IF(json_array_size(columns) < 1 || json_array_size(columns) > CN_MAX_COLUMNS,
               CN_ERR_FORMAT, err, "%s: %zu columns; 1 to %d are possible", path,
               json_array_size(columns), CN_MAX_COLUMNS);
    for (size_t k = 0; k < json_array_size(columns); k++) {
        cn_policy_column column;
        CN_TRY(read_column(path, json_array_get(columns, k), &column, err));
        const cn_status status = cn_policy_grow(p, &column, CN_GROW_BLANK, NULL, err);
        if (status != CN_OK)
            return cn_error_prefix(err, status, "%s", path);
        cn_net_freeze(p->actor, (int)k, column.frozen);
        cn_net_freeze(p->critic, (int)k, column.frozen);
    }
    return CN_OK;
}

cn_status cn_policy_load(const char *path, cn_policy **out, cn_error *err)
{
    *out = NULL;
    cn_status status = CN_OK;
    cn_safetensors *file = NULL;
    cn_policy *p = NULL;
    json_t *root = NULL, *env, *columns;
    int format;
    CN_TRY(cn_safetensors_open(path, &file, err));
    const char *text = cn_safetensors_metadata(file, METADATA_KEY);
    if (!text)
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err,
                        "%s: a safetensors file, but not a policy of ours (no '%s' metadata)", path,
                        METADATA_KEY);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!root || json_unpack(root, "{s:i, s:o, s:o}", "format", &format, "env", &env, "columns",
                             &columns) != 0)
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err, "%s: its '%s' metadata is damaged", path, METADATA_KEY);
    if (format != FORMAT_VERSION)
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err, "%s: policy format %d; this program reads format %d",
                        path, format, FORMAT_VERSION);
    cn_env_spec spec;
    CN_TRY_CLEANUP(read_spec(path, env, &spec, err));
    CN_TRY_CLEANUP(cn_policy_create(&spec, &p, err));
    cn_params_limit(p->params, floats_of(file));
    CN_TRY_CLEANUP(read_columns(path, columns, p, err));
    cn_params_limit(p->params, SIZE_MAX); /* it may grow */
    CN_TRY_CLEANUP(read_tensors(path, file, p, err));
    status = cn_policy_verify(p, err);
    if (status != CN_OK) {
        cn_error_prefix(err, status, "%s", path);
        goto cleanup;
    }
    *out = p;
    p = NULL;
cleanup:
    cn_policy_destroy(&p);
    json_decref(root);
    cn_safetensors_close(&file);
    return status;
}
