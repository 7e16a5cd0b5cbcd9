/* min(a, b), NaN if either is. */
static inline real smaller(real a, real b)
{
    return a <= b || a != a ? a : b;
}
