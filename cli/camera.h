/* A camera of a twin: pictures drawn by a thread of its own, so that the servo never waits for one.
 * What the servo's thread hands over and takes are the newest pose and the newest picture; older
 * ones that nobody took are lost. */
#ifndef CN_CLI_CAMERA_H
#define CN_CLI_CAMERA_H

#include "bridge/plant.h"
#include "sim/twin.h"

typedef struct cli_camera cli_camera;

/* Starts it. @param name  a camera of the task's model; borrowed, as the task
 * @return CN_ERR_NOT_FOUND (no such camera, with those there are), CN_ERR_IO (no OpenGL, no
 * thread), CN_ERR_MEMORY. */
cn_status cli_camera_open(const cn_task *task, const char *name, cli_camera **out, cn_error *err);
void cli_camera_close(cli_camera **camera);

/* What is to be drawn next. Of a twin of the same task, whatever its gap; from one thread. */
void cli_camera_show(cli_camera *camera, const cn_twin *twin);
/* The newest picture, if none newer than the one before was taken yet: false. Its pixels stay until
 * the next call; from the same thread. */
bool cli_camera_look(cli_camera *camera, cn_image *out);

#endif
