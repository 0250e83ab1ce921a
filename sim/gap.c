/* Reality gaps: reading them, and drawing one for an episode. */
#include "sim/gap.h"

#include <math.h>
#include <string.h>

#include "sim/internal.h"

/* What a key is about. */
typedef enum scope { ARM, JOINTS, COMMANDED_JOINTS, BODIES } scope;

static const struct field {
    const char *key;
    scope scope;
    size_t offset; /* of the first double */
    double low, high;
    bool whole, physics;
} fields[] = {
    {"joint_zero_offset", JOINTS, offsetof(cn_gap, joint_zero_offset), -10, 10, false, false},
    {"actuator_gain", COMMANDED_JOINTS, offsetof(cn_gap, actuator_gain), 1e-3, 1e3, false, true},
    {"friction_scale", JOINTS, offsetof(cn_gap, friction_scale), 0, 1e3, false, true},
    {"friction_add", JOINTS, offsetof(cn_gap, friction_add), 0, 1e3, false, true},
    {"damping_scale", JOINTS, offsetof(cn_gap, damping_scale), 0, 1e3, false, true},
    {"mass_scale", BODIES, offsetof(cn_gap, mass_scale), 1e-3, 1e3, false, true},
    {"action_delay", ARM, offsetof(cn_gap, action_delay), 0, CN_MAX_DELAY, true, false},
    {"position_noise", ARM, offsetof(cn_gap, position_noise), 0, 10, false, false},
    {"velocity_noise", ARM, offsetof(cn_gap, velocity_noise), 0, 100, false, false},
    {"tracked_noise", ARM, offsetof(cn_gap, tracked_noise), 0, 10, false, false},
    {"dropped_frames", ARM, offsetof(cn_gap, dropped_frames), 0, 0.99, false, false},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static const char *const draw_words[] = {"uniform", "log_uniform", "normal", NULL};

cn_gap cn_gap_none(void)
{
    cn_gap gap = {.numbers = 0};
    for (int j = 0; j < CN_MAX_JOINTS; j++)
        gap.actuator_gain[j] = gap.friction_scale[j] = gap.damping_scale[j] = 1;
    for (int b = 0; b < CN_MAX_GAP_BODIES; b++)
        gap.mass_scale[b] = 1;
    return gap;
}

/* ---- Reading ---- */

static double *double_at(cn_gap *gap, size_t offset)
{
    return (double *)((char *)gap + offset);
}

/* {uniform: [0.8, 1.2]}: a map whose only key is a distribution. */
static bool is_distribution(cn_yaml_node node, cn_yaml_node *ends, int *draw)
{
    if (!cn_yaml_is_map(node) || cn_yaml_count(node) != 1)
        return false;
    for (*draw = 0; draw_words[*draw]; ++*draw)
        if (cn_yaml_find(node, draw_words[*draw], ends))
            return true;
    return false;
}

static cn_status parse_distribution(cn_yaml_node ends, const struct field *f, int draw,
                                    cn_gap_number *out, cn_error *err)
{
    double pair[2];
    *out = (cn_gap_number){.draw = (cn_gap_draw)draw,
                           .low = f->low,
                           .high = f->high,
                           .whole = f->whole,
                           .physics = f->physics};
    CN_TRY(cn_yaml_doubles(ends, -1e6, 1e6, 2, pair, err));
    out->a = pair[0];
    out->b = pair[1];
    const double last = draw == CN_GAP_NORMAL ? out->a : out->b;
    if (out->a < f->low || last > f->high)
        return cn_yaml_fail(ends, err, "%s is drawn from %s of %g and %g; it must lie in %g to %g",
                            f->key, draw_words[draw], out->a, out->b, f->low, f->high);
    if (draw == CN_GAP_NORMAL ? out->b < 0 : out->a > out->b)
        return cn_yaml_fail(
            ends, err, "%s: %s of %g and %g; expected %s", f->key, draw_words[draw], out->a, out->b,
            draw == CN_GAP_NORMAL ? "mean and standard deviation" : "the lower end first");
    if (draw == CN_GAP_LOG_UNIFORM && out->a <= 0)
        return cn_yaml_fail(ends, err, "%s: log_uniform of %g and %g; both must be above 0", f->key,
                            out->a, out->b);
    if (f->whole && (draw != CN_GAP_UNIFORM || out->a != floor(out->a) || out->b != floor(out->b)))
        return cn_yaml_fail(ends, err, "%s: %s of %g and %g; it takes uniform of whole numbers",
                            f->key, draw_words[draw], out->a, out->b);
    return CN_OK;
}

/* A number or a distribution, for the i-th double of the field. */
static cn_status parse_number(cn_yaml_node node, const struct field *f, int i, cn_gap *gap,
                              cn_error *err)
{
    const size_t offset = f->offset + (size_t)i * sizeof(double);
    cn_yaml_node ends;
    int draw;
    if (is_distribution(node, &ends, &draw)) {
        cn_gap_number *number = &gap->number[gap->numbers];
        CN_TRY(parse_distribution(ends, f, draw, number, err));
        number->offset = offset;
        gap->numbers++;
        return CN_OK;
    }
    double *out = double_at(gap, offset);
    CN_TRY(cn_yaml_double(node, f->low, f->high, out, err));
    if (f->whole && *out != floor(*out))
        return cn_yaml_fail(node, err, "%s is %g; it takes a whole number", f->key, *out);
    return CN_OK;
}

/* How many there are of what the field is about. */
static int scope_size(const cn_task *task, scope s)
{
    switch (s) {
    case JOINTS:
        return task->joints;
    case COMMANDED_JOINTS:
        return task->spec.action_size;
    case BODIES:
        return (int)task->model->nbody;
    case ARM:
        break;
    }
    return 1;
}

static cn_status find_member(const cn_task *task, const struct field *f, const char *name,
                             cn_yaml_node at, int *out, cn_error *err)
{
    char known[600];
    if (f->scope == BODIES) {
        *out = mj_name2id(task->model, mjOBJ_BODY, name);
        if (*out > 0 && *out < scope_size(task, BODIES))
            return CN_OK;
        return cn_yaml_fail(at, err, "body '%s' has no mass to change; there are: %s", name,
                            cn_model_names(task->model, mjOBJ_BODY, known, sizeof known));
    }
    CN_TRY(cn_task_joint_named(task, name, at, out, err));
    if (*out >= scope_size(task, f->scope))
        return cn_yaml_fail(at, err, "joint '%s' has no actuator", name);
    return CN_OK;
}

/* One value for all, or a map by name: {shoulder: 0.1, elbow: {uniform: [0, 0.1]}}. Of bodies, all
 * are those that the task's joints move. */
static cn_status parse_field(cn_yaml_node node, const cn_task *task, const struct field *f,
                             cn_gap *gap, cn_error *err)
{
    cn_yaml_node ends;
    int draw;
    const bool each = cn_yaml_is_map(node) && !is_distribution(node, &ends, &draw);
    if (f->scope == BODIES && scope_size(task, BODIES) > CN_MAX_GAP_BODIES)
        return cn_yaml_fail(
            node, err,
            "the model has %d bodies, and %s is for models of at most %d: leave it "
            "out, or fuse bodies that do not move (<compiler fusestatic=\"true\"/>)",
            scope_size(task, BODIES), f->key, CN_MAX_GAP_BODIES);
    if (!each || f->scope == ARM) {
        for (int i = 0; i < scope_size(task, f->scope); i++)
            if (f->scope != BODIES || cn_task_moves(task, i))
                CN_TRY(parse_number(node, f, i, gap, err));
        return CN_OK;
    }
    for (int i = 0; i < cn_yaml_count(node); i++) {
        const char *name;
        const cn_yaml_node value = cn_yaml_entry(node, i, &name);
        int member;
        CN_TRY(find_member(task, f, name, value, &member, err));
        CN_TRY(parse_number(value, f, member, gap, err));
    }
    return CN_OK;
}

cn_status cn_gap_parse(cn_yaml_node map, const cn_task *task, cn_gap *out, cn_error *err)
{
    const char *keys[FIELDS + 1] = {NULL};
    cn_yaml_node node;
    *out = cn_gap_none();
    for (int i = 0; i < FIELDS; i++)
        keys[i] = fields[i].key;
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    for (int i = 0; i < FIELDS; i++)
        if (cn_yaml_find(map, fields[i].key, &node))
            CN_TRY(parse_field(node, task, &fields[i], out, err));
    return CN_OK;
}

cn_status cn_gap_load(const char *path, const cn_task *task, cn_gap *out, cn_error *err)
{
    cn_yaml *document = NULL;
    cn_gap gap;
    CN_TRY(cn_yaml_load(path, &document, err));
    const cn_status status = cn_gap_parse(cn_yaml_root(document), task, &gap, err);
    cn_yaml_destroy(&document);
    if (status == CN_OK)
        *out = gap;
    return status;
}

const cn_gap *cn_gap_of_task(const cn_task *task)
{
    return &task->randomize;
}

/* ---- Drawing ---- */

static double draw_number(const cn_gap_number *n, cn_rng *rng)
{
    double x = 0;
    switch (n->draw) {
    case CN_GAP_UNIFORM:
        x = n->whole ? fmin(floor(cn_rng_range(rng, n->a, n->b + 1)), n->b)
                     : cn_rng_range(rng, n->a, n->b);
        break;
    case CN_GAP_LOG_UNIFORM:
        x = exp(cn_rng_range(rng, log(n->a), log(n->b)));
        break;
    case CN_GAP_NORMAL:
        x = n->a + n->b * cn_rng_normal(rng);
        break;
    }
    return fmin(fmax(x, n->low), n->high);
}

void cn_gap_of_episode(const cn_gap *gap, uint64_t seed, cn_gap *out)
{
    cn_rng rng = cn_rng_make(seed, CN_STREAM_GAP);
    memcpy(out, gap, offsetof(cn_gap, numbers));
    out->numbers = 0;
    for (int i = 0; i < gap->numbers; i++)
        *double_at(out, gap->number[i].offset) = draw_number(&gap->number[i], &rng);
}

bool cn_gap_changes_physics(const cn_gap *gap)
{
    bool changes = false;
    for (int j = 0; j < CN_MAX_JOINTS; j++)
        changes |= gap->actuator_gain[j] != 1 || gap->friction_scale[j] != 1 ||
                   gap->friction_add[j] != 0 || gap->damping_scale[j] != 1;
    for (int b = 0; b < CN_MAX_GAP_BODIES; b++)
        changes |= gap->mass_scale[b] != 1;
    for (int i = 0; i < gap->numbers; i++)
        changes |= gap->number[i].physics;
    return changes;
}

int cn_gap_longest_delay(const cn_gap *gap)
{
    double longest = gap->action_delay;
    for (int i = 0; i < gap->numbers; i++)
        if (gap->number[i].offset == offsetof(cn_gap, action_delay))
            longest = fmax(longest, gap->number[i].b);
    return (int)longest;
}
