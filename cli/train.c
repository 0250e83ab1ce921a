/* colonnade train: a policy's first column, in simulation. */
#include "cli/cli.h"
#include "cli/learning.h"
#include "cli/measure.h"
#include "cli/ranks.h"

#define FINAL_EPISODES 100 /* of the last word on a policy */

static void more_help(FILE *out)
{
    fprintf(out, "\nKeys of --set, --config and of the task's train: section:\n");
    cn_train_config_help(out);
}

static const char *const names[] = {"TASK", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade train TASK --out RUN [options]",
    .text =
        "Trains a policy for TASK (a YAML file) with PPO (or SAC) on all cores. RUN receives "
        "best.safetensors and last.safetensors, config.yaml with every setting, and TensorBoard "
        "events. Ctrl-C ends the run after the iteration at hand and keeps what was learned; "
        "--resume goes on from checkpoint.safetensors after a run was stopped or killed. Under "
        "mpirun or srun the processes train one policy together, each in environments of its own.",
    .example = "colonnade train scenes/reach.yaml --out runs/reach --seed 1",
    .more = more_help,
    .positional = names,
};

/* Evaluates the policy that the run leaves behind. After Ctrl-C there is no evaluation. */
static cn_status judge(const cli_learning *options, const cn_train_report *run, cli_place *place,
                       const char *path, cn_evaluation *result, cn_error *err)
{
    cn_policy *policy = NULL;
    *result = (cn_evaluation){0};
    if (run->end == CN_TRAIN_STOPPED)
        return CN_OK;
    CN_TRY(cn_policy_load(path, &policy, err));
    const cli_measure measure = {
        .policy = policy,
        .place = place,
        .episodes = FINAL_EPISODES,
        .seed = CLI_FINAL_SEED,
        .threads = (int)options->threads,
    };
    const cn_status status = cli_measure_last(&measure, result, err);
    cn_policy_destroy(&policy);
    return status;
}

static void append_number(char *line, size_t size, const char *name, long number)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", number);
    cli_append_word(line, size, name);
    cli_append_word(line, size, text);
}

/* How to go on after Ctrl-C: the very command line, on as many ranks. */
static void tell_how_to_resume(const cli_learning *options, const cn_train_report *run,
                               const char *task)
{
    char line[3 * CN_PATH] = "";
    const int ranks = cn_peers_size(cli_ranks());
    if (run->checkpoint_steps < 0) {
        printf("There is no checkpoint to go on from: checkpoint_every is 0.\n");
        return;
    }
    if (ranks > 1) {
        cli_append_word(line, sizeof line, "mpirun");
        append_number(line, sizeof line, "-n", ranks);
    }
    const char *const words[] = {cli_program(), "train", task, "--out", options->out, "--resume"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cli_append_word(line, sizeof line, words[i]);
    if (options->threads != cli_learning_default().threads)
        append_number(line, sizeof line, "--threads", (long)options->threads);
    printf("Go on from step %lld with:\n %s\n", (long long)run->checkpoint_steps, line);
}

static json_t *report_to_json(const cn_train_report *run, const char *path,
                              const cn_evaluation *result, double rate)
{
    return json_pack("{s:I, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:s, s:b, s:s}", "steps",
                     (json_int_t)run->steps, "seconds", run->seconds, "steps_per_second", rate,
                     "success_rate", cli_measure_json(result, result->success_rate), "success_low",
                     cli_measure_json(result, result->success_low), "success_high",
                     cli_measure_json(result, result->success_high), "return_mean",
                     cli_measure_json(result, result->return_mean), "return_std",
                     cli_measure_json(result, result->return_std), "training_return",
                     run->recent_episodes > 0 ? json_real(run->recent_return) : json_null(),
                     "training_episodes", (json_int_t)run->recent_episodes, "policy", path,
                     "stopped", run->end == CN_TRAIN_STOPPED, "why", run->why);
}

static void report(const cli_learning *options, const cn_train_report *run, const char *task,
                   const char *path, const cn_evaluation *result)
{
    const double rate = run->seconds > 0.0 ? (double)run->steps / run->seconds : 0.0;
    printf("%lld steps in %.1f s (%.0f steps/s): %s\n", (long long)run->steps, run->seconds, rate,
           run->why);
    if (result->episodes > 0)
        cli_measure_print(result);
    printf("policy  %s\n", path);
    if (run->end == CN_TRAIN_STOPPED)
        tell_how_to_resume(options, run, task);
    if (options->json)
        cli_print_json(report_to_json(run, path, result, rate));
}

/* A policy with one fresh column, and a folder for it. */
static cn_status begin(const cli_learning *options, const cn_task *task, cn_train_config *config,
                       cn_policy **policy, cn_error *err)
{
    CN_TRY(cli_learning_config(options, task, "train", config, err));
    CN_TRY(cn_train_check(config, cn_task_spec(task), err));
    cn_rng rng = cn_rng_make((uint64_t)options->seed, UINT64_C(0x696e6974) << 32);
    CN_TRY(cli_learning_fresh(options, config, task, cn_algorithm_word(config->algorithm), &rng,
                              policy, err));
    return cn_peers_rank(cli_ranks()) == 0 ? cli_learning_folder(options, config, err) : CN_OK;
}

/* Every rank has the policy, and rank 0's settings. */
static cn_status prepare(cli_learning *options, const cn_task *task, cn_train_config *config,
                         cn_policy **policy, cn_error *err)
{
    cn_peers *peers = cli_ranks();
    const cn_status status = options->resume
                                 ? cli_learning_resume(options, task, config, policy, err)
                                 : begin(options, task, config, policy, err);
    CN_TRY(cn_peers_agree(peers, status, err));
    return peers ? peers->broadcast(peers, 0, config, sizeof *config, err) : CN_OK;
}

static cn_status train(cli_learning *options, const char *task, cn_error *err)
{
    cn_status status = CN_OK;
    cli_place place = {0};
    cn_policy *policy = NULL;
    cn_train_config config;
    cn_train_report run;
    cn_evaluation result;
    char path[CN_PATH];
    status = cli_place_open(NULL, task, NULL, NULL, &place, err);
    CN_TRY_CLEANUP(cn_peers_agree(cli_ranks(), status, err));
    CN_TRY_CLEANUP(prepare(options, place.task, &config, &policy, err));
    CN_TRY_CLEANUP(cli_learning_run(options, &config, policy, cli_place_make_env, &place,
                                    (int)options->threads, &run, err));
    if (cn_peers_rank(cli_ranks()) > 0)
        goto cleanup;
    cli_learning_result(options, &run, path);
    CN_TRY_CLEANUP(judge(options, &run, &place, path, &result, err));
    report(options, &run, task, path, &result);
cleanup:
    cn_policy_destroy(&policy);
    cli_place_close(&place);
    return status;
}

int cli_train(int argc, char **argv)
{
    cli_learning o = cli_learning_default();
    const int64_t default_seed = o.seed;
    const char *positional[1];
    o.resumable = true;
    o.seed = -1; /* not given */
    const cli_option options[] = {
        {"out", "RUN", "folder of the run; made here", CLI_TEXT, &o.out, 0, 0},
        {"steps", "N", "environment steps (default: the task's)", CLI_INT, &o.steps, 1, 1e12},
        {"seed", "S", "same seed, same bits (default 1)", CLI_INT, &o.seed, 0, 1e15},
        {"threads", "T", "worker threads (default: all cores)", CLI_INT, &o.threads, 1, 256},
        {"config", "FILE", "YAML with training settings", CLI_TEXT, &o.config_file, 0, 0},
        {"algorithm", "NAME", "ppo (default) or sac", CLI_TEXT, &o.algorithm, 0, 0},
        {"set", "KEY=VALUE", "one training setting; may be repeated", CLI_LIST, &o.sets, 0, 0},
        {"resume", NULL, "go on from RUN's last checkpoint, to the same bits", CLI_FLAG, &o.resume,
         0, 0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, positional);
    if (status >= 0)
        return status;
    if (!o.out)
        return cli_wrong(&usage, "--out is missing: where should the run go?");
    if (o.resume &&
        (o.seed >= 0 || o.steps > 0 || o.config_file || o.algorithm || o.sets.count > 0))
        return cli_wrong(&usage, "--resume goes on as RUN/config.yaml says: no --seed, --steps, "
                                 "--config, --algorithm or --set with it");
    if (o.seed < 0)
        o.seed = default_seed;
    cn_error err = {0};
    return train(&o, positional[0], &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
