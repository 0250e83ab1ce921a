/* States: what a controller reads from whatever it takes for a robot. */
#include "tests/fuzz/robot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    bool is_frame, is_frame_again;
    cn_wire_info info;
    cn_wire_frame frame;
    const void *packed;
    uint32_t packed_size;
    /* While the robot is unknown a frame is passed over. */
    const bool passed =
        fuzz_succeeded(cn_wire_unpack_state(robot_arena(), data, size, NULL, &is_frame, &info,
                                            &frame, &packed, &packed_size, &err),
                       &err);
    const bool good =
        fuzz_succeeded(cn_wire_unpack_state(robot_arena(), data, size, &two_joints, &is_frame_again,
                                            &info, &frame, &packed, &packed_size, &err),
                       &err);
    FUZZ_CHECK(passed || !good);
    if (!good)
        return 0;
    FUZZ_CHECK(is_frame == is_frame_again);
    if (is_frame)
        check_frame(&frame, data, size, packed, packed_size);
    else
        check_info(&info);
    return 0;
}
