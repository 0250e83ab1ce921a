/* cn_env: what every environment shares. */
#include "policy/env.h"

#include <math.h>
#include <string.h>

/* Control periods that differ by less are the same number, written in another way. */
#define PERIOD_TOLERANCE_S 1e-6

void cn_env_destroy(cn_env **env)
{
    if (*env)
        (*env)->destroy(*env);
    *env = NULL;
}

cn_status cn_env_spec_match(const cn_env_spec *a, const cn_env_spec *b, cn_error *err)
{
    CN_FAIL_IF(strcmp(a->arm, b->arm) != 0, CN_ERR_MISMATCH, err,
               "the policy is for the arm '%s', this is the arm '%s'", a->arm, b->arm);
    CN_FAIL_IF(a->groups != b->groups, CN_ERR_MISMATCH, err,
               "the policy observes %d groups, task '%s' has %d", a->groups, b->task, b->groups);
    for (int g = 0; g < a->groups; g++)
        CN_FAIL_IF(strcmp(a->group[g].name, b->group[g].name) != 0 ||
                       a->group[g].size != b->group[g].size,
                   CN_ERR_MISMATCH, err,
                   "the policy observes %d numbers in group '%s' where task '%s' has %d in '%s'",
                   a->group[g].size, a->group[g].name, b->task, b->group[g].size, b->group[g].name);
    CN_FAIL_IF(a->action_size != b->action_size, CN_ERR_MISMATCH, err,
               "the policy has %d actions, task '%s' has %d", a->action_size, b->task,
               b->action_size);
    for (int i = 0; i < a->action_size; i++)
        CN_FAIL_IF(strcmp(a->action[i], b->action[i]) != 0, CN_ERR_MISMATCH, err,
                   "action %d of the policy is '%s', of task '%s' it is '%s'", i, a->action[i],
                   b->task, b->action[i]);
    CN_FAIL_IF(strcmp(a->action_unit, b->action_unit) != 0, CN_ERR_MISMATCH, err,
               "the policy acts in %s, task '%s' in %s", a->action_unit, b->task, b->action_unit);
    CN_FAIL_IF(fabs(a->control_period_s - b->control_period_s) > PERIOD_TOLERANCE_S,
               CN_ERR_MISMATCH, err, "the policy acts every %g s, task '%s' every %g s",
               a->control_period_s, b->task, b->control_period_s);
    return CN_OK;
}
