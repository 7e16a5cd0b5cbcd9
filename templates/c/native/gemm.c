/* A large product of matrices, c[i,j] = Σ_k a[i,k]·b[k,j], by a BLAS and its threads where there is
   one. b's neighbours stand b_inner and b_column apart. */
#ifdef BLAS
enum { BY_ROWS = 101, AS_IT_IS = 111, TURNED = 112 };
void B(gemm)(int order, int turn_a, int turn_b, int rows, int columns, int inner, real alpha,
    const real *a, int a_row, const real *b, int b_row, real beta, real *c, int c_row);

static void gemm(idx rows, idx columns, idx inner, const real *a, idx a_row, idx a_inner,
    const real *b, idx b_inner, idx b_column, real *c, idx c_row, int more)
{
    const int turn_a = a_inner != 1, turn_b = b_column != 1;
    B(gemm)(BY_ROWS, turn_a ? TURNED : AS_IT_IS, turn_b ? TURNED : AS_IT_IS, (int)rows,
        (int)columns, (int)inner, 1, a, (int)(turn_a ? a_inner : a_row), b,
        (int)(turn_b ? b_column : b_inner), more ? 1 : 0, c, (int)c_row);
}
#else
static void gemm(idx rows, idx columns, idx inner, const real *a, idx a_row, idx a_inner,
    const real *b, idx b_inner, idx b_column, real *c, idx c_row, int more)
{
    if (b_column == 1) {
        product(rows, columns, inner, a, a_row, a_inner, b, b_inner, c, c_row, more);
        return;
    }
    for (idx i = 0; i < rows; i++) {
        for (idx j = 0; j < columns; j++) {
            real sum = more ? c[i * c_row + j] : 0;
            SIMD(reduction(+:sum))
            for (idx k = 0; k < inner; k++) {
                sum += a[i * a_row + k * a_inner] * b[k * b_inner + j * b_column];
            }
            c[i * c_row + j] = sum;
        }
    }
}
#endif
