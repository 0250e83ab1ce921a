/* The serial port, on a pseudo-terminal whose other end is the test's. */
#include "bridge/plants/serial.h"

#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/test.h"

#define MS INT64_C(1000000)
/* A wait of 20 ms may take this long on a busy machine; one without a bound takes for ever. */
#define BOUND (10 * CN_NS_PER_S)

typedef struct wire {
    int far; /* the test's end */
    cn_serial *port;
} wire;

static int open_far(char *path, size_t size)
{
    int far, near;
    char name[64];
    CU_ASSERT_EQUAL_FATAL(openpty(&far, &near, name, NULL, NULL), 0);
    close(near);
    snprintf(path, size, "%s", name);
    return far;
}

static wire wire_open(void)
{
    cn_error err = {0};
    char path[64];
    wire w = {.far = open_far(path, sizeof path)};
    CN_ASSERT_OK(cn_serial_open(path, &w.port, &err));
    return w;
}

static void wire_close(wire *w)
{
    cn_serial_close(&w->port);
    cn_serial_close(&w->port); /* again is no offence */
    close(w->far);
}

static void test_serial_is_raw_8n1_at_one_megabaud(void)
{
    wire w = wire_open();
    struct termios line;
    CU_ASSERT_EQUAL_FATAL(tcgetattr(w.far, &line), 0); /* of the port, as the other end sees it */
    CU_ASSERT_EQUAL(cfgetospeed(&line), B1000000);
    CU_ASSERT_EQUAL(cfgetispeed(&line), B1000000);
    CU_ASSERT_EQUAL(line.c_cflag & CSIZE, CS8);
    CU_ASSERT_EQUAL(line.c_cflag & (CSTOPB | PARENB | CRTSCTS), 0);
    CU_ASSERT_EQUAL(line.c_lflag & (ICANON | ECHO | ISIG), 0);
    CU_ASSERT_EQUAL(line.c_iflag & (IXON | ICRNL | ISTRIP), 0);
    CU_ASSERT_EQUAL(line.c_oflag & OPOST, 0);
    wire_close(&w);
}

static void test_serial_carries_every_byte_both_ways(void)
{
    wire w = wire_open();
    cn_error err = {0};
    uint8_t all[256], back[256];
    size_t got, total = 0;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    CN_ASSERT_OK(cn_serial_write(w.port, all, sizeof all, cn_clock_now() + BOUND, &err));
    while (total < sizeof back) {
        const ssize_t n = read(w.far, back + total, sizeof back - total);
        CU_ASSERT_TRUE_FATAL(n > 0);
        total += (size_t)n;
    }
    CU_ASSERT_EQUAL(memcmp(all, back, sizeof all), 0);
    CU_ASSERT_EQUAL_FATAL(write(w.far, all, sizeof all), sizeof all);
    for (total = 0; total < sizeof back; total += got) {
        CN_ASSERT_OK(cn_serial_read(w.port, back + total, sizeof back - total,
                                    cn_clock_now() + BOUND, &got, &err));
        CU_ASSERT_TRUE_FATAL(got > 0);
    }
    CU_ASSERT_EQUAL(memcmp(all, back, sizeof all), 0);
    wire_close(&w);
}

static void test_serial_waits_no_longer_than_told(void)
{
    wire w = wire_open();
    cn_error err = {0};
    uint8_t bytes[4096] = {0};
    size_t got = 1;
    const int64_t began = cn_clock_now();
    CN_ASSERT_OK(cn_serial_read(w.port, bytes, sizeof bytes, began + 20 * MS, &got, &err));
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_TRUE(cn_clock_now() - began >= 20 * MS);
    CU_ASSERT_TRUE(cn_clock_now() - began < BOUND);
    CN_ASSERT_OK(cn_serial_read(w.port, bytes, sizeof bytes, 0, &got, &err)); /* long over */
    cn_status status = CN_OK; /* nobody reads at the other end: a pty holds some KiB */
    for (int i = 0; i < 1000 && status == CN_OK; i++)
        status = cn_serial_write(w.port, bytes, sizeof bytes, cn_clock_now() + 20 * MS, &err);
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "takes no more bytes",
                    cn_serial_write(w.port, bytes, sizeof bytes, cn_clock_now() + 20 * MS, &err));
    CU_ASSERT_TRUE(cn_clock_now() - began < BOUND);
    wire_close(&w);
}

static void test_serial_drops_input(void)
{
    wire w = wire_open();
    cn_error err = {0};
    uint8_t byte = 7;
    size_t got;
    CU_ASSERT_EQUAL_FATAL(write(w.far, &byte, 1), 1);
    CN_ASSERT_OK(cn_serial_read(w.port, &byte, 1, cn_clock_now() + BOUND, &got, &err));
    CU_ASSERT_EQUAL_FATAL(got, 1); /* so what was written is there at once */
    CU_ASSERT_EQUAL_FATAL(write(w.far, "abc", 3), 3);
    cn_serial_drop_input(w.port);
    CN_ASSERT_OK(cn_serial_read(w.port, &byte, 1, cn_clock_now() + 20 * MS, &got, &err));
    CU_ASSERT_EQUAL(got, 0);
    wire_close(&w);
}

static void test_serial_says_that_the_adapter_is_gone(void)
{
    wire w = wire_open();
    cn_error err = {0};
    uint8_t bytes[4] = {0};
    size_t got;
    close(w.far);
    CN_ASSERT_FAILS(CN_ERR_IO, "is the adapter still plugged in?",
                    cn_serial_read(w.port, bytes, 4, cn_clock_now() + BOUND, &got, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "is the adapter still plugged in?",
                    cn_serial_write(w.port, bytes, 4, cn_clock_now() + BOUND, &err));
    cn_serial_close(&w.port);
}

static void test_serial_refuses_what_is_no_port(void)
{
    cn_error err = {0};
    cn_serial *port = NULL, *second = NULL;
    char path[64];
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "there is no port /dev/ttyNowhere",
                    cn_serial_open("/dev/ttyNowhere", &port, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "/dev/null is not a serial port",
                    cn_serial_open("/dev/null", &port, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot open /tmp", cn_serial_open("/tmp", &port, &err));
    CU_ASSERT_PTR_NULL(port);
    const int far = open_far(path, sizeof path);
    CN_ASSERT_OK(cn_serial_open(path, &port, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "in use by another program", cn_serial_open(path, &second, &err));
    cn_serial_close(&port);
    CN_ASSERT_OK(cn_serial_open(path, &second, &err));
    cn_serial_close(&second);
    close(far);
}

CN_TEST_MAIN("bridge.plants.serial", T(test_serial_is_raw_8n1_at_one_megabaud),
             T(test_serial_carries_every_byte_both_ways), T(test_serial_waits_no_longer_than_told),
             T(test_serial_drops_input), T(test_serial_says_that_the_adapter_is_gone),
             T(test_serial_refuses_what_is_no_port))
