/* The messages of a log. The input is a list of them: the channel (a byte), the size (two,
 * little-endian), the log time in ms since the one before (a byte), the message. The writer puts
 * them into a file, so that no mutation is lost on the container, which mcap.c is for. */
#include "bridge/episode.h"

#include "bridge/log.h"
#include "bridge/mcap.h"
#include "bridge/mcap_format.h"
#include "tests/fuzz/fuzz.h"

enum { HEAD = 4, KINDS = 4 };

/* What an episode is made of, as the inputs number it. */
static const cn_log_channel kinds[KINDS] = {CN_LOG_SENSORS, CN_LOG_COMMANDS, CN_LOG_POLICY,
                                            CN_LOG_EVENTS};

static const struct {
    const char *topic, *message;
} channels[] = {
#define CHANNEL_ROW(name, topic, message) {topic, message},
    CN_LOG_CHANNEL_TABLE(CHANNEL_ROW)
#undef CHANNEL_ROW
};

static cn_mcap_writer *begin_log(const char *path, uint16_t id[CN_LOG_CHANNELS])
{
    static const char *const keys[] = {
        "task", "arm", "task_file", "policy_file", "robot", "policy_checksum", "control_period_s"};
    static const char *const values[] = {"reach",       "fake", "reach.yaml", "",
                                         "ipc://robot", "",     "0.05"};
    cn_error err = {0};
    cn_mcap_writer *writer;
    FUZZ_CHECK_OK(cn_mcap_create(path, CN_MCAP_NONE, 4096, &writer, &err));
    FUZZ_CHECK_OK(cn_mcap_metadata(writer, "colonnade", keys, values, 7, &err));
    for (int i = 0; i < CN_LOG_CHANNELS; i++) {
        uint16_t schema;
        FUZZ_CHECK_OK(cn_mcap_schema(writer, channels[i].message, "", 0, &schema, &err));
        FUZZ_CHECK_OK(cn_mcap_channel(writer, schema, channels[i].topic, &id[i], &err));
    }
    return writer;
}

/* @return how many messages there were */
static uint64_t write_log(const char *path, const uint8_t *data, size_t size)
{
    cn_error err = {0};
    uint16_t id[CN_LOG_CHANNELS];
    uint64_t messages = 0, time_ns = UINT64_C(1000000000);
    cn_mcap_writer *writer = begin_log(path, id);
    while (size >= HEAD) {
        const size_t wanted = (size_t)(data[1] | data[2] << 8);
        const size_t bytes = wanted < size - HEAD ? wanted : size - HEAD;
        time_ns += data[3] * UINT64_C(1000000);
        FUZZ_CHECK_OK(cn_mcap_message(writer, id[kinds[data[0] % KINDS]], (uint32_t)messages++,
                                      time_ns, time_ns, data + HEAD, bytes, &err));
        data += HEAD + bytes;
        size -= HEAD + bytes;
    }
    FUZZ_CHECK_OK(cn_mcap_finish(&writer, &err));
    return messages;
}

/* What those who use an episode do not check. @return a checksum of all that it holds */
static uint32_t checksum_of(const cn_episode *e)
{
    const size_t floats = (size_t)e->observation_size, actions = (size_t)e->action_size;
    uint32_t sum = 0;
    for (int i = 0; i < e->frames; i++) {
        const cn_arm_state *state = &e->frame[i].state;
        FUZZ_CHECK(state->joints >= 1 && state->joints <= CN_MAX_JOINTS);
        FUZZ_CHECK(state->joints == e->frame[0].state.joints);
        FUZZ_CHECK(state->tracked == e->frame[0].state.tracked);
        FUZZ_CHECK(state->tracked >= 0 && state->tracked <= CN_MAX_TRACKED);
        sum = cn_mcap_crc32(sum, state->position, (size_t)state->joints * sizeof(double));
    }
    for (int i = 0; i < e->commands; i++) {
        const cn_arm_command *command = &e->command[i].command;
        FUZZ_CHECK(command->mode >= CN_COMMAND_NONE && command->mode <= CN_COMMAND_EFFORT);
        FUZZ_CHECK(command->joints == 0 || e->frames == 0 ||
                   command->joints == e->frame[0].state.joints);
        sum = cn_mcap_crc32(sum, command->target, (size_t)command->joints * sizeof(double));
    }
    for (int i = 0; i < e->steps; i++) {
        sum = cn_mcap_crc32(sum, e->step[i].observation, floats * sizeof(float));
        sum = cn_mcap_crc32(sum, e->step[i].action, actions * sizeof(float));
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_episode *e;
    const char *path = fuzz_path("log.mcap");
    const uint64_t messages = write_log(path, data, size);
    if (!fuzz_succeeded(cn_episode_load(path, &e, &err), &err)) {
        FUZZ_CHECK(!e);
        return 0;
    }
    FUZZ_CHECK(e->messages == messages && !e->truncated);
    FUZZ_CHECK((uint64_t)e->frames + (uint64_t)e->commands + (uint64_t)e->steps +
                   (uint64_t)e->events ==
               messages);
    checksum_of(e);
    const int frames = e->frames, steps = e->steps;
    cn_episode_trim(e, 0.1, 0.5);
    FUZZ_CHECK(e->frames <= frames && e->steps <= steps);
    checksum_of(e);
    cn_episode_destroy(&e);
    return 0;
}
