"""Write the examples' data files; `python examples/make_data.py` writes the same bytes again.

linear, chain, xor, moons, addition and own_formula are made here by the formulas below, on the
standard library alone. iris and digits are real: they are copied out of scikit-learn (any version
from 0.20 on), which ships them; DATA.md beside this file names their sources and licences.
"""

import csv
from collections.abc import Iterable
from itertools import product
from math import cos, pi, sin
from pathlib import Path
from random import Random

HERE = Path(__file__).parent


def write(name: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write one CSV file: a row of column names, then the values, whole numbers without a point."""
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{value:.6g}" for value in row] for row in rows)


def linear() -> None:
    """Four points of t = 2x."""
    write("linear.csv", ("x", "t"), ((x, 2 * x) for x in (1, 2, 3, 4)))


def chain() -> None:
    """The parabola t = x², at 21 points of [-1, 1]."""
    write("chain.csv", ("x", "t"), ((k / 10, (k / 10) ** 2) for k in range(-10, 11)))


def xor() -> None:
    """t = 1 where exactly one of a and b is 1."""
    write("xor.csv", ("a", "b", "t"), ((a, b, a ^ b) for a, b in product((0, 1), repeat=2)))


def moons(count: int = 50, noise: float = 0.1) -> None:
    """Two half circles that grip each other, each point moved by normal noise.

    With θ = πk/(count - 1): (cos θ, sin θ) has the label -1, (1 - cos θ, 1/2 - sin θ) the label 1.
    """
    random = Random(1)
    angles = [pi * k / (count - 1) for k in range(count)]
    outer = [(cos(angle), sin(angle), -1) for angle in angles]
    inner = [(1 - cos(angle), 0.5 - sin(angle), 1) for angle in angles]
    rows = (
        (a + random.gauss(0, noise), b + random.gauss(0, noise), t)
        for pair in zip(outer, inner, strict=True)
        for a, b, t in pair
    )
    write("moons.csv", ("a", "b", "t"), rows)


def addition(count: int = 400, bits: int = 8) -> None:
    """Pairs of numbers below 128 and their sums, in binary, the lowest bit first: a, b, a, b, …"""
    random = Random(2)
    pairs = [(random.randrange(128), random.randrange(128)) for _ in range(count)]
    names = [f"{letter}{k}" for k in range(bits) for letter in "ab"]
    rows = (
        [
            *(value >> k & 1 for k in range(bits) for value in pair),
            *(sum(pair) >> k & 1 for k in range(bits)),
        ]
        for pair in pairs
    )
    write("addition.csv", (*names, *(f"s{k}" for k in range(bits))), rows)


def own_formula() -> None:
    """The curve t = sin 3x + 0.3·cos 9x, at 81 points of [-2, 2]."""
    points = (k / 20 for k in range(-40, 41))
    write("own_formula.csv", ("x", "t"), ((x, sin(3 * x) + 0.3 * cos(9 * x)) for x in points))


def iris() -> None:
    """150 flowers in centimetres; species 0 is setosa, 1 versicolor, 2 virginica."""
    from sklearn.datasets import load_iris

    data = load_iris()
    columns = ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
    rows = zip(data.data, data.target, strict=True)
    write("iris.csv", columns, ((*flower, species) for flower, species in rows))


def digits() -> None:
    """1,797 images of 8 by 8 pixels from 0 to 16, row by row, and the digit each shows."""
    from sklearn.datasets import load_digits

    data = load_digits()
    columns = (*(f"p{k}" for k in range(64)), "digit")
    rows = zip(data.data, data.target, strict=True)
    write("digits.csv", columns, ((*image, digit) for image, digit in rows))


if __name__ == "__main__":
    for make in (linear, chain, xor, moons, addition, own_formula, iris, digits):
        make()
