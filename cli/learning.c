/* The common part of `train` and `adapt`. */
#include "cli/learning.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/live.h"
#include "cli/ranks.h"

cli_learning cli_learning_default(void)
{
    return (cli_learning){.seed = 1, .threads = cli_ranks_cores()};
}

/* "key=value" as a YAML map of one entry. */
static cn_status read_set(const char *text, cn_train_config *config, cn_error *err)
{
    char yaml[512], name[512];
    const char *equals = strchr(text, '=');
    CN_FAIL_IF(!equals || equals == text, CN_ERR_ARGUMENT, err,
               "--set %s: expected key=value, as in --set learning_rate=1e-3", text);
    const int n = snprintf(yaml, sizeof yaml, "{%.*s: %s}", (int)(equals - text), text, equals + 1);
    CN_FAIL_IF(n < 0 || (size_t)n >= sizeof yaml, CN_ERR_ARGUMENT, err, "--set %s: too long", text);
    cn_yaml *document = NULL;
    snprintf(name, sizeof name, "--set %s", text);
    CN_TRY(cn_yaml_parse(name, yaml, &document, err));
    const cn_status status = cn_train_config_read(config, cn_yaml_root(document), err);
    cn_yaml_destroy(&document);
    return status;
}

static cn_status read_file(const char *path, cn_train_config *config, cn_error *err)
{
    cn_yaml *document = NULL;
    CN_TRY(cn_yaml_load(path, &document, err));
    const cn_status status = cn_train_config_read(config, cn_yaml_root(document), err);
    cn_yaml_destroy(&document);
    return status;
}

static cn_status read_layers(const cli_learning *options, const cn_task *task, const char *section,
                             cn_train_config *out, cn_error *err)
{
    cn_yaml_node node;
    char algorithm[64];
    if (cn_task_section(task, section, &node))
        CN_TRY(cn_train_config_read(out, node, err));
    if (options->config_file)
        CN_TRY(read_file(options->config_file, out, err));
    if (options->algorithm) {
        snprintf(algorithm, sizeof algorithm, "algorithm=%s", options->algorithm);
        CN_TRY(read_set(algorithm, out, err));
    }
    for (int i = 0; i < options->sets.count; i++)
        CN_TRY(read_set(options->sets.text[i], out, err));
    return CN_OK;
}

/* Sections of an algorithm hold when it is chosen, and it may be chosen last: so once more. */
cn_status cli_learning_config(const cli_learning *options, const cn_task *task, const char *section,
                              cn_train_config *out, cn_error *err)
{
    *out = cn_train_config_default();
    CN_TRY(read_layers(options, task, section, out, err));
    const cn_algorithm algorithm = out->algorithm;
    *out = cn_train_config_default();
    out->algorithm = algorithm;
    CN_TRY(read_layers(options, task, section, out, err));
    if (options->steps > 0)
        out->steps = options->steps;
    return CN_OK;
}

/* Keeps others out of a run's folder until the process ends, however it ends. */
static cn_status claim(const char *folder, cn_error *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CN_FAIL_IF(fd < 0, CN_ERR_IO, err, "%s: cannot open the folder: %s", folder, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return CN_OK; /* where there are no locks, nobody is kept out */
    close(fd);
    CN_FAIL(CN_ERR_IO, err, "%s: another run is writing there: wait, or choose another --out",
            folder);
}

cn_status cli_learning_folder(const cli_learning *options, const cn_train_config *config,
                              cn_error *err)
{
    static const char *const files[] = {"checkpoint.safetensors", "last.safetensors",
                                        "best.safetensors"};
    char path[CN_PATH];
    CN_TRY(cn_file_make_folder(options->out, err));
    CN_TRY(claim(options->out, err));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", options->out, files[i]);
        CN_FAIL_IF(access(path, F_OK) == 0, CN_ERR_ARGUMENT, err,
                   "%s holds a run already (%s); %schoose another --out, or remove it",
                   options->out, path, options->resumable && i == 0 ? "go on with --resume, " : "");
    }
    snprintf(path, sizeof path, "%s/config.yaml", options->out);
    cn_file file;
    CN_TRY(cn_file_begin(path, &file, err));
    cn_train_config_write(config, file.stream);
    return cn_file_commit(&file, err);
}

cn_status cli_learning_resume(cli_learning *options, const cn_task *task, cn_train_config *config,
                              cn_policy **policy, cn_error *err)
{
    char path[CN_PATH];
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", options->out);
    CN_FAIL_IF(access(path, F_OK) != 0, CN_ERR_NOT_FOUND, err,
               "%s holds no checkpoint to go on from: begin a run there without --resume, after "
               "removing what is left of another",
               options->out);
    if (cn_peers_rank(cli_ranks()) == 0)
        CN_TRY(claim(options->out, err));
    CN_TRY(cn_policy_load(path, policy, err));
    const cn_status status = cn_env_spec_match(cn_policy_spec(*policy), cn_task_spec(task), err);
    if (status != CN_OK)
        return cn_error_prefix(err, status, "%s", path);
    options->seed = (int64_t)cn_policy_column_at(*policy, cn_policy_columns(*policy) - 1)->seed;
    snprintf(path, sizeof path, "%s/config.yaml", options->out);
    *config = cn_train_config_default();
    return read_file(path, config, err);
}

cn_policy_column cli_learning_column(const cli_learning *options, const cn_train_config *config,
                                     const cn_task *task, const char *method)
{
    cn_policy_column c = cn_policy_column_default();
    c.layers = config->layers;
    memcpy(c.hidden, config->hidden, sizeof c.hidden);
    c.activation = config->activation;
    c.lateral = config->lateral;
    c.adapter_size = (int)config->adapter_size;
    c.adapter_scale = (float)config->adapter_scale;
    c.log_std = (float)config->log_std;
    c.bound = config->algorithm == CN_SAC ? CN_BOUND_TANH : CN_BOUND_CLIP;
    c.state_std = config->algorithm == CN_SAC;
    c.seed = (uint64_t)options->seed;
    snprintf(c.task, sizeof c.task, "%s", cn_task_spec(task)->task);
    snprintf(c.method, sizeof c.method, "%s", method);
    char *absolute = realpath(cn_task_path(task), NULL);
    snprintf(c.task_file, sizeof c.task_file, "%s", absolute ? absolute : cn_task_path(task));
    free(absolute);
    return c;
}

cn_status cli_learning_fresh(const cli_learning *options, const cn_train_config *config,
                             const cn_task *task, const char *method, cn_rng *rng, cn_policy **out,
                             cn_error *err)
{
    const cn_policy_column column = cli_learning_column(options, config, task, method);
    CN_TRY(cn_policy_create(cn_task_spec(task), out, err));
    return cn_policy_grow(*out, &column, CN_GROW_RANDOM, rng, err);
}

static void show(void *ctx, const cn_train_progress *p)
{
    cli_live_show(ctx, p);
}

cn_status cli_learning_run(const cli_learning *options, const cn_train_config *config,
                           cn_policy *policy, cn_make_env *make_env, void *make_env_ctx,
                           int threads, cn_train_report *run, cn_error *err)
{
    cli_live live = {0};
    const cn_train_job job = {
        .policy = policy,
        .config = config,
        .seed = (uint64_t)options->seed,
        .threads = threads,
        .folder = options->out,
        .peers = cli_ranks(),
        .resume = options->resume,
        .keep_last = options->keep_last,
        .make_env = make_env,
        .make_env_ctx = make_env_ctx,
        .demos = options->demos,
        .stop = cli_stop(),
        .progress = show,
        .progress_ctx = &live,
    };
    const cn_status status = cn_train(&job, run, err);
    cli_progress_end();
    return status;
}

void cli_learning_result(const cli_learning *options, const cn_train_report *run,
                         char path[CN_PATH])
{
    snprintf(path, CN_PATH, "%s/%s", options->out,
             run->best_steps > 0 ? "best.safetensors" : "last.safetensors");
}
