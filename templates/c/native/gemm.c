/* A large product of matrices, c[i,j] = Σ_k a[i,k]·b[k,j], in blocks that threads share. b's
   neighbours stand b_inner and b_column apart. A sum takes its terms in the same order whatever the
   blocks are, and so whatever threads there are. */
#ifdef BLAS
/* A vast one is a BLAS's: each thread calls it for a part of the longer side. Threads of its own
   would wait for work where these have to compute. */
enum { BY_ROWS = 101, AS_IT_IS = 111, TURNED = 112, VAST = 1 << 25 };
void B(gemm)(int order, int turn_a, int turn_b, int rows, int columns, int inner, real alpha,
    const real *a, int a_row, const real *b, int b_row, real beta, real *c, int c_row);
void scipy_openblas_set_num_threads(int count);

static void vast(idx rows, idx columns, idx inner, const real *a, idx a_row, idx a_inner,
    const real *b, idx b_inner, idx b_column, real *c, idx c_row, int more)
{
    const int turn_a = a_inner != 1, turn_b = b_column != 1;
    const idx parts = SHARES, longer = rows > columns ? rows : columns;
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
    const idx threads = SHARES, all = (columns + TILE - 1) / TILE;
    const idx share = (all + threads - 1) / threads;  // strips
    const idx width = (share < STRIPS ? share : STRIPS) * TILE;
    const idx across = (columns + width - 1) / width, parts = (threads + across - 1) / across;
    const idx part = (rows + parts * ROWS - 1) / (parts * ROWS) * ROWS;
    const idx height = a_row == 1 && part > HEIGHT ? HEIGHT : part;
    PARALLEL(1)
    for (idx place = 0; place < across * ((rows + height - 1) / height); place++) {
        const idx i = place / across * height, j = place % across * width;
        block(rows - i < height ? rows - i : height, columns - j < width ? columns - j : width,
            inner, a + i * a_row, a_row, a_inner, b + j * b_column, b_inner, b_column,
            c + i * c_row + j, c_row, more);
    }
}
