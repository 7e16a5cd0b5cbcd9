def erf_into(out: Array, x: Array, u: Array, v: Array, z: Array, small: Array) -> None:
    """Write erf(x): 1 − erfc(x), between −1 and 1 its series 2/√π Σ (−1)^k x^(2k+1)/(k!·(2k+1)).

    u, v, z and, for truth values, small are arrays to work in.
    """
    erfc_into(out, x, u, v, z)
    np.subtract(1, out, out=out)
    np.abs(x, out=u)
    np.less(u, 1, out=small)
    np.minimum(u, 1, out=u)
    np.multiply(u, u, out=u)
    np.negative(u, out=u)
    v.fill(0)
    for k in reversed(range(18)):
        v *= u
        v += 2 / (math.sqrt(math.pi) * math.factorial(k) * (2 * k + 1))
    v *= x
    np.copyto(out, v, where=small)
