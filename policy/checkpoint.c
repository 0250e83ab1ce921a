/* Checkpoints as safetensors: "trainer/..." beside the policy's tensors. */
#include "policy/checkpoint.h"

#include "policy/internal.h"

/* The places of loop_state.counts and .numbers. */
enum {
    STEPS,
    NEXT_EVALUATION,
    WITHOUT_IMPROVEMENT,
    BEST_STEPS,
    BEST_SUCCESSES,
    BEST_EPISODES,
    RANKS,
    COUNTS
};
enum { SECONDS, BEST_RETURN, BEST_RETURN_STD, BEST_LENGTH, NUMBERS };

typedef struct loop_state {
    int64_t counts[COUNTS];
    double numbers[NUMBERS];
} loop_state;
enum { LOOP_TENSORS = 2, TENSORS = LOOP_TENSORS + CN_MAX_STATE_TENSORS };

/* The tensors of the loop and of the learner. @return how many */
static int views_of(const loop_state *s, cn_learner *learner, cn_tensor_view out[TENSORS])
{
    out[0] = cn_tensor_matrix("trainer/counts", CN_I64, 1, COUNTS, s->counts);
    out[1] = cn_tensor_matrix("trainer/numbers", CN_F64, 1, NUMBERS, s->numbers);
    return LOOP_TENSORS + learner->state(learner, out + LOOP_TENSORS);
}

cn_status cn_checkpoint_save(const char *path, const cn_policy *policy, cn_learner *learner,
                             const cn_checkpoint *where, cn_error *err)
{
    const loop_state s = {
        .counts = {[STEPS] = where->steps,
                   [NEXT_EVALUATION] = where->next_evaluation,
                   [WITHOUT_IMPROVEMENT] = where->without_improvement,
                   [BEST_STEPS] = where->best_steps,
                   [BEST_SUCCESSES] = where->best.successes,
                   [BEST_EPISODES] = where->best.episodes,
                   [RANKS] = where->ranks},
        .numbers = {[SECONDS] = where->seconds,
                    [BEST_RETURN] = where->best.return_mean,
                    [BEST_RETURN_STD] = where->best.return_std,
                    [BEST_LENGTH] = where->best.length_mean},
    };
    cn_tensor_view views[TENSORS];
    CN_TRY(learner->pack(learner, err));
    const int count = views_of(&s, learner, views);
    if (!path)
        return CN_OK;
    return cn_policy_write(policy, path, views, count, err);
}

/* @param checksum  out: of all tensors */
static cn_status read_state(const char *path, cn_learner *learner, int ranks, loop_state *s,
                            uint64_t *checksum, cn_error *err)
{
    cn_safetensors *file = NULL;
    cn_tensor_view want[TENSORS];
    CN_TRY(cn_safetensors_open(path, &file, err));
    cn_status status = CN_OK;
    const int count = views_of(s, learner, want);
    if (!cn_safetensors_find(file, want[0].name))
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err, "%s: a policy, but no checkpoint of a training run",
                        path);
    for (int i = 0; i < count; i++) {
        views_of(s, learner, want); /* shapes may depend on what was read */
        /* the memory is the loop's and the learner's own: not const */
        CN_TRY_CLEANUP(cn_policy_read_tensor(path, file, &want[i], (void *)want[i].data, err));
        if (s->counts[RANKS] != ranks) /* the learner's shapes would say it less clearly */
            CN_FAIL_CLEANUP(CN_ERR_MISMATCH, err,
                            "%s is of a run on %lld rank(s), and these are %d; go on with as many, "
                            "as in mpirun -n %lld",
                            path, (long long)s->counts[RANKS], ranks, (long long)s->counts[RANKS]);
    }
    *checksum = (uint64_t)count;
    for (int i = 0; i < count; i++)
        *checksum = cn_checksum_append(*checksum, want[i].data, want[i].bytes);
cleanup:
    cn_safetensors_close(&file);
    return status;
}

cn_status cn_checkpoint_restore(const char *path, cn_learner *learner, int ranks,
                                cn_checkpoint *where, cn_error *err)
{
    loop_state s = {0};
    uint64_t checksum;
    CN_TRY(read_state(path, learner, ranks, &s, &checksum, err));
    CN_TRY(learner->unpack(learner, err));
    *where = (cn_checkpoint){
        .ranks = ranks,
        .checksum = checksum,
        .steps = s.counts[STEPS],
        .next_evaluation = s.counts[NEXT_EVALUATION],
        .seconds = s.numbers[SECONDS],
        .without_improvement = s.counts[WITHOUT_IMPROVEMENT],
        .best_steps = s.counts[BEST_STEPS],
        .best = {.successes = s.counts[BEST_SUCCESSES],
                 .episodes = s.counts[BEST_EPISODES],
                 .return_mean = s.numbers[BEST_RETURN],
                 .return_std = s.numbers[BEST_RETURN_STD],
                 .length_mean = s.numbers[BEST_LENGTH]},
    };
    if (where->best_steps > 0)
        cn_evaluation_intervals(&where->best);
    return CN_OK;
}
