/* What `train` and `adapt` share: the configuration in its layers, the run's folder, the run.
 */
#ifndef CN_CLI_LEARNING_H
#define CN_CLI_LEARNING_H

#include "cli/cli.h"
#include "policy/trainer.h"
#include "sim/task.h"

typedef struct cli_learning {
    const char *out; /* the run's folder */
    const char *config_file;
    cli_texts sets;         /* --set k=v */
    const char *algorithm;  /* NULL: as configured */
    const cn_replay *demos; /* NULL: none */
    int64_t steps;          /* 0: as configured */
    int64_t seed;
    int64_t threads;
    bool resumable; /* the command has --resume */
    bool resume;
    bool keep_last; /* see cn_train_job */
    bool json;
} cli_learning;

/* Seed 1, as many threads as there are cores. */
cli_learning cli_learning_default(void);

/* The task's section, then --config, then --algorithm, --set and --steps. */
cn_status cli_learning_config(const cli_learning *options, const cn_task *task, const char *section,
                              cn_train_config *out, cn_error *err);

/* Makes the folder and writes config.yaml into it. A folder that holds a run already is refused. */
cn_status cli_learning_folder(const cli_learning *options, const cn_train_config *config,
                              cn_error *err);

/* Loads the policy of the folder's checkpoint and takes seed and configuration from the folder.
 * @return CN_ERR_NOT_FOUND when there is no checkpoint, CN_ERR_MISMATCH when it is of another task.
 */
cn_status cli_learning_resume(cli_learning *options, const cn_task *task, cn_train_config *config,
                              cn_policy **policy, cn_error *err);

/* A column as the configuration wants it, marked with where and how it learns. */
cn_policy_column cli_learning_column(const cli_learning *options, const cn_train_config *config,
                                     const cn_task *task, const char *method);

/* A new policy with one such column, its weights drawn by rng. @param out  owned */
cn_status cli_learning_fresh(const cli_learning *options, const cn_train_config *config,
                             const cn_task *task, const char *method, cn_rng *rng, cn_policy **out,
                             cn_error *err);

/* Trains the policy's last column with a progress line. @param run  receives the report */
cn_status cli_learning_run(const cli_learning *options, const cn_train_config *config,
                           cn_policy *policy, cn_make_env *make_env, void *make_env_ctx,
                           int threads, cn_train_report *run, cn_error *err);

/* The file of the policy that a run leaves behind: the best one, or the last where none was
 * evaluated. */
void cli_learning_result(const cli_learning *options, const cn_train_report *run,
                         char path[CN_PATH]);

#endif
