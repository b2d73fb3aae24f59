/* Muon's update of a model's matrices (Jordan et al. 2024); muon.py says which iterations these are and why.
 *
 * A thread takes a whole block, so that nobody waits for another between a block's products, whose operands stay in the
 * thread's own cache. All arithmetic here is float32; muon_amx.c does the same with another kind. Every product but the
 * last is a polynomial of one symmetric matrix and so symmetric itself: the half above the diagonal is computed, and
 * mirrored. */
#include "muon.h"

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
/* A tile's sums stay in registers, and are enough to hide the latency of an addition: a square one where half a matrix
 * is computed, so that little of the other half is; a wide one where the left factor's numbers lie far apart. */
enum { SQUARE = LANES, WIDE_ROWS = LANES / 2, WIDE = 2 * LANES, DOTS = 4 };

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef float Loose __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));  /* anywhere in memory */
typedef int32_t Places __attribute__((vector_size(LANES * sizeof(int32_t))));

/* Lines of a power of two of bytes would share few places of a cache: one cache line more spreads them. */
enum { CACHE_LINE = 16 };

INLINE Count padded(Count size) { return (size + WIDE - 1) / WIDE * WIDE; }

INLINE Vector spread(float value) { return value - (Vector){0}; }

/* sums = A·B for a tile of `rows` of A and `vectors` of columns of B. A's numbers lie `to_row` and `to_next` apart, B's
 * rows `stride`. */
INLINE void multiply_tile(const float *a, Count to_row, Count to_next, const float *b, Count stride, Count depth,
                          Vector *sums, const int rows, const int vectors) {
    Vector local[SQUARE] = {{0}};
    for (Count p = 0; p < depth; p++, a += to_next, b += stride) {
        const Loose *row = (const Loose *)b;
        for (int i = 0; i < rows; i++) {
            const Vector factor = spread(a[i * to_row]);
            for (int j = 0; j < vectors; j++) local[i * vectors + j] += factor * row[j];
        }
    }
    memcpy(sums, local, sizeof local);
}

/* A square tile is turned in registers: in each round, blocks of half the size change places across the diagonal. */
INLINE void transpose_tile(Vector *rows) {
    for (int half = LANES / 2; half > 0; half /= 2) {
        Places upper, lower;
        for (int lane = 0; lane < LANES; lane++) {
            upper[lane] = lane & half ? LANES + lane - half : lane;
            lower[lane] = lane & half ? LANES + lane : lane + half;
        }
        for (int i = 0; i < LANES; i++) {
            if (i & half) continue;
            const Vector kept = rows[i];
            rows[i] = __builtin_shuffle(kept, rows[i + half], upper);
            rows[i + half] = __builtin_shuffle(kept, rows[i + half], lower);
        }
    }
}

/* Writes a tile of a symmetric matrix, and its mirror image. On the diagonal the tile becomes the mean of both: unless
 * rounding leaves all matrices exactly symmetric, the iterations multiply the difference a hundredfold. */
INLINE void write_twice(Vector *tile, float *matrix, Count stride, Count row, Count column) {
    Vector mirrored[SQUARE];
    memcpy(mirrored, tile, sizeof mirrored);
    transpose_tile(mirrored);
    for (int i = 0; i < SQUARE; i++) {
        const Vector line = row == column ? 0.5f * (tile[i] + mirrored[i]) : tile[i];
        *(Loose *)(matrix + (row + i) * stride + column) = line;
        if (row != column) *(Loose *)(matrix + (column + i) * stride + row) = mirrored[i];
    }
}

/* out = a·I + b·X + c·X·Y, where X and Y are symmetric and commute, so that the sum is symmetric. */
static void symmetric_product(const float *x, const float *y, float *out, Count size, Count stride, float a, float b,
                              float c) {
    Vector sums[SQUARE];
    for (Count column = 0; column < size; column += SQUARE)
        for (Count row = 0; row <= column; row += SQUARE) {
            multiply_tile(x + row, 1, stride, y + column, stride, size, sums, SQUARE, 1);
            for (int i = 0; i < SQUARE; i++)
                sums[i] = c * sums[i] + b * *(const Loose *)(x + (row + i) * stride + column);
            write_twice(sums, out, stride, row, column);
        }
    for (Count i = 0; i < size; i++) out[i * stride + i] += a;
}

/* X·Xᵀ of rows that lie `stride` apart: dot products, DOTS × DOTS at once. */
static void gram_of_rows(const float *x, Count length, Count stride, float *gram, Count size, Count gram_stride) {
    for (Count row = 0; row < size; row += DOTS)
        for (Count column = row; column < size; column += DOTS) {
            Vector sums[DOTS][DOTS] = {{{0}}};
            for (Count at = 0; at < length; at += LANES)
                for (int i = 0; i < DOTS; i++) {
                    const Vector mine = *(const Loose *)(x + (row + i) * stride + at);
                    for (int j = 0; j < DOTS; j++) sums[i][j] += mine * *(const Loose *)(x + (column + j) * stride + at);
                }
            for (int i = 0; i < DOTS; i++)
                for (int j = 0; j < DOTS; j++) {
                    float sum = 0;
                    SIMD_SUM(sum) for (int lane = 0; lane < LANES; lane++) sum += sums[i][j][lane];
                    gram[(row + i) * gram_stride + column + j] = sum;
                    gram[(column + j) * gram_stride + row + i] = sum;
                }
        }
}

/* Xᵀ·X, X of `length` rows of `size` numbers. */
static void gram_of_columns(const float *x, Count length, Count stride, float *gram, Count size, Count gram_stride) {
    Vector sums[SQUARE];
    for (Count column = 0; column < size; column += SQUARE)
        for (Count row = 0; row <= column; row += SQUARE) {
            multiply_tile(x + row, 1, stride, x + column, stride, length, sums, SQUARE, 1);
            write_twice(sums, gram, gram_stride, row, column);
        }
}

/* The product of all iterations' factors, times the shrinking of the first: what X is multiplied by. Returns which of
 * the four matrices at `gram` holds it. */
static float *product_of_iterations(const Muon *muon, float *gram, Count size, Count stride) {
    float *factor = gram + size * stride, *product = factor + size * stride, *spare = product + size * stride;
    float trace = 0;
    for (Count i = 0; i < size; i++) trace += gram[i * stride + i];
    const float shrink = 1 / (sqrtf(trace) * muon->safety + muon->tiny);
    for (Count i = 0; i < size * stride; i++) gram[i] *= shrink * shrink;
    for (Count iteration = 0; iteration < muon->iterations; iteration++) {
        const float *polynomial = muon->polynomials + 3 * iteration;
        symmetric_product(gram, gram, factor, size, stride, polynomial[0], polynomial[1], polynomial[2]);
        if (iteration == 0) {
            memcpy(product, factor, size * stride * sizeof *product);
        } else {
            symmetric_product(product, factor, spare, size, stride, 0, 0, 1);
            float *swapped = product;
            product = spare;
            spare = swapped;
        }
        if (iteration + 1 < muon->iterations) {
            symmetric_product(gram, factor, spare, size, stride, 0, 0, 1);
            symmetric_product(spare, factor, gram, size, stride, 0, 0, 1);
        }
    }
    for (Count i = 0; i < size * stride; i++) product[i] *= shrink;
    return product;
}

/* How the lines of a block lie in a thread's memory: as in the model, so of a tall matrix's block turned. */
typedef struct {
    Count lines, length, stride;  /* X: its lines, the numbers of one, and from one to the next */
    Count size, gram_stride;      /* the four square matrices: their sides, and from one line to the next */
} Layout;

INLINE Layout layout_of(const MuonBlock *block) {
    Layout layout;
    layout.lines = block->is_tall ? block->columns : block->rows;
    layout.length = block->is_tall ? block->rows : block->columns;
    layout.stride = padded(layout.length) + CACHE_LINE;
    layout.size = padded(block->rows);
    layout.gram_stride = layout.size + CACHE_LINE;
    return layout;
}

/* Floats of scratch memory for a block, whichever way it is updated. */
Count muon_scratch(const MuonBlock *block) {
    const Layout layout = layout_of(block);
    const Count mine = 4 * layout.size * layout.gram_stride + padded(layout.lines) * layout.stride;
    const Count of_unit = matrix_unit_scratch(block);
    return mine > of_unit ? mine : of_unit;
}

INLINE void update_block(const Muon *muon, const MuonBlock *block, float *scratch, double lr, int bf16) {
    const float rate = rate_of(muon, block, lr), keep = kept(muon, lr);
    const Layout layout = layout_of(block);
    const Count lines = layout.lines, length = layout.length, stride = layout.stride;
    const Count size = layout.size, gram_stride = layout.gram_stride, tall = block->is_tall;
    float *gram = scratch, *x = gram + 4 * size * gram_stride;
    memset(gram, 0, 4 * size * gram_stride * sizeof *gram);
    for (Count line = 0; line < padded(lines); line++) {
        float *to = x + line * stride;
        const Count used = line < lines ? length : 0;
        if (used) look_ahead(muon, block->start + line * block->stride, length, to, bf16);
        memset(to + used, 0, (stride - used) * sizeof *to);
    }
    if (tall) gram_of_columns(x, lines, stride, gram, size, gram_stride);
    else gram_of_rows(x, padded(length), stride, gram, size, gram_stride);
    const float *product = product_of_iterations(muon, gram, size, gram_stride);

    Vector sums[SQUARE];
    for (Count column = 0; column < length; column += WIDE)
        for (Count line = 0; line < lines; line += WIDE_ROWS) {
            if (tall) multiply_tile(x + line * stride, stride, 1, product + column, gram_stride, size, sums, WIDE_ROWS, 2);
            else multiply_tile(product + line, 1, gram_stride, x + column, stride, size, sums, WIDE_ROWS, 2);
            const Count columns = length - column < WIDE ? length - column : WIDE;
            for (int i = 0; i < WIDE_ROWS && line + i < lines; i++)
                apply(muon, block->start + (line + i) * block->stride + column, columns, (const float *)(sums + 2 * i),
                      rate, keep, bf16);
        }
}

void muon_step(const Muon *muon, double lr, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (Count i = 0; i < muon->count; i++) {
        float *scratch = muon->scratch + omp_get_thread_num() * muon->scratch_stride;
        if (muon->bfloat16_gradient && muon->matrix_unit) update_on_matrix_unit(muon, muon->blocks + i, scratch, lr);
        else if (muon->bfloat16_gradient) update_block(muon, muon->blocks + i, scratch, lr, 1);
        else update_block(muon, muon->blocks + i, scratch, lr, 0);
    }
}
