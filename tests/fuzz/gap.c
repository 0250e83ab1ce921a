/* Reality gaps, for one task: what episodes draw lies where the gap says. */
#include "sim/gap.h"

#include <math.h>

#include "tests/fuzz/fuzz.h"

enum { EPISODES = 3 };

static const cn_task *fixed_task(void)
{
    static cn_task *task;
    cn_error err = {0};
    if (!task)
        FUZZ_CHECK_OK(cn_task_load(CN_SOURCE_DIR "/tests/fuzz/arm.yaml", &task, &err));
    return task;
}

static double number_at(const cn_gap *gap, size_t offset)
{
    return *(const double *)((const char *)gap + offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cn_gap gap, episode;
    cn_error err = {0};
    const char *path = fuzz_file("gap.yaml", data, size);
    if (!fuzz_succeeded(cn_gap_load(path, fixed_task(), &gap, &err), &err))
        return 0;
    FUZZ_CHECK(gap.numbers >= 0 && gap.numbers <= CN_MAX_GAP_NUMBERS);
    const int delay = cn_gap_longest_delay(&gap);
    FUZZ_CHECK(delay >= 0 && delay <= CN_MAX_DELAY);
    for (uint64_t seed = 0; seed < EPISODES; seed++) {
        cn_gap_of_episode(&gap, seed, &episode);
        FUZZ_CHECK(episode.numbers == 0);
        FUZZ_CHECK(episode.action_delay >= 0 && episode.action_delay <= delay);
        FUZZ_CHECK(episode.action_delay == floor(episode.action_delay));
        for (int i = 0; i < gap.numbers; i++) {
            const cn_gap_number *number = &gap.number[i];
            const double drawn = number_at(&episode, number->offset);
            FUZZ_CHECK(drawn >= number->low && drawn <= number->high);
            FUZZ_CHECK(number->draw == CN_GAP_NORMAL ||
                       (drawn >= number->a * (1 - 1e-12) && drawn <= number->b * (1 + 1e-12)) ||
                       number->a < 0);
        }
    }
    return 0;
}
