/* Replay of a logged episode: check every action against a policy, or play the commands to a robot.
 */
#ifndef CN_BRIDGE_REPLAY_H
#define CN_BRIDGE_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bridge/control.h"
#include "bridge/episode.h"
#include "bridge/link.h"

typedef struct cn_verify_report {
    uint64_t messages;
    uint64_t actions_checked;
    uint64_t mismatches;    /* actions that differ in any bit */
    double max_abs_error;   /* of the finite differences */
    int64_t first_mismatch; /* tick, or -1 */
} cn_verify_report;

/* Computes every logged action again from its logged observation and compares bit for bit.
 * @return CN_ERR_MISMATCH when sizes differ, CN_ERR_NOT_FOUND when the log has no policy steps. */
cn_status cn_replay_verify(const cn_episode *episode, cn_act *act, void *policy,
                           int observation_size, int action_size, cn_verify_report *report,
                           cn_error *err);

/* Asked once a control period while a robot is played to, and several times a second in a pause;
 * must not wait.
 * @param seconds  of the log, from its first command to where playing is
 * @return whether to play on; false: pause */
typedef bool cn_play_watch(void *watcher, double seconds);

typedef struct cn_play_config {
    double rate; /* > 0; above 1 commands are passed over, below 1 they are repeated */
    double
        speed; /* of gentle motions: fraction of each joint's velocity limit, above 0, at most 1 */
    const atomic_bool *stop; /* borrowed; NULL: never */
    cn_play_watch *watch;    /* NULL: nobody pauses */
    void *watcher;           /* borrowed */
} cn_play_config;

typedef struct cn_play_report {
    uint64_t commands;        /* of the log, sent */
    uint64_t deadline_misses; /* control periods that went by without a command */
    double joint_rmse;        /* rad or m: measured now against measured then */
} cn_play_report;

/* Plays logged commands to a robot: first moves gently to the first logged pose, then sends each
 * command when it is due: as many of the robot's control periods after the first as lay between the
 * frames that the two answered, divided by rate. So real time and lockstep play alike. Takes the
 * lease, and gives it back: the arm then brakes and holds. So it does in a pause, after which it is
 * moved gently to the pose where the log goes on.
 * @param report filled as far as it went, also on failure
 * @return CN_ERR_ARGUMENT (rate, speed), CN_ERR_NOT_FOUND (nothing to play), CN_ERR_MISMATCH
 * (another arm or control period), CN_ERR_TIMEOUT (robot lost, pose not reached), CN_ERR_SAFETY
 *         (emergency stop), CN_ERR_REFUSED (lease, the robot does not follow), CN_ERR_CANCELLED
 * (stop became true; the arm holds). */
cn_status cn_replay_play(const cn_episode *episode, cn_link *link, const cn_play_config *config,
                         cn_play_report *report, cn_error *err);

#endif
