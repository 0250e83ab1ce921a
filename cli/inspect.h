/* The parts of colonnade inspect that have files of their own. */
#ifndef CN_CLI_INSPECT_H
#define CN_CLI_INSPECT_H

#include <stdbool.h>

#include "base/error.h"

/* Says what is in a log and what it lost. @param recover  NULL, or where to write what is left as a
 * whole log. @return CN_ERR_CHECKSUM or CN_ERR_FORMAT for a damaged one, after all was said. */
cn_status cli_inspect_log(const char *path, const char *recover, bool json, cn_error *err);

#endif
