"""A story as JSON: the same equations, for programs."""

import json
from typing import Any

from symback import notation
from symback.inspect.messages import text
from symback.inspect.story import Formula, Part, Story, shown
from symback.program import Tensor


def document(story: Story, *, steps: bool) -> str:
    """Return the story as a JSON object."""
    program = story.program
    content = {
        "model": program.model,
        "source": program.source,
        "digest": program.digest,
        "objective": program.objective,
        "output": program.output,
        "tensors": [_tensor(tensor) for tensor in program.tensors],
        "forward": [_formula(formula, story, steps=False) for formula in story.forward],
        "loss": [_formula(formula, story, steps=False) for formula in story.loss],
        "backward": [_formula(formula, story, steps=steps) for formula in story.backward],
        "renewal": [_formula(formula, story, steps=False) for formula in story.renewal],
        "gradients": dict(story.gradients),
        "assumptions": [
            {"tensor": each.tensor, "kind": each.kind, "because": each.because}
            for each in program.assumptions
        ],
        "notes": list(program.notes),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "key": tensor.key,
        "role": str(tensor.role),
        "shape": list(tensor.shape),
        "classes": tensor.classes,
    }


def _formula(formula: Formula, story: Story, *, steps: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": formula.name,
        "layer": formula.layer,
        "by": None if formula.of is None else formula.of.key,
        "equation": formula.text,
        "numpy": formula.code,
    }
    if steps:
        told["terms"] = [_part(part, story) for part in formula.steps]
    return told


def _part(part: Part, story: Story) -> dict[str, Any]:
    names = shown(part, story.adjoints)
    return {
        "layer": part.layer,
        "steps": [
            {
                "kind": rung.kind,
                "equation": notation.equation(part.target, rung.rhs, names),
                "words": " ".join(text(words) for words in rung.words),
            }
            for rung in part.ladder
        ],
    }
