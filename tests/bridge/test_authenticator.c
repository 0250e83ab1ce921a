/* Who may connect: those with a key of the list, and nobody else, whatever they send; those who are
 * connected notice nothing of it. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <zmq.h>

#include "bridge/authenticator.h"
#include "bridge/endpoint.h"
#include "bridge/link.h"
#include "tensor/rng.h"
#include "tests/bridge/robot.h"
#include "tests/folder.h"

#define PERIOD_S  0.02
#define REFUSE_MS 3000

static cn_error err;

/* A robot that allows `friend`, on loopback; strangers have keys of their own. */
typedef struct scene {
    test_folder folder;
    cn_key robot_key, friend_key, stranger_key;
    cn_key_list *allowed;
    robot r;
} scene;

static cn_key make_key(const test_folder *folder, const char *name)
{
    cn_key key;
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    CN_ASSERT_OK(cn_key_make(path, &err));
    strcat(path, ".key");
    CN_ASSERT_OK(cn_key_load(path, &key, &err));
    return key;
}

static void begin(scene *s)
{
    char path[256];
    s->folder = folder_create();
    s->robot_key = make_key(&s->folder, "robot");
    s->friend_key = make_key(&s->folder, "friend");
    s->stranger_key = make_key(&s->folder, "stranger");
    snprintf(path, sizeof path, "%s/friend.pub", s->folder.path);
    CN_ASSERT_OK(cn_key_list_load(path, &s->allowed, &err));
    const cn_server_config config = {
        .endpoint = "tcp://127.0.0.1:*", .key = &s->robot_key, .allowed = s->allowed};
    robot_start_with(&s->r, &config, PERIOD_S);
}

/* Of a robot that was stopped. */
static void put_away(scene *s)
{
    CU_ASSERT_EQUAL(s->r.status, CN_OK);
    CU_ASSERT_EQUAL(s->r.arm.broken, 0);
    robot_free(&s->r);
    cn_key_list_destroy(&s->allowed);
    folder_destroy(&s->folder);
}

static void end(scene *s)
{
    robot_stop(&s->r);
    put_away(s);
}

static cn_link *befriend(scene *s)
{
    cn_link *link = NULL;
    const cn_link_keys keys = {.own = s->friend_key, .robot = s->robot_key};
    CN_ASSERT_OK(cn_link_connect(s->r.endpoint, &keys, PATIENCE_MS, &link, &err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(link);
    return link;
}

/* That the link still works: `frames` come, each within the patience of a busy machine. */
static void hear(cn_link *link, int frames)
{
    cn_frame frame;
    for (int i = 0; i < frames; i++)
        CN_ASSERT_OK(
            cn_link_frame(link, cn_clock_now() + PATIENCE_MS * INT64_C(1000000), &frame, &err));
}

static void test_who_is_allowed_commands_the_robot(void)
{
    scene s;
    uint64_t sequence;
    begin(&s);
    cn_link *link = befriend(&s);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    const cn_arm_command command = robot_command(CN_COMMAND_POSITION, 0.1, 0.1, 0.1);
    CN_ASSERT_OK(cn_link_command(link, &command, 0, CN_NS_PER_S, &sequence, &err));
    hear(link, 3);
    cn_link_destroy(&link);
    robot_stop(&s.r);
    const cn_server_stats stats = cn_server_statistics(s.r.server);
    CU_ASSERT_EQUAL(stats.commands_applied, 1);
    CU_ASSERT_EQUAL(stats.connections_refused, 0);
    CU_ASSERT_STRING_EQUAL(stats.last_connection_refusal, "");
    put_away(&s);
}

/* Each is told what is wrong; the robot counts and names it; a friend's session goes on. */
static void test_strangers_are_refused(void)
{
    scene s;
    begin(&s);
    cn_link *link = befriend(&s), *other = NULL;
    const cn_link_keys stranger = {.own = s.stranger_key, .robot = s.robot_key};
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "does not know our key",
                    cn_link_connect(s.r.endpoint, &stranger, PATIENCE_MS, &other, &err));
    hear(link, 2);
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "wants to know who we are",
                    cn_link_connect(s.r.endpoint, NULL, PATIENCE_MS, &other, &err));
    hear(link, 2);
    const cn_link_keys deceived = {.own = s.friend_key, .robot = s.stranger_key};
    CN_ASSERT_FAILS(CN_ERR_TIMEOUT, "with the key of --robot-key",
                    cn_link_connect(s.r.endpoint, &deceived, REFUSE_MS, &other, &err));
    hear(link, 2);
    CU_ASSERT_PTR_NULL(other);
    cn_link_destroy(&link);
    robot_stop(&s.r);
    CU_ASSERT_TRUE(cn_server_statistics(s.r.server).connections_refused >= 3);
    put_away(&s);
}

static void test_the_last_refusal_names_the_key(void)
{
    scene s;
    begin(&s);
    cn_link *other = NULL;
    const cn_link_keys stranger = {.own = s.stranger_key, .robot = s.robot_key};
    CN_ASSERT_FAILS(CN_ERR_REFUSED, "does not know our key",
                    cn_link_connect(s.r.endpoint, &stranger, PATIENCE_MS, &other, &err));
    robot_stop(&s.r);
    const cn_server_stats stats = cn_server_statistics(s.r.server);
    CU_ASSERT_TRUE(stats.connections_refused >= 1);
    char why[CN_AUTHENTICATOR_TEXT];
    snprintf(why, sizeof why, "127.0.0.1: the key '%s' is not allowed", s.stranger_key.public_text);
    CU_ASSERT_STRING_EQUAL(stats.last_connection_refusal, why);
    put_away(&s);
}

static int connect_raw(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* A scanner: random bytes, an HTTP request, the greeting of an old ZeroMQ that knows no keys. */
static void test_garbage_is_refused(void)
{
    static const unsigned char old_greeting[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f,
                                                 1,    5, 0, 0, 0, 0, 0, 0, 0, 0};
    scene s;
    begin(&s);
    cn_link *link = befriend(&s);
    cn_rng rng = cn_rng_make(1, 0);
    for (int i = 0; i < 30; i++) {
        unsigned char bytes[512];
        size_t size = sizeof bytes;
        for (size_t b = 0; b < sizeof bytes; b++)
            bytes[b] = (unsigned char)cn_rng_u32(&rng);
        if (i % 3 == 1)
            size = (size_t)snprintf((char *)bytes, sizeof bytes, "GET / HTTP/1.1\r\n\r\n");
        if (i % 3 == 2)
            memcpy(bytes, old_greeting, size = sizeof old_greeting);
        const int fd = connect_raw(cn_endpoint_port(s.r.endpoint) + i % 2);
        CU_ASSERT_EQUAL(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
        if (i % 5)
            hear(link, 1);
        close(fd);
    }
    hear(link, 3);
    CN_ASSERT_OK(cn_link_acquire(link, &err));
    cn_link_destroy(&link);
    end(&s);
}

static void test_a_context_has_one_authenticator(void)
{
    scene s;
    begin(&s);
    void *context = zmq_ctx_new();
    cn_authenticator *one, *two;
    CN_ASSERT_OK(cn_authenticator_create(context, s.allowed, &one, &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot answer who may connect",
                    cn_authenticator_create(context, s.allowed, &two, &err));
    CU_ASSERT_PTR_NULL(two);
    char why[CN_AUTHENTICATOR_TEXT] = "x";
    CU_ASSERT_EQUAL(cn_authenticator_refused(one, NULL), 0);
    CU_ASSERT_EQUAL(cn_authenticator_refused(one, why), 0);
    CU_ASSERT_STRING_EQUAL(why, "");
    void *sockets[3];
    for (int i = 0; i < 3; i++)
        sockets[i] = zmq_socket(context, ZMQ_ROUTER);
    CN_ASSERT_OK(cn_authenticator_guard(one, sockets[0], &s.robot_key, &err));
    CN_ASSERT_OK(cn_authenticator_guard(one, sockets[1], &s.robot_key, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "guards at most 2 sockets",
                    cn_authenticator_guard(one, sockets[2], &s.robot_key, &err));
    cn_authenticator_destroy(&one);
    cn_authenticator_destroy(&one);
    for (int i = 0; i < 3; i++)
        zmq_close(sockets[i]);
    zmq_ctx_term(context);
    end(&s);
}

/* Addresses that other machines reach take no strangers unless told so. */
static void test_strangers_need_a_word(void)
{
    static const char *const far[] = {"tcp://*:5555",           "tcp://0.0.0.0:*",
                                      "tcp://192.168.1.2:5555", "tcp://[::]:5555",
                                      "tcp://eth0:5555",        "tcp://1270.0.0.1:5"};
    static const char *const near[] = {"ipc:///tmp/arm", "tcp://127.0.0.1:5555",
                                       "tcp://127.1.2.3:*", "tcp://[::1]:5555",
                                       "tcp://localhost:5555"};
    fake_arm arm = fake_arm_make(PERIOD_S);
    cn_server *server = NULL;
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        const cn_server_config config = {.endpoint = far[i]};
        CU_ASSERT_FALSE(cn_endpoint_is_local(far[i]));
        CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "give the robot a key",
                        cn_server_create(&config, &arm.plant, &server, &err));
    }
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++)
        CU_ASSERT_TRUE(cn_endpoint_is_local(near[i]));
}

CN_TEST_MAIN("bridge.authenticator", T(test_who_is_allowed_commands_the_robot),
             T(test_strangers_are_refused), T(test_the_last_refusal_names_the_key),
             T(test_garbage_is_refused), T(test_a_context_has_one_authenticator),
             T(test_strangers_need_a_word))
