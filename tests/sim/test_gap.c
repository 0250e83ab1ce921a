/* The reality gap: read from YAML, and felt in readings and motion one effect at a time. */
#include "sim/gap.h"

#include "sim/twin.h"
#include "tests/sim/arm.h"

static cn_error err;

/* rad: what a well damped servo still misses a second after its command. */
static const double settled = 2e-3;

static cn_status load_gap(const char *yaml, const cn_task *task, cn_gap *out)
{
    char path[] = "/tmp/colonnade-gap-XXXXXX";
    const int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(yaml, f);
    fclose(f);
    const cn_status status = cn_gap_load(path, task, out, &err);
    remove(path);
    return status;
}

static cn_twin *make(const cn_task *task, const cn_gap *gap)
{
    cn_twin *twin = NULL;
    CN_ASSERT_OK(cn_twin_create(task, gap, &twin, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 5, &err));
    return twin;
}

/* The same for every joint, or for every body. */
static void set_all(double *values, double value)
{
    for (int i = 0; i < CN_MAX_JOINTS; i++)
        values[i] = value;
}

static cn_arm_state go(cn_twin *twin, double a, double b, double seconds)
{
    cn_arm_state state;
    const cn_arm_command command = {.mode = CN_COMMAND_POSITION, .joints = 2, .target = {a, b}};
    cn_twin_command(twin, &command);
    CN_ASSERT_OK(cn_twin_advance(twin, seconds, &err));
    cn_twin_read(twin, &state);
    return state;
}

static void test_gap_loads(void)
{
    cn_task *task = NULL;
    cn_gap gap;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    CN_ASSERT_OK(load_gap("joint_zero_offset: {elbow: 0.1}\nactuator_gain: {shoulder: 0.8}\n"
                          "action_delay: 2\nfriction_add: 0.5\ndropped_frames: 0.1\n",
                          task, &gap));
    CU_ASSERT_EQUAL(gap.joint_zero_offset[0], 0);
    CU_ASSERT_EQUAL(gap.joint_zero_offset[1], 0.1);
    CU_ASSERT_EQUAL(gap.actuator_gain[0], 0.8);
    CU_ASSERT_EQUAL(gap.actuator_gain[1], 1);
    CU_ASSERT_EQUAL(gap.action_delay, 2);
    for (int j = 0; j < 2; j++)
        CU_ASSERT_TRUE(gap.friction_add[j] == 0.5 && gap.friction_scale[j] == 1);
    for (int b = 0; b < 5; b++)
        CU_ASSERT_EQUAL(gap.mass_scale[b], 1);
    CU_ASSERT_EQUAL(gap.numbers, 0);
    CU_ASSERT_EQUAL(gap.dropped_frames, 0.1);
    cn_task_destroy(&task);
}

static void test_gap_mistakes_are_told(void)
{
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":2: joint 'hip' is not one of the task's: shoulder, elbow",
                    load_gap("action_delay: 1\njoint_zero_offset: {hip: 0.1}\n", task, &gap));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":1: unknown key 'delay'; known here: joint_zero_offset",
                    load_gap("delay: 1\n", task, &gap));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":1: found 17, expected 0 to 16",
                    load_gap("action_delay: 17\n", task, &gap));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":1: found 0, expected 0.001 to 1000",
                    load_gap("mass_scale: 0\n", task, &gap));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, ":1: action_delay is 1.5; it takes a whole number",
                    load_gap("action_delay: 1.5\n", task, &gap));
    CN_ASSERT_FAILS(CN_ERR_FORMAT,
                    ":2: body 'hand' has no mass to change; there are: world, target",
                    load_gap("mass_scale:\n  hand: 2\n", task, &gap));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "no/gap.yaml", cn_gap_load("no/gap.yaml", task, &gap, &err));
    CU_ASSERT_EQUAL(gap.action_delay, 0); /* a failure leaves the gap as it was */
    cn_task_destroy(&task);
}

/* Of a model with more bodies than a gap has masses, none are changed silently. */
static void test_gap_refuses_too_many_bodies(void)
{
    char crowd[8192], words[64];
    cn_gap gap;
    for (int extra = CN_MAX_GAP_BODIES - 4; extra <= CN_MAX_GAP_BODIES - 3; extra++) {
        cn_task *task = NULL;
        size_t used = 0;
        for (int i = 0; i < extra; i++)
            used += (size_t)snprintf(crowd + used, sizeof crowd - used, "<body name='b%d'/>", i);
        snprintf(crowd + used, sizeof crowd - used, "<light pos='0 0 3'/>");
        CN_ASSERT_OK(load_swapped("<light pos='0 0 3'/>", crowd, &task, &err));
        const int bodies = extra + 4; /* and the world, the target, the two links */
        CN_ASSERT_OK(load_gap("action_delay: 1\n", task, &gap));
        if (bodies <= CN_MAX_GAP_BODIES) {
            CN_ASSERT_OK(load_gap("mass_scale: {lower: 2}\n", task, &gap));
            CN_ASSERT_OK(load_gap("mass_scale: 2\n", task, &gap));
            CU_ASSERT_EQUAL(gap.mass_scale[bodies - 1], 2); /* the lower link */
        } else {
            snprintf(words, sizeof words, ":1: the model has %d bodies", bodies);
            CN_ASSERT_FAILS(CN_ERR_FORMAT, words, load_gap("mass_scale: {lower: 2}\n", task, &gap));
            CN_ASSERT_FAILS(CN_ERR_FORMAT, "mass_scale is for models of at most 128",
                            load_gap("mass_scale: 2\n", task, &gap));
        }
        cn_task_destroy(&task);
    }
}

static void test_gap_none_shares_the_model(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_gap sensors_only = cn_gap_none(), physics = cn_gap_none();
    sensors_only.joint_zero_offset[0] = 0.2;
    set_all(physics.mass_scale, 1.5);
    cn_twin *a = make(task, NULL), *b = make(task, &sensors_only), *c = make(task, &physics);
    CU_ASSERT_PTR_EQUAL(cn_twin_mjmodel(a), cn_twin_mjmodel(b));
    CU_ASSERT_PTR_NOT_EQUAL(cn_twin_mjmodel(a), cn_twin_mjmodel(c));
    cn_twin_destroy(&a);
    cn_twin_destroy(&b);
    cn_twin_destroy(&c);
    cn_task_destroy(&task);
}

static void test_gap_offset_lies_about_position_and_moves_the_tool(void)
{
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    gap.joint_zero_offset[0] = 0.2;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_twin *honest = make(task, NULL), *lying = make(task, &gap);
    cn_arm_state a, b;
    cn_twin_read(honest, &a);
    cn_twin_read(lying, &b);
    CU_ASSERT_DOUBLE_EQUAL(b.position[0], a.position[0] + 0.2, 1e-12);
    CU_ASSERT_EQUAL(b.point[0][0], a.point[0][0]); /* a tracker is not fooled */
    a = go(honest, 0.5, 0.5, 1.5);
    b = go(lying, 0.5, 0.5, 1.5);
    CU_ASSERT_DOUBLE_EQUAL(b.position[0], 0.5,
                           settled); /* the encoder arrives, the tool does not */
    CU_ASSERT_DOUBLE_EQUAL(a.point[0][0] - b.point[0][0],
                           0.3 * (sin(0.5) - sin(0.3)) + 0.3 * (sin(1.0) - sin(0.8)), settled);
    CN_ASSERT_OK(cn_twin_place(lying, &b, &err));
    cn_twin_read(lying, &a);
    CU_ASSERT_DOUBLE_EQUAL(a.position[0], b.position[0], 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(a.point[0][0], b.point[0][0], 1e-12);
    cn_twin_destroy(&honest);
    cn_twin_destroy(&lying);
    cn_task_destroy(&task);
}

static void test_gap_delay_shifts_the_motion_in_time(void)
{
    const double drift = 1e-4; /* rad: what holding still for two periods may move */
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    gap.action_delay = 2;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_twin *prompt = make(task, NULL), *late = make(task, &gap);
    double prompt_path[12], late_path[12];
    for (int i = 0; i < 12; i++) {
        prompt_path[i] = go(prompt, 0.2 + 0.1 * i, 0.4, 0.05).position[0];
        late_path[i] = go(late, 0.2 + 0.1 * i, 0.4, 0.05).position[0];
    }
    CU_ASSERT_TRUE(prompt_path[9] > 0.5);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_DOUBLE_EQUAL(late_path[i + 2], prompt_path[i], drift);
    CN_ASSERT_OK(cn_twin_reset(late, 5, &err)); /* forgets what was still waiting */
    cn_arm_state before, after;
    cn_twin_read(late, &before);
    CN_ASSERT_OK(cn_twin_advance(late, 0.5, &err));
    cn_twin_read(late, &after);
    CU_ASSERT_DOUBLE_EQUAL(after.position[0], before.position[0], settled);
    cn_twin_destroy(&prompt);
    cn_twin_destroy(&late);
    cn_task_destroy(&task);
}

/* A servo is sent a command at every physics step, and the longest delay holds them all. */
static void test_gap_delays_however_often_commanded(void)
{
    const int steps_per_period = 5;
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    gap.action_delay = CN_MAX_DELAY;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_twin *late = make(task, &gap);
    cn_arm_state before, after = {0};
    cn_twin_read(late, &before);
    for (int i = 0; i < CN_MAX_DELAY * steps_per_period; i++)
        after = go(late, 1, 0.4, 0.01);
    CU_ASSERT_DOUBLE_EQUAL(after.position[0], before.position[0], settled);
    for (int i = 0; i < 100; i++)
        after = go(late, 1, 0.4, 0.01);
    CU_ASSERT_DOUBLE_EQUAL(after.position[0], 1, settled);
    cn_twin_destroy(&late);
    cn_task_destroy(&task);
}

/* Where the shoulder is a tenth of a second after the same command. */
static double response(const cn_task *task, const cn_gap *gap)
{
    cn_twin *twin = make(task, gap);
    const double position = go(twin, 1, 0.4, 0.1).position[0];
    cn_twin_destroy(&twin);
    return position;
}

static void test_gap_changes_the_dynamics(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    const double nominal = response(task, NULL);
    cn_gap gap = cn_gap_none();
    gap.actuator_gain[0] = 0.5;
    CU_ASSERT_TRUE(response(task, &gap) < nominal - 0.02);
    gap = cn_gap_none();
    set_all(gap.mass_scale, 2);
    CU_ASSERT_TRUE(response(task, &gap) < nominal - 0.02);
    gap = cn_gap_none();
    set_all(gap.friction_add, 20);
    CU_ASSERT_TRUE(response(task, &gap) < nominal - 0.02);
    cn_task_destroy(&task);
    CN_ASSERT_OK(load_swapped("armature='0.05'", "armature='0.05' damping='5' frictionloss='2'",
                              &task, &err));
    const double damped = response(task, NULL);
    gap = cn_gap_none();
    set_all(gap.damping_scale, 3);
    CU_ASSERT_TRUE(response(task, &gap) < damped - 0.01);
    gap = cn_gap_none();
    set_all(gap.friction_scale, 5);
    CU_ASSERT_TRUE(response(task, &gap) < damped - 0.01);
    cn_task_destroy(&task);
}

/* Gravity compensation is the nominal arm's, so a heavier one sags by torque / kp. */
static void test_gap_mass_sags(void)
{
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    set_all(gap.mass_scale, 2);
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_twin *heavy = make(task, &gap), *nominal = make(task, NULL);
    const double sag = go(heavy, 1.2, 0.4, 3).position[0] - 1.2;
    CU_ASSERT_DOUBLE_EQUAL(go(nominal, 1.2, 0.4, 3).position[0], 1.2, settled);
    CU_ASSERT_TRUE(sag > 0.02);
    cn_twin_destroy(&heavy);
    cn_twin_destroy(&nominal);
    cn_task_destroy(&task);
}

static void test_gap_noise_has_its_size(void)
{
    enum { N = 4000 };
    const double relative = 4 / sqrt(2.0 * N); /* four standard errors of a standard deviation */
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    gap.position_noise = 0.01;
    gap.velocity_noise = 0.1;
    gap.tracked_noise = 0.002;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_twin *noisy = make(task, &gap), *clean = make(task, NULL);
    cn_arm_state truth, s;
    double squares[3] = {0}, sum = 0;
    cn_twin_read(clean, &truth);
    for (int i = 0; i < N; i++) {
        cn_twin_read(noisy, &s);
        sum += s.position[0] - truth.position[0];
        squares[0] += pow(s.position[0] - truth.position[0], 2) / N;
        squares[1] += pow(s.velocity[1], 2) / N;
        squares[2] += pow(s.point[1][2] - truth.point[1][2], 2) / N;
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / N, 0, 4 * 0.01 / sqrt(N));
    CU_ASSERT_DOUBLE_EQUAL(sqrt(squares[0]), 0.01, 0.01 * relative);
    CU_ASSERT_DOUBLE_EQUAL(sqrt(squares[1]), 0.1, 0.1 * relative);
    CU_ASSERT_DOUBLE_EQUAL(sqrt(squares[2]), 0.002, 0.002 * relative);
    cn_twin_destroy(&noisy);
    cn_twin_destroy(&clean);
    cn_task_destroy(&task);
}

static void test_gap_drops_frames(void)
{
    enum { N = 2000 };
    cn_task *task = NULL;
    cn_gap gap = cn_gap_none();
    gap.dropped_frames = 0.3;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    cn_twin *twin = make(task, &gap);
    cn_arm_state s;
    double before = -1;
    int stale = 0;
    for (int i = 0; i < N; i++) {
        cn_twin_read(twin, &s);
        stale += s.time_s == before;
        before = s.time_s;
        CN_ASSERT_OK(cn_twin_advance(twin, 0.01, &err));
    }
    CU_ASSERT_DOUBLE_EQUAL((double)stale / N, 0.3, 4 * sqrt(0.3 * 0.7 / N));
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

static void test_gap_of_the_reach_arm_loads(void)
{
    cn_task *task = NULL;
    cn_gap gap;
    CN_ASSERT_OK(cn_task_load(CN_SOURCE_DIR "/scenes/reach.yaml", &task, &err));
    CN_ASSERT_OK(cn_gap_load(CN_SOURCE_DIR "/scenes/gaps/miscalibrated.yaml", task, &gap, &err));
    CU_ASSERT_EQUAL(gap.action_delay, 0);
    CN_ASSERT_OK(cn_gap_load(CN_SOURCE_DIR "/scenes/gaps/delayed.yaml", task, &gap, &err));
    CU_ASSERT_EQUAL(gap.action_delay, 2);
    CN_ASSERT_OK(cn_gap_load(CN_SOURCE_DIR "/scenes/gaps/mild.yaml", task, &gap, &err));
    CU_ASSERT_EQUAL(gap.action_delay, 0);
    cn_task_destroy(&task);
}

CN_TEST_MAIN("sim.gap", T(test_gap_loads), T(test_gap_mistakes_are_told),
             T(test_gap_refuses_too_many_bodies), T(test_gap_none_shares_the_model),
             T(test_gap_offset_lies_about_position_and_moves_the_tool),
             T(test_gap_delay_shifts_the_motion_in_time),
             T(test_gap_delays_however_often_commanded), T(test_gap_changes_the_dynamics),
             T(test_gap_mass_sags), T(test_gap_noise_has_its_size), T(test_gap_drops_frames),
             T(test_gap_of_the_reach_arm_loads))
