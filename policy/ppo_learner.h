/* PPO as a learner: an iteration is a rollout of every environment and an update from it. */
#ifndef CN_POLICY_PPO_LEARNER_H
#define CN_POLICY_PPO_LEARNER_H

#include "policy/learner.h"

/* @return what cn_collector_create and cn_ppo_create fail with. */
cn_status cn_ppo_learner_create(const cn_learner_setup *setup, cn_learner **out, cn_error *err);

#endif
