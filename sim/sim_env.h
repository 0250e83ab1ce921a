/* cn_env on MuJoCo: a twin moved by actions and watched by an observer, in this process. */
#ifndef CN_SIM_SIM_ENV_H
#define CN_SIM_SIM_ENV_H

#include "policy/env.h"
#include "sim/gap.h"
#include "sim/task.h"

/* @param task  borrowed; must outlive the env
 * @param gap   copied; NULL: what the task's `randomize:` says
 * @param out   owned; cn_env_destroy */
cn_status cn_sim_env_create(const cn_task *task, const cn_gap *gap, cn_env **out, cn_error *err);

#endif
