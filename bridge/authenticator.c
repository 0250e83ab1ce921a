/* The authenticator: a thread that waits for questions of the context's sockets, for the events of
 * those that it guards, and for its end. */
#include "bridge/authenticator.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bridge/monitor.h"

#define QUESTIONS "inproc://zeromq.zap.01" /* where ZeroMQ asks */
#define END       "inproc://authenticator.end"
#define DOMAIN    "colonnade" /* without one, old protocols that know no keys would be let in */

enum {
    GUARDED_MAX = 2,
    PARTS = 7, /* of a question: version, number, domain, address, identity, mechanism, key */
    PART_MAX = 255,
};

typedef struct part {
    uint8_t bytes[PART_MAX + 1]; /* with a NUL behind them */
    int size;
} part;
enum { VERSION, NUMBER, DOMAIN_NAME, ADDRESS, IDENTITY, MECHANISM, KEY };

struct cn_authenticator {
    const cn_key_list *allowed; /* borrowed */
    void *context;              /* borrowed */
    void *questions;            /* REP */
    void *end, *ending;         /* PAIR: the thread's side, ours */
    int guarded;
    void *socket[GUARDED_MAX]; /* borrowed */
    void *events[GUARDED_MAX]; /* PAIR: the monitor of each */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of what follows, and of guarded and events */
    uint64_t refused;
    char why[CN_AUTHENTICATOR_TEXT];
};

static cn_status zmq_fail(const char *what, cn_error *err)
{
    CN_FAIL(CN_ERR_IO, err, "cannot %s: %s", what, zmq_strerror(zmq_errno()));
}

static void refuse(cn_authenticator *a, const char *who, const char *why)
{
    pthread_mutex_lock(&a->lock);
    a->refused++;
    snprintf(a->why, sizeof a->why, "%.50s: %.70s", who, why);
    pthread_mutex_unlock(&a->lock);
}

/* ---- Questions ---- */

/* @return parts received, each cut to PART_MAX bytes */
static int receive_question(cn_authenticator *a, part *parts)
{
    int count = 0, more = 1;
    size_t size = sizeof more;
    for (; more; count++) {
        part spare, *p = count < PARTS ? &parts[count] : &spare;
        const int got = zmq_recv(a->questions, p->bytes, PART_MAX, ZMQ_DONTWAIT);
        if (got < 0)
            break;
        p->size = got < PART_MAX ? got : PART_MAX;
        p->bytes[p->size] = '\0';
        zmq_getsockopt(a->questions, ZMQ_RCVMORE, &more, &size);
    }
    return count;
}

static void answer(cn_authenticator *a, const part *number, bool allowed, const char *user)
{
    const char *const words[] = {allowed ? "200" : "400", allowed ? "welcome" : "unknown key",
                                 allowed ? user : ""};
    zmq_send(a->questions, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(a->questions, number->bytes, (size_t)number->size, ZMQ_SNDMORE);
    for (int i = 0; i < 3; i++)
        zmq_send(a->questions, words[i], strlen(words[i]), ZMQ_SNDMORE);
    zmq_send(a->questions, "", 0, 0); /* metadata: none */
}

/* Anything but a CURVE handshake with a key of the list is refused. */
static void decide(cn_authenticator *a)
{
    part parts[PARTS] = {0};
    if (receive_question(a, parts) < PARTS - 1)
        return; /* not ZeroMQ's: nobody else knows the address */
    const bool curve = strcmp((const char *)parts[MECHANISM].bytes, "CURVE") == 0 &&
                       parts[KEY].size == CN_KEY_BYTES;
    const cn_key *key = curve ? cn_key_list_find(a->allowed, parts[KEY].bytes) : NULL;
    char text[CN_KEY_TEXT] = "", why[71];
    answer(a, &parts[NUMBER], key != NULL, key ? key->name : "");
    if (key)
        return;
    if (curve)
        zmq_z85_encode(text, parts[KEY].bytes, CN_KEY_BYTES);
    snprintf(why, sizeof why, curve ? "the key '%s' is not allowed" : "it has no key%s", text);
    refuse(a, (const char *)parts[ADDRESS].bytes, why);
}

/* ---- Handshakes that fail before there is a question ---- */

static void take_event(cn_authenticator *a, void *events)
{
    char address[CN_MONITOR_ADDRESS];
    uint16_t what;
    if (!cn_monitor_take(events, &what, address))
        return;
    if (what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        refuse(a, address, "somebody without a key, or who speaks something else");
    else if (what == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        refuse(a, address, "somebody left in the middle of the handshake");
}

static void *run(void *self)
{
    cn_authenticator *a = self;
    for (;;) {
        zmq_pollitem_t items[2 + GUARDED_MAX] = {{.socket = a->end, .events = ZMQ_POLLIN},
                                                 {.socket = a->questions, .events = ZMQ_POLLIN}};
        pthread_mutex_lock(&a->lock);
        const int guarded = a->guarded;
        pthread_mutex_unlock(&a->lock);
        for (int i = 0; i < guarded; i++)
            items[2 + i] = (zmq_pollitem_t){.socket = a->events[i], .events = ZMQ_POLLIN};
        if (zmq_poll(items, 2 + guarded, -1) < 0)
            continue; /* a signal */
        if (items[1].revents)
            decide(a);
        for (int i = 0; i < guarded; i++)
            if (items[2 + i].revents)
                take_event(a, a->events[i]);
        char word;
        if (items[0].revents && zmq_recv(a->end, &word, 1, ZMQ_DONTWAIT) == 0)
            return NULL; /* a longer message: there is one more to guard */
    }
}

/* ---- Creation ---- */

static cn_status open_sockets(cn_authenticator *a, cn_error *err)
{
    const int linger = 0;
    a->questions = zmq_socket(a->context, ZMQ_REP);
    a->end = zmq_socket(a->context, ZMQ_PAIR);
    a->ending = zmq_socket(a->context, ZMQ_PAIR);
    if (!a->questions || !a->end || !a->ending)
        return zmq_fail("open the authenticator's sockets", err);
    void *const sockets[] = {a->questions, a->end, a->ending};
    for (int i = 0; i < 3; i++)
        zmq_setsockopt(sockets[i], ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(a->questions, QUESTIONS) != 0 || zmq_bind(a->end, END) != 0 ||
        zmq_connect(a->ending, END) != 0)
        return zmq_fail("answer who may connect", err);
    return CN_OK;
}

cn_status cn_authenticator_create(void *context, const cn_key_list *allowed, cn_authenticator **out,
                                  cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    cn_authenticator *a = calloc(1, sizeof *a);
    CN_FAIL_IF(!a, CN_ERR_MEMORY, err, "no memory for an authenticator");
    a->context = context;
    a->allowed = allowed;
    pthread_mutex_init(&a->lock, NULL);
    CN_TRY_CLEANUP(open_sockets(a, err));
    if (pthread_create(&a->thread, NULL, run, a) != 0)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no thread for an authenticator");
    a->running = true;
    *out = a;
    return CN_OK;

cleanup:
    cn_authenticator_destroy(&a);
    return status;
}

void cn_authenticator_destroy(cn_authenticator **authenticator)
{
    if (!authenticator || !*authenticator)
        return;
    cn_authenticator *a = *authenticator;
    if (a->running) {
        zmq_send(a->ending, "", 0, 0);
        pthread_join(a->thread, NULL);
    }
    for (int i = 0; i < a->guarded; i++)
        cn_monitor_close(a->socket[i], &a->events[i]);
    void *const sockets[] = {a->questions, a->end, a->ending};
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++)
        if (sockets[i])
            zmq_close(sockets[i]);
    pthread_mutex_destroy(&a->lock);
    free(a);
    *authenticator = NULL;
}

/* ---- Guarding ---- */

static cn_status watch(cn_authenticator *a, void *socket, cn_error *err)
{
    char address[64];
    snprintf(address, sizeof address, "inproc://authenticator.events.%d", a->guarded);
    void *events =
        cn_monitor_open(a->context, socket, address,
                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    if (!events)
        return zmq_fail("watch who connects", err);
    pthread_mutex_lock(&a->lock);
    a->socket[a->guarded] = socket;
    a->events[a->guarded++] = events;
    pthread_mutex_unlock(&a->lock);
    zmq_send(a->ending, "+", 1, 0);
    return CN_OK;
}

cn_status cn_authenticator_guard(cn_authenticator *a, void *socket, const cn_key *key,
                                 cn_error *err)
{
    const int server = 1;
    CN_FAIL_IF(a->guarded == GUARDED_MAX, CN_ERR_ARGUMENT, err,
               "an authenticator guards at most %d sockets", GUARDED_MAX);
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key->secret_text, CN_KEY_TEXT) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, DOMAIN, strlen(DOMAIN)) != 0)
        return zmq_fail("encrypt", err);
    return watch(a, socket, err);
}

uint64_t cn_authenticator_refused(cn_authenticator *a, char *why)
{
    pthread_mutex_lock(&a->lock);
    const uint64_t refused = a->refused;
    if (why)
        memcpy(why, a->why, sizeof a->why);
    pthread_mutex_unlock(&a->lock);
    return refused;
}
