/* colonnade inspect LOG.mcap: what is in it, what it lost, and a whole copy of what is left. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/episode.h"
#include "bridge/survey.h"
#include "cli/cli.h"
#include "cli/inspect.h"

/* Seconds from the log's first message, or from the first that a damaged chunk had. */
static double seconds_at(const cn_survey *s, uint64_t log_time_ns)
{
    return ((double)log_time_ns - (double)s->first_ns) / 1e9;
}

static uint64_t bytes_lost(const cn_survey *s)
{
    return s->truncated ? s->extent.bytes - s->extent.whole : 0;
}

/* ---- For people ---- */

static void print_cut(const cn_survey *s)
{
    const cn_mcap_extent *x = &s->extent;
    printf("kept    %" PRIu64 " of %" PRIu64 " bytes: %" PRIu64 " whole chunk%s, ", x->whole,
           x->bytes, x->chunks, x->chunks == 1 ? "" : "s");
    if (s->messages)
        printf("messages up to %.3f s\n", seconds_at(s, s->last_ns));
    else
        printf("no message\n");
    if (x->complete)
        printf("lost    nothing but the index at the file's end\n");
    else if (x->whole < x->bytes)
        printf("lost    the last %" PRIu64
               " bytes, an unfinished %s, and what was not written yet: about "
               "a second\n",
               bytes_lost(s), x->in_chunk ? "chunk" : "record");
    else
        printf("lost    what was not written yet: about a second\n");
}

static void print_damage(const cn_survey *s)
{
    for (int i = 0; i < s->damages && i < CN_SURVEY_DAMAGES; i++) {
        const cn_survey_damage *d = &s->damage[i];
        printf("damage  %s\n        left out: %" PRIu64 " bytes", d->what.message, d->where.bytes);
        if (d->where.last_ns)
            printf(", messages of %.3f s to %.3f s", seconds_at(s, d->where.first_ns),
                   seconds_at(s, d->where.last_ns));
        printf("%s\n", d->last ? "; nothing behind it can be found" : "");
    }
    if (s->damages > CN_SURVEY_DAMAGES)
        printf("damage  and %d more\n", s->damages - CN_SURVEY_DAMAGES);
}

static void print_missing(const cn_survey *s)
{
    for (int i = 0; i < s->channels; i++) {
        const cn_survey_channel *c = &s->channel[i];
        if (c->missing)
            printf("missing %" PRIu64 " of %" PRIu64 " on %s, in %" PRIu64 " gap%s\n", c->missing,
                   c->missing + c->messages, c->topic, c->gaps, c->gaps > 1 ? "s" : "");
    }
}

/* Messages that an episode has not. */
static void print_others(const cn_survey *s)
{
    for (int i = 0; i < s->channels; i++)
        if (strcmp(s->channel[i].topic, "/robot/servo") == 0 ||
            strncmp(s->channel[i].topic, "/camera/", strlen("/camera/")) == 0)
            printf("        %" PRIu64 " on %s\n", s->channel[i].messages, s->channel[i].topic);
}

static void print_survey(const char *path, const char *recover, const cn_survey *s)
{
    printf("log     %s, %s: %" PRIu64 " messages\n", path,
           s->damages     ? "damaged"
           : s->truncated ? "cut off"
                          : "whole",
           s->messages);
    if (s->truncated)
        print_cut(s);
    print_damage(s);
    print_missing(s);
    if (recover)
        printf("written %s: whole, with %" PRIu64 " messages\n", recover, s->messages);
}

static void print_episode(const cn_episode *e, double seconds, int successes)
{
    printf("task    %s (%s), arm %s, every %g s\n", e->task, e->task_file, e->arm,
           e->control_period_s);
    if (e->policy_file[0])
        printf("policy  %s, checksum %s\nrobot   %s\n", e->policy_file, e->policy_checksum,
               e->robot);
    else
        printf("robot   %s, its own log\n", e->robot);
    printf("holds   %.1f s: %d frames, %d commands, %d decisions, %d events; success at %d "
           "decisions\n",
           seconds, e->frames, e->commands, e->steps, e->events, successes);
}

/* ---- For programs ---- */

static json_t *damage_to_json(const cn_survey *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->damages && i < CN_SURVEY_DAMAGES; i++) {
        const cn_survey_damage *d = &s->damage[i];
        json_array_append_new(
            list, json_pack("{s:I, s:I, s:f, s:f, s:s}", "byte", (json_int_t)d->where.byte, "bytes",
                            (json_int_t)d->where.bytes, "from_s",
                            d->where.last_ns ? seconds_at(s, d->where.first_ns) : 0.0, "to_s",
                            d->where.last_ns ? seconds_at(s, d->where.last_ns) : 0.0, "why",
                            d->what.message));
    }
    return list;
}

static json_t *missing_to_json(const cn_survey *s)
{
    json_t *by_topic = json_object();
    for (int i = 0; i < s->channels; i++)
        if (s->channel[i].missing)
            json_object_set_new(by_topic, s->channel[i].topic,
                                json_integer((json_int_t)s->channel[i].missing));
    return by_topic;
}

static json_t *survey_to_json(const cn_survey *s)
{
    return json_pack("{s:s, s:I, s:b, s:b, s:I, s:I, s:I, s:f, s:i, s:o, s:o}", "kind", "log",
                     "messages", (json_int_t)s->messages, "truncated", s->truncated, "complete",
                     s->extent.complete, "chunks", (json_int_t)s->extent.chunks, "bytes",
                     (json_int_t)s->extent.bytes, "bytes_lost", (json_int_t)bytes_lost(s), "last_s",
                     s->messages ? seconds_at(s, s->last_ns) : 0.0, "damages", s->damages, "damage",
                     damage_to_json(s), "missing", missing_to_json(s));
}

static json_t *episode_to_json(const cn_episode *e, double seconds)
{
    return json_pack("{s:s, s:s, s:f, s:i, s:i, s:i, s:i, s:s}", "task", e->task, "arm", e->arm,
                     "seconds", seconds, "frames", e->frames, "commands", e->commands, "actions",
                     e->steps, "events", e->events, "policy_checksum", e->policy_checksum);
}

/* ---- The whole ---- */

/* What the messages say, where all of them can be read. */
static cn_status inspect_episode(const char *path, json_t *object, cn_error *err)
{
    cn_episode *e = NULL;
    CN_TRY(cn_episode_load(path, &e, err));
    const double seconds =
        e->frames > 1
            ? (double)(e->frame[e->frames - 1].log_time_ns - e->frame[0].log_time_ns) / 1e9
            : 0.0;
    int successes = 0;
    for (int i = 0; i < e->steps; i++)
        successes += e->step[i].success;
    print_episode(e, seconds, successes);
    json_object_update_new(object, episode_to_json(e, seconds));
    cn_episode_destroy(&e);
    return CN_OK;
}

cn_status cli_inspect_log(const char *path, const char *recover, bool json, cn_error *err)
{
    cn_status status = CN_OK;
    json_t *object = NULL;
    cn_survey *s = malloc(sizeof *s);
    CN_FAIL_IF(!s, CN_ERR_MEMORY, err, "%s: no memory to inspect it", path);
    CN_TRY_CLEANUP(cn_survey_run(path, recover, s, err));
    print_survey(path, recover, s);
    object = survey_to_json(s);
    /* The copy holds what can be read of a damaged log. */
    if (recover || !s->damages) {
        CN_TRY_CLEANUP(inspect_episode(recover ? recover : path, object, err));
        print_others(s);
    }
    if (json) {
        cli_print_json(object);
        object = NULL;
    }
    if (s->damages && !recover)
        CN_FAIL_CLEANUP(s->damage[0].what.code, err,
                        "%s; `colonnade inspect %s --recover OUT.mcap` keeps the rest",
                        s->damage[0].what.message, path);
cleanup:
    json_decref(object);
    free(s);
    return status;
}
