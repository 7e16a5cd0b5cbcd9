"""Networks of three layers drawn at random: widths, activations, skips, losses, penalties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from oracle import Array, Arrays, SpecMapping, anywhere, compiled, drawn_params, entries

from symback.catalog.entry import Kind

WRT = ("x",)
WIDTHS = st.integers(1, 5)
REDUCTIONS = ("mean", "sum")
ACTIVATIONS = tuple(entry.name for entry in entries(Kind.ACTIVATION) if anywhere(entry))
LOSSES: Mapping[str, str] = {  # what each is compared with, as drawn below
    "mse": "numbers",
    "l1": "numbers",
    "huber": "numbers",
    "smooth_l1": "numbers",
    "bce_with_logits": "unit",
    "cross_entropy": "labels",
    "nll": "labels",
    "multi_margin": "labels",
    "hinge": "signs",
    "soft_margin": "signs",
    "hinge_embedding": "signs",
    "poisson_nll": "counts",
    "kl_div": "unit",
}
TRIES = settings(  # the same networks in every run; small as they are, they needn't be shrunk
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass(frozen=True, slots=True)
class Network:
    """A spec, how many examples it is tried on, and the seed of these and the parameters."""

    spec: SpecMapping
    rows: int
    seed: int

    @property
    def params(self) -> Arrays:
        """Return the parameters it starts from."""
        return drawn_params(compiled(self.spec, wrt=WRT), self.seed)

    @property
    def data(self) -> Arrays:
        """Draw the examples."""
        rng = np.random.default_rng(self.seed)
        width = self.spec["inputs"]["x"][1]
        return {"x": rng.normal(size=(self.rows, width)), "t": self._targets(rng)}

    def _targets(self, rng: np.random.Generator) -> Array:
        target = self.spec["inputs"]["t"]
        if isinstance(target, dict):
            return rng.integers(0, target["classes"], self.rows)
        shape = (self.rows, target[1])
        match LOSSES[next(iter(self.spec["loss"]))]:
            case "signs":
                return np.where(rng.random(shape) < 0.5, -1.0, 1.0)
            case "unit":
                return rng.random(shape)
            case "counts":
                return rng.integers(0, 4, shape).astype(np.float64)
            case _:
                return rng.normal(size=shape)


@st.composite
def layers(draw: st.DrawFn, activations: Sequence[str]) -> tuple[list[SpecMapping], dict[str, int]]:
    """Draw three dense layers, what joins their outputs with earlier ones, and all widths."""
    found: list[SpecMapping] = []
    widths = {"x": draw(WIDTHS)}
    for number in (1, 2, 3):
        name, width = f"f{number}", draw(WIDTHS)
        body: dict[str, Any] = {"dense": {"units": width, "bias": draw(st.booleans())}}
        if number < 3 or draw(st.booleans()):
            body["activation"] = draw(st.sampled_from(activations))
        found.append({name: body})
        widths[name] = width
        join = draw(st.sampled_from(["", "add", "concat"]))
        if join:
            fitting = [each for each in widths if join == "concat" or widths[each] == width]
            others = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2))
            sources = draw(st.permutations([name, *others]))
            found.append({f"s{number}": {join: None, "from": sources}})
            widths[f"s{number}"] = (
                sum(map(widths.__getitem__, sources)) if join == "concat" else width
            )
    return found, widths


@st.composite
def networks(
    draw: st.DrawFn,
    activations: Sequence[str] = ACTIVATIONS,
    losses: Sequence[str] = tuple(LOSSES),
) -> Network:
    """Draw a network with a loss that fits its output."""
    found, widths = draw(layers(activations))
    output = list(widths.values())[-1]
    fitting = [name for name in losses if LOSSES[name] != "labels" or output > 1]
    name = draw(st.sampled_from(fitting))
    labels = LOSSES[name] == "labels"
    loss: dict[str, Any] = {name: {"target": "t", "reduction": draw(st.sampled_from(REDUCTIONS))}}
    if draw(st.booleans()):
        loss["l2"] = 0.01
        if name != "l1":
            loss["l1"] = 0.003
    spec = {
        "inputs": {
            "x": ["n", widths["x"]],
            "t": {"shape": ["n"], "classes": output} if labels else ["n", output],
        },
        "layers": found,
        "loss": loss,
        "optimizer": {"sgd": {"lr": 0.1}},
    }
    return Network(spec, draw(st.integers(1, 4)), draw(st.integers(0, 99)))
