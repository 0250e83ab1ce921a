/* Checkpoints as safetensors: "trainer/..." beside the policy's tensors. */
#include "policy/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

#define RNG_WORDS 8 /* of a generator, as the file holds it */

/* The places of trainer_state.counts and .numbers. */
enum { STEPS, NEXT_EVALUATION, ADAM_STEP, BEST_SUCCESSES, BEST_EPISODES, COUNTS };
enum { SECONDS, BEST_RETURN, REWARD_COUNT, REWARD_MEAN, REWARD_SQUARE, NUMBERS };

/* What is read or written in one go, beside the policy. */
typedef struct trainer_state {
    uint64_t ppo_rng[RNG_WORDS];
    int64_t counts[COUNTS];
    double numbers[NUMBERS];
    uint64_t *env_rng;      /* [N, RNG_WORDS] */
    uint64_t *env_episodes; /* [N] */
} trainer_state;
enum { TENSORS = 7 };

static void pack_rng(const cn_rng *rng, uint64_t *words)
{
    words[0] = rng->seed;
    words[1] = rng->stream;
    words[2] = rng->counter;
    for (int i = 0; i < 4; i++)
        words[3 + i] = rng->block[i];
    words[7] = rng->left;
}

static cn_rng unpack_rng(const uint64_t *words)
{
    cn_rng rng = {.seed = words[0], .stream = words[1], .counter = words[2]};
    for (int i = 0; i < 4; i++)
        rng.block[i] = (uint32_t)words[3 + i];
    rng.left = words[7] > 4 ? 0 : (uint32_t)words[7];
    return rng;
}

static cn_tensor_view view(const char *name, cn_dtype dtype, int64_t rows, int64_t cols,
                           size_t item, const void *data)
{
    return (cn_tensor_view){
        .name = name,
        .dtype = dtype,
        .rank = 2,
        .shape = {rows, cols},
        .data = data,
        .bytes = (size_t)rows * (size_t)cols * item,
    };
}

/* The tensors of a state. */
static void views_of(const trainer_state *s, cn_params *params, int envs,
                     cn_tensor_view out[TENSORS])
{
    const int64_t n = (int64_t)cn_params_count(params);
    out[0] = view("trainer/moment1", CN_F32, 1, n, 4, cn_params_moment1(params));
    out[1] = view("trainer/moment2", CN_F32, 1, n, 4, cn_params_moment2(params));
    out[2] = view("trainer/ppo_rng", CN_U64, 1, RNG_WORDS, 8, s->ppo_rng);
    out[3] = view("trainer/counts", CN_I64, 1, COUNTS, 8, s->counts);
    out[4] = view("trainer/numbers", CN_F64, 1, NUMBERS, 8, s->numbers);
    out[5] = view("trainer/env_rng", CN_U64, envs, RNG_WORDS, 8, s->env_rng);
    out[6] = view("trainer/env_episodes", CN_U64, 1, envs, 8, s->env_episodes);
}

static cn_status create_state(int envs, trainer_state *s, cn_error *err)
{
    *s = (trainer_state){
        .env_rng = calloc((size_t)envs * RNG_WORDS, sizeof *s->env_rng),
        .env_episodes = calloc((size_t)envs, sizeof *s->env_episodes),
    };
    CN_FAIL_IF(!s->env_rng || !s->env_episodes, CN_ERR_MEMORY, err,
               "no memory for a checkpoint of %d environments", envs);
    return CN_OK;
}

static void free_state(trainer_state *s)
{
    free(s->env_rng);
    free(s->env_episodes);
}

cn_status cn_checkpoint_save(const char *path, const cn_policy *policy, cn_collector *collector,
                             cn_ppo *ppo, const cn_checkpoint *where, cn_error *err)
{
    const int envs = cn_collector_rollout(collector)->N;
    trainer_state s;
    cn_tensor_view views[TENSORS];
    cn_status status = create_state(envs, &s, err);
    if (status == CN_OK) {
        cn_collector_restart(collector);
        cn_ppo_restart(ppo);
        const cn_ppo_state learner = cn_ppo_state_of(ppo);
        pack_rng(&learner.rng, s.ppo_rng);
        s.counts[STEPS] = where->steps;
        s.counts[NEXT_EVALUATION] = where->next_evaluation;
        s.counts[ADAM_STEP] = learner.adam_step;
        s.counts[BEST_SUCCESSES] = where->best.successes;
        s.counts[BEST_EPISODES] = where->has_best ? where->best.episodes : 0;
        s.numbers[SECONDS] = where->seconds;
        s.numbers[BEST_RETURN] = where->best.return_mean;
        s.numbers[REWARD_COUNT] = learner.reward_count;
        s.numbers[REWARD_MEAN] = learner.reward_mean;
        s.numbers[REWARD_SQUARE] = learner.reward_square;
        for (int n = 0; n < envs; n++) {
            const cn_collector_slot slot = cn_collector_slot_at(collector, n);
            pack_rng(&slot.actions, s.env_rng + n * RNG_WORDS);
            s.env_episodes[n] = slot.episodes;
        }
        views_of(&s, policy->params, envs, views);
        status = cn_policy_write(policy, path, views, TENSORS, err);
    }
    free_state(&s);
    return status;
}

static cn_status read_state(const char *path, cn_params *params, int envs, trainer_state *s,
                            cn_error *err)
{
    cn_safetensors *file = NULL;
    cn_tensor_view want[TENSORS];
    void *const out[TENSORS] = {cn_params_moment1(params),
                                cn_params_moment2(params),
                                s->ppo_rng,
                                s->counts,
                                s->numbers,
                                s->env_rng,
                                s->env_episodes};
    CN_TRY(cn_safetensors_open(path, &file, err));
    cn_status status = CN_OK;
    views_of(s, params, envs, want);
    if (!cn_safetensors_find(file, want[0].name))
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err, "%s: a policy, but no checkpoint of a training run",
                        path);
    for (int i = 0; i < TENSORS; i++)
        CN_TRY_CLEANUP(cn_policy_read_tensor(path, file, &want[i], out[i], err));
cleanup:
    cn_safetensors_close(&file);
    return status;
}

cn_status cn_checkpoint_restore(const char *path, cn_policy *policy, cn_collector *collector,
                                cn_ppo *ppo, cn_checkpoint *where, cn_error *err)
{
    const int envs = cn_collector_rollout(collector)->N;
    trainer_state s;
    cn_status status = create_state(envs, &s, err);
    if (status == CN_OK)
        status = read_state(path, policy->params, envs, &s, err);
    if (status == CN_OK) {
        const cn_ppo_state learner = {
            .rng = unpack_rng(s.ppo_rng),
            .adam_step = s.counts[ADAM_STEP],
            .reward_count = s.numbers[REWARD_COUNT],
            .reward_mean = s.numbers[REWARD_MEAN],
            .reward_square = s.numbers[REWARD_SQUARE],
        };
        cn_ppo_restore(ppo, &learner);
        for (int n = 0; n < envs; n++) {
            const cn_collector_slot slot = {
                .actions = unpack_rng(s.env_rng + n * RNG_WORDS),
                .episodes = s.env_episodes[n],
            };
            cn_collector_restore(collector, n, &slot);
        }
        *where = (cn_checkpoint){
            .steps = s.counts[STEPS],
            .next_evaluation = s.counts[NEXT_EVALUATION],
            .seconds = s.numbers[SECONDS],
            .has_best = s.counts[BEST_EPISODES] > 0,
            .best = {.successes = s.counts[BEST_SUCCESSES],
                     .episodes = s.counts[BEST_EPISODES],
                     .return_mean = s.numbers[BEST_RETURN]},
        };
    }
    free_state(&s);
    return status;
}
