"""Reverse mode by one object per number, as teaching libraries do it: plain Python's usual peer."""

from collections.abc import Iterator


class Value:
    """A number that remembers what it was made from."""

    __slots__ = ("data", "grad", "sources")

    def __init__(self, data: float, *sources: "tuple[Value, float]") -> None:
        self.data = data
        self.grad = 0.0
        self.sources = sources  # each with the slope by it

    def __add__(self, other: "Value") -> "Value":
        return Value(self.data + other.data, (self, 1.0), (other, 1.0))

    def __mul__(self, other: "Value") -> "Value":
        return Value(self.data * other.data, (self, other.data), (other, self.data))

    def relu(self) -> "Value":
        """Return max(0, self)."""
        return Value(max(0.0, self.data), (self, float(self.data > 0)))

    def backward(self) -> None:
        """Add ∂self/∂v to the `grad` of every value v that this one was made from."""
        self.grad = 1.0
        for value in reversed(list(self._in_order())):
            for source, slope in value.sources:
                source.grad += slope * value.grad

    def _in_order(self) -> Iterator["Value"]:
        """Yield all values below, each after what it was made from."""
        seen: set[int] = set()
        waiting = [(self, False)]
        while waiting:
            value, done = waiting.pop()
            if done:
                yield value
            elif id(value) not in seen:
                seen.add(id(value))
                waiting.append((value, True))
                waiting += [(source, False) for source, _ in value.sources]
