/* Convolutions with 4 × 4 kernels that halve an image's sides (stride 2, padding 1) as matrix products: the patches of
 * an image, one for each place of the smaller grid, are the rows of a matrix. The channels of a pixel lie side by side:
 * images are (rows, height, width, channels), patches (rows, height / 2, width / 2, 4, 4, channels). */
#include "kernels.h"

enum { SIDE = 4, STRIDE = 2, PADDING = 1 };

/* The pixels of a patch's line that lie in the image, [from, to) of SIDE, where the line begins at `x`. */
INLINE void inside(Count x, Count width, Count *from, Count *to) {
    *from = x < 0 ? -x : 0;
    *to = x + SIDE > width ? width - x : SIDE;
}

INLINE void gather_rows(const Patches *given, const char *images, char *patches, Count from, Count to, Count channels,
                        Count size) {
    const Count height = given->height, width = given->width, half_height = height / STRIDE, half_width = width / STRIDE;
    const Count pixel = channels * size, line = SIDE * pixel;
    for (Count row = from; row < to; row++)
        for (Count place = 0; place < half_height * half_width; place++) {
            const Count top = place / half_width * STRIDE - PADDING, x = place % half_width * STRIDE - PADDING;
            char *patch = patches + (row * half_height * half_width + place) * SIDE * line;
            Count first, last;
            inside(x, width, &first, &last);
            for (Count k = 0; k < SIDE; k++, patch += line) {
                const Count y = top + k;
                const char *source = images + ((row * height + y) * width + x) * pixel;
                if (y >= 0 && y < height && last - first == SIDE) {
                    memcpy(patch, source, line);
                } else {
                    memset(patch, 0, line);
                    if (y >= 0 && y < height)
                        memcpy(patch + first * pixel, source + first * pixel, (last - first) * pixel);
                }
            }
        }
}

/* Sums of overlapping patches are made in float32, of one image at a time. */
INLINE void scatter_rows(const Patches *given, const void *patches, void *images, Count from, Count to, Count channels,
                         int bf16) {
    const Count height = given->height, width = given->width, half_height = height / STRIDE, half_width = width / STRIDE;
    const Count count = height * width * channels, line = SIDE * channels;
    float *sums = given->scratch + omp_get_thread_num() * count;
    for (Count row = from; row < to; row++) {
        memset(sums, 0, count * sizeof *sums);
        for (Count place = 0; place < half_height * half_width; place++) {
            const Count top = place / half_width * STRIDE - PADDING, x = place % half_width * STRIDE - PADDING;
            Count first, last;
            inside(x, width, &first, &last);
            for (Count k = 0; k < SIDE; k++) {
                const Count y = top + k, at = ((row * half_height * half_width + place) * SIDE + k) * line;
                float *sum = sums + (y * width + x) * channels;
                if (y < 0 || y >= height) continue;
                if (last - first == SIDE) {
                    SIMD for (Count i = 0; i < line; i++) sum[i] += load(patches, at + i, bf16);
                } else {
                    for (Count i = first * channels; i < last * channels; i++) sum[i] += load(patches, at + i, bf16);
                }
            }
        }
        SIMD for (Count i = 0; i < count; i++) store(images, row * count + i, sums[i], bf16);
    }
}

/* Calls `body` with the usual numbers of channels as constants, so that short lines are copied without a loop. */
#define FOR_CHANNELS(body, kind)                                                                                       \
    switch (given->channels) {                                                                                         \
        case 1: body(given, source, target, from, to, 1, kind); break;                                                 \
        case 3: body(given, source, target, from, to, 3, kind); break;                                                 \
        case 16: body(given, source, target, from, to, 16, kind); break;                                               \
        case 32: body(given, source, target, from, to, 32, kind); break;                                               \
        default: body(given, source, target, from, to, given->channels, kind);                                         \
    }

/* The patches of images. */
void gather_patches(const Patches *given, const void *source, void *target, Count rows, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        if (given->bf16) FOR_CHANNELS(gather_rows, sizeof(uint16_t))
        else FOR_CHANNELS(gather_rows, sizeof(float))
    }
}

/* Images of patches: the sum of what lies at a pixel. It is the transpose of `gather_patches`. */
void scatter_patches(const Patches *given, const void *source, void *target, Count rows, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        if (given->bf16) FOR_CHANNELS(scatter_rows, 1)
        else FOR_CHANNELS(scatter_rows, 0)
    }
}

/* (rows, height, width) → (rows, width, height). */
void transpose(const void *source, void *target, Count rows, Count height, Count width, int bf16, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        for (Count row = from; row < to; row++)
            for (Count y = 0; y < height; y++)
                for (Count x = 0; x < width; x++) {
                    const Count at = row * height * width, in = at + y * width + x, out = at + x * height + y;
                    if (bf16) ((uint16_t *)target)[out] = ((const uint16_t *)source)[in];
                    else ((float *)target)[out] = ((const float *)source)[in];
                }
    }
}
