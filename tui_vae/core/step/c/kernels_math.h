/* Functions of one number, which compilers vectorize: bfloat16, exponential functions, activations.
 *
 * NaN stays NaN, but in those that say otherwise: whoever calls them multiplies by NaN anyway.
 */
#ifndef KERNELS_MATH_H
#define KERNELS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* The activations that have kernels. models/vae.py has their numbers. */
#define EACH_ACTIVATION(DO, ...) DO(SILU, __VA_ARGS__) DO(RELU, __VA_ARGS__) DO(GELU, __VA_ARGS__)
#define ENUMERATOR(name, ...) name,
enum Activation { EACH_ACTIVATION(ENUMERATOR, ) };

INLINE float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Number `at` of an array of bfloat16, where `bf16`, or float32. */
INLINE float load(const void *array, int64_t at, int bf16) {
    return bf16 ? from_bits((uint32_t)((const uint16_t *)array)[at] << 16) : ((const float *)array)[at];
}

/* bfloat16 is rounded as PyTorch rounds it: to the nearest, ties to even. */
INLINE void store(void *array, int64_t at, float value, int bf16) {
    if (bf16) {
        uint32_t bits = to_bits(value);
        uint16_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        ((uint16_t *)array)[at] = value == value ? rounded : 0x7fc0;
    } else {
        ((float *)array)[at] = value;
    }
}

/* x, but no farther from 0 than 87, where exp underflows; NaN becomes 87. Whole numbers are compared: compilers take a
 * choice between floating-point numbers apart, and compute both ways to the end (GCC 12). */
INLINE float clamped(float x) {
    int32_t bits = to_bits(x), size = bits & 0x7fffffff, most = to_bits(87.0f);
    return from_bits((size < most ? size : most) | (bits & 0x80000000));
}

#define TO_WHOLE 12582912.0f  /* 1.5·2²³: adding it to a much smaller number leaves a whole one in the last digits */

/* exp(x) for |x| ≤ 87, not of NaN, relative error < 2e-7: argument reduction by ln 2 in two parts, then the polynomial 1 + r + ... of
 * degree 6 that is nearest to exp on ±½·ln 2 (fitted to relative error, 3e-9). */
INLINE float small_exponential(float x) {
    float shifted = x * 1.44269504f + TO_WHOLE, n = shifted - TO_WHOLE;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.3814540073e-3f;
    p = p * r + 8.3687451078e-3f;
    p = p * r + 4.1668390786e-2f;
    p = p * r + 1.6666520399e-1f;
    p = p * r + 4.9999993432e-1f;
    p = p * r * r + r + 1.0f;
    return from_bits(to_bits(p) + (to_bits(shifted) << 23));
}

/* exp(x), as of ±87 farther from 0. */
INLINE float exponential(float x) { return x == x ? small_exponential(clamped(x)) : x; }

/* 1/x for x in [1, 2¹²⁶), relative error < 1e-7. A division keeps a processor waiting for three times as long as this:
 * an approximation to 1/8, and two steps each of which leaves the cube of the error. */
INLINE float reciprocal(float x) {
    float y = from_bits(0x7ef311c7 - to_bits(x)), error = 1.0f - x * y;
    y += y * (error * error + error);
    error = 1.0f - x * y;
    return y + y * (error * error + error);
}

/* 1/(1 + exp(-x)); of NaN some number. */
INLINE float sigmoid_of_number(float x) { return reciprocal(1.0f + small_exponential(clamped(-x))); }

INLINE float sigmoid(float x) { return x == x ? sigmoid_of_number(x) : x; }

/* ln(1 + u) for u in [0, 1], as 2·artanh(u / (2 + u)). */
INLINE float log_one_plus(float u) {
    float s = u / (2.0f + u), t = s * s;
    float p = 1.0f / 13;
    p = p * t + 1.0f / 11;
    p = p * t + 1.0f / 9;
    p = p * t + 1.0f / 7;
    p = p * t + 1.0f / 5;
    p = p * t + 1.0f / 3;
    return 2.0f * s * (p * t + 1.0f);
}

/* Φ(x) = ½·(1 + erf(x/√2)), to 1e-7; `exponential_of` is exp(-½x²). Abramowitz & Stegun, "Handbook of Mathematical
 * Functions", 7.1.26. Beyond 87 the tail is 0. */
INLINE float normal_cdf(float x, float exponential_of) {
    float t = reciprocal(1.0f + 0.3275911f * 0.70710678f * clamped(fabsf(x)));
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    float tail = 0.5f * p * t * exponential_of;
    return x < 0 ? tail : 1.0f - tail;
}

/* The activation of v. */
INLINE float activated(float v, int activation) {
    if (activation == SILU) return v * sigmoid_of_number(v);
    if (activation == GELU) return v * normal_cdf(v, small_exponential(clamped(-0.5f * v * v)));
    return v < 0 ? 0 : v;
}

/* The gradient with respect to the activation's input v, from that with respect to its output. */
INLINE float through_activation(float gradient, float v, int activation) {
    if (activation == SILU) {
        float s = sigmoid_of_number(v);
        return gradient * (s * (1.0f + v * (1.0f - s)));
    }
    if (activation == GELU) {
        float density = small_exponential(clamped(-0.5f * v * v));
        return gradient * (normal_cdf(v, density) + v * 0.39894228f * density);
    }
    return v > 0 ? gradient : 0;
}

#endif
