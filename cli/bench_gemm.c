/* colonnade bench gemm: acting and learning against the bare BLAS calls in them.
 *
 * Legend: a product is C [M, N] = A [M, K] B [K, N]. */
#include <cblas.h>
#undef I /* complex.h's, which cblas.h brings in */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/bench_network.h"
#include "cli/bench_update.h"

#define MAX_SHAPES 64
#define MAX_LAYERS 16

static const char *const names[] = {NULL};
static const cli_usage usage = {
    .synopsis = "colonnade bench gemm [options]",
    .text = "Two hidden layers of 256 units, one thread, both sides on the same machine in turn. "
            "acting: one observation through two columns, against the bare matrix-vector products "
            "of the same weights. learning: the time that a PPO update spends inside its matrix "
            "products, against bare products of the same shapes on memory that is warm.",
    .example = "colonnade bench gemm",
    .positional = names,
};

/* ---- Products of an update: every call of cblas_sgemm in this program comes through here, by the
 * linker's --wrap, and is noted while there is a notebook. ---- */

typedef struct shape {
    CBLAS_TRANSPOSE trans_a, trans_b;
    int M, N, K;
    float beta;
    long calls;
    double inside; /* s, in all */
} shape;

typedef struct notebook {
    int shapes;
    shape shape[MAX_SHAPES];
} notebook;

static notebook *notes; /* NULL: nothing is noted */

void __real_cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int M,
                        int N, int K, float alpha, const float *A, int lda, const float *B, int ldb,
                        float beta, float *C, int ldc);
void __wrap_cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int M,
                        int N, int K, float alpha, const float *A, int lda, const float *B, int ldb,
                        float beta, float *C, int ldc);

static void note(const shape *call)
{
    int i = 0;
    while (i < notes->shapes &&
           (notes->shape[i].trans_a != call->trans_a || notes->shape[i].trans_b != call->trans_b ||
            notes->shape[i].M != call->M || notes->shape[i].N != call->N ||
            notes->shape[i].K != call->K || notes->shape[i].beta != call->beta))
        i++;
    if (i == MAX_SHAPES)
        return; /* measure() sees that the notebook is full */
    if (i == notes->shapes)
        notes->shape[notes->shapes++] = *call;
    else {
        notes->shape[i].calls++;
        notes->shape[i].inside += call->inside;
    }
}

void __wrap_cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int M,
                        int N, int K, float alpha, const float *A, int lda, const float *B, int ldb,
                        float beta, float *C, int ldc)
{
    const int64_t began = notes ? cn_clock_now() : 0;
    __real_cblas_sgemm(order, trans_a, trans_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
    if (notes)
        note(&(shape){trans_a, trans_b, M, N, K, beta, 1,
                      (double)(cn_clock_now() - began) / (double)CN_NS_PER_S});
}

/* One shape on memory of its own. */
typedef struct bare_product {
    shape shape;
    float *A, *B, *C;
} bare_product;

static void multiply(void *ctx)
{
    const bare_product *p = ctx;
    const shape *s = &p->shape;
    __real_cblas_sgemm(CblasRowMajor, s->trans_a, s->trans_b, s->M, s->N, s->K, 1.0f, p->A,
                       s->trans_a == CblasTrans ? s->M : s->K, p->B,
                       s->trans_b == CblasTrans ? s->K : s->N, s->beta, p->C, s->N);
}

/* `count` ones: memory that was never written would be one page of zeros to the cache. */
static float *ones(size_t count)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; values && i < count; i++)
        values[i] = 1.0f;
    return values;
}

/* Seconds of the bare product; < 0: no memory. */
static double time_bare(const shape *s, double seconds)
{
    const size_t M = (size_t)s->M, N = (size_t)s->N, K = (size_t)s->K;
    bare_product p = {.shape = *s, .A = ones(M * K), .B = ones(K * N), .C = ones(M * N)};
    double spent = -1;
    if (p.A && p.B && p.C) {
        multiply(&p); /* warms up */
        spent = cli_bench_time(multiply, &p, seconds);
    }
    free(p.A);
    free(p.B);
    free(p.C);
    return spent;
}

/* ---- Acting ---- */

/* The matrix-vector products of the actor: [rows, cols] weights where they lie. */
typedef struct acting {
    cli_network network;
    int products;
    const float *weight[MAX_LAYERS];
    int rows[MAX_LAYERS], cols[MAX_LAYERS];
    float x[2 * CLI_NET_HIDDEN], y[2 * CLI_NET_HIDDEN];
    cli_sample whole, bare, ratio;
} acting;

static cn_status prepare_acting(acting *a, cn_lateral lateral, cn_error *err)
{
    CN_TRY(cli_network_create(lateral, &a->network, err));
    cn_params *params = a->network.params;
    for (cn_param p = 0; p < cn_params_slices(params) && a->products < MAX_LAYERS; p++) {
        const cn_param_info *slice = cn_params_info(params, p);
        /* The frozen column's own output is nobody's input. */
        if (!strstr(slice->name, ".weight") || strcmp(slice->name, "net/0/layer2.weight") == 0)
            continue;
        a->weight[a->products] = cn_params_slice(params, p);
        a->rows[a->products] = slice->rows;
        a->cols[a->products++] = slice->cols;
    }
    for (int i = 0; i < 2 * CLI_NET_HIDDEN; i++)
        a->x[i] = 0.5f;
    return CN_OK;
}

static void multiply_vectors(void *ctx)
{
    acting *a = ctx;
    for (int i = 0; i < a->products; i++)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, a->rows[i], a->cols[i], 1.0f, a->weight[i],
                    a->cols[i], a->x, 1, 0.0f, a->y, 1);
}

static void measure_acting(acting *a, double seconds)
{
    const double whole = cli_bench_time(cli_network_act, &a->network, seconds);
    const double bare = cli_bench_time(multiply_vectors, a, seconds);
    cli_sample_add(&a->whole, whole);
    cli_sample_add(&a->bare, bare);
    cli_sample_add(&a->ratio, whole / bare);
}

/* ---- Rounds ---- */

enum { LINEAR, ADAPTER, KINDS };
static const char *const kind_words[KINDS] = {"linear", "adapter"};

typedef struct bench {
    acting acting[KINDS];
    cli_update update;
    cli_sample update_time, inside, bare; /* s, of one update; inside: in its products */
    cli_sample efficiency;                /* bare / inside, of each round */
    double products;                      /* multiplications and additions of one update */
} bench;

static cn_status measure_learning(bench *b, double seconds, cn_error *err)
{
    notebook taken = {0};
    notes = &taken;
    const int64_t began = cn_clock_now();
    cli_update_run(&b->update);
    const double whole = (double)(cn_clock_now() - began) / (double)CN_NS_PER_S;
    notes = NULL;
    CN_FAIL_IF(b->update.status != CN_OK, b->update.status, err, "%s", b->update.error.message);
    CN_FAIL_IF(taken.shapes == 0 || taken.shapes == MAX_SHAPES, CN_ERR_MISMATCH, err,
               "%d shapes of products in an update, where 1 to %d were expected", taken.shapes,
               MAX_SHAPES - 1);
    double inside = 0, bare = 0;
    b->products = 0;
    for (int i = 0; i < taken.shapes; i++) {
        const shape *s = &taken.shape[i];
        const double one = time_bare(s, seconds / taken.shapes);
        CN_FAIL_IF(one < 0, CN_ERR_MEMORY, err, "no memory for a product");
        inside += s->inside;
        bare += one * (double)s->calls;
        b->products += 2.0 * s->M * s->N * s->K * (double)s->calls;
    }
    cli_sample_add(&b->update_time, whole);
    cli_sample_add(&b->inside, inside);
    cli_sample_add(&b->bare, bare);
    cli_sample_add(&b->efficiency, bare / inside);
    return CN_OK;
}

static cn_status measure(bench *b, const cli_rounds *r, cn_error *err)
{
    CN_TRY(prepare_acting(&b->acting[LINEAR], CN_LATERAL_LINEAR, err));
    CN_TRY(prepare_acting(&b->acting[ADAPTER], CN_LATERAL_ADAPTER, err));
    CN_TRY(cli_update_create(1, CLI_NET_HIDDEN, CN_LATERAL_NONE, &b->update, err));
    cli_update_run(&b->update); /* warms up */
    for (int i = 0; i < r->rounds; i++) {
        CN_FAIL_IF(atomic_load(cli_stop()), CN_ERR_CANCELLED, err, "stopped in round %d", i + 1);
        for (int kind = 0; kind < KINDS; kind++)
            measure_acting(&b->acting[kind], r->seconds);
        CN_TRY(measure_learning(b, r->seconds, err));
        cli_progress(false, "round %d of %d: products at %.0f %% of bare ones", i + 1,
                     (int)r->rounds, 100 * b->efficiency.value[i]);
    }
    cli_progress_end();
    return CN_OK;
}

static json_t *acting_json(const acting *a)
{
    return json_pack("{s:f, s:f, s:f}", "infer_us", 1e6 * cli_sample_median(&a->whole), "sgemv_us",
                     1e6 * cli_sample_median(&a->bare), "ratio", cli_sample_median(&a->ratio));
}

static void report(const bench *b, bool json)
{
    const double update = cli_sample_median(&b->update_time),
                 inside = cli_sample_median(&b->inside);
    const double bare = cli_sample_median(&b->bare);
    const double efficiency = cli_sample_median(&b->efficiency);
    printf("two hidden layers of %d units, one thread, %s kernels; medians of %d rounds\n",
           CLI_NET_HIDDEN, openblas_get_corename(), b->efficiency.count);
    for (int kind = 0; kind < KINDS; kind++) {
        const acting *a = &b->acting[kind];
        printf("  acting, %-8s laterals   %8.1f us, its bare products %8.1f us: %.2f x\n",
               kind_words[kind], 1e6 * cli_sample_median(&a->whole),
               1e6 * cli_sample_median(&a->bare), cli_sample_median(&a->ratio));
    }
    printf("  a PPO update of 4096 rows   %8.1f ms, of which %.1f ms in matrix products\n",
           1e3 * update, 1e3 * inside);
    printf("  the same products, bare     %8.1f ms: %.0f %% of their speed is kept   (%.0f to %.0f "
           "%%)\n",
           1e3 * bare, 100 * efficiency, 100 * cli_sample_low(&b->efficiency),
           100 * cli_sample_high(&b->efficiency));
    printf("                              %8.1f GFLOP/s, bare %.1f\n", 1e-9 * b->products / inside,
           1e-9 * b->products / bare);
    if (json)
        cli_print_json(json_pack("{s:s, s:{s:o, s:o}, s:f, s:f, s:f, s:f, s:f, s:f, s:i}",
                                 "kernels", openblas_get_corename(), "acting", kind_words[LINEAR],
                                 acting_json(&b->acting[LINEAR]), kind_words[ADAPTER],
                                 acting_json(&b->acting[ADAPTER]), "update_ms", 1e3 * update,
                                 "products_ms", 1e3 * inside, "bare_ms", 1e3 * bare, "efficiency",
                                 efficiency, "gflops", 1e-9 * b->products / inside, "bare_gflops",
                                 1e-9 * b->products / bare, "rounds", b->efficiency.count));
}

int cli_bench_gemm(int argc, char **argv)
{
    cli_rounds rounds = cli_rounds_default();
    bool json = false;
    const cli_option options[] = {
        CLI_ROUNDS_OPTIONS(&rounds),
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int wrong = cli_parse(&usage, options, argc, argv, NULL);
    if (wrong >= 0)
        return wrong;
    cn_error err = {0};
    bench b = {0};
    const cn_status status = measure(&b, &rounds, &err);
    if (status == CN_OK)
        report(&b, json);
    for (int kind = 0; kind < KINDS; kind++)
        cli_network_destroy(&b.acting[kind].network);
    cli_update_destroy(&b.update);
    return status == CN_OK ? CLI_DONE : cli_fail(&err);
}
