/* Hidden layers, from a product to its activation and back. */
#include "kernels.h"

/* Layer normalization (Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450) and activation. */
INLINE void hidden_forward_rows(const Hidden *layer, Count from, Count to, int low, int norm, int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *gain = layer->gain, *shift = layer->shift;
    const void *product = layer->product;
    void *out = layer->out;
    for (Count row = from; row < to; row++) {
        const Count at = row * width;
        float mean = 0, scale = 1;
        if (norm) {
            float sum = 0, squares = 0;
            SIMD_SUM(sum) for (Count i = 0; i < width; i++) sum += load(product, at + i, low) + bias[i];
            mean = sum / width;
            SIMD_SUM(squares) for (Count i = 0; i < width; i++) {
                float centred = load(product, at + i, low) + bias[i] - mean;
                squares += centred * centred;
            }
            scale = 1.0f / sqrtf(squares / width + layer->epsilon);
            layer->statistics[2 * row] = mean;
            layer->statistics[2 * row + 1] = scale;
        }
        SIMD for (Count i = 0; i < width; i++) {
            float v = load(product, at + i, low) + bias[i];
            if (norm) v = (v - mean) * scale * gain[i] + shift[i];
            store(out, at + i, activated(v, activation), low);
        }
    }
}

/* The gradient of `out` is replaced by that of the product. A thread's scratch holds SCRATCH rows: its sums of the
 * gradients of bias, gain and shift, and of the present image the normalized values and the gradients before the
 * normalization. */
INLINE void hidden_backward_rows(const Hidden *layer, Count from, Count to, int low, int norm, int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *gain = layer->gain, *shift = layer->shift;
    const void *product = layer->product;
    void *gradient = layer->gradient;
    float *to_bias = layer->scratch + omp_get_thread_num() * SCRATCH * width;
    float *to_gain = to_bias + width, *to_shift = to_gain + width, *normed = to_shift + width, *slope = normed + width;
    memset(to_bias, 0, 3 * width * sizeof *to_bias);
    for (Count row = from; row < to; row++) {
        const Count at = row * width;
        const float mean = norm ? layer->statistics[2 * row] : 0, scale = norm ? layer->statistics[2 * row + 1] : 1;
        float sum = 0, along = 0;
        SIMD_SUM(sum, along) for (Count i = 0; i < width; i++) {
            float x = load(product, at + i, low) + bias[i], v = x, g = load(gradient, at + i, low);
            if (norm) {
                x = (x - mean) * scale;
                v = x * gain[i] + shift[i];
            }
            g = through_activation(g, v, activation);
            if (norm) {
                to_shift[i] += g;
                to_gain[i] += g * x;
                g *= gain[i];
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
            store(gradient, at + i, g, low);
        }
    }
}

/* Batch normalization (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) and activation. Each thread takes
 * columns, so that nothing is added up between threads. */
INLINE void batch_forward_columns(const Hidden *layer, Count rows, Count from, Count to, int low, int norm,
                                  int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *gain = layer->gain, *shift = layer->shift, momentum = layer->momentum;
    const void *product = layer->product;
    float *mean = layer->statistics, *scale = mean + width;
    (void)norm;
    SIMD for (Count i = from; i < to; i++) mean[i] = scale[i] = 0;
    for (Count row = 0; row < rows; row++)
        SIMD for (Count i = from; i < to; i++) mean[i] += load(product, row * width + i, low) + bias[i];
    SIMD for (Count i = from; i < to; i++) mean[i] /= rows;
    for (Count row = 0; row < rows; row++) {
        SIMD for (Count i = from; i < to; i++) {
            float centred = load(product, row * width + i, low) + bias[i] - mean[i];
            scale[i] += centred * centred;
        }
    }
    SIMD for (Count i = from; i < to; i++) {
        float variance = scale[i] / rows, unbiased = scale[i] / (rows > 1 ? rows - 1 : 1);
        layer->running_mean[i] += momentum * (mean[i] - layer->running_mean[i]);
        layer->running_variance[i] += momentum * (unbiased - layer->running_variance[i]);
        scale[i] = 1.0f / sqrtf(variance + layer->epsilon);
    }
    for (Count row = 0; row < rows; row++) {
        SIMD for (Count i = from; i < to; i++) {
            float x = (load(product, row * width + i, low) + bias[i] - mean[i]) * scale[i];
            store(layer->out, row * width + i, activated(x * gain[i] + shift[i], activation), low);
        }
    }
}

/* The gradient of the product's bias is 0, as subtracting the mean removes the bias. */
INLINE void batch_backward_columns(const Hidden *layer, Count rows, Count from, Count to, int low, int norm,
                                   int activation) {
    const Count width = layer->width;
    const float *bias = layer->bias, *gain = layer->gain, *shift = layer->shift;
    const float *mean = layer->statistics, *scale = mean + width;
    const void *product = layer->product;
    void *gradient = layer->gradient;
    float *to_gain = layer->to_gain, *to_shift = layer->to_shift;
    (void)norm;
    SIMD for (Count i = from; i < to; i++) layer->to_bias[i] = to_gain[i] = to_shift[i] = 0;
    for (Count row = 0; row < rows; row++) {
        SIMD for (Count i = from; i < to; i++) {
            float x = (load(product, row * width + i, low) + bias[i] - mean[i]) * scale[i];
            float g = through_activation(load(gradient, row * width + i, low), x * gain[i] + shift[i], activation);
            to_shift[i] += g;
            to_gain[i] += g * x;
        }
    }
    for (Count row = 0; row < rows; row++) {
        SIMD for (Count i = from; i < to; i++) {
            float x = (load(product, row * width + i, low) + bias[i] - mean[i]) * scale[i];
            float g = through_activation(load(gradient, row * width + i, low), x * gain[i] + shift[i], activation);
            g = (g - (to_shift[i] + x * to_gain[i]) / rows) * gain[i] * scale[i];
            store(gradient, row * width + i, g, low);
        }
    }
}

/* Calls `body` with the layer's kind as constants, so that its loops have no branches. */
#define KIND_CASE(activation, body, ...)                                                                               \
    case activation << 2 | 0: body(__VA_ARGS__, 0, 0, activation); break;                                              \
    case activation << 2 | 1: body(__VA_ARGS__, 0, 1, activation); break;                                              \
    case activation << 2 | 2: body(__VA_ARGS__, 1, 0, activation); break;                                              \
    case activation << 2 | 3: body(__VA_ARGS__, 1, 1, activation); break;
#define FOR_KIND(body, layer, ...)                                                                                     \
    switch ((layer)->activation << 2 | ((layer)->low != 0) << 1 | ((layer)->gain != NULL)) {                           \
        EACH_ACTIVATION(KIND_CASE, body, layer, __VA_ARGS__)                                                           \
    }

void hidden_forward(const Hidden *layer, Count rows, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(rows, &from, &to);
        FOR_KIND(hidden_forward_rows, layer, from, to)
    }
}

void hidden_backward(const Hidden *layer, Count rows, int threads) {
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
            if (layer->gain) {
                add_up(layer->scratch + width, SCRATCH * width, layer->to_gain, width);
                add_up(layer->scratch + 2 * width, SCRATCH * width, layer->to_shift, width);
            }
        }
    }
}

void batch_forward(const Hidden *layer, Count rows, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(layer->width, &from, &to);
        FOR_KIND(batch_forward_columns, layer, rows, from, to)
    }
}

void batch_backward(const Hidden *layer, Count rows, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(layer->width, &from, &to);
        FOR_KIND(batch_backward_columns, layer, rows, from, to)
    }
}
