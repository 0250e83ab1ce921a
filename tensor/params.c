/* The parameter block: four arrays of one layout and a table of named slices. */
#include "tensor/params.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"

enum { VALUES, GRADS, MOMENT1, MOMENT2, BLOCKS };

struct cn_params {
    cn_param_info *slices;
    int slice_count, slice_capacity;
    float *blocks[BLOCKS]; /* capacity floats each, the first `count` in use */
    size_t count, capacity;
    size_t limit; /* the most that count may become */
};

cn_status cn_params_create(cn_params **out, cn_error *err)
{
    *out = calloc(1, sizeof **out);
    CN_FAIL_IF(!*out, CN_ERR_MEMORY, err, "no memory for parameters");
    (*out)->limit = SIZE_MAX;
    return CN_OK;
}

void cn_params_limit(cn_params *params, size_t floats)
{
    params->limit = floats;
}

void cn_params_destroy(cn_params **params)
{
    if (!*params)
        return;
    for (int k = 0; k < BLOCKS; k++)
        free((*params)->blocks[k]);
    free((*params)->slices);
    free(*params);
    *params = NULL;
}

/* Makes room for one more slice in the table. */
static bool grow_table(cn_params *params)
{
    if (params->slice_count < params->slice_capacity)
        return true;
    const int capacity = params->slice_capacity ? 2 * params->slice_capacity : 16;
    cn_param_info *grown = realloc(params->slices, (size_t)capacity * sizeof *grown);
    if (!grown)
        return false;
    params->slices = grown;
    params->slice_capacity = capacity;
    return true;
}

/* Makes room for `count` floats in every block, doubling, so that many additions stay linear. On
 * failure every block is as it was. */
static bool grow_blocks(cn_params *params, size_t count)
{
    if (count <= params->capacity)
        return true;
    size_t capacity = params->capacity ? params->capacity : 1024;
    while (capacity < count)
        capacity = capacity > SIZE_MAX / 2 ? count : 2 * capacity;
    float *grown[BLOCKS] = {NULL};
    bool good = true;
    for (int k = 0; k < BLOCKS && good; k++) {
        grown[k] = cn_floats_create(capacity);
        good = grown[k] != NULL;
    }
    for (int k = 0; k < BLOCKS; k++) {
        if (good && params->count > 0)
            memcpy(grown[k], params->blocks[k], params->count * sizeof(float));
        free(good ? params->blocks[k] : grown[k]);
        if (good)
            params->blocks[k] = grown[k];
    }
    if (good)
        params->capacity = capacity;
    return good;
}

cn_status cn_params_add(cn_params *params, const char *name, int rows, int cols, cn_param *out,
                        cn_error *err)
{
    *out = -1;
    CN_FAIL_IF(name[0] == '\0', CN_ERR_ARGUMENT, err, "a parameter needs a name");
    CN_FAIL_IF(strlen(name) >= CN_PARAM_NAME, CN_ERR_ARGUMENT, err,
               "parameter '%s': the name has %zu bytes, at most %d fit", name, strlen(name),
               CN_PARAM_NAME - 1);
    CN_FAIL_IF(rows < 1 || cols < 1, CN_ERR_ARGUMENT, err,
               "parameter '%s': size [%d, %d], both must be at least 1", name, rows, cols);
    CN_FAIL_IF(cn_params_find(params, name) >= 0, CN_ERR_ARGUMENT, err,
               "parameter '%s' exists already; names are unique", name);
    size_t count, total;
    const bool countable = cn_size_mul((size_t)rows, (size_t)cols, &count) &&
                           cn_size_add(params->count, count, &total);
    CN_FAIL_IF(countable && total > params->limit, CN_ERR_SHAPE, err,
               "parameter '%s' [%d, %d] beside %zu floats: no more than %zu are allowed", name,
               rows, cols, params->count, params->limit);
    CN_FAIL_IF(!countable || !grow_table(params) || !grow_blocks(params, total), CN_ERR_MEMORY, err,
               "no memory for parameter '%s' [%d, %d] beside %zu floats", name, rows, cols,
               params->count);
    cn_param_info *slice = &params->slices[params->slice_count];
    *slice = (cn_param_info){.rows = rows, .cols = cols, .offset = params->count, .count = count};
    strcpy(slice->name, name);
    params->count = total;
    *out = params->slice_count++;
    return CN_OK;
}

int cn_params_slices(const cn_params *params)
{
    return params->slice_count;
}

size_t cn_params_count(const cn_params *params)
{
    return params->count;
}

size_t cn_params_trainable(const cn_params *params)
{
    size_t count = 0;
    for (int i = 0; i < params->slice_count; i++)
        if (!params->slices[i].frozen)
            count += params->slices[i].count;
    return count;
}

const cn_param_info *cn_params_info(const cn_params *params, cn_param slice)
{
    assert(slice >= 0 && slice < params->slice_count);
    return &params->slices[slice];
}

cn_param cn_params_find(const cn_params *params, const char *name)
{
    for (int i = 0; i < params->slice_count; i++)
        if (strcmp(params->slices[i].name, name) == 0)
            return i;
    return -1;
}

float *cn_params_values(cn_params *params)
{
    return params->blocks[VALUES];
}

float *cn_params_grads(cn_params *params)
{
    return params->blocks[GRADS];
}

float *cn_params_moment1(cn_params *params)
{
    return params->blocks[MOMENT1];
}

float *cn_params_moment2(cn_params *params)
{
    return params->blocks[MOMENT2];
}

float *cn_params_slice(cn_params *params, cn_param slice)
{
    return params->blocks[VALUES] + cn_params_info(params, slice)->offset;
}

static bool starts_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

int cn_params_freeze(cn_params *params, const char *prefix, bool frozen)
{
    int count = 0;
    for (int i = 0; i < params->slice_count; i++) {
        if (!starts_with(params->slices[i].name, prefix))
            continue;
        params->slices[i].frozen = frozen;
        count++;
    }
    return count;
}

uint64_t cn_checksum_append(uint64_t checksum, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++)
        checksum = (checksum ^ p[i]) * UINT64_C(0x100000001B3); /* the prime of 64 bits */
    return checksum;
}

uint64_t cn_params_checksum(const cn_params *params, const char *prefix)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV's offset basis */
    for (int i = 0; i < params->slice_count; i++) {
        const cn_param_info *slice = &params->slices[i];
        if (!starts_with(slice->name, prefix))
            continue;
        hash = cn_checksum_append(hash, slice->name, strlen(slice->name) + 1);
        hash = cn_checksum_append(hash, params->blocks[VALUES] + slice->offset,
                                  slice->count * sizeof(float));
    }
    return hash;
}

/* `count` vectors of `length` floats; element k of vector i is at[i * step + k * stride]. */
typedef struct vectors {
    float *at;
    size_t count, length;
    size_t step, stride;
} vectors;

static double dot(const vectors *v, size_t i, size_t j)
{
    double sum = 0;
    for (size_t k = 0; k < v->length; k++)
        sum += (double)v->at[i * v->step + k * v->stride] * v->at[j * v->step + k * v->stride];
    return sum;
}

/* Vector i += a * vector j. */
static void add_scaled(const vectors *v, size_t i, double a, size_t j)
{
    for (size_t k = 0; k < v->length; k++) {
        float *x = &v->at[i * v->step + k * v->stride];
        *x = (float)(*x + a * v->at[j * v->step + k * v->stride]);
    }
}

static void scale(const vectors *v, size_t i, double a)
{
    for (size_t k = 0; k < v->length; k++) {
        float *x = &v->at[i * v->step + k * v->stride];
        *x = (float)(*x * a);
    }
}

/* Gram-Schmidt in place: needs no memory, and dividing by a positive length is QR with the signs
 * that make the result uniform over orthogonal matrices (Mezzadri 2007, arXiv:math-ph/0609050). The
 * second pass removes what rounding left in the first. */
static void orthonormalise(const vectors *v)
{
    for (size_t i = 0; i < v->count; i++) {
        for (int pass = 0; pass < 2; pass++) {
            for (size_t j = 0; j < i; j++)
                add_scaled(v, i, -dot(v, i, j), j);
            scale(v, i, 1.0 / sqrt(dot(v, i, i)));
        }
    }
}

void cn_params_fill_orthogonal(cn_params *params, cn_param slice, float gain, cn_rng *rng)
{
    const cn_param_info *info = cn_params_info(params, slice);
    float *values = cn_params_slice(params, slice);
    for (size_t i = 0; i < info->count; i++)
        values[i] = (float)cn_rng_normal(rng);
    const size_t rows = (size_t)info->rows, cols = (size_t)info->cols;
    const bool wide = rows <= cols;
    const vectors v = {.at = values,
                       .count = wide ? rows : cols,
                       .length = wide ? cols : rows,
                       .step = wide ? cols : 1,
                       .stride = wide ? 1 : cols};
    orthonormalise(&v);
    for (size_t i = 0; i < info->count; i++)
        values[i] *= gain;
}

void cn_params_fill(cn_params *params, cn_param slice, float value)
{
    float *values = cn_params_slice(params, slice);
    for (size_t i = 0; i < cn_params_info(params, slice)->count; i++)
        values[i] = value;
}
