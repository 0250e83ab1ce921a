/* The simulated environment: observer, safety filter and twin, back to back: what a command goes
 * through on its way to a robot, without the wire. A policy so meets the arm that it will command.
 */
#include "sim/sim_env.h"

#include <math.h>
#include <stdlib.h>

#include "sim/observer.h"
#include "sim/servo.h"
#include "sim/twin.h"

struct sim_env {
    cn_env env; /* first: a cn_env * is a struct sim_env * */
    cn_twin *twin;
    cn_observer *observer;
    cn_servo *servo;
    cn_arm_state reading;
    bool running; /* between a reset and the end of its episode */
};

static cn_status reset(cn_env *env, uint64_t seed, float *observation, cn_error *err)
{
    struct sim_env *sim = (struct sim_env *)env;
    sim->running = false;
    CN_TRY(cn_twin_reset(sim->twin, seed, err));
    cn_twin_read(sim->twin, &sim->reading);
    cn_servo_begin(sim->servo, &sim->reading);
    cn_observer_begin(sim->observer, &sim->reading, observation);
    sim->running = true;
    return CN_OK;
}

static cn_status step(cn_env *env, const float *action, cn_env_step *out, float *observation,
                      cn_error *err)
{
    struct sim_env *sim = (struct sim_env *)env;
    cn_arm_command command;
    CN_FAIL_IF(!sim->running, CN_ERR_ARGUMENT, err, "step without a running episode; reset first");
    for (int i = 0; i < env->spec.action_size; i++)
        CN_FAIL_IF(!isfinite(action[i]), CN_ERR_ARGUMENT, err, "action of joint '%s' is %g",
                   env->spec.action[i], (double)action[i]);
    cn_observer_command(sim->observer, action, &command);
    const cn_status status = cn_servo_follow(sim->servo, &command, &sim->reading, err);
    sim->running = status == CN_OK;
    CN_TRY(status);
    cn_observer_observe(sim->observer, &sim->reading, out, observation);
    sim->running = !out->terminated && !out->truncated;
    return CN_OK;
}

static void destroy(cn_env *env)
{
    struct sim_env *sim = (struct sim_env *)env;
    cn_servo_destroy(&sim->servo);
    cn_observer_destroy(&sim->observer);
    cn_twin_destroy(&sim->twin);
    free(sim);
}

cn_status cn_sim_env_create(const cn_task *task, const cn_gap *gap, cn_env **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    struct sim_env *sim = calloc(1, sizeof *sim);
    CN_FAIL_IF(!sim, CN_ERR_MEMORY, err, "no memory for an environment");
    sim->env.spec = *cn_task_spec(task);
    sim->env.reset = reset;
    sim->env.step = step;
    sim->env.destroy = destroy;
    CN_TRY_CLEANUP(cn_twin_create(task, gap ? gap : cn_gap_of_task(task), &sim->twin, err));
    CN_TRY_CLEANUP(cn_observer_create(task, &sim->observer, err));
    CN_TRY_CLEANUP(cn_servo_create(task, sim->twin, &sim->servo, err));
    *out = &sim->env;
    sim = NULL;
cleanup:
    if (sim)
        destroy(&sim->env);
    return status;
}
