/* Where a step begins and ends: the image, the latent space, the distortion, the parameters. */
#include "kernels.h"

#define WHITE 0.999999f  /* below it lies what is not 1: the next byte is 0.992 */

/* uint8 → x in [-1, 1]; also as bfloat16, unless `low` is NULL. */
void normalize(const uint8_t *images, float *x, uint16_t *low, Count count, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        share(count, &from, &to);
        SIMD for (Count i = from; i < to; i++) x[i] = images[i] * (2.0f / 255.0f) - 1.0f;
        if (low) SIMD for (Count i = from; i < to; i++) store(low, i, x[i], 1);
    }
}

/* z = μ + σ·ε, and the KL of each dimension: ½·(μ² + σ² - log σ² - 1). Small: one thread is the fastest. */
INLINE void latent_forward_rows(const Latent *latent, Count rows, int low) {
    const Count width = latent->width;
    const void *product = latent->product;
    const float *bias = latent->bias, *noise = latent->noise;
    float *mus = latent->mu, *sigmas = latent->sigma;
    void *z = latent->z;
    double *kl = latent->kl;
    for (Count i = 0; i < width; i++) kl[i] = 0;
    for (Count row = 0; row < rows; row++) {
        const Count at = row * width, head = 2 * at;
        SIMD for (Count i = 0; i < width; i++) {
            float mu = load(product, head + i, low) + bias[i];
            float logvar = load(product, head + width + i, low) + bias[width + i];
            float sigma = exponential(0.5f * logvar);
            mus[at + i] = mu;
            sigmas[at + i] = sigma;
            kl[i] += mu * mu + (sigma * sigma - logvar - 1.0f);
            store(z, at + i, mu + sigma * noise[at + i], low);
        }
    }
    for (Count i = 0; i < width; i++) kl[i] *= 0.5 / rows;
}

void latent_forward(const Latent *latent, Count rows) {
    if (latent->low) latent_forward_rows(latent, rows, 1);
    else latent_forward_rows(latent, rows, 0);
}

/* ∂KL/∂μ = μ and ∂KL/∂log σ² = ½(σ² - 1), times `weight`; a dimension under its free bits costs nothing. */
INLINE void latent_backward_rows(const Latent *latent, Count rows, float weight, double free_bits, int low) {
    const Count width = latent->width;
    const float *mu = latent->mu, *sigmas = latent->sigma, *noise = latent->noise;
    const double *kl = latent->kl;
    const void *to_z = latent->to_z;
    void *to_product = latent->to_product;
    float *to_bias = latent->to_bias;
    memset(to_bias, 0, 2 * width * sizeof *to_bias);
    for (Count row = 0; row < rows; row++) {
        const Count at = row * width, head = 2 * at;
        SIMD for (Count i = 0; i < width; i++) {
            float paid = free_bits > 0 && kl[i] <= free_bits ? 0 : weight;
            float g = load(to_z, at + i, low), sigma = sigmas[at + i];
            float to_mu = g + paid * mu[at + i];
            float to_logvar = 0.5f * (g * sigma * noise[at + i] + paid * (sigma * sigma - 1.0f));
            to_bias[i] += to_mu;
            to_bias[width + i] += to_logvar;
            store(to_product, head + i, to_mu, low);
            store(to_product, head + width + i, to_logvar, low);
        }
    }
}

void latent_backward(const Latent *latent, Count rows, double weight, double free_bits) {
    if (latent->low) latent_backward_rows(latent, rows, weight, free_bits, 1);
    else latent_backward_rows(latent, rows, weight, free_bits, 0);
}

/* recon is Σ (x̂ - x)²; so is the distortion, but for BERNOULLI: -p·ln p̂ - (1-p)·ln(1-p̂), from the logits. A white hit
 * is a pixel whose x is 1 and whose x̂ is nearer to 1 than to 0. */
INLINE void distortion_rows(const Decoded *last, Count from, Count to, double *figures, int low, int output) {
    const Count width = last->width;
    const void *product = last->product;
    const float *bias = last->bias, *images = last->x;
    float *slope = last->slope;
    double recon = 0, distortion = 0, white = 0;
    for (Count row = from; row < to; row++) {
        const Count at = row * width;
        float squares = 0, entropy = 0, hits = 0;
        SIMD_SUM(squares, entropy, hits) for (Count i = 0; i < width; i++) {
            float a = load(product, at + i, low) + bias[i], x = images[at + i];
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

#define FOR_OUTPUT(low)                                                                                                \
    switch (last->output) {                                                                                            \
        case TANH: distortion_rows(last, from, to, own, low, TANH); break;                                             \
        case SIGMOID: distortion_rows(last, from, to, own, low, SIGMOID); break;                                       \
        case IDENTITY: distortion_rows(last, from, to, own, low, IDENTITY); break;                                     \
        case LOGITS: distortion_rows(last, from, to, own, low, LOGITS); break;                                         \
        case BERNOULLI: distortion_rows(last, from, to, own, low, BERNOULLI); break;                                   \
    }

void decoded_forward(const Decoded *last, Count rows, int threads) {
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        double *own = last->partial + FIGURES * omp_get_thread_num();
        share(rows, &from, &to);
        if (last->low) FOR_OUTPUT(1) else FOR_OUTPUT(0)
#pragma omp barrier
#pragma omp single
        {
            memset(last->figures, 0, FIGURES * sizeof *last->figures);
            for (int i = 0; i < FIGURES * omp_get_num_threads(); i++) last->figures[i % FIGURES] += last->partial[i];
        }
    }
}

/* The gradient of the product: `factor` times the slope. */
void decoded_backward(const Decoded *last, Count rows, double factor_, int threads) {
    const float factor = factor_;
#pragma omp parallel num_threads(threads)
    {
        const Count width = last->width;
        float *to_bias = last->scratch + omp_get_thread_num() * width;
        Count from, to;
        share(rows, &from, &to);
        memset(to_bias, 0, width * sizeof *to_bias);
        for (Count row = from; row < to; row++) {
            const float *slope = last->slope + row * width;
            SIMD for (Count i = 0; i < width; i++) to_bias[i] += slope[i] * factor;
            if (last->low) SIMD for (Count i = 0; i < width; i++) store(last->product, row * width + i, slope[i] * factor, 1);
            else SIMD for (Count i = 0; i < width; i++) store(last->product, row * width + i, slope[i] * factor, 0);
        }
#pragma omp barrier
#pragma omp single
        add_up(last->scratch, width, last->to_bias, width);
    }
}

/* Loss, recon and KL, means over images, and the share of white hits; and what an image's distortion and KL weigh. */
void weigh(const Weighing *given, Count rows, double beta) {
    double *found = given->found, kl = 0, paid = 0;
    const double recon = given->figures[0] / rows, distortion = given->figures[1] / rows, pixels = given->pixels;
    for (Count i = 0; i < given->width; i++) {
        kl += given->kl[i];
        paid += given->free_bits > 0 && given->kl[i] < given->free_bits ? given->free_bits : given->kl[i];
    }
    found[0] = (given->sigma ? 0.5 * pixels * log(distortion / pixels) : distortion) + beta * paid;
    found[1] = recon;
    found[2] = kl;
    found[3] = given->figures[2] / rows / pixels;
    found[4] = (given->sigma ? 0.5 * pixels / distortion : 1) / rows;
    found[5] = beta / rows;
}

/* Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, with the decoupled weight decay of https://arxiv.org/abs/1711.05101;
 * `rate` and `root` are the learning rate and √v's factor with the corrections of their bias. */
INLINE void adam_range(const Adam *adam, Count from, Count to, float rate, float root, float keep, int low) {
    float *values = adam->values, *mean = adam->mean, *square = adam->square;
    const float beta1 = adam->beta1, beta2 = adam->beta2, epsilon = adam->epsilon;
    const void *gradient = low ? (const void *)adam->low_gradient : adam->gradient;
    SIMD for (Count i = from; i < to; i++) {
        float g = load(gradient, i, low);
        float m = beta1 * mean[i] + (1.0f - beta1) * g;
        float v = beta2 * square[i] + (1.0f - beta2) * g * g;
        float value = values[i] * keep - rate * m / (sqrtf(v) * root + epsilon);
        mean[i] = m;
        square[i] = v;
        values[i] = value;
        if (low) store(adam->twin, i, value, 1);
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
        if (segment->low) adam_range(adam, segment->from + from, segment->from + to, rate, root, keep, 1);
        else adam_range(adam, segment->from + from, segment->from + to, rate, root, keep, 0);
    }
}
