/* cn_env: what makes a policy fit an environment, and the destructor. */
#include "tests/policy/point.h"

static cn_error err;

static void test_equal_specs_match(void)
{
    const cn_env_spec a = point_spec();
    cn_env_spec b = a;
    CN_ASSERT_OK(cn_env_spec_match(&a, &b, &err));
    /* another task of the same arm is what adapting is for */
    snprintf(b.task, CN_NAME, "another");
    b.step_limit = 7;
    CN_ASSERT_OK(cn_env_spec_match(&a, &b, &err));
    /* rounding of a control period that was written in another way */
    b.control_period_s += 1e-9;
    CN_ASSERT_OK(cn_env_spec_match(&a, &b, &err));
}

/* Every field that must agree, and a message with both values. */
static void test_every_field_is_compared(void)
{
    const cn_env_spec a = point_spec();
    cn_env_spec b = a;
    snprintf(b.arm, CN_NAME, "jaco");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the policy is for the arm 'point', this is the arm 'jaco'",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    b.groups = 1;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the policy observes 2 groups, task 'point' has 1",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    snprintf(b.group[1].name, CN_NAME, "speed");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH,
                    "2 numbers in group 'place' where task 'point' has 2 in 'speed'",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    b.group[0].size = 3;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "2 numbers in group 'goal' where task 'point' has 3 in 'goal'",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    b.action_size = 1;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the policy has 2 actions, task 'point' has 1",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    snprintf(b.action[1], CN_NAME, "z");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "action 1 of the policy is 'y', of task 'point' it is 'z'",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    snprintf(b.action_unit, CN_NAME, "rad/step");
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the policy acts in m/step, task 'point' in rad/step",
                    cn_env_spec_match(&a, &b, &err));
    b = a;
    b.control_period_s = 0.04;
    CN_ASSERT_FAILS(CN_ERR_MISMATCH, "the policy acts every 0.05 s, task 'point' every 0.04 s",
                    cn_env_spec_match(&a, &b, &err));
    CU_ASSERT_EQUAL(cn_env_spec_match(&a, &b, NULL), CN_ERR_MISMATCH);
}

static void test_destroy_twice(void)
{
    point_world world = {0};
    cn_env *env = NULL;
    cn_env_destroy(&env);
    CN_ASSERT_OK(point_make(&world, &env, &err));
    CU_ASSERT_EQUAL(world.alive, 1);
    cn_env_destroy(&env);
    CU_ASSERT_PTR_NULL(env);
    cn_env_destroy(&env);
    CU_ASSERT_EQUAL(world.alive, 0);
}

CN_TEST_MAIN("policy.env", T(test_equal_specs_match), T(test_every_field_is_compared),
             T(test_destroy_twice))
