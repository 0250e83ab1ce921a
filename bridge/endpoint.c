/* Endpoints: a few string rules, and the probe that keeps two servers off one ipc path. */
#include "bridge/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TCP "tcp://"
#define IPC "ipc://"

enum { PATH_MAX_BYTES = sizeof((struct sockaddr_un *)0)->sun_path - 1 };

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool cn_endpoint_is_ipc(const char *endpoint)
{
    return starts_with(endpoint, IPC);
}

bool cn_endpoint_is_ipv6(const char *endpoint)
{
    return starts_with(endpoint, TCP "[");
}

bool cn_endpoint_is_local(const char *endpoint)
{
    unsigned net, a, b, c;
    char end;
    if (cn_endpoint_is_ipc(endpoint) || starts_with(endpoint, TCP "localhost:") ||
        starts_with(endpoint, TCP "lo:") || starts_with(endpoint, TCP "[::1]:"))
        return true;
    return sscanf(endpoint, TCP "%u.%u.%u.%u%c", &net, &a, &b, &c, &end) == 5 && net == 127 &&
           end == ':';
}

int cn_endpoint_port(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    return colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

static cn_status check_ipc(const char *endpoint, cn_error *err)
{
    const size_t length = strlen(endpoint + strlen(IPC));
    const size_t longest = PATH_MAX_BYTES - strlen(CN_ENDPOINT_REQUEST);
    CN_FAIL_IF(length == 0, CN_ERR_ARGUMENT, err,
               "'%s' is not an endpoint: write ipc://PATH, e.g. ipc:///tmp/arm", endpoint);
    CN_FAIL_IF(
        length > longest, CN_ERR_ARGUMENT, err,
        "the path of '%.60s...' has %zu bytes; a socket's can have %zu: choose a shorter one",
        endpoint, length, longest);
    return CN_OK;
}

static bool is_port(const char *port, bool bind)
{
    if (bind && strcmp(port, "*") == 0)
        return true;
    const size_t digits = strspn(port, "0123456789");
    const long value = strtol(port, NULL, 10);
    return digits > 0 && digits <= 5 && port[digits] == '\0' && value <= 65535 &&
           (value > 0 || bind);
}

cn_status cn_endpoint_check(const char *endpoint, bool bind, cn_error *err)
{
    if (cn_endpoint_is_ipc(endpoint))
        return check_ipc(endpoint, err);
    const char *host = endpoint + strlen(TCP);
    const char *colon = starts_with(endpoint, TCP) ? strrchr(host, ':') : NULL;
    const bool named = colon && colon > host && (bind || *host != '*');
    CN_FAIL_IF(!named || !is_port(colon + 1, bind) || strlen(endpoint) >= CN_WIRE_ENDPOINT,
               CN_ERR_ARGUMENT, err,
               "'%.100s' is not an endpoint: write tcp://%s:5555 or ipc:///tmp/arm", endpoint,
               bind ? "*" : "HOST");
    return CN_OK;
}

/* A connection that somebody accepts is the only proof of life that a socket file gives. */
static bool somebody_listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    const bool alive = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return alive;
}

cn_status cn_endpoint_claim(const char *endpoint, cn_error *err)
{
    const char *path = endpoint + strlen(IPC);
    struct stat found;
    if (!cn_endpoint_is_ipc(endpoint) || path[0] == '@' || lstat(path, &found) != 0)
        return CN_OK;
    CN_FAIL_IF(!S_ISSOCK(found.st_mode), CN_ERR_IO, err,
               "'%s' exists and is not a socket: choose another path", path);
    CN_FAIL_IF(somebody_listens(path), CN_ERR_IO, err,
               "another server serves '%s': stop it, or choose another path", endpoint);
    CN_FAIL_IF(unlink(path) != 0, CN_ERR_IO, err, "cannot remove the stale socket '%s': %s", path,
               strerror(errno));
    return CN_OK;
}

void cn_endpoint_remove(const char *bound)
{
    if (cn_endpoint_is_ipc(bound) && bound[strlen(IPC)] != '@')
        unlink(bound + strlen(IPC));
}

cn_status cn_endpoint_of_requests(const char *state, const char *announced, char *out,
                                  cn_error *err)
{
    const bool ipc = cn_endpoint_is_ipc(state);
    const bool usable = ipc == cn_endpoint_is_ipc(announced) &&
                        (ipc || cn_endpoint_check(announced, true, NULL) == CN_OK);
    CN_FAIL_IF(!usable, CN_ERR_FORMAT, err, "the robot at %s announces '%s' for requests", state,
               announced);
    int n;
    if (ipc)
        n = snprintf(out, CN_WIRE_ENDPOINT, "%s", announced);
    else
        n = snprintf(out, CN_WIRE_ENDPOINT, "%.*s:%d", (int)(strrchr(state, ':') - state), state,
                     cn_endpoint_port(announced));
    CN_FAIL_IF(n >= CN_WIRE_ENDPOINT, CN_ERR_FORMAT, err, "the request endpoint is too long: %s",
               announced);
    return CN_OK;
}
