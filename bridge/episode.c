/* Loading a log: every message is unpacked into the arrays of an episode. What differs in size from
 * what came before it in the same log is refused, so that users of an episode need not check.
 *
 * Legend: O observation size, A action size; the floats of step i are at i * (O + A). */
#include "bridge/episode.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/log.h"
#include "bridge/mcap.h"
#include "bridge/wire.h"
#include "proto/log.pb-c.h"
#include "proto/robot.pb-c.h"

/* The most memory that one message may take unpacked, bytes: room for several camera images. */
#define ARENA_BYTES ((size_t)16 << 20)

typedef Colonnade__V1__SensorFrame pb_frame;
typedef Colonnade__V1__Command pb_command;
typedef Colonnade__V1__PolicyStep pb_step;
typedef Colonnade__V1__Event pb_event;

typedef struct loader {
    const char *path; /* borrowed */
    cn_episode *episode;
    cn_mcap_reader *file;
    cn_arena *arena;
    size_t frames, commands, steps, floats, events; /* room in the arrays */
    int joints, tracked; /* of the first message that told; -1: none yet */
} loader;

/* Makes room for `needed` items of `item` bytes. */
static cn_status reserve(const loader *l, void **array, size_t *room, size_t needed, size_t item,
                         cn_error *err)
{
    if (needed <= *room)
        return CN_OK;
    const size_t wanted = needed < 64 ? 64 : needed + needed / 2;
    void *grown =
        wanted <= SIZE_MAX / item && needed < INT_MAX ? realloc(*array, wanted * item) : NULL;
    CN_FAIL_IF(!grown, CN_ERR_MEMORY, err, "%s: no memory for %zu messages of one kind", l->path,
               needed);
    *array = grown;
    *room = wanted;
    return CN_OK;
}

/* Whether `count` is what it has been in this log; the first message settles it. */
static cn_status check_count(const loader *l, const char *what, size_t count, int most, int *known,
                             cn_error *err)
{
    CN_FAIL_IF(count < 1 || count > (size_t)most, CN_ERR_FORMAT, err,
               "%s: a message with %zu %s, expected 1 to %d", l->path, count, what, most);
    CN_FAIL_IF(*known > 0 && count != (size_t)*known, CN_ERR_FORMAT, err,
               "%s: a message with %zu %s, the ones before it have %d", l->path, count, what,
               *known);
    *known = (int)count;
    return CN_OK;
}

static cn_status undecodable(const loader *l, const char *what, const cn_mcap_record *r,
                             cn_error *err)
{
    CN_FAIL(CN_ERR_FORMAT, err,
            "%s: message %llu does not decode: %zu bytes that are no %s, or too large a one",
            l->path, (unsigned long long)l->episode->messages, r->size, what);
}

/* ---- One message of each kind ---- */

/* One value a joint; none at all stands for zeros: not every arm measures velocity or effort. */
static cn_status copy_joints(const loader *l, const char *what, size_t count, const double *from,
                             double *to, cn_error *err)
{
    CN_FAIL_IF(count != 0 && count != (size_t)l->joints, CN_ERR_FORMAT, err,
               "%s: a frame with %zu values of %s for %d joints", l->path, count, what, l->joints);
    if (count)
        memcpy(to, from, count * sizeof *to);
    return CN_OK;
}

/* The tracked points are the vectors of three values, in the log's order. */
static cn_status copy_points(loader *l, const pb_frame *m, cn_arm_state *to, cn_error *err)
{
    for (size_t i = 0; i < m->n_vectors; i++) {
        if (m->vectors[i]->n_value != 3)
            continue;
        CN_FAIL_IF(to->tracked == CN_MAX_TRACKED, CN_ERR_FORMAT, err,
                   "%s: a frame with more than %d tracked points", l->path, CN_MAX_TRACKED);
        if (l->tracked < 0)
            snprintf(l->episode->point[to->tracked], CN_NAME, "%s", m->vectors[i]->name);
        memcpy(to->point[to->tracked++], m->vectors[i]->value, sizeof to->point[0]);
    }
    CN_FAIL_IF(l->tracked >= 0 && to->tracked != l->tracked, CN_ERR_FORMAT, err,
               "%s: a frame with %d tracked points, the ones before it have %d", l->path,
               to->tracked, l->tracked);
    l->tracked = to->tracked;
    return CN_OK;
}

static cn_status add_frame(loader *l, const cn_mcap_record *r, cn_error *err)
{
    cn_episode *const e = l->episode;
    const pb_frame *const m =
        colonnade__v1__sensor_frame__unpack(cn_arena_reset(l->arena), r->size, r->data);
    if (!m)
        return undecodable(l, "SensorFrame", r, err);
    CN_TRY(check_count(l, "joint positions", m->n_position, CN_MAX_JOINTS, &l->joints, err));
    void *array = e->frame;
    const cn_status grown =
        reserve(l, &array, &l->frames, (size_t)e->frames + 1, sizeof *e->frame, err);
    e->frame = array;
    CN_TRY(grown);
    cn_episode_frame *const f = &e->frame[e->frames];
    *f = (cn_episode_frame){
        .log_time_ns = r->log_time,
        .sequence = m->sequence,
        .resets = m->resets,
        .state = {.time_s = (double)m->robot_time_ns * 1e-9, .joints = l->joints},
    };
    CN_TRY(copy_joints(l, "position", m->n_position, m->position, f->state.position, err));
    CN_TRY(copy_joints(l, "velocity", m->n_velocity, m->velocity, f->state.velocity, err));
    CN_TRY(copy_joints(l, "effort", m->n_effort, m->effort, f->state.effort, err));
    CN_TRY(copy_points(l, m, &f->state, err));
    e->frames++;
    return CN_OK;
}

static cn_status add_command(loader *l, const cn_mcap_record *r, cn_error *err)
{
    cn_episode *const e = l->episode;
    const pb_command *const m =
        colonnade__v1__command__unpack(cn_arena_reset(l->arena), r->size, r->data);
    if (!m)
        return undecodable(l, "Command", r, err);
    CN_FAIL_IF((int)m->mode < CN_COMMAND_NONE || (int)m->mode > CN_COMMAND_EFFORT, CN_ERR_FORMAT,
               err, "%s: a command of mode %d, expected %d to %d", l->path, (int)m->mode,
               CN_COMMAND_NONE, CN_COMMAND_EFFORT);
    /* A command of mode "none" needs no targets. */
    if ((int)m->mode != CN_COMMAND_NONE || m->n_target)
        CN_TRY(check_count(l, "joint targets", m->n_target, CN_MAX_JOINTS, &l->joints, err));
    void *array = e->command;
    const cn_status grown =
        reserve(l, &array, &l->commands, (size_t)e->commands + 1, sizeof *e->command, err);
    e->command = array;
    CN_TRY(grown);
    cn_episode_command *const c = &e->command[e->commands++];
    *c = (cn_episode_command){
        .log_time_ns = r->log_time,
        .sequence = m->sequence,
        .answers_frame = m->answers_frame,
        .command = {.mode = (cn_command_mode)m->mode, .joints = (int)m->n_target},
    };
    if (m->n_target)
        memcpy(c->command.target, m->target, m->n_target * sizeof *m->target);
    return CN_OK;
}

static cn_status add_step(loader *l, const cn_mcap_record *r, cn_error *err)
{
    cn_episode *const e = l->episode;
    const pb_step *const m =
        colonnade__v1__policy_step__unpack(cn_arena_reset(l->arena), r->size, r->data);
    if (!m)
        return undecodable(l, "PolicyStep", r, err);
    CN_TRY(
        check_count(l, "observations", m->n_observation, INT_MAX / 4, &e->observation_size, err));
    CN_TRY(check_count(l, "actions", m->n_action, INT_MAX / 4, &e->action_size, err));
    const size_t O = m->n_observation, A = m->n_action, i = (size_t)e->steps;
    void *array = e->step;
    cn_status grown = reserve(l, &array, &l->steps, i + 1, sizeof *e->step, err);
    e->step = array;
    CN_TRY(grown);
    array = e->floats;
    /* Rows, not floats, are counted: their number stays an int. */
    grown = reserve(l, &array, &l->floats, i + 1, (O + A) * sizeof *e->floats, err);
    e->floats = array;
    CN_TRY(grown);
    memcpy(e->floats + i * (O + A), m->observation, O * sizeof *e->floats);
    memcpy(e->floats + i * (O + A) + O, m->action, A * sizeof *e->floats);
    e->step[e->steps++] = (cn_episode_step){
        .log_time_ns = r->log_time,
        .tick = m->tick,
        .frame = m->frame,
        .command = m->command,
        .latency_ns = m->latency_ns,
        .reward = m->reward,
        .success = m->success,
    };
    return CN_OK;
}

static cn_status add_event(loader *l, const cn_mcap_record *r, cn_error *err)
{
    cn_episode *const e = l->episode;
    const pb_event *const m =
        colonnade__v1__event__unpack(cn_arena_reset(l->arena), r->size, r->data);
    if (!m)
        return undecodable(l, "Event", r, err);
    void *array = e->event;
    const cn_status grown =
        reserve(l, &array, &l->events, (size_t)e->events + 1, sizeof *e->event, err);
    e->event = array;
    CN_TRY(grown);
    cn_episode_event *const event = &e->event[e->events++];
    event->log_time_ns = r->log_time;
    snprintf(event->kind, sizeof event->kind, "%s", m->kind);
    snprintf(event->text, sizeof event->text, "%s", m->text);
    return CN_OK;
}

static cn_status add_message(loader *l, const cn_mcap_record *r, cn_error *err)
{
    static const struct {
        const char *topic, *message;
    } channels[] = {
#define CN_LOG_CHANNEL_ROW(name, topic, message) [name] = {topic, message},
        CN_LOG_CHANNEL_TABLE(CN_LOG_CHANNEL_ROW)
#undef CN_LOG_CHANNEL_ROW
    };
    static cn_status (*const add[])(loader *, const cn_mcap_record *, cn_error *) = {
        [CN_LOG_SENSORS] = add_frame, [CN_LOG_COMMANDS] = add_command,
        [CN_LOG_SERVO] = NULL, /* finer than an episode */
        [CN_LOG_POLICY] = add_step,   [CN_LOG_EVENTS] = add_event,
    };
    l->episode->messages++;
    for (int i = 0; i < CN_LOG_CHANNELS; i++) {
        if (strcmp(r->topic, channels[i].topic) != 0)
            continue;
        CN_FAIL_IF(strcmp(r->schema, channels[i].message) != 0, CN_ERR_FORMAT, err,
                   "%s: channel '%s' holds %s, expected %s", l->path, r->topic, r->schema,
                   channels[i].message);
        return add[i] ? add[i](l, r, err) : CN_OK;
    }
    return CN_OK; /* a channel that somebody else added */
}

/* ---- The whole ---- */

static cn_status copy_about(const loader *l, const char *key, char *to, size_t size, cn_error *err)
{
    const char *const value = cn_mcap_metadata_value(l->file, "colonnade", key);
    CN_FAIL_IF(!value, CN_ERR_FORMAT, err,
               "%s: not a log of Colonnade's, or cut off where it began: there is no '%s' in its "
               "'colonnade' metadata",
               l->path, key);
    CN_FAIL_IF(strlen(value) >= size, CN_ERR_FORMAT, err,
               "%s: '%s' in its metadata has %zu bytes, expected at most %zu", l->path, key,
               strlen(value), size - 1);
    strcpy(to, value);
    return CN_OK;
}

static cn_status read_about(const loader *l, cn_error *err)
{
    cn_episode *const e = l->episode;
    char period[32], *end;
    CN_TRY(copy_about(l, "task", e->task, sizeof e->task, err));
    CN_TRY(copy_about(l, "arm", e->arm, sizeof e->arm, err));
    CN_TRY(copy_about(l, "task_file", e->task_file, sizeof e->task_file, err));
    CN_TRY(copy_about(l, "policy_file", e->policy_file, sizeof e->policy_file, err));
    CN_TRY(copy_about(l, "policy_checksum", e->policy_checksum, sizeof e->policy_checksum, err));
    CN_TRY(copy_about(l, "robot", e->robot, sizeof e->robot, err));
    CN_TRY(copy_about(l, "control_period_s", period, sizeof period, err));
    e->control_period_s = strtod(period, &end);
    CN_FAIL_IF(end == period || *end || !isfinite(e->control_period_s) || e->control_period_s <= 0,
               CN_ERR_FORMAT, err, "%s: its control period is '%s', expected seconds above 0",
               l->path, period);
    return CN_OK;
}

static cn_status read_messages(loader *l, cn_error *err)
{
    cn_episode *const e = l->episode;
    cn_mcap_record r;
    cn_error why = {0};
    cn_status status;
    while ((status = cn_mcap_next(l->file, &r, &why)) == CN_OK)
        CN_TRY(add_message(l, &r, err));
    CN_FAIL_IF(status == CN_ERR_CHECKSUM || status == CN_ERR_FORMAT, status, err,
               "%s; `colonnade inspect %s --recover OUT.mcap` keeps the rest", why.message,
               l->path);
    CN_FAIL_IF(status != CN_ERR_NOT_FOUND, status, err, "%s", why.message);
    e->truncated = cn_mcap_truncated(l->file) != 0;
    const size_t O = (size_t)e->observation_size, row = O + (size_t)e->action_size;
    for (size_t i = 0; i < (size_t)e->steps; i++) {
        e->step[i].observation = e->floats + i * row;
        e->step[i].action = e->floats + i * row + O;
    }
    return CN_OK;
}

cn_status cn_episode_load(const char *path, cn_episode **out, cn_error *err)
{
    *out = NULL;
    cn_status status = CN_OK;
    loader l = {.path = path, .joints = -1, .tracked = -1};
    CN_TRY_CLEANUP(cn_mcap_open(path, &l.file, err));
    CN_TRY_CLEANUP(cn_arena_create(ARENA_BYTES, &l.arena, err));
    l.episode = calloc(1, sizeof *l.episode);
    if (!l.episode)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory for an episode", path);
    CN_TRY_CLEANUP(read_about(&l, err));
    CN_TRY_CLEANUP(read_messages(&l, err));
    *out = l.episode;
    l.episode = NULL;
cleanup:
    cn_episode_destroy(&l.episode);
    cn_arena_destroy(&l.arena);
    cn_mcap_close(&l.file);
    return status;
}

void cn_episode_destroy(cn_episode **episode)
{
    cn_episode *const e = *episode;
    if (!e)
        return;
    free(e->frame);
    free(e->command);
    free(e->step);
    free(e->event);
    free(e->floats);
    free(e);
    *episode = NULL;
}

/* Moves the items logged in [from, to) to the front of an array; returns their number. Every item
 * begins with its log time. */
static int keep(void *items, int count, size_t size, uint64_t from, uint64_t to)
{
    char *const bytes = items;
    int kept = 0;
    for (int i = 0; i < count; i++) {
        uint64_t log_time_ns;
        memcpy(&log_time_ns, bytes + (size_t)i * size, sizeof log_time_ns);
        if (log_time_ns >= from && log_time_ns < to)
            memmove(bytes + (size_t)kept++ * size, bytes + (size_t)i * size, size);
    }
    return kept;
}

/* The log time `seconds` after another, as far as log times go. */
static uint64_t time_after(uint64_t from, double seconds)
{
    const double ns = seconds * 1e9;
    return ns < (double)(UINT64_MAX - from) ? from + (uint64_t)ns : UINT64_MAX;
}

void cn_episode_trim(cn_episode *e, double start_s, double duration_s)
{
    if (e->frames == 0)
        return;
    const uint64_t begin = time_after(e->frame[0].log_time_ns, start_s);
    const uint64_t to = time_after(begin, duration_s);
    const uint64_t from = start_s > 0 ? begin : 0; /* a goal's event comes before its first frame */
    e->frames = keep(e->frame, e->frames, sizeof *e->frame, from, to);
    e->commands = keep(e->command, e->commands, sizeof *e->command, from, to);
    e->steps = keep(e->step, e->steps, sizeof *e->step, from, to);
    e->events = keep(e->event, e->events, sizeof *e->event, from, to);
}
