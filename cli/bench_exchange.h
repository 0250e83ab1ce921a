/* The robot's side of `bench link`: exchanges of a sensor frame for the command that answers it.
 * Two kinds, in turn: with a robot server, and with bare ZeroMQ sockets that carry as many bytes.
 */
#ifndef CN_CLI_BENCH_EXCHANGE_H
#define CN_CLI_BENCH_EXCHANGE_H

#include "bridge/server.h"

/* How long each exchange of a block took, ns. What is beyond `most` is not kept. */
typedef struct cli_exchanges {
    int64_t *ns; /* [most] */
    int count, most;
    int lost; /* frames that no command answered in time: the next was sent without one */
} cli_exchanges;

/* The q-quantile in seconds; sorts them. NaN: there are none. */
double cli_exchanges_quantile(cli_exchanges *exchanges, double q);

/* ---- With a robot server ---- */

/* A plant before another one: it notes when it was read and when it was commanded. */
typedef struct cli_timed_plant {
    cn_plant plant;  /* first; never destroyed itself */
    cn_plant *inner; /* borrowed */
    int64_t read_ns, command_ns;
} cli_timed_plant;

void cli_timed_plant_init(cli_timed_plant *timed, cn_plant *inner);

/* Lets a real-time server of that plant exchange frames for commands: from the reading of the
 * sensors to what gate and safety filter let through to the arm, which then moves.
 * @param rate     frames/s; 0: at once, one after the other
 * @param outcome  a pipe: a block ends when the controller says there how it went
 * @return CN_ERR_CANCELLED: Ctrl-C; the plant's failure */
cn_status cli_exchange_served(cn_server *server, cli_timed_plant *plant, double rate, int outcome,
                              cli_exchanges *out, cn_error *err);

/* ---- With bare sockets of the same kinds ---- */

/* One end: PUB and ROUTER of the robot, or SUB and DEALER of the controller. */
typedef struct cli_echo {
    void *context, *state, *requests;
} cli_echo;

/* @param robot  which end; that of the robot binds */
cn_status cli_echo_open(bool robot, const char *state, const char *requests, cli_echo *out,
                        cn_error *err);
void cli_echo_close(cli_echo *echo); /* also after a failure, and twice */

/* The robot's end of a block of so many seconds, which it ends itself. */
cn_status cli_exchange_bare(cli_echo *echo, int frame_bytes, int command_bytes, double rate,
                            double seconds, cli_exchanges *out, cn_error *err);

/* The controller's end of one. */
cn_status cli_echo_answer(cli_echo *echo, cn_error *err);

#endif
