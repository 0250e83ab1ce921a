/* Peers: the processes, or ranks, that train one policy together, each with environments of its
 * own. Rank 0 writes files and speaks. Learners and the training loop know of the others what is
 * here; mpi/ implements it on Open MPI. NULL stands for a process on its own.
 *
 * Every function is collective: all ranks call it, in the same order, with the same sizes, from one
 * thread each. What it leaves behind is the same bits on every rank, and depends on what was given
 * and on the order of the ranks alone, never on timing or network. After a failure the peers are
 * only good for destruction. */
#ifndef CN_POLICY_PEERS_H
#define CN_POLICY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CN_MAX_RANKS 4096

typedef struct cn_peers cn_peers;
struct cn_peers {
    int rank; /* 0..size-1 */
    int size; /* 1..CN_MAX_RANKS */

    /* block[i] becomes the sum of all ranks' block[i], added in the order of the ranks. */
    cn_status (*sum)(cn_peers *peers, float *block, size_t count, cn_error *err);

    /* @param mine  [bytes]; may be this rank's place in `all`
     * @param all   [size, bytes] out: every rank's, in their order */
    cn_status (*gather)(cn_peers *peers, const void *mine, size_t bytes, void *all, cn_error *err);

    /* @param block  [bytes] that of `root`, on every rank */
    cn_status (*broadcast)(cn_peers *peers, int root, void *block, size_t bytes, cn_error *err);

    void (*destroy)(cn_peers *peers); /* frees peers */
};

/* Destroys and nulls; NULL and a second call do nothing. */
void cn_peers_destroy(cn_peers **peers);

/* What a process on its own is, too: rank 0 of 1. */
int cn_peers_rank(const cn_peers *peers);
int cn_peers_size(const cn_peers *peers);

/* The seed of this rank's environments and choices; rank 0 has the run's own. */
uint64_t cn_peers_seed(const cn_peers *peers, uint64_t seed);

/* A failure of one is a failure of all: they return the status of the first rank that failed, with
 * its message and its number. */
cn_status cn_peers_agree(cn_peers *peers, cn_status mine, cn_error *err);

/* Whether *flag is true on any rank. */
cn_status cn_peers_any(cn_peers *peers, bool *flag, cn_error *err);

/* Whether a number is the same on every rank.
 * @param what  names it: "the parameters after 300 updates"
 * @return CN_ERR_CHECKSUM naming the first rank that has another than rank 0, and both. */
cn_status cn_peers_compare(cn_peers *peers, uint64_t number, const char *what, cn_error *err);

#endif
