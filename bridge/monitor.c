/* Monitors of ZeroMQ sockets. An event is two parts: u16 event and u32 value, then an address. */
#include "bridge/monitor.h"

#include <string.h>
#include <zmq.h>

void *cn_monitor_open(void *context, void *socket, const char *address, int events)
{
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (monitor &&
        (zmq_socket_monitor(socket, address, events) != 0 || zmq_connect(monitor, address) != 0)) {
        zmq_close(monitor);
        return NULL;
    }
    return monitor;
}

/* Events end before their reader does: libzmq would wait for it. */
void cn_monitor_close(void *socket, void **monitor)
{
    if (!*monitor)
        return;
    zmq_socket_monitor(socket, NULL, 0);
    zmq_close(*monitor);
    *monitor = NULL;
}

bool cn_monitor_take(void *monitor, uint16_t *event, char *address)
{
    uint8_t number[6];
    char text[CN_MONITOR_ADDRESS];
    if (zmq_recv(monitor, number, sizeof number, ZMQ_DONTWAIT) < 0)
        return false;
    memcpy(event, number, sizeof *event);
    const int size = zmq_recv(monitor, text, sizeof text - 1, ZMQ_DONTWAIT);
    const int last = (int)sizeof text - 1;
    text[size < 0 ? 0 : size < last ? size : last] = '\0';
    if (address)
        memcpy(address, text, sizeof text);
    return true;
}
