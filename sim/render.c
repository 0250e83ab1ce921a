/* Headless rendering: a surfaceless EGL context of the software or hardware driver that Mesa finds,
 * and MuJoCo's own renderer into an offscreen buffer. */
#include "sim/render.h"

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <stdlib.h>
#include <string.h>

#include "sim/internal.h"

#define MAX_SCENE_GEOMS 2000

#define MARK_RADIUS_M 0.014

struct cn_renderer {
    const mjModel *model;
    mjData *data;
    int width, height;
    EGLDisplay display;
    EGLContext context;
    bool has_scene, has_gl;
    mjvCamera camera;
    mjvOption option;
    mjvScene scene;
    mjrContext gl;
    int marks;
    double mark[CN_MAX_TRACKED][3];
    unsigned char *rgb; /* where the draw in progress writes */
    unsigned char *row; /* scratch [width, 3] */
};

/* The display is never terminated: EGL shares it among all renderers of the process. */
static cn_status open_context(cn_renderer *r, cn_error *err)
{
    static const EGLint wanted[] = {EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT, EGL_SURFACE_TYPE, 0,
                                    EGL_NONE};
    EGLConfig config;
    EGLint configs = 0;
    r->display = eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
    CN_FAIL_IF(r->display == EGL_NO_DISPLAY || !eglInitialize(r->display, NULL, NULL), CN_ERR_IO,
               err,
               "EGL gives no surfaceless display (error 0x%x); install Mesa's libegl1 and "
               "libgl1-mesa-dri",
               (unsigned)eglGetError());
    CN_FAIL_IF(!eglBindAPI(EGL_OPENGL_API) ||
                   !eglChooseConfig(r->display, wanted, &config, 1, &configs) || configs < 1,
               CN_ERR_IO, err, "EGL offers no OpenGL (error 0x%x)", (unsigned)eglGetError());
    r->context = eglCreateContext(r->display, config, EGL_NO_CONTEXT, NULL);
    CN_FAIL_IF(r->context == EGL_NO_CONTEXT, CN_ERR_IO, err, "EGL gives no context (error 0x%x)",
               (unsigned)eglGetError());
    CN_FAIL_IF(!eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, r->context), CN_ERR_IO,
               err, "EGL cannot use its context (error 0x%x)", (unsigned)eglGetError());
    return CN_OK;
}

static cn_status choose_camera(cn_renderer *r, const char *name, cn_error *err)
{
    char known[600];
    if (!name) {
        mjv_defaultFreeCamera(r->model, &r->camera);
        return CN_OK;
    }
    mjv_defaultCamera(&r->camera);
    r->camera.type = mjCAMERA_FIXED;
    r->camera.fixedcamid = mj_name2id(r->model, mjOBJ_CAMERA, name);
    CN_FAIL_IF(r->camera.fixedcamid < 0, CN_ERR_NOT_FOUND, err,
               "camera '%s' is not in the model; it has: %s", name,
               cn_model_names(r->model, mjOBJ_CAMERA, known, sizeof known));
    return CN_OK;
}

static void make_scene(void *ctx)
{
    cn_renderer *r = ctx;
    mjv_defaultOption(&r->option);
    memset(r->option.sitegroup, 0, sizeof r->option.sitegroup); /* sites are marks, not things */
    mjv_defaultScene(&r->scene);
    mjv_makeScene(r->model, &r->scene, MAX_SCENE_GEOMS);
    r->has_scene = true;
    mjr_defaultContext(&r->gl);
    mjr_makeContext(r->model, &r->gl, mjFONTSCALE_100);
    r->has_gl = true;
    mjr_resizeOffscreen(r->width, r->height, &r->gl);
    mjr_setBuffer(mjFB_OFFSCREEN, &r->gl);
}

cn_status cn_renderer_create(cn_twin *twin, int width, int height, const char *camera,
                             cn_renderer **out, cn_error *err)
{
    cn_status status = CN_OK;
    *out = NULL;
    CN_FAIL_IF(width < 16 || width > 4096 || height < 16 || height > 4096, CN_ERR_ARGUMENT, err,
               "a picture of %d x %d pixels; 16 to 4096 each way", width, height);
    cn_renderer *r = calloc(1, sizeof *r);
    if (!r || !(r->row = malloc((size_t)width * 3)))
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a renderer");
    r->model = cn_twin_mjmodel(twin);
    r->data = cn_twin_mjdata(twin);
    r->width = width;
    r->height = height;
    CN_TRY_CLEANUP(choose_camera(r, camera, err));
    CN_TRY_CLEANUP(open_context(r, err));
    CN_TRY_CLEANUP(cn_mujoco_try(make_scene, r, err));
    if (r->gl.currentBuffer != mjFB_OFFSCREEN)
        CN_FAIL_CLEANUP(CN_ERR_IO, err, "OpenGL gives no offscreen buffer of %d x %d", width,
                        height);
    *out = r;
    r = NULL;
cleanup:
    cn_renderer_destroy(&r);
    return status;
}

void cn_renderer_destroy(cn_renderer **renderer)
{
    cn_renderer *r = *renderer;
    if (!r)
        return;
    if (r->context != EGL_NO_CONTEXT) {
        eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, r->context);
        if (r->has_gl)
            mjr_freeContext(&r->gl);
        eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
        eglDestroyContext(r->display, r->context);
    }
    if (r->has_scene)
        mjv_freeScene(&r->scene);
    free(r->row);
    free(r);
    *renderer = NULL;
}

void cn_renderer_simplify(cn_renderer *r)
{
    r->scene.flags[mjRND_SHADOW] = 0;
    r->scene.flags[mjRND_REFLECTION] = 0;
}

void cn_renderer_mark(cn_renderer *r, const double point[3])
{
    if (r->marks < CN_MAX_TRACKED)
        memcpy(r->mark[r->marks++], point, sizeof r->mark[0]);
}

static void add_marks(cn_renderer *r)
{
    static const mjtNum size[3] = {MARK_RADIUS_M, MARK_RADIUS_M, MARK_RADIUS_M};
    static const float orange[4] = {1.0f, 0.45f, 0.05f, 1.0f};
    for (int i = 0; i < r->marks && r->scene.ngeom < r->scene.maxgeom; i++)
        mjv_initGeom(&r->scene.geoms[r->scene.ngeom++], mjGEOM_SPHERE, size, r->mark[i], NULL,
                     orange);
    r->marks = 0;
}

static void draw(void *ctx)
{
    cn_renderer *r = ctx;
    const mjrRect all = {0, 0, r->width, r->height};
    /* The last physics step moved the joints and left the bodies where they were before it. */
    mj_kinematics(r->model, r->data);
    mj_comPos(r->model, r->data);
    mj_camlight(r->model, r->data);
    mjv_updateScene(r->model, r->data, &r->option, NULL, &r->camera, mjCAT_ALL, &r->scene);
    add_marks(r);
    mjr_render(all, &r->scene, &r->gl);
    mjr_readPixels(r->rgb, NULL, all, &r->gl);
}

void cn_renderer_draw(cn_renderer *r, unsigned char *rgb)
{
    const size_t row = (size_t)r->width * 3;
    eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, r->context);
    r->rgb = rgb;
    if (cn_mujoco_try(draw, r, NULL) != CN_OK)
        return;
    /* OpenGL's first row is the bottom one. */
    for (int y = 0; y < r->height / 2; y++) {
        unsigned char *top = rgb + (size_t)y * row;
        unsigned char *bottom = rgb + (size_t)(r->height - 1 - y) * row;
        memcpy(r->row, top, row);
        memcpy(top, bottom, row);
        memcpy(bottom, r->row, row);
    }
}
