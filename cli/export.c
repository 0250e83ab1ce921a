/* colonnade export: logged episodes as a training set that others read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/place.h"
#include "cli/robomimic.h"

static const char *const names[] = {"LOG...", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade export LOG... --robomimic FILE",
    .text = "Makes a training set of logs of one arm and task, one demonstration a goal, in the "
            "HDF5 layout of robomimic. What a log does not hold, the outcome of a goal's last "
            "action, the task's observer computes from the logged readings.",
    .example = "colonnade export monday.mcap tuesday.mcap --robomimic demos.hdf5",
    .positional = names,
};

typedef struct export_options {
    const char **logs; /* NULL-terminated */
    const char *robomimic, *task;
    bool json;
} export_options;

/* A log on its way into the set. */
typedef struct export
{
    cli_robomimic *set;
    const char *path;
    const cn_episode *episode;
    uint64_t goal; /* `resets` of the present demonstration */
    int last;      /* step of its last sample; -1: none yet */
    int left_out, all_left_out;
}
export;

static cn_status end_demo(export *x, cn_error *err)
{
    const int left_out = x->left_out;
    x->left_out = 0;
    return cli_robomimic_end_demo(x->set, x->path, x->goal, left_out, err);
}

static cn_status take(void *self, const cn_demonstration *d, cn_error *err)
{
    export *x = self;
    const uint64_t goal = x->episode->frame[d->frame].resets;
    const int skipped = d->step - x->last - 1;
    x->all_left_out += skipped;
    if (x->last >= 0 && goal != x->goal)
        CN_TRY(end_demo(x, err));
    else if (x->last >= 0)
        x->left_out += skipped;
    x->goal = goal;
    x->last = d->step;
    return cli_robomimic_add(x->set, x->episode, d, err);
}

static cn_status export_log(export *x, const char *path, const cn_robot_observer *observer,
                            cn_error *err)
{
    cn_status status = CN_OK;
    cn_episode *e = NULL;
    CN_TRY(cn_episode_load(path, &e, err));
    x->path = path;
    x->episode = e;
    x->last = -1;
    status = cn_demonstrations_walk(e, observer, take, x, err);
    if (status == CN_OK)
        status = end_demo(x, err);
    else
        cn_error_prefix(err, status, "%s", path);
    x->all_left_out += e->steps - 1 - x->last;
    cn_episode_destroy(&e);
    return status;
}

/* The place of the task: --task, or what the first log names. */
static cn_status open_place(const export_options *o, cli_place *place, cn_error *err)
{
    cn_episode *first = NULL;
    if (o->task)
        return cli_place_open(NULL, o->task, NULL, NULL, place, err);
    CN_TRY(cn_episode_load(o->logs[0], &first, err));
    const cn_status status = cli_place_open(NULL, first->task_file, NULL, NULL, place, err);
    cn_episode_destroy(&first);
    return status == CN_OK
               ? CN_OK
               : cn_error_prefix(err, status, "%s names its task (--task names another)",
                                 o->logs[0]);
}

static cn_status export_all(const export_options *o, cn_error *err)
{
    cn_status status = CN_OK;
    cli_place place = {0};
    const cn_robot_observer *observer;
    export x = {0};
    cli_robomimic_report r;
    CN_TRY(open_place(o, &place, err));
    CN_TRY_CLEANUP(cli_place_watcher(&place, &observer, err));
    CN_TRY_CLEANUP(cli_robomimic_create(o->robomimic, observer, &x.set, err));
    for (int i = 0; o->logs[i]; i++)
        CN_TRY_CLEANUP(export_log(&x, o->logs[i], observer, err));
    CN_TRY_CLEANUP(cli_robomimic_finish(x.set, &r, err));
    printf("%lld demonstrations, %lld of them successful, %lld samples: %s\n", (long long)r.demos,
           (long long)r.successes, (long long)r.samples, o->robomimic);
    if (x.all_left_out)
        printf("%d decisions left out: what came of them was not logged\n", x.all_left_out);
    if (o->json)
        cli_print_json(json_pack("{s:I, s:I, s:I, s:i, s:s}", "demos", (json_int_t)r.demos,
                                 "samples", (json_int_t)r.samples, "successes",
                                 (json_int_t)r.successes, "left_out", x.all_left_out, "file",
                                 o->robomimic));
cleanup:
    cli_robomimic_destroy(&x.set);
    cli_place_close(&place);
    return status;
}

int cli_export(int argc, char **argv)
{
    export_options o = {0};
    const cli_option options[] = {
        {"robomimic", "FILE", "the set to write: out.hdf5", CLI_TEXT, &o.robomimic, 0, 0},
        {"task", "TASK", "task file of the logs (default: the first log's)", CLI_TEXT, &o.task, 0,
         0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    cn_error err = {0};
    o.logs = calloc((size_t)argc + 1, sizeof *o.logs);
    if (!o.logs)
        return CLI_FAILED;
    int status = cli_parse(&usage, options, argc, argv, o.logs);
    if (status < 0 && !o.robomimic)
        status = cli_wrong(&usage, "--robomimic is missing: the file to write");
    if (status < 0)
        status = export_all(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
    free(o.logs);
    return status;
}
