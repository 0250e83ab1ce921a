/* Replies: what a controller reads in answer to a request. */
#include "tests/fuzz/robot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_wire_reply reply;
    cn_wire_info info;
    cn_wire_frame frame;
    const void *packed;
    uint32_t packed_size;
    if (!fuzz_succeeded(cn_wire_unpack_reply(robot_arena(), data, size, &two_joints, &reply, &info,
                                             &frame, &packed, &packed_size, &err),
                        &err))
        return 0;
    check_text(reply.error, sizeof reply.error);
    FUZZ_CHECK(reply.refusal >= 0 && reply.refusal < CN_REFUSALS);
    FUZZ_CHECK(!(reply.has_info && reply.has_frame));
    if (reply.has_info)
        check_info(&info);
    if (reply.has_frame)
        check_frame(&frame, data, size, packed, packed_size);
    return 0;
}
