/* Logged episodes as transitions that a learner can replay: every policy step with the frame after
 * its own. What the log does not hold, the outcome of the last action before a new goal or before a
 * frame without a decision, the observer computes from the logged readings. A step is left out
 * where the frame after its own, numbered one higher, was not logged: what came later came of more
 * than one period. */
#ifndef CN_BRIDGE_DEMONSTRATIONS_H
#define CN_BRIDGE_DEMONSTRATIONS_H

#include "bridge/robot_env.h"
#include "policy/replay_buffer.h"

#define CN_MAX_DEMONSTRATIONS 64 /* logs at once */

/* Rewards are those that were logged. Actions are clipped to [-1, 1], as the arm took them.
 * @param paths     [count], 1..CN_MAX_DEMONSTRATIONS
 * @param observer  its state is lost
 * @param out       owned; cn_replay_destroy
 * @return what cn_episode_load fails with; CN_ERR_MISMATCH (another arm, task, control period, or
 *         sizes; observations that the observer does not make from the logged readings),
 *         CN_ERR_NOT_FOUND (a log without policy steps, or without a transition), CN_ERR_ARGUMENT,
 * CN_ERR_MEMORY: all naming the log. */
cn_status cn_demonstrations_load(const char *const *paths, int count,
                                 const cn_robot_observer *observer, cn_replay **out, cn_error *err);

#endif
