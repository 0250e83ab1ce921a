/* A training set in robomimic's HDF5 layout, written demonstration by demonstration.
 *
 *   data                 total, env_args (JSON: task, arm, joints, actions, observation groups)
 *   data/demo_N          num_samples; log, goal, success, left_out
 *     actions   (n, A)   float32, in [-1, 1]: as the arm was commanded, before its own limits
 *     rewards   (n,)     float32, of what came of the action
 *     dones     (n,)     int64, 1 at the last sample
 *     states    (n, S)   float64: positions, velocities, tracked points; no simulator's state
 *     obs/, next_obs/    joint_position, joint_velocity (n, J) and point_NAME (n, 3) float64;
 *                        observation (n, O) float32, what the policy saw
 *   mask/successful      names of the demonstrations that ended in success, if there are any
 *
 * Source: robomimic 0.3, docs/datasets/overview, "Dataset Structure", and its reader,
 * utils/dataset.py. */
#ifndef CN_CLI_ROBOMIMIC_H
#define CN_CLI_ROBOMIMIC_H

#include <stdint.h>

#include "bridge/demonstrations.h"

typedef struct cli_robomimic cli_robomimic;

typedef struct cli_robomimic_report {
    int64_t demos, samples, successes;
} cli_robomimic_report;

/* Begins the file beside `path`. HDF5 then says nothing on standard error any more, in this
 * process.
 * @param observer  copied; gives the names of joints and points
 * @param out       owned; cli_robomimic_destroy
 * @return CN_ERR_IO, CN_ERR_MEMORY. */
cn_status cli_robomimic_create(const char *path, const cn_robot_observer *observer,
                               cli_robomimic **out, cn_error *err);

/* Adds a sample to the present demonstration. @return CN_ERR_MEMORY. */
cn_status cli_robomimic_add(cli_robomimic *r, const cn_episode *episode, const cn_demonstration *d,
                            cn_error *err);

/* Writes the present demonstration; one without a sample is passed over.
 * @param log       path it is from
 * @param goal      the number of its goal in the log
 * @param left_out  decisions in between that no sample stands for: what came of them was not logged
 * @return CN_ERR_IO, CN_ERR_MEMORY. */
cn_status cli_robomimic_end_demo(cli_robomimic *r, const char *log, uint64_t goal, int left_out,
                                 cn_error *err);

/* Completes the file and puts it at its path, in place of what was there.
 * @return CN_ERR_IO, CN_ERR_MEMORY. */
cn_status cli_robomimic_finish(cli_robomimic *r, cli_robomimic_report *report, cn_error *err);

/* Frees; a file that was not finished is removed. NULL and a second call do nothing. */
void cli_robomimic_destroy(cli_robomimic **r);

#endif
