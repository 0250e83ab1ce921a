/* All parameters of a network in one block: values, gradients and Adam's moments are four arrays of
 * the same layout, cut into named slices. One Adam pass, one reduction, one checksum, one file.
 *
 * A slice is a matrix [rows, cols], row-major; a vector has rows = 1. Adding a slice may move the
 * blocks: build graphs after the last addition. */
#ifndef CN_TENSOR_PARAMS_H
#define CN_TENSOR_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensor/rng.h"

#define CN_PARAM_NAME 96

typedef int cn_param; /* number of a slice, in order of addition */

typedef struct cn_params cn_params;

typedef struct cn_param_info {
    char name[CN_PARAM_NAME]; /* unique, e.g. "actor/1/layer0.weight" */
    int rows, cols;
    size_t offset; /* floats from the start of the block */
    size_t count;  /* rows * cols */
    bool frozen;   /* no gradient, not moved by the optimiser */
} cn_param_info;

cn_status cn_params_create(cn_params **out, cn_error *err);
void cn_params_destroy(cn_params **params);

/* Allows no more than `floats` in all from here on, SIZE_MAX: any number; for sizes that come from
 * outside. */
void cn_params_limit(cn_params *params, size_t floats);

/* Appends a slice of zeros. @return CN_ERR_ARGUMENT for a name in use or too long or a size < 1,
 * CN_ERR_SHAPE beyond the limit, CN_ERR_MEMORY. */
cn_status cn_params_add(cn_params *params, const char *name, int rows, int cols, cn_param *out,
                        cn_error *err);

int cn_params_slices(const cn_params *params);
size_t cn_params_count(const cn_params *params);     /* floats in all */
size_t cn_params_trainable(const cn_params *params); /* floats in slices that are not frozen */
const cn_param_info *cn_params_info(const cn_params *params, cn_param slice);

/* Finds a slice by name; -1: none. */
cn_param cn_params_find(const cn_params *params, const char *name);

/* The blocks, cn_params_count floats each, 64-byte aligned, owned by params. */
float *cn_params_values(cn_params *params);
float *cn_params_grads(cn_params *params);
float *cn_params_moment1(cn_params *params);
float *cn_params_moment2(cn_params *params);

/* One slice of the values block. */
float *cn_params_slice(cn_params *params, cn_param slice);

/* Freezes or thaws every slice whose name starts with prefix; returns how many there were. */
int cn_params_freeze(cn_params *params, const char *prefix, bool frozen);

/* FNV-1a of 64 bits (Fowler, Noll & Vo): takes further bytes into a checksum. */
uint64_t cn_checksum_append(uint64_t checksum, const void *bytes, size_t size);

/* FNV-1a, 64 bits, over the value bytes of every slice whose name starts with prefix, names
 * included, in order of addition. */
uint64_t cn_params_checksum(const cn_params *params, const char *prefix);

/* Fills a slice: rows or columns orthonormal times gain (Saxe et al. 2014, arXiv:1312.6120), or one
 * constant. */
void cn_params_fill_orthogonal(cn_params *params, cn_param slice, float gain, cn_rng *rng);
void cn_params_fill(cn_params *params, cn_param slice, float value);

#endif
