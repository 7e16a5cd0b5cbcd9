"""`symback verify`: a backward pass written by hand, held against the derived one.

`theirs` calls the person's function, `variants` lists what can be wrong with each derived line,
`diagnosis` finds which of it explains what differs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symback import evaluation, making, pipeline
from symback import functions as fn
from symback.errors import Mistake, UserError
from symback.evaluation import Network
from symback.program import Contract, Role
from symback.targets import numpy
from symback.verify.diagnosis import SINGLE, TOLERANCE, Diagnosis, Finding
from symback.verify.hypotheses import Hypotheses
from symback.verify.theirs import Answer, Theirs, find

__all__ = ["Finding", "Verdict", "verify"]

PRIMES = (5, 7, 11, 3, 13, 17, 19, 23, 29, 31, 37, 41)
LARGE = 1_000.0  # what the outputs reach at the points that try stability


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a comparison: which gradients are right, which differ, and why."""

    title: str
    model: str
    examples: tuple[int, ...]  # at each point
    tolerance: float
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def verify(source: Path, place: str, count: int = 3, arrays: str = "numpy") -> Verdict:
    """Hold the function of `FILE.py:FUNCTION` against a spec's gradients at `count` random points.

    `arrays` is what the function is given: numpy, list or torch. Raises UserError where the spec
    or the file can't be used, and where the function fails.
    """
    spec = pipeline.load(source)
    network = evaluation.network(spec, making.input_names(spec))
    return compare(Hypotheses(network), place, count, arrays)


def compare(hypotheses: Hypotheses, place: str, count: int = 3, arrays: str = "numpy") -> Verdict:
    """Hold a function against a network that is derived already."""
    network = hypotheses.network
    theirs = find(place, network.program, arrays)
    points = [_point(network, n, seed) for seed, n in enumerate(_counts(network, count))]
    answers = [theirs.at(point) for point in points]
    _require_repeatable(theirs, points[0], answers[0])
    tolerance = SINGLE if any(answer.single for answer in answers) else TOLERANCE
    held = [_held(network, answer) for answer in answers]
    diagnosis = Diagnosis(hypotheses, points, held, tolerance)
    given = diagnosis.given
    wrong = diagnosis.wrong()
    findings = [*diagnosis.findings()] if wrong else [*_at_large_values(hypotheses, theirs)]
    return Verdict(
        title=theirs.title,
        model=network.program.source or network.program.model,
        examples=tuple(_counts(network, count)),
        tolerance=tolerance,
        right=tuple(name for name in given if name not in wrong),
        wrong=wrong,
        findings=tuple(findings),
    )


def _counts(network: Network, count: int) -> list[int]:
    """Return how many examples each point has: primes that no axis has."""
    taken = {dim for tensor in network.program.tensors for dim in tensor.shape}
    free = [n for n in PRIMES if n not in taken]
    return [free[k % len(free)] for k in range(count)]


def _point(network: Network, count: int, seed: int) -> dict[str, Any]:
    """Draw examples and parameters: the spec's start, moved a little, so that nothing is zero."""
    rng = np.random.default_rng(seed)
    params = {key: np.array(w, np.float64) for key, w in network.module.init(seed).items()}
    for key, w in params.items():
        size = max(float(np.abs(w).max(initial=0.0)), 0.1)
        params[key] = w + 0.3 * size * rng.normal(size=w.shape)
    return network.run(network.start(params, network.module.sample(count, seed)))


def _held(network: Network, answer: Answer) -> Mapping[str, np.ndarray[Any, Any]]:
    """Return an answer under the names that the points have: dW1 …, and L."""
    known = {call.target for call in network.calls}
    held = {f"d{name}": array for name, array in answer.grads.items() if f"d{name}" in known}
    if answer.loss is not None and not network.program.tensor(network.program.objective).shape:
        held[network.program.objective] = np.array(answer.loss)
    return held


def _require_repeatable(theirs: Theirs, point: Mapping[str, Any], answer: Answer) -> None:
    """Raise UserError where a second call with the same arguments gives something else."""
    again = theirs.at(point)
    for name, array in answer.grads.items():
        if not np.array_equal(array, again.grads[name], equal_nan=True):
            told = f"two calls with the same arguments give two different d{name}"
            hint = (
                "does it draw random numbers, or keep something between calls? dropout is off "
                "here: every mask is 1, and an argument of the mask's name is given it"
            )
            raise UserError(Mistake(told, hint=hint, source=theirs.title))


# ---------------------------------------------------------------- large values


def _at_large_values(hypotheses: Hypotheses, theirs: Theirs) -> Iterator[Finding]:
    """Yield what isn't finite where ours is, once outputs are large."""
    network = hypotheses.network
    for point in _large_points(network):
        ours = {key: point[name] for key, name in network.derivation.gradients}
        if not all(np.isfinite(array).all() for array in ours.values()):
            continue
        held = _held(network, theirs.at(point))
        diagnosis = Diagnosis(hypotheses, [point], [held])
        bad = [name for name in diagnosis.given if not np.isfinite(held[name]).all()]
        if bad:
            yield _overflow(diagnosis, bad)
            return


def _large_points(network: Network) -> Iterator[dict[str, Any]]:
    """Draw points whose outputs reach a thousand: by the last layer alone, then by all."""
    keys = [tensor.key for tensor in network.program.with_role(Role.PARAMETER)]
    last = keys[-1].rpartition(".")[0]
    count = _counts(network, 1)[0]
    output = network.program.output
    for chosen in ([key for key in keys if key.rpartition(".")[0] == last], keys):
        params = {key: np.array(w, np.float64) for key, w in network.module.init(0).items()}
        examples = network.module.sample(count, 0)
        for _ in range(12):
            point = network.run(network.start(params, examples))
            reached = np.abs(point[output]).max(initial=0.0)
            if not np.isfinite(reached) or reached >= LARGE:
                break
            for key in chosen:
                params[key] = params[key] * 4 + 0.01
        yield point


def _overflow(diagnosis: Diagnosis, bad: Sequence[str]) -> Finding:
    """Say what is computed differently, in the lines that only what isn't finite depends on."""
    network, (point,), (held,) = diagnosis.network, diagnosis.points, diagnosis.answers
    largest = float(np.abs(point[network.program.output]).max(initial=0.0))
    what = "NaN" if any(np.isnan(held[name]).any() for name in bad) else "infinite"
    words = f"{', '.join(bad)}: {what} where outputs are large ({largest:,.0f}), ours is finite"
    near, _ = diagnosis.stages(bad[0], set(bad))
    lines = [network.calls[place] for part in near for place in sorted(part)]
    shift = next((call for call in lines if _is_largest(network, call.target)), None)
    if shift is not None:
        words += f"; take the maximum away before exp: {shift.statement.said}"
        lines = [call for call in network.calls if shift.target in call.reads]
    else:
        lines = [call for call in lines if not isinstance(call.statement.value, Contract)] or lines
    right = lines[0].statement
    code = numpy.code(right, network.program)
    return Finding(tuple(bad), words, "", right.said, code)


def _is_largest(network: Network, name: str) -> bool:
    """Say whether a tensor is the maximum that is taken away before exp."""
    line = next((group[0] for group in network.lines if group[0].target == name), None)
    return line is not None and isinstance(line.terms[0].equation.rhs, fn.MaxOver)
