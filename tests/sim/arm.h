/* A two-joint arm and a task for it as text. A test swaps one piece of either and loads the result
 * from a folder of its own. */
#ifndef CN_TESTS_SIM_ARM_H
#define CN_TESTS_SIM_ARM_H

#include <stdlib.h>
#include <unistd.h>

#include "sim/task.h"
#include "tests/test.h"

static const char arm_xml[] =
    "<mujoco model='test_arm'><compiler angle='radian'/><option timestep='0.01' "
    "integrator='implicitfast'/>"
    "<size memory='1M'/><default><joint type='hinge' axis='0 1 0' armature='0.05'/></default>"
    "<worldbody>"
    "<light pos='0 0 3'/><camera name='side' pos='0 -2 0.6' xyaxes='1 0 0 0 0 1'/>"
    "<geom type='plane' size='2 2 0.1' rgba='0.3 0.3 0.3 1' contype='0' conaffinity='0'/>"
    "<body name='target' mocap='true' pos='0.3 0 0.3'><site name='target'/></body>"
    "<body name='upper' pos='0 0 0.2' gravcomp='1'>"
    "<joint name='shoulder' range='-2 2' limited='true'/>"
    "<geom type='capsule' fromto='0 0 0 0 0 0.3' size='0.04' contype='0' conaffinity='0'/>"
    "<body name='lower' pos='0 0 0.3' gravcomp='1'><joint name='elbow' damping='0.5'/>"
    "<geom type='capsule' fromto='0 0 0 0 0 0.3' size='0.03' contype='0' conaffinity='0'/>"
    "<site name='tool' pos='0 0 0.3'/></body></body></worldbody>"
    "<actuator><position joint='shoulder' kp='200' dampratio='1'/>"
    "<position joint='elbow' kp='100' dampratio='1'/></actuator></mujoco>";

static const char position_servos[] = "<position joint='shoulder' kp='200' dampratio='1'/>"
                                      "<position joint='elbow' kp='100' dampratio='1'/>";

static const char task_yaml[] =
    /*  1 */ "name: bend\n"
             /*  2 */ "arm: test_arm\n"
             /*  3 */ "model: arm.xml\n"
             /*  4 */ "control: {mode: joint_position_delta, period: 0.05, scale: 0.1}\n"
             /*  5 */ "step_limit: 20\n"
             /*  6 */ "tracked: [tool, target]\n"
             /*  7 */ "reset:\n"
             /*  8 */ "  joints: {home: [0.2, 0.4], spread: 0.1}\n"
             /*  9 */ "  target: {point: target, draw: reachable, of: tool, low: [-1, -1, 0.1]}\n"
             /* 10 */ "observations:\n"
             /* 11 */ "  joints: [{term: joint_position}, {term: joint_velocity, scale: 0.5}]\n"
             /* 12 */ "  target: [{term: point, point: target}]\n"
             /* 13 */ "reward:\n"
             /* 14 */ "  - {term: distance, from: tool, to: target, weight: -1}\n"
             /* 15 */ "success: {from: tool, to: target, below: 0.05, hold: 3, ends_episode: "
             "false}\n";

static void write_swapped(const char *path, const char *text, const char *piece, const char *by)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    const char *at = piece ? strstr(text, piece) : NULL;
    if (at)
        fprintf(f, "%.*s%s%s", (int)(at - text), text, by, at + strlen(piece));
    else
        fputs(text, f);
    CU_ASSERT_EQUAL_FATAL(fclose(f), 0);
}

/* Loads the test task with a piece of its model and a piece of its YAML replaced (NULL: as it
 * stands). A piece that is not there fails the test. */
static inline cn_status load_variant(const char *in_model, const char *by_model,
                                     const char *in_task, const char *by_task, cn_task **out,
                                     cn_error *error)
{
    char folder[] = "/tmp/colonnade-test-XXXXXX", xml[64], yaml[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    CU_ASSERT_FATAL(!in_model || strstr(arm_xml, in_model));
    CU_ASSERT_FATAL(!in_task || strstr(task_yaml, in_task));
    snprintf(xml, sizeof xml, "%s/arm.xml", folder);
    snprintf(yaml, sizeof yaml, "%s/task.yaml", folder);
    write_swapped(xml, arm_xml, in_model, by_model);
    write_swapped(yaml, task_yaml, in_task, by_task);
    const cn_status status = cn_task_load(yaml, out, error);
    remove(xml);
    remove(yaml);
    rmdir(folder);
    return status;
}

/* The same with one piece, of whichever has it. */
static inline cn_status load_swapped(const char *piece, const char *by, cn_task **out,
                                     cn_error *error)
{
    if (piece && strstr(arm_xml, piece))
        return load_variant(piece, by, NULL, NULL, out, error);
    return load_variant(NULL, NULL, piece, by, out, error);
}

/* The same arm with torque motors, the elbow's through a gear of 2. */
static inline cn_status load_motors(cn_task **out, cn_error *error)
{
    return load_variant(position_servos, "<motor joint='shoulder'/><motor joint='elbow' gear='2'/>",
                        "mode: joint_position_delta, period: 0.05, scale: 0.1",
                        "mode: effort, period: 0.05, scale: 5", out, error);
}

#endif
