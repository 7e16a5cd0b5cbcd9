/* The lower triangular `into` with into·intoᵀ = (a + aᵀ)/2; NaN where there is none. */
static void cholesky(idx n, const real *restrict a, real *restrict into, real *restrict work)
{
    for (idx i = 0; i < n; i++) {
        for (idx j = 0; j < n; j++) {
            work[j] = (a[i * n + j] + a[j * n + i]) / 2;
            into[i * n + j] = 0;
        }
        for (idx j = 0; j <= i; j++) {
            real rest = work[j];
            for (idx k = 0; k < j; k++) {
                rest -= into[i * n + k] * into[j * n + k];
            }
            if (i == j) {
                into[i * n + i] = rest > 0 ? R(sqrt)(rest) : (real)NAN;
            } else {
                into[i * n + j] = rest / into[j * n + j];
            }
        }
    }
}
