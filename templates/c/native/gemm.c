/* A large product of matrices, c[i,j] = Σ_k a[i,k]·b[k,j], in blocks that threads share. b's
   neighbours stand b_inner and b_column apart. What a block needs of b is copied, DEPTH rows at a
   time, to where it is read in order. */
enum { DEPTH = 256, HEIGHT = 96, STRIPS = 8 };

static void block(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict b, idx b_inner, idx b_column, real *restrict c, idx c_row,
    int more)
{
    real near[DEPTH * TILE];
    for (idx done = 0; done < inner; done += DEPTH) {
        const idx depth = inner - done < DEPTH ? inner - done : DEPTH;
        const real *from = b + done * b_inner;
        if (b_column == 1) {
            for (idx k = 0; k < depth; k++) {
                memcpy(near + k * TILE, from + k * b_inner, (size_t)columns * sizeof(real));
            }
        } else {
            turn(depth, columns, from, b_column, near, TILE);
        }
        product(rows, columns, depth, a + done * a_inner, a_row, a_inner, near, TILE, c, c_row,
            more || done);
    }
}

#ifdef BLAS
/* A vast one is a BLAS's: each thread calls it for a part of the longer side. Threads of its own
   would wait for work where these have to compute. */
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_max_threads() 1
#endif
enum { BY_ROWS = 101, AS_IT_IS = 111, TURNED = 112, VAST = 1 << 25 };
void B(gemm)(int order, int turn_a, int turn_b, int rows, int columns, int inner, real alpha,
    const real *a, int a_row, const real *b, int b_row, real beta, real *c, int c_row);
void scipy_openblas_set_num_threads(int count);

static void vast(idx rows, idx columns, idx inner, const real *a, idx a_row, idx a_inner,
    const real *b, idx b_inner, idx b_column, real *c, idx c_row, int more)
{
    const int turn_a = a_inner != 1, turn_b = b_column != 1;
    const idx parts = omp_get_max_threads(), longer = rows > columns ? rows : columns;
    scipy_openblas_set_num_threads(1);
    PARALLEL(1)
    for (idx part = 0; part < parts; part++) {
        const idx from = longer * part / parts, count = longer * (part + 1) / parts - from;
        const idx i = rows > columns ? from : 0, j = rows > columns ? 0 : from;
        B(gemm)(BY_ROWS, turn_a ? TURNED : AS_IT_IS, turn_b ? TURNED : AS_IT_IS,
            (int)(rows > columns ? count : rows), (int)(rows > columns ? columns : count),
            (int)inner, 1, a + i * a_row, (int)(turn_a ? a_inner : a_row), b + j * b_column,
            (int)(turn_b ? b_column : b_inner), more ? 1 : 0, c + i * c_row + j, (int)c_row);
    }
}
#endif

static void gemm(idx rows, idx columns, idx inner, const real *a, idx a_row, idx a_inner,
    const real *b, idx b_inner, idx b_column, real *c, idx c_row, int more)
{
#ifdef BLAS
    if (rows * columns * inner >= VAST) {
        vast(rows, columns, inner, a, a_row, a_inner, b, b_inner, b_column, c, c_row, more);
        return;
    }
#endif
    const idx strips = (columns + TILE - 1) / TILE;
    const idx height = strips >= STRIPS ? rows : HEIGHT;  // few strips: rows are shared out too
    PARALLEL(1)
    for (idx place = 0; place < strips * ((rows + height - 1) / height); place++) {
        const idx i = place / strips * height, j = place % strips * TILE;
        block(rows - i < height ? rows - i : height, columns - j < TILE ? columns - j : TILE, inner,
            a + i * a_row, a_row, a_inner, b + j * b_column, b_inner, b_column, c + i * c_row + j,
            c_row, more);
    }
}
