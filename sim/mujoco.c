/* MuJoCo as a library should be: its errors become statuses, its warnings stay in mjData, and it
 * neither prints, writes MUJOCO_LOG.TXT, nor ends the process. */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "sim/internal.h"

static pthread_once_t install_once = PTHREAD_ONCE_INIT;

/* Where this thread goes on when MuJoCo fails, and MuJoCo's words. */
static _Thread_local jmp_buf *landing;
static _Thread_local char words[1024];

static void take_message(const mjLogMessage *message)
{
    if (message->level < mjLOG_ERROR || !landing)
        return;
    snprintf(words, sizeof words, "%s", message->subject);
    longjmp(*landing, 1);
}

static void install(void)
{
    mju_setLogHandler(take_message);
}

void cn_mujoco_silence(void)
{
    pthread_once(&install_once, install);
}

cn_status cn_mujoco_try(void (*call)(void *ctx), void *ctx, cn_error *err)
{
    cn_mujoco_silence();
    jmp_buf here;
    jmp_buf *const outer = landing;
    if (setjmp(here) != 0) {
        landing = outer;
        CN_FAIL(CN_ERR_PHYSICS, err, "MuJoCo: %s", words);
    }
    landing = &here;
    call(ctx);
    landing = outer;
    return CN_OK;
}

struct make_data {
    const mjModel *model;
    mjData *data;
};

static void make_data(void *ctx)
{
    struct make_data *m = ctx;
    m->data = mj_makeData(m->model);
}

cn_status cn_mujoco_make_data(const mjModel *model, mjData **out, cn_error *err)
{
    struct make_data m = {model, NULL};
    *out = NULL;
    CN_TRY(cn_mujoco_try(make_data, &m, err));
    CN_FAIL_IF(!m.data, CN_ERR_MEMORY, err, "no memory for a simulation of %d joints",
               (int)model->njnt);
    *out = m.data;
    return CN_OK;
}
