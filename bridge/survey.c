/* One walk over the file: every message is counted, and put into the copy if one is wanted. */
#include "bridge/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define CHUNK_BYTES ((size_t)256 << 10)
enum { NUMBERS = UINT16_MAX + 1 }; /* of schemas or channels in a file */

/* What the walk remembers of a channel. */
typedef struct seen {
    bool known;
    uint32_t sequence; /* of its last message */
    int row;           /* in the survey's table; -1: beyond it */
    uint16_t in_copy;  /* its number there; 0: not yet */
} seen;

typedef struct walk {
    const char *path; /* borrowed */
    cn_mcap_reader *from;
    cn_mcap_writer *to; /* NULL: no copy */
    cn_survey *out;
    seen channel[NUMBERS];    /* by the file's number */
    uint16_t schema[NUMBERS]; /* the copy's numbers by the file's; 0: not yet */
} walk;

/* ---- Counting ---- */

static void meet_channel(walk *w, const cn_mcap_record *r)
{
    seen *const c = &w->channel[r->channel];
    *c = (seen){.known = true, .sequence = r->sequence, .row = -1};
    if (w->out->channels == CN_SURVEY_CHANNELS)
        return;
    c->row = w->out->channels++;
    cn_survey_channel *const row = &w->out->channel[c->row];
    *row = (cn_survey_channel){.first_ns = r->log_time};
    snprintf(row->topic, sizeof row->topic, "%s", r->topic);
}

static void count_message(walk *w, const cn_mcap_record *r)
{
    cn_survey *const s = w->out;
    seen *const c = &w->channel[r->channel];
    if (!c->known)
        meet_channel(w, r);
    if (s->first_ns == 0 || r->log_time < s->first_ns)
        s->first_ns = r->log_time;
    s->messages++;
    if (r->log_time > s->last_ns)
        s->last_ns = r->log_time;
    /* Numbers that begin again leave nothing out. */
    const uint32_t left_out = r->sequence > c->sequence ? r->sequence - c->sequence - 1 : 0;
    c->sequence = r->sequence;
    if (c->row < 0)
        return;
    cn_survey_channel *const row = &s->channel[c->row];
    row->messages++;
    row->missing += left_out;
    row->gaps += left_out > 0;
    row->last_ns = r->log_time;
}

/* ---- Copying ---- */

/* The file's metadata, one record for each name. */
static cn_status copy_metadata(const walk *w, cn_error *err)
{
    enum { VALUES = 64 };
    const char *keys[VALUES], *values[VALUES];
    const cn_mcap_entry *m = cn_mcap_metadata_list(w->from);
    while (m) {
        const char *const name = m->name;
        int count = 0;
        for (; m && count < VALUES && strcmp(m->name, name) == 0; m = m->next, count++) {
            keys[count] = m->key;
            values[count] = m->value;
        }
        CN_TRY(cn_mcap_metadata(w->to, name, keys, values, count, err));
    }
    return CN_OK;
}

static cn_status copy_message(walk *w, const cn_mcap_record *r, cn_error *err)
{
    seen *const c = &w->channel[r->channel];
    uint16_t *const schema = &w->schema[r->schema_id];
    CN_FAIL_IF(!r->descriptor_set, CN_ERR_FORMAT, err,
               "%s: channel '%s' does not hold protobuf messages; only those can be copied",
               w->path, r->topic);
    if (*schema == 0)
        CN_TRY(cn_mcap_schema(w->to, r->schema, r->descriptor_set, r->descriptor_set_size, schema,
                              err));
    if (c->in_copy == 0)
        CN_TRY(cn_mcap_channel(w->to, *schema, r->topic, &c->in_copy, err));
    return cn_mcap_message(w->to, c->in_copy, r->sequence, r->log_time, r->publish_time, r->data,
                           r->size, err);
}

/* ---- The walk ---- */

/* Notes what could not be read. @return whether the walk goes on behind it */
static bool note_damage(walk *w, const cn_error *what)
{
    cn_survey_damage d = {.what = *what};
    d.last = !cn_mcap_skip(w->from, &d.where);
    if (d.where.last_ns && (w->out->first_ns == 0 || d.where.first_ns < w->out->first_ns))
        w->out->first_ns = d.where.first_ns;
    if (w->out->damages < CN_SURVEY_DAMAGES)
        w->out->damage[w->out->damages] = d;
    w->out->damages++;
    return !d.last;
}

static cn_status read_all(walk *w, cn_error *err)
{
    for (;;) {
        cn_mcap_record r;
        cn_error why = {0};
        const cn_status status = cn_mcap_next(w->from, &r, &why);
        if (status == CN_ERR_NOT_FOUND)
            return CN_OK;
        if (status == CN_ERR_FORMAT || status == CN_ERR_CHECKSUM) {
            if (!note_damage(w, &why))
                return CN_OK;
            continue;
        }
        if (status != CN_OK) {
            if (err)
                *err = why;
            return status;
        }
        count_message(w, &r);
        if (w->to)
            CN_TRY(copy_message(w, &r, err));
    }
}

static cn_status survey(walk *w, cn_error *err)
{
    CN_TRY(read_all(w, err));
    w->out->extent = cn_mcap_reached(w->from);
    w->out->truncated = cn_mcap_truncated(w->from) != 0;
    return CN_OK;
}

static cn_status survey_and_copy(walk *w, const char *copy, cn_error *err)
{
    struct stat one, other;
    CN_FAIL_IF(stat(w->path, &one) == 0 && stat(copy, &other) == 0 && one.st_dev == other.st_dev &&
                   one.st_ino == other.st_ino,
               CN_ERR_ARGUMENT, err, "%s: a copy needs another name than the log's", copy);
    cn_status status = CN_OK;
    cn_file file;
    CN_TRY(cn_file_begin(copy, &file, err));
    CN_TRY_CLEANUP(cn_mcap_create(file.temporary, CN_MCAP_ZSTD, CHUNK_BYTES, &w->to, err));
    CN_TRY_CLEANUP(copy_metadata(w, err));
    CN_TRY_CLEANUP(survey(w, err));
    CN_TRY_CLEANUP(cn_mcap_finish(&w->to, err));
    status = cn_file_commit(&file, err);
cleanup:
    cn_mcap_finish(&w->to, NULL);
    cn_file_abandon(&file);
    return status;
}

cn_status cn_survey_run(const char *path, const char *copy, cn_survey *out, cn_error *err)
{
    *out = (cn_survey){0};
    cn_status status = CN_OK;
    walk *const w = calloc(1, sizeof *w);
    CN_FAIL_IF(!w, CN_ERR_MEMORY, err, "%s: no memory to read a log", path);
    w->path = path;
    w->out = out;
    CN_TRY_CLEANUP(cn_mcap_open(path, &w->from, err));
    status = copy ? survey_and_copy(w, copy, err) : survey(w, err);
cleanup:
    cn_mcap_close(&w->from);
    free(w);
    return status;
}
