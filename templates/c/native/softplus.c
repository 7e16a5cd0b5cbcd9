/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(−|x|)), where nothing overflows. */
static inline real softplus(real x)
{
    return larger(x, 0) + R(log1p)(R(exp)(-R(fabs)(x)));
}
