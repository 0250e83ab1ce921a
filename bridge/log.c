/* The log's two sides. The control thread appends entries to a byte ring and publishes its head;
 * the writer thread copies them out, publishes its tail, and talks to the disk. Each position is
 * written by one side and read by the other, so neither ever waits for the other.
 *
 * Legend: head, tail count the bytes ever put and ever taken; position in the ring is modulo its
 * size. */
#include "bridge/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bridge/foxglove.h"
#include "bridge/mcap.h"
#include "proto/descriptor.h"
#include "proto/log.pb-c.h"

#define RING_BYTES     (UINT64_C(4) << 20) /* seconds of sensor frames; a power of two */
#define PACK_BYTES     (UINT32_C(1) << 20) /* the largest PolicyStep or Event */
#define CHUNK_BYTES    ((size_t)256 << 10)
#define FLUSH_NS       CN_NS_PER_S                /* what a kill may cost, at most */
#define WRITER_REST_NS (INT64_C(5) * 1000 * 1000) /* between two looks at the ring */

/* What stands before each message in the ring. */
typedef struct entry {
    uint64_t log_time; /* ns since 1970 */
    uint32_t sequence;
    uint32_t size; /* bytes of the message that follows */
    cn_log_channel channel;
} entry;

struct cn_log {
    _Alignas(64) atomic_uint_fast64_t head; /* written by the control thread */
    _Alignas(64) atomic_uint_fast64_t tail; /* written by the writer thread */
    _Alignas(64) atomic_uint_fast64_t dropped;
    atomic_bool finish;

    uint8_t *ring; /* [RING_BYTES] */
    uint8_t *pack; /* [PACK_BYTES], of the control thread */
    uint32_t steps, ticks, events;

    /* Of the writer thread, from here on. */
    uint8_t *message; /* [RING_BYTES]: one message, out of the ring */
    cn_mcap_writer *file;
    cn_foxglove *foxglove;
    uint16_t channel[CN_LOG_CHANNELS]; /* the file's numbers */
    cn_error failure;                  /* the first; code CN_OK: none */
    pthread_t thread;
};

/* ---- The ring ---- */

static void copy_in(cn_log *log, uint64_t at, const void *from, size_t size)
{
    const size_t start = (size_t)(at % RING_BYTES);
    const size_t first = size < RING_BYTES - start ? size : (size_t)RING_BYTES - start;
    if (size) {
        memcpy(log->ring + start, from, first);
        memcpy(log->ring, (const uint8_t *)from + first, size - first);
    }
}

static void copy_out(const cn_log *log, uint64_t at, void *to, size_t size)
{
    const size_t start = (size_t)(at % RING_BYTES);
    const size_t first = size < RING_BYTES - start ? size : (size_t)RING_BYTES - start;
    memcpy(to, log->ring + start, first);
    memcpy((uint8_t *)to + first, log->ring, size - first);
}

bool cn_log_put(cn_log *log, cn_log_channel channel, uint32_t sequence, const void *packed,
                uint32_t size)
{
    const entry e = {(uint64_t)cn_clock_wall(), sequence, size, channel};
    const uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
    const uint64_t tail = atomic_load_explicit(&log->tail, memory_order_acquire);
    if (sizeof e + size > RING_BYTES - (head - tail)) {
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
        return false;
    }
    copy_in(log, head, &e, sizeof e);
    copy_in(log, head + sizeof e, packed, size);
    atomic_store_explicit(&log->head, head + sizeof e + size, memory_order_release);
    return true;
}

/* Packs into the buffer that was allocated beforehand, and puts. */
static bool pack_and_put(cn_log *log, cn_log_channel channel, uint32_t sequence,
                         const ProtobufCMessage *message)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    if (size > PACK_BYTES) {
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
        return false;
    }
    protobuf_c_message_pack(message, log->pack);
    return cn_log_put(log, channel, sequence, log->pack, (uint32_t)size);
}

bool cn_log_policy_step(cn_log *log, const cn_log_step *step)
{
    Colonnade__V1__PolicyStep message = COLONNADE__V1__POLICY_STEP__INIT;
    message.tick = step->tick;
    message.frame = step->frame;
    message.command = step->command;
    message.n_observation = (size_t)step->observation_size;
    message.observation = (float *)step->observation; /* packing only reads */
    message.n_action = (size_t)step->action_size;
    message.action = (float *)step->action;
    message.latency_ns = step->latency_ns;
    message.reward = step->reward;
    message.success = step->success;
    return pack_and_put(log, CN_LOG_POLICY, log->steps++, &message.base);
}

bool cn_log_servo_tick(cn_log *log, const cn_log_tick *tick)
{
    Colonnade__V1__ServoTick message = COLONNADE__V1__SERVO_TICK__INIT;
    message.robot_time_ns = tick->robot_time_ns;
    message.frame = tick->frame;
    message.mode = (Colonnade__V1__ServerMode)tick->mode;
    message.command = tick->command;
    message.target_mode = (Colonnade__V1__CommandMode)tick->target->mode;
    message.n_target = (size_t)tick->target->joints;
    message.target = (double *)tick->target->target; /* packing only reads */
    return pack_and_put(log, CN_LOG_SERVO, log->ticks++, &message.base);
}

bool cn_log_event(cn_log *log, const char *kind, const char *text)
{
    Colonnade__V1__Event message = COLONNADE__V1__EVENT__INIT;
    message.kind = (char *)kind; /* packing only reads */
    message.text = (char *)text;
    return pack_and_put(log, CN_LOG_EVENTS, log->events++, &message.base);
}

uint64_t cn_log_dropped(const cn_log *log)
{
    return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

/* ---- The writer thread ---- */

/* The message that was taken out of the ring, after what Foxglove is shown of it. */
static cn_status write_message(cn_log *log, const entry *e, cn_error *err)
{
    const void *packed = log->message;
    size_t size = e->size;
    CN_TRY(
        cn_foxglove_add(log->foxglove, e->channel, e->sequence, e->log_time, &packed, &size, err));
    return cn_mcap_message(log->file, log->channel[e->channel], e->sequence, e->log_time,
                           e->log_time, packed, size, err);
}

/* Writes every message that is in the ring now. After a failure they are dropped and counted, so
 * that the control thread never notices a full disk. */
static bool drain(cn_log *log)
{
    const uint64_t head = atomic_load_explicit(&log->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
    const bool any = tail != head;
    while (tail != head) {
        entry e;
        copy_out(log, tail, &e, sizeof e);
        copy_out(log, tail + sizeof e, log->message, e.size);
        tail += sizeof e + e.size;
        atomic_store_explicit(&log->tail, tail, memory_order_release);
        if (log->failure.code == CN_OK)
            write_message(log, &e, &log->failure);
        if (log->failure.code != CN_OK)
            atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
    }
    return any;
}

static void *write_log(void *arg)
{
    cn_log *const log = arg;
    int64_t flushed = cn_clock_now() - FLUSH_NS;
    bool waiting = true; /* for the disk: first the file's beginning, then messages */
    for (;;) {
        /* Read before the last drain: what was put before finish is then in the ring. */
        const bool finish = atomic_load_explicit(&log->finish, memory_order_acquire);
        waiting |= drain(log);
        if (finish)
            return NULL;
        const int64_t now = cn_clock_now();
        if (waiting && now - flushed >= FLUSH_NS && log->failure.code == CN_OK) {
            cn_mcap_flush(log->file, &log->failure);
            flushed = now;
            waiting = false;
        }
        cn_clock_sleep_until(now + WRITER_REST_NS);
    }
}

/* ---- Life ---- */

static cn_status put_about(cn_mcap_writer *file, const cn_log_about *about, cn_error *err)
{
    char period[32];
    snprintf(period, sizeof period, "%.17g", about->control_period_s);
    const char *const keys[] = {"task",  "task_file",       "arm", "policy_file", "policy_checksum",
                                "robot", "control_period_s"};
    const char *const values[] = {about->task,
                                  about->task_file,
                                  about->arm,
                                  about->policy_file,
                                  about->policy_checksum,
                                  about->robot,
                                  period};
    return cn_mcap_metadata(file, "colonnade", keys, values, sizeof keys / sizeof keys[0], err);
}

/* One schema and one channel for each row of the channel table. */
static cn_status put_channels(cn_log *log, cn_error *err)
{
    static const struct {
        const char *topic, *message;
    } table[] = {
#define CN_LOG_CHANNEL_ROW(name, topic, message) {topic, message},
        CN_LOG_CHANNEL_TABLE(CN_LOG_CHANNEL_ROW)
#undef CN_LOG_CHANNEL_ROW
    };
    for (int i = 0; i < CN_LOG_CHANNELS; i++) {
        uint16_t schema;
        CN_TRY(cn_mcap_schema(log->file, table[i].message, cn_colonnade_descriptor_set,
                              cn_colonnade_descriptor_set_size, &schema, err));
        CN_TRY(cn_mcap_channel(log->file, schema, table[i].topic, &log->channel[i], err));
    }
    return CN_OK;
}

/* Signals are for the program's own threads: Ctrl-C must wake the control loop, not the writer. And
 * the writer is never in a hurry: whoever starts it under real-time scheduling keeps that to
 * himself. */
static int start_thread(cn_log *log)
{
    sigset_t all, before;
    pthread_attr_t ordinary;
    const struct sched_param none = {0};
    sigfillset(&all);
    pthread_attr_init(&ordinary);
    pthread_attr_setinheritsched(&ordinary, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&ordinary, SCHED_OTHER);
    pthread_attr_setschedparam(&ordinary, &none);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int why = pthread_create(&log->thread, &ordinary, write_log, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&ordinary);
    return why;
}

static void destroy(cn_log *log)
{
    free(log->ring);
    free(log->pack);
    free(log->message);
    cn_foxglove_destroy(&log->foxglove);
    free(log);
}

static cn_status allocate(const char *path, cn_log **out, cn_error *err)
{
    const size_t size = (sizeof(cn_log) + 63) / 64 * 64;
    cn_log *const log = aligned_alloc(64, size);
    CN_FAIL_IF(!log, CN_ERR_MEMORY, err, "%s: no memory for a log", path);
    memset(log, 0, size);
    log->ring = malloc(RING_BYTES);
    log->pack = malloc(PACK_BYTES);
    log->message = malloc(RING_BYTES);
    if (!log->ring || !log->pack || !log->message) {
        destroy(log);
        CN_FAIL(CN_ERR_MEMORY, err, "%s: no memory for a log's ring of %llu bytes", path,
                (unsigned long long)RING_BYTES);
    }
    /* Touched now, so that the control thread meets no page fault. */
    memset(log->ring, 0, RING_BYTES);
    memset(log->pack, 0, PACK_BYTES);
    *out = log;
    return CN_OK;
}

cn_status cn_log_create(const char *path, const cn_log_about *about, cn_log **out, cn_error *err)
{
    *out = NULL;
    cn_log *log = NULL;
    CN_TRY(allocate(path, &log, err));
    cn_status status = CN_OK;
    CN_TRY_CLEANUP(cn_mcap_create(path, CN_MCAP_ZSTD, CHUNK_BYTES, &log->file, err));
    CN_TRY_CLEANUP(put_about(log->file, about, err));
    CN_TRY_CLEANUP(put_channels(log, err));
    CN_TRY_CLEANUP(cn_foxglove_create(log->file, about, &log->foxglove, err));
    const int why = start_thread(log);
    if (why != 0)
        CN_FAIL_CLEANUP(CN_ERR_IO, err, "%s: cannot start the log's thread: %s", path,
                        strerror(why));
    *out = log;
    return CN_OK;
cleanup:
    cn_mcap_finish(&log->file, NULL);
    destroy(log);
    return status;
}

/* A log that lost messages says so itself. The writer thread is gone: this one writes. */
static void note_dropped(cn_log *log)
{
    const uint64_t dropped = cn_log_dropped(log);
    if (dropped == 0 || log->failure.code != CN_OK)
        return;
    char text[96];
    snprintf(text, sizeof text, "%llu messages are missing: the disk was too slow",
             (unsigned long long)dropped);
    cn_log_event(log, "dropped", text);
    drain(log);
}

cn_status cn_log_finish(cn_log **out, cn_error *err)
{
    cn_log *const log = *out;
    if (!log)
        return CN_OK;
    atomic_store_explicit(&log->finish, true, memory_order_release);
    pthread_join(log->thread, NULL);
    note_dropped(log);
    cn_status status = cn_mcap_finish(&log->file, err);
    if (log->failure.code != CN_OK) {
        status = log->failure.code;
        if (err)
            *err = log->failure;
    }
    destroy(log);
    *out = NULL;
    return status;
}
