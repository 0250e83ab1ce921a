/* Peers on MPI.
 *
 * Legend: R ranks; a block of n floats is cut into R parts of p = ceil(n / R), the last padded. */
#define _GNU_SOURCE /* sched_getaffinity: mpirun binds ranks to cores, and POSIX cannot tell */
#include "mpi/ranks.h"

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct ranks {
    cn_peers peers;
    size_t room;  /* floats in each of: */
    float *sent;  /* [R, p] */
    float *taken; /* [R, p] this rank's part of everybody's block */
    bool broken;  /* a call failed here that the others may be waiting in */
} ranks;

static cn_status failed(ranks *r, int code, const char *what, cn_error *err)
{
    r->broken = true;
    char words[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(code, words, &length) != MPI_SUCCESS)
        snprintf(words, sizeof words, "error %d", code);
    CN_FAIL(CN_ERR_IO, err, "%s among the ranks failed: %s", what, words);
}

#define TRY_MPI(r, call, what, err)                                                                \
    do {                                                                                           \
        const int try_code_ = (call);                                                              \
        if (try_code_ != MPI_SUCCESS)                                                              \
            return failed(r, try_code_, what, err);                                                \
    } while (0)

/* Room for a block of n floats: allocates only for a longer one than any before. The others are in
 * the sum already, so a failure breaks it. */
static cn_status reserve(ranks *r, size_t n, cn_error *err)
{
    if (n <= r->room)
        return CN_OK;
    free(r->sent);
    free(r->taken);
    r->room = 0;
    r->sent = calloc(n, sizeof *r->sent);
    r->taken = calloc(n, sizeof *r->taken);
    r->broken = !r->sent || !r->taken;
    CN_FAIL_IF(r->broken, CN_ERR_MEMORY, err, "no memory to add blocks of %zu floats", n);
    r->room = n;
    return CN_OK;
}

static cn_status sum(cn_peers *peers, float *block, size_t count, cn_error *err)
{
    ranks *r = (ranks *)peers;
    const size_t R = (size_t)peers->size, part = (count + R - 1) / R;
    if (count == 0)
        return CN_OK;
    CN_FAIL_IF(part > INT_MAX, CN_ERR_ARGUMENT, err, "a block of %zu floats is too long for MPI",
               count);
    CN_TRY(reserve(r, R * part, err));
    memcpy(r->sent, block, count * sizeof *block);
    memset(r->sent + count, 0, (R * part - count) * sizeof *block);
    TRY_MPI(
        r,
        MPI_Alltoall(r->sent, (int)part, MPI_FLOAT, r->taken, (int)part, MPI_FLOAT, MPI_COMM_WORLD),
        "adding", err);
    for (size_t k = 1; k < R; k++)
        for (size_t i = 0; i < part; i++)
            r->taken[i] += r->taken[k * part + i];
    TRY_MPI(r,
            MPI_Allgather(r->taken, (int)part, MPI_FLOAT, r->sent, (int)part, MPI_FLOAT,
                          MPI_COMM_WORLD),
            "adding", err);
    memcpy(block, r->sent, count * sizeof *block);
    return CN_OK;
}

static cn_status gather(cn_peers *peers, const void *mine, size_t bytes, void *all, cn_error *err)
{
    ranks *r = (ranks *)peers;
    const bool in_place = mine == (const char *)all + (size_t)peers->rank * bytes;
    CN_FAIL_IF(bytes > INT_MAX, CN_ERR_ARGUMENT, err, "%zu bytes are too many for MPI", bytes);
    TRY_MPI(r,
            MPI_Allgather(in_place ? MPI_IN_PLACE : mine, (int)bytes, MPI_BYTE, all, (int)bytes,
                          MPI_BYTE, MPI_COMM_WORLD),
            "gathering", err);
    return CN_OK;
}

static cn_status broadcast(cn_peers *peers, int root, void *block, size_t bytes, cn_error *err)
{
    ranks *r = (ranks *)peers;
    CN_FAIL_IF(bytes > INT_MAX, CN_ERR_ARGUMENT, err, "%zu bytes are too many for MPI", bytes);
    TRY_MPI(r, MPI_Bcast(block, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD), "broadcasting", err);
    return CN_OK;
}

static void destroy(cn_peers *peers)
{
    ranks *r = (ranks *)peers;
    if (r->broken) /* to finalise would be to wait for them */
        MPI_Abort(MPI_COMM_WORLD, 1);
    else
        MPI_Finalize();
    free(r->sent);
    free(r->taken);
    free(r);
}

/* A rank that is bound to some cores has them to itself; one that is not shares the machine's with
 * the others there. */
static cn_status count_cores(ranks *r, int *cores, cn_error *err)
{
    MPI_Comm machine;
    int neighbours = 1;
    TRY_MPI(r,
            MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
            "counting", err);
    TRY_MPI(r, MPI_Comm_size(machine, &neighbours), "counting", err);
    TRY_MPI(r, MPI_Comm_free(&machine), "counting", err);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;
    const int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)online;
    const int share = (int)online / neighbours;
    *cores = allowed < share ? allowed : share;
    if (*cores < 1)
        *cores = 1;
    return CN_OK;
}

static cn_status begin(ranks *r, int *cores, cn_error *err)
{
    TRY_MPI(r, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "beginning", err);
    TRY_MPI(r, MPI_Comm_rank(MPI_COMM_WORLD, &r->peers.rank), "beginning", err);
    TRY_MPI(r, MPI_Comm_size(MPI_COMM_WORLD, &r->peers.size), "beginning", err);
    CN_FAIL_IF(r->peers.size > CN_MAX_RANKS, CN_ERR_ARGUMENT, err,
               "%d ranks; there may be %d at most", r->peers.size, CN_MAX_RANKS);
    return count_cores(r, cores, err);
}

cn_status cn_ranks_open(cn_peers **out, int *cores, cn_error *err)
{
    *out = NULL;
    int provided;
    ranks *r = calloc(1, sizeof *r);
    CN_FAIL_IF(!r, CN_ERR_MEMORY, err, "no memory for ranks");
    r->peers = (cn_peers){.sum = sum, .gather = gather, .broadcast = broadcast, .destroy = destroy};
    /* One thread calls MPI; those of the pools don't. */
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        free(r);
        CN_FAIL(CN_ERR_IO, err, "MPI does not start; was this process started by mpirun?");
    }
    const cn_status status = begin(r, cores, err);
    if (status == CN_OK)
        *out = &r->peers;
    else
        destroy(&r->peers);
    return status;
}
