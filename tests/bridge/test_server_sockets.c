/* Where a server listens, and to how much: addresses, paths, ports, topics. */
#include "bridge/endpoint.h"
#include "tests/bridge/client.h"

#define PERIOD_S 0.02

static void test_server_sockets_refuse_bad_endpoints(void)
{
    cn_error err = {0};
    fake_arm arm = fake_arm_make(PERIOD_S);
    cn_server *server = NULL;
    const char *const bad[] = {"",          "5555",          "tcp://",       "tcp://*",
                               "tcp://*:x", "tcp://*:70000", "udp://*:5555", "ipc://"};
    cn_server_config config = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        config.endpoint = bad[i];
        CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "is not an endpoint: write",
                        cn_server_create(&config, &arm.plant, &server, &err));
    }
    char path[200] = "ipc:///tmp/";
    memset(path + strlen(path), 'x', 100);
    config.endpoint = path;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "choose a shorter one",
                    cn_server_create(&config, &arm.plant, &server, &err));
    config.endpoint = "ipc:///nowhere/at/all";
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot bind ipc:///nowhere/at/all",
                    cn_server_create(&config, &arm.plant, &server, &err));
    CU_ASSERT_PTR_NULL(server);
}

static void test_server_sockets_protect_a_path(void)
{
    robot r;
    client c;
    cn_error err = {0};
    robot_start(&r, true, PERIOD_S);
    fake_arm arm = fake_arm_make(PERIOD_S);
    cn_server *second = NULL;
    const cn_server_config config = {.endpoint = r.endpoint};
    CN_ASSERT_FAILS(CN_ERR_IO, "another server serves",
                    cn_server_create(&config, &arm.plant, &second, &err));
    client_open(&c, &r);
    ASSERT_DONE(client_info(&c)); /* the first one has not noticed */
    client_close(&c);
    robot_stop(&r);

    char file[300];
    snprintf(file, sizeof file, "%s.file", r.endpoint + strlen("ipc://"));
    FILE *stream = fopen(file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    fclose(stream);
    char endpoint[310];
    snprintf(endpoint, sizeof endpoint, "ipc://%s", file);
    const cn_server_config on_file = {.endpoint = endpoint};
    CN_ASSERT_FAILS(CN_ERR_IO, "exists and is not a socket",
                    cn_server_create(&on_file, &arm.plant, &second, &err));
    CU_ASSERT_EQUAL(remove(file), 0); /* it is still there */
    robot_free(&r);
}

static void test_server_sockets_replace_stale_ones(void)
{
    char endpoint[64];
    robot r;
    client c;
    robot_path(endpoint, sizeof endpoint);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    CU_ASSERT_EQUAL_FATAL(zmq_bind(socket, endpoint), 0);
    zmq_close(socket); /* ZeroMQ leaves its file behind, as a killed server does */
    zmq_ctx_term(context);
    CU_ASSERT_EQUAL_FATAL(access(endpoint + strlen("ipc://"), F_OK), 0);
    robot_start_at(&r, endpoint, true, PERIOD_S);
    client_open(&c, &r);
    ASSERT_DONE(client_info(&c));
    client_close(&c);
    robot_end(&r);
}

static void test_server_sockets_take_the_next_tcp_port_or_any(void)
{
    robot a;
    robot_start_at(&a, "tcp://127.0.0.1:*", true, PERIOD_S);
    const int port = cn_endpoint_port(cn_server_state_endpoint(a.server));
    CU_ASSERT_TRUE(port > 0);
    CU_ASSERT_TRUE(cn_endpoint_port(cn_server_request_endpoint(a.server)) > 0);
    client c;
    client_open(&c, &a);
    ASSERT_DONE(client_info(&c));
    client_close(&c);

    cn_error err = {0};
    fake_arm arm = fake_arm_make(PERIOD_S);
    cn_server *second = NULL;
    const cn_server_config config = {.endpoint = a.endpoint};
    CN_ASSERT_FAILS(CN_ERR_IO, "Address already in use",
                    cn_server_create(&config, &arm.plant, &second, &err));
    robot_end(&a);
}

/* Whoever subscribes to a topic that no state has, of so many bytes, is cut off: libzmq keeps each
 * of them. */
static void test_server_sockets_take_no_long_topics(void)
{
    enum { LONG = 200 };
    robot r;
    char topic[LONG] = {1}, got;
    const int linger = 0, wait_ms[] = {300, 5000};
    robot_start(&r, false, PERIOD_S);
    for (int proper = 0; proper < 2; proper++) {
        void *context = zmq_ctx_new(), *state = zmq_socket(context, ZMQ_SUB);
        zmq_setsockopt(state, ZMQ_LINGER, &linger, sizeof linger);
        zmq_setsockopt(state, ZMQ_RCVTIMEO, &wait_ms[proper], sizeof wait_ms[proper]);
        if (!proper)
            zmq_setsockopt(state, ZMQ_SUBSCRIBE, topic, sizeof topic);
        zmq_connect(state, r.endpoint);
        if (!proper)
            pause_ms(100); /* until it has arrived */
        zmq_setsockopt(state, ZMQ_SUBSCRIBE, CN_WIRE_TOPIC_INFO, 1);
        CU_ASSERT_EQUAL(zmq_recv(state, &got, 1, 0) > 0, proper);
        zmq_close(state);
        zmq_ctx_term(context);
    }
    robot_end(&r);
}

CN_TEST_MAIN("bridge.server_sockets", T(test_server_sockets_refuse_bad_endpoints),
             T(test_server_sockets_protect_a_path), T(test_server_sockets_replace_stale_ones),
             T(test_server_sockets_take_the_next_tcp_port_or_any),
             T(test_server_sockets_take_no_long_topics))
