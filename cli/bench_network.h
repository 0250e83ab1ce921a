/* The network of the benchmarks: two columns 20-256-256-7 of tanh units, the first frozen, with
 * weights drawn from a fixed seed. */
#ifndef CN_CLI_BENCH_NETWORK_H
#define CN_CLI_BENCH_NETWORK_H

#include "progressive/net.h"

enum {
    CLI_NET_INPUTS = 20,
    CLI_NET_HIDDEN = 256,
    CLI_NET_OUTPUTS = 7,
    CLI_NET_ADAPTER = 64, /* units, with CN_LATERAL_ADAPTER */
};

typedef struct cli_network {
    cn_params *params;
    cn_net *net;
    cn_graph *actor; /* both columns, one row */
    cn_node input, output;
} cli_network;

/* @param out  owned; cli_network_destroy, also after a failure */
cn_status cli_network_create(cn_lateral lateral, cli_network *out, cn_error *err);
void cli_network_destroy(cli_network *network);

/* Adds both columns to a graph, on the same input. @return the output */
cn_node cli_network_build(const cli_network *network, cn_graph *graph, cn_node input);

/* One forward of the actor; the cli_bench_time work of a cli_network. */
void cli_network_act(void *network);

#endif
