/* Which learner an algorithm is. */
#include "policy/learner.h"

#include "policy/ppo.h"
#include "policy/ppo_learner.h"
#include "policy/sac_learner.h"

cn_status cn_learner_check(const cn_train_config *config, cn_error *err)
{
    switch (config->algorithm) {
    case CN_PPO:
        return cn_ppo_check_settings(config, err);
    case CN_SAC:
        return cn_sac_check_settings(config, err);
    }
    CN_FAIL(CN_ERR_ARGUMENT, err, "no algorithm has the number %d", (int)config->algorithm);
}

cn_status cn_learner_create(const cn_learner_setup *setup, cn_learner **out, cn_error *err)
{
    *out = NULL;
    CN_TRY(cn_learner_check(setup->config, err));
    const int ranks = cn_peers_size(setup->peers);
    CN_FAIL_IF(ranks > 1 && setup->config->algorithm != CN_PPO, CN_ERR_ARGUMENT, err,
               "only ppo learns on several ranks, and these are %d; start this run without mpirun",
               ranks);
    if (setup->config->algorithm == CN_SAC)
        return cn_sac_learner_create(setup, out, err);
    CN_FAIL_IF(setup->demos, CN_ERR_ARGUMENT, err,
               "PPO learns from its own steps only; demos are for sac");
    return cn_ppo_learner_create(setup, out, err);
}

void cn_learner_destroy(cn_learner **learner)
{
    if (*learner)
        (*learner)->destroy(*learner);
    *learner = NULL;
}
