/* Tasks, on a small arm: what loads can also be played. */
#include "sim/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "sim/sim_env.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS = 3, OBSERVATION_MAX = 65536 };

/* The files that tasks of the corpus name. */
static void place_files(void)
{
    static const char *const files[][2] = {
        {"arm.xml", "arm.xml"}, {"hand.xml", "hand.xml"}, {"arm.yaml", "base.yaml"}};
    static bool placed;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !placed; i++) {
        cn_error err = {0};
        char path[1024], *bytes;
        size_t size;
        snprintf(path, sizeof path, CN_SOURCE_DIR "/tests/fuzz/%s", files[i][0]);
        FUZZ_CHECK_OK(cn_file_read(path, &bytes, &size, &err));
        fuzz_file(files[i][1], bytes, size);
        free(bytes);
    }
    placed = true;
}

static void check_spec(const cn_task *task)
{
    const cn_env_spec *spec = cn_task_spec(task);
    int size = 0;
    FUZZ_CHECK(spec->groups >= 1 && spec->groups <= CN_MAX_GROUPS);
    for (int g = 0; g < spec->groups; g++) {
        FUZZ_CHECK(spec->group[g].offset == size && spec->group[g].size > 0);
        size += spec->group[g].size;
    }
    FUZZ_CHECK(spec->observation_size == size && size <= OBSERVATION_MAX);
    FUZZ_CHECK(spec->action_size >= 1 && spec->action_size <= CN_MAX_ACTIONS);
    FUZZ_CHECK(spec->step_limit >= 1);
    const double servo = cn_task_servo_period(task);
    FUZZ_CHECK(servo > 0 && servo <= spec->control_period_s * (1 + 1e-9));
    for (int j = 0; j < spec->action_size; j++) {
        const cn_arm_joint *joint = cn_task_joint(task, j);
        FUZZ_CHECK(joint->position_low <= joint->position_high);
        FUZZ_CHECK(joint->velocity > 0);
    }
    for (int i = 0; i < cn_task_tracked(task); i++)
        FUZZ_CHECK(cn_task_tracked_name(task, i)[0]);
}

/* An episode that cannot begin or go on says so; what is observed is finite. */
static void play(const cn_task *task)
{
    static float observation[OBSERVATION_MAX];
    const cn_env_spec *spec = cn_task_spec(task);
    float action[CN_MAX_ACTIONS] = {1, -1, 0.5f};
    cn_error err = {0};
    cn_env *env;
    cn_env_step step;
    if (!fuzz_succeeded(cn_sim_env_create(task, NULL, &env, &err), &err))
        return;
    cn_status status = env->reset(env, 1, observation, &err);
    for (int i = 0; fuzz_succeeded(status, &err) && i < STEPS; i++) {
        for (int k = 0; k < spec->observation_size; k++)
            FUZZ_CHECK(isfinite(observation[k]));
        status = env->step(env, action, &step, observation, &err);
    }
    cn_env_destroy(&env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cn_error err = {0};
    cn_task *task;
    place_files();
    if (!fuzz_succeeded(cn_task_load(fuzz_file("task.yaml", data, size), &task, &err), &err)) {
        FUZZ_CHECK(!task);
        return 0;
    }
    check_spec(task);
    play(task);
    cn_task_destroy(&task);
    return 0;
}
