def require_unit(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless all values are in 0 … 1."""
    require(name, values, (values >= 0) & (values <= 1), f"in 0 … 1 ({rule})")
