def drawn_labels(rng: Rng, shape: tuple[int, ...], classes: int) -> Array:
    """Draw class labels 0 … classes − 1, each as likely."""
    return rng.integers(0, classes, shape)
