def drawn_labels(rng: Rng, shape: tuple[int, ...], classes: int) -> Array:
    """Draw class labels 0 … classes − 1, each as likely."""
    return nested([rng.randrange(classes) for _ in range(math.prod(shape))], shape)
