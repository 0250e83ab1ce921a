/* A histogram of durations with 1/32 relative resolution and fixed memory: record is a few
 * instructions and allocates nothing, so it can live in a control loop. */
#ifndef CN_BASE_HISTOGRAM_H
#define CN_BASE_HISTOGRAM_H

#include <stdint.h>

#define CN_HISTOGRAM_BINS 1920 /* 60 octaves x 32 */

typedef struct cn_histogram {
    uint64_t count;
    int64_t max; /* exact */
    double sum;
    uint32_t bin[CN_HISTOGRAM_BINS];
} cn_histogram;

/* Values below 0 count as 0. A zeroed struct is an empty histogram. */
void cn_histogram_record(cn_histogram *h, int64_t value);

/* The smallest value that at least fraction q (0..1) of the records don't exceed, to within a bin
 * (upper edge, never above max); 0 when empty. */
int64_t cn_histogram_quantile(const cn_histogram *h, double q);

double cn_histogram_mean(const cn_histogram *h);

#endif
