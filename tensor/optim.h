/* Optimisers over cn_params: Adam, gradient clipping by global norm, schedules. */
#ifndef CN_TENSOR_OPTIM_H
#define CN_TENSOR_OPTIM_H

#include "tensor/params.h"

/* Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1). */
typedef struct cn_adam {
    float learning_rate; /* > 0 */
    float beta1;         /* .9 */
    float beta2;         /* .999 */
    float epsilon;       /* 1e-5: PPO's usual value, not Adam's 1e-8 */
    int64_t step;        /* updates done so far; belongs to the state that is saved */
} cn_adam;

cn_adam cn_adam_default(void);

/* One update of every slice that is not frozen from params' gradients. */
void cn_adam_update(cn_adam *adam, cn_params *params);

/* Euclidean norm of the gradients of all slices that are not frozen, summed in double in an order
 * of its own, the same on every processor. */
double cn_grads_norm(cn_params *params);

/* Scales gradients so that their norm is at most max_norm; returns the norm before. */
double cn_grads_clip(cn_params *params, double max_norm);

/* Clears a block of gradients, params' own or a shard's, where slices are not frozen. */
void cn_grads_zero(const cn_params *params, float *grads);

/* A new Adam counts its steps from 0, so the moments must begin there too. */
void cn_moments_zero(cn_params *params);

/* grads = shards[0] + shards[1] + ... in that order, whoever computed them, where slices are not
 * frozen. */
void cn_grads_reduce(cn_params *params, float *const *shards, int count);

/* Learning-rate and coefficient schedules over progress in [0, 1]. */
typedef enum cn_schedule {
    CN_SCHEDULE_CONSTANT,
    CN_SCHEDULE_LINEAR,
    CN_SCHEDULE_COSINE
} cn_schedule;
double cn_schedule_at(cn_schedule schedule, double start, double end, double progress);

#endif
