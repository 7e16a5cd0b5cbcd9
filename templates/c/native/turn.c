/* t[i,j] = a[j,i], in blocks whose rows all stay at hand. */
SIZED void turn(idx rows, idx columns, const real *restrict a, idx a_row, real *restrict t,
    idx t_row)
{
    enum { SIDE = 8 };
    for (idx j = 0; j < columns; j += SIDE) {
        const idx right = j + SIDE < columns ? j + SIDE : columns;
        for (idx i = 0; i < rows; i += SIDE) {
            if (i + SIDE <= rows && right == j + SIDE) {
                for (idx p = 0; p < SIDE; p++) {
                    for (idx q = 0; q < SIDE; q++) {
                        t[(i + p) * t_row + j + q] = a[(j + q) * a_row + i + p];
                    }
                }
                continue;
            }
            for (idx p = i; p < rows && p < i + SIDE; p++) {
                for (idx q = j; q < right; q++) {
                    t[p * t_row + q] = a[q * a_row + p];
                }
            }
        }
    }
}
