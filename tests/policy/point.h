/* A toy environment: a point in the plane that must reach a goal. Both are drawn in [-1, 1]^2; an
 * action moves the point by at most STRIDE along each axis; within REACH of the goal the episode
 * terminates with success, after step_limit steps it is truncated. The reward is the progress made.
 * It allocates nothing after its creation. */
#ifndef CN_TESTS_POLICY_POINT_H
#define CN_TESTS_POLICY_POINT_H

#include "policy/trainer.h"
#include "tests/test.h"

#define POINT_STRIDE 0.2f
#define POINT_REACH  0.2f

/* What the environments of one test are like, and what is known about them. */
typedef struct point_world {
    int step_limit;     /* 0: 20 */
    long fail_at;       /* the environment `fails` fails at this step of its life; 0: never */
    long fails;         /* number of that environment, in order of creation, */
    cn_status failure;  /* and what it fails with; CN_OK: CN_ERR_TIMEOUT */
    long refuse_at;     /* creation number that fails; 0: none; numbers from 1 */
    const char *arm;    /* NULL: "point" */
    bool unjudged;      /* the task does not say what success is */
    bool unreachable;   /* no goal is near enough: every episode is truncated */
    bool broken_reward; /* every reward is NaN */
    long made;          /* environments so far */
    _Atomic long alive; /* and not destroyed */
} point_world;

typedef struct point {
    cn_env env;
    point_world *world;
    long number, age; /* age: steps of its life */
    int step;
    float at[2], goal[2];
} point;

static inline cn_env_spec point_spec(void)
{
    return (cn_env_spec){
        .task = "point",
        .arm = "point",
        .groups = 2,
        .group = {{.name = "goal", .offset = 0, .size = 2},
                  {.name = "place", .offset = 2, .size = 2}},
        .observation_size = 4,
        .action_size = 2,
        .action = {"x", "y"},
        .action_unit = "m/step",
        .control_period_s = 0.05,
        .step_limit = 20,
        .has_success = true,
    };
}

static inline float point_distance(const point *p)
{
    return hypotf(p->goal[0] - p->at[0], p->goal[1] - p->at[1]);
}

/* The goal as seen from the point, and where the point is. */
static inline void point_observe(const point *p, float *observation)
{
    for (int i = 0; i < 2; i++) {
        observation[i] = p->goal[i] - p->at[i];
        observation[2 + i] = p->at[i];
    }
}

static inline cn_status point_reset(cn_env *env, uint64_t seed, float *observation, cn_error *err)
{
    point *p = (point *)env;
    (void)err;
    cn_rng rng = cn_rng_make(seed, 0);
    p->step = 0;
    for (int i = 0; i < 2; i++) {
        p->at[i] = (float)cn_rng_range(&rng, -1.0, 1.0);
        p->goal[i] = (float)cn_rng_range(&rng, -1.0, 1.0) + (p->world->unreachable ? 100.0f : 0.0f);
    }
    point_observe(p, observation);
    return CN_OK;
}

static inline cn_status point_step(cn_env *env, const float *action, cn_env_step *step,
                                   float *observation, cn_error *err)
{
    point *p = (point *)env;
    const float before = point_distance(p);
    p->age++;
    const cn_status failure = p->world->failure != CN_OK ? p->world->failure : CN_ERR_TIMEOUT;
    CN_FAIL_IF(p->world->fail_at == p->age && p->world->fails == p->number, failure, err,
               "point %ld broke at step %ld", p->number, p->age);
    for (int i = 0; i < 2; i++)
        p->at[i] += POINT_STRIDE * fminf(fmaxf(action[i], -1.0f), 1.0f);
    p->step++;
    *step = (cn_env_step){.reward = before - point_distance(p)};
    if (p->world->broken_reward)
        step->reward = NAN;
    step->terminated = step->success = point_distance(p) < POINT_REACH;
    step->truncated = !step->terminated && p->step >= env->spec.step_limit;
    point_observe(p, observation);
    return CN_OK;
}

static inline void point_destroy(cn_env *env)
{
    ((point *)env)->world->alive--;
    free(env);
}

/* A cn_make_env. @param ctx  a point_world */
static inline cn_status point_make(void *ctx, cn_env **out, cn_error *err)
{
    point_world *world = ctx;
    CN_FAIL_IF(world->refuse_at == world->made + 1, CN_ERR_REFUSED, err, "no point number %ld",
               world->made + 1);
    point *p = calloc(1, sizeof *p);
    CN_FAIL_IF(!p, CN_ERR_MEMORY, err, "no memory for a point");
    *p = (point){.env = {.spec = point_spec(),
                         .reset = point_reset,
                         .step = point_step,
                         .destroy = point_destroy},
                 .world = world,
                 .number = world->made++};
    if (world->arm)
        snprintf(p->env.spec.arm, CN_NAME, "%s", world->arm);
    if (world->step_limit)
        p->env.spec.step_limit = world->step_limit;
    p->env.spec.has_success = !world->unjudged;
    world->alive++;
    *out = &p->env;
    return CN_OK;
}

/* ---- Policies for it ---- */

static inline cn_policy_column point_column(cn_lateral lateral)
{
    cn_policy_column column = cn_policy_column_default();
    column.hidden[0] = column.hidden[1] = 16;
    column.lateral = lateral;
    column.adapter_size = 8;
    column.seed = UINT64_C(0xfedcba9876543210);
    snprintf(column.task, CN_NAME, "point");
    snprintf(column.task_file, CN_PATH, "/tasks/point.yaml");
    snprintf(column.method, CN_NAME, "ppo");
    return column;
}

/* Moves every parameter of column k and gives its normaliser something to have seen, so that
 * nothing is hidden by a zero. */
static inline void point_disturb(cn_policy *policy, int k, cn_rng *rng)
{
    cn_params *params = cn_policy_params(policy);
    cn_normalizer *normalizer = cn_policy_normalizer(policy, k);
    char part[24];
    snprintf(part, sizeof part, "/%d/", k);
    for (cn_param p = 0; p < cn_params_slices(params); p++) {
        const cn_param_info *info = cn_params_info(params, p);
        for (size_t i = 0; strstr(info->name, part) && i < info->count; i++)
            cn_params_slice(params, p)[i] += 0.1f * (float)cn_rng_normal(rng);
    }
    for (int row = 0; row < 8; row++) {
        float seen[4];
        for (int i = 0; i < 4; i++)
            seen[i] = (float)cn_rng_range(rng, -1.5, 2.0);
        cn_normalizer_update(normalizer, seen, 1, 4);
    }
    cn_normalizer_refresh(normalizer);
}

/* All columns but the last are disturbed and frozen; all but the first are grown with `growth`. */
static inline cn_policy *point_policy(int columns, cn_lateral lateral, cn_growth growth)
{
    cn_error err = {0};
    cn_policy *policy;
    const cn_env_spec spec = point_spec();
    const cn_policy_column column = point_column(lateral);
    cn_rng rng = cn_rng_make(11, 0);
    CN_ASSERT_OK(cn_policy_create(&spec, &policy, &err));
    for (int k = 0; k < columns; k++) {
        CN_ASSERT_OK(cn_policy_grow(policy, &column, k == 0 ? CN_GROW_RANDOM : growth, &rng, &err));
        if (k < columns - 1) {
            point_disturb(policy, k, &rng);
            cn_policy_freeze(policy, k);
        }
    }
    return policy;
}

/* Small enough for a test, large enough to learn: see test_trainer.c. */
static inline cn_train_config point_config(void)
{
    cn_train_config config = cn_train_config_default();
    config.steps = 16384;
    config.envs = 16;
    config.rollout_steps = 64;
    config.minibatches = 8;
    config.epochs = 6;
    config.learning_rate = 3e-3;
    config.evaluate_every = 0;
    config.evaluate_episodes = 64;
    return config;
}

/* Stops a training run after some iterations: cn_train_job.progress and .stop. */
typedef struct point_brake {
    atomic_bool stop;
    int iterations; /* to go; negative: never stops */
} point_brake;

static inline void point_pull(void *ctx, const cn_train_progress *progress)
{
    point_brake *b = ctx;
    (void)progress;
    if (--b->iterations == 0)
        atomic_store(&b->stop, true);
}

/* Success of a column, with deterministic actions, over fresh episodes. */
static inline double point_success(cn_policy *policy, int column)
{
    point_world world = {0};
    cn_pool *pool;
    cn_evaluator *evaluator;
    cn_evaluation result;
    cn_error err = {0};
    CN_ASSERT_OK(cn_pool_create(1, &pool, &err));
    CN_ASSERT_OK(
        cn_evaluator_create(policy, column, 8, point_make, &world, pool, &evaluator, &err));
    CN_ASSERT_OK(cn_evaluator_run(evaluator, 200, 99, NULL, &result, &err));
    cn_evaluator_destroy(&evaluator);
    cn_pool_destroy(&pool);
    return result.success_rate;
}

#endif
