/* Elimination of a, in place, with the largest pivots, and of more beside it, where that is given:
   it becomes a⁻¹·more. Returns det a; 0 leaves NaN in more. */
static real eliminate(idx n, real *restrict a, real *more)
{
    real det = 1;
    for (idx k = 0; k < n; k++) {
        idx best = k;
        for (idx i = k + 1; i < n; i++) {
            if (R(fabs)(a[i * n + k]) > R(fabs)(a[best * n + k])) {
                best = i;
            }
        }
        const real pivot = a[best * n + k];
        det *= best == k ? pivot : -pivot;
        if (pivot == 0) {
            for (idx i = 0; more && i < n * n; i++) {
                more[i] = NAN;
            }
            return 0;
        }
        for (idx j = 0; j < n; j++) {  // rows k and best change places, the pivot becomes 1
            const real upper = a[best * n + j] / pivot;
            a[best * n + j] = a[k * n + j];
            a[k * n + j] = upper;
            if (more) {
                const real right = more[best * n + j] / pivot;
                more[best * n + j] = more[k * n + j];
                more[k * n + j] = right;
            }
        }
        for (idx i = 0; i < n; i++) {
            const real times = a[i * n + k];
            for (idx j = 0; i != k && j < n; j++) {
                a[i * n + j] -= times * a[k * n + j];
                if (more) {
                    more[i * n + j] -= times * more[k * n + j];
                }
            }
        }
    }
    return det;
}
