/* What the files of policy/ share: the inside of a policy. */
#ifndef CN_POLICY_INTERNAL_H
#define CN_POLICY_INTERNAL_H

#include "policy/policy.h"

struct cn_policy {
    cn_env_spec spec;
    cn_params *params;
    cn_net *actor, *critic;
    int columns;
    cn_policy_column column[CN_MAX_COLUMNS];
    cn_normalizer normalizer[CN_MAX_COLUMNS];
    cn_param log_std[CN_MAX_COLUMNS]; /* [1, action_size] */
};

#endif
