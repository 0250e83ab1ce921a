/* The simulated environment: observer, safety filter and twin, back to back: what a command goes
 * through on its way to a robot, without the wire. A policy so meets the arm that it will command.
 */
#include "sim/sim_env.h"

#include <math.h>
#include <stdlib.h>

#include "policy/safety.h"
#include "sim/observer.h"
#include "sim/twin.h"

struct sim_env {
    cn_env env; /* first: a cn_env * is a struct sim_env * */
    cn_twin *twin;
    cn_observer *observer;
    cn_arm_joint joint[CN_MAX_JOINTS];
    cn_safety *safety; /* NULL for efforts, which it does not take */
    double servo_period_s;
    int servo_ticks; /* a control period */
    cn_arm_state reading;
    bool running; /* between a reset and the end of its episode */
};

static cn_status reset(cn_env *env, uint64_t seed, float *observation, cn_error *err)
{
    struct sim_env *sim = (struct sim_env *)env;
    sim->running = false;
    CN_TRY(cn_twin_reset(sim->twin, seed, err));
    cn_twin_read(sim->twin, &sim->reading);
    if (sim->safety)
        cn_safety_begin(sim->safety, &sim->reading);
    cn_observer_begin(sim->observer, &sim->reading, observation);
    sim->running = true;
    return CN_OK;
}

/* One control period under a command, as the robot server's servo does it. */
static cn_status move(struct sim_env *sim, const cn_arm_command *wanted, cn_error *err)
{
    if (!sim->safety) {
        cn_twin_command(sim->twin, wanted);
        return cn_twin_advance(sim->twin, sim->env.spec.control_period_s, err);
    }
    for (int tick = 0; tick < sim->servo_ticks; tick++) {
        cn_arm_command command;
        cn_safety_next(sim->safety, wanted, sim->servo_period_s, &command);
        cn_twin_command(sim->twin, &command);
        CN_TRY(cn_twin_advance(sim->twin, sim->servo_period_s, err));
    }
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
    const cn_status status = move(sim, &command, err);
    sim->running = status == CN_OK;
    CN_TRY(status);
    cn_twin_read(sim->twin, &sim->reading);
    if (sim->safety)
        cn_safety_measure(sim->safety, &sim->reading, env->spec.control_period_s);
    cn_observer_observe(sim->observer, &sim->reading, out, observation);
    sim->running = !out->terminated && !out->truncated;
    return CN_OK;
}

static void destroy(cn_env *env)
{
    struct sim_env *sim = (struct sim_env *)env;
    cn_safety_destroy(&sim->safety);
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
    CN_TRY_CLEANUP(cn_twin_create(task, gap, &sim->twin, err));
    CN_TRY_CLEANUP(cn_observer_create(task, &sim->observer, err));
    sim->servo_period_s = cn_task_servo_period(task);
    sim->servo_ticks = (int)lround(sim->env.spec.control_period_s / sim->servo_period_s);
    for (int j = 0; j < cn_task_joints(task); j++)
        sim->joint[j] = *cn_task_joint(task, j);
    if (!cn_task_accepts(task, CN_COMMAND_EFFORT))
        CN_TRY_CLEANUP(cn_safety_create(sim->joint, cn_task_joints(task), CN_SAFETY_RAMP_S,
                                        &sim->safety, err));
    *out = &sim->env;
    sim = NULL;
cleanup:
    if (sim)
        destroy(&sim->env);
    return status;
}
