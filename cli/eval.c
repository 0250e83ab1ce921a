/* colonnade eval: how good a policy is, in simulation, on a twin, or on a robot. */
#include <unistd.h>

#include "cli/cli.h"
#include "cli/measure.h"

static const char *const names[] = {"POLICY", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade eval POLICY [--robot ENDPOINT | --task TASK] [options]",
    .text = "Runs whole episodes with deterministic actions. Without --task, on the task that the "
            "policy was trained on. With --against, every action is also compared, bit for bit, "
            "with that of another policy on the same observation.",
    .example = "colonnade eval runs/reach/best.safetensors --gap scenes/gaps/mild.yaml",
    .positional = names,
};

static void report(const cn_evaluation *e, bool compared, bool json)
{
    cli_measure_print(e);
    if (compared)
        printf("actions %ld compared, %ld differ\n", e->actions_compared, e->actions_different);
    if (!json)
        return;
    json_t *object = json_pack(
        "{s:I, s:o, s:o, s:o, s:f, s:f, s:f}", "episodes", (json_int_t)e->episodes, "success_rate",
        cli_measure_json(e, e->success_rate), "success_low", cli_measure_json(e, e->success_low),
        "success_high", cli_measure_json(e, e->success_high), "return_mean", e->return_mean,
        "return_std", e->return_std, "length_mean", e->length_mean);
    if (compared) {
        json_object_set_new(object, "actions_compared", json_integer(e->actions_compared));
        json_object_set_new(object, "actions_different", json_integer(e->actions_different));
    }
    cli_print_json(object);
}

typedef struct eval_options {
    const char *policy, *task, *gap, *against;
    cli_robot_options robot;
    int64_t episodes, column, threads, seed;
    bool json;
} eval_options;

static cn_status evaluate(const eval_options *o, cn_error *err)
{
    cn_status status = CN_OK;
    cn_policy *policy = NULL, *other = NULL;
    cli_place place = {0};
    cn_evaluation result;
    CN_TRY_CLEANUP(cn_policy_load(o->policy, &policy, err));
    if (o->against)
        CN_TRY_CLEANUP(cn_policy_load(o->against, &other, err));
    CN_TRY_CLEANUP(cli_place_open(policy, o->task, o->gap, &o->robot, &place, err));
    const cli_measure measure = {
        .policy = policy,
        .column = cli_column(policy, o->column),
        .against = other,
        .place = &place,
        .episodes = (long)o->episodes,
        .seed = (uint64_t)o->seed,
        .threads = (int)o->threads,
    };
    CN_TRY_CLEANUP(cli_measure_run(&measure, &result, err));
    report(&result, other != NULL, o->json);
cleanup:
    cli_place_close(&place);
    cn_policy_destroy(&other);
    cn_policy_destroy(&policy);
    return status;
}

int cli_eval(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    eval_options o = {.episodes = 100, .column = -1, .threads = cores > 0 ? cores : 1};
    const cli_option options[] = {
        CLI_ROBOT_OPTIONS(&o.robot, "a robot's state endpoint"),
        {"task", "TASK", "task file (default: the policy's)", CLI_TEXT, &o.task, 0, 0},
        {"gap", "GAP", "reality gap of the simulated arm", CLI_TEXT, &o.gap, 0, 0},
        {"episodes", "N", "how many (default 100)", CLI_INT, &o.episodes, 1, 1e9},
        {"seed", "S", "which (default 0)", CLI_INT, &o.seed, 0, 1e12},
        {"column", "K", "act as column K, from 0 (default: the last)", CLI_INT, &o.column, 0, 64},
        {"against", "POLICY", "compare every action with this policy's", CLI_TEXT, &o.against, 0,
         0},
        {"threads", "T", "worker threads (default: all cores)", CLI_INT, &o.threads, 1, 256},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &o.policy);
    if (status >= 0)
        return status;
    if (o.robot.endpoint && o.gap)
        return cli_wrong(&usage, "--gap belongs to a simulated arm; the robot has its own");
    cn_error err = {0};
    return evaluate(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
