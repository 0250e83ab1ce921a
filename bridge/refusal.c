/* The names of refusals, and their counts in words. */
#include "bridge/refusal.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name, *words;
} table[] = {
#define ROW(id, name, words) {name, words},
    CN_REFUSAL_TABLE(ROW)
#undef ROW
};

const char *cn_refusal_name(cn_refusal refusal)
{
    return (unsigned)refusal < CN_REFUSALS ? table[refusal].name : "unknown";
}

void cn_refusal_list(const uint64_t *counts, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = CN_REFUSAL_NONE + 1; i < CN_REFUSALS && used < size; i++)
        if (counts[i] > 0)
            used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64 " %s", used ? ", " : "",
                                     counts[i], table[i].words);
}
