/* The servo of a simulated arm. */
#include "sim/servo.h"

#include <math.h>
#include <stdlib.h>

#include "policy/safety.h"

struct cn_servo {
    cn_twin *twin;
    cn_arm_joint joint[CN_MAX_JOINTS];
    cn_safety *safety; /* NULL for efforts */
    double control_period_s, servo_period_s;
    int ticks;                    /* of the servo in a control period */
    const cn_arm_command *wanted; /* of the period under way */
    cn_arm_command limited;       /* of its present tick */
};

cn_status cn_servo_create(const cn_task *task, cn_twin *twin, cn_servo **out, cn_error *err)
{
    *out = NULL;
    cn_servo *s = calloc(1, sizeof *s);
    CN_FAIL_IF(!s, CN_ERR_MEMORY, err, "no memory for a servo");
    cn_status status = CN_OK;
    s->twin = twin;
    s->control_period_s = cn_task_spec(task)->control_period_s;
    s->servo_period_s = cn_task_servo_period(task);
    s->ticks = (int)lround(s->control_period_s / s->servo_period_s);
    for (int j = 0; j < cn_task_joints(task); j++)
        s->joint[j] = *cn_task_joint(task, j);
    if (!cn_task_accepts(task, CN_COMMAND_EFFORT))
        CN_TRY_CLEANUP(cn_safety_create(s->joint, cn_task_joints(task), &s->safety, err));
    for (int j = 0; s->safety && j < cn_task_joints(task); j++)
        if (cn_task_holds_position(task, j))
            cn_safety_holds_position(s->safety, j);
    *out = s;
    s = NULL;
cleanup:
    cn_servo_destroy(&s);
    return status;
}

void cn_servo_destroy(cn_servo **servo)
{
    if (!*servo)
        return;
    cn_safety_destroy(&(*servo)->safety);
    free(*servo);
    *servo = NULL;
}

void cn_servo_begin(cn_servo *s, const cn_arm_state *reading)
{
    if (s->safety)
        cn_safety_begin(s->safety, reading);
}

/* What the arm is told at the next tick of the servo. */
static const cn_arm_command *next_tick(void *ctx)
{
    cn_servo *s = ctx;
    if (!s->safety)
        return s->wanted;
    cn_safety_next(s->safety, s->wanted, s->servo_period_s, &s->limited);
    return &s->limited;
}

cn_status cn_servo_follow(cn_servo *s, const cn_arm_command *command, cn_arm_state *reading,
                          cn_error *err)
{
    s->wanted = command;
    CN_TRY(cn_twin_follow(s->twin, next_tick, s, s->ticks, s->servo_period_s, err));
    cn_twin_read(s->twin, reading);
    if (s->safety)
        cn_safety_measure(s->safety, reading, s->control_period_s);
    return CN_OK;
}
