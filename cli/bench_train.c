/* colonnade bench train: training against bare physics. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "cli/bench.h"
#include "sim/physics.h"

/* Training iterations that warm up; after each later one bare physics runs. */
#define WARM_UP 2

static const char *const names[] = {"TASK", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade bench train TASK [options]",
    .text = "Trains TASK with PPO and, in turn with it, runs bare mj_step of the same model on as "
            "many threads. Physics efficiency is the share of the bare physics' rate that training "
            "keeps: environment steps/s x physics steps of each / bare physics steps/s. Each "
            "figure is the median over the iterations of one run.",
    .example = "colonnade bench train scenes/reach.yaml",
    .positional = names,
};

typedef struct bench {
    const cn_task *task;
    int threads;
    cn_pool *pool;
    cn_physics *physics[256]; /* one a thread */
    cn_rng rng[256];
    cn_status status[256];
    int episodes; /* of bare physics, for each thread and round */
    int iterations;
    int rounds;
    cli_sample rate, raw, efficiency;
    cli_sample environments, inference, update, idle;
} bench;

static void run_physics(void *ctx, int thread)
{
    bench *b = ctx;
    b->status[thread] = cn_physics_run(b->physics[thread], b->episodes, &b->rng[thread], NULL);
}

/* Physics steps a second on all threads. */
static double bare_rate(bench *b)
{
    const int64_t began = cn_clock_now();
    cn_pool_run(b->pool, b->threads, run_physics, b);
    const double seconds = (double)(cn_clock_now() - began) / (double)CN_NS_PER_S;
    return (double)cn_physics_steps_per_episode(b->task) * b->episodes * b->threads / seconds;
}

static void measure(void *ctx, const cn_train_progress *p)
{
    bench *b = ctx;
    const double raw = bare_rate(b);
    if (b->iterations++ < WARM_UP)
        return;
    cli_sample_add(&b->rate, p->steps_per_second);
    cli_sample_add(&b->raw, raw);
    cli_sample_add(&b->efficiency,
                   p->steps_per_second * cn_physics_steps_per_period(b->task) / raw);
    cli_sample_add(&b->environments, p->last.environments);
    cli_sample_add(&b->inference, p->last.inference);
    cli_sample_add(&b->update, p->last.update);
    cli_sample_add(&b->idle, p->last.idle);
    cli_progress(false, "round %d of %d: %.0f steps/s on %.0f mj_step/s", b->rate.count, b->rounds,
                 p->steps_per_second, raw);
}

static void report(const bench *b, const cn_train_config *config, bool json)
{
    const double rate = cli_sample_median(&b->rate), raw = cli_sample_median(&b->raw);
    const double efficiency = cli_sample_median(&b->efficiency);
    const double split[] = {cli_sample_median(&b->environments), cli_sample_median(&b->inference),
                            cli_sample_median(&b->update), cli_sample_median(&b->idle)};
    cli_progress_end();
    printf("%s on %d threads, %ld x %ld steps a rollout, %ld epochs; medians of %d rounds\n",
           cn_task_spec(b->task)->task, b->threads, config->envs, config->rollout_steps,
           config->epochs, b->rate.count);
    printf("  bare physics         %10.0f mj_step/s\n"
           "  training             %10.0f environment steps/s of %d mj_step each\n"
           "  physics efficiency   %10.3f   (%.3f to %.3f)\n",
           raw, rate, cn_physics_steps_per_period(b->task), efficiency,
           cli_sample_low(&b->efficiency), cli_sample_high(&b->efficiency));
    printf("  time of the threads  environments %.0f %%, network %.0f %%, update %.0f %%, idle "
           "%.0f %%\n",
           100 * split[0], 100 * split[1], 100 * split[2], 100 * split[3]);
    if (json)
        cli_print_json(json_pack(
            "{s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f}, s:i}", "physics_efficiency", efficiency,
            "steps_per_second", rate, "raw_mj_steps_per_second", raw, "split", "physics", split[0],
            "inference", split[1], "update", split[2], "idle", split[3], "threads", b->threads));
}

static cn_status bench_train(const cli_learning *options, const char *task, int rounds,
                             cn_error *err)
{
    cn_status status = CN_OK;
    cli_place place;
    cn_train_config config;
    CN_TRY(cli_place_open(NULL, task, NULL, NULL, &place, err));
    bench *b = calloc(1, sizeof *b);
    if (!b)
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "no memory for a benchmark");
    b->task = place.task;
    b->threads = (int)options->threads;
    b->rounds = rounds;
    CN_TRY_CLEANUP(cli_learning_config(options, place.task, "train", &config, err));
    const long rows = config.envs * config.rollout_steps;
    config.steps = rows * (WARM_UP + rounds);
    /* As many physics steps as a rollout has. */
    b->episodes = (int)(rows / cn_task_spec(place.task)->step_limit / b->threads) + 1;
    CN_TRY_CLEANUP(cn_pool_create(b->threads, &b->pool, err));
    for (int i = 0; i < b->threads; i++) {
        CN_TRY_CLEANUP(cn_physics_create(place.task, &b->physics[i], err));
        b->rng[i] = cn_rng_make((uint64_t)options->seed, (uint64_t)i);
    }
    CN_TRY_CLEANUP(cli_bench_learn(options, &place, &config, measure, b, err));
    for (int i = 0; i < b->threads; i++)
        if (b->status[i] != CN_OK)
            CN_FAIL_CLEANUP(b->status[i], err, "bare physics of %s failed", task);
    if (b->rate.count == 0)
        CN_FAIL_CLEANUP(CN_ERR_CANCELLED, err, "stopped before the first round: nothing to report");
    report(b, &config, options->json);
cleanup:
    if (b) {
        for (int i = 0; i < b->threads; i++)
            cn_physics_destroy(&b->physics[i]);
        cn_pool_destroy(&b->pool);
    }
    free(b);
    cli_place_close(&place);
    return status;
}

int cli_bench_train(int argc, char **argv)
{
    return cli_bench_task(&usage, bench_train, argc, argv);
}
