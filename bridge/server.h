/* The robot server: the only one who talks to a plant. It publishes frames, takes requests, and
 * lets a command through only if its sender holds the lease, it is newer than the last, still
 * valid and finite; what passes is kept within the limits (policy/safety.h). Silence ends in a
 * smooth stop. */
#ifndef CN_BRIDGE_SERVER_H
#define CN_BRIDGE_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/histogram.h"
#include "bridge/keys.h"
#include "bridge/log.h"
#include "bridge/plant.h"
#include "bridge/refusal.h"
#include "policy/keep_out.h"

typedef struct cn_server cn_server;

typedef struct cn_server_config {
    const char *endpoint;        /* of the state socket: tcp://0.0.0.0:5555, ipc:///tmp/arm */
    bool lockstep;               /* wait for Step requests instead of following the clock */
    const cn_keep_out *keep_out; /* boxes, borrowed while the server lives; NULL: none */
    cn_log *log;                 /* of the robot itself, borrowed; NULL: none */
    const cn_key *key;           /* of the robot, with its secret; NULL: no encryption */
    const cn_key_list *allowed;  /* who may connect; with `key`, borrowed while the server lives */
    bool open; /* without a key, listen to strangers as well: on addresses that other machines reach
                */
} cn_server_config;

typedef struct cn_server_stats {
    uint64_t frames; /* the last one's number: those that were skipped count */
    uint64_t commands_applied;
    uint64_t commands_refused;
    uint64_t deadline_misses;
    uint64_t watchdog_stops;
    uint64_t refused[CN_REFUSALS]; /* commands_refused by reason */
    char last_refusal[128];
    uint64_t leases_lapsed;   /* by silence */
    char last_lapsed[128];    /* and whose the last one was */
    cn_histogram period;      /* ns, servo period to servo period; empty in lockstep, as are: */
    cn_histogram work;        /* ns, of a period: its tick, and the requests taken after it */
    cn_histogram command_age; /* ns, frame published to its command taken */
    uint64_t overruns; /* ticks longer than a servo period, and requests between two that held up
                          the next one: where the robot itself was late */
    uint64_t keep_out_stops;           /* before a box */
    uint64_t connections_refused;      /* by the authenticator */
    char last_connection_refusal[128]; /* and why the last one was */
} cn_server_stats;

/* Binds both sockets. A tcp request socket takes the state port + 1 or, if that is taken, any free
 * one; an ipc request socket is the state path + ".request". An ipc path that a living server holds
 * is refused.
 * @param plant  borrowed; its control period must be a whole number of servo periods
 * @return CN_ERR_ARGUMENT (not an endpoint; one that other machines reach, without a key and not
 * `open`; a plant without limits, with rates that do not go
 * together, or one that cannot go in lockstep), CN_ERR_IO (address in use, no permission),
 * CN_ERR_MEMORY. */
cn_status cn_server_create(const cn_server_config *config, cn_plant *plant, cn_server **out,
                           cn_error *err);
void cn_server_destroy(cn_server **server);

/* Serves until *stop becomes true or the plant fails; in real time it stops the arm smoothly before
 * it returns, as long as the plant takes commands.
 * @return the plant's failure, if it had one; whoever asked for the motion has been told.
 * CN_ERR_FORMAT: it read what is no number. */
cn_status cn_server_run(cn_server *server, const atomic_bool *stop, cn_error *err);

/* What cn_server_run is made of in real time, for whoever keeps the clock himself: `bench link`,
 * which takes commands as they come and not at the next servo tick. Begin once; then take and tick.
 * @return the plant's failure; CN_ERR_FORMAT as above */
cn_status cn_server_begin(cn_server *server, cn_error *err);
/* Waits for a request, 50 ms at most, and serves it. @param commanded  a Command was let through */
cn_status cn_server_take(cn_server *server, bool *commanded, cn_error *err);
/* One servo tick. @param frame  a frame is taken after it, and published */
cn_status cn_server_tick(cn_server *server, bool frame, cn_error *err);

/* To be read by the thread that runs the server, or after it. */
cn_server_stats cn_server_statistics(cn_server *server);

/* Where the sockets really are (wildcards and port 0 resolved), for people. */
const char *cn_server_state_endpoint(const cn_server *server);
const char *cn_server_request_endpoint(const cn_server *server);

#endif
