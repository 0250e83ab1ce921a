/* Models put together from parts: attachment, actuators and collisions as data, and MuJoCo kept
 * from printing or ending the process. */
#include "sim/internal.h"

#include "sim/twin.h"
#include "tests/sim/arm.h"

static cn_error err;

#define MOUNT "<mujoco><worldbody><site name='mount' pos='0 0 1'/></worldbody></mujoco>"
#define PART                                                                                       \
    "<mujoco><compiler angle='radian'/><worldbody><body name='link'>"                              \
    "<joint name='hinge' axis='0 1 0' range='-1 1' limited='true'/>"                               \
    "<geom name='rod' type='capsule' fromto='0 0 0 0 0 -0.3' size='0.02'/>"                        \
    "<site name='tip' pos='0 0 -0.3'/></body></worldbody></mujoco>"

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

/* Builds a model from the text of a `model:` section next to mount.xml and part.xml. */
static cn_status build(const char *section, mjModel **out)
{
    char folder[] = "/tmp/colonnade-model-XXXXXX", path[96];
    cn_yaml *document = NULL;
    cn_yaml_node node;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    write_text(folder, "mount.xml", MOUNT);
    write_text(folder, "part.xml", PART);
    snprintf(path, sizeof path, "%s/task.yaml", folder);
    CN_ASSERT_OK(cn_yaml_parse(path, section, &document, &err));
    CN_ASSERT_OK(cn_yaml_require(cn_yaml_root(document), "model", &node, &err));
    const cn_status status = cn_model_build(node, out, &err);
    cn_yaml_destroy(&document);
    snprintf(path, sizeof path, "%s/mount.xml", folder);
    remove(path);
    snprintf(path, sizeof path, "%s/part.xml", folder);
    remove(path);
    rmdir(folder);
    return status;
}

static void test_model_attaches_and_actuates(void)
{
    mjModel *m = NULL;
    CN_ASSERT_OK(build("model:\n"
                       "  file: mount.xml\n"
                       "  attach: [{file: part.xml, to: mount, prefix: a_}]\n"
                       "  actuators:\n"
                       "    - {joints: [a_hinge], kind: position, kp: 50, kv: 5,\n"
                       "       control_range: [-1, 1], force_range: [-7, 7]}\n"
                       "  options: {timestep: 0.004, iterations: 3, gravity_compensation: 1}\n",
                       &m));
    const int hinge = mj_name2id(m, mjOBJ_JOINT, "a_hinge");
    const int link = mj_name2id(m, mjOBJ_BODY, "a_link");
    CU_ASSERT_EQUAL_FATAL(hinge, 0);
    CU_ASSERT_EQUAL(m->body_pos[3 * link + 2], 1);
    CU_ASSERT_EQUAL(m->body_gravcomp[link], 1);
    CU_ASSERT_EQUAL(m->nbody, 2); /* no body is left of the part's world */
    CU_ASSERT_EQUAL(m->jnt_range[1], 1);
    CU_ASSERT_EQUAL(m->opt.timestep, 0.004);
    CU_ASSERT_EQUAL(m->opt.iterations, 3);
    cn_drive drive;
    double ctrl;
    CU_ASSERT_EQUAL_FATAL(m->nactuator, 1);
    CU_ASSERT_TRUE(cn_model_drive(m, 0, &drive, &ctrl));
    CU_ASSERT_EQUAL(drive, CN_DRIVE_POSITION);
    CU_ASSERT_EQUAL(ctrl, 1);
    CU_ASSERT_EQUAL(m->actuator_gainprm[0], 50);
    CU_ASSERT_EQUAL(m->actuator_biasprm[2], -5);
    CU_ASSERT_EQUAL(m->actuator_forcerange[1], 7);
    CU_ASSERT_EQUAL(m->actuator_ctrlrange[0], -1);
    mj_deleteModel(m);
}

static void test_model_knows_velocity_servos_and_motors(void)
{
    static const struct {
        const char *kind;
        cn_drive drive;
    } kinds[] = {{"kind: velocity, kv: 9", CN_DRIVE_VELOCITY}, {"kind: motor", CN_DRIVE_EFFORT}};
    for (int i = 0; i < 2; i++) {
        mjModel *m = NULL;
        cn_drive drive;
        double ctrl;
        char section[256];
        snprintf(section, sizeof section,
                 "model: {file: part.xml, actuators: [{joints: [hinge], %s}]}\n", kinds[i].kind);
        CN_ASSERT_OK(build(section, &m));
        CU_ASSERT_TRUE(cn_model_drive(m, 0, &drive, &ctrl));
        CU_ASSERT_EQUAL(drive, kinds[i].drive);
        mj_deleteModel(m);
    }
}

static void test_model_collides_what_it_is_told(void)
{
    mjModel *m = NULL;
    CN_ASSERT_OK(build("model: {file: part.xml, options: {collide: []}}\n", &m));
    CU_ASSERT_EQUAL(m->geom_contype[0], 0);
    mj_deleteModel(m);
    CN_ASSERT_OK(build("model: {file: part.xml, options: {collide: [rod]}}\n", &m));
    CU_ASSERT_EQUAL(m->geom_contype[0], 1);
    CU_ASSERT_EQUAL(m->geom_conaffinity[0], 1);
    mj_deleteModel(m);
}

static void test_model_mistakes_are_told(void)
{
    static const struct {
        const char *section;
        cn_status code;
        const char *words;
    } mistakes[] = {
        {"model:\n  file: mount.xml\n  attach: [{file: part.xml, to: wrist}]\n", CN_ERR_FORMAT,
         "task.yaml:3: site 'wrist' is not in the model so far; a part is attached to a site"},
        {"model:\n  file: mount.xml\n  attach: [{file: hand.xml, to: mount}]\n", CN_ERR_NOT_FOUND,
         "task.yaml:3: model '"},
        {"model:\n  file: mount.xml\n  attach: {file: part.xml, to: mount}\n", CN_ERR_FORMAT,
         "task.yaml:3: attach must be a list"},
        {"model:\n  file: part.xml\n  actuators: [{joints: [hip], kind: motor}]\n", CN_ERR_FORMAT,
         "task.yaml:3: joint 'hip' is not in the model"},
        {"model:\n  file: part.xml\n  actuators: [{joints: [hinge], kind: muscle}]\n",
         CN_ERR_FORMAT, "task.yaml:3: found 'muscle', expected one of: position, velocity, motor"},
        {"model:\n  file: part.xml\n  actuators: [{joints: [hinge], kind: position}]\n",
         CN_ERR_FORMAT, "task.yaml:3: a position actuator needs kp > 0"},
        {"model:\n  file: part.xml\n  actuators: [{joints: [hinge], kind: velocity}]\n",
         CN_ERR_FORMAT, "task.yaml:3: a velocity actuator needs kv > 0"},
        {"model:\n  file: part.xml\n  options: {collide: [bar]}\n", CN_ERR_FORMAT,
         "task.yaml:3: geom 'bar' is not in the model"},
        {"model:\n  file: part.xml\n  options: {timestep: 1}\n", CN_ERR_FORMAT,
         "task.yaml:3: found 1, expected 1e-05 to 0.1"},
        {"model:\n  file: mount.xml\n"
         "  attach: [{file: part.xml, to: mount}, {file: part.xml, to: mount}]\n",
         CN_ERR_PHYSICS, "repeated name"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        mjModel *m = NULL;
        CN_ASSERT_FAILS(mistakes[i].code, mistakes[i].words, build(mistakes[i].section, &m));
        CU_ASSERT_PTR_NULL(m);
    }
}

static void fail_inside(void *ctx)
{
    mju_error("%s", (const char *)ctx);
}

static void succeed_inside(void *ctx)
{
    *(int *)ctx += 1;
}

static void test_mujoco_errors_become_statuses(void)
{
    int runs = 0;
    char words[] = "no such luck", folder[] = "/tmp/colonnade-log-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    CU_ASSERT_EQUAL_FATAL(chdir(folder), 0);
    for (int i = 0; i < 3; i++) {
        CN_ASSERT_FAILS(CN_ERR_PHYSICS, "MuJoCo: no such luck",
                        cn_mujoco_try(fail_inside, words, &err));
        CN_ASSERT_OK(cn_mujoco_try(succeed_inside, &runs, &err));
    }
    CU_ASSERT_EQUAL(runs, 3);
    CU_ASSERT_EQUAL(cn_mujoco_try(fail_inside, words, NULL), CN_ERR_PHYSICS);
    CU_ASSERT_EQUAL(rmdir(folder), 0); /* still empty: no MUJOCO_LOG.TXT */
}

/* The manufacturer's arm and hand: nine joints in order, and dm_control's servos. Fails without
 * ./dev setup, which fetches the models. */
static void test_model_builds_the_jaco(void)
{
    static const char *const joints[] = {"joint_1",       "joint_2",       "joint_3",
                                         "joint_4",       "joint_5",       "joint_6",
                                         "hand_finger_1", "hand_finger_2", "hand_finger_3"};
    const double degree = mjPI / 180, rounded = 1e-3;
    cn_task *task = NULL;
    cn_twin *twin = NULL;
    cn_arm_state s;
    CN_ASSERT_OK(cn_task_load(CN_SOURCE_DIR "/scenes/jaco_reach.yaml", &task, &err));
    CU_ASSERT_EQUAL_FATAL(cn_task_joints(task), 9);
    for (int j = 0; j < 9; j++)
        CU_ASSERT_STRING_EQUAL(cn_task_joint(task, j)->name, joints[j]);
    CU_ASSERT_DOUBLE_EQUAL(cn_task_joint(task, 0)->velocity, 36 * degree, rounded);
    CU_ASSERT_DOUBLE_EQUAL(cn_task_joint(task, 5)->velocity, 48 * degree, rounded);
    CU_ASSERT_EQUAL(cn_task_joint(task, 2)->effort, 30.5);
    CU_ASSERT_TRUE(isinf(cn_task_joint(task, 0)->position_high));
    CU_ASSERT_DOUBLE_EQUAL(cn_task_joint(task, 1)->position_low, 0.820305, 1e-6);
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 1, &err));
    const cn_arm_command command = {
        .mode = CN_COMMAND_VELOCITY, .joints = 9, .target = {0.5, -0.2, 0.2, 0.8}};
    cn_twin_command(twin, &command);
    CN_ASSERT_OK(cn_twin_advance(twin, 1, &err));
    cn_twin_read(twin, &s);
    CU_ASSERT_DOUBLE_EQUAL(s.velocity[0], 0.5, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(s.velocity[3], 0.8, 0.02);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

static double between(const mjModel *m, const mjData *d, const char *a, const char *b)
{
    const mjtNum *from = d->xpos + 3 * mj_name2id(m, mjOBJ_BODY, a);
    const mjtNum *to = d->xpos + 3 * mj_name2id(m, mjOBJ_BODY, b);
    return hypot(hypot(to[0] - from[0], to[1] - from[1]), to[2] - from[2]);
}

/* Link lengths as the inverse kinematics that people write for the SO-100 and SO-101 have them
 * (0.1159 and 0.1350 m), ranges as the maker's URDF has them: 110 and 100 degrees to each side. */
static void test_model_builds_the_so101(void)
{
    static const char *const joints[] = {"shoulder_pan", "shoulder_lift", "elbow_flex",
                                         "wrist_flex", "wrist_roll"};
    const double degree = mjPI / 180, rounded = 1e-3, sag = 0.06, rate = 0.05;
    cn_task *task = NULL;
    cn_twin *twin = NULL;
    cn_arm_state s, later;
    CN_ASSERT_OK(cn_task_load(CN_SOURCE_DIR "/scenes/so101.yaml", &task, &err));
    CU_ASSERT_EQUAL_FATAL(cn_task_joints(task), 5);
    for (int j = 0; j < 5; j++)
        CU_ASSERT_STRING_EQUAL(cn_task_joint(task, j)->name, joints[j]);
    CU_ASSERT_DOUBLE_EQUAL(cn_task_joint(task, 0)->position_high, 110 * degree, rounded);
    CU_ASSERT_DOUBLE_EQUAL(cn_task_joint(task, 1)->position_low, -100 * degree, rounded);
    CU_ASSERT_EQUAL(cn_task_joint(task, 4)->velocity, 1.5);
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 1, &err));
    mjData *data = mj_makeData(task->model);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    mj_kinematics(task->model, data);
    CU_ASSERT_DOUBLE_EQUAL(between(task->model, data, "upper_arm", "lower_arm"), 0.1159, rounded);
    CU_ASSERT_DOUBLE_EQUAL(between(task->model, data, "lower_arm", "wrist"), 0.1350, rounded);
    mj_deleteData(data);

    /* Its servos hold it against gravity, and turn the pan as fast as they are told. */
    cn_twin_read(twin, &s);
    const cn_arm_command command = {
        .mode = CN_COMMAND_VELOCITY, .joints = 5, .target = {0.5, 0, 0, 0, 0}};
    cn_twin_command(twin, &command);
    CN_ASSERT_OK(cn_twin_advance(twin, 1, &err));
    cn_twin_read(twin, &later);
    CU_ASSERT_DOUBLE_EQUAL(later.velocity[0], 0.5, rate);
    for (int j = 1; j < 5; j++)
        CU_ASSERT_DOUBLE_EQUAL(later.position[j], s.position[j], sag);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

CN_TEST_MAIN("sim.model", T(test_model_attaches_and_actuates),
             T(test_model_knows_velocity_servos_and_motors), T(test_model_collides_what_it_is_told),
             T(test_model_mistakes_are_told), T(test_mujoco_errors_become_statuses),
             T(test_model_builds_the_jaco), T(test_model_builds_the_so101))
