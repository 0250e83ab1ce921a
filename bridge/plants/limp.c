/* The limp arm: the servos' makes are those of servo_arm.c, without goals and torque. */
#include "bridge/plants/limp.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PATIENCE_NS (CN_NS_PER_S / 10) /* for one reading of all servos */

struct cn_limp {
    const cn_servo_make *make;
    cn_bus *bus;
    int servos;
    uint8_t id[CN_MAX_JOINTS];
    double full_load[CN_MAX_JOINTS];
};

cn_status cn_limp_open(const cn_servo_make *make, const char *port, const uint8_t *id, int servos,
                       cn_limp **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    cn_limp *limp = calloc(1, sizeof *limp);
    CN_FAIL_IF(!limp, CN_ERR_MEMORY, err, "no memory for an arm of servos");
    limp->make = make;
    limp->servos = servos;
    memcpy(limp->id, id, (size_t)servos);
    CN_TRY_CLEANUP(cn_bus_open(port, make->protocol, &limp->bus, err));
    for (int i = 0; i < servos; i++)
        CN_TRY_CLEANUP(make->check(limp->bus, id[i], &limp->full_load[i], err));
    *out = limp;
    limp = NULL;
cleanup:
    cn_limp_close(&limp);
    return status;
}

void cn_limp_close(cn_limp **limp)
{
    if (!limp || !*limp)
        return;
    cn_bus_close(&(*limp)->bus);
    free(*limp);
    *limp = NULL;
}

cn_status cn_limp_relax(cn_limp *limp, cn_error *err)
{
    const uint8_t off = 0;
    for (int i = 0; i < limp->servos; i++) {
        if (limp->make->watchdog.bytes > 0) /* one that has bitten would not listen */
            CN_TRY(cn_bus_write(limp->bus, limp->id[i], limp->make->watchdog, &off, err));
        CN_TRY(cn_bus_write(limp->bus, limp->id[i], limp->make->torque, &off, err));
    }
    return CN_OK;
}

cn_status cn_limp_read(cn_limp *limp, int *steps, cn_error *err)
{
    const size_t bytes = limp->make->sensors.bytes;
    uint8_t sensors[CN_MAX_JOINTS * CN_SERVO_SENSOR_BYTES], error[CN_MAX_JOINTS];
    int failed;
    cn_status status = CN_ERR_TIMEOUT;
    for (int i = 0; i < CN_SERVO_ATTEMPTS && status != CN_OK && status != CN_ERR_IO; i++)
        status = cn_bus_sync_read(limp->bus, limp->make->sensors, limp->id, limp->servos, sensors,
                                  error, cn_clock_now() + PATIENCE_NS, &failed, err);
    if (status != CN_OK)
        return status;
    for (int i = 0; i < limp->servos; i++) {
        cn_servo_reading reading;
        limp->make->decode(sensors + (size_t)i * bytes, limp->full_load[i], &reading);
        steps[i] = reading.steps;
    }
    return CN_OK;
}
