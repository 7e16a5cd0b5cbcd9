def drawn_orthogonal(rng: Rng, shape: tuple[int, ...], gain: float) -> Array:
    """Draw unit vectors at right angles, times gain: the rows, or the columns of more rows.

    They are the Q of a normal matrix Q·R, where R has a positive diagonal.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return gain * (q if rows > columns else q.T).reshape(shape)
