def require_one_sum(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless the last axis sums to one."""
    total = values.sum(axis=-1)
    require(f"the sum of {name}", total, abs(total - 1) < 1e-4, f"1 ({rule})")
