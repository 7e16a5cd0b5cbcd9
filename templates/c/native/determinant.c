static real determinant(idx n, const real *restrict a, real *restrict work)
{
    for (idx i = 0; i < n * n; i++) {
        work[i] = a[i];
    }
    return eliminate(n, work, NULL);
}
