/* max(a, b), NaN if either is. */
static inline real larger(real a, real b)
{
    return a >= b || a != a ? a : b;
}
