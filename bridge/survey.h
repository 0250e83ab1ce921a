/* What a log file holds, what it lost, and a whole copy of what is left. Messages are counted, not
 * decoded, so this works on files that were cut off or damaged, where an episode cannot be loaded.
 */
#ifndef CN_BRIDGE_SURVEY_H
#define CN_BRIDGE_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bridge/mcap.h"

#define CN_SURVEY_CHANNELS 32
#define CN_SURVEY_DAMAGES  16

typedef struct cn_survey_channel {
    char topic[128];
    uint64_t messages;
    uint64_t missing; /* sequence numbers left out between them: dropped, or never received */
    uint64_t gaps;    /* runs of missing ones */
    uint64_t first_ns, last_ns; /* log times */
} cn_survey_channel;

typedef struct cn_survey_damage {
    cn_mcap_damage where;
    bool last;     /* nothing behind it can be found */
    cn_error what; /* with both checksums, where they differ */
} cn_survey_damage;

typedef struct cn_survey {
    cn_mcap_extent extent;
    bool truncated;             /* cut off: it has no proper end */
    uint64_t messages;          /* of every channel */
    uint64_t first_ns, last_ns; /* log times; the first may be that of a damaged chunk. 0: none */
    int channels;               /* in the table below; those beyond it are in `messages` alone */
    cn_survey_channel channel[CN_SURVEY_CHANNELS];
    int damages; /* in the file; the first ones are described */
    cn_survey_damage damage[CN_SURVEY_DAMAGES];
} cn_survey;

/* Reads the whole file. Being cut off or damaged is a finding, not an error.
 * @param copy  NULL, or where to write a whole file, with index and statistics, of every message
 * that can be read, byte for byte: put in place when complete, replaces what was there
 * @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT (not an MCAP file; for a copy: messages other
 *         than protobuf's), CN_ERR_ARGUMENT (copy is the file itself), CN_ERR_MEMORY. */
cn_status cn_survey_run(const char *path, const char *copy, cn_survey *out, cn_error *err);

#endif
