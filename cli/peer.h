/* A program beside ours that measures the other side of a benchmark: a request is a line, its
 * answer a line of JSON. */
#ifndef CN_CLI_PEER_H
#define CN_CLI_PEER_H

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"

typedef struct cli_peer {
    const char *command; /* borrowed */
    pid_t pid;           /* 0: not started */
    FILE *requests, *answers;
} cli_peer;

/* Starts a shell command. @param out  cli_peer_stop, also after a failure */
cn_status cli_peer_start(const char *command, cli_peer *out, cn_error *err);

/* Sends the formatted line and waits for its answer.
 * @param answer  owned; an object
 * @return CN_ERR_IO when the peer has ended, CN_ERR_FORMAT when it answers something else. */
cn_status cli_peer_ask(cli_peer *peer, json_t **answer, cn_error *err, const char *format, ...);

/* Ends the peer's input and waits for its end; nothing when it was never started. */
void cli_peer_stop(cli_peer *peer);

#endif
