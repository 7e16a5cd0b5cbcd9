/* 1 / (1 + exp(−x)): with e = exp(−|x|), 1 / (1 + e) where x ≥ 0, else e / (1 + e). */
static inline real sigmoid(real x)
{
    const real e = R(exp)(-R(fabs)(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}
