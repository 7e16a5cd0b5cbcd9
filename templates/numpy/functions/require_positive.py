def require_positive(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless all values are above 0."""
    require(name, values, values > 0, f"above 0 ({rule})")
