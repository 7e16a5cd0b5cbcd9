def require_signs(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless all values are −1 or +1."""
    require(name, values, abs(values) == 1, f"-1 or 1 ({rule})")
