/* x² */
static inline real square(real x)
{
    return x * x;
}
