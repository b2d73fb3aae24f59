/* The latent space: from the head's product to z, and back; and the loss, from the sums of a step. */
#include "kernels.h"

/* z = μ + σ·ε, and the KL of each dimension, ½·(μ² + σ² - log σ² - 1) (Kingma & Welling 2014,
 * https://arxiv.org/abs/1312.6114, appendix B). There are few numbers: one thread is the fastest. */
INLINE void latent_forward_rows(const Latent *latent, Count rows, int bf16) {
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
            float mu = load(product, head + i, bf16) + bias[i];
            float logvar = load(product, head + width + i, bf16) + bias[width + i];
            float sigma = exponential(0.5f * logvar);
            mus[at + i] = mu;
            sigmas[at + i] = sigma;
            kl[i] += mu * mu + (sigma * sigma - logvar - 1.0f);
            store(z, at + i, mu + sigma * noise[at + i], bf16);
        }
    }
    for (Count i = 0; i < width; i++) kl[i] *= 0.5 / rows;
}

void latent_forward(const void *given, Count rows, int threads) {
    const Latent *latent = given;
    (void)threads;
    if (latent->bf16) latent_forward_rows(latent, rows, 1);
    else latent_forward_rows(latent, rows, 0);
}

/* The gradient of the head's product, from that of z and from the KL: ∂KL/∂μ = μ and ∂KL/∂log σ² = ½(σ² - 1), times
 * `weight`, or times 0 in a dimension whose KL is below its free bits; and from what the total correlation adds. */
INLINE void latent_backward_rows(const Latent *latent, Count rows, int bf16, int more) {
    const Count width = latent->width;
    const float weight = *latent->weight;
    const double free_bits = latent->free_bits;
    const float *mu = latent->mu, *sigmas = latent->sigma, *noise = latent->noise;
    const double *kl = latent->kl;
    const void *to_z = latent->to_z;
    void *to_product = latent->to_product;
    const float *more_to_z = latent->more_to_z, *more_to_mu = latent->more_to_mu;
    const float *more_to_logvar = latent->more_to_logvar;
    float *to_bias = latent->to_bias;
    memset(to_bias, 0, 2 * width * sizeof *to_bias);
    for (Count row = 0; row < rows; row++) {
        const Count at = row * width, head = 2 * at;
        SIMD for (Count i = 0; i < width; i++) {
            float paid = free_bits > 0 && kl[i] <= free_bits ? 0 : weight;
            float g = load(to_z, at + i, bf16) + (more ? more_to_z[at + i] : 0), sigma = sigmas[at + i];
            float to_mu = g + paid * mu[at + i] + (more ? more_to_mu[at + i] : 0);
            float to_logvar = 0.5f * (g * sigma * noise[at + i] + paid * (sigma * sigma - 1.0f)) +
                              (more ? more_to_logvar[at + i] : 0);
            to_bias[i] += to_mu;
            to_bias[width + i] += to_logvar;
            store(to_product, head + i, to_mu, bf16);
            store(to_product, head + width + i, to_logvar, bf16);
        }
    }
}

void latent_backward(const void *given, Count rows, int threads) {
    const Latent *latent = given;
    (void)threads;
    const int more = latent->more_to_z != NULL;
    if (latent->bf16 && more) latent_backward_rows(latent, rows, 1, 1);
    else if (latent->bf16) latent_backward_rows(latent, rows, 1, 0);
    else if (more) latent_backward_rows(latent, rows, 0, 1);
    else latent_backward_rows(latent, rows, 0, 0);
}

/* The step's figures: loss, recon and KL, means over images, and the legacy accuracy; then the weights of an
 * image's distortion and KL in the loss, whose formulas are in objectives.py. */
void compute_loss(const LossSums *given, Count rows, double beta) {
    double *results = given->results, kl = 0, paid = 0;
    const double recon = given->figures[0] / rows, distortion = given->figures[1] / rows, pixels = given->pixels;
    for (Count i = 0; i < given->width; i++) {
        kl += given->kl[i];
        paid += given->free_bits > 0 && given->kl[i] < given->free_bits ? given->free_bits : given->kl[i];
    }
    const double square = distortion / pixels;
    const int least = given->sigma && square < LEAST_SQUARE;  /* not of NaN */
    results[0] = (given->sigma ? 0.5 * pixels * log(least ? LEAST_SQUARE : square) : distortion) + beta * paid;
    if (given->tc_weight != 0) results[0] += given->tc_weight * *given->total_correlation;
    results[1] = recon;
    results[2] = kl;
    results[3] = given->figures[2] / rows / pixels;
    results[4] = least ? 0 : (given->sigma ? 0.5 * pixels / distortion : 1) / rows;
    results[5] = beta / rows;
}
