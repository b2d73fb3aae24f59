/* Products of two matrices on a CPU's matrix unit (amx.h), summed in float32.
 *
 * Of bfloat16, PyTorch's take up to twice the time at a step's sizes: its library brings an operand into the unit's order
 * for each call. Here all threads bring both into tiles, and then multiply. PyTorch has none of float32 there. A number
 * of float32 has 24 digits, three of bfloat16 8 each: as their sum it is whole, and six of the nine products of two such
 * sums are as exact as float32 (Henry, Tang & Heinecke 2019, https://arxiv.org/abs/1904.06376). */
#include "amx.h"

#if HAS_AMX
#include <sys/syscall.h>
#include <unistd.h>

enum { ASK_FOR_UNIT = 0x1023, TILE_DATA = 18 };  /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA of Linux's asm/prctl.h */

/* Whether this process may use the unit: Linux gives its state to those that ask. */
int may_multiply(void) { return syscall(SYS_arch_prctl, ASK_FOR_UNIT, TILE_DATA) == 0; }

INLINE Count tiles_of(Count size, Count tile) { return (size + tile - 1) / tile; }

/* One operand: a left one's rows, or a right one's columns, are cut into stripes of LINES. */
typedef struct {
    const void *numbers;
    Count stride, size;        /* from one line in memory to the next; rows or columns */
    int along_depth, is_left;  /* whether a line in memory is what a row or column is */
    uint16_t *tiles;           /* plane by plane, stripe by stripe */
    Count stripes;
} Operand;

/* Brings a stripe into tiles, one after the other. */
AMX static void pack(const Operands *given, const Operand *operand, Count number) {
    const Count depth_tiles = tiles_of(given->depth, DEPTH), begin = number * LINES;
    const Count rest = operand->size - begin, stride = operand->stride;
    const int planes = given->is_float32 ? PLANES : 1;
    uint16_t *to = operand->tiles + number * depth_tiles * TILE;
    __m512i tiles[PLANES][LINES];
    for (Count tile = 0; tile < depth_tiles; tile++, to += TILE) {
        const Count at = tile * DEPTH, deep = given->depth - at;
        const Count place = operand->along_depth ? begin * stride + at : at * stride + begin;
        if (given->is_float32) {
            const float *from = (const float *)operand->numbers + place;
            if (operand->along_depth) load_float_lines(from, stride, rest, deep, tiles);
            else load_float_pairs(from, stride, deep, rest, tiles);
        } else {
            const uint16_t *from = (const uint16_t *)operand->numbers + place;
            if (operand->along_depth) load_lines(from, stride, rest, deep, tiles[0]);
            else load_pairs(from, stride, deep, rest, tiles[0]);
        }
        for (int plane = 0; plane < planes; plane++) {
            if (operand->along_depth != operand->is_left) turn(tiles[plane]);
            store_tile(to + plane * operand->stripes * depth_tiles * TILE, tiles[plane]);
        }
    }
}

/* Two by two blocks of sums, which are written to `out` while the next ones are computed. */
typedef struct {
    float sums[4 * SUMS] __attribute__((aligned(64)));
    Count place, line, lines, columns;  /* of `out`; the next line to be written, and all */
} Pending;

INLINE AMX void write_lines(const Operands *given, Pending *pending, Count count) {
    const Count left = pending->lines - pending->line, end = pending->line + (count < left ? count : left);
    const __mmask16 near = mask_of(pending->columns), far = mask_of(pending->columns - LINES);
    for (Count i = pending->line; i < end; i++) {
        const float *sums = pending->sums + (i / LINES * 2 * LINES + i % LINES) * LINES;
        const __m512 first = _mm512_load_ps(sums), second = _mm512_load_ps(sums + SUMS);
        const Count place = pending->place + i * given->out_stride;
        if (given->is_float32) {
            _mm512_mask_storeu_ps((float *)given->out + place, near, first);
            _mm512_mask_storeu_ps((float *)given->out + place + LINES, far, second);
        } else {
            _mm512_mask_storeu_epi16((uint16_t *)given->out + place, near | (__mmask32)far << LINES,
                                     (__m512i)_mm512_cvtne2ps_pbh(second, first));
        }
    }
    pending->line = end;
}

/* The planes of left and right that are multiplied, the smallest products first; what is left out is smaller than the
 * rounding of the sum. Of bfloat16 there is one plane. */
static const uint8_t PAIRS[][2] = {{1, 1}, {0, 2}, {2, 0}, {0, 1}, {1, 0}, {0, 0}};
enum { ALL_PAIRS = 6 };

/* Computes a block of 2·LINES rows and columns, and writes `former` meanwhile. */
AMX static void multiply_block(const Operands *given, const Operand *left, const Operand *right, Count row, Count column,
                               Pending *former, Pending *next) {
    const Count depth_tiles = tiles_of(given->depth, DEPTH), stripe = depth_tiles * TILE;
    const Count quota = 2 * LINES / (depth_tiles ? depth_tiles : 1) + 1, rows = given->rows - 2 * LINES * row;
    const uint16_t *mine = left->tiles + 2 * row * stripe, *other = right->tiles + 2 * column * stripe;
    clear_sums();
    for (Count k = 0; k < depth_tiles; k++, mine += TILE, other += TILE) {
        for (int pair = given->is_float32 ? 0 : ALL_PAIRS - 1; pair < ALL_PAIRS; pair++) {
            const uint16_t *a = mine + PAIRS[pair][0] * left->stripes * stripe;
            const uint16_t *b = other + PAIRS[pair][1] * right->stripes * stripe;
            add_products(a, a + stripe, b, b + stripe, 1);
        }
        write_lines(given, former, quota);
    }
    write_lines(given, former, 2 * LINES);
    store_sums(next->sums);
    next->place = 2 * LINES * (row * given->out_stride + column);
    next->line = 0;
    next->lines = rows < 2 * LINES ? rows : 2 * LINES;
    next->columns = given->columns - 2 * LINES * column;
}

enum { NEAR = 512 << 10 };  /* numbers of the right operand's tiles that are used for all rows in turn: half of a second cache */

/* A thread's part: it packs stripes, waits for the others', and multiplies the rows that it packed itself, which are still
 * in its cache. */
AMX static void multiply_share(const Operands *given) {
    const Count stripe = tiles_of(given->depth, DEPTH) * TILE, planes = given->is_float32 ? PLANES : 1;
    const Count across = tiles_of(given->rows, 2 * LINES), along = tiles_of(given->columns, 2 * LINES);
    const Operand left = {given->left,   given->left_stride, given->rows, !given->left_turned, 1,
                          *given->scratch, 2 * across};
    const Operand right = {given->right, given->right_stride, given->columns, given->right_turned, 0,
                           left.tiles + planes * left.stripes * stripe, 2 * along};
    const Count near = NEAR / (2 * planes * stripe + 1) + 1;
    Pending pending[2];
    Count from, to, turn = 0;
    pending[0].line = pending[0].lines = 0;
    share(left.stripes, &from, &to);
    for (Count i = from; i < to; i++) pack(given, &left, i);
    share(right.stripes, &from, &to);
    for (Count i = from; i < to; i++) pack(given, &right, i);
#pragma omp barrier
    begin_tiles();
    for (Count first = 0; first < along; first += near) {
        const Count width = along - first < near ? along - first : near;
        share(across * width, &from, &to);
        for (Count i = from; i < to; i++, turn = !turn)
            multiply_block(given, &left, &right, i / width, first + i % width, pending + turn, pending + !turn);
    }
    write_lines(given, pending + turn, 2 * LINES);
    _tile_release();
}

/* The operands have their own numbers of rows. */
void multiply(const void *given, Count rows, int threads) {
    (void)rows;
#pragma omp parallel num_threads(threads)
    multiply_share(given);
}

/* Numbers of the scratch memory of a product. */
Count multiply_scratch(Count rows, Count columns, Count depth, int is_float32) {
    const Count stripes = 2 * (tiles_of(rows, 2 * LINES) + tiles_of(columns, 2 * LINES));
    return (is_float32 ? PLANES : 1) * stripes * tiles_of(depth, DEPTH) * TILE;
}

#else

int may_multiply(void) { return 0; }
void multiply(const void *given, Count rows, int threads) { (void)given, (void)rows, (void)threads; }
Count multiply_scratch(Count rows, Count columns, Count depth, int is_float32) {
    return 0 * (rows + columns + depth + is_float32);
}

#endif
