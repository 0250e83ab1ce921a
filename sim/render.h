/* Headless pictures of a twin: EGL on the surfaceless platform, one renderer a thread. */
#ifndef CN_SIM_RENDER_H
#define CN_SIM_RENDER_H

#include "sim/twin.h"

typedef struct cn_renderer cn_renderer;

/* @param twin  borrowed; must outlive the renderer
 * @param width, height  pixels, 16..4096
 * @param camera  name of a camera of the model, or NULL for a free camera that frames the arm
 * @return CN_ERR_ARGUMENT (size), CN_ERR_NOT_FOUND (camera, with those there are), CN_ERR_IO when
 *         EGL gives no context, CN_ERR_MEMORY. */
cn_status cn_renderer_create(cn_twin *twin, int width, int height, const char *camera,
                             cn_renderer **out, cn_error *err);
void cn_renderer_destroy(cn_renderer **renderer);

/* From now on without shadows and reflections: where the processor draws, many times faster. */
void cn_renderer_simplify(cn_renderer *renderer);

/* Marks a point in the next picture with a small orange ball: where something measured from outside
 * the arm really was. At most CN_MAX_TRACKED a picture. @param point  world frame, m */
void cn_renderer_mark(cn_renderer *renderer, const double point[3]);

/* Draws the twin as it is now. @param rgb  [height, width, 3], top row first */
void cn_renderer_draw(cn_renderer *renderer, unsigned char *rgb);

#endif
