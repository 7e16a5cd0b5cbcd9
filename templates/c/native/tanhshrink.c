/* x − tanh(x); where |x| < 1, x³·p(x²)/q(x²) by tanh's continued fraction: no digits cancel. */
static inline real tanhshrink(real x)
{
    real t = smaller(x * x, 1);
    real p = 11486475 + t * (810810 + t * (12870 + t * 44));
    real q = 34459425 + t * (16216200 + t * (945945 + t * (13860 + t * 45)));
    return t < 1 ? x * t * (p / q) : x - R(tanh)(x);
}
