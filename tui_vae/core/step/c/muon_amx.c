/* Muon's update on a CPU's matrix unit (amx.h), for runs whose gradients are bfloat16: what muon.c does, block by block.
 *
 * The unit multiplies bfloat16. X is rounded to that, as its gradients are. A number of a Gram matrix and of all that is
 * made of it is the sum of two, a high and a low one, which keep 16 of its bits, in a plane each: the iterations multiply
 * its rounding error several hundred times. A product is then one of each two planes, except the low ones, in float32.
 *
 * Matrices lie in tiles. Of each 32 rows of a left operand, or columns of a right one, the even ones are a stripe of tiles
 * and the odd ones the next. So the pairs of numbers that the unit takes side by side come from the same places of two
 * registers of sums, and are joined without moving numbers within a register. A tile of a symmetric matrix as a left
 * operand, turned, is the tile of the same place as a right operand. */
#include "amx.h"
#include "muon.h"

#if HAS_AMX

enum { WIDE = 2 * LINES, HALVES = 2 };  /* the side of what the unit sums at once; planes of a Gram matrix */
enum { CACHE_LINE = 32 };               /* numbers of bfloat16 */

INLINE Count padded(Count size) { return (size + WIDE - 1) / WIDE * WIDE; }

/* An operand: its high plane's tiles, and numbers from one stripe to the next and to the low plane, or 0 without one. */
typedef struct {
    uint16_t *tiles;
    Count stripe, plane;
} Operand;

/* Stripes of a power of two of bytes would share few places of a cache: one cache line more spreads them. */
INLINE Count stripe_of(Count depth) { return depth * LINES + CACHE_LINE; }

INLINE Count plane_of(Count size, Count depth) { return size / LINES * stripe_of(depth); }

INLINE Operand operand_of(uint16_t *tiles, Count size, Count depth) {
    return (Operand){tiles, stripe_of(depth), plane_of(size, depth)};
}

/* A number in bfloat16 stays in the upper half of its 32 bits, as a float32 has it; what the lower half holds is left. */
AMX static inline __m512i rounded(__m512 value) {
    return _mm512_add_epi32(_mm512_castps_si512(value), _mm512_set1_epi32(0x8000));
}

AMX static inline __m512i upper(__m512i bits) { return _mm512_and_si512(bits, _mm512_set1_epi32(-0x10000)); }

/* The high and the low number that a number of a Gram matrix is the sum of. */
AMX static inline void halve(__m512 value, __m512i *planes) {
    planes[0] = upper(rounded(value));
    planes[1] = rounded(value - _mm512_castsi512_ps(planes[0]));
}

/* The upper halves of two registers, alternating. */
AMX static inline __m512i join(__m512i even, __m512i odd) {
    return _mm512_or_si512(_mm512_srli_epi32(even, 16), upper(odd));
}

AMX static inline void turn_tile(const uint16_t *from, uint16_t *to) {
    __m512i rows[LINES];
    for (int i = 0; i < LINES; i++) rows[i] = _mm512_load_si512(from + i * DEPTH);
    turn(rows);
    store_tile(to, rows);
}

/* What is to be done with a block's sums, in PARTS, while the unit works on the next block: a core does both at once. */
enum { PARTS = 12 };
typedef void DoPart(const void *work, Count part);

/* WIDE × WIDE numbers of the product left · right, `depth` numbers deep; meanwhile the parts of `work`, unless NULL. */
AMX static inline void multiply_block(Operand left, Count row, Operand right, Count column, Count depth, float *sums,
                                      DoPart *do_part, const void *work) {
    const uint16_t *mine = left.tiles + row / LINES * left.stripe, *other = right.tiles + column / LINES * right.stripe;
    const Count products = 1 + (left.plane > 0) + (right.plane > 0), all = products * depth / DEPTH;
    Count part = work ? 0 : PARTS, done = 0;
    clear_sums();
    for (Count at = 0; at < depth; at += DEPTH, mine += TILE, other += TILE)
        for (Count product = 0; product < products; product++) {
            const uint16_t *one = mine + (product == 1 ? left.plane : 0);
            const uint16_t *two = other + (product == 1 + (left.plane > 0) ? right.plane : 0);
            add_products(one, one + left.stripe, two, two + right.stripe, 1);
            for (done++; part * all < PARTS * done; part++) do_part(work, part);
        }
    store_sums(sums);
}

INLINE void finish(DoPart *do_part, const void *work) {
    for (Count part = 0; part < PARTS; part++) do_part(work, part);
}

/* A symmetric matrix in tiles: as a left operand, and as a right one. What is NULL is not wanted. */
typedef struct {
    uint16_t *left, *right;
} Square;

/* A block of a·I + b·X + c·sums that is to be written, with its mirror image; X is a left operand, or NULL. */
typedef struct {
    float *sums;
    Count row, column, size;
    const uint16_t *x;
    float a, b, c;
    Square out;
    uint16_t *spare;  /* memory for what is only wanted as its mirror image: 2 · HALVES tiles */
} Block;

/* Makes a block on the diagonal symmetric to the last bit, in three parts; see `write_twice` in muon.c. */
AMX static void mirror(float *sums, Count part) {
    float *from = sums + (part == 2 ? 3 : part) * SUMS, *to = part == 1 ? from + SUMS : from;
    __m512i rows[LINES];
    for (int i = 0; i < LINES; i++) rows[i] = _mm512_load_si512(from + i * LINES);
    turn(rows);
    for (int i = 0; i < LINES; i++) {
        __m512 turned = _mm512_castsi512_ps(rows[i]);
        if (part != 1) turned = 0.5f * (_mm512_load_ps(to + i * LINES) + turned);
        _mm512_store_ps(to + i * LINES, turned);
    }
}

enum { PARTS_TO_MIRROR = 3, PARTS_OF_ROWS = 8 };  /* the latter of two times two rows each */

AMX static void write_part(const void *work, Count part) {
    const Block *block = work;
    const Count stripe = stripe_of(block->size), plane = plane_of(block->size, block->size);
    const Count here = block->row / LINES * stripe + block->column / WIDE * TILE;
    const Count there = block->column / LINES * stripe + block->row / WIDE * TILE;
    const int on_diagonal = block->row == block->column;
    const Square out = block->out;
    uint16_t *lines = block->spare, *pairs = block->spare;
    Count line_stripe = TILE, line_plane = 2 * TILE, pair_stripe = TILE, pair_plane = 2 * TILE;
    if (out.left) lines = out.left + here, line_stripe = stripe, line_plane = plane;
    if (out.right) pairs = out.right + there, pair_stripe = stripe, pair_plane = plane;
    if (on_diagonal) {
        if (part < PARTS_TO_MIRROR) mirror(block->sums, part);
        part -= PARTS_TO_MIRROR;
    }
    if (part < 0 || (on_diagonal && part >= PARTS_OF_ROWS)) return;
    if (part >= PARTS_OF_ROWS) {
        const Count j = part & 1, which = part >> 1 & 1, to = j * stripe + which * plane;
        if (out.left) turn_tile(pairs + j * pair_stripe + which * pair_plane, out.left + there + to);
        if (out.right) turn_tile(lines + j * line_stripe + which * line_plane, out.right + here + to);
        return;
    }
    for (Count i = 2 * part; i < 2 * part + 2; i++) {
        __m512i planes[2][2][HALVES];
        for (int down = 0; down < 2; down++) {
            __m512 value[2];
            for (int side = 0; side < 2; side++)
                value[side] = block->c * _mm512_load_ps(block->sums + (2 * down + side) * SUMS + i * LINES);
            if (block->x) {
                const uint16_t *own = block->x + here + down * stripe + i * DEPTH;
                const __m512i high = _mm512_load_si512(own), low = _mm512_load_si512(own + plane);
                value[0] += block->b * ((__m512)_mm512_slli_epi32(high, 16) + (__m512)_mm512_slli_epi32(low, 16));
                value[1] += block->b * ((__m512)upper(high) + (__m512)upper(low));
            }
            if (on_diagonal) value[down] = _mm512_mask_add_ps(value[down], 1 << i, value[down], _mm512_set1_ps(block->a));
            for (int side = 0; side < 2; side++) halve(value[side], planes[down][side]);
        }
        for (int which = 0; which < HALVES; which++)
            for (int j = 0; j < 2; j++) {
                uint16_t *line = lines + which * line_plane + j * line_stripe + i * DEPTH;
                uint16_t *pair = pairs + which * pair_plane + j * pair_stripe + i * DEPTH;
                _mm512_store_si512(line, join(planes[j][0][which], planes[j][1][which]));
                _mm512_store_si512(pair, join(planes[0][j][which], planes[1][j][which]));
            }
    }
}

/* out = a·I + b·X + c·X·Y, where X and Y are symmetric and commute, so that the sum is symmetric. */
AMX static void symmetric_product(uint16_t *x, uint16_t *y, Count size, float a, float b, float c, Square out) {
    const Operand left = operand_of(x, size, size), right = operand_of(y, size, size);
    float sums[4 * SUMS] __attribute__((aligned(64)));
    uint16_t spare[2 * HALVES * TILE] __attribute__((aligned(64)));
    Block last = {
        .sums = sums, .size = size, .x = b != 0 ? x : NULL, .a = a, .b = b, .c = c, .out = out, .spare = spare,
    };
    for (Count column = 0; column < size; column += WIDE)
        for (Count row = 0; row <= column; row += WIDE) {
            multiply_block(left, row, right, column, size, sums, write_part, column > 0 ? &last : NULL);
            last.row = row, last.column = column;
        }
    finish(write_part, &last);
}

/* A block's memory. X lies as in the model, so a tall matrix's block turned. */
typedef struct {
    Count lines, length;  /* of X as it lies in the model */
    Count depth, size;    /* of the Gram matrix's product, and its side: padded */
    Operand by_lines;     /* X as a left operand; */
    Operand by_pairs;     /* as a right one, which multiplies lines; */
    Operand turned;       /* and the other operand of its Gram matrix */
    Square gram;
    uint16_t *factor, *between, *product, *spare;
    float *sums;          /* of all blocks of the Gram matrix */
} Memory;

INLINE Operand place(float **scratch, Count size, Count depth, Count planes) {
    Operand operand = operand_of((uint16_t *)*scratch, size, depth);
    *scratch += planes * operand.plane / 2;
    if (planes == 1) operand.plane = 0;
    return operand;
}

static Memory memory_of(const MuonBlock *block, float **scratch) {
    Memory memory = {.lines = block->rows, .length = block->columns};
    if (block->is_tall) memory.lines = block->columns, memory.length = block->rows;
    const Count lines = padded(memory.lines), length = padded(memory.length), size = padded(block->rows);
    memory.size = size, memory.depth = padded(block->columns);
    memory.by_lines = place(scratch, lines, length, 1);
    memory.by_pairs = place(scratch, length, lines, 1);
    memory.turned = place(scratch, size, memory.depth, 1);
    memory.gram.left = place(scratch, size, size, HALVES).tiles;
    memory.gram.right = place(scratch, size, size, HALVES).tiles;
    memory.factor = place(scratch, size, size, HALVES).tiles;
    memory.between = place(scratch, size, size, HALVES).tiles;
    memory.product = place(scratch, size, size, HALVES).tiles;
    memory.spare = place(scratch, size, size, HALVES).tiles;
    memory.sums = *scratch;
    *scratch += 4 * SUMS * (size / WIDE) * (size / WIDE + 1) / 2;
    return memory;
}

Count matrix_unit_scratch(const MuonBlock *block) {
    float *const start = NULL, *end = start;
    memory_of(block, &end);
    return end - start;
}

/* Writes 32 numbers of two lines of X in both orders. */
AMX static inline void pack(const Memory *memory, Count line, Count at, float ahead[2][DEPTH]) {
    const Operand by_lines = memory->by_lines, by_pairs = memory->by_pairs;
    uint16_t *lines = by_lines.tiles + line / WIDE * 2 * by_lines.stripe + at / DEPTH * TILE + line % WIDE / 2 * DEPTH;
    uint16_t *pairs = by_pairs.tiles + at / WIDE * 2 * by_pairs.stripe + line / DEPTH * TILE + line % DEPTH / 2 * DEPTH;
    __m512i numbers[2];
    for (int i = 0; i < 2; i++)
        numbers[i] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_load_ps(ahead[i] + LINES), _mm512_load_ps(ahead[i]));
    _mm512_store_si512(lines, numbers[0]);
    _mm512_store_si512(lines + by_lines.stripe, numbers[1]);
    _mm512_store_si512(pairs, join(_mm512_slli_epi32(numbers[0], 16), _mm512_slli_epi32(numbers[1], 16)));
    _mm512_store_si512(pairs + by_pairs.stripe, join(numbers[0], numbers[1]));
}

/* Renews the momentum, and writes the momentum that looks ahead as X. */
AMX static void prepare(const Muon *muon, const MuonBlock *block, const Memory *memory) {
    float ahead[2][DEPTH] __attribute__((aligned(64)));
    for (Count line = 0; line < memory->lines; line += WIDE)
        for (Count at = 0; at < memory->length; at += WIDE) {
            for (Count i = line; i < line + WIDE; i += 2) {
                for (Count j = 0; j < 2; j++) {
                    const Count from = block->start + (i + j) * block->stride + at, rest = memory->length - at;
                    if (i + j < memory->lines && rest >= DEPTH) {
                        look_ahead(muon, from, DEPTH, ahead[j], 1);
                    } else {
                        memset(ahead[j], 0, sizeof ahead[j]);
                        if (i + j < memory->lines) look_ahead(muon, from, rest, ahead[j], 1);
                    }
                }
                pack(memory, i, at, ahead);
            }
            const Count number = block->is_tall ? at : line, deep = block->is_tall ? line : at;
            const Operand from = block->is_tall ? memory->by_pairs : memory->by_lines;
            for (Count j = 0; j < 2; j++) {
                const Count to = (number / LINES + j) * from.stripe + deep / DEPTH * TILE;
                turn_tile(from.tiles + to, memory->turned.tiles + to);
            }
        }
}

/* The squares of larger numbers might add up to infinity: X is then made smaller, by a power of two, which keeps its bits,
 * but leaves its norm far above `tiny`. */
#define LARGEST_TRACE 0x1p124f
#define MUCH_SMALLER 0x1p-70f

/* Computes the Gram matrix of X; returns its trace. */
AMX static float sum_gram(const MuonBlock *block, const Memory *memory) {
    const Operand left = block->is_tall ? memory->turned : memory->by_lines;
    const Operand right = block->is_tall ? memory->by_pairs : memory->turned;
    float trace = 0, *sums = memory->sums;
    for (Count column = 0; column < memory->size; column += WIDE)
        for (Count row = 0; row <= column; row += WIDE, sums += 4 * SUMS) {
            multiply_block(left, row, right, column, memory->depth, sums, NULL, NULL);
            for (Count i = 0; row == column && i < SUMS; i += LINES + 1) trace += sums[i] + sums[3 * SUMS + i];
        }
    return trace;
}

/* Writes the Gram matrix of X divided by its norm; returns what X is to be multiplied by for that. */
AMX static float write_gram(const Muon *muon, const MuonBlock *block, const Memory *memory) {
    float trace = sum_gram(block, memory);
    if (!(trace < LARGEST_TRACE)) {
        uint16_t *x = memory->by_lines.tiles;  /* the two other orders follow it */
        SIMD for (Count i = 0; i < memory->gram.left - x; i++) store(x, i, load(x, i, 1) * MUCH_SMALLER, 1);
        trace = sum_gram(block, memory);
    }
    const float shrink = 1 / (sqrtf(trace) * muon->safety + muon->tiny);
    Block each = {.sums = memory->sums, .size = memory->size, .c = shrink * shrink, .out = memory->gram};
    for (each.column = 0; each.column < memory->size; each.column += WIDE)
        for (each.row = 0; each.row <= each.column; each.row += WIDE, each.sums += 4 * SUMS) finish(write_part, &each);
    return shrink;
}

/* The product of all iterations' factors, as a left operand. */
AMX static uint16_t *product_of_iterations(const Muon *muon, const Memory *memory) {
    const Count size = memory->size;
    uint16_t *product = memory->product, *spare = memory->spare;
    for (Count iteration = 0; iteration < muon->iterations; iteration++) {
        const float *polynomial = muon->polynomials + 3 * iteration;
        const Square factor = {iteration == 0 ? product : NULL, memory->factor};
        symmetric_product(memory->gram.left, memory->gram.right, size, polynomial[0], polynomial[1], polynomial[2],
                          factor);
        if (iteration > 0) {
            symmetric_product(product, memory->factor, size, 0, 0, 1, (Square){spare, NULL});
            uint16_t *swapped = product;
            product = spare;
            spare = swapped;
        }
        if (iteration + 1 < muon->iterations) {
            symmetric_product(memory->gram.left, memory->factor, size, 0, 0, 1, (Square){memory->between, NULL});
            symmetric_product(memory->between, memory->factor, size, 0, 0, 1, memory->gram);
        }
    }
    return product;
}

/* A block of the update that is to be subtracted from the weights. */
typedef struct {
    const Muon *muon;
    const float *sums;
    Count start, stride, lines, length;  /* of the weights that it belongs to */
    float rate, keep;
} Update;

AMX static void apply_part(const void *work, Count part) {
    const Update *given = work;
    const __m512i lower = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i higher = _mm512_add_epi32(lower, _mm512_set1_epi32(8));
    float update[WIDE] __attribute__((aligned(64)));
    for (Count i = part * WIDE / PARTS; i < (part + 1) * WIDE / PARTS && i < given->lines; i++) {
        const float *sums = given->sums + i % 2 * 2 * SUMS + i / 2 * LINES;
        const __m512 even = _mm512_load_ps(sums), odd = _mm512_load_ps(sums + SUMS);
        _mm512_store_ps(update, _mm512_permutex2var_ps(even, lower, odd));
        _mm512_store_ps(update + LINES, _mm512_permutex2var_ps(even, higher, odd));
        const Count at = given->start + i * given->stride;
        if (given->length >= WIDE) apply(given->muon, at, WIDE, update, given->rate, given->keep, 1);
        else apply(given->muon, at, given->length, update, given->rate, given->keep, 1);
    }
}

/* Multiplies X by the symmetric `product`, and subtracts `rate` times that from the weights. */
AMX static void apply_product(const Muon *muon, const MuonBlock *block, const Memory *memory, uint16_t *product,
                              float rate, float keep) {
    const Count size = memory->size;
    const Operand square = operand_of(product, size, size);
    const Operand left = block->is_tall ? memory->by_lines : square, right = block->is_tall ? square : memory->by_pairs;
    float sums[4 * SUMS] __attribute__((aligned(64)));
    Update last = {.muon = muon, .sums = sums, .stride = block->stride, .rate = rate, .keep = keep};
    for (Count stripe = 0; block->is_tall && stripe < HALVES * size / LINES; stripe++)
        for (Count at = 0; at < size * LINES; at += TILE) {
            uint16_t *tile = product + stripe * square.stripe + at;
            turn_tile(tile, tile);
        }
    for (Count line = 0; line < memory->lines; line += WIDE)
        for (Count column = 0; column < memory->length; column += WIDE) {
            multiply_block(left, line, right, column, size, sums, apply_part, last.lines ? &last : NULL);
            last.start = block->start + line * block->stride + column;
            last.lines = memory->lines - line, last.length = memory->length - column;
        }
    finish(apply_part, &last);
}

AMX void update_on_matrix_unit(const Muon *muon, const MuonBlock *block, float *scratch, double lr) {
    const Memory memory = memory_of(block, &scratch);
    begin_tiles();
    prepare(muon, block, &memory);
    const float shrink = write_gram(muon, block, &memory);
    uint16_t *product = product_of_iterations(muon, &memory);
    apply_product(muon, block, &memory, product, rate_of(muon, block, lr) * shrink, kept(muon, lr));
    _tile_release();
}

#else

void update_on_matrix_unit(const Muon *muon, const MuonBlock *block, float *scratch, double lr) {
    (void)muon, (void)block, (void)scratch, (void)lr;
}
Count matrix_unit_scratch(const MuonBlock *block) { return 0 * block->rows; }

#endif
