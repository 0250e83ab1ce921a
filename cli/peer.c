/* Peers: a child process between two pipes. */
#include "cli/peer.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void run_child(const char *command, const int requests[2], const int answers[2])
{
    dup2(requests[0], STDIN_FILENO);
    dup2(answers[1], STDOUT_FILENO);
    close_both(requests);
    close_both(answers);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

cn_status cli_peer_start(const char *command, cli_peer *out, cn_error *err)
{
    int requests[2], answers[2];
    *out = (cli_peer){.command = command};
    CN_FAIL_IF(pipe(requests) != 0, CN_ERR_IO, err, "no pipe for the peer: %s", strerror(errno));
    if (pipe(answers) != 0) {
        close_both(requests);
        CN_FAIL(CN_ERR_IO, err, "no pipe for the peer: %s", strerror(errno));
    }
    signal(SIGPIPE, SIG_IGN); /* a peer that dies is an error of its next answer, not our death */
    const pid_t pid = fork();
    if (pid == 0)
        run_child(command, requests, answers);
    close(requests[0]);
    close(answers[1]);
    if (pid > 0)
        out->pid = pid;
    out->requests = fdopen(requests[1], "w");
    out->answers = fdopen(answers[0], "r");
    CN_FAIL_IF(pid < 0 || !out->requests || !out->answers, CN_ERR_IO, err,
               "cannot start the peer (%s): %s", command, strerror(errno));
    return CN_OK;
}

/* The next line of the answers, without its end; NULL: there is none. Owned by the caller. */
static char *read_line(FILE *answers)
{
    char *line = NULL;
    size_t size = 0;
    if (getline(&line, &size, answers) < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

cn_status cli_peer_ask(cli_peer *peer, json_t **answer, cn_error *err, const char *format, ...)
{
    *answer = NULL;
    va_list args;
    va_start(args, format);
    vfprintf(peer->requests, format, args);
    va_end(args);
    fputc('\n', peer->requests);
    fflush(peer->requests);
    char *line = read_line(peer->answers);
    CN_FAIL_IF(!line, CN_ERR_IO, err,
               "the peer (%s) ended without an answer; what it said is above", peer->command);
    json_t *object = json_loads(line, 0, NULL);
    cn_status status = CN_OK;
    if (!json_is_object(object)) {
        status =
            cn_error_set(err, CN_ERR_FORMAT, __FILE__, __LINE__,
                         "the peer (%s) answered '%.120s', not a JSON object", peer->command, line);
        json_decref(object);
        object = NULL;
    }
    *answer = object;
    free(line);
    return status;
}

void cli_peer_stop(cli_peer *peer)
{
    if (peer->requests)
        fclose(peer->requests);
    if (peer->answers)
        fclose(peer->answers);
    if (peer->pid > 0)
        waitpid(peer->pid, NULL, 0);
    *peer = (cli_peer){0};
}
