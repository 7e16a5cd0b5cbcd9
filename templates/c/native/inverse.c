/* into = a⁻¹; NaN where there is none. */
static void inverse(idx n, const real *restrict a, real *restrict into, real *restrict work)
{
    for (idx i = 0; i < n * n; i++) {
        work[i] = a[i];
        into[i] = i / n == i % n;
    }
    eliminate(n, work, into);
}
