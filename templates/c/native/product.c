/* A product of matrices, c[i,j] = Σ_k a[i,k]·b[k,j], for sizes that a library is too heavy for: the
   sums of ROWS × TILE places stay in registers. `more` adds to what c holds. a's neighbours stand
   a_row and a_inner apart, b's and c's rows b_row and c_row. */
#ifdef __AVX512F__
#define ROWS 8
#define TILE (128 / (idx)sizeof(real))
#else
#define ROWS 6
#define TILE (64 / (idx)sizeof(real))
#endif

SIZED void tile(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict b, idx b_row, real *restrict c, idx c_row, int more)
{
    real sum[ROWS][TILE];
    for (idx i = 0; i < rows; i++) {
        for (idx j = 0; j < columns; j++) {
            sum[i][j] = more ? c[i * c_row + j] : 0;
        }
    }
    for (idx k = 0; k < inner; k++) {
        for (idx i = 0; i < rows; i++) {
            const real a_ik = a[i * a_row + k * a_inner];
            SIMD()
            for (idx j = 0; j < columns; j++) {
                sum[i][j] += a_ik * b[k * b_row + j];
            }
        }
    }
    for (idx i = 0; i < rows; i++) {
        for (idx j = 0; j < columns; j++) {
            c[i * c_row + j] = sum[i][j];
        }
    }
}

SIZED void strip(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict b, idx b_row, real *restrict c, idx c_row, int more)
{
    idx done = 0;
    for (; done + ROWS <= rows; done += ROWS) {
        tile(ROWS, columns, inner, a + done * a_row, a_row, a_inner, b, b_row, c + done * c_row,
            c_row, more);
    }
    for (idx left = rows - done; left > 0; left = rows - done) {  // fewer: 4, 2 and 1 at a time
        const real *from = a + done * a_row;
        real *into = c + done * c_row;
        if (left >= 4) {
            tile(4, columns, inner, from, a_row, a_inner, b, b_row, into, c_row, more);
            done += 4;
        } else if (left >= 2) {
            tile(2, columns, inner, from, a_row, a_inner, b, b_row, into, c_row, more);
            done += 2;
        } else {
            tile(1, columns, inner, from, a_row, a_inner, b, b_row, into, c_row, more);
            done += 1;
        }
    }
}

SIZED void product(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict b, idx b_row, real *restrict c, idx c_row, int more)
{
    const idx whole = columns - columns % TILE;
    for (idx j = 0; j < whole; j += TILE) {
        strip(rows, TILE, inner, a, a_row, a_inner, b + j, b_row, c + j, c_row, more);
    }
    if (whole < columns) {
        strip(rows, columns - whole, inner, a, a_row, a_inner, b + whole, b_row, c + whole, c_row,
            more);
    }
}
