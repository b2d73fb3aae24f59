/* TC = KL(q(z) ‖ Π q(z_j)) of a batch and its gradients; the estimate is `total_correlation`'s of objectives.py (Chen et
 * al. 2018, https://arxiv.org/abs/1802.04942): for image i of M, with d_ikj = ln q(z_ij|x_k) and weights w_ik,
 *
 *   TC = mean over i of  ln Σ_k w_ik·exp(Σ_j d_ikj)  -  Σ_j ln Σ_k w_ik·exp(d_ikj)
 *
 * Its derivative by d_ikj is (P_ik - Q_ikj)/M, where P and Q are the shares of k in the two sums. All M²·width densities
 * of a step are needed three times (their sum over j, the exponentials' sum, the gradient), but those of one image lie
 * in the scratch memory of a thread. Arrays are (width, rows), so that a vector holds as many images k whatever the
 * width. Constants that are the same for all k (w of the others, ½·ln 2π) are left out until the logarithms.
 */
#include "kernels.h"

/* exp(values - their largest) in place, with the weight of number `own` over that of the others; gives the sum, and in
 * `logarithm` that of the weighted exponentials. */
INLINE float exponentials(float *values, Count count, Count own, float ratio, double *logarithm) {
    float largest = values[0], sum = 0;
    _Pragma("omp simd reduction(max : largest)") for (Count k = 0; k < count; k++)
        largest = values[k] > largest ? values[k] : largest;
    SIMD for (Count k = 0; k < count; k++) values[k] = exponential(values[k] - largest);
    values[own] *= ratio;
    SIMD_SUM(sum) for (Count k = 0; k < count; k++) sum += values[k];
    *logarithm = largest + log(sum);
    return sum;
}

/* What image i adds to TC·M; the gradients that its densities give are added to those of μ and log σ². */
INLINE double one_image(const TotalCorrelation *given, Count i, Count rows, float weight, float ratio, float *scratch,
                        float *to_mu, float *to_logvar) {
    const Count width = given->width;
    float *joint = scratch, *shares = scratch + rows;  /* (rows), (width, rows) */
    double joint_logarithm, logarithm, value = 0;
    memset(joint, 0, rows * sizeof *joint);
    for (Count j = 0; j < width; j++) {
        const float *mu = given->mu + j * rows, *precision = given->precision + j * rows;
        const float *constant = given->constant + j * rows, z = given->z[j * rows + i];
        float *densities = shares + j * rows;
        SIMD for (Count k = 0; k < rows; k++) {
            float difference = z - mu[k];
            densities[k] = constant[k] - 0.5f * difference * difference * precision[k];
            joint[k] += densities[k];
        }
    }
    const float scale = weight / exponentials(joint, rows, i, ratio, &joint_logarithm);
    for (Count j = 0; j < width; j++) {
        const float *mu = given->mu + j * rows, *precision = given->precision + j * rows;
        const float z = given->z[j * rows + i];
        float *share = shares + j * rows, *mus = to_mu + j * rows, *logvars = to_logvar + j * rows, to_z = 0;
        const float own = weight / exponentials(share, rows, i, ratio, &logarithm);
        value -= logarithm;
        SIMD_SUM(to_z) for (Count k = 0; k < rows; k++) {
            float gradient = joint[k] * scale - share[k] * own;
            float difference = z - mu[k], slope = gradient * difference * precision[k];
            to_z += slope;
            mus[k] += slope;
            logvars[k] += 0.5f * (slope * difference - gradient);
        }
        given->to_z[i * width + j] = -to_z;
    }
    return value + joint_logarithm;
}

/* z, μ, 1/σ² and -½·log σ², as (width, rows). */
INLINE void transpose(const TotalCorrelation *given, const Latent *latent, Count rows) {
    const Count width = given->width;
    for (Count row = 0; row < rows; row++)
        for (Count j = 0; j < width; j++) {
            const Count from = row * width + j, to = j * rows + row;
            const float logvar =
                load(latent->product, 2 * row * width + width + j, latent->bf16) + latent->bias[width + j];
            given->mu[to] = latent->mu[from];
            given->z[to] = latent->mu[from] + latent->sigma[from] * latent->noise[from];
            given->precision[to] = exponential(-logvar);
            given->constant[to] = -0.5f * logvar;
        }
}

/* After `latent_forward`. A batch of one image has no others to tell q(z) from: its TC counts as 0. */
void total_correlation(const TotalCorrelation *given, const Latent *latent, Count rows, int threads) {
    const Count width = given->width, size = rows * width;
    const double others = (1 - 1 / given->images) / (rows - 1);  /* the weight of another image */
    const float weight = given->weight / rows, ratio = 1 / given->images / others;
    if (rows == 1) {
        *given->value = 0;
        memset(given->to_z, 0, width * sizeof(float));
        memset(given->to_mu, 0, width * sizeof(float));
        memset(given->to_logvar, 0, width * sizeof(float));
        return;
    }
    transpose(given, latent, rows);
#pragma omp parallel num_threads(threads)
    {
        Count from, to;
        float *mine = given->scratch + omp_get_thread_num() * given->stride;
        float *to_mu = mine, *to_logvar = mine + size;
        memset(mine, 0, 2 * size * sizeof *mine);
        share(rows, &from, &to);
        for (Count i = from; i < to; i++)
            given->values[i] = one_image(given, i, rows, weight, ratio, mine + 2 * size, to_mu, to_logvar);
#pragma omp barrier
        share(size, &from, &to);
        for (Count at = from; at < to; at++) {
            float mu = 0, logvar = 0;
            for (int thread = 0; thread < omp_get_num_threads(); thread++) {
                const float *sums = given->scratch + thread * given->stride;
                mu += sums[at];
                logvar += sums[size + at];
            }
            given->to_mu[at % rows * width + at / rows] = mu;
            given->to_logvar[at % rows * width + at / rows] = logvar;
        }
    }
    double value = 0;
    for (Count i = 0; i < rows; i++) value += given->values[i];
    *given->value = value / rows + (1 - width) * log(others);
}
