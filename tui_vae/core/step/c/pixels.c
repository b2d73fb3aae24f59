/* Both ends of the network: from images to x, and from the last product to the distortion and back. */
#include "kernels.h"

#define WHITE 0.999999f  /* x on [-1, 1] above which a pixel is white, 1: the next byte, 254, is 0.992 */

enum { CACHE_LINE = 64, BYTES_AHEAD = 8192 };  /* of rows that are asked for while others are copied: a sixth of a first cache */

INLINE void copy_rows(const char *images, const Count *order, char *batch, Count from, Count to, Count bytes) {
    const Count ahead = bytes < BYTES_AHEAD ? BYTES_AHEAD / bytes : 1;
    for (Count row = from; row < to; row++) {
        if (row + ahead < to)
            for (Count at = 0; at < bytes; at += CACHE_LINE) __builtin_prefetch(images + order[row + ahead] * bytes + at);
        memcpy(batch + row * bytes, images + order[row] * bytes, bytes);
    }
}

/* The images, of `bytes` each, at the places `order` among `count`: a batch. They lie anywhere in memory, and a processor
 * waits for it at each one that it was not told of before. Returns whether all places are among them; else copies none. */
int gather_images(const char *images, Count count, const Count *order, char *batch, Count rows, Count bytes, int threads) {
    for (Count row = 0; row < rows; row++)
        if (order[row] < 0 || order[row] >= count) return 0;
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        copy_rows(images, order, batch, from, to, bytes);
    }
    return 1;
}

/* uint8 → x in [-1, 1], `count` numbers; also as bfloat16, unless `x_bf16` is NULL. */
void normalize(const uint8_t *images, float *x, uint16_t *x_bf16, Count count, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(count, &from, &to);
        SIMD for (Count i = from; i < to; i++) x[i] = images[i] * (2.0f / 255.0f) - 1.0f;
        if (x_bf16) SIMD for (Count i = from; i < to; i++) store(x_bf16, i, x[i], 1);
    }
}

/* Some images' sums: recon, Σ (x̂ - x)²; the distortion, which is the same but for BERNOULLI: there it is -p·ln p̂ -
 * (1-p)·ln(1-p̂), from the logits (`cross_entropy` in objectives.py); and the pixels that the
 * legacy accuracy counts: x is 1 and x̂ above ½. Also the distortion's slope, by the product. */
INLINE void distortion_rows(const Decoded *last, Count from, Count to, double *figures, int bf16, int output) {
    const Count width = last->width;
    const void *product = last->product;
    const float *bias = last->bias, *images = last->x;
    float *slope = last->slope;
    double recon = 0, distortion = 0, white = 0;
    for (Count row = from; row < to; row++) {
        const Count at = row * width;
        float squares = 0, entropy = 0, hits = 0;
        SIMD_SUM(squares, entropy, hits) for (Count i = 0; i < width; i++) {
            float a = load(product, at + i, bf16) + bias[i], x = images[at + i];
            float decoded = a, derivative = 1.0f;
            if (output == TANH) {
                decoded = 2.0f * sigmoid(2.0f * a) - 1.0f;
                derivative = 1.0f - decoded * decoded;
            } else if (output == SIGMOID) {
                decoded = sigmoid(a);
                derivative = decoded * (1.0f - decoded);
            } else if (output == LOGITS || output == BERNOULLI) {
                decoded = 2.0f * sigmoid(a) - 1.0f;
                derivative = 0.5f * (1.0f - decoded * decoded);
            }
            float error = decoded - x;
            squares += error * error;
            hits += (decoded > 0.5f) & (x > WHITE) ? 1.0f : 0.0f;
            if (output == BERNOULLI) {
                entropy += (a > 0 ? a : 0) + log_one_plus(exponential(-fabsf(a))) - 0.5f * (x + 1.0f) * a;
                slope[at + i] = 0.5f * error;
            } else {
                slope[at + i] = 2.0f * error * derivative;
            }
        }
        recon += squares;
        distortion += output == BERNOULLI ? entropy : squares;
        white += hits;
    }
    figures[0] = recon;
    figures[1] = distortion;
    figures[2] = white;
}

#define DISTORTION_CASE(output, bf16) \
    case output: distortion_rows(last, from, to, own, bf16, output); break;
#define FOR_OUTPUT(bf16) \
    switch (last->output) { EACH_OUTPUT(DISTORTION_CASE, bf16) }

void decoded_forward(const void *given, Count rows, int threads) {
    const Decoded *last = given;
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        double *own = last->partial + FIGURES * omp_get_thread_num();
        share(rows, &from, &to);
        if (last->bf16) FOR_OUTPUT(1) else FOR_OUTPUT(0)
#pragma omp barrier
#pragma omp single
        {
            memset(last->figures, 0, FIGURES * sizeof *last->figures);
            for (int i = 0; i < FIGURES * omp_get_num_threads(); i++) last->figures[i % FIGURES] += last->partial[i];
        }
    }
}

/* The gradient of the product, `weight` times the slope, in its place. */
void decoded_backward(const void *given, Count rows, int threads) {
    const Decoded *last = given;
    const float weight = *last->weight;
#pragma omp parallel num_threads(threads)
    {
        const Count width = last->width;
        float *to_bias = last->scratch + omp_get_thread_num() * width;
        Count from, to;
        share(rows, &from, &to);
        memset(to_bias, 0, width * sizeof *to_bias);
        for (Count row = from; row < to; row++) {
            const float *slope = last->slope + row * width;
            SIMD for (Count i = 0; i < width; i++) to_bias[i] += slope[i] * weight;
            if (last->bf16)
                SIMD for (Count i = 0; i < width; i++) store(last->product, row * width + i, slope[i] * weight, 1);
            else SIMD for (Count i = 0; i < width; i++) store(last->product, row * width + i, slope[i] * weight, 0);
        }
#pragma omp barrier
#pragma omp single
        add_up(last->scratch, width, last->to_bias, width);
    }
}
