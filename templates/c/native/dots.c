/* A product of matrices that both run along their rows, c[i,j] = Σ_k a[i,k]·b[j,k]: the sums of
   4 × ACROSS places stay in registers, LANES of each. `more` adds to what c holds. */
#ifdef __AVX512F__
#define ACROSS 4
#define LANES (64 / (idx)sizeof(real))
#else
#define ACROSS 3
#define LANES (32 / (idx)sizeof(real))
#endif

SIZED void corner(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    const real *restrict b, idx b_row, real *restrict c, idx c_row, int more)
{
    real sum[4][ACROSS][LANES];
    for (idx i = 0; i < rows; i++) {
        for (idx j = 0; j < columns; j++) {
            for (idx lane = 0; lane < LANES; lane++) {
                sum[i][j][lane] = 0;
            }
        }
    }
    const idx whole = inner - inner % LANES;
    for (idx k = 0; k < whole; k += LANES) {
        for (idx i = 0; i < rows; i++) {
            for (idx j = 0; j < columns; j++) {
                SIMD()
                for (idx lane = 0; lane < LANES; lane++) {
                    sum[i][j][lane] += a[i * a_row + k + lane] * b[j * b_row + k + lane];
                }
            }
        }
    }
    for (idx i = 0; i < rows; i++) {
        for (idx j = 0; j < columns; j++) {
            for (idx half = LANES / 2; half > 0; half /= 2) {
                SIMD()
                for (idx lane = 0; lane < half; lane++) {
                    sum[i][j][lane] += sum[i][j][lane + half];
                }
            }
            real all = sum[i][j][0] + (more ? c[i * c_row + j] : 0);
            for (idx k = whole; k < inner; k++) {
                all += a[i * a_row + k] * b[j * b_row + k];
            }
            c[i * c_row + j] = all;
        }
    }
}

SIZED void side(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    const real *restrict b, idx b_row, real *restrict c, idx c_row, int more)
{
    const idx whole = columns - columns % ACROSS;
    for (idx j = 0; j < whole; j += ACROSS) {
        corner(rows, ACROSS, inner, a, a_row, b + j * b_row, b_row, c + j, c_row, more);
    }
    for (idx j = whole; j < columns; j++) {
        corner(rows, 1, inner, a, a_row, b + j * b_row, b_row, c + j, c_row, more);
    }
}

SIZED void dots(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    const real *restrict b, idx b_row, real *restrict c, idx c_row, int more)
{
    const idx whole = rows - rows % 4;
    for (idx i = 0; i < whole; i += 4) {
        side(4, columns, inner, a + i * a_row, a_row, b, b_row, c + i * c_row, c_row, more);
    }
    for (idx i = whole; i < rows; i++) {
        side(1, columns, inner, a + i * a_row, a_row, b, b_row, c + i * c_row, c_row, more);
    }
}
