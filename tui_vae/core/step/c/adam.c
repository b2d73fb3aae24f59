/* The update of the parameters. */
#include "kernels.h"

/* Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980) with the decoupled weight decay of
 * https://arxiv.org/abs/1711.05101. `rate` and `root` are the learning rate and the factor of √v, with the corrections
 * of their bias; the weights are first multiplied by `keep`. */
INLINE void adam_range(const Adam *adam, Count from, Count to, float rate, float root, float keep, int bf16) {
    float *values = adam->values, *mean = adam->mean, *square = adam->square;
    const float beta1 = adam->beta1, beta2 = adam->beta2, epsilon = adam->epsilon;
    const void *gradient = bf16 ? (const void *)adam->bfloat16_gradient : adam->gradient;
    SIMD for (Count i = from; i < to; i++) {
        float g = load(gradient, i, bf16);
        float m = beta1 * mean[i] + (1.0f - beta1) * g;
        float v = beta2 * square[i] + (1.0f - beta2) * g * g;
        float value = values[i] * keep - rate * m / (sqrtf(v) * root + epsilon);
        mean[i] = m;
        square[i] = v;
        values[i] = value;
        if (bf16) store(adam->bfloat16_copy, i, value, 1);
    }
}

void adam_step(const Adam *adam, double lr, int threads) {
    const double steps = *adam->step_count += 1;
    const double rate = lr / (1 - pow(adam->beta1, steps)), root = 1 / sqrt(1 - pow(adam->beta2, steps));
    const double keep = 1 - lr * adam->weight_decay;
#pragma omp parallel num_threads(threads)
    for (Count i = 0; i < adam->count; i++) {
        const Segment *segment = adam->segments + i;
        Count from, to;
        share(segment->to - segment->from, &from, &to);
        if (segment->bf16) adam_range(adam, segment->from + from, segment->from + to, rate, root, keep, 1);
        else adam_range(adam, segment->from + from, segment->from + to, rate, root, keep, 0);
    }
}
