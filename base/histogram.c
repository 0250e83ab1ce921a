/* A log-linear histogram: below 64 every value has a bin of its own; above, each power of two is
 * cut into 32 equal bins. The bin number is the exponent and the five bits after the leading one.
 */
#include "base/histogram.h"

enum { SUB_BITS = 5, SUB = 1 << SUB_BITS };

static int leading_bit(uint64_t v)
{
    int bit = 0;
    for (int step = 32; step > 0; step /= 2)
        if (v >> (bit + step))
            bit += step;
    return bit;
}

static int bin_of(int64_t value)
{
    if (value < SUB)
        return (int)value;
    const int shift = leading_bit((uint64_t)value) - SUB_BITS;
    return (shift + 1) * SUB + (int)((value >> shift) & (SUB - 1));
}

static int64_t upper_edge(int bin)
{
    if (bin < SUB)
        return bin;
    const int shift = bin / SUB - 1;
    const uint64_t next = (uint64_t)(SUB + bin % SUB + 1) << shift;
    return (int64_t)(next - 1);
}

void cn_histogram_record(cn_histogram *h, int64_t value)
{
    const int64_t v = value > 0 ? value : 0;
    h->count++;
    h->sum += (double)v;
    if (v > h->max)
        h->max = v;
    h->bin[bin_of(v)]++;
}

int64_t cn_histogram_quantile(const cn_histogram *h, double q)
{
    const double wanted = q * (double)h->count;
    uint64_t seen = 0;
    for (int bin = 0; bin < CN_HISTOGRAM_BINS && seen < h->count; bin++) {
        seen += h->bin[bin];
        if (h->bin[bin] > 0 && (double)seen >= wanted)
            return upper_edge(bin) < h->max ? upper_edge(bin) : h->max;
    }
    return h->max;
}

double cn_histogram_mean(const cn_histogram *h)
{
    return h->count > 0 ? h->sum / (double)h->count : 0;
}
