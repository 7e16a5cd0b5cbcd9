def drawn_signs(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Draw −1 or +1, each as likely."""
    return nested([rng.choice((-1.0, 1.0)) for _ in range(math.prod(shape))], shape)
