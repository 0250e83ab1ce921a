/* Monitors of sockets: what happened, to whom, and nothing after they were closed. */
#include <zmq.h>

#include "bridge/monitor.h"
#include "tests/test.h"

#define PATIENCE_MS 60000 /* nothing takes this long, even on a busy machine */

static void test_events_and_addresses(void)
{
    void *context = zmq_ctx_new();
    void *server = zmq_socket(context, ZMQ_ROUTER), *client = zmq_socket(context, ZMQ_DEALER);
    char endpoint[64], address[CN_MONITOR_ADDRESS] = "";
    size_t size = sizeof endpoint;
    uint16_t event = 0;
    void *monitor = cn_monitor_open(context, client, "inproc://events", ZMQ_EVENT_CONNECTED);
    CU_ASSERT_PTR_NOT_NULL_FATAL(monitor);
    CU_ASSERT_FALSE(cn_monitor_take(monitor, &event, address));
    CU_ASSERT_EQUAL(zmq_bind(server, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size);
    CU_ASSERT_EQUAL(zmq_connect(client, endpoint), 0);
    zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
    CU_ASSERT_EQUAL_FATAL(zmq_poll(&item, 1, PATIENCE_MS), 1);
    CU_ASSERT_TRUE(cn_monitor_take(monitor, &event, address));
    CU_ASSERT_EQUAL(event, ZMQ_EVENT_CONNECTED);
    CU_ASSERT_STRING_EQUAL(address, endpoint);
    CU_ASSERT_FALSE(cn_monitor_take(monitor, &event, NULL));
    cn_monitor_close(client, &monitor);
    CU_ASSERT_PTR_NULL(monitor);
    cn_monitor_close(client, &monitor);
    zmq_close(client);
    zmq_close(server);
    zmq_ctx_term(context);
}

static void test_an_address_that_is_none(void)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    CU_ASSERT_PTR_NULL(cn_monitor_open(context, socket, "tcp://127.0.0.1:1", ZMQ_EVENT_ALL));
    zmq_close(socket);
    zmq_ctx_term(context);
}

CN_TEST_MAIN("bridge.monitor", T(test_events_and_addresses), T(test_an_address_that_is_none))
