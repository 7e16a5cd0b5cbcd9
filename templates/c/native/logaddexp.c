/* log(exp(a) + exp(b)) = max(a, b) + log(1 + exp(−|a − b|)), where nothing overflows. */
static inline real logaddexp(real a, real b)
{
    return larger(a, b) + (a == b ? R(log)(2) : R(log1p)(R(exp)(-R(fabs)(a - b))));
}
