/* Demonstrations: logs, walked through with the observer of their task. */
#include "bridge/demonstrations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_TOLERANCE      1e-6 /* relative: periods are written in decimal, in two files */
#define OBSERVATION_TOLERANCE 1e-4 /* of the observer on another processor */

/* A walk through one log. */
typedef struct walk {
    const cn_episode *episode;
    const cn_robot_observer *observer;
    cn_demonstration_taker *take;
    void *taker;
    int taken;
    int cursor;         /* frame of the step under way */
    float *observation; /* [observation_size] what the observer makes of the log */
} walk;

static cn_status check(const cn_episode *e, const cn_robot_observer *o, cn_error *err)
{
    const cn_env_spec *spec = &o->spec;
    CN_FAIL_IF(strcmp(e->arm, spec->arm) != 0, CN_ERR_MISMATCH, err,
               "a log of the arm '%s', not of the arm '%s'", e->arm, spec->arm);
    CN_FAIL_IF(strcmp(e->task, spec->task) != 0, CN_ERR_MISMATCH, err,
               "a log of the task '%s', this is the task '%s'", e->task, spec->task);
    CN_FAIL_IF(fabs(e->control_period_s - spec->control_period_s) >
                   PERIOD_TOLERANCE * spec->control_period_s,
               CN_ERR_MISMATCH, err, "a log with a control period of %g s, the task's is %g s",
               e->control_period_s, spec->control_period_s);
    CN_FAIL_IF(e->steps == 0 || e->frames == 0, CN_ERR_NOT_FOUND, err,
               "the log holds no policy steps: record it with `colonnade control --log`");
    CN_FAIL_IF(e->observation_size != spec->observation_size || e->action_size != spec->action_size,
               CN_ERR_MISMATCH, err,
               "a log of %d observations and %d actions a step, the task has %d and %d",
               e->observation_size, e->action_size, spec->observation_size, spec->action_size);
    const cn_arm_state *state = &e->frame[0].state;
    CN_FAIL_IF(state->joints != o->joints || state->tracked != o->tracked, CN_ERR_MISMATCH, err,
               "a log of %d joints and %d tracked points, the task has %d and %d", state->joints,
               state->tracked, o->joints, o->tracked);
    for (int t = 0; t < o->tracked; t++)
        CN_FAIL_IF(strcmp(e->point[t], o->point[t]) != 0, CN_ERR_MISMATCH, err,
                   "a log whose tracked point %d is '%s', the task's is '%s'", t + 1, e->point[t],
                   o->point[t]);
    return CN_OK;
}

/* The frame that a step was decided on, searched from the cursor on; -1: it was not logged. */
static int frame_of(const walk *w, const cn_episode_step *step)
{
    for (int f = w->cursor; f < w->episode->frames; f++)
        if (w->episode->frame[f].sequence >= step->frame)
            return w->episode->frame[f].sequence == step->frame ? f : -1;
    return -1;
}

/* Passes a demonstration on, with what is the same for all. */
static cn_status give(walk *w, cn_demonstration d, cn_error *err)
{
    const cn_episode_step *step = &w->episode->step[d.step];
    float action[CN_MAX_ACTIONS];
    for (int i = 0; i < w->episode->action_size; i++)
        action[i] = fminf(fmaxf(step->action[i], -1.0f), 1.0f);
    d.transition.observation = step->observation;
    d.transition.action = action;
    w->taken++;
    return w->take(w->taker, &d, err);
}

/* The observer must see in the first reading what the policy saw in it. */
static cn_status check_first(const walk *w, cn_error *err)
{
    const float *logged = w->episode->step[0].observation;
    for (int i = 0; i < w->episode->observation_size; i++)
        CN_FAIL_IF(!(fabs((double)w->observation[i] - (double)logged[i]) < OBSERVATION_TOLERANCE),
                   CN_ERR_MISMATCH, err,
                   "observation %d of the first step is %g, this task makes it %g: the log is of "
                   "another task file or model",
                   i, (double)logged[i], (double)w->observation[i]);
    return CN_OK;
}

/* Step i, decided on frame f, and what came of it on the frame after it: of a period without a
 * decision it is the observer that says. Left out where that frame was not logged. */
static cn_status take_step(walk *w, int i, int f, cn_error *err)
{
    const cn_episode *e = w->episode;
    const cn_robot_observer *o = w->observer;
    const cn_episode_step *step = &e->step[i];
    const bool last = i + 1 == e->steps;
    const int next = last ? -1 : frame_of(w, step + 1);
    const uint64_t goal = e->frame[f].resets;
    cn_arm_command command;
    cn_env_step outcome;
    o->command(o->self, step->action, &command);
    const int to = next >= 0 ? next : f + 1; /* the observer sees what it saw when it was logged */
    for (int g = f + 1; g <= to && g < e->frames && e->frame[g].resets == goal; g++) {
        o->observe(o->self, &e->frame[g].state, &outcome, w->observation);
        if (e->frame[g].sequence != e->frame[f].sequence + 1)
            continue;
        cn_demonstration d = {.step = i, .frame = f, .next = g};
        if (g == next) {
            d.transition.reward = step[1].reward;
            d.transition.next = step[1].observation;
            d.success = step[1].success;
        } else {
            d.transition.reward = outcome.reward;
            d.transition.next = w->observation;
            d.transition.terminated = outcome.terminated;
            d.success = outcome.success;
        }
        CN_TRY(give(w, d, err));
    }
    return CN_OK;
}

static cn_status take_log(walk *w, cn_error *err)
{
    const cn_episode *e = w->episode;
    const cn_robot_observer *o = w->observer;
    bool begun = false;
    uint64_t goal = 0;
    for (int i = 0; i < e->steps; i++) {
        const int f = frame_of(w, &e->step[i]);
        if (f < 0)
            continue;
        w->cursor = f;
        const cn_episode_frame *frame = &e->frame[f];
        if (!begun) {
            o->begin(o->self, &frame->state, w->observation);
            CN_TRY(i == 0 ? check_first(w, err) : CN_OK);
        } else if (frame->resets != goal) {
            o->carry_on(o->self, &frame->state, w->observation);
        }
        begun = true;
        goal = frame->resets;
        CN_TRY(take_step(w, i, f, err));
    }
    CN_FAIL_IF(!begun, CN_ERR_NOT_FOUND, err, "the frames of its policy steps are missing");
    CN_FAIL_IF(w->taken == 0, CN_ERR_NOT_FOUND, err,
               "none of its %d policy steps is followed by the next frame of the same goal, so "
               "there is nothing to learn from it: leave it out",
               e->steps);
    return CN_OK;
}

cn_status cn_demonstrations_walk(const cn_episode *episode, const cn_robot_observer *observer,
                                 cn_demonstration_taker *take, void *self, cn_error *err)
{
    CN_TRY(check(episode, observer, err));
    walk w = {.episode = episode, .observer = observer, .take = take, .taker = self};
    w.observation = calloc((size_t)observer->spec.observation_size, sizeof *w.observation);
    CN_FAIL_IF(!w.observation, CN_ERR_MEMORY, err, "no memory for an observation");
    const cn_status status = take_log(&w, err);
    free(w.observation);
    return status;
}

static cn_status add_to_replay(void *replay, const cn_demonstration *d, cn_error *err)
{
    (void)err;
    cn_replay_add(replay, &d->transition);
    return CN_OK;
}

static cn_status fill(cn_episode *const *episodes, const char *const *paths, int count,
                      const cn_robot_observer *observer, cn_replay *replay, cn_error *err)
{
    for (int i = 0; i < count; i++) {
        const cn_status status =
            cn_demonstrations_walk(episodes[i], observer, add_to_replay, replay, err);
        if (status != CN_OK)
            return cn_error_prefix(err, status, "%s", paths[i]);
    }
    return CN_OK;
}

cn_status cn_demonstrations_load(const char *const *paths, int count,
                                 const cn_robot_observer *observer, cn_replay **out, cn_error *err)
{
    *out = NULL;
    cn_episode *episodes[CN_MAX_DEMONSTRATIONS] = {NULL};
    cn_replay *replay = NULL;
    cn_status status = CN_OK;
    int steps = 0;
    CN_FAIL_IF(count < 1 || count > CN_MAX_DEMONSTRATIONS, CN_ERR_ARGUMENT, err,
               "%d logs; 1 to %d at once are possible", count, CN_MAX_DEMONSTRATIONS);
    for (int i = 0; i < count; i++) {
        CN_TRY_CLEANUP(cn_episode_load(paths[i], &episodes[i], err));
        status = check(episodes[i], observer, err);
        if (status != CN_OK) {
            cn_error_prefix(err, status, "%s", paths[i]);
            goto cleanup;
        }
        steps += episodes[i]->steps;
    }
    CN_TRY_CLEANUP(cn_replay_create(steps, observer->spec.observation_size,
                                    observer->spec.action_size, &replay, err));
    CN_TRY_CLEANUP(fill(episodes, paths, count, observer, replay, err));
    *out = replay;
    replay = NULL;
cleanup:
    cn_replay_destroy(&replay);
    for (int i = 0; i < count; i++)
        cn_episode_destroy(&episodes[i]);
    return status;
}
