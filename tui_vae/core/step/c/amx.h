/* The matrix unit of Intel's CPUs from Sapphire Rapids on (AMX), for products of bfloat16 that are summed in float32.
 *
 * Its registers are tiles. A left operand's tile is LINES rows of DEPTH numbers. A right operand's has the numbers that
 * are multiplied with one row's pairs side by side: its line p holds rows 2p and 2p + 1 of the matrix, in pairs, of LINES
 * columns. Both are TILE numbers in memory, at an address that 64 divides. (Intel 64 and IA-32 Architectures Software
 * Developer's Manual, volume 1, chapter 18.) */
#ifndef AMX_H
#define AMX_H

#include "kernels.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__AVX512F__) && (__GNUC__ >= 11 || __clang_major__ >= 13)
#define HAS_AMX 1
#include <immintrin.h>

/* The unit's instructions are allowed in these functions alone, so that the same build runs on CPUs without it. */
#define AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))

enum { LINES = 16, DEPTH = 32, TILE = LINES * DEPTH, SUMS = LINES * LINES };

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];  /* of a line of each tile */
    uint8_t lines[16];
} TileShapes;

/* Before a thread's first product; `_tile_release` after its last one. */
AMX static inline void begin_tiles(void) {
    TileShapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) shapes.bytes[i] = 64, shapes.lines[i] = LINES;
    _tile_loadconfig(&shapes);
}

/* The tiles 0 to 3 hold the sums of two by two blocks of LINES × LINES. */
AMX static inline void clear_sums(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* sums += left · right: `count` tiles each of two stripes of rows and of two stripes of columns. */
AMX static inline void add_products(const uint16_t *left, const uint16_t *lower, const uint16_t *right,
                                    const uint16_t *further, Count count) {
    for (Count k = 0; k < count * TILE; k += TILE) {
        _tile_loadd(4, left + k, 64);
        _tile_loadd(6, right + k, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, further + k, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, lower + k, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

/* Writes the four blocks of sums: left · right, left · further, lower · right, lower · further. */
AMX static inline void store_sums(float *sums) {
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + SUMS, 64);
    _tile_stored(2, sums + 2 * SUMS, 64);
    _tile_stored(3, sums + 3 * SUMS, 64);
}

/* Turns 16 × 16 numbers of 32 bits, one row a register. */
AMX static inline void turn(__m512i *rows) {
    __m512i next[16];
    for (int i = 0; i < 16; i += 2) {
        next[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        next[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        rows[i] = _mm512_unpacklo_epi64(next[i], next[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(next[i], next[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(next[i + 1], next[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(next[i + 1], next[i + 3]);
    }
    for (int half = 0; half < 16; half += 8)
        for (int i = half; i < half + 4; i++) {
            next[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
            next[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        rows[i] = _mm512_shuffle_i32x4(next[i], next[i + 8], 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(next[i], next[i + 8], 0xdd);
    }
}

/* The first `numbers` of LINES. */
INLINE AMX __mmask16 mask_of(Count numbers) { return numbers >= LINES ? 0xffff : (1u << (numbers > 0 ? numbers : 0)) - 1; }

/* LINES lines of DEPTH numbers, as they lie; zeros for what lies beyond `lines` and `numbers`. */
AMX static inline void load_lines(const uint16_t *from, Count stride, Count lines, Count numbers, __m512i *rows) {
    const __mmask32 used = mask_of(numbers) | (__mmask32)mask_of(numbers - LINES) << LINES;
    for (int i = 0; i < LINES; i++)
        rows[i] = i < lines ? _mm512_maskz_loadu_epi16(used, from + i * stride) : _mm512_setzero_si512();
}

/* DEPTH lines of LINES numbers, each two lines in pairs; zeros for what lies beyond `lines` and `numbers`. */
AMX static inline void load_pairs(const uint16_t *from, Count stride, Count lines, Count numbers, __m512i *rows) {
    const __mmask16 used = mask_of(numbers);
    for (int i = 0; i < LINES; i++) {
        __m256i even = _mm256_setzero_si256(), odd = even;
        if (2 * i < lines) even = _mm256_maskz_loadu_epi16(used, from + 2 * i * stride);
        if (2 * i + 1 < lines) odd = _mm256_maskz_loadu_epi16(used, from + (2 * i + 1) * stride);
        rows[i] = _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
    }
}

/* A float32 number is the sum of so many of bfloat16, each of what the ones before leave. Of an infinity they leave NaN. */
enum { PLANES = 3 };

/* The planes of twice LINES numbers: in each register those of `first`, then those of `second`. */
AMX static inline void split(__m512 first, __m512 second, __m512i *planes) {
    for (int plane = 0; plane < PLANES; plane++) {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
        const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both));
        const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1));
        const __m512 of_first = _mm512_castsi512_ps(_mm512_slli_epi32(low, 16));
        const __m512 of_second = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
        planes[plane] = both;
        first = _mm512_sub_ps(first, of_first);
        second = _mm512_sub_ps(second, of_second);
    }
}

/* As `load_lines`, of float32, in planes. */
AMX static inline void load_float_lines(const float *from, Count stride, Count lines, Count numbers,
                                        __m512i (*tiles)[LINES]) {
    const __mmask16 near = mask_of(numbers), far = mask_of(numbers - LINES);
    for (int i = 0; i < LINES; i++) {
        __m512 low = _mm512_setzero_ps(), high = low;
        if (i < lines) {
            low = _mm512_maskz_loadu_ps(near, from + i * stride);
            high = _mm512_maskz_loadu_ps(far, from + i * stride + LINES);
        }
        __m512i planes[PLANES];
        split(low, high, planes);
        for (int plane = 0; plane < PLANES; plane++) tiles[plane][i] = planes[plane];
    }
}

/* As `load_pairs`, of float32, in planes. */
AMX static inline void load_float_pairs(const float *from, Count stride, Count lines, Count numbers,
                                        __m512i (*tiles)[LINES]) {
    static const uint16_t PLACES[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i places = _mm512_loadu_si512(PLACES);
    const __mmask16 used = mask_of(numbers);
    for (int i = 0; i < LINES; i++) {
        __m512 even = _mm512_setzero_ps(), odd = even;
        if (2 * i < lines) even = _mm512_maskz_loadu_ps(used, from + 2 * i * stride);
        if (2 * i + 1 < lines) odd = _mm512_maskz_loadu_ps(used, from + (2 * i + 1) * stride);
        __m512i planes[PLANES];
        split(even, odd, planes);
        for (int plane = 0; plane < PLANES; plane++)
            tiles[plane][i] = _mm512_permutexvar_epi16(places, planes[plane]);
    }
}

AMX static inline void store_tile(uint16_t *to, const __m512i *rows) {
    for (int i = 0; i < LINES; i++) _mm512_store_si512(to + i * DEPTH, rows[i]);
}

#else
#define HAS_AMX 0
#endif

#endif
