"""In a notebook: the example runs as it is kept, and every stage shows itself."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from notebooks import notebooks, run

from symback import pipeline

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_kept(path: Path) -> None:
    """`python tests/notebooks.py` keeps anew what the cells show."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    ran = run(path)
    for before, after in zip(kept["cells"], ran["cells"], strict=True):
        assert before == after, "".join(before["source"])
    assert sum(cell["cell_type"] == "code" for cell in kept["cells"]) >= 6


def test_the_notebook_goes_from_a_spec_to_a_trained_network() -> None:
    text = (EXAMPLES / "chain.ipynb").read_text(encoding="utf-8")
    for word in ("symback.load", "symback.derive", "symback.generate", "symback.compile", "train"):
        assert word in text


def formulas(html: str) -> int:
    """Return how many formulas a piece of HTML shows; it must be well-formed."""
    plain = re.sub(r"<style>.*?</style>|&(?!amp;|lt;|gt;|#)\w+;", "", html)
    rooted = f"<div>{plain}</div>"
    return len(ElementTree.fromstring(rooted).findall(".//math"))


@pytest.mark.parametrize("name", ["chain", "digits", "own_formula"])
def test_every_stage_shows_itself(name: str) -> None:
    derivation = pipeline.derive(EXAMPLES / f"{name}.yaml")
    lines = (*derivation.forward, *derivation.loss)
    assert formulas(derivation._repr_html_()) == len(lines) + len(derivation.backward)
    assert derivation._repr_latex_().count("&=") == len(lines) + len(derivation.backward)
    graph = derivation.graph
    assert formulas(graph._repr_html_()) == len(graph.layers) + len(graph.loss)
    assert graph._repr_latex_().startswith("$\\begin{aligned}")
    for line in lines:
        equation = line.terms[0].equation
        assert formulas(equation._repr_html_()) == 1
        assert re.fullmatch(r"\$[^$]* = [^$]*\$", equation._repr_latex_())
    module = pipeline.generate(EXAMPLES / f"{name}.yaml")
    shown = module._repr_html_()
    assert formulas(shown) == 0
    plain = "".join(ElementTree.fromstring(f"<div>{shown}</div>").itertext())
    assert module.text in plain
    assert module._repr_latex_().startswith("\\texttt{")
