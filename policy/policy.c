/* Policies in memory: growing, freezing, checking. policy_file.c saves and loads them. */
#include "policy/policy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/actor.h"
#include "policy/internal.h"

/* Orthogonal gain of the last layer of actor and critic: Andrychowicz et al. 2020,
 * arXiv:2006.05990, and CleanRL's list: small for the policy head, so that it starts near zero
 * actions. */
#define ACTOR_GAIN  0.01f
#define CRITIC_GAIN 1.0f

cn_policy_column cn_policy_column_default(void)
{
    const cn_column_spec net = cn_column_default();
    return (cn_policy_column){
        .layers = net.layers,
        .hidden = {net.hidden[0], net.hidden[1]},
        .activation = net.activation,
        .lateral = CN_LATERAL_ADAPTER,
        .adapter_scale = net.adapter_scale,
    };
}

cn_status cn_policy_create(const cn_env_spec *spec, cn_policy **out, cn_error *err)
{
    *out = NULL;
    cn_policy *p = calloc(1, sizeof *p);
    CN_FAIL_IF(!p, CN_ERR_MEMORY, err, "no memory for a policy");
    cn_status status = CN_OK;
    p->spec = *spec;
    CN_TRY_CLEANUP(cn_params_create(&p->params, err));
    CN_TRY_CLEANUP(cn_net_create(p->params, "actor", spec->action_size, &p->actor, err));
    CN_TRY_CLEANUP(cn_net_create(p->params, "critic", 1, &p->critic, err));
    *out = p;
    p = NULL;
cleanup:
    cn_policy_destroy(&p);
    return status;
}

void cn_policy_destroy(cn_policy **policy)
{
    cn_policy *p = *policy;
    if (!p)
        return;
    for (int k = 0; k < CN_MAX_COLUMNS; k++)
        cn_normalizer_destroy(&p->normalizer[k]);
    cn_net_destroy(&p->actor);
    cn_net_destroy(&p->critic);
    cn_params_destroy(&p->params);
    free(p);
    *policy = NULL;
}

/* ---- Growing ---- */

/* Fills groups (0: all) and input_size. */
static cn_status choose_groups(const cn_env_spec *spec, cn_policy_column *c, cn_error *err)
{
    if (c->groups == 0) {
        c->groups = spec->groups;
        for (int g = 0; g < spec->groups; g++)
            c->group[g] = g;
    }
    c->input_size = 0;
    for (int i = 0; i < c->groups; i++) {
        CN_FAIL_IF(c->group[i] < 0 || c->group[i] >= spec->groups, CN_ERR_ARGUMENT, err,
                   "observation group %d: task '%s' has groups 0 to %d", c->group[i], spec->task,
                   spec->groups - 1);
        c->input_size += spec->group[c->group[i]].size;
    }
    return CN_OK;
}

static bool same_groups(const cn_policy_column *a, const cn_policy_column *b)
{
    return a->groups == b->groups &&
           memcmp(a->group, b->group, (size_t)a->groups * sizeof a->group[0]) == 0;
}

/* Narrow enough that a second column costs little more than a first (bench column); no fewer units
 * than most arms have joints. */
static int usual_adapter(const cn_policy_column *c)
{
    int widest = 0;
    for (int i = 0; i < c->layers && i < CN_MAX_LAYERS; i++)
        widest = c->hidden[i] > widest ? c->hidden[i] : widest;
    return widest / 8 > 8 ? widest / 8 : 8;
}

static cn_column_spec net_spec(const cn_policy_column *c, float output_gain)
{
    cn_column_spec spec = {
        .input_size = c->input_size,
        .layers = c->layers,
        .activation = c->activation,
        .lateral = c->lateral,
        .adapter_size = c->adapter_size,
        .adapter_scale = c->adapter_scale,
        .output_gain = output_gain,
    };
    memcpy(spec.hidden, c->hidden, sizeof spec.hidden);
    return spec;
}

/* Zeros: the standard deviation begins as a constant. It has laterals only where there is something
 * to inherit through them. */
static cn_status add_log_std_weight(cn_policy *p, int k, cn_error *err)
{
    const cn_policy_column *c = &p->column[k];
    const bool inherits = k > 0 && p->column[k - 1].state_std;
    const int width = inherits ? cn_net_head_width(p->actor, k) : c->hidden[c->layers - 1];
    char name[CN_PARAM_NAME];
    snprintf(name, sizeof name, "actor/%d/log_std.weight", k);
    return cn_params_add(p->params, name, p->spec.action_size, width, &p->log_std_weight[k], err);
}

static cn_status grow_nets(cn_policy *p, const cn_policy_column *c, cn_growth growth, cn_rng *rng,
                           cn_error *err)
{
    const cn_column_spec actor = net_spec(c, ACTOR_GAIN), critic = net_spec(c, CRITIC_GAIN);
    CN_TRY(cn_net_grow(p->actor, &actor, growth, rng, err));
    CN_TRY(cn_net_grow(p->critic, &critic, growth, rng, err));
    char name[CN_PARAM_NAME];
    snprintf(name, sizeof name, "actor/%d/log_std", p->columns);
    CN_TRY(cn_params_add(p->params, name, 1, p->spec.action_size, &p->log_std[p->columns], err));
    p->log_std_weight[p->columns] = -1;
    return c->state_std ? add_log_std_weight(p, p->columns, err) : CN_OK;
}

static void set_log_std(cn_policy *p, int k, const float *log_std)
{
    memcpy(cn_params_slice(p->params, p->log_std[k]), log_std,
           (size_t)p->spec.action_size * sizeof *log_std);
}

/* The standard deviation of column k begins as that of the column before. */
static cn_status inherit_std(cn_policy *p, int k, cn_error *err)
{
    float typical[CN_MAX_ACTIONS];
    if (p->column[k].state_std && p->column[k - 1].state_std) {
        set_log_std(p, k, cn_params_slice(p->params, p->log_std[k - 1]));
        cn_net_copy_head(p->actor, k, p->log_std_weight[k - 1], p->log_std_weight[k]);
        return CN_OK;
    }
    CN_TRY(cn_actor_typical_spread(p, k - 1, typical, err));
    set_log_std(p, k, typical);
    return CN_OK;
}

cn_status cn_policy_grow(cn_policy *p, const cn_policy_column *column, cn_growth growth,
                         cn_rng *rng, cn_error *err)
{
    const int k = p->columns;
    CN_FAIL_IF(k == CN_MAX_COLUMNS, CN_ERR_ARGUMENT, err,
               "the policy has %d columns, the most there can be", k);
    cn_policy_column *c = &p->column[k];
    *c = *column;
    CN_TRY(choose_groups(&p->spec, c, err));
    CN_FAIL_IF(growth == CN_GROW_IDENTITY && k > 0 && !same_groups(c, &p->column[k - 1]),
               CN_ERR_ARGUMENT, err,
               "an identity start needs the observation groups of the column before it");
    if (growth == CN_GROW_IDENTITY && k > 0)
        c->bound = p->column[k - 1].bound;
    if (c->adapter_size == 0)
        c->adapter_size = usual_adapter(c);
    CN_TRY(grow_nets(p, c, growth, rng, err));
    CN_TRY(cn_normalizer_create(c->input_size, &p->normalizer[k], err));
    cn_params_fill(p->params, p->log_std[k], column->log_std);
    p->columns++;
    if (growth != CN_GROW_IDENTITY)
        return CN_OK;
    cn_normalizer_copy(&p->normalizer[k], &p->normalizer[k - 1]);
    CN_TRY(inherit_std(p, k, err));
    return cn_policy_explore(p, k, column->log_std, err);
}

cn_status cn_policy_add_state_std(cn_policy *p, cn_error *err)
{
    const int k = p->columns - 1;
    if (p->column[k].state_std)
        return CN_OK;
    CN_TRY(add_log_std_weight(p, k, err));
    p->column[k].state_std = true;
    return CN_OK;
}

cn_status cn_policy_level_std(cn_policy *p, int column, cn_error *err)
{
    const cn_param weight = p->log_std_weight[column];
    float typical[CN_MAX_ACTIONS];
    CN_TRY(cn_actor_typical_spread(p, column, typical, err));
    set_log_std(p, column, typical);
    if (weight >= 0)
        cn_params_fill(p->params, weight, 0.0f);
    return CN_OK;
}

cn_status cn_policy_explore(cn_policy *p, int column, float log_std, cn_error *err)
{
    float typical[CN_MAX_ACTIONS];
    float *bias = cn_params_slice(p->params, p->log_std[column]);
    CN_TRY(cn_actor_typical_spread(p, column, typical, err));
    for (int i = 0; i < p->spec.action_size; i++)
        if (typical[i] < log_std)
            bias[i] = log_std + (bias[i] - typical[i]);
    return CN_OK;
}

/* ---- Freezing ---- */

static uint64_t column_checksum(const cn_policy *p, int k)
{
    char prefix[CN_PARAM_NAME];
    snprintf(prefix, sizeof prefix, "actor/%d/", k);
    const uint64_t actor = cn_params_checksum(p->params, prefix);
    snprintf(prefix, sizeof prefix, "critic/%d/", k);
    const uint64_t critic = cn_params_checksum(p->params, prefix);
    const cn_normalizer *n = &p->normalizer[k];
    const cn_policy_column *c = &p->column[k];
    const int form[] = {c->groups, c->layers, (int)c->activation, (int)c->lateral};
    uint64_t hash = cn_checksum_append(actor, &critic, sizeof critic);
    hash = cn_checksum_append(hash, form, sizeof form);
    if (c->bound != CN_BOUND_CLIP) /* the first files knew no other */
        hash = cn_checksum_append(hash, &c->bound, sizeof c->bound);
    hash = cn_checksum_append(hash, c->group, (size_t)c->groups * sizeof c->group[0]);
    hash = cn_checksum_append(hash, c->hidden, (size_t)c->layers * sizeof c->hidden[0]);
    hash = cn_checksum_append(hash, &n->count, sizeof n->count);
    hash = cn_checksum_append(hash, n->mean, (size_t)n->size * sizeof *n->mean);
    return cn_checksum_append(hash, n->square, (size_t)n->size * sizeof *n->square);
}

uint64_t cn_policy_checksum(const cn_policy *p, int column)
{
    if (column >= 0)
        return column_checksum(p, column);
    uint64_t hash = 0;
    for (int k = 0; k < p->columns; k++) {
        const uint64_t sum = column_checksum(p, k);
        hash = cn_checksum_append(hash, &sum, sizeof sum);
    }
    return hash;
}

static void set_frozen(cn_policy *p, int k, bool frozen)
{
    cn_net_freeze(p->actor, k, frozen);
    cn_net_freeze(p->critic, k, frozen);
    p->column[k].frozen = frozen;
    p->column[k].checksum = frozen ? column_checksum(p, k) : 0;
}

void cn_policy_freeze(cn_policy *p, int column)
{
    set_frozen(p, column, true);
}

void cn_policy_thaw(cn_policy *p, int column)
{
    set_frozen(p, column, false);
}

cn_status cn_policy_verify(const cn_policy *p, cn_error *err)
{
    for (int k = 0; k < p->columns; k++) {
        if (!p->column[k].frozen)
            continue;
        const uint64_t now = column_checksum(p, k);
        CN_FAIL_IF(now != p->column[k].checksum, CN_ERR_CHECKSUM, err,
                   "column %d was frozen with checksum %016" PRIx64 " and is now %016" PRIx64
                   ": it is not the column that was trained",
                   k, p->column[k].checksum, now);
    }
    return CN_OK;
}

/* ---- Reading ---- */

const cn_env_spec *cn_policy_spec(const cn_policy *p)
{
    return &p->spec;
}

int cn_policy_columns(const cn_policy *p)
{
    return p->columns;
}

cn_policy_column *cn_policy_column_at(cn_policy *p, int column)
{
    return &p->column[column];
}

cn_normalizer *cn_policy_normalizer(cn_policy *p, int column)
{
    return &p->normalizer[column];
}

/* Column k has learned something, and saw nothing scaled. */
static bool learned_unscaled(const cn_policy *p, int k)
{
    return p->column[k].steps > 0 && p->normalizer[k].count == 0.0;
}

bool cn_policy_unscaled(const cn_policy *p, int column)
{
    const bool unseen = p->normalizer[column].count == 0.0;
    return learned_unscaled(p, column) || (unseen && column > 0 && learned_unscaled(p, column - 1));
}

cn_params *cn_policy_params(cn_policy *p)
{
    return p->params;
}

const cn_net *cn_policy_actor(const cn_policy *p)
{
    return p->actor;
}

const cn_net *cn_policy_critic(const cn_policy *p)
{
    return p->critic;
}

cn_param cn_policy_log_std(const cn_policy *p, int column)
{
    return p->log_std[column];
}

cn_param cn_policy_log_std_weight(const cn_policy *p, int column)
{
    return p->log_std_weight[column];
}

void cn_policy_gather(const cn_policy *p, int column, const float *observation, float *input)
{
    const cn_policy_column *c = &p->column[column];
    int filled = 0;
    for (int i = 0; i < c->groups; i++) {
        const cn_obs_group *g = &p->spec.group[c->group[i]];
        memcpy(input + filled, observation + g->offset, (size_t)g->size * sizeof *input);
        filled += g->size;
    }
}

void cn_policy_input(const cn_policy *p, int column, const float *observation, float *input)
{
    cn_policy_gather(p, column, observation, input);
    cn_normalizer_apply(&p->normalizer[column], input, input);
}
