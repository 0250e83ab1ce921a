/* colonnade inspect: what is in a policy, a log or a task. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inspect.h"
#include "policy/policy.h"
#include "sim/task.h"

static const char *const names[] = {"FILE", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade inspect FILE [--recover OUT]",
    .text = "Says what is in a policy (.safetensors), a log (.mcap) or a task (.yaml), and what a "
            "log lost that was cut off or damaged; --recover writes a whole log of what is left.",
    .example = "colonnade inspect runs/reach/best.safetensors",
    .positional = names,
};

/* ---- Policies ---- */

typedef struct column_size {
    size_t own, lateral, total, trainable;
} column_size;

static column_size size_of(cn_policy *p, int k)
{
    const cn_column_size actor = cn_net_column_size(cn_policy_actor(p), k);
    const cn_column_size critic = cn_net_column_size(cn_policy_critic(p), k);
    column_size s = {
        .own = actor.own + critic.own + (size_t)cn_policy_spec(p)->action_size,
        .lateral = actor.lateral + critic.lateral,
    };
    const cn_param spread = cn_policy_log_std_weight(p, k);
    if (spread >= 0) {
        const cn_param_info *info = cn_params_info(cn_policy_params(p), spread);
        const cn_policy_column *c = cn_policy_column_at(p, k);
        const size_t own = (size_t)info->rows * (size_t)c->hidden[c->layers - 1];
        s.own += own;
        s.lateral += info->count - own;
    }
    s.total = s.own + s.lateral;
    s.trainable = cn_policy_column_at(p, k)->frozen ? 0 : s.total;
    return s;
}

/* "18-64-64-6" */
static void shape_of(cn_policy *p, int k, char *out, size_t size)
{
    const cn_policy_column *c = cn_policy_column_at(p, k);
    int used = snprintf(out, size, "%d", c->input_size);
    for (int i = 0; i < c->layers && (size_t)used < size; i++)
        used += snprintf(out + used, size - (size_t)used, "-%d", c->hidden[i]);
    if ((size_t)used < size)
        snprintf(out + used, size - (size_t)used, "-%d", cn_policy_spec(p)->action_size);
}

/* "joints, target" */
static void groups_of(cn_policy *p, int k, char *out, size_t size)
{
    const cn_policy_column *c = cn_policy_column_at(p, k);
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < c->groups && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
                                 cn_policy_spec(p)->group[c->group[i]].name);
}

static const char *lateral_words(const cn_policy_column *c, int k)
{
    if (k == 0 || c->lateral == CN_LATERAL_NONE)
        return "-";
    return c->lateral == CN_LATERAL_LINEAR ? "linear" : "adapter";
}

static void print_columns(cn_policy *p)
{
    size_t total = 0;
    printf("%-3s %-9s %-22s %-7s %9s %9s %9s  %-9s %-12s %10s  %s\n", "col", "state", "actor shape",
           "lateral", "own", "laterals", "sum", "learned", "on task", "steps", "inputs");
    for (int k = 0; k < cn_policy_columns(p); k++) {
        const cn_policy_column *c = cn_policy_column_at(p, k);
        const column_size s = size_of(p, k);
        char shape[64], groups[256];
        shape_of(p, k, shape, sizeof shape);
        groups_of(p, k, groups, sizeof groups);
        total += s.total;
        printf("%-3d %-9s %-22s %-7s %9zu %9zu %9zu  %-9s %-12s %10lld  %s\n", k,
               c->frozen ? "frozen" : "trainable", shape, lateral_words(c, k), s.own, s.lateral,
               total, c->method, c->task, (long long)c->steps, groups);
    }
    for (int k = 0; k < cn_policy_columns(p); k++)
        if (cn_policy_column_at(p, k)->frozen)
            printf("column %d is frozen with checksum %016" PRIx64 ": verified\n", k,
                   cn_policy_column_at(p, k)->checksum);
    for (int k = 0; k < cn_policy_columns(p); k++)
        if (cn_policy_column_at(p, k)->bound == CN_BOUND_TANH)
            printf("column %d acts with the tanh of its output\n", k);
    for (int k = 0; k < cn_policy_columns(p); k++)
        if (cn_policy_column_at(p, k)->ended[0])
            printf("column %d: its run ended with: %s\n", k, cn_policy_column_at(p, k)->ended);
}

static json_t *columns_to_json(cn_policy *p)
{
    json_t *list = json_array();
    for (int k = 0; k < cn_policy_columns(p); k++) {
        const cn_policy_column *c = cn_policy_column_at(p, k);
        const column_size s = size_of(p, k);
        char shape[64], checksum[17];
        shape_of(p, k, shape, sizeof shape);
        snprintf(checksum, sizeof checksum, "%016" PRIx64, cn_policy_checksum(p, k));
        json_array_append_new(
            list, json_pack("{s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:s, s:s}",
                            "frozen", c->frozen, "shape", shape, "lateral", lateral_words(c, k),
                            "bound", c->bound == CN_BOUND_TANH ? "tanh" : "clip", "own_parameters",
                            (json_int_t)s.own, "lateral_parameters", (json_int_t)s.lateral,
                            "trainable_parameters", (json_int_t)s.trainable, "method", c->method,
                            "task", c->task, "steps", (json_int_t)c->steps, "ended", c->ended,
                            "checksum", checksum));
    }
    return list;
}

static cn_status inspect_policy(const char *path, bool json, cn_error *err)
{
    cn_policy *p = NULL;
    CN_TRY(cn_policy_load(path, &p, err));
    const cn_env_spec *spec = cn_policy_spec(p);
    cn_params *params = cn_policy_params(p);
    printf("policy  %s\narm     %s, %d actions in %s every %g s\n", path, spec->arm,
           spec->action_size, spec->action_unit, spec->control_period_s);
    printf("sees   ");
    for (int g = 0; g < spec->groups; g++)
        printf(" %s (%d)", spec->group[g].name, spec->group[g].size);
    printf("\nholds   %zu parameters, %zu of them trainable (actor and critic)\n\n",
           cn_params_count(params), cn_params_trainable(params));
    print_columns(p);
    if (json)
        cli_print_json(json_pack(
            "{s:s, s:s, s:s, s:I, s:I, s:o}", "kind", "policy", "arm", spec->arm, "task",
            spec->task, "parameters", (json_int_t)cn_params_count(params), "trainable_parameters",
            (json_int_t)cn_params_trainable(params), "columns", columns_to_json(p)));
    cn_policy_destroy(&p);
    return CN_OK;
}

/* ---- Tasks ---- */

static void print_joints(const cn_task *task)
{
    printf("%-16s %-5s %10s %10s %12s %12s\n", "joint", "unit", "low", "high", "velocity",
           "effort");
    for (int j = 0; j < cn_task_joints(task); j++) {
        const cn_arm_joint *joint = cn_task_joint(task, j);
        printf("%-16s %-5s %10.3f %10.3f %12.3f %12.3f\n", joint->name, joint->unit,
               joint->position_low, joint->position_high, joint->velocity, joint->effort);
    }
}

static cn_status inspect_task(const char *path, bool json, cn_error *err)
{
    cn_task *task = NULL;
    CN_TRY(cn_task_load(path, &task, err));
    const cn_env_spec *s = cn_task_spec(task);
    printf("task    %s (%s)\narm     %s, %d actions in %s every %g s, at most %d steps an "
           "episode\nsees   ",
           s->task, path, s->arm, s->action_size, s->action_unit, s->control_period_s,
           s->step_limit);
    json_t *groups = json_object();
    for (int g = 0; g < s->groups; g++) {
        printf(" %s (%d)", s->group[g].name, s->group[g].size);
        json_object_set_new(groups, s->group[g].name, json_integer(s->group[g].size));
    }
    printf("\ntracked");
    for (int i = 0; i < cn_task_tracked(task); i++)
        printf(" %s", cn_task_tracked_name(task, i));
    printf("\n\n");
    print_joints(task);
    if (json)
        cli_print_json(json_pack("{s:s, s:s, s:s, s:o, s:i, s:f, s:i}", "kind", "task", "task",
                                 s->task, "arm", s->arm, "observations", groups, "actions",
                                 s->action_size, "control_period_s", s->control_period_s,
                                 "step_limit", s->step_limit));
    else
        json_decref(groups);
    cn_task_destroy(&task);
    return CN_OK;
}

/* By content: MCAP has a magic, safetensors has '{' after its length; the rest is taken for YAML.
 */
static cn_status inspect(const char *path, const char *recover, bool json, cn_error *err)
{
    static const unsigned char mcap_magic[8] = {0x89, 'M', 'C', 'A', 'P', '0', '\r', '\n'};
    unsigned char head[9] = {0};
    FILE *f = fopen(path, "rb");
    CN_FAIL_IF(!f, CN_ERR_NOT_FOUND, err, "%s: no such file, or not readable", path);
    const size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    if (n >= 8 && memcmp(head, mcap_magic, 8) == 0)
        return cli_inspect_log(path, recover, json, err);
    CN_FAIL_IF(recover, CN_ERR_ARGUMENT, err, "%s: --recover is for logs, and this is none", path);
    if (n == 9 && head[8] == '{')
        return inspect_policy(path, json, err);
    CN_FAIL_IF(memchr(head, 0, n) || head[0] == mcap_magic[0], CN_ERR_FORMAT, err,
               "%s: neither a policy nor a log, and no text as a task is", path);
    return inspect_task(path, json, err);
}

int cli_inspect(int argc, char **argv)
{
    const char *path, *recover = NULL;
    bool json = false;
    const cli_option options[] = {
        {"recover", "OUT", "a whole log, of every message that can be read", CLI_TEXT, &recover, 0,
         0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &path);
    if (status >= 0)
        return status;
    cn_error err = {0};
    return inspect(path, recover, json, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
