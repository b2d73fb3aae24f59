/* The kernels between the matrix products of a training step of the fully connected VAE: each stretch in one pass.
 *
 * Rows are images. Arrays between a kernel and a product are float32 or, where `bf16`, bfloat16; all arithmetic is
 * float32. `to_` is a gradient: `to_z` is the gradient of the loss with respect to z. A thread takes one block of rows
 * and keeps its own sums, which are added in the threads' order: for a given number of threads, a result is the same
 * to the last bit.
 *
 * load_kernels.py declares these structures for Python; cpu.py calls the kernels, in the order of the structures.
 */
#ifndef KERNELS_H
#define KERNELS_H

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>

#include "kernels_math.h"

/* glibc 2.29 has new names for these two that set no errno; the values are the same. Under the old ones a wheel also runs
 * where PyTorch does: from glibc 2.28 on. */
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver log,log@GLIBC_2.2.5");
__asm__(".symver pow,pow@GLIBC_2.2.5");
#endif

/* The number of this interface. It changes with every structure, argument or meaning here, and in load_kernels.py:
 * after an update without a new build, the functions that lie there are of the old one. */
enum { KERNELS_VERSION = 8 };

typedef int64_t Count;

/* A kernel for so many rows, with the structure that it knows. A pass through the network is a list of these. */
typedef struct {
    void (*kernel)(const void *given, Count rows, int threads);
    const void *given;
    Count rows;
    int threads;
} Call;

#define SIMD _Pragma("omp simd")
#define SIMD_SUM(...) SIMD_SUM_(omp simd reduction(+ : __VA_ARGS__))
#define SIMD_SUM_(pragma) _Pragma(#pragma)

/* The outputs that have kernels; BERNOULLI is LOGITS under objective `bce`. models/vae.py has their numbers. */
#define EACH_OUTPUT(DO, ...)                                                                                           \
    DO(TANH, __VA_ARGS__) DO(SIGMOID, __VA_ARGS__) DO(IDENTITY, __VA_ARGS__) DO(LOGITS, __VA_ARGS__)                   \
    DO(BERNOULLI, __VA_ARGS__)
enum Output { EACH_OUTPUT(ENUMERATOR, ) };

enum { FIGURES = 3 };  /* sums of a step: recon, distortion, legacy accuracy */
enum { SCRATCH = 5 };  /* rows of a hidden layer's scratch memory, for each thread; cpu.py allocates them */

/* A hidden layer, from its product to its activation. Without normalization `norm_weight` is NULL. */
typedef struct {
    Count width;
    int bf16, activation;
    float epsilon, momentum;
    const float *bias, *norm_weight, *norm_bias;
    void *product, *out;  /* (rows, width) */
    void *gradient;       /* (rows, width): of `out`; the kernel back replaces it by that of `product` */
    float *statistics;    /* mean and 1/standard deviation: (rows, 2) of a row, or (2, width) of a column */
    float *to_bias, *to_norm_weight, *to_norm_bias;
    float *scratch;       /* (threads, SCRATCH, width) */
    float *running_mean, *running_variance;  /* (width), of batch normalization */
    int64_t *batches;                        /* so far, of batch normalization */
} Hidden;

/* From the head's product, μ and log σ² side by side, to z. */
typedef struct {
    Count width;  /* latent dimensions */
    int bf16;
    double free_bits;
    const double *weight;     /* of an image's KL in the loss */
    const float *bias;        /* (2·width) */
    void *product, *z;        /* (rows, 2·width), (rows, width) */
    const float *noise;       /* (rows, width): ε */
    float *mu, *sigma;        /* (rows, width) */
    double *kl;               /* (width): mean KL of each dimension, nats */
    void *to_z, *to_product;
    float *to_bias;
    const float *more_to_z, *more_to_mu, *more_to_logvar;  /* (rows, width), or NULL: the total correlation's gradients */
} Latent;

/* The total correlation of a batch, times `weight`. */
typedef struct {
    Count width, stride;  /* latent dimensions; floats of a thread's scratch memory */
    double weight, images;  /* γ; the size of the training set */
    float *z, *mu, *precision, *constant;  /* (width, rows) */
    float *to_z, *to_mu, *to_logvar;       /* (rows, width): γ·TC's gradients */
    float *scratch;                        /* (threads, stride), stride ≥ (3·width + 1)·rows */
    double *values, *value;                /* (rows): an image's share; TC, nats */
} TotalCorrelation;

/* Images and the patches that a convolution multiplies. */
typedef struct {
    Count height, width, channels;  /* of an image */
    int bf16;
    float *scratch;                 /* (threads, height·width·channels) */
} Patches;

/* From the last product to the distortion. */
typedef struct {
    Count width;  /* pixels */
    int bf16, output;
    const double *weight;  /* of an image's distortion in the loss */
    const float *bias, *x;
    void *product;         /* (rows, width); the kernel back replaces it by its gradient */
    float *slope;          /* (rows, width): ∂ distortion of an image / ∂ product */
    double *figures;       /* FIGURES sums over images and pixels: recon, distortion, legacy accuracy */
    float *to_bias;
    float *scratch;        /* (threads, width) */
    double *partial;       /* (threads, FIGURES) */
} Decoded;

#define LEAST_SQUARE (4.0 / (12.0 * 255.0 * 255.0))  /* of objectives.py: recon / pixels counts as no less in `sigma` */

/* From a step's sums to its figures, and the weights of distortion and KL in the loss. */
typedef struct {
    Count width, pixels;
    int sigma;  /* the formula of the objective `sigma`, else distortion + β·KL */
    double free_bits, tc_weight;
    const double *figures, *kl, *total_correlation;
    double *results;  /* (6): loss, recon, KL, legacy accuracy; weight of an image's distortion, of its KL */
} LossSums;

/* Parameters that lie side by side: those of one matrix or one vector. */
typedef struct {
    Count from, to;
    int bf16;  /* whether the gradient is in `bfloat16_gradient`, and the new values also go to `bfloat16_copy` */
} Segment;

typedef struct {
    float *values, *gradient, *mean, *square;  /* of all parameters: (parameters) */
    uint16_t *bfloat16_gradient, *bfloat16_copy;
    const Segment *segments;
    Count count;
    float *step_count;
    double beta1, beta2, epsilon, weight_decay;
} Adam;

/* Some rows of a matrix, or of a tall one some columns, which are made orthogonal together: X, (rows, columns). */
typedef struct {
    Count start, stride;  /* of its numbers among all parameters; from one line of the model's matrix to the next */
    Count rows, columns;
    int is_tall;          /* whether X is turned */
    float scale;          /* of the learning rate */
} MuonBlock;

typedef struct {
    float *values, *gradient, *mean;  /* of all parameters: (parameters) */
    uint16_t *bfloat16_gradient;      /* instead of `gradient`; or NULL, and then so is the copy */
    uint16_t *bfloat16_copy;          /* gets the new values as well */
    const MuonBlock *blocks;
    Count count, iterations;
    int matrix_unit;                  /* whether bfloat16 gradients are multiplied by a CPU's matrix unit */
    const float *polynomials;         /* (iterations, 3) */
    const float *ratio;               /* Muon's learning rate over Adam's, which the kernel is given */
    float *scratch;                   /* (threads, scratch_stride) */
    Count scratch_stride;             /* as much as `muon_scratch` says of the block that needs the most */
    double momentum, safety, tiny, weight_decay;
} Muon;

/* A product of two matrices of bfloat16 or float32, (rows, depth) and (depth, columns). A turned one lies the other way
 * around. */
typedef struct {
    const void *left, *right;
    void *out;                                    /* (rows, columns) */
    Count left_stride, right_stride, out_stride;  /* from one line in memory to the next */
    int left_turned, right_turned, is_float32;
    Count rows, columns, depth;
    uint16_t *const *scratch;                     /* as much as `multiply_scratch` says; 64 divides its address */
} Operands;

/* This thread's share of `count` things, in a parallel region. */
INLINE void share(Count count, Count *from, Count *to) {
    Count threads = omp_get_num_threads(), thread = omp_get_thread_num();
    *from = count * thread / threads;
    *to = count * (thread + 1) / threads;
}

/* Σ over threads of sums that lie `stride` apart. */
static inline void add_up(const float *sums, Count stride, float *total, Count width) {
    memcpy(total, sums, width * sizeof *total);
    for (int thread = 1; thread < omp_get_num_threads(); thread++)
        SIMD for (Count i = 0; i < width; i++) total[i] += sums[thread * stride + i];
}

#endif
