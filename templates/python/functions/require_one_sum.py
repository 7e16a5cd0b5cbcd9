def require_one_sum(name: str, values: Array, rule: str) -> None:
    """Raise ValueError unless the last axis sums to one."""
    total = [sum(row) for row in rows_of(values)]
    require(f"the sum of {name}", total, lambda one: abs(one - 1) < 1e-4, f"1 ({rule})")
