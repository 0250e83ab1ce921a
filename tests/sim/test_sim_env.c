/* The simulated environment: episodes that repeat to the bit, end in the right way, and refuse to
 * be stepped when they have ended. */
#include "sim/sim_env.h"

#include "tests/sim/arm.h"

static cn_error err;

static cn_env *make(const cn_task *task, const cn_gap *gap)
{
    cn_env *env = NULL;
    CN_ASSERT_OK(cn_sim_env_create(task, gap, &env, &err));
    return env;
}

/* Steps a whole episode of fixed actions; rewards of each step, and the last observation. */
static int episode(cn_env *env, uint64_t seed, float rewards[32], float *observation)
{
    cn_env_step step = {0};
    int n = 0;
    CN_ASSERT_OK(env->reset(env, seed, observation, &err));
    while (!step.terminated && !step.truncated) {
        const float action[2] = {(float)sin(n), (float)cos(2 * n)};
        CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
        rewards[n++] = step.reward;
    }
    return n;
}

static void test_sim_env_repeats_to_the_bit(void)
{
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    gap.position_noise = 0.01;
    gap.dropped_frames = 0.1;
    gap.action_delay = 1;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    const cn_gap *const gaps[] = {NULL, &gap};
    for (int g = 0; g < 2; g++) {
        cn_env *a = make(task, gaps[g]), *b = make(task, gaps[g]);
        float ra[32], rb[32], rc[32], oa[16], ob[16], oc[16];
        CU_ASSERT_EQUAL(episode(b, 9, rb, ob), 20);
        CU_ASSERT_EQUAL(episode(b, 4, rb, ob), 20);
        CU_ASSERT_EQUAL(episode(a, 4, ra, oa), 20);
        CU_ASSERT_EQUAL(memcmp(ra, rb, 20 * sizeof *ra), 0);
        CU_ASSERT_EQUAL(memcmp(oa, ob, 7 * sizeof *oa), 0);
        episode(a, 5, rc, oc);
        CU_ASSERT_NOT_EQUAL(memcmp(ra, rc, 20 * sizeof *ra), 0);
        cn_env_destroy(&a);
        cn_env_destroy(&b);
    }
    cn_task_destroy(&task);
}

static void test_sim_env_refuses_steps_out_of_turn(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_env *env = make(task, NULL);
    cn_env_step step;
    float o[16], rewards[32];
    const float still[2] = {0, 0}, broken[2] = {0, NAN};
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "reset first", env->step(env, still, &step, o, &err));
    CN_ASSERT_OK(env->reset(env, 1, o, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "action of joint 'elbow' is nan",
                    env->step(env, broken, &step, o, &err));
    CN_ASSERT_OK(env->step(env, still, &step, o, &err));
    episode(env, 1, rewards, o);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "reset first", env->step(env, still, &step, o, &err));
    cn_env_destroy(&env);
    CU_ASSERT_PTR_NULL(env);
    cn_task_destroy(&task);
}

static void test_sim_env_terminates_on_success(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(load_swapped("below: 0.05, hold: 3, ends_episode: false",
                              "below: 9, hold: 3, ends_episode: true", &task, &err));
    cn_env *env = make(task, NULL);
    float o[16], rewards[32];
    CU_ASSERT_EQUAL(episode(env, 1, rewards, o), 3);
    cn_env_destroy(&env);
    cn_task_destroy(&task);
}

/* What the observer computes from joints is what the simulation has: the same rewards, whether the
 * tool is tracked in the simulation or computed by the observer's kinematics. */
static void test_sim_env_observer_agrees_with_the_simulation(void)
{
    const double rounding = 1e-6;
    cn_task *tracked = NULL, *computed = NULL;
    float ra[32], rb[32], oa[16], ob[16];
    CN_ASSERT_OK(load_swapped(NULL, NULL, &tracked, &err));
    CN_ASSERT_OK(load_swapped("tracked: [tool, target]", "tracked: [target]", &computed, &err));
    cn_env *a = make(tracked, NULL), *b = make(computed, NULL);
    for (uint64_t seed = 0; seed < 5; seed++) {
        CU_ASSERT_EQUAL(episode(a, seed, ra, oa), episode(b, seed, rb, ob));
        for (int i = 0; i < 20; i++)
            CU_ASSERT_DOUBLE_EQUAL(ra[i], rb[i], rounding);
    }
    cn_env_destroy(&a);
    cn_env_destroy(&b);
    cn_task_destroy(&tracked);
    cn_task_destroy(&computed);
}

static void test_sim_env_reports_divergence(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(load_variant(position_servos,
                              "<motor joint='shoulder' gear='1e6'/><motor joint='elbow'/>",
                              "mode: joint_position_delta, period: 0.05, scale: 0.1",
                              "mode: effort, period: 0.05, scale: 1e6", &task, &err));
    cn_env *env = make(task, NULL);
    float o[16];
    const float full[2] = {1, -1};
    cn_env_step step;
    cn_status status = CN_OK;
    CN_ASSERT_OK(env->reset(env, 1, o, &err));
    for (int i = 0; i < 19 && status == CN_OK; i++)
        status = env->step(env, full, &step, o, &err);
    CU_ASSERT_EQUAL(status, CN_ERR_PHYSICS);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "reset first", env->step(env, full, &step, o, &err));
    CN_ASSERT_OK(env->reset(env, 1, o, &err));
    cn_env_destroy(&env);
    cn_task_destroy(&task);
}

/* The arms that are shipped: specs as documented, observations about unit size, whole episodes. */
static void check_scene(const char *path, int joints, int tracked, int steps)
{
    cn_task *task = NULL;
    cn_env_step step = {0};
    float o[64], action[CN_MAX_ACTIONS] = {0};
    int n = 0;
    CN_ASSERT_OK(cn_task_load(path, &task, &err));
    cn_env *env = make(task, NULL);
    CU_ASSERT_EQUAL(env->spec.action_size, joints);
    CU_ASSERT_EQUAL(cn_task_tracked(task), tracked);
    CN_ASSERT_OK(env->reset(env, 1, o, &err));
    while (!step.truncated && !step.terminated) {
        for (int j = 0; j < joints; j++)
            action[j] = (float)sin(0.3 * n + j);
        CN_ASSERT_OK(env->step(env, action, &step, o, &err));
        for (int i = 0; i < env->spec.observation_size; i++)
            CU_ASSERT_TRUE(fabsf(o[i]) < 6);
        n++;
    }
    CU_ASSERT_TRUE(step.truncated);
    CU_ASSERT_EQUAL(n, steps);
    cn_env_destroy(&env);
    cn_task_destroy(&task);
}

static void test_sim_env_runs_reach(void)
{
    check_scene(CN_SOURCE_DIR "/scenes/reach.yaml", 6, 2, 50);
}

/* The models come with ./dev setup; without them this fails, as it should. */
static void test_sim_env_runs_the_jaco(void)
{
    check_scene(CN_SOURCE_DIR "/scenes/jaco_reach.yaml", 9, 2, 60);
}

static void test_sim_env_runs_the_so101(void)
{
    check_scene(CN_SOURCE_DIR "/scenes/so101.yaml", 5, 1, 60);
}

CN_TEST_MAIN("sim.sim_env", T(test_sim_env_repeats_to_the_bit),
             T(test_sim_env_refuses_steps_out_of_turn), T(test_sim_env_terminates_on_success),
             T(test_sim_env_observer_agrees_with_the_simulation),
             T(test_sim_env_reports_divergence), T(test_sim_env_runs_reach),
             T(test_sim_env_runs_the_jaco), T(test_sim_env_runs_the_so101))
