def require_unit(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless all values are in 0 … 1."""
    require(name, values, lambda value: 0 <= value <= 1, f"in 0 … 1 ({rule})")
