def require_weights(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless all values are 0 or above."""
    require(name, values, lambda value: value >= 0, f"0 or above ({rule})")
