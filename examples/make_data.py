"""Write the examples' data files; `python examples/make_data.py` writes the same bytes again.

linear, chain, xor, moons, addition, own_formula, siren, heat, factors and texts are made here by
the formulas below, gpt and lstm from the names and the text beside this file, all on the standard
library alone. iris and digits are real: they are copied out of scikit-learn (any version from 0.20
on), which ships them; DATA.md beside this file names their sources and licences.
"""

import csv
from collections.abc import Iterable
from itertools import product
from math import cos, exp, hypot, pi, sin
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
LETTERS = "abcdefghijklmnopqrstuvwxyz"


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


def gpt(block: int = 12) -> None:
    """A row for each name of names.txt: its letters x, 1 to 26 between borders 0, and the next, t.

    x is filled up with borders, t with -100, which the loss leaves out.
    """
    names = (HERE / "names.txt").read_text(encoding="utf-8").split()
    rows = []
    for name in names:
        letters = [LETTERS.index(letter) + 1 for letter in name]
        rest = block - len(letters) - 1
        rows.append([0, *letters, *[0] * rest, *letters, 0, *[-100] * rest])
    columns = [f"{array}{k}" for array in "xt" for k in range(block)]
    write("gpt.csv", columns, rows)


def lstm(length: int = 25, step: int = 12) -> None:
    """Every twelfth window of river.txt, 25 letters each: a to z are 0 to 25, then space , and ."""
    text = " ".join((HERE / "river.txt").read_text(encoding="utf-8").split())
    numbers = [f"{LETTERS} ,.".index(letter) for letter in text]
    starts = range(0, len(numbers) - length + 1, step)
    columns = [f"c{k}" for k in range(length)]
    write("lstm.csv", columns, (numbers[k : k + length] for k in starts))


def siren(size: int = 24) -> None:
    """An image of 24 by 24: rings around a place off the middle, brighter to the right."""
    places = [2 * k / (size - 1) - 1 for k in range(size)]
    rows = (
        (row, column, 0.7 * cos(9 * hypot(row + 0.3, column - 0.2)) + 0.3 * column)
        for row, column in product(places, repeat=2)
    )
    write("siren.csv", ("row", "column", "brightness"), rows)


TOPICS = {  # what is spoken of, what it does, where or how
    "weather": (
        "rain snow wind fog thunder sunshine frost hail",
        "falls blows clears thickens melts settles",
        "early tonight again north inland slowly",
    ),
    "kitchen": (
        "soup bread garlic onion butter pepper dough salt",
        "boils simmers bakes rises browns cools",
        "gently covered quickly stirred twice slowly",
    ),
    "sea": (
        "ship sail anchor tide harbour gull mast net",
        "drifts sinks turns returns rises settles",
        "north ashore seaward early again homeward",
    ),
}
COMMON = "the a and then still while near very now"


def heat(count: int = 1200, nu: float = 0.1) -> None:
    """exp(-νπ²t)·sin(πx): what solves u_t = ν·u_xx with u = sin(πx) at first and 0 at both ends.

    A quarter of the points lies at t = 0 and a quarter at the ends, where it is `given`.
    """
    random = Random(7)
    rows = []
    for k in range(count):
        time, place = random.random(), random.random()
        if k % 4 == 0:
            time = 0.0
        elif k % 4 == 1:
            place = float(random.random() < 0.5)
        value = exp(-nu * pi**2 * time) * sin(pi * place)
        rows.append((time, place, value, k % 4 < 2))
    write("heat.csv", ("time", "place", "temperature", "given"), rows)


def texts(count: int = 240) -> None:
    """Texts of eight words, of weather, kitchen or sea; a tenth of the phrases of any topic."""
    random = Random(3)
    topics = list(TOPICS.values())
    words = sorted({word for topic in topics for part in topic for word in part.split()})
    words = [*COMMON.split(), *words]
    (HERE / "texts.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    rows = []
    for number in range(count):
        topic = number % len(topics)
        text = []
        for _ in range(2):
            spoken = topic if random.random() < 0.9 else random.randrange(len(topics))
            noun, verb, rest = (random.choice(part.split()) for part in topics[spoken])
            text += [random.choice(COMMON.split()), noun, verb, rest]
        rows.append([*map(words.index, text), topic])
    write("texts.csv", (*(f"w{k}" for k in range(8)), "topic"), rows)


def factors(users: int = 40, films: int = 30, count: int = 700, rank: int = 3) -> None:
    """Ratings 3 + b[user] + c[film] + Σ_k p[user,k]·q[film,k] + noise, of 700 pairs of 1,200."""
    random = Random(4)

    def normal(deviation: float, size: int) -> list[float]:
        return [random.gauss(0, deviation) for _ in range(size)]

    b, c = normal(0.4, users), normal(0.4, films)
    p, q = ([normal(0.6, rank) for _ in range(size)] for size in (users, films))
    pairs = random.sample(list(product(range(users), range(films))), count)
    rows = []
    for user, film in pairs:
        agreed = sum(taste * kind for taste, kind in zip(p[user], q[film], strict=True))
        rows.append((user, film, 3 + b[user] + c[film] + agreed + random.gauss(0, 0.1)))
    write("factors.csv", ("user", "film", "rating"), rows)


MADE = (
    *(linear, chain, xor, moons, addition, own_formula, gpt, lstm, siren, heat),
    *(texts, factors, iris, digits),
)

if __name__ == "__main__":
    for make in MADE:
        make()
