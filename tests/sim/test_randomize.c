/* Randomisation: gaps whose numbers every episode draws anew, with the right moments, from the seed
 * alone, and felt in the physics. */
#include <math.h>
#include <mujoco/mujoco.h>

#include "sim/gap.h"
#include "sim/sim_env.h"
#include "sim/twin.h"
#include "tests/sim/arm.h"

static cn_error err;

static cn_task *task;

/* The test task with a `randomize:` section; line 6 of the file is its first. */
static void load(const char *section)
{
    char with[1024];
    snprintf(with, sizeof with, "step_limit: 20\nrandomize:\n%s", section);
    CN_ASSERT_OK(load_swapped("step_limit: 20\n", with, &task, &err));
}

typedef struct moments {
    double mean, std, low, high;
} moments;

/* Of a number of the gap over many episodes. @param offset  of the double */
static moments moments_of(const cn_gap *gap, size_t offset, uint64_t episodes)
{
    moments m = {.low = INFINITY, .high = -INFINITY};
    double square = 0;
    for (uint64_t seed = 0; seed < episodes; seed++) {
        cn_gap drawn;
        cn_gap_of_episode(gap, seed, &drawn);
        const double x = *(const double *)((const char *)&drawn + offset);
        m.mean += x / (double)episodes;
        square += x * x / (double)episodes;
        m.low = fmin(m.low, x);
        m.high = fmax(m.high, x);
    }
    m.std = sqrt(square - m.mean * m.mean);
    return m;
}

static void test_randomize_draws_with_the_right_moments(void)
{
    enum { N = 4000 };
    load("  joint_zero_offset: {normal: [0.1, 0.02]}\n"
         "  actuator_gain: {shoulder: {log_uniform: [0.5, 2]}}\n"
         "  friction_add: {elbow: {uniform: [1, 3]}, shoulder: 0.5}\n"
         "  mass_scale: {uniform: [0.8, 1.2]}\n"
         "  damping_scale: 2\n"
         "  action_delay: {uniform: [1, 3]}\n");
    const cn_gap *gap = cn_gap_of_task(task);
    const double sqrt3 = 1.7320508, ln2 = log(2.0);
    /* E[x] and E[x^2] of a log-uniform x in 1/2..2 are 3/2 / (2 ln 2) and 15/4 / (4 ln 2) */
    const double log_mean = 0.75 / ln2, log_std = sqrt(0.9375 / ln2 - log_mean * log_mean);
    const struct {
        size_t offset;
        double mean, std, low, high;
    } expected[] = {
        {offsetof(cn_gap, joint_zero_offset), 0.1, 0.02, -INFINITY, INFINITY},
        {offsetof(cn_gap, joint_zero_offset) + sizeof(double), 0.1, 0.02, -INFINITY, INFINITY},
        {offsetof(cn_gap, actuator_gain), log_mean, log_std, 0.5, 2},
        {offsetof(cn_gap, actuator_gain) + sizeof(double), 1, 0, 1, 1},
        {offsetof(cn_gap, friction_add), 0.5, 0, 0.5, 0.5},
        {offsetof(cn_gap, friction_add) + sizeof(double), 2, 1 / sqrt3, 1, 3},
        {offsetof(cn_gap, damping_scale), 2, 0, 2, 2},
        {offsetof(cn_gap, mass_scale) + 2 * sizeof(double), 1, 0.2 / sqrt3, 0.8, 1.2}, /* upper */
        {offsetof(cn_gap, mass_scale) + 1 * sizeof(double), 1, 0, 1, 1},               /* target */
        {offsetof(cn_gap, action_delay), 2, sqrt(2.0 / 3), 1, 3},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const moments m = moments_of(gap, expected[i].offset, N);
        /* four standard errors; those of a standard deviation are at most those of a normal one */
        CU_ASSERT_DOUBLE_EQUAL(m.mean, expected[i].mean, 4 * expected[i].std / sqrt(N) + 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(m.std, expected[i].std, 4 * expected[i].std / sqrt(2 * N) + 1e-6);
        CU_ASSERT_TRUE(m.low >= expected[i].low && m.high <= expected[i].high);
    }
    CU_ASSERT_EQUAL(cn_gap_longest_delay(gap), 3);
    CU_ASSERT_TRUE(cn_gap_changes_physics(gap));
    cn_task_destroy(&task);
}

/* Joints draw each its own number, and the tails of a normal distribution end at the key's limits.
 */
static void test_randomize_draws_each_on_its_own(void)
{
    load("  friction_add: {normal: [0.1, 5]}\n");
    double both = 0, low = 1;
    for (uint64_t seed = 0; seed < 200; seed++) {
        cn_gap gap;
        cn_gap_of_episode(cn_gap_of_task(task), seed, &gap);
        CU_ASSERT_EQUAL(gap.numbers, 0); /* nothing is left to draw */
        both += gap.friction_add[0] == gap.friction_add[1] && gap.friction_add[0] > 0;
        low = fmin(low, fmin(gap.friction_add[0], gap.friction_add[1]));
    }
    CU_ASSERT_EQUAL(both, 0);
    CU_ASSERT_EQUAL(low, 0);
    cn_task_destroy(&task);
}

/* An episode of an environment with fixed actions; the sum of all that was observed. */
static double episode(cn_env *env, uint64_t seed)
{
    float observation[64];
    cn_env_step step = {0};
    double sum = 0;
    CN_ASSERT_OK(env->reset(env, seed, observation, &err));
    for (int n = 0; !step.terminated && !step.truncated; n++) {
        const float action[2] = {(float)sin(n), (float)cos(2 * n)};
        CN_ASSERT_OK(env->step(env, action, &step, observation, &err));
        for (int i = 0; i < env->spec.observation_size; i++)
            sum += (double)observation[i];
    }
    return sum;
}

/* What came before is not felt, and other seeds are other arms. */
static void test_randomize_depends_on_the_seed_alone(void)
{
    load("  mass_scale: {uniform: [0.5, 2]}\n  actuator_gain: {uniform: [0.5, 2]}\n"
         "  damping_scale: {uniform: [0.5, 2]}\n  friction_add: {uniform: [0, 2]}\n"
         "  action_delay: {uniform: [0, 2]}\n  joint_zero_offset: {normal: [0, 0.05]}\n"
         "  position_noise: {uniform: [0, 0.01]}\n");
    cn_env *used = NULL, *fresh = NULL;
    CN_ASSERT_OK(cn_sim_env_create(task, NULL, &used, &err));
    double before = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const double after = episode(used, seed);
        CU_ASSERT_NOT_EQUAL(after, before);
        before = after;
    }
    for (uint64_t seed = 2; seed <= 20; seed += 6) {
        CN_ASSERT_OK(cn_sim_env_create(task, NULL, &fresh, &err));
        CU_ASSERT_EQUAL(episode(used, seed), episode(fresh, seed));
        cn_env_destroy(&fresh);
    }
    cn_env_destroy(&used);
    cn_task_destroy(&task);
}

/* The model of an episode is the nominal one with what was drawn, and what MuJoCo derives from it.
 */
static void test_randomize_changes_the_model(void)
{
    load("  mass_scale: {lower: {uniform: [2, 3]}}\n  damping_scale: {uniform: [2, 3]}\n"
         "  actuator_gain: {uniform: [0.5, 0.6]}\n");
    cn_twin *nominal = NULL, *twin = NULL;
    CN_ASSERT_OK(cn_twin_create(task, NULL, &nominal, &err));
    CN_ASSERT_OK(cn_twin_create(task, cn_gap_of_task(task), &twin, &err));
    const mjModel *n = cn_twin_mjmodel(nominal), *m = cn_twin_mjmodel(twin);
    const int upper = mj_name2id(n, mjOBJ_BODY, "upper"),
              lower = mj_name2id(n, mjOBJ_BODY, "lower");
    double last = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        CN_ASSERT_OK(cn_twin_reset(twin, seed, &err));
        const double mass = m->body_mass[lower] / n->body_mass[lower];
        CU_ASSERT_TRUE(mass >= 2 && mass <= 3 && mass != last);
        CU_ASSERT_DOUBLE_EQUAL(m->body_inertia[3 * lower], mass * n->body_inertia[3 * lower],
                               1e-12);
        CU_ASSERT_DOUBLE_EQUAL(m->body_subtreemass[lower], m->body_mass[lower], 1e-12);
        CU_ASSERT_EQUAL(m->body_mass[upper], n->body_mass[upper]);
        CU_ASSERT_TRUE(m->dof_damping[1] >= 1 && m->dof_damping[1] <= 1.5); /* 0.5 in the model */
        const double gain = m->actuator_gainprm[0] / n->actuator_gainprm[0];
        CU_ASSERT_TRUE(gain >= 0.5 && gain <= 0.6);
        CU_ASSERT_DOUBLE_EQUAL(m->actuator_biasprm[1], gain * n->actuator_biasprm[1], 1e-9);
        last = mass;
    }
    cn_twin_destroy(&nominal);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

/* A command takes as long to act as this episode's delay says. */
static void test_randomize_changes_the_delay(void)
{
    load("  action_delay: {uniform: [0, 2]}\n");
    cn_twin *twin = NULL;
    int seen[3] = {0};
    CN_ASSERT_OK(cn_twin_create(task, cn_gap_of_task(task), &twin, &err));
    for (uint64_t seed = 1; seed <= 30; seed++) {
        cn_gap gap;
        cn_arm_state before, after;
        cn_gap_of_episode(cn_gap_of_task(task), seed, &gap);
        CN_ASSERT_OK(cn_twin_reset(twin, seed, &err));
        cn_twin_read(twin, &before);
        const cn_arm_command up = {
            CN_COMMAND_POSITION, 2, {before.position[0] + 0.5, before.position[1]}};
        cn_twin_command(twin, &up);
        int periods = 0;
        do {
            CN_ASSERT_OK(cn_twin_advance(twin, 0.05, &err));
            cn_twin_read(twin, &after);
        } while (fabs(after.position[0] - before.position[0]) < 0.02 && ++periods < 3);
        CU_ASSERT_EQUAL(periods, (int)gap.action_delay);
        seen[(int)gap.action_delay]++;
    }
    CU_ASSERT_TRUE(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

/* A robot's twin, and an environment with a gap of its own, are not randomised. */
static void test_randomize_is_for_training(void)
{
    load("  mass_scale: {uniform: [2, 3]}\n");
    const cn_gap none = cn_gap_none();
    cn_env *env = NULL, *plain = NULL;
    cn_task *other = NULL;
    cn_twin *robot = NULL, *nominal = NULL;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &other, &err));
    CN_ASSERT_OK(cn_sim_env_create(task, &none, &env, &err));
    CN_ASSERT_OK(cn_sim_env_create(other, NULL, &plain, &err));
    CU_ASSERT_EQUAL(episode(env, 3), episode(plain, 3));
    cn_env_destroy(&env);
    CN_ASSERT_OK(cn_sim_env_create(task, NULL, &env, &err));
    CU_ASSERT_NOT_EQUAL(episode(env, 3), episode(plain, 3));
    CN_ASSERT_OK(cn_twin_create(task, NULL, &robot, &err));
    CN_ASSERT_OK(cn_twin_create(other, NULL, &nominal, &err));
    CU_ASSERT_EQUAL(((const mjModel *)cn_twin_mjmodel(robot))->body_mass[3],
                    ((const mjModel *)cn_twin_mjmodel(nominal))->body_mass[3]);
    cn_twin_destroy(&robot);
    cn_twin_destroy(&nominal);
    cn_env_destroy(&env);
    cn_env_destroy(&plain);
    cn_task_destroy(&other);
    cn_task_destroy(&task);
}

static void test_randomize_mistakes_name_file_line_and_values(void)
{
    static const struct {
        const char *section, *words;
    } mistakes[] = {
        {"  mass: 2\n", "task.yaml:7: unknown key 'mass'; known here: joint_zero_offset"},
        {"  damping_scale: 1\n  mass_scale: {uniform: [0, 2]}\n",
         "task.yaml:8: mass_scale is drawn from uniform of 0 and 2; it must lie in 0.001 to 1000"},
        {"  friction_add: {uniform: [3, 1]}\n",
         "task.yaml:7: friction_add: uniform of 3 and 1; expected the lower end first"},
        {"  friction_add: {log_uniform: [0, 1]}\n",
         "task.yaml:7: friction_add: log_uniform of 0 and 1; both must be above 0"},
        {"  friction_add: {normal: [1, -1]}\n",
         "task.yaml:7: friction_add: normal of 1 and -1; expected mean and standard deviation"},
        {"  action_delay: {normal: [1, 1]}\n",
         "task.yaml:7: action_delay: normal of 1 and 1; it takes uniform of whole numbers"},
        {"  action_delay: {uniform: [0, 17]}\n",
         "task.yaml:7: action_delay is drawn from uniform of 0 and 17; it must lie in 0 to 16"},
        {"  action_delay: {uniform: [0, 1.5]}\n", "it takes uniform of whole numbers"},
        {"  mass_scale: {uniform: [1, 2, 3]}\n", "task.yaml:7: found 3 numbers, expected 2"},
        {"  actuator_gain: {hip: {uniform: [1, 2]}}\n",
         "task.yaml:7: joint 'hip' is not one of the task's: shoulder, elbow"},
        {"  mass_scale: {world: 2}\n", "task.yaml:7: body 'world' has no mass to change"},
        {"  position_noise: {shoulder: 1}\n", "task.yaml:7: "},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        char with[512];
        snprintf(with, sizeof with, "step_limit: 20\nrandomize:\n%s", mistakes[i].section);
        task = NULL;
        CN_ASSERT_FAILS(CN_ERR_FORMAT, mistakes[i].words,
                        load_swapped("step_limit: 20\n", with, &task, &err));
        cn_task_destroy(&task);
    }
}

/* The scene in scenes/: reach, with an arm that is another one in every episode. */
static void test_randomize_of_the_scene(void)
{
    cn_env *env = NULL;
    CN_ASSERT_OK(cn_task_load(CN_SOURCE_DIR "/scenes/reach_randomized.yaml", &task, &err));
    CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->task, "reach_randomized");
    CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->arm, "reach_arm");
    CU_ASSERT_TRUE(cn_gap_of_task(task)->numbers > 0);
    CN_ASSERT_OK(cn_sim_env_create(task, NULL, &env, &err));
    cn_env_destroy(&env);
    cn_task_destroy(&task);
}

CN_TEST_MAIN("sim.randomize", T(test_randomize_draws_with_the_right_moments),
             T(test_randomize_draws_each_on_its_own), T(test_randomize_depends_on_the_seed_alone),
             T(test_randomize_changes_the_model), T(test_randomize_changes_the_delay),
             T(test_randomize_is_for_training),
             T(test_randomize_mistakes_name_file_line_and_values), T(test_randomize_of_the_scene))
