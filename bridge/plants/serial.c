/* The serial port over termios. The file descriptor never blocks; poll does the waiting. */
#include "bridge/plants/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

#define NS_PER_MS INT64_C(1000000)

struct cn_serial {
    int file;
    char path[256];
};

static cn_status set_line(const cn_serial *serial, cn_error *err)
{
    struct termios line;
    CN_FAIL_IF(tcgetattr(serial->file, &line) != 0, CN_ERR_IO, err, "%s is not a serial port: %s",
               serial->path, strerror(errno));
    cfmakeraw(&line); /* 8 bits, no parity */
    line.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS);
    line.c_cflag |= CLOCAL | CREAD;
    line.c_cc[VMIN] = 0;
    line.c_cc[VTIME] = 0;
    CN_FAIL_IF(cfsetispeed(&line, B1000000) != 0 || cfsetospeed(&line, B1000000) != 0 ||
                   tcsetattr(serial->file, TCSANOW, &line) != 0 ||
                   tcgetattr(serial->file, &line) != 0 || cfgetospeed(&line) != B1000000,
               CN_ERR_IO, err, "%s cannot have %d baud: use an adapter that can", serial->path,
               CN_SERIAL_BAUD);
    return CN_OK;
}

cn_status cn_serial_open(const char *path, cn_serial **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    cn_serial *serial = calloc(1, sizeof *serial);
    CN_FAIL_IF(!serial, CN_ERR_MEMORY, err, "no memory for a serial port");
    snprintf(serial->path, sizeof serial->path, "%s", path);
    serial->file = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (serial->file < 0 && errno == ENOENT)
        CN_FAIL_CLEANUP(CN_ERR_NOT_FOUND, err, "there is no port %s: is the adapter plugged in?",
                        path);
    if (serial->file < 0)
        CN_FAIL_CLEANUP(CN_ERR_IO, err, "cannot open %s: %s%s", path, strerror(errno),
                        errno == EACCES ? " (the group dialout may, as a rule)" : "");
    if (flock(serial->file, LOCK_EX | LOCK_NB) != 0)
        CN_FAIL_CLEANUP(CN_ERR_IO, err, "%s is in use by another program", path);
    CN_TRY_CLEANUP(set_line(serial, err));
    cn_serial_drop_input(serial);
    *out = serial;
    serial = NULL;
cleanup:
    cn_serial_close(&serial);
    return status;
}

void cn_serial_close(cn_serial **serial)
{
    if (!serial || !*serial)
        return;
    if ((*serial)->file >= 0)
        close((*serial)->file);
    free(*serial);
    *serial = NULL;
}

void cn_serial_drop_input(cn_serial *serial)
{
    tcflush(serial->file, TCIFLUSH);
}

static cn_status gone(const cn_serial *serial, cn_error *err)
{
    CN_FAIL(CN_ERR_IO, err, "the port %s is gone: is the adapter still plugged in?", serial->path);
}

/* Waits until the port is ready. @return poll's: 0 when the time is over */
static int wait_for(const cn_serial *serial, short events, int64_t until_ns)
{
    struct pollfd port = {.fd = serial->file, .events = events};
    for (;;) {
        const int64_t left = until_ns - cn_clock_now();
        const int ms = left > 0 ? (int)((left + NS_PER_MS - 1) / NS_PER_MS) : 0;
        const int ready = poll(&port, 1, ms);
        if (ready >= 0 || errno != EINTR)
            return ready;
    }
}

cn_status cn_serial_write(cn_serial *serial, const uint8_t *bytes, size_t size, int64_t until_ns,
                          cn_error *err)
{
    while (size > 0) {
        const ssize_t n = write(serial->file, bytes, size);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return gone(serial, err);
        } else {
            CN_FAIL_IF(wait_for(serial, POLLOUT, until_ns) == 0, CN_ERR_TIMEOUT, err,
                       "the port %s takes no more bytes", serial->path);
        }
    }
    return CN_OK;
}

cn_status cn_serial_read(cn_serial *serial, uint8_t *out, size_t capacity, int64_t until_ns,
                         size_t *got, cn_error *err)
{
    *got = 0;
    if (wait_for(serial, POLLIN, until_ns) == 0)
        return CN_OK;
    const ssize_t n = read(serial->file, out, capacity);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return CN_OK;
    if (n <= 0) /* poll has said that there is something: it was the end */
        return gone(serial, err);
    *got = (size_t)n;
    return CN_OK;
}
