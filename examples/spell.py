"""Invent names with the module that examples/gpt.yaml became, on any target.

symback train examples/gpt.yaml && python examples/spell.py
"""

import argparse
import math
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from types import ModuleType

LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # the first is the border of a name
BLOCK = 12


def imported(path: Path) -> ModuleType:
    """Import a generated module from its file."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"there is no module {path}: run `symback train examples/gpt.yaml` first")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spelled(gpt: ModuleType, params: dict[str, object], rng: Random, temperature: float) -> str:
    """Draw letter after letter, p(c) = exp(zc/temperature)/Σ exp, until a border is drawn."""
    word: list[int] = []
    while len(word) < BLOCK - 1:
        x = [0, *word] + [0] * (BLOCK - 1 - len(word))
        logits = [float(z) / temperature for z in gpt.predict(params, [x])[0][len(word)]]
        most = max(logits)
        weights = [math.exp(z - most) for z in logits]
        [letter] = rng.choices(range(len(LETTERS)), weights)
        if letter == 0:
            break
        word.append(letter)
    return "".join(LETTERS[k] for k in word)


def main() -> None:
    """Print new names, none of them in names.txt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=Path, nargs="?", default=Path("gpt.py"))
    parser.add_argument("weights", type=Path, nargs="?", default=Path("gpt.weights.npz"))
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    gpt, rng = imported(given.module), Random(given.seed)
    params = gpt.load(given.weights)
    known = set(Path(__file__).with_name("names.txt").read_text(encoding="utf-8").split())
    found: dict[str, None] = {}
    while len(found) < given.count:
        word = spelled(gpt, params, rng, given.temperature)
        if word and word not in known:
            found[word] = None
    print(" ".join(found))


if __name__ == "__main__":
    main()
