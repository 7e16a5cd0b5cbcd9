/* x⁴ */
static inline real fourth(real x)
{
    return x * x * x * x;
}
