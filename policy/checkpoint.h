/* Checkpoints: everything a training run needs to go on to the same bits after it was killed. The
 * file is a policy file (cn_policy_load reads it) with the trainer's own tensors beside the
 * parameters: where the loop stands, and the learner's state.
 *
 * A checkpoint ends every episode: what an environment holds in its middle is not saved, so the
 * run, killed or not, begins new episodes after one. Learners bootstrap there, so nothing is
 * learned from the cut. */
#ifndef CN_POLICY_CHECKPOINT_H
#define CN_POLICY_CHECKPOINT_H

#include "policy/evaluate.h"
#include "policy/learner.h"

/* Where the training loop stands. */
typedef struct cn_checkpoint {
    int ranks;                /* that train together; 1: a process on its own */
    uint64_t checksum;        /* of all that was restored; a restored one's only */
    int64_t steps;            /* environment steps done */
    int64_t next_evaluation;  /* at this many */
    double seconds;           /* spent so far, over all parts of the run */
    long without_improvement; /* evaluations since the best */
    int64_t best_steps;       /* where best.safetensors was learned; 0: there is none */
    cn_evaluation best;       /* its evaluation */
} cn_checkpoint;

/* Ends all episodes and writes the file atomically. With several ranks all of them call it, and
 * rank 0 writes.
 * @param path  NULL on the other ranks
 * @return CN_ERR_IO, CN_ERR_MEMORY,
 * CN_ERR_CHECKSUM (a frozen column has changed); the checkpoint that was there is then intact. */
cn_status cn_checkpoint_save(const char *path, const cn_policy *policy, cn_learner *learner,
                             const cn_checkpoint *where, cn_error *err);

/* Puts the learner where it was, every rank by itself. Its policy is the one that cn_policy_load
 * read from the same file; configuration and environments are those of the run.
 * @param ranks  that go on together: as many as before
 * @return CN_ERR_FORMAT (a policy file, but no checkpoint, or another algorithm's),
 *         CN_ERR_MISMATCH (of another number of ranks), CN_ERR_SHAPE
 *         (of another number of environments or parameters), and what reading fails with. */
cn_status cn_checkpoint_restore(const char *path, cn_learner *learner, int ranks,
                                cn_checkpoint *where, cn_error *err);

#endif
