/* Hidden layers, from a product to its activation and back. */
#include "kernels.h"

enum { PARTS = 64 };  /* of a sum: four registers of AVX-512. One addition waits for the one before in its part only. */

/* Σ (x - centre)·(y - centre) over a row; Σ (x - centre) if `y` is NULL. */
INLINE float sum_of(const float *x, const float *y, float centre, Count width) {
    float parts[PARTS] = {0};
    Count i = 0;
    for (; i + PARTS <= width; i += PARTS)
        SIMD for (Count j = 0; j < PARTS; j++) parts[j] += (x[i + j] - centre) * (y ? y[i + j] - centre : 1);
    SIMD for (Count j = 0; j < width - i; j++) parts[j] += (x[i + j] - centre) * (y ? y[i + j] - centre : 1);
    SIMD for (int j = 0; j < 16; j++) parts[j] = (parts[j] + parts[j + 32]) + (parts[j + 16] + parts[j + 48]);
    for (int j = 0; j < 4; j++) parts[j] = (parts[j] + parts[j + 8]) + (parts[j + 4] + parts[j + 12]);
    return (parts[0] + parts[2]) + (parts[1] + parts[3]);
}

/* Layer normalization (Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450) and activation. The first row of a
 * thread's scratch holds an image's product with its bias. */
INLINE void hidden_forward_rows(const Hidden *layer, Count from, Count to, int bf16, int norm, int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *norm_weight = layer->norm_weight, *norm_bias = layer->norm_bias;
    const void *product = layer->product;
    float *values = layer->scratch + omp_get_thread_num() * SCRATCH * width;
    void *out = layer->out;
    for (Count row = from; row < to; row++) {
        const Count at = row * width;
        float mean = 0, scale = 1;
        if (norm) {
            SIMD for (Count i = 0; i < width; i++) values[i] = load(product, at + i, bf16) + bias[i];
            mean = sum_of(values, NULL, 0, width) / width;
            scale = 1.0f / sqrtf(sum_of(values, values, mean, width) / width + layer->epsilon);
            layer->statistics[2 * row] = mean;
            layer->statistics[2 * row + 1] = scale;
        }
        SIMD for (Count i = 0; i < width; i++) {
            float v = norm ? values[i] : load(product, at + i, bf16) + bias[i];
            if (norm) v = (v - mean) * scale * norm_weight[i] + norm_bias[i];
            store(out, at + i, activated(v, activation), bf16);
        }
    }
}

/* The gradient of `out` is replaced by that of the product. A thread's scratch holds SCRATCH rows: its sums of the
 * gradients of bias, norm_weight and norm_bias, and of the present image the normalized values and the gradients before
 * the normalization. */
INLINE void hidden_backward_rows(const Hidden *layer, Count from, Count to, int bf16, int norm, int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *norm_weight = layer->norm_weight, *norm_bias = layer->norm_bias;
    const void *product = layer->product;
    void *gradient = layer->gradient;
    float *to_bias = layer->scratch + omp_get_thread_num() * SCRATCH * width;
    float *to_norm_weight = to_bias + width, *to_norm_bias = to_norm_weight + width;
    float *normed = to_norm_bias + width, *slope = normed + width;
    memset(to_bias, 0, 3 * width * sizeof *to_bias);
    for (Count row = from; row < to; row++) {
        const Count at = row * width;
        const float mean = norm ? layer->statistics[2 * row] : 0, scale = norm ? layer->statistics[2 * row + 1] : 1;
        float sum = 0, along = 0;
        SIMD_SUM(sum, along) for (Count i = 0; i < width; i++) {
            float x = load(product, at + i, bf16) + bias[i], v = x, g = load(gradient, at + i, bf16);
            if (norm) {
                x = (x - mean) * scale;
                v = x * norm_weight[i] + norm_bias[i];
            }
            g = through_activation(g, v, activation);
            if (norm) {
                to_norm_bias[i] += g;
                to_norm_weight[i] += g * x;
                g *= norm_weight[i];
                sum += g;
                along += g * x;
                normed[i] = x;
            }
            slope[i] = g;
        }
        sum /= width;
        along /= width;
        SIMD for (Count i = 0; i < width; i++) {
            float g = norm ? (slope[i] - sum - normed[i] * along) * scale : slope[i];
            to_bias[i] += g;
            store(gradient, at + i, g, bf16);
        }
    }
}

/* From the columns' means and their sums of squares: what is kept of them, and by what a centred value is multiplied. */
INLINE void end_statistics(const Hidden *layer, Count rows, Count from, Count to) {
    float *mean = layer->statistics, *scale = mean + layer->width;
    const float momentum = layer->momentum;
    SIMD for (Count i = from; i < to; i++) {
        float variance = scale[i] / rows, unbiased = scale[i] / (rows > 1 ? rows - 1 : 1);
        layer->running_mean[i] += momentum * (mean[i] - layer->running_mean[i]);
        layer->running_variance[i] += momentum * (unbiased - layer->running_variance[i]);
        scale[i] = 1.0f / sqrtf(variance + layer->epsilon);
    }
}

/* Batch normalization and activation of the rows [from, to) and the columns [left, right), by the layer's statistics. */
INLINE void normalize_tile(const Hidden *layer, Count from, Count to, Count left, Count right, int bf16,
                           int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *norm_weight = layer->norm_weight, *norm_bias = layer->norm_bias;
    const float *mean = layer->statistics, *scale = mean + width;
    for (Count row = from; row < to; row++) {
        SIMD for (Count i = left; i < right; i++) {
            float x = (load(layer->product, row * width + i, bf16) + bias[i] - mean[i]) * scale[i];
            store(layer->out, row * width + i, activated(x * norm_weight[i] + norm_bias[i], activation), bf16);
        }
    }
}

/* The way back through it, once the gradients of the norm's weight and bias are known. */
INLINE void differentiate_tile(const Hidden *layer, Count rows, Count from, Count to, Count left, Count right, int bf16,
                               int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *norm_weight = layer->norm_weight, *norm_bias = layer->norm_bias;
    const float *mean = layer->statistics, *scale = mean + width;
    const float *to_norm_weight = layer->to_norm_weight, *to_norm_bias = layer->to_norm_bias;
    void *gradient = layer->gradient;
    for (Count row = from; row < to; row++) {
        SIMD for (Count i = left; i < right; i++) {
            float x = (load(layer->product, row * width + i, bf16) + bias[i] - mean[i]) * scale[i];
            float g = load(gradient, row * width + i, bf16);
            g = through_activation(g, x * norm_weight[i] + norm_bias[i], activation);
            g = (g - (to_norm_bias[i] + x * to_norm_weight[i]) / rows) * norm_weight[i] * scale[i];
            store(gradient, row * width + i, g, bf16);
        }
    }
}

/* Batch normalization (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) and activation. Each thread takes
 * columns, so that nothing is added up between threads; of a narrow layer, as a convolution's, it takes rows. */
INLINE void batch_forward_columns(const Hidden *layer, Count rows, Count from, Count to, int bf16, int norm,
                                  int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias;
    const void *product = layer->product;
    float *mean = layer->statistics, *scale = mean + width;
    (void)norm;
    SIMD for (Count i = from; i < to; i++) mean[i] = scale[i] = 0;
    for (Count row = 0; row < rows; row++)
        SIMD for (Count i = from; i < to; i++) mean[i] += load(product, row * width + i, bf16) + bias[i];
    SIMD for (Count i = from; i < to; i++) mean[i] /= rows;
    for (Count row = 0; row < rows; row++) {
        SIMD for (Count i = from; i < to; i++) {
            float centred = load(product, row * width + i, bf16) + bias[i] - mean[i];
            scale[i] += centred * centred;
        }
    }
    end_statistics(layer, rows, from, to);
    normalize_tile(layer, 0, rows, from, to, bf16, activation);
}

/* The gradient of the product's bias is 0, as subtracting the mean removes the bias. */
INLINE void batch_backward_columns(const Hidden *layer, Count rows, Count from, Count to, int bf16, int norm,
                                   int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *norm_weight = layer->norm_weight, *norm_bias = layer->norm_bias;
    const float *mean = layer->statistics, *scale = mean + width;
    const void *product = layer->product;
    void *gradient = layer->gradient;
    float *to_norm_weight = layer->to_norm_weight, *to_norm_bias = layer->to_norm_bias;
    (void)norm;
    SIMD for (Count i = from; i < to; i++) layer->to_bias[i] = to_norm_weight[i] = to_norm_bias[i] = 0;
    for (Count row = 0; row < rows; row++) {
        SIMD for (Count i = from; i < to; i++) {
            float x = (load(product, row * width + i, bf16) + bias[i] - mean[i]) * scale[i];
            float g = load(gradient, row * width + i, bf16);
            g = through_activation(g, x * norm_weight[i] + norm_bias[i], activation);
            to_norm_bias[i] += g;
            to_norm_weight[i] += g * x;
        }
    }
    differentiate_tile(layer, rows, 0, rows, from, to, bf16, activation);
}

/* A thread takes so many columns at least, 128 bytes of bfloat16: processors fetch cache lines in pairs, and threads that
 * write to the same one wait for each other at every row. The sums of a layer's rows fit on a thread's stack. */
enum { LEAST_COLUMNS = 64, MOST_NARROW = 2048 };

INLINE int is_narrow(const Hidden *layer, int threads) {
    return threads > 1 && layer->width < LEAST_COLUMNS * threads && layer->width <= MOST_NARROW;
}

/* The sums that each thread has made of its rows, added up by one of them into `total`; then all go on. `place`: the row
 * of the scratch memory for that. */
INLINE void add_up_sums(const Hidden *layer, const float *sums, Count place, float *total) {
    const Count width = layer->width;
    float *mine = layer->scratch + (omp_get_thread_num() * SCRATCH + place) * width;
    memcpy(mine, sums, width * sizeof *mine);
#pragma omp barrier
#pragma omp single
    add_up(layer->scratch + place * width, SCRATCH * width, total, width);
}

INLINE void batch_forward_rows(const Hidden *layer, Count rows, Count from, Count to, int bf16, int norm,
                               int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias;
    const void *product = layer->product;
    float *mean = layer->statistics, *scale = mean + width, sums[MOST_NARROW];
    (void)norm;
    memset(sums, 0, width * sizeof *sums);
    for (Count row = from; row < to; row++)
        SIMD for (Count i = 0; i < width; i++) sums[i] += load(product, row * width + i, bf16) + bias[i];
    add_up_sums(layer, sums, 0, mean);
    for (Count i = 0; i < width; i++) sums[i] = 0;
    for (Count row = from; row < to; row++) {
        SIMD for (Count i = 0; i < width; i++) {
            float centred = load(product, row * width + i, bf16) + bias[i] - mean[i] / rows;
            sums[i] += centred * centred;
        }
    }
    add_up_sums(layer, sums, 1, scale);
#pragma omp single
    {
        for (Count i = 0; i < width; i++) mean[i] /= rows;
        end_statistics(layer, rows, 0, width);
    }
    normalize_tile(layer, from, to, 0, width, bf16, activation);
}

INLINE void batch_backward_rows(const Hidden *layer, Count rows, Count from, Count to, int bf16, int norm,
                                int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *norm_weight = layer->norm_weight, *norm_bias = layer->norm_bias;
    const float *mean = layer->statistics, *scale = mean + width;
    const void *product = layer->product;
    void *gradient = layer->gradient;
    float sums[MOST_NARROW], along[MOST_NARROW];
    (void)norm;
    memset(sums, 0, width * sizeof *sums);
    memset(along, 0, width * sizeof *along);
    for (Count row = from; row < to; row++) {
        SIMD for (Count i = 0; i < width; i++) {
            float x = (load(product, row * width + i, bf16) + bias[i] - mean[i]) * scale[i];
            float g = load(gradient, row * width + i, bf16);
            g = through_activation(g, x * norm_weight[i] + norm_bias[i], activation);
            sums[i] += g;
            along[i] += g * x;
        }
    }
    add_up_sums(layer, sums, 0, layer->to_norm_bias);
    add_up_sums(layer, along, 1, layer->to_norm_weight);
#pragma omp single nowait
    memset(layer->to_bias, 0, width * sizeof *layer->to_bias);
    differentiate_tile(layer, rows, from, to, 0, width, bf16, activation);
}

/* Calls `body` with the layer's kind as constants, so that its loops have no branches. */
#define KIND_CASE(activation, body, ...)                                                                               \
    case activation << 2 | 0: body(__VA_ARGS__, 0, 0, activation); break;                                              \
    case activation << 2 | 1: body(__VA_ARGS__, 0, 1, activation); break;                                              \
    case activation << 2 | 2: body(__VA_ARGS__, 1, 0, activation); break;                                              \
    case activation << 2 | 3: body(__VA_ARGS__, 1, 1, activation); break;
#define FOR_KIND(body, layer, ...)                                                                                     \
    switch ((layer)->activation << 2 | ((layer)->bf16 != 0) << 1 | ((layer)->norm_weight != NULL)) {                   \
        EACH_ACTIVATION(KIND_CASE, body, layer, __VA_ARGS__)                                                           \
    }

void hidden_forward(const void *given, Count rows, int threads) {
    const Hidden *layer = given;
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        FOR_KIND(hidden_forward_rows, layer, from, to)
    }
}

void hidden_backward(const void *given, Count rows, int threads) {
    const Hidden *layer = given;
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        FOR_KIND(hidden_backward_rows, layer, from, to)
#pragma omp barrier
#pragma omp single
        {
            const Count width = layer->width;
            add_up(layer->scratch, SCRATCH * width, layer->to_bias, width);
            if (layer->norm_weight) {
                add_up(layer->scratch + width, SCRATCH * width, layer->to_norm_weight, width);
                add_up(layer->scratch + 2 * width, SCRATCH * width, layer->to_norm_bias, width);
            }
        }
    }
}

void batch_forward(const void *given, Count rows, int threads) {
    const Hidden *layer = given;
    *layer->batches += 1;
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        if (is_narrow(layer, threads)) {
            share(rows, &from, &to);
            FOR_KIND(batch_forward_rows, layer, rows, from, to)
        } else {
            share(layer->width, &from, &to);
            FOR_KIND(batch_forward_columns, layer, rows, from, to)
        }
    }
}

void batch_backward(const void *given, Count rows, int threads) {
    const Hidden *layer = given;
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        if (is_narrow(layer, threads)) {
            share(rows, &from, &to);
            FOR_KIND(batch_backward_rows, layer, rows, from, to)
        } else {
            share(layer->width, &from, &to);
            FOR_KIND(batch_backward_columns, layer, rows, from, to)
        }
    }
}
