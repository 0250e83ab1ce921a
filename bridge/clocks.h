/* How far the robot's clock is from ours, and how far it drifts: estimated from the round trips of
 * commands and frames, as NTP does. Fixed memory; adding a round trip allocates nothing.
 *
 * A command leaves at sent (our clock) and is taken at `taken` (the robot's); a frame leaves at
 * `published` (the robot's) and comes at `received` (ours). With the same delay both ways the
 * robot's clock is ahead of ours by ((taken - sent) + (published - received)) / 2; whatever the
 * delays are, it is wrong by no more than half the round trip, (received - sent) - (published -
 * taken). So the shortest round trips say most: those of a sliding window are kept, and a line
 * through them gives the drift.
 *
 * Source: Mills, Martin, Burbank, Kasch, "Network Time Protocol Version 4", RFC 5905, sections 8
 * and 10. Instead of its discipline of a local clock: the median of the slopes between all pairs of
 * window minima (Theil 1950, Sen 1968), which half of them being wrong by little, or a quarter by
 * anything, does not spoil. */
#ifndef CN_BRIDGE_CLOCKS_H
#define CN_BRIDGE_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

enum { CN_CLOCKS_WINDOWS = 16 /* whose shortest round trips are kept */ };

/* The four times of a round trip, ns. */
typedef struct cn_exchange {
    int64_t sent_ns;      /* the command, by our clock; 0: there was none */
    int64_t taken_ns;     /* by the robot's clock */
    int64_t published_ns; /* the frame, by the robot's clock */
    int64_t received_ns;  /* by ours */
} cn_exchange;

/* A round trip as a measurement. */
typedef struct cn_clocks_point {
    int64_t at_ns;     /* our clock, in its middle */
    int64_t offset_ns; /* the robot's clock minus ours */
    int64_t trip_ns;   /* on the way, both ways together */
} cn_clocks_point;

/* A zeroed struct knows nothing yet. */
typedef struct cn_clocks {
    cn_clocks_point minimum[CN_CLOCKS_WINDOWS]; /* of the last windows, a ring */
    int windows;                                /* of them filled */
    int next;                                   /* to be written */
    cn_clocks_point best;                       /* of the present window */
    int64_t window_ends_ns;
    double drift, wander; /* s/s; and by how much it may be wrong */
    bool drifts;          /* drift has been estimated */
    int strangers;        /* round trips in a row that cannot be true if the estimate is */
    uint64_t samples, jumps;
} cn_clocks;

typedef struct cn_clocks_estimate {
    bool known;             /* there has been a round trip */
    int64_t offset_ns;      /* the robot's clock minus ours, now */
    int64_t uncertainty_ns; /* the offset is no further off than this, whatever the delays are */
    double drift_ppm;       /* how much faster its clock is; NAN: observed for too short a time */
    double drift_uncertainty_ppm; /* likewise */
    uint64_t samples;             /* round trips used */
    uint64_t jumps;               /* of the robot's clock; after one the estimate begins anew */
} cn_clocks_estimate;

/* Adds a round trip. A clock that jumps by more than the uncertainty shows in round trips that
 * contradict the estimate: after three in a row it is forgotten and begins anew with the third.
 * @return false: it was not used: its times are in no possible order, or contradict the estimate */
bool cn_clocks_add(cn_clocks *clocks, const cn_exchange *exchange);

/* @param now_ns  by our clock */
cn_clocks_estimate cn_clocks_now(const cn_clocks *clocks, int64_t now_ns);

#endif
