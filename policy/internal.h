/* What the files of policy/ share: the inside of a policy, and its file with more in it. */
#ifndef CN_POLICY_INTERNAL_H
#define CN_POLICY_INTERNAL_H

#include "policy/policy.h"
#include "tensor/safetensors.h"

struct cn_policy {
    cn_env_spec spec;
    cn_params *params;
    cn_net *actor, *critic;
    int columns;
    cn_policy_column column[CN_MAX_COLUMNS];
    cn_normalizer normalizer[CN_MAX_COLUMNS];
    cn_param log_std[CN_MAX_COLUMNS];        /* [1, action_size] */
    cn_param log_std_weight[CN_MAX_COLUMNS]; /* [action_size, its sources]; -1: none */
};

/* cn_policy_save with further tensors in the same file; their names must not be those of
 * parameters. */
cn_status cn_policy_write(const cn_policy *policy, const char *path, const cn_tensor_view *extra,
                          int extra_count, cn_error *err);

/* Copies the tensor that has want's name into out. @return CN_ERR_FORMAT (missing), CN_ERR_SHAPE
 * (of another type or shape than want's), both naming path and tensor. */
cn_status cn_policy_read_tensor(const char *path, const cn_safetensors *file,
                                const cn_tensor_view *want, void *out, cn_error *err);

#endif
