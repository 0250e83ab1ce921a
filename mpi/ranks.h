/* Ranks: the processes that mpirun or srun started together, as peers, on MPI.
 *
 * MPI only moves bytes here. Sums are made by us, in the order of the ranks: each rank receives its
 * part of everybody's block, adds the parts, and gives the sum to all. That moves as many bytes as
 * the best allreduce for long blocks (Rabenseifner 2004), and the bits depend neither on the MPI
 * library's choice of an algorithm nor on the network: MPI_Allreduce promises neither. */
#ifndef CN_MPI_RANKS_H
#define CN_MPI_RANKS_H

#include "policy/peers.h"

/* Initialises MPI; once a process, and only where mpirun or srun started it. The program finds this
 * function in a plugin, by its name.
 * @param out    owned; destroying it finalises MPI, which waits for the other ranks
 * @param cores  out: the processor cores that this rank may use, shared out fairly among the ranks
 *               of the machine; >= 1
 * @return CN_ERR_IO (MPI failed, with its words), CN_ERR_ARGUMENT (more than CN_MAX_RANKS). */
cn_status cn_ranks_open(cn_peers **out, int *cores, cn_error *err);
typedef cn_status cn_ranks_opener(cn_peers **out, int *cores, cn_error *err);

#endif
