/* Replay buffers: what goes in comes out, the oldest is overwritten, all are drawn alike. */
#include "policy/replay_buffer.h"
#include "tests/test.h"

enum { CAPACITY = 5 };

static cn_error err;

/* Transition number n says n everywhere. */
static void add(cn_replay *replay, int n)
{
    const float v = (float)n;
    const cn_transition t = {
        .observation = (const float[3]){v, v + 0.1f, v + 0.2f},
        .action = (const float[2]){v + 0.3f, v + 0.4f},
        .reward = v + 0.5f,
        .next = (const float[3]){v + 0.6f, v + 0.7f, v + 0.8f},
        .terminated = n % 2 == 1,
    };
    cn_replay_add(replay, &t);
}

static void check(const cn_replay *replay, int row, int n)
{
    const cn_transition t = cn_replay_at(replay, row);
    const float v = (float)n;
    CU_ASSERT_EQUAL(t.observation[0], v);
    CU_ASSERT_EQUAL(t.observation[2], v + 0.2f);
    CU_ASSERT_EQUAL(t.action[1], v + 0.4f);
    CU_ASSERT_EQUAL(t.reward, v + 0.5f);
    CU_ASSERT_EQUAL(t.next[1], v + 0.7f);
    CU_ASSERT_EQUAL(t.terminated, n % 2 == 1);
}

static void test_ring(void)
{
    cn_replay *r = NULL;
    CN_ASSERT_OK(cn_replay_create(CAPACITY, 3, 2, &r, &err));
    CU_ASSERT_EQUAL(cn_replay_count(r), 0);
    for (int n = 0; n < 12; n++) {
        add(r, n);
        const int count = n + 1 < CAPACITY ? n + 1 : CAPACITY;
        CU_ASSERT_EQUAL(cn_replay_count(r), count);
        for (int back = 0; back < count; back++)
            check(r, (n - back) % CAPACITY, n - back);
    }
    cn_replay_destroy(&r);
    CU_ASSERT_PTR_NULL(r);
    cn_replay_destroy(&r);
}

/* A row that has not been written must never be drawn; the others are drawn equally often. */
static void check_draws(int added, int count)
{
    enum { DRAWS = 20000 };
    int drawn[CAPACITY] = {0};
    cn_rng rng = cn_rng_make(5, 0);
    cn_replay *r = NULL;
    CN_ASSERT_OK(cn_replay_create(CAPACITY, 3, 2, &r, &err));
    for (int n = 0; n < added; n++)
        add(r, n);
    for (int i = 0; i < DRAWS; i++)
        drawn[cn_replay_draw(r, &rng)]++;
    const double p = 1.0 / count;
    const double tolerance = 5.0 * sqrt(DRAWS * p * (1.0 - p)); /* 5 standard deviations */
    for (int i = 0; i < CAPACITY; i++)
        CU_ASSERT_DOUBLE_EQUAL(drawn[i], i < count ? DRAWS * p : 0.0, tolerance);
    cn_replay_destroy(&r);
}

static void test_draws_are_uniform(void)
{
    check_draws(1, 1);
    check_draws(3, 3);
    check_draws(CAPACITY, CAPACITY);
    check_draws(CAPACITY + 2, CAPACITY);
}

static void test_refusals(void)
{
    cn_replay *r = NULL;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a replay buffer of 0 transitions",
                    cn_replay_create(0, 3, 2, &r, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a replay buffer of 100000001 transitions",
                    cn_replay_create(CN_MAX_REPLAY + 1, 3, 2, &r, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "of 3 observations and 0 actions",
                    cn_replay_create(5, 3, 0, &r, &err));
    CU_ASSERT_PTR_NULL(r);
}

CN_TEST_MAIN("policy.replay_buffer", T(test_ring), T(test_draws_are_uniform), T(test_refusals))
