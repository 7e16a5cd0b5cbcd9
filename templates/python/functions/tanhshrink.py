def tanhshrink(x: float) -> float:
    """x − tanh(x); where |x| < 1, x³·p(x²)/q(x²) by tanh's continued fraction: no digits cancel."""
    t = x * x
    if t >= 1:
        return x - math.tanh(x)
    p = 11486475 + t * (810810 + t * (12870 + t * 44))
    q = 34459425 + t * (16216200 + t * (945945 + t * (13860 + t * 45)))
    return x * t * (p / q)
