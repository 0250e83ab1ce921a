/* Loading tasks: what a good one says, and the words for every mistake. */
#include "sim/task.h"

#include "sim/observer.h"
#include "tests/sim/arm.h"

static cn_error err;

static void test_task_loads(void)
{
    cn_task *task = NULL;
    cn_yaml_node training;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    const cn_env_spec *spec = cn_task_spec(task);
    CU_ASSERT_STRING_EQUAL(spec->task, "bend");
    CU_ASSERT_STRING_EQUAL(spec->arm, "test_arm");
    CU_ASSERT_EQUAL(spec->groups, 2);
    CU_ASSERT_STRING_EQUAL(spec->group[1].name, "target");
    CU_ASSERT_EQUAL(spec->group[0].size, 4);
    CU_ASSERT_EQUAL(spec->group[1].offset, 4);
    CU_ASSERT_EQUAL(spec->observation_size, 7);
    CU_ASSERT_EQUAL(spec->action_size, 2);
    CU_ASSERT_STRING_EQUAL(spec->action[1], "elbow");
    CU_ASSERT_STRING_EQUAL(spec->action_unit, "rad/step");
    CU_ASSERT_EQUAL(spec->control_period_s, 0.05);
    CU_ASSERT_EQUAL(spec->step_limit, 20);
    CU_ASSERT_EQUAL(cn_task_joints(task), 2);
    CU_ASSERT_STRING_EQUAL(cn_task_joint(task, 0)->name, "shoulder");
    CU_ASSERT_EQUAL(cn_task_tracked(task), 2);
    CU_ASSERT_STRING_EQUAL(cn_task_tracked_name(task, 1), "target");
    CU_ASSERT_FALSE(cn_task_tracked_is_mark(task, 0)); /* the tool is the arm's */
    CU_ASSERT_TRUE(cn_task_tracked_is_mark(task, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(cn_task_path(task), "task.yaml"));
    CU_ASSERT_FALSE(cn_task_section(task, "train", &training));
    cn_task_destroy(&task);
    CU_ASSERT_PTR_NULL(task);
    cn_task_destroy(&task);
}

static void test_task_keeps_training_readable(void)
{
    cn_task *task = NULL;
    cn_yaml_node training, steps;
    long count;
    CN_ASSERT_OK(
        load_swapped("step_limit: 20\n", "step_limit: 20\ntrain: {steps: 1000}\n", &task, &err));
    CU_ASSERT_FATAL(cn_task_section(task, "train", &training));
    CN_ASSERT_OK(cn_yaml_require(training, "steps", &steps, &err));
    CN_ASSERT_OK(cn_yaml_int(steps, 1, 10000, &count, &err));
    CU_ASSERT_EQUAL(count, 1000);
    CU_ASSERT_EQUAL(cn_yaml_line(steps), 6);
    cn_task_destroy(&task);
}

/* A variation has its base's sections where it has none of its own; files are those of the section.
 */
static void test_task_varies_a_base(void)
{
    char folder[] = "/tmp/colonnade-test-XXXXXX", path[3][64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path[0], sizeof path[0], "%s/arm.xml", folder);
    snprintf(path[1], sizeof path[1], "%s/task.yaml", folder);
    snprintf(path[2], sizeof path[2], "%s/variation.yaml", folder);
    static const struct {
        const char *variation;
        cn_status code;
        const char *words;
    } cases[] = {
        {"name: other\nbase: task.yaml\nstep_limit: 7\ntrain: {steps: 5}\n", CN_OK, ""},
        {"base: nothing.yaml\n", CN_ERR_NOT_FOUND, "nothing.yaml"},
        {"base: variation.yaml\n", CN_ERR_FORMAT,
         "variation.yaml:1: a base cannot have a base of its own"},
        {"base: task.yaml\nstep_limit: 0\n", CN_ERR_FORMAT, "variation.yaml:2: found 0"},
        {"name: other\n", CN_ERR_FORMAT, "variation.yaml:1: key 'arm' is missing"},
    };
    write_swapped(path[0], arm_xml, NULL, NULL);
    write_swapped(path[1], task_yaml, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_task *task = NULL;
        cn_yaml_node train;
        write_swapped(path[2], cases[i].variation, NULL, NULL);
        if (cases[i].code != CN_OK) {
            CN_ASSERT_FAILS(cases[i].code, cases[i].words, cn_task_load(path[2], &task, &err));
            continue;
        }
        CN_ASSERT_OK(cn_task_load(path[2], &task, &err));
        CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->task, "other");
        CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->arm, "test_arm");
        CU_ASSERT_EQUAL(cn_task_spec(task)->step_limit, 7);
        CU_ASSERT_EQUAL(cn_task_spec(task)->observation_size, 7);
        CU_ASSERT_TRUE(cn_task_section(task, "train", &train));
        CU_ASSERT_FALSE(cn_task_section(task, "adapt", &train));
        cn_task_destroy(&task);
    }
    for (int i = 0; i < 3; i++)
        remove(path[i]);
    rmdir(folder);
}

static void test_task_knows_joint_limits(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(load_swapped("<position joint='shoulder' kp='200' dampratio='1'/>",
                              "<velocity joint='shoulder' kv='20' ctrlrange='-1.5 1.5' "
                              "forcerange='-9 9'/>",
                              &task, &err));
    cn_arm_joint limits = *cn_task_joint(task, 0);
    CU_ASSERT_EQUAL(limits.position_low, -2);
    CU_ASSERT_EQUAL(limits.position_high, 2);
    CU_ASSERT_EQUAL(limits.velocity, 1.5);
    CU_ASSERT_EQUAL(limits.effort, 9);
    limits = *cn_task_joint(task, 1);
    CU_ASSERT_TRUE(isinf(limits.position_high) && isinf(limits.effort));
    CU_ASSERT_TRUE(limits.velocity > 0);
    CU_ASSERT_TRUE(cn_task_accepts(task, CN_COMMAND_POSITION));
    CU_ASSERT_TRUE(cn_task_accepts(task, CN_COMMAND_VELOCITY));
    CU_ASSERT_FALSE(cn_task_accepts(task, CN_COMMAND_EFFORT));
    CU_ASSERT_FALSE(cn_task_accepts(task, CN_COMMAND_NONE));
    cn_task_destroy(&task);
}

static void test_task_commands_chosen_joints_in_order(void)
{
    cn_task *task = NULL;
    CN_ASSERT_OK(
        load_swapped("scale: 0.1}\n", "scale: 0.1, joints: [elbow, shoulder]}\n", &task, &err));
    CU_ASSERT_STRING_EQUAL(cn_task_joint(task, 0)->name, "elbow");
    CU_ASSERT_STRING_EQUAL(cn_task_spec(task)->action[1], "shoulder");
    cn_task_destroy(&task);
}

static void test_task_mistakes_name_file_line_and_way_out(void)
{
    static const struct {
        const char *piece, *by;
        cn_status code;
        const char *words;
    } mistakes[] = {
        {"arm: test_arm", "arms: test_arm", CN_ERR_FORMAT,
         "task.yaml:2: unknown key 'arms'; known here: name, arm"},
        {"name: bend\n", "", CN_ERR_FORMAT, "task.yaml:1: key 'name' is missing"},
        {"model: arm.xml", "model: none.xml", CN_ERR_NOT_FOUND, "task.yaml:3: model '"},
        {"<body name='upper'", "<boody name='upper'", CN_ERR_PHYSICS, "task.yaml:3: "},
        {"mode: joint_position_delta", "mode: joints", CN_ERR_FORMAT,
         "task.yaml:4: found 'joints', expected one of: joint_position_delta, joint_position, "
         "joint_velocity, effort"},
        {"mode: joint_position_delta", "mode: effort", CN_ERR_FORMAT,
         "task.yaml:4: the actuators cannot follow mode 'effort'"},
        {"scale: 0.1", "scale: [0.1]", CN_ERR_FORMAT, "task.yaml:4: found 1 numbers, expected 2"},
        {", scale: 0.1", "", CN_ERR_FORMAT, "task.yaml:4: key 'scale' is missing"},
        {"scale: 0.1", "scale: 0.1, joints: [hip]", CN_ERR_FORMAT,
         "task.yaml:4: joint 'hip' is not in the model; it has: shoulder, elbow"},
        {"scale: 0.1", "scale: 0.1, joints: [elbow, elbow]", CN_ERR_FORMAT,
         "task.yaml:4: joint 'elbow' is listed twice"},
        {"period: 0.05", "period: 0.055", CN_ERR_FORMAT,
         "task.yaml:4: period 0.055 s is not a whole number of physics steps of 0.01 s"},
        {"step_limit: 20", "step_limit: 0", CN_ERR_FORMAT, "task.yaml:5: found 0, expected 1 to"},
        {"tracked: [tool, target]", "tracked: [palm]", CN_ERR_FORMAT,
         "task.yaml:6: point 'palm' is neither a site (target, tool) nor a body (world, target, "
         "upper, lower)"},
        {"tracked: [tool, target]", "tracked: [tool, tool]", CN_ERR_FORMAT,
         "task.yaml:6: point 'tool' is listed twice"},
        {"tracked: [tool, target]", "tracked: [tool]", CN_ERR_FORMAT,
         "task.yaml:12: point 'target' is moved by something else than the measured joints"},
        {"home: [0.2, 0.4]", "home: [2.2, 0.4]", CN_ERR_FORMAT,
         "task.yaml:8: home of joint 'shoulder' is 2.2, outside its range -2 to 2"},
        {"home: [0.2, 0.4]", "home: [0.2]", CN_ERR_FORMAT,
         "task.yaml:8: found 1 numbers, expected 2"},
        {"point: target, draw", "point: tool, draw", CN_ERR_FORMAT,
         "task.yaml:9: point 'tool' cannot be moved: its body needs mocap=\"true\""},
        {"draw: reachable, of: tool", "draw: reachable", CN_ERR_FORMAT,
         "task.yaml:9: key 'of' is missing"},
        {"draw: reachable, of: tool", "draw: box", CN_ERR_FORMAT,
         "task.yaml:9: key 'high' is missing"},
        {"draw: reachable, of: tool", "draw: shell", CN_ERR_FORMAT,
         "task.yaml:9: key 'center' is missing"},
        {"low: [-1, -1, 0.1]", "low: [-1, -1, 0.1], high: 0", CN_ERR_FORMAT,
         "task.yaml:9: low 0.1 is above high 0"},
        {"low: [-1, -1, 0.1]", "radius: [2, 1]", CN_ERR_FORMAT,
         "task.yaml:9: radius 2 to 1 is empty"},
        {"scale: 0.1", "scale: 0.1, passive: [elbow]", CN_ERR_FORMAT,
         "task.yaml:4: joint 'elbow' is listed twice"},
        {"tracked: [tool, target]", "tracked_at: later", CN_ERR_FORMAT,
         "task.yaml:6: found 'later', expected one of: now, step"},
        {"{term: joint_position}", "{term: joint_position, joints: [hip]}", CN_ERR_FORMAT,
         "task.yaml:11: joint 'hip' is not one of the task's: shoulder, elbow"},
        {"{term: joint_position}", "{term: joint_position, joints: []}", CN_ERR_FORMAT,
         "task.yaml:11: joints must be a list of 1 to 32 names"},
        {"point: target}]", "point: target, axes: [x, w]}]", CN_ERR_FORMAT,
         "task.yaml:12: found 'w', expected one of: x, y, z"},
        {"point: target}]", "point: target, axes: x}]", CN_ERR_FORMAT,
         "task.yaml:12: axes must be a list of 1 to 3 of x, y, z"},
        {"{term: distance, from: tool, to: target, weight: -1}", "{term: progress, weight: 1}",
         CN_ERR_FORMAT, "task.yaml:14: key 'joint' is missing"},
        {"step_limit: 20", "step_limit: 20\ntermination: {joint: elbow}", CN_ERR_FORMAT,
         "task.yaml:6: termination must be a list"},
        {"step_limit: 20", "step_limit: 20\ntermination: [{joint: elbow, low: 2, high: 1}]",
         CN_ERR_FORMAT, "task.yaml:6: low 2 is above high 1"},
        {"{term: joint_position}", "{term: joint_angle}", CN_ERR_FORMAT,
         "task.yaml:11: found 'joint_angle', expected one of: joint_position, joint_velocity"},
        {"scale: 0.5}", "scales: 0.5}", CN_ERR_FORMAT,
         "task.yaml:11: unknown key 'scales'; known here: term, joints, center, scale"},
        {"point: target}]", "from: tool}]", CN_ERR_FORMAT, "task.yaml:12: unknown key 'from'"},
        {"term: distance, ", "", CN_ERR_FORMAT, "task.yaml:14: key 'term' is missing"},
        {"to: target, weight: -1", "to: target", CN_ERR_FORMAT,
         "task.yaml:14: key 'weight' is missing"},
        {"weight: -1}", "weight: -1, below: 1}", CN_ERR_FORMAT,
         "task.yaml:14: unknown key 'below'; known here: term, weight, from, to"},
        {"{term: distance, from: tool, to: target, weight: -1}",
         "{term: velocity, joint: hip, weight: 1}", CN_ERR_FORMAT,
         "task.yaml:14: joint 'hip' is not one of the task's: shoulder, elbow"},
        {"hold: 3", "hold: 21", CN_ERR_FORMAT, "task.yaml:15: found 21, expected 1 to 20"},
        {"ends_episode: false", "ends_episode: no", CN_ERR_FORMAT,
         "task.yaml:15: found 'no', expected true or false"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        cn_task *task = NULL;
        CN_ASSERT_FAILS(mistakes[i].code, mistakes[i].words,
                        load_swapped(mistakes[i].piece, mistakes[i].by, &task, &err));
        CU_ASSERT_PTR_NULL(task);
        cn_task_destroy(&task);
    }
    cn_task *task = NULL;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "task.yaml:4: the actuators cannot follow mode",
                    load_swapped(position_servos, "<motor joint='shoulder'/><motor joint='elbow'/>",
                                 &task, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "task.yaml:12: point 'ball' is moved by something else",
                    load_variant("<light pos='0 0 3'/>",
                                 "<body name='ball'><freejoint/><geom size='0.1'/></body>",
                                 "point: target}]", "point: ball}]", &task, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "no/such.yaml", cn_task_load("no/such.yaml", &task, &err));
}

/* The tool hangs on a hinge of its own: kinematics know where it is only if somebody measures or
 * holds that hinge. */
static void test_task_needs_to_know_where_points_are(void)
{
    static const char site[] = "<site name='tool' pos='0 0 0.3'/></body></body></worldbody>";
    static const char hinge[] = "<body pos='0 0 0.3'><joint name='swing'/>"
                                "<geom size='0.02' contype='0' conaffinity='0'/>"
                                "<site name='tool'/></body></body></body></worldbody>";
    static const char *const actuators[] = {"", "<velocity joint='swing' kv='10'/>",
                                            "<motor joint='swing'/>"};
    static const struct {
        const char *control, *tracked, *home;
        int actuator;
        bool known;
    } cases[] = {
        {"", "", "", 0, false},
        {", passive: [swing]", "", ", 0", 0, true},
        {"", "tool, ", "", 0, true},
        {"", "", ", 0", 1, true},
        {", joints: [shoulder, elbow]", "", "", 1, true},
        {", joints: [shoulder, elbow]", "", "", 2, false}, /* a motor without a command is slack */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_task *task = NULL;
        char model[512], control[256];
        snprintf(model, sizeof model, "%s<actuator>%s</actuator>", hinge,
                 actuators[cases[i].actuator]);
        snprintf(control, sizeof control,
                 "scale: 0.1%s}\nstep_limit: 20\ntracked: [%starget]\nreset:\n"
                 "  joints: {home: [0.2, 0.4%s]",
                 cases[i].control, cases[i].tracked, cases[i].home);
        const cn_status status =
            load_variant(site, model,
                         "scale: 0.1}\nstep_limit: 20\ntracked: [tool, target]\nreset:\n"
                         "  joints: {home: [0.2, 0.4]",
                         control, &task, &err);
        CU_ASSERT_EQUAL(status, cases[i].known ? CN_OK : CN_ERR_FORMAT);
        if (!cases[i].known)
            CU_ASSERT_PTR_NOT_NULL(
                strstr(err.message,
                       "task.yaml:14: point 'tool' hangs on joint 'swing', which nothing measures "
                       "and no servo holds: list the point under tracked or the joint under "
                       "control: passive, or give the joint a servo"));
        cn_task_destroy(&task);
    }
}

/* Without a scale an action of 1 is all that a motor's control range allows. */
static void test_task_takes_the_scale_from_the_motors(void)
{
    static const char motors[] = "<motor joint='shoulder' ctrlrange='-2 2' ctrllimited='true'/>"
                                 "<motor joint='elbow' gear='30' ctrlrange='-1 %s' "
                                 "ctrllimited='true'/>";
    static const char mode[] = "mode: joint_position_delta, period: 0.05, scale: 0.1";
    char even[256], uneven[256];
    cn_task *task = NULL;
    snprintf(even, sizeof even, motors, "1");
    snprintf(uneven, sizeof uneven, motors, "3");
    CN_ASSERT_OK(
        load_variant(position_servos, even, mode, "mode: effort, period: 0.05", &task, &err));
    cn_observer *observer = NULL;
    CN_ASSERT_OK(cn_observer_create(task, &observer, &err));
    cn_arm_command command;
    cn_observer_command(observer, (const float[]){1, -0.5f}, &command);
    CU_ASSERT_EQUAL(command.target[0], 2);
    CU_ASSERT_EQUAL(command.target[1], -15);
    cn_observer_destroy(&observer);
    cn_task_destroy(&task);
    CN_ASSERT_FAILS(
        CN_ERR_FORMAT, "task.yaml:4: key 'scale' is missing",
        load_variant(position_servos, uneven, mode, "mode: effort, period: 0.05", &task, &err));
}

/* Home has two values, so the joint that lost its actuator must be named or left out on purpose. */
static void test_task_commands_only_actuated_joints(void)
{
    cn_task *task = NULL;
    static const char elbow[] = "<position joint='elbow' kp='100' dampratio='1'/>";
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "task.yaml:8: found 2 numbers, expected 1",
                    load_swapped(elbow, "", &task, &err));
    CN_ASSERT_FAILS(
        CN_ERR_FORMAT, "is neither a position servo, a velocity servo nor a motor",
        load_swapped(elbow, "<intvelocity joint='elbow' kp='9' actrange='-1 1'/>", &task, &err));
    CU_ASSERT_PTR_NULL(task);
}

CN_TEST_MAIN("sim.task", T(test_task_loads), T(test_task_keeps_training_readable),
             T(test_task_varies_a_base), T(test_task_knows_joint_limits),
             T(test_task_commands_chosen_joints_in_order),
             T(test_task_mistakes_name_file_line_and_way_out),
             T(test_task_needs_to_know_where_points_are),
             T(test_task_takes_the_scale_from_the_motors),
             T(test_task_commands_only_actuated_joints))
