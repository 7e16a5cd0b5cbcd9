/* log(1 / (1 + exp(−x))) = min(x, 0) − log(1 + exp(−|x|)), where nothing overflows. */
static inline real log_sigmoid(real x)
{
    return smaller(x, 0) - R(log1p)(R(exp)(-R(fabs)(x)));
}
