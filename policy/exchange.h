/* What the ranks of a run exchange while they learn: gradients, one block a minibatch, and what
 * their normalisers have seen. After each exchange all ranks hold the same bits. */
#ifndef CN_POLICY_EXCHANGE_H
#define CN_POLICY_EXCHANGE_H

#include "policy/normalizer.h"
#include "policy/peers.h"
#include "tensor/params.h"

#define CN_EXCHANGED_NUMBERS 8 /* at most, beside the gradients */

typedef struct cn_exchange cn_exchange;

/* @param peers, params  borrowed; what is frozen in params stays so
 * @param moments        size of the longest normaliser that will be merged */
cn_status cn_exchange_create(cn_peers *peers, cn_params *params, int moments, cn_exchange **out,
                             cn_error *err);
void cn_exchange_destroy(cn_exchange **exchange);

/* The gradients of what is not frozen, and the numbers, become their means over the ranks; the
 * numbers are rounded to floats. */
cn_status cn_exchange_means(cn_exchange *exchange, double *numbers, int count, cn_error *err);

/* Takes what every rank has seen into `all`, in the order of the ranks, and empties `mine`. */
cn_status cn_exchange_moments(cn_exchange *exchange, cn_normalizer *mine, cn_normalizer *all,
                              cn_error *err);

/* Whether every rank holds the same parameters.
 * @return CN_ERR_CHECKSUM naming the rank and both checksums. */
cn_status cn_exchange_check(cn_exchange *exchange, int64_t updates, cn_error *err);

/* Time spent in cn_exchange_means since the last call of this, waiting for the others included, s.
 */
double cn_exchange_seconds(cn_exchange *exchange);

#endif
