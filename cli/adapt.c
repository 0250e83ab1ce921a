/* colonnade adapt: what was learned in simulation learns on, on a robot or on another task. */
#include <string.h>

#include "bridge/demonstrations.h"
#include "cli/cli.h"
#include "cli/learning.h"
#include "cli/measure.h"

static void more_help(FILE *out)
{
    fprintf(out,
            "\nMethods:\n"
            "  progressive  freeze every column, grow a new one that starts as the old policy\n"
            "  finetune     let the last column learn on: the old policy is lost\n"
            "  scratch      forget everything: a new policy\n"
            "\nKeys of --set, --config and of the task's adapt: section:\n");
    cn_train_config_help(out);
}

static const char *const names[] = {"POLICY", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade adapt POLICY (--robot ENDPOINT | --task TASK) --out RUN",
    .text = "Adapts POLICY where it is to work. Measures success before and after on the same "
            "episodes, with deterministic actions; their steps are not part of --steps. Ctrl-C "
            "ends the run after the iteration at hand and keeps what was learned; of a run that is "
            "killed, RUN has what was learned until ten seconds before.",
    .example = "colonnade adapt runs/reach/best.safetensors --robot ipc:///tmp/arm --out run",
    .more = more_help,
    .positional = names,
};

typedef struct adapt_options {
    cli_learning learning;
    const char *policy, *task, *gap, *method;
    cli_robot_options robot;
    cli_texts demos; /* logs */
    int64_t episodes;
} adapt_options;

/* What a method makes of the old policy: *policy may be replaced. */
static cn_status prepare(const adapt_options *o, const cn_train_config *config, const cn_task *task,
                         cn_policy **policy, cn_error *err)
{
    const cn_policy_column column = cli_learning_column(&o->learning, config, task, o->method);
    cn_rng rng = cn_rng_make((uint64_t)o->learning.seed, UINT64_C(0x67726f77) << 32);
    const int last = cn_policy_columns(*policy) - 1;
    if (strcmp(o->method, "progressive") == 0) {
        for (int k = 0; k <= last; k++)
            cn_policy_freeze(*policy, k);
        return cn_policy_grow(*policy, &column, CN_GROW_IDENTITY, &rng, err);
    }
    if (strcmp(o->method, "finetune") == 0) {
        cn_policy_column *old = cn_policy_column_at(*policy, last);
        cn_policy_thaw(*policy, last);
        CN_TRY(cn_policy_explore(*policy, last, column.log_std, err));
        snprintf(old->method, sizeof old->method, "%s", o->method);
        return CN_OK;
    }
    cn_policy_destroy(policy);
    return cli_learning_fresh(&o->learning, config, task, o->method, &rng, policy, err);
}

static size_t trainable(cn_policy *policy)
{
    return cn_params_trainable(cn_policy_params(policy));
}

static void print_change(const cn_evaluation *before, const cn_evaluation *after)
{
    if (after->successes >= 0)
        printf(
            "success before %.1f %%, after %.1f %% (%ld episodes each, 95 %% interval after: %.1f "
            "to %.1f %%)\n",
            100.0 * before->success_rate, 100.0 * after->success_rate, after->episodes,
            100.0 * after->success_low, 100.0 * after->success_high);
    else
        printf("return before %.2f, after %.2f (%ld episodes each)\n", before->return_mean,
               after->return_mean, after->episodes);
}

static void report(const adapt_options *o, const cn_train_report *run, cn_policy *policy,
                   const char *path, const cn_evaluation *before, const cn_evaluation *after)
{
    const double rate = run->seconds > 0.0 ? (double)run->steps / run->seconds : 0.0;
    printf("%lld robot steps in %.1f s (%.0f steps/s): %s\n", (long long)run->steps, run->seconds,
           rate, run->why);
    if (after->episodes > 0)
        print_change(before, after);
    printf("policy  %s (%d columns, %zu trainable parameters)\n", path, cn_policy_columns(policy),
           trainable(policy));
    if (o->learning.json)
        cli_print_json(json_pack("{s:I, s:f, s:o, s:o, s:o, s:s, s:i, s:I, s:s, s:b, s:s}", "steps",
                                 (json_int_t)run->steps, "seconds", run->seconds, "success_before",
                                 cli_measure_json(before, before->success_rate), "success_after",
                                 cli_measure_json(after, after->success_rate), "return_after",
                                 cli_measure_json(after, after->return_mean), "policy", path,
                                 "columns", cn_policy_columns(policy), "trainable_parameters",
                                 (json_int_t)trainable(policy), "method", o->method, "stopped",
                                 run->end == CN_TRAIN_STOPPED, "why", run->why));
}

static cn_status read_demos(const adapt_options *o, const cn_train_config *config, cli_place *place,
                            cn_replay **demos, cn_error *err)
{
    const cn_robot_observer *watcher;
    CN_FAIL_IF(config->algorithm != CN_SAC, CN_ERR_ARGUMENT, err,
               "--demos: %s learns from its own steps only; use --algorithm sac",
               cn_algorithm_word(config->algorithm));
    CN_TRY(cli_place_watcher(place, &watcher, err));
    CN_TRY(cn_demonstrations_load(o->demos.text, o->demos.count, watcher, demos, err));
    printf("demos: %d transitions of %d logs\n", cn_replay_count(*demos), o->demos.count);
    return CN_OK;
}

/* Learns, with or without demonstrations; *policy becomes what the run leaves behind. @param path
 * out: its file */
static cn_status learn(const adapt_options *o, const cn_train_config *config, cli_place *place,
                       cn_policy **policy, const cn_replay *demos, cn_train_report *run,
                       char path[CN_PATH], cn_error *err)
{
    cli_learning learning = o->learning;
    learning.demos = demos;
    learning.keep_last = true;
    CN_TRY(prepare(o, config, place->task, policy, err));
    CN_TRY(cli_learning_run(&learning, config, *policy, cli_place_make_env, place,
                            place->link ? 1 : (int)learning.threads, run, err));
    cli_learning_result(&learning, run, path);
    if (run->best_steps == 0)
        return CN_OK;
    cn_policy_destroy(policy);
    return cn_policy_load(path, policy, err);
}

/* Before a robot moves: what is wrong with the settings? */
static cn_status check_settings(const cn_train_config *config, const cli_place *place,
                                cn_error *err)
{
    CN_FAIL_IF(place->link && (config->patience > 0 || config->stop_success > 0.0), CN_ERR_ARGUMENT,
               err,
               "patience and stop_success go by evaluations, and a robot has none: its time is "
               "for learning; set both to 0");
    return cn_train_check(config, cn_task_spec(place->task), err);
}

static cn_status adapt_at(const adapt_options *o, cli_place *place, cn_policy **policy,
                          cn_error *err)
{
    cn_status status;
    cn_replay *demos = NULL;
    cn_train_config config;
    cn_train_report run;
    cn_evaluation before, after = {0};
    char path[CN_PATH];
    CN_TRY(cli_learning_config(&o->learning, place->task, "adapt", &config, err));
    config.envs = cli_place_envs(place, (int)config.envs);
    config.checkpoint_every = 0; /* there is nothing that would go on from one */
    if (place->link)
        config.evaluate_every = 0; /* a robot's time is for learning: nothing is evaluated on it */
    cli_measure measure = {
        .policy = *policy,
        .column = cn_policy_columns(*policy) - 1,
        .place = place,
        .episodes = (long)o->episodes,
        .seed = CLI_FINAL_SEED,
        .threads = (int)o->learning.threads,
    };
    CN_TRY(check_settings(&config, place, err));
    if (o->demos.count > 0)
        CN_TRY(read_demos(o, &config, place, &demos, err));
    CN_TRY_CLEANUP(cli_learning_folder(&o->learning, &config, err));
    CN_TRY_CLEANUP(cli_measure_run(&measure, &before, err));
    printf("before:\n");
    cli_measure_print(&before);
    CN_TRY_CLEANUP(learn(o, &config, place, policy, demos, &run, path, err));
    measure.policy = *policy;
    measure.column = cn_policy_columns(*policy) - 1;
    if (run.end != CN_TRAIN_STOPPED)
        CN_TRY_CLEANUP(cli_measure_last(&measure, &after, err));
    report(o, &run, *policy, path, &before, &after);
cleanup:
    cn_replay_destroy(&demos);
    return status;
}

static cn_status adapt(const adapt_options *o, cn_error *err)
{
    cn_policy *policy = NULL;
    cli_place place = {0};
    cn_status status = cn_policy_load(o->policy, &policy, err);
    if (status == CN_OK)
        status = cli_place_open(policy, o->task, o->gap, &o->robot, &place, err);
    if (status == CN_OK)
        status = adapt_at(o, &place, &policy, err);
    cli_place_close(&place);
    cn_policy_destroy(&policy);
    return status;
}

static bool known_method(const char *method)
{
    return strcmp(method, "progressive") == 0 || strcmp(method, "finetune") == 0 ||
           strcmp(method, "scratch") == 0;
}

int cli_adapt(int argc, char **argv)
{
    adapt_options o = {
        .learning = cli_learning_default(), .method = "progressive", .episodes = 100};
    cli_learning *l = &o.learning;
    const cli_option options[] = {
        CLI_ROBOT_OPTIONS(&o.robot, "a robot's state endpoint"),
        {"task", "TASK", "task file (default: the policy's)", CLI_TEXT, &o.task, 0, 0},
        {"gap", "GAP", "reality gap of the simulated arm", CLI_TEXT, &o.gap, 0, 0},
        {"method", "METHOD", "progressive (default), finetune or scratch", CLI_TEXT, &o.method, 0,
         0},
        {"out", "RUN", "folder of the run; made here", CLI_TEXT, &l->out, 0, 0},
        {"steps", "N", "robot steps (default: the task's)", CLI_INT, &l->steps, 1, 1e12},
        {"episodes", "N", "of each measurement (default 100)", CLI_INT, &o.episodes, 1, 1e6},
        {"seed", "S", "same seed, same bits (default 1)", CLI_INT, &l->seed, 0, 1e12},
        {"threads", "T", "worker threads (default: all cores)", CLI_INT, &l->threads, 1, 256},
        {"config", "FILE", "YAML with training settings", CLI_TEXT, &l->config_file, 0, 0},
        {"algorithm", "NAME", "ppo (default) or sac", CLI_TEXT, &l->algorithm, 0, 0},
        {"set", "KEY=VALUE", "one training setting; may be repeated", CLI_LIST, &l->sets, 0, 0},
        {"demos", "LOG", "sac: a log to learn from as well; may be repeated", CLI_LIST, &o.demos, 0,
         0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &l->json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &o.policy);
    if (status >= 0)
        return status;
    if (!l->out)
        return cli_wrong(&usage, "--out is missing: where should the run go?");
    if (!known_method(o.method))
        return cli_wrong(&usage, "--method %s: it is progressive, finetune or scratch", o.method);
    if (!o.robot.endpoint && !o.task && !o.gap)
        return cli_wrong(&usage, "where to adapt? --robot ENDPOINT, or --task TASK, or --gap GAP");
    if (o.robot.endpoint && o.gap)
        return cli_wrong(&usage, "--gap belongs to a simulated arm; the robot has its own");
    cn_error err = {0};
    return adapt(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
