/* −1, 0 or 1; NaN stays NaN. */
static inline real sign(real x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}
