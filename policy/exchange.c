/* Exchanges between the ranks of a run.
 *
 * Legend: R ranks, P parameters that are not frozen, M numbers of a normaliser. */
#include "policy/exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct cn_exchange {
    cn_peers *peers;
    cn_params *params;
    float *block;    /* [P + CN_EXCHANGED_NUMBERS] */
    double *moments; /* [1 + 2 M] count, mean, square of this rank, */
    double *all;     /* [R, 1 + 2 M] and of all */
    int64_t spent_ns;
};

cn_status cn_exchange_create(cn_peers *peers, cn_params *params, int moments, cn_exchange **out,
                             cn_error *err)
{
    *out = NULL;
    const size_t P = cn_params_trainable(params), M = (size_t)moments, R = (size_t)peers->size;
    cn_exchange *e = calloc(1, sizeof *e);
    CN_FAIL_IF(!e, CN_ERR_MEMORY, err, "no memory for an exchange between ranks");
    *e = (cn_exchange){
        .peers = peers,
        .params = params,
        .block = calloc(P + CN_EXCHANGED_NUMBERS, sizeof *e->block),
        .moments = calloc(1 + 2 * M, sizeof *e->moments),
        .all = calloc(R * (1 + 2 * M), sizeof *e->all),
    };
    if (!e->block || !e->moments || !e->all) {
        cn_exchange_destroy(&e);
        CN_FAIL(CN_ERR_MEMORY, err, "no memory for an exchange of %zu gradients between %zu ranks",
                P, R);
    }
    *out = e;
    return CN_OK;
}

void cn_exchange_destroy(cn_exchange **exchange)
{
    cn_exchange *e = *exchange;
    if (!e)
        return;
    free(e->block);
    free(e->moments);
    free(e->all);
    free(e);
    *exchange = NULL;
}

/* Copies the gradients into the block, or their means back. @return how many */
static size_t pack(cn_exchange *e)
{
    size_t n = 0;
    for (cn_param i = 0; i < cn_params_slices(e->params); i++) {
        const cn_param_info *slice = cn_params_info(e->params, i);
        if (slice->frozen)
            continue;
        memcpy(e->block + n, cn_params_grads(e->params) + slice->offset,
               slice->count * sizeof(float));
        n += slice->count;
    }
    return n;
}

static void unpack(cn_exchange *e)
{
    const float share = 1.0f / (float)e->peers->size;
    size_t n = 0;
    for (cn_param i = 0; i < cn_params_slices(e->params); i++) {
        const cn_param_info *slice = cn_params_info(e->params, i);
        if (slice->frozen)
            continue;
        float *g = cn_params_grads(e->params) + slice->offset;
        for (size_t k = 0; k < slice->count; k++)
            g[k] = e->block[n + k] * share;
        n += slice->count;
    }
}

cn_status cn_exchange_means(cn_exchange *e, double *numbers, int count, cn_error *err)
{
    CN_FAIL_IF(count > CN_EXCHANGED_NUMBERS, CN_ERR_ARGUMENT, err, "%d numbers; %d can go along",
               count, CN_EXCHANGED_NUMBERS);
    const size_t n = pack(e);
    for (int i = 0; i < count; i++)
        e->block[n + (size_t)i] = (float)numbers[i];
    const int64_t began = cn_clock_now();
    CN_TRY(e->peers->sum(e->peers, e->block, n + (size_t)count, err));
    e->spent_ns += cn_clock_now() - began;
    for (int i = 0; i < count; i++)
        numbers[i] = (double)e->block[n + (size_t)i] / e->peers->size;
    unpack(e);
    return CN_OK;
}

cn_status cn_exchange_moments(cn_exchange *e, cn_normalizer *mine, cn_normalizer *all,
                              cn_error *err)
{
    const size_t M = (size_t)mine->size, numbers = 1 + 2 * M;
    e->moments[0] = mine->count;
    memcpy(e->moments + 1, mine->mean, M * sizeof *mine->mean);
    memcpy(e->moments + 1 + M, mine->square, M * sizeof *mine->square);
    CN_TRY(e->peers->gather(e->peers, e->moments, numbers * sizeof *e->moments, e->all, err));
    for (int r = 0; r < e->peers->size; r++) {
        const double *of = e->all + (size_t)r * numbers;
        cn_normalizer_merge(all, of[0], of + 1, of + 1 + M);
    }
    cn_normalizer_empty(mine);
    return CN_OK;
}

cn_status cn_exchange_check(cn_exchange *e, int64_t updates, cn_error *err)
{
    char what[64];
    snprintf(what, sizeof what, "the parameters after %" PRId64 " updates", updates);
    return cn_peers_compare(e->peers, cn_params_checksum(e->params, ""), what, err);
}

double cn_exchange_seconds(cn_exchange *e)
{
    const double seconds = (double)e->spent_ns / (double)CN_NS_PER_S;
    e->spent_ns = 0;
    return seconds;
}
