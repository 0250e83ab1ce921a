/* The robot's side of `bench link`: exchanges of a frame for a command, timed from the moment the
 * frame is handed over until its command has been taken. Two kinds of them, in turn: with the
 * bridge, and with bare ZeroMQ sockets that carry as many bytes. */
#ifndef CN_CLI_BENCH_EXCHANGE_H
#define CN_CLI_BENCH_EXCHANGE_H

#include "bridge/plant.h"

/* How long each exchange of a block took, ns. What is beyond `most` is not kept. */
typedef struct cli_exchanges {
    int64_t *ns; /* [most] */
    int count, most;
    int lost; /* frames without a command within 0.1 s; sent again, and in no quantile */
} cli_exchanges;

/* The q-quantile in seconds; sorts them. NaN: there are none. */
double cli_exchanges_quantile(cli_exchanges *exchanges, double q);

/* ---- With the bridge ---- */

/* A robot made of what a robot server is made of in real time, wire, gate and safety filter, which
 * takes a command when it comes and not at the next servo tick, and then sends the next frame. */
typedef struct cli_bench_robot cli_bench_robot;

/* @param endpoint  of the state socket; the request socket's is `requests`
 * @param plant     borrowed; a simulated one, which moves between two exchanges
 * @param out       owned; cli_bench_robot_destroy */
cn_status cli_robot_create(cn_plant *plant, const char *endpoint, const char *requests,
                           cli_bench_robot **out, cn_error *err);
void cli_bench_robot_destroy(cli_bench_robot **robot);

/* Serves one controller from its lease to its release.
 * @param rate  frames/s; 0: at once, one after the other
 * @return CN_ERR_TIMEOUT: nobody came, or he went without a word; CN_ERR_CANCELLED: Ctrl-C;
 * CN_ERR_REFUSED: what he sent is no answer to a frame; the plant's failure */
cn_status cli_bench_robot_serve(cli_bench_robot *robot, double rate, cli_exchanges *out,
                                cn_error *err);

/* Bytes of the last frame sent and of the last command taken, as ZeroMQ carried them. */
void cli_bench_robot_sizes(const cli_bench_robot *robot, int *frame, int *command);

/* ---- With bare sockets of the same kinds ---- */

/* One end: PUB and ROUTER of the robot, or SUB and DEALER of the controller. */
typedef struct cli_echo {
    void *context, *state, *requests;
} cli_echo;

/* @param robot  which end; that of the robot binds */
cn_status cli_echo_open(bool robot, const char *state, const char *requests, cli_echo *out,
                        cn_error *err);
void cli_echo_close(cli_echo *echo); /* also after a failure, and twice */

/* The robot's end of a block of so many seconds. */
cn_status cli_echo_ask(cli_echo *echo, int frame_bytes, double rate, double seconds,
                       cli_exchanges *out, cn_error *err);

/* The controller's end of one. */
cn_status cli_echo_answer(cli_echo *echo, int command_bytes, cn_error *err);

#endif
