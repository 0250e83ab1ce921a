/* The live control loop: frame in, observation, policy, command out, at the task's rate, until the
 * time is over, somebody says stop, or the robot is lost. The loop allocates nothing, waits on no
 * disk, and leaves the arm stopped smoothly and holding. */
#ifndef CN_BRIDGE_CONTROL_H
#define CN_BRIDGE_CONTROL_H

#include <stdatomic.h>

#include "base/histogram.h"
#include "bridge/clocks.h"
#include "bridge/log.h"
#include "bridge/robot_env.h"

/* The policy: observation [observation_size] -> action [action_size], unclipped. Must not allocate.
 */
typedef void cn_act(void *policy, const float *observation, float *action);

typedef struct cn_control_config {
    double seconds; /* > 0; infinity: until stopped */
    uint64_t seed;  /* of the first goal; every further goal adds one */
    cn_act *act;
    void *policy;            /* first argument of act; borrowed */
    cn_log *log;             /* borrowed; NULL: none */
    const atomic_bool *stop; /* borrowed; true: finish now (Ctrl-C); NULL: never */
    /* Called once a second with the seconds done, for a progress line; may be NULL. */
    void (*progress)(void *ctx, double seconds, uint64_t ticks, uint64_t misses);
    void *progress_ctx;
} cn_control_config;

typedef enum cn_control_end {
    CN_CONTROL_TIME,        /* the seconds are over */
    CN_CONTROL_INTERRUPTED, /* somebody said stop */
    CN_CONTROL_ROBOT_HELD,  /* the server stopped the arm and keeps it so: e-stop, lease lost */
    CN_CONTROL_ROBOT_LOST,  /* no frames any more */
} cn_control_end;
const char *
cn_control_end_words(cn_control_end end); /* "time", "interrupted", "safety", "robot lost" */

typedef struct cn_control_report {
    uint64_t ticks;            /* commands sent */
    uint64_t deadline_misses;  /* control periods without a command in time */
    uint64_t stale_frames;     /* periods in which no newer frame had come */
    uint64_t goals, successes; /* goals finished, and how many of them succeeded */
    cn_histogram latency;      /* ns, frame received to command sent */
    cn_histogram period;       /* ns, command to command */
    cn_durations servo;        /* of the robot's servo, period to period, as it said last */
    cn_histogram to_robot;     /* ns, command sent to command taken by the robot */
    cn_histogram from_robot;   /* ns, frame published to frame received */
    uint64_t negative;         /* of both, those that came out below 0, and are not in there: the
                                  clocks are not known well enough */
    cn_clocks_estimate clock;  /* the robot's, at the end */
    uint64_t refused[CN_REFUSALS]; /* what the robot refused meanwhile, by reason */
    cn_control_end end;
    char last_refusal[128]; /* the robot's words; "" when it refused nothing */
} cn_control_report;

/* @return CN_OK however the loop ended in order (see report->end); otherwise why it could not run.
 */
cn_status cn_control_run(cn_link *link, const cn_robot_observer *observer,
                         const cn_control_config *config, cn_control_report *report, cn_error *err);

#endif
