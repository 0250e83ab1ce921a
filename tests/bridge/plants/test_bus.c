/* Transactions of both protocols with emulated servos, good ones and bad ones. */
#include "bridge/plants/bus.h"

#include <pthread.h>
#include <pty.h>

#include "bridge/plants/dxl.h"
#include "bridge/plants/sts.h"
#include "tests/bridge/plants/servos.h"

static const struct kind {
    const char *make;
    const cn_servo_protocol *protocol;
    cn_registers torque, position; /* position: as in the answers of a whole sync read */
    unsigned model;
    cn_registers model_at;
} kinds[] = {
    {"feetech", &cn_sts_protocol, {40, 1}, {56, 2}, 777, {3, 2}},
    {"dynamixel", &cn_dxl_protocol, {64, 1}, {132, 4}, 1200, {0, 2}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const uint8_t ids[3] = {1, 2, 7};

typedef struct line {
    servos emulator;
    cn_bus *bus;
    const struct kind *kind;
} line;

static void line_open(line *l, int kind)
{
    cn_error err = {0};
    l->kind = &kinds[kind];
    servos_start(&l->emulator, kinds[kind].make);
    CN_ASSERT_OK(cn_bus_open(l->emulator.port, kinds[kind].protocol, &l->bus, &err));
}

static void line_close(line *l)
{
    cn_bus_close(&l->bus);
    cn_bus_close(&l->bus);
    servos_end(&l->emulator);
}

static cn_status sync_read(line *l, uint8_t *values, int *failed, cn_error *err)
{
    uint8_t error[3];
    return cn_bus_sync_read(l->bus, l->kind->position, ids, 3, values, error,
                            cn_clock_now() + CN_NS_PER_S / 3, failed, err);
}

static void test_bus_reads_and_writes_one_servo(void)
{
    cn_error err = {0};
    line l;
    for (int k = 0; k < KINDS; k++) {
        uint8_t value[2] = {0}, on = 1;
        line_open(&l, k);
        CN_ASSERT_OK(cn_bus_read(l.bus, 7, kinds[k].model_at, value, &err));
        CU_ASSERT_EQUAL((unsigned)(value[0] | value[1] << 8), kinds[k].model);
        CN_ASSERT_OK(cn_bus_write(l.bus, 7, kinds[k].torque, &on, &err));
        CU_ASSERT_EQUAL(servos_get(&l.emulator, 7, (int)kinds[k].torque.address, 1), 1);
        CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "servo 9 does not answer",
                        cn_bus_read(l.bus, 9, kinds[k].model_at, value, &err));
        line_close(&l);
    }
}

static void test_bus_reads_and_writes_all(void)
{
    cn_error err = {0};
    line l;
    for (int k = 0; k < KINDS; k++) {
        const size_t bytes = kinds[k].position.bytes;
        const uint8_t on[3] = {1, 0, 1};
        uint8_t values[12];
        int failed;
        line_open(&l, k);
        CN_ASSERT_OK(cn_bus_sync_write(l.bus, kinds[k].torque, ids, 3, on,
                                       cn_clock_now() + CN_NS_PER_S, &err));
        servos_tell(&l.emulator, "set 7 %u %zu 3000", kinds[k].position.address, bytes);
        servos_tell(&l.emulator, "set 1 %u %zu 1000", kinds[k].position.address, bytes);
        servos_tell(&l.emulator, "set 2 %u %zu 500", kinds[k].position.address, bytes);
        CN_ASSERT_OK(sync_read(&l, values, &failed, &err));
        CU_ASSERT_EQUAL(failed, 3);
        CU_ASSERT_EQUAL(values[bytes] | values[bytes + 1] << 8, 500); /* it has no torque */
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(servos_get(&l.emulator, ids[i], (int)kinds[k].torque.address, 1),
                            on[i]);
        line_close(&l);
    }
}

static void test_bus_tries_again(void)
{
    static const char *const fails[] = {"half", "checksum", "silent"};
    cn_error err = {0};
    line l;
    for (int k = 0; k < KINDS; k++) {
        uint8_t value[2];
        line_open(&l, k);
        for (int i = 0; i < 3; i++) {
            servos_tell(&l.emulator, "fail %s 2 2", fails[i]);
            CN_ASSERT_OK(cn_bus_read(l.bus, 2, kinds[k].model_at, value, &err));
            CU_ASSERT_EQUAL((unsigned)(value[0] | value[1] << 8), kinds[k].model);
        }
        line_close(&l);
    }
}

static void test_bus_says_how_a_servo_failed(void)
{
    static const struct {
        const char *fails, *alone, *among;
        cn_status alone_code, among_code;
    } cases[] = {
        /* The answer of the next servo makes a packet of the half, and a damaged one. */
        {"half", "sends half an answer (", "sends answers with a wrong checksum", CN_ERR_TIMEOUT,
         CN_ERR_CHECKSUM},
        {"checksum", "sends answers with a wrong checksum", "sends answers with a wrong checksum",
         CN_ERR_CHECKSUM, CN_ERR_CHECKSUM},
        {"silent", "does not answer", "does not answer", CN_ERR_TIMEOUT, CN_ERR_TIMEOUT},
        {"missing", "does not answer", "does not answer", CN_ERR_TIMEOUT, CN_ERR_TIMEOUT},
    };
    cn_error err = {0};
    line l;
    for (int k = 0; k < KINDS; k++) {
        uint8_t values[12];
        int failed;
        line_open(&l, k);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            servos_tell(&l.emulator, "fail %s 2", cases[i].fails);
            CN_ASSERT_FAILS(cases[i].alone_code, cases[i].alone,
                            cn_bus_read(l.bus, 2, kinds[k].model_at, values, &err));
            CN_ASSERT_FAILS(cases[i].among_code, cases[i].among,
                            sync_read(&l, values, &failed, &err));
            CU_ASSERT_EQUAL(strncmp(err.message, "servo 2 ", 8), 0);
            CU_ASSERT_EQUAL(failed, 1);
            servos_tell(&l.emulator, "heal");
            servos_tell(&l.emulator, "fail %s 7", cases[i].fails);
            CN_ASSERT_FAILS(cases[i].alone_code, cases[i].alone,
                            sync_read(&l, values, &failed, &err));
            CU_ASSERT_EQUAL(failed, 2);
            servos_tell(&l.emulator, "heal");
            CN_ASSERT_OK(sync_read(&l, values, &failed, &err));
        }
        line_close(&l);
    }
}

static void test_bus_passes_on_what_a_servo_reports(void)
{
    cn_error err = {0};
    line l;
    for (int k = 0; k < KINDS; k++) {
        uint8_t value[2];
        line_open(&l, k);
        servos_tell(&l.emulator, "error 2 %d", k == 0 ? 4 : 0x80);
        CN_ASSERT_FAILS(CN_ERR_REFUSED,
                        k == 0 ? "servo 2 reports overheating" : "servo 2 reports a hardware error",
                        cn_bus_read(l.bus, 2, kinds[k].model_at, value, &err));
        line_close(&l);
    }
}

static void test_bus_says_that_the_port_is_gone(void)
{
    cn_error err = {0};
    line l;
    uint8_t values[12];
    int failed;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/dev/ttyNowhere",
                    cn_bus_open("/dev/ttyNowhere", &cn_sts_protocol, &l.bus, &err));
    line_open(&l, 0);
    servos_tell(&l.emulator, "unplug");
    CN_ASSERT_FAILS(CN_ERR_IO, "is the adapter still plugged in?",
                    sync_read(&l, values, &failed, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "is the adapter still plugged in?",
                    cn_bus_read(l.bus, 1, kinds[0].model_at, values, &err));
    line_close(&l);
}

/* ---- What else may be on the wire ---- */

static void put_answer(int far, uint8_t id, const uint8_t *params, size_t size)
{
    uint8_t packet[CN_PACKET_MAX]; /* an answer looks like a request of instruction 0 */
    const size_t bytes = cn_sts_protocol.encode(id, 0, params, size, packet);
    CU_ASSERT_EQUAL(write(far, packet, bytes), (ssize_t)bytes);
}

static cn_bus *open_bare(int *far)
{
    cn_error err = {0};
    cn_bus *bus = NULL;
    char path[64];
    int near;
    CU_ASSERT_EQUAL_FATAL(openpty(far, &near, path, NULL, NULL), 0);
    CN_ASSERT_OK(cn_bus_open(path, &cn_sts_protocol, &bus, &err));
    close(near);
    return bus;
}

/* Answers to what was asked before, and for others, and only then what is wanted. */
static void *answer_badly(void *data)
{
    const int far = *(int *)data;
    const uint8_t stale[1] = {1}, foreign[2] = {9, 9}, good[2] = {0, 8};
    uint8_t request[64];
    const ssize_t size = read(far, request, sizeof request);
    CU_ASSERT_TRUE(size > 0);
    put_answer(far, 1, stale, sizeof stale);
    put_answer(far, 9, foreign, sizeof foreign);
    put_answer(far, 1, good, sizeof good);
    return NULL;
}

static void test_bus_takes_only_answers_to_its_question(void)
{
    cn_error err = {0};
    pthread_t thread;
    uint8_t value[2] = {0}, error[1];
    int far, failed;
    cn_bus *bus = open_bare(&far);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, answer_badly, &far), 0);
    CN_ASSERT_OK(cn_bus_sync_read(bus, (cn_registers){56, 2}, ids, 1, value, error,
                                  cn_clock_now() + 10 * CN_NS_PER_S, &failed, &err));
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(value[1], 8);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, answer_badly, &far), 0);
    value[1] = 0;
    CN_ASSERT_OK(cn_bus_read(bus, 1, (cn_registers){56, 2}, value, &err));
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(value[1], 8);
    cn_bus_close(&bus);
    close(far);
}

static void test_bus_drops_what_came_before_the_question(void)
{
    cn_error err = {0};
    const uint8_t old[2] = {1, 1};
    uint8_t value[2], error[1];
    int far, failed;
    cn_bus *bus = open_bare(&far);
    put_answer(far, 1, old, sizeof old);
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "servo 1 does not answer",
                    cn_bus_sync_read(bus, (cn_registers){56, 2}, ids, 1, value, error,
                                     cn_clock_now() + CN_NS_PER_S / 10, &failed, &err));
    cn_bus_close(&bus);
    close(far);
}

CN_TEST_MAIN("bridge.plants.bus", T(test_bus_reads_and_writes_one_servo),
             T(test_bus_reads_and_writes_all), T(test_bus_tries_again),
             T(test_bus_says_how_a_servo_failed), T(test_bus_passes_on_what_a_servo_reports),
             T(test_bus_says_that_the_port_is_gone), T(test_bus_takes_only_answers_to_its_question),
             T(test_bus_drops_what_came_before_the_question))
