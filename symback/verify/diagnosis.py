"""Which single mistake explains the gradients that differ, found from the loss down.

The first gradient that differs, in the order of the backward pass, is compared with what each
variant of each line above it would give. Of the variants that agree with it at every point, to
1e-6, the one that explains most of what else differs, and spoils least of what is right, is the
finding; it is then taken as done, and what still differs is explained the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from typing import Any

import numpy as np

from symback.evaluation import Call, Network
from symback.targets import numpy
from symback.verify import ratio
from symback.verify.hypotheses import Hypotheses
from symback.verify.variants import Variant

TOLERANCE = 1e-6
NEAREST = 8  # lines of either pass, though right, that are doubted when nothing else explains
SINGLE = 1e-3  # for gradients that were computed in float32

Array = np.ndarray[Any, Any]
Answers = Sequence[Mapping[str, Array]]  # at each point: tensor → the gradient by it, or the loss


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake: which gradients it explains, what it is, and what would be right.

    `yours` and `right` are formulas, `code` the line of the emitted module; "" where the mistake
    is not one of a formula.
    """

    names: tuple[str, ...]
    words: str
    yours: str = ""
    right: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Guess:
    """A variant that agrees with a gradient: what it leads to at each point."""

    place: int
    rank: int
    variant: Variant
    call: Call
    effects: tuple[dict[str, Array], ...]
    factor: str = ""


@dataclass(slots=True)
class Diagnosis:
    """Holds answers against a network at several points, and explains what differs."""

    hypotheses: Hypotheses
    points: list[dict[str, Any]]
    answers: Answers
    tolerance: float = TOLERANCE
    calls: list[Call] = field(init=False)

    def __post_init__(self) -> None:
        self.calls = list(self.network.calls)

    @property
    def network(self) -> Network:
        """The network that is compared with."""
        return self.hypotheses.network

    @property
    def given(self) -> tuple[str, ...]:
        """The tensors that were answered for, in the order of computation: the loss, then dW3 …"""
        order = [call.target for call in self.network.calls]
        return tuple(sorted(self.answers[0], key=order.index))

    def wrong(self) -> tuple[str, ...]:
        """Return what differs, in the order of computation."""
        return tuple(name for name in self.given if not self.agrees(name, self.points))

    def agrees(self, name: str, points: Sequence[Mapping[str, Any]]) -> bool:
        """Say whether an answer is what stands at the points."""
        pairs = zip(self.answers, points, strict=True)
        return all(same(answer[name], point[name], self.tolerance) for answer, point in pairs)

    def findings(self) -> Iterator[Finding]:
        """Yield the mistakes, from the loss down."""
        done: set[str] = set()
        while waiting := [name for name in self.wrong() if name not in done]:
            found, explained = self._explained(waiting, done)
            done |= set(explained)
            yield found

    def _explained(self, waiting: list[str], done: set[str]) -> tuple[Finding, tuple[str, ...]]:
        """Explain the first of what differs, and all that the same mistake explains."""
        first = waiting[0]
        plain = self._of_shape(first) or self._of_place(first, waiting)
        plain = plain or self._nothing(first, waiting)
        if plain is not None:
            return plain, plain.names
        near, far = self.stages(first, done)
        best = self._best(first, waiting, done, near)
        scaled = self._scaled(first, waiting)
        if best is None and scaled is not None:
            return scaled, scaled.names
        if best is None:
            best = self._best(first, waiting, done, far)
        if best is None:
            best = self._best(first, waiting, done, near, scaled=True)
        if best is None:
            found = self._unexplained(first)
            return found, found.names
        return self._accepted(best, waiting)

    # ---------------------------------------------------------------- the whole array

    def _of_shape(self, name: str) -> Finding | None:
        """Explain an array that is right but for its shape: transposed, an axis of 1, flat."""
        words = []
        for answer, point in zip(self.answers, self.points, strict=True):
            theirs, ours = answer[name], np.asarray(point[name])
            if theirs.size != ours.size:
                return None
            words.append(self._shaped(name, theirs, ours))
        if not all(words) or len({word.split(":")[0] for word in words}) != 1:
            return None
        return Finding((name,), words[0], *self._right(name))

    def _shaped(self, name: str, theirs: Array, ours: Array) -> str:
        wanted, shape = ours.shape, theirs.shape
        for axes in _permutations(ours.ndim):
            if same(theirs, ours.transpose(axes), self.tolerance):
                return f"{name} is transposed: its shape is {wanted}"
        if shape == wanted:
            return self._reordered(name, theirs, ours)
        if same(theirs.reshape(wanted), ours, self.tolerance):
            what = "an axis too many" if theirs.ndim > ours.ndim else "another shape"
            what = "an axis too few" if theirs.ndim < ours.ndim else what
            return f"{name} has the right numbers in {what}: {shape}, should be {wanted}"
        return ""

    def _reordered(self, name: str, theirs: Array, ours: Array) -> str:
        """Say of an array of the right shape whether its elements stand in another order."""
        for count in range(1, ours.ndim + 1):
            for axes in combinations(range(ours.ndim), count):
                if same(theirs, np.flip(ours, axes), self.tolerance):
                    return f"{name} is reversed along axis {' and '.join(map(str, axes))}"
        by_columns = ours.ravel(order="F").reshape(ours.shape)
        by_rows = ours.reshape(ours.shape[::-1], order="F").T if ours.ndim else ours
        if any(same(theirs, other, self.tolerance) for other in (by_columns, by_rows)):
            return f"{name} has its elements column by column: reshape it row by row"
        return ""

    def _of_place(self, name: str, waiting: list[str]) -> Finding | None:
        """Explain a gradient that is another one: given in each other's place."""
        for other in self.given:
            if other == name or not self._is(name, other):
                continue
            if other in waiting and self._is(other, name):
                told = f"{name} and {other} stand in each other's place"
                return Finding((name, other), told)
            return Finding((name,), f"what is given for {name} is {other}", *self._right(name))
        return None

    def _is(self, name: str, other: str) -> bool:
        """Say whether the answer for one tensor is another tensor's value."""
        return all(
            same(answer[name], np.asarray(point[other]), self.tolerance)
            for answer, point in zip(self.answers, self.points, strict=True)
        )

    def _nothing(self, name: str, waiting: list[str]) -> Finding | None:
        """Explain zeros, and what isn't finite."""
        zero = [n for n in waiting if not any(answer[n].any() for answer in self.answers)]
        if name in zero:
            is_zero = "is zero everywhere: it was" if len(zero) == 1 else "are zero: they were"
            words = f"{', '.join(zero)} {is_zero} never computed"
            return Finding(tuple(zero), words, *self._right(name))
        for answer in self.answers:
            bad = ~np.isfinite(answer[name])
            if bad.any():
                at = [int(k) for k in np.argwhere(bad)[0]] if answer[name].ndim else ""
                words = f"{name}{at} is {answer[name][bad][0]}, not a number that can be used"
                return Finding((name,), words, *self._right(name))
        return None

    def _scaled(self, name: str, waiting: list[str]) -> Finding | None:
        """Explain a constant factor that no variant has: the same one for all it explains."""
        word = self._factor(name, self.points)
        if not word:
            return None
        names = tuple(each for each in waiting if self._factor(each, self.points) == word)
        return Finding(names, f"{name} equals ours times {word}", *self._right(name))

    def _factor(self, name: str, points: Sequence[Mapping[str, Any]]) -> str:
        """Return the constant between an answer and what stands at the points, "" without one."""
        ratios = [
            ratio.between(answer[name], np.asarray(point[name]), self.tolerance)
            for answer, point in zip(self.answers, points, strict=True)
        ]
        if not np.isfinite(ratios).all():
            return ""
        return ratio.named(ratios, self._counts(), self.tolerance)

    def _counts(self) -> list[int]:
        output = self.network.program.tensor(self.network.program.output)
        return [int(point[str(output.shape[0])]) for point in self.points]

    def _unexplained(self, name: str) -> Finding:
        """Say where an array differs, where no single mistake explains it."""
        theirs, ours = self.answers[0][name], np.asarray(self.points[0][name])
        if theirs.shape != ours.shape:
            told = f"{name} has the shape {theirs.shape}, it should be {ours.shape}"
            return Finding((name,), told, *self._right(name))
        off = np.abs(theirs - ours) > self.tolerance * np.abs(ours).max(initial=0.0)
        where = _where(off)
        worst = np.unravel_index(np.argmax(np.abs(theirs - ours)), ours.shape)
        at = f"{name}[{', '.join(str(int(k)) for k in worst)}]" if ours.ndim else name
        told = (
            f"{name} differs{where}: {at} is {theirs[worst]:.6g}, should be {ours[worst]:.6g}; "
            "no single mistake explains it"
        )
        return Finding((name,), told, *self._right(name))

    def _right(self, name: str) -> tuple[str, str, str]:
        """Return the formulas (yours unknown) and the code of a tensor's line."""
        place = self._place(name)
        statement = self.network.calls[place].statement
        return "", statement.said, numpy.code(statement, self.network.program)

    def _place(self, name: str) -> int:
        return [call.target for call in self.calls].index(name)

    # ---------------------------------------------------------------- variants

    def _best(
        self,
        first: str,
        waiting: list[str],
        done: set[str],
        places: Sequence[Sequence[int]],
        *,
        scaled: bool = False,
    ) -> Guess | None:
        """Return the variant that explains the first gradient, and most of the others."""
        right = [name for name in self.given if name not in waiting and name not in done]
        guesses: list[Guess] = []
        for part in places:
            guesses = [*self._guesses(first, part, scaled=scaled)]
            if guesses:
                break

        def cost(guess: Guess) -> tuple[int, int, int, int]:
            spoilt = sum(self._spoils(guess, name) for name in right)
            explained = sum(self._explains(guess, name) for name in waiting)
            return (spoilt, -explained, guess.rank, -guess.place)

        return min(guesses, key=cost, default=None)

    def stages(self, first: str, done: set[str]) -> tuple[list[list[int]], list[list[int]]]:
        """Return the lines where a mistake is likely, and the others, in groups to be tried.

        Likely are lines behind the forward pass that nothing right depends on, and the forward
        pass, from its end, where nothing right depends on it.
        """
        right = [name for name in self.given if name not in done and self.agrees(name, self.points)]
        proven = {place for name in right for place in self._above(name)}
        above = self._above(first)
        forward = len(self.network.program.forward)
        likely = [place for place in above if place not in proven]
        near = [[place for place in likely if place >= forward]]
        near += [[place] for place in reversed(likely) if place < forward]
        others = [place for place in above if place in proven]
        far = [[place for place in others if place >= forward][-NEAREST:]]
        far += [[place] for place in reversed(others) if place < forward][:NEAREST]
        return near, far

    def _guesses(self, first: str, places: Sequence[int], *, scaled: bool) -> Iterator[Guess]:
        for place in places:
            for rank, (variant, call) in enumerate(self.hypotheses.at(place)):
                guess = self._tried(first, place, rank, variant, call, scaled=scaled)
                if guess is not None:
                    yield guess

    def _above(self, name: str) -> list[int]:
        """Return the lines that a tensor depends on, itself last."""
        needed = {name}
        found: list[int] = []
        for place in range(self._place(name), -1, -1):
            call = self.network.calls[place]
            if call.target in needed:
                found.insert(0, place)
                needed |= set(call.reads)
        return found

    def _tried(
        self, first: str, place: int, rank: int, variant: Variant, call: Call, *, scaled: bool
    ) -> Guess | None:
        """Return the variant with its effects if it explains the first gradient everywhere."""
        effects = []
        try:
            with np.errstate(all="ignore"):
                for answer, point in zip(self.answers, self.points, strict=True):
                    effect = self.network.changed(
                        self.calls, point, place, lambda v: variant.finish(np.asarray(call.at(v)))
                    )
                    shapes = np.shape(effect[call.target]), np.shape(point[call.target])
                    if first not in effect or (call.target != first and shapes[0] != shapes[1]):
                        return None
                    fits = same(answer[first], effect[first], self.tolerance)
                    if not scaled and not fits:
                        return None
                    effects.append(effect)
        except (ValueError, IndexError, KeyError):
            return None  # arrays that don't fit together: nobody's code does this and returns
        points = [point | effect for point, effect in zip(self.points, effects, strict=True)]
        factor = self._factor(first, points) if scaled else ""
        if scaled and factor in {"", "1"}:
            return None
        return Guess(place, rank, variant, call, tuple(effects), factor)

    def _after(self, guess: Guess) -> list[dict[str, Any]]:
        return [point | effect for point, effect in zip(self.points, guess.effects, strict=True)]

    def _explains(self, guess: Guess, name: str) -> bool:
        if name not in guess.effects[0]:
            return False
        after = self._after(guess)
        return (
            self._factor(name, after) == guess.factor if guess.factor else self.agrees(name, after)
        )

    def _spoils(self, guess: Guess, name: str) -> bool:
        """Say whether a variant would change a gradient that is right as it is."""
        return name in guess.effects[0] and not self.agrees(name, self._after(guess))

    def _accepted(self, guess: Guess, waiting: list[str]) -> tuple[Finding, tuple[str, ...]]:
        """Return the finding of a guess; from here on its line is what the guess says."""
        names = tuple(name for name in waiting if self._explains(guess, name))
        statement = self.network.calls[guess.place].statement
        yours = guess.call.statement.said
        if guess.variant.done:
            yours = ""
        words = guess.variant.words
        if guess.factor:
            words = f"{words}, and it is {guess.factor} times as large as it should be"
        if not guess.factor and not any(
            self._spoils(guess, name) for name in self.given if name not in waiting
        ):
            self.points = self._after(guess)
            self.calls[guess.place] = replace(
                guess.call, run=_finished(guess.call.run, guess.variant)
            )
        code = numpy.code(statement, self.network.program)
        place = (
            "" if statement.target.name in words.split(":")[0] else f"in {statement.target.name}: "
        )
        return Finding(names, f"{place}{words}", yours, statement.said, code), names


def _finished(run: Any, variant: Variant) -> Any:
    return lambda *values: variant.finish(np.asarray(run(*values)))


def same(theirs: Array, ours: Any, tolerance: float) -> bool:
    """Say whether two arrays agree, relative to the largest magnitude; NaN never does."""
    ours = np.asarray(ours)
    if theirs.shape != ours.shape:
        return False
    largest = np.abs(ours).max(initial=0.0)
    return bool(np.abs(theirs - ours).max(initial=0.0) <= tolerance * largest + 1e-300)


def _permutations(rank: int) -> Iterator[tuple[int, ...]]:
    yield from (axes for axes in permutations(range(rank)) if axes != tuple(range(rank)))


def _where(off: Array) -> str:
    """Say along which indices an array differs, where that is a part of it."""
    if off.all() or not off.ndim:
        return ""
    parts = []
    for axis in range(off.ndim):
        others = tuple(k for k in range(off.ndim) if k != axis)
        touched = np.flatnonzero(off.any(axis=others))
        if len(touched) < off.shape[axis]:
            parts.append(f"index {', '.join(map(str, touched[:5]))} of axis {axis}")
    return f" only at {' and '.join(parts)}" if parts else " in some elements"
