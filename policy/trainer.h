/* The trainer: learn, evaluate, save, report, until the steps are done. It trains the
 * last column of a policy, in simulation on many environments or on one robot. */
#ifndef CN_POLICY_TRAINER_H
#define CN_POLICY_TRAINER_H

#include <stdatomic.h>

#include "policy/checkpoint.h"

/* Why a run ended. */
typedef enum cn_train_end {
    CN_TRAIN_STEPS,    /* all steps are done */
    CN_TRAIN_STOPPED,  /* job->stop */
    CN_TRAIN_SUCCESS,  /* stop_success */
    CN_TRAIN_PATIENCE, /* patience */
} cn_train_end;

/* What a run has brought so far, and at its end. */
typedef struct cn_train_report {
    int64_t steps;
    double seconds; /* over all parts of a resumed run */
    cn_train_end end;
    char why[CN_NAME];        /* the same in words: "no improvement for 5 evaluations" */
    int64_t checkpoint_steps; /* where checkpoint.safetensors stands; -1: there is none */
    long without_improvement; /* evaluations since the best */
    int64_t best_steps;       /* where best.safetensors was learned; 0: there is none */
    cn_evaluation best;       /* its evaluation */
    long recent_episodes; /* with sampled actions, that ended last: at least 100 if so many did */
    double recent_return; /* their mean; NaN when there were none */
} cn_train_report;

/* Where a run stands; for a progress line and for metrics. */
typedef struct cn_train_progress {
    int64_t steps, total_steps; /* environment steps done, and to do */
    double seconds;             /* since the start */
    double steps_per_second;    /* of the last iteration */
    long episodes;              /* that ended in the last iteration */
    double return_mean;         /* of them; NaN when there were none */
    double success_rate;        /* of them, with sampled actions; NaN when nobody knows */
    cn_learner_step last;       /* what the learner says of the last iteration */
    int metrics;                /* that the learner has */
    cn_metric metric[CN_MAX_METRICS];
    bool evaluated;                /* this iteration ended with an evaluation, */
    bool best;                     /* and it was the best so far */
    cn_evaluation evaluation;      /* the last one; 0 episodes: none yet */
    int64_t evaluation_steps;      /* when it was */
    int64_t next_evaluation;       /* environment steps; 0: there are none */
    int64_t next_checkpoint;       /* the same */
    const cn_train_report *report; /* as it stands */
} cn_train_progress;

typedef struct cn_train_job {
    cn_policy *policy;             /* borrowed; its last column is trained */
    const cn_train_config *config; /* borrowed; its steps are rounded up to whole rollouts */
    uint64_t seed;
    int threads;        /* >= 1 */
    const char *folder; /* exists; receives last.safetensors, best.safetensors,
                                      checkpoint.safetensors, events.* */
    cn_peers *peers;    /* borrowed; NULL: alone. Rank 0 writes the folder and all read it; steps
                           count all ranks, config's envs are those of each */
    bool resume;        /* go on from folder/checkpoint.safetensors, which is where the
                           policy was loaded from */
    bool keep_last;     /* write last.safetensors every ten seconds, at the end of an iteration */
    cn_make_env *make_env;
    void *make_env_ctx;
    const cn_replay *demos;  /* SAC: transitions of others, borrowed; NULL: none. A run that is
                                resumed is given them again */
    const atomic_bool *stop; /* NULL, or true on any rank: finish the iteration, save, return */
    void (*progress)(void *ctx, const cn_train_progress *progress); /* after each iteration */
    void *progress_ctx;
} cn_train_job;

/* Whether settings go together, and with a task: what can be told before anything is done.
 * @return CN_ERR_ARGUMENT with the setting and the way out */
cn_status cn_train_check(const cn_train_config *config, const cn_env_spec *spec, cn_error *err);

/* The policy in memory ends as the last one trained, on every rank; all ranks return the same. Its
 * column, in last.safetensors and in best.safetensors, says why the run ended. A run that was
 * killed and resumed, any number of times, ends with the same bits as one that was not.
 * @return what went wrong: an environment, the disk, a loss that is not finite; best.safetensors
 * and the checkpoint are then those written before. So is last.safetensors after CN_ERR_LEARNING
 * and CN_ERR_CHECKSUM, and when nothing was learned; otherwise it holds what was learned until
 * then, and the message says so. CN_ERR_ARGUMENT for settings that don't go together. */
cn_status cn_train(const cn_train_job *job, cn_train_report *report, cn_error *err);

#endif
