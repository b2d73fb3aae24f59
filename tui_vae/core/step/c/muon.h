/* What both ways to make Muon's update share: of float32 (muon.c), and on a CPU's matrix unit (muon_amx.c). */
#ifndef MUON_H
#define MUON_H

#include "kernels.h"

/* Renews a line of the momentum and writes the momentum that looks ahead. */
INLINE void look_ahead(const Muon *muon, Count at, Count length, float *x, int bf16) {
    const void *gradient = bf16 ? (const void *)muon->bfloat16_gradient : muon->gradient;
    const float rest = 1 - muon->momentum;
    float *mean = muon->mean + at;
    SIMD for (Count i = 0; i < length; i++) {
        const float g = load(gradient, at + i, bf16), m = mean[i] + rest * (g - mean[i]);
        mean[i] = m;
        x[i] = m - rest * (m - g);
    }
}

/* Subtracts a line of the update from the weights. */
INLINE void apply(const Muon *muon, Count at, Count length, const float *update, float rate, float keep, int bf16) {
    float *values = muon->values + at;
    SIMD for (Count i = 0; i < length; i++) {
        const float value = values[i] * keep - rate * update[i];
        values[i] = value;
        if (bf16) store(muon->bfloat16_copy, at + i, value, 1);
    }
}

/* How much of the weights a step of learning rate `lr` keeps, and what the block's orthogonal matrix is multiplied by. */
INLINE float kept(const Muon *muon, double lr) { return 1 - lr * *muon->ratio * muon->weight_decay; }
INLINE float rate_of(const Muon *muon, const MuonBlock *block, double lr) { return lr * *muon->ratio * block->scale; }

/* The same update from a bfloat16 gradient, by a CPU's matrix unit; and floats of scratch memory for it. */
void update_on_matrix_unit(const Muon *muon, const MuonBlock *block, float *scratch, double lr);
Count matrix_unit_scratch(const MuonBlock *block);

#endif
