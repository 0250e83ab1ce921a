/* Requests: what a robot's server reads from whoever reaches its port. */
#include <string.h>

#include "tests/fuzz/robot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_wire_request request, read;
    if (!fuzz_succeeded(cn_wire_unpack_request(robot_arena(), data, size, &request, &err), &err))
        return 0;
    check_text(request.text, sizeof request.text);
    FUZZ_CHECK(request.command.command.joints >= 0);
    FUZZ_CHECK(request.command.command.joints <= CN_MAX_JOINTS);

    uint8_t out[CN_WIRE_REQUEST_MAX], again[CN_WIRE_REQUEST_MAX];
    const size_t written = cn_wire_pack_request(&request, out);
    FUZZ_CHECK(written <= sizeof out);
    FUZZ_CHECK_OK(cn_wire_unpack_request(robot_arena(), out, written, &read, &err));
    FUZZ_CHECK(cn_wire_pack_request(&read, again) == written);
    FUZZ_CHECK(memcmp(out, again, written) == 0);
    return 0;
}
