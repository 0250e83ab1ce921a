/* What ranks agree on, from what every implementation of peers can do. */
#include "policy/peers.h"

#include <inttypes.h>
#include <stdio.h>

#include "tensor/rng.h"

void cn_peers_destroy(cn_peers **peers)
{
    if (*peers)
        (*peers)->destroy(*peers);
    *peers = NULL;
}

int cn_peers_rank(const cn_peers *peers)
{
    return peers ? peers->rank : 0;
}

int cn_peers_size(const cn_peers *peers)
{
    return peers ? peers->size : 1;
}

uint64_t cn_peers_seed(const cn_peers *peers, uint64_t seed)
{
    if (cn_peers_rank(peers) == 0)
        return seed;
    cn_rng rng = cn_rng_make(seed, UINT64_C(0x72616e6b) << 32 | (uint64_t)peers->rank);
    const uint64_t high = cn_rng_u32(&rng);
    return high << 32 | cn_rng_u32(&rng);
}

cn_status cn_peers_agree(cn_peers *peers, cn_status mine, cn_error *err)
{
    if (cn_peers_size(peers) == 1)
        return mine;
    int32_t all[CN_MAX_RANKS];
    const int32_t code = (int32_t)mine;
    CN_TRY(peers->gather(peers, &code, sizeof code, all, err));
    int first = 0;
    while (first < peers->size && all[first] == CN_OK)
        first++;
    if (first == peers->size)
        return CN_OK;
    cn_error failure = {0};
    if (peers->rank == first && err)
        failure = *err;
    if (peers->rank == first && !failure.message[0])
        cn_error_set(&failure, mine, __FILE__, __LINE__, "%s", cn_status_words(mine));
    CN_TRY(peers->broadcast(peers, first, &failure, sizeof failure, err));
    if (err)
        *err = failure;
    return cn_error_prefix(err, (cn_status)all[first], "rank %d of %d", first, peers->size);
}

cn_status cn_peers_any(cn_peers *peers, bool *flag, cn_error *err)
{
    if (cn_peers_size(peers) == 1)
        return CN_OK;
    unsigned char all[CN_MAX_RANKS];
    const unsigned char mine = *flag;
    CN_TRY(peers->gather(peers, &mine, sizeof mine, all, err));
    for (int r = 0; r < peers->size; r++)
        *flag = *flag || all[r];
    return CN_OK;
}

cn_status cn_peers_compare(cn_peers *peers, uint64_t number, const char *what, cn_error *err)
{
    if (cn_peers_size(peers) == 1)
        return CN_OK;
    uint64_t all[CN_MAX_RANKS];
    CN_TRY(peers->gather(peers, &number, sizeof number, all, err));
    for (int r = 1; r < peers->size; r++)
        CN_FAIL_IF(all[r] != all[0], CN_ERR_CHECKSUM, err,
                   "%s differ between ranks: checksum %016" PRIx64 " on rank 0, %016" PRIx64
                   " on rank %d; a processor or its memory errs, or the ranks' processors or "
                   "libraries are of different kinds",
                   what, all[0], all[r], r);
    return CN_OK;
}
