/* log det a; NaN where det a is below 0. */
static real log_determinant(idx n, const real *restrict a, real *restrict work)
{
    for (idx i = 0; i < n * n; i++) {
        work[i] = a[i];
    }
    return R(log)(eliminate(n, work, NULL));
}
