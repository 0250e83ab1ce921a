/* Whether mpirun or srun started this process among others, and the others as peers. MPI is loaded
 * only then: a plugin, so that other runs need no MPI. */
#ifndef CN_CLI_RANKS_H
#define CN_CLI_RANKS_H

#include "policy/peers.h"

/* How many processes were started together; 1: this one alone. */
int cli_ranks_started(void);

/* Joins the others; once a process.
 * @param out    owned; NULL when this process is alone
 * @param cores  out: processor cores that are this process's share
 * @return CN_ERR_NOT_FOUND when the plugin or its MPI library is missing, CN_ERR_IO. */
cn_status cli_ranks_open(cn_peers **out, int *cores, cn_error *err);

#endif
