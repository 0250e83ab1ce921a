/* Pictures of a twin: of the asked size, the same for the same state, different once the arm moves.
 */
#include "sim/render.h"

#include "tests/sim/arm.h"

static cn_error err;

enum { WIDTH = 160, HEIGHT = 120, BYTES = WIDTH * HEIGHT * 3 };

static unsigned char before[BYTES], after[BYTES];

static cn_task *task;
static cn_twin *twin;

static cn_renderer *make(const char *camera)
{
    cn_renderer *renderer = NULL;
    CN_ASSERT_OK(load_swapped(NULL, NULL, &task, &err));
    CN_ASSERT_OK(cn_twin_create(task, NULL, &twin, &err));
    CN_ASSERT_OK(cn_twin_reset(twin, 1, &err));
    CN_ASSERT_OK(cn_renderer_create(twin, WIDTH, HEIGHT, camera, &renderer, &err));
    return renderer;
}

static void finish(cn_renderer *renderer)
{
    cn_renderer_destroy(&renderer);
    CU_ASSERT_PTR_NULL(renderer);
    cn_renderer_destroy(&renderer);
    cn_twin_destroy(&twin);
    cn_task_destroy(&task);
}

/* How many pixels differ by more than dithering would. */
static int changed(void)
{
    int count = 0;
    for (int i = 0; i < BYTES; i += 3)
        count += abs(before[i] - after[i]) > 8;
    return count;
}

static void swing(void)
{
    const cn_arm_command command = {.mode = CN_COMMAND_POSITION, .joints = 2, .target = {1.4, 0.2}};
    cn_twin_command(twin, &command);
    CN_ASSERT_OK(cn_twin_advance(twin, 1, &err));
}

static void test_render_shows_the_arm_move(void)
{
    cn_renderer *renderer = make("side");
    cn_renderer_draw(renderer, before);
    cn_renderer_draw(renderer, after);
    CU_ASSERT_EQUAL(changed(), 0);
    swing();
    cn_renderer_draw(renderer, after);
    CU_ASSERT_TRUE(changed() > 100);
    CU_ASSERT_TRUE(changed() < WIDTH * HEIGHT / 2); /* the arm, not the whole picture */
    finish(renderer);
}

/* From the side, z is up: the floor (grey) is in the last row and the dark sky in the first. */
static void test_render_puts_the_top_row_first(void)
{
    cn_renderer *renderer = make("side");
    cn_renderer_draw(renderer, before);
    const unsigned char *top = before + 3 * (WIDTH / 2), *bottom = before + BYTES - 3 * (WIDTH / 2);
    CU_ASSERT_TRUE(bottom[0] > top[0] + 20);
    finish(renderer);
}

static void test_render_frames_the_arm_without_a_camera(void)
{
    cn_renderer *renderer = make(NULL);
    cn_renderer_draw(renderer, before);
    swing();
    cn_renderer_draw(renderer, after);
    CU_ASSERT_TRUE(changed() > 100);
    finish(renderer);
}

static void test_render_two_at_once(void)
{
    cn_renderer *a = make("side"), *b = NULL;
    CN_ASSERT_OK(cn_renderer_create(twin, WIDTH, HEIGHT, "side", &b, &err));
    cn_renderer_draw(a, before);
    cn_renderer_draw(b, after);
    CU_ASSERT_EQUAL(changed(), 0);
    cn_renderer_destroy(&b);
    memset(after, 0, sizeof after);
    cn_renderer_draw(a, after);
    CU_ASSERT_EQUAL(changed(), 0);
    finish(a);
}

/* Light and shade go, the arm stays where it is. */
static void test_render_simplified(void)
{
    cn_renderer *renderer = make("side");
    cn_renderer_draw(renderer, before);
    cn_renderer_simplify(renderer);
    cn_renderer_draw(renderer, after);
    CU_ASSERT_TRUE(changed() < WIDTH * HEIGHT / 2);
    memcpy(before, after, sizeof before);
    swing();
    cn_renderer_draw(renderer, after);
    CU_ASSERT_TRUE(changed() > 100);
    finish(renderer);
}

/* A twin that was given another's pose looks like it. */
static void test_render_of_a_pose(void)
{
    double pose[64];
    cn_twin *other = NULL;
    cn_renderer *renderer = make("side"), *of_other = NULL;
    swing();
    cn_renderer_draw(renderer, before);
    CN_ASSERT_OK(cn_twin_create(task, NULL, &other, &err));
    CN_ASSERT_OK(cn_renderer_create(other, WIDTH, HEIGHT, "side", &of_other, &err));
    cn_renderer_draw(of_other, after);
    CU_ASSERT_TRUE(changed() > 100);
    CU_ASSERT_FATAL(cn_twin_pose_size(twin) <= 64);
    cn_twin_pose(twin, pose);
    cn_twin_set_pose(other, pose);
    cn_renderer_draw(of_other, after);
    CU_ASSERT_EQUAL(changed(), 0);
    cn_renderer_destroy(&of_other);
    cn_twin_destroy(&other);
    finish(renderer);
}

static void test_render_mistakes_are_told(void)
{
    cn_renderer *renderer = make("side"), *none = NULL;
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "camera 'front' is not in the model; it has: side",
                    cn_renderer_create(twin, WIDTH, HEIGHT, "front", &none, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a picture of 8 x 120 pixels; 16 to 4096 each way",
                    cn_renderer_create(twin, 8, HEIGHT, "side", &none, &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "a picture of 160 x 5000 pixels",
                    cn_renderer_create(twin, WIDTH, 5000, "side", &none, &err));
    CU_ASSERT_PTR_NULL(none);
    finish(renderer);
}

CN_TEST_MAIN("sim.render", T(test_render_shows_the_arm_move), T(test_render_puts_the_top_row_first),
             T(test_render_frames_the_arm_without_a_camera), T(test_render_two_at_once),
             T(test_render_simplified), T(test_render_of_a_pose), T(test_render_mistakes_are_told))
