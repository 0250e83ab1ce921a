/* Plays a simulated task for somebody else's environment to be held against: one JSON line with
 * where an episode begins (the simulation's qpos and qvel, and the observation), then one a step,
 * until the episode or the actions end.
 *
 * Usage: play TASK SEED < ACTIONS      actions in [-1, 1], separated by white space */
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/sim_env.h"
#include "sim/twin.h"

static int fail(const cn_error *err)
{
    fprintf(stderr, "play: %s\n", err->message);
    return 1;
}

static void print_doubles(const char *name, const double *value, int count)
{
    printf("\"%s\": [", name);
    for (int i = 0; i < count; i++)
        printf("%s%.17g", i ? ", " : "", value[i]);
    printf("], ");
}

static void print_observation(const float *value, int count)
{
    printf("\"observation\": [");
    for (int i = 0; i < count; i++)
        printf("%s%.9g", i ? ", " : "", (double)value[i]);
    printf("]");
}

/* The environment's twin is its own, but a second one that is reset with the seed stands alike. */
static cn_status print_start(const cn_task *task, uint64_t seed, cn_error *err)
{
    cn_twin *twin = NULL;
    CN_TRY(cn_twin_create(task, NULL, &twin, err));
    const cn_status status = cn_twin_reset(twin, seed, err);
    const mjModel *m = cn_twin_mjmodel(twin);
    const mjData *d = cn_twin_mjdata(twin);
    printf("{");
    print_doubles("qpos", d->qpos, (int)m->nq);
    print_doubles("qvel", d->qvel, (int)m->nv);
    cn_twin_destroy(&twin);
    return status;
}

static cn_status play(const cn_task *task, cn_env *env, uint64_t seed, cn_error *err)
{
    float observation[1024], action[CN_MAX_ACTIONS];
    const int observations = env->spec.observation_size, actions = env->spec.action_size;
    CN_FAIL_IF(observations > 1024, CN_ERR_ARGUMENT, err, "%d observations", observations);
    CN_TRY(print_start(task, seed, err));
    CN_TRY(env->reset(env, seed, observation, err));
    print_observation(observation, observations);
    printf("}\n");
    cn_env_step step = {0};
    while (!step.terminated && !step.truncated) {
        for (int i = 0; i < actions; i++)
            if (scanf("%f", &action[i]) != 1)
                return CN_OK;
        CN_TRY(env->step(env, action, &step, observation, err));
        printf("{\"reward\": %.9g, \"terminated\": %s, \"truncated\": %s, ", (double)step.reward,
               step.terminated ? "true" : "false", step.truncated ? "true" : "false");
        print_observation(observation, observations);
        printf("}\n");
    }
    return CN_OK;
}

int main(int argc, char **argv)
{
    cn_error err = {0};
    cn_task *task = NULL;
    cn_env *env = NULL;
    if (argc != 3) {
        fprintf(stderr, "Usage: play TASK SEED < ACTIONS\n");
        return 2;
    }
    cn_status status = cn_task_load(argv[1], &task, &err);
    if (status == CN_OK)
        status = cn_sim_env_create(task, NULL, &env, &err);
    if (status == CN_OK)
        status = play(task, env, strtoull(argv[2], NULL, 10), &err);
    cn_env_destroy(&env);
    cn_task_destroy(&task);
    return status == CN_OK ? 0 : fail(&err);
}
