/* SAC as a learner: it collects a little, remembers it, and updates from what it remembers.
 *
 * An iteration is `rollout_steps` steps of every environment, `update_every` at a time, each time
 * followed by `updates_per_step` updates for every environment step. For the first
 * `learning_starts` steps it only collects: with uniform actions when the column is a fresh
 * network, else with its own, so that what was learned before is what the critics learn about
 * first.
 *
 * Observations are normalised with statistics of those first steps (and of the demos), which then
 * stand: a transition that is replayed later must mean what it meant, to the critics' targets above
 * all. A column that brings statistics keeps them, and one that learned without any goes on
 * without.
 */
#ifndef CN_POLICY_SAC_LEARNER_H
#define CN_POLICY_SAC_LEARNER_H

#include "policy/learner.h"

/* Whether something would be learned with these settings.
 * @return CN_ERR_ARGUMENT: learning_starts or actor_starts beyond the run's steps, not one update,
 *         rollout_steps no multiple of update_every */
cn_status cn_sac_check_settings(const cn_train_config *config, cn_error *err);

/* Gives the column a standard deviation that depends on the state, if it has none.
 * @return what cn_sac_check_settings, cn_collector_create_transitions, cn_replay_create and
 * cn_sac_create fail with. */
cn_status cn_sac_learner_create(const cn_learner_setup *setup, cn_learner **out, cn_error *err);

#endif
