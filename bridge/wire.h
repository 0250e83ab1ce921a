/* The messages of proto/robot.proto as plain structs. Packing writes into a buffer of the caller's;
 * unpacking takes its memory from an arena that cannot grow, so a hostile message costs an error
 * and no more. Neither allocates. Sensor values that are no numbers are an error too. Strings from
 * outside become printable ASCII, cut to their field.
 */
#ifndef CN_BRIDGE_WIRE_H
#define CN_BRIDGE_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "bridge/plant.h"
#include "bridge/refusal.h"

#define CN_PROTOCOL_VERSION 2

#define CN_WIRE_REQUEST_MAX 8192 /* bytes; a Request may not be larger */
#define CN_WIRE_STATE_MAX                                                                          \
    (16384 + CN_IMAGE_MAX)   /* bytes; the largest State or Reply that we write */
#define CN_WIRE_TEXT     128 /* bytes of a reason or holder, NUL included */
#define CN_WIRE_ENDPOINT 256 /* bytes of an endpoint, NUL included */

#define CN_WIRE_VALID_FOR_MAX_NS (INT64_C(5) * 1000000000) /* a longer silence is not control */

/* ---- The arena ---- */

/* A fixed block of memory behind a ProtobufCAllocator: allocation moves a mark, freeing does
 * nothing, a full arena answers NULL and protobuf-c gives up. */
typedef struct cn_arena {
    ProtobufCAllocator allocator;
    size_t size, used; /* bytes */
    unsigned char *bytes;
} cn_arena;

cn_status cn_arena_create(size_t size, cn_arena **out, cn_error *err);
void cn_arena_destroy(cn_arena **arena);

/* Forgets everything unpacked so far; the allocator to unpack the next message with. */
ProtobufCAllocator *cn_arena_reset(cn_arena *arena);

/* ---- The messages ---- */

typedef struct cn_wire_command {
    uint64_t sequence;
    uint64_t answers_frame;
    int64_t valid_for_ns;
    cn_arm_command command;
} cn_wire_command;

/* The bodies of a Request. */
typedef enum cn_wire_kind {
    CN_WIRE_NOTHING, /* a body that this version does not know */
    CN_WIRE_GET_INFO,
    CN_WIRE_ACQUIRE,
    CN_WIRE_RELEASE,
    CN_WIRE_COMMAND,
    CN_WIRE_STEP,
    CN_WIRE_RESET,
    CN_WIRE_ESTOP,
} cn_wire_kind;

typedef struct cn_wire_request {
    uint64_t id;
    uint64_t lease;            /* 0: none */
    uint32_t protocol_version; /* of the sender; 0: it gives none */
    cn_wire_kind kind;
    cn_wire_command command; /* COMMAND, STEP */
    char text[CN_WIRE_TEXT]; /* ACQUIRE: the holder; ESTOP: the reason */
    int64_t time_to_live_ns; /* ACQUIRE */
    uint64_t seed;           /* RESET */
    bool goal_only;          /* RESET */
} cn_wire_request;

typedef struct cn_wire_info {
    uint32_t protocol_version;
    uint64_t session;
    cn_plant_info plant;
    bool lockstep;
    char request_endpoint[CN_WIRE_ENDPOINT];
} cn_wire_info;

/* The server's mode; the numbers are those of the wire. */
typedef enum cn_wire_mode {
    CN_WIRE_IDLE,
    CN_WIRE_ACTIVE,
    CN_WIRE_HOLDING,
    CN_WIRE_ESTOPPED,
} cn_wire_mode;

/* How long something takes, ns. */
typedef struct cn_durations {
    int64_t p50, p99, max;
} cn_durations;

typedef struct cn_wire_frame {
    uint64_t sequence;
    uint64_t resets;
    cn_arm_state state;
    cn_image image; /* packed, and left out in unpacking: `packed` has it. rgb NULL: none */
    int64_t published_ns, taken_ns; /* this frame; `applied`: the server's CLOCK_MONOTONIC */
    cn_wire_command applied;        /* sequence 0: none yet */
    cn_wire_mode mode;
    uint64_t commands_applied, commands_refused, deadline_misses, watchdog_stops;
    uint64_t refused[CN_REFUSALS]; /* commands_refused by reason */
    char last_refusal[CN_WIRE_TEXT];
    char holder[CN_WIRE_TEXT];      /* of the lease; empty: nobody */
    uint64_t leases_lapsed;         /* by silence, */
    char last_lapsed[CN_WIRE_TEXT]; /* and whose it was */
    cn_durations period;            /* servo period to servo period; zeros: not measured */
    cn_durations command_age;       /* frame published to its command taken; likewise */
    uint64_t keep_out_stops;        /* before a box, */
    char kept_from[CN_NAME];        /* and whose point would have come into one now; empty: none */
} cn_wire_frame;

typedef struct cn_wire_reply {
    uint64_t id;
    char error[2 * CN_WIRE_TEXT]; /* empty: done */
    cn_refusal refusal;           /* what kind of refusal it is */
    bool has_info, has_frame;
    uint64_t lease; /* 0: none */
    cn_wire_mode mode;
} cn_wire_reply;

/* The topics of a State, which are its first byte: the tag of its body. A SUB socket may subscribe
 * to one of them. */
#define CN_WIRE_TOPIC_INFO  "\x0a"
#define CN_WIRE_TOPIC_FRAME "\x12"

/* @param out  [CN_WIRE_REQUEST_MAX] or [CN_WIRE_STATE_MAX] bytes
 * @return bytes written */
size_t cn_wire_pack_request(const cn_wire_request *request, uint8_t *out);
size_t cn_wire_pack_info(const cn_wire_info *info, uint8_t *out);
/* @param plant  for the names of the tracked points */
size_t cn_wire_pack_frame(const cn_wire_frame *frame, const cn_plant_info *plant, uint8_t *out);
/* @param info, frame  may be NULL; reply->has_info and has_frame are not read */
size_t cn_wire_pack_reply(const cn_wire_reply *reply, const cn_wire_info *info,
                          const cn_wire_frame *frame, const cn_plant_info *plant, uint8_t *out);
/* The bytes of the SensorFrame in a packed State; NULL: there is none. */
const void *cn_wire_packed_frame(const void *state, size_t size, uint32_t *packed_size);

/* A Command alone, as it goes into the log. */
size_t cn_wire_pack_command(const cn_wire_command *command, uint8_t *out);

/* @return CN_ERR_FORMAT: not such a message, or one beyond our sizes; out->id is filled where it
 * could be read. */
cn_status cn_wire_unpack_request(cn_arena *arena, const void *data, size_t size,
                                 cn_wire_request *out, cn_error *err);

/* Unpacks a State: an info or a frame, *is_frame says which.
 * @param plant   the robot, for the order of the tracked points; NULL while it is unknown: then a
 *                frame is passed over (*is_frame true, frame untouched)
 * @param packed  the bytes of the SensorFrame inside data; *packed_size 0 for an info */
cn_status cn_wire_unpack_state(cn_arena *arena, const void *data, size_t size,
                               const cn_plant_info *plant, bool *is_frame, cn_wire_info *info,
                               cn_wire_frame *frame, const void **packed, uint32_t *packed_size,
                               cn_error *err);

/* Unpacks a Reply; info and frame are filled as has_info and has_frame say. */
cn_status cn_wire_unpack_reply(cn_arena *arena, const void *data, size_t size,
                               const cn_plant_info *plant, cn_wire_reply *out, cn_wire_info *info,
                               cn_wire_frame *frame, const void **packed, uint32_t *packed_size,
                               cn_error *err);

#endif
