/* The other processes that mpirun or srun started together with this one, as peers. MPI is a
 * plugin, loaded only then: other runs need no MPI, nor its start-up time. */
#ifndef CN_CLI_RANKS_H
#define CN_CLI_RANKS_H

#include "policy/peers.h"

/* Joins the others, if there are any; waits for them. Ranks other than 0 are silent from then on:
 * their standard output goes nowhere.
 * @return CN_ERR_NOT_FOUND when the plugin or its MPI library is missing, CN_ERR_IO. */
cn_status cli_ranks_join(cn_error *err);

/* Takes leave of them: ends when all have. */
void cli_ranks_leave(void);

/* NULL: this process is alone. */
cn_peers *cli_ranks(void);

/* Processor cores that are this process's share. */
int cli_ranks_cores(void);

#endif
