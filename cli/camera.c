/* Two exchanges of the newest thing between two threads, a pose one way and a picture the other.
 * Each has three places: one that is written, one that is read, and between them the newest that is
 * done. */
#include "cli/camera.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "sim/render.h"

enum { SIDE = 64, PIXELS = SIDE * SIDE * 3, PLACES = 3 };
#define PLACE 3u /* of `between`: which one, */
#define NEWER 4u /* and that nobody has taken it yet */
_Static_assert(PIXELS <= CN_IMAGE_MAX, "a picture must fit into a frame");

typedef struct exchange {
    unsigned char *place[PLACES];
    unsigned writing, reading;
    atomic_uint between;
} exchange;

struct cli_camera {
    const char *name; /* borrowed */
    cn_twin *twin;    /* what is drawn: poses are put into it */
    exchange poses, pictures;
    sem_t due; /* there is a pose to draw */
    atomic_bool stop;
    pthread_t thread;
    bool started;
    sem_t ready; /* the thread has its renderer, or why has why not */
    cn_error why;
};

/* ---- The exchange ---- */

static cn_status make_places(exchange *x, size_t bytes, cn_error *err)
{
    x->writing = 0;
    x->reading = 1;
    atomic_init(&x->between, 2);
    for (int i = 0; i < PLACES; i++) {
        x->place[i] = calloc(1, bytes);
        CN_FAIL_IF(!x->place[i], CN_ERR_MEMORY, err, "no memory for a camera");
    }
    return CN_OK;
}

static void free_places(exchange *x)
{
    for (int i = 0; i < PLACES; i++)
        free(x->place[i]);
}

/* What stands in x->place[x->writing] is the newest now. */
static void give(exchange *x)
{
    x->writing =
        atomic_exchange_explicit(&x->between, x->writing | NEWER, memory_order_acq_rel) & PLACE;
}

/* Brings the newest into x->place[x->reading]; false: it is there already. */
static bool take(exchange *x)
{
    if (!(atomic_load_explicit(&x->between, memory_order_relaxed) & NEWER))
        return false;
    x->reading = atomic_exchange_explicit(&x->between, x->reading, memory_order_acq_rel) & PLACE;
    return true;
}

/* ---- The camera's thread ---- */

/* OpenGL's context belongs to the thread that made it. */
static void *draw_pictures(void *self)
{
    cli_camera *const c = self;
    cn_renderer *renderer = NULL;
    if (cn_renderer_create(c->twin, SIDE, SIDE, c->name, &renderer, &c->why) == CN_OK)
        cn_renderer_simplify(renderer);
    sem_post(&c->ready);
    while (renderer && !atomic_load(&c->stop)) {
        if (sem_wait(&c->due) != 0 || !take(&c->poses))
            continue;
        cn_twin_set_pose(c->twin, (const double *)(void *)c->poses.place[c->poses.reading]);
        cn_renderer_draw(renderer, c->pictures.place[c->pictures.writing]);
        give(&c->pictures);
    }
    cn_renderer_destroy(&renderer);
    return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(cli_camera *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int why = pthread_create(&c->thread, NULL, draw_pictures, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    c->started = why == 0;
    return why;
}

/* ---- The servo's side ---- */

void cli_camera_show(cli_camera *c, const cn_twin *twin)
{
    cn_twin_pose(twin, (double *)(void *)c->poses.place[c->poses.writing]);
    give(&c->poses);
    sem_post(&c->due);
}

bool cli_camera_look(cli_camera *c, cn_image *out)
{
    if (!take(&c->pictures))
        return false;
    *out = (cn_image){c->name, SIDE, SIDE, c->pictures.place[c->pictures.reading]};
    return true;
}

/* ---- Life ---- */

cn_status cli_camera_open(const cn_task *task, const char *name, cli_camera **out, cn_error *err)
{
    *out = NULL;
    cn_status status = CN_OK;
    cli_camera *c = calloc(1, sizeof *c);
    CN_FAIL_IF(!c, CN_ERR_MEMORY, err, "no memory for a camera");
    c->name = name;
    sem_init(&c->due, 0, 0);
    sem_init(&c->ready, 0, 0);
    CN_TRY_CLEANUP(cn_twin_create(task, NULL, &c->twin, err));
    CN_TRY_CLEANUP(make_places(&c->poses, cn_twin_pose_size(c->twin) * sizeof(double), err));
    CN_TRY_CLEANUP(make_places(&c->pictures, PIXELS, err));
    const int why = start_thread(c);
    if (why != 0)
        CN_FAIL_CLEANUP(CN_ERR_IO, err, "cannot start a camera's thread: %s", strerror(why));
    while (sem_wait(&c->ready) != 0 && errno == EINTR)
        continue;
    if (c->why.code != CN_OK) {
        status = c->why.code;
        if (err)
            *err = c->why;
        goto cleanup;
    }
    *out = c;
    c = NULL;
cleanup:
    cli_camera_close(&c);
    return status;
}

void cli_camera_close(cli_camera **camera)
{
    cli_camera *const c = *camera;
    if (!c)
        return;
    if (c->started) {
        atomic_store(&c->stop, true);
        sem_post(&c->due);
        pthread_join(c->thread, NULL);
    }
    cn_twin_destroy(&c->twin);
    free_places(&c->poses);
    free_places(&c->pictures);
    sem_destroy(&c->due);
    sem_destroy(&c->ready);
    free(c);
    *camera = NULL;
}
