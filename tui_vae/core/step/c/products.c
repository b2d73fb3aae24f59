/* Products of two matrices of bfloat16, summed in float32, on a CPU's matrix unit (amx.h).
 *
 * PyTorch's take twice the time at a step's sizes: its library first brings one operand into the unit's order with one
 * thread's work for each call. Here all threads bring both into tiles, and then multiply. */
#include "amx.h"

#if HAS_AMX
#include <sys/syscall.h>
#include <unistd.h>

enum { ASK_FOR_UNIT = 0x1023, TILE_DATA = 18 };  /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA of Linux's asm/prctl.h */

/* Whether this process may use the unit: Linux gives its state to those that ask. */
int may_multiply(void) { return syscall(SYS_arch_prctl, ASK_FOR_UNIT, TILE_DATA) == 0; }

INLINE Count tiles_of(Count size, Count tile) { return (size + tile - 1) / tile; }

/* A stripe of LINES rows or columns as tiles, one after the other. */
AMX static void pack_left(const Operands *given, Count stripe, Count depth_tiles, uint16_t *to) {
    const Count row = stripe * LINES, rows = given->rows - row, stride = given->left_stride;
    const uint16_t *left = given->left;
    __m512i lines[LINES];
    for (Count tile = 0; tile < depth_tiles; tile++, to += TILE) {
        const Count at = tile * DEPTH, rest = given->depth - at;
        if (given->left_turned) {
            load_pairs(left + at * stride + row, stride, rest, rows, lines);
            turn(lines);
        } else {
            load_lines(left + row * stride + at, stride, rows, rest, lines);
        }
        store_tile(to, lines);
    }
}

AMX static void pack_right(const Operands *given, Count stripe, Count depth_tiles, uint16_t *to) {
    const Count column = stripe * LINES, columns = given->columns - column, stride = given->right_stride;
    const uint16_t *right = given->right;
    __m512i lines[LINES];
    for (Count tile = 0; tile < depth_tiles; tile++, to += TILE) {
        const Count at = tile * DEPTH, rest = given->depth - at;
        if (given->right_turned) {
            load_lines(right + column * stride + at, stride, columns, rest, lines);
            turn(lines);
        } else {
            load_pairs(right + at * stride + column, stride, rest, columns, lines);
        }
        store_tile(to, lines);
    }
}

/* Writes two blocks of sums that lie side by side. */
AMX static void write_lines(const Operands *given, const float *sums, Count row, Count column) {
    const Count rows = given->rows - row, columns = given->columns - column;
    const __mmask32 used = columns >= 2 * LINES ? 0xffffffffu : (1u << columns) - 1;
    uint16_t *out = given->out + row * given->out_stride + column;
    for (Count i = 0; i < LINES && i < rows; i++, out += given->out_stride) {
        const __m512 first = _mm512_load_ps(sums + i * LINES), second = _mm512_load_ps(sums + SUMS + i * LINES);
        _mm512_mask_storeu_epi16(out, used, (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }
}

/* A thread's part: it packs stripes, waits for the others', and multiplies the rows that it packed itself, which are still
 * in its cache. */
AMX static void multiply_share(const Operands *given) {
    const Count depth_tiles = tiles_of(given->depth, DEPTH), stripe = depth_tiles * TILE;
    const Count across = tiles_of(given->rows, 2 * LINES), along = tiles_of(given->columns, 2 * LINES);
    uint16_t *left = given->scratch, *right = left + 2 * across * stripe;
    float sums[4 * SUMS] __attribute__((aligned(64)));
    Count from, to;
    share(2 * across, &from, &to);
    for (Count i = from; i < to; i++) pack_left(given, i, depth_tiles, left + i * stripe);
    share(2 * along, &from, &to);
    for (Count i = from; i < to; i++) pack_right(given, i, depth_tiles, right + i * stripe);
#pragma omp barrier
    begin_tiles();
    share(across * along, &from, &to);
    for (Count i = from; i < to; i++) {
        const Count row = i / along, column = i % along;
        const uint16_t *mine = left + 2 * row * stripe, *other = right + 2 * column * stripe;
        clear_sums();
        add_products(mine, mine + stripe, other, other + stripe, depth_tiles);
        store_sums(sums);
        write_lines(given, sums, 2 * row * LINES, 2 * column * LINES);
        write_lines(given, sums + 2 * SUMS, (2 * row + 1) * LINES, 2 * column * LINES);
    }
    _tile_release();
}

void multiply(const Operands *given, int threads) {
#pragma omp parallel num_threads(threads)
    multiply_share(given);
}

/* Numbers of the scratch memory of a product. */
Count multiply_scratch(Count rows, Count columns, Count depth) {
    return 2 * (tiles_of(rows, 2 * LINES) + tiles_of(columns, 2 * LINES)) * tiles_of(depth, DEPTH) * TILE;
}

#else

int may_multiply(void) { return 0; }
void multiply(const Operands *given, int threads) { (void)given, (void)threads; }
Count multiply_scratch(Count rows, Count columns, Count depth) { return 0 * (rows + columns + depth); }

#endif
