/* Refusals for people and for --json. */
#include "cli/report.h"

#include <stdio.h>

void cli_refusals_print(const char *who, const uint64_t *counts)
{
    char text[1024];
    cn_refusal_list(counts, text, sizeof text);
    if (text[0])
        printf("%srefused: %s\n", who, text);
}

json_t *cli_refusals_json(const uint64_t *counts)
{
    json_t *object = json_object();
    for (int i = CN_REFUSAL_NONE + 1; object && i < CN_REFUSALS; i++)
        if (counts[i] > 0)
            json_object_set_new(object, cn_refusal_name((cn_refusal)i),
                                json_integer((json_int_t)counts[i]));
    return object;
}
