/* Policy files. */
#include "policy/policy.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_policy *policy, *again;
    const char *path = fuzz_file("policy.safetensors", data, size);
    if (!fuzz_succeeded(cn_policy_load(path, &policy, &err), &err)) {
        FUZZ_CHECK(!policy);
        return 0;
    }
    /* What a policy holds is in its file. */
    FUZZ_CHECK(cn_params_count(cn_policy_params(policy)) * sizeof(float) <= size);
    const char *saved = fuzz_path("again.safetensors");
    FUZZ_CHECK_OK(cn_policy_save(policy, saved, &err));
    FUZZ_CHECK_OK(cn_policy_load(saved, &again, &err));
    FUZZ_CHECK(cn_policy_columns(again) == cn_policy_columns(policy));
    FUZZ_CHECK(cn_params_checksum(cn_policy_params(again), "") ==
               cn_params_checksum(cn_policy_params(policy), ""));
    cn_policy_destroy(&again);
    cn_policy_destroy(&policy);
    return 0;
}
