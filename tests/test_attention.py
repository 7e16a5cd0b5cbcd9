"""Attention with masks, lengths of its own, and a transformer's layers on each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import pytorch
from oracle import (
    Arrays,
    Result,
    SpecMapping,
    assert_close,
    assert_same,
    compiled,
    drawn_params,
    evaluated,
)

from symback import pipeline
from symback.errors import UserError

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning"),
]
torch = pytorch.torch
nn = torch.nn
ROWS, T, S, E = 2, 4, 3, 4
SHAPES: Mapping[str, tuple[int, ...]] = {
    "x": (T, E),
    "q": (T, E),
    "m": (S, E),
    "k": (S, 5),
    "v": (S, 3),
    "pt": (T,),
    "ps": (S,),
    "added": (T, S),
    "square": (T, T),
    "by_head": (2, T, S),
}
SLOW = {"dim_feedforward": 5, "dropout": 0.2, "num_heads": 2}


@dataclass(frozen=True, slots=True)
class Case:
    """A layer that reads inputs of these names, and PyTorch's module and arguments for it."""

    layer: str
    reads: Sequence[str]
    module: Any
    call: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> SpecMapping:
        names = dict.fromkeys(self.reads)
        inputs = {name: ["n", *SHAPES[name]] for name in names}
        start = {"s": {"shape": [], "init": "constant(0.9)"}}
        first, *others = self.reads
        learned = {"formula": f"h[...] = s * {first}[...]", "parameters": start, "from": first}
        sources = ["f0", *("f0" if name == first else name for name in others)]
        layers = [
            {"f0": learned},
            {"f1": {self.layer: dict(self.options), "from": sources if others else "f0"}},
        ]
        return {
            "inputs": inputs,
            "layers": layers,
            "loss": {"formula": "sum(sin(y[...]), ...)"},
            "optimizer": {"sgd": 0.1},
        }

    @property
    def data(self) -> Arrays:
        rng = np.random.default_rng(4)
        found = {name: rng.normal(size=(ROWS, *SHAPES[name])) for name in dict.fromkeys(self.reads)}
        for name in ("pt", "ps"):
            if name in found:
                found[name] = np.eye(ROWS, SHAPES[name][0])  # each hides another place
        return found


def heads(reads: str, masks: Mapping[str, str] | None = None, **options: Any) -> Case:
    """Return a case of attention by heads: self-attention has three sources of one name."""
    called = masks or {}

    def call(run: Any, q: Any, k: Any, v: Any, *given: Any) -> Any:
        ready = dict(zip(called.values(), given, strict=True))
        if "key_padding_mask" in ready:
            hidden = ready["key_padding_mask"] != 0
            zeros = torch.zeros(hidden.shape, dtype=torch.float64)
            ready["key_padding_mask"] = zeros.masked_fill(hidden, -torch.inf)
        if ready.get("attn_mask") is not None and ready["attn_mask"].dim() == 3:
            ready["attn_mask"] = ready["attn_mask"].repeat_interleave(2, 0)
        if ready.get("attn_mask") is not None and ready["attn_mask"].dim() == 4:
            ready["attn_mask"] = ready["attn_mask"].flatten(0, 1)
        return run((q, k, v), {"need_weights": False, **ready})[0]

    kinds = {k: w for k, w in options.items() if k != "causal"}
    module = nn.MultiheadAttention(E, 2, batch_first=True, **kinds)
    names = [*reads.split(), *called]
    return Case("multihead_attention", names, module, call, {"num_heads": 2, **options})


def layers(kind: str, reads: str, mask: str = "", **options: Any) -> Case:
    """Return a case of an encoder or a decoder; `mask`: what PyTorch calls the last source."""

    def call(run: Any, *given: Any) -> Any:
        if not mask:
            return run(given)
        *sources, last = given
        held = last != 0 if "padding" in mask else last.repeat_interleave(2, 0)
        return run(tuple(sources), {mask: held})

    own = {**SLOW, **options}
    made = {k: w for k, w in own.items() if k not in ("num_heads", "num_layers", "norm")}
    cls = nn.TransformerEncoderLayer if kind == "encoder" else nn.TransformerDecoderLayer
    module = cls(E, 2, batch_first=True, **made)
    name = f"transformer_{kind}_layer"
    if count := options.get("num_layers"):
        name = f"transformer_{kind}"
        norm = nn.LayerNorm(E) if options.get("norm") else None
        module = (
            nn.TransformerEncoder(module, count, norm, enable_nested_tensor=False)
            if kind == "encoder"
            else nn.TransformerDecoder(module, count, norm)
        )
    return Case(name, reads.split(), module, call, own)


PADDING, ADDED = {"ps": "key_padding_mask"}, {"added": "attn_mask"}
CASES = {
    "padding": heads("q m m", masks=PADDING),
    "added": heads("q m m", masks=ADDED),
    "added by head": heads("q m m", masks={"by_head": "attn_mask"}),
    "both": heads("q m m", masks=PADDING | ADDED),
    "self, hidden": heads("x x x", masks={"pt": "key_padding_mask"}),
    "own lengths": heads("q k v", kdim=5, vdim=3),
    "own length, no bias, both": heads("q k m", masks=PADDING | ADDED, kdim=5, bias=False),
    "a learned key": heads("q m m", add_bias_kv=True),
    "a key of zeros, hidden": heads("q m m", masks=PADDING, add_zero_attn=True),
    "learned and zero, both": heads(
        "q k v", masks=PADDING | ADDED, kdim=5, vdim=3, add_bias_kv=True, add_zero_attn=True
    ),
    "learned and zero, no bias": heads("x x x", add_bias_kv=True, add_zero_attn=True, bias=False),
    "encoder layer, padding": layers("encoder", "x pt", "src_key_padding_mask"),
    "encoder layer, added": layers("encoder", "x square", "src_mask", norm_first=True),
    "decoder layer": layers("decoder", "x m"),
    "decoder layer, norms first": layers(
        "decoder", "x m", norm_first=True, activation="gelu", bias=False
    ),
    "decoder layer, padding": layers("decoder", "x m ps", "memory_key_padding_mask"),
    "decoder layer, added": layers("decoder", "x m added", "memory_mask", norm_first=True),
    "encoder": layers("encoder", "x", num_layers=2),
    "encoder, norm": layers("encoder", "x", num_layers=2, norm=True, norm_first=True),
    "decoder": layers("decoder", "x m ps", "memory_key_padding_mask", num_layers=2),
    "decoder, norm": layers("decoder", "x m", num_layers=2, norm=True),
}


def compare(case: Case, target: str, readable: bool) -> None:
    module = compiled(case.spec, target, tuple(case.data), readable=readable)
    params = drawn_params(module)
    ours = evaluated(module, params, case.data)
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in params.items()}
    given = {name: torch.tensor(a, requires_grad=True) for name, a in case.data.items()}
    theirs = case.module.double().eval()
    own = {key[3:]: w for key, w in leaves.items() if key.startswith("f1.")}
    assert {k: w.shape for k, w in own.items()} == {
        k: w.shape for k, w in theirs.state_dict().items()
    }
    first = leaves["f0.s"] * given[case.reads[0]]
    sources = [first if name == case.reads[0] else given[name] for name in case.reads]

    def run(args: tuple[Any, ...], ready: Mapping[str, Any] | None = None) -> Any:
        return torch.func.functional_call(theirs, own, args, dict(ready or {}))

    output = case.call(run, *sources)
    sought = {**given, **leaves}
    grads = torch.autograd.grad(
        torch.sin(output).sum(), list(sought.values()), allow_unused=True, materialize_grads=True
    )
    found = {name: g.numpy() for name, g in zip(sought, grads, strict=True)}
    assert set(ours.grads) >= set(params)
    want = {key: found[key] for key in ours.grads}
    assert not [g for key, g in found.items() if key not in ours.grads and np.abs(g).max()]
    loss = np.array(torch.sin(output).sum().item())
    assert_same(ours, Result(output.detach().numpy(), loss, want), case.layer, 1e-11)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    compare(CASES[name], "numpy", readable=True)


@pytest.mark.parametrize("target", ["numpy", "python", "c"])
def test_other_targets(target: str) -> None:
    compare(CASES["decoder layer, padding"], target, readable=target != "numpy")
    compare(CASES["own length, no bias, both"], target, readable=target != "numpy")
    compare(CASES["learned and zero, both"], target, readable=target != "numpy")


def test_weights_are_an_output() -> None:
    case = heads("q m m")
    spec = case.spec
    spec["layers"].append({"f2": {"formula": "w[n, t, s] = 2 * f1.weights[n, t, s]", "from": "f1"}})
    module = compiled(spec)
    params = drawn_params(module)
    output, _ = module.forward(params, *case.data.values())
    q, m = (torch.tensor(case.data[name]) for name in ("q", "m"))
    own = {key[3:]: torch.tensor(w) for key, w in params.items() if key.startswith("f1.")}
    q = q * float(params["f0.s"])
    _, weights = torch.func.functional_call(case.module.double(), own, (q, m, m))
    assert_close(output, 2 * weights.numpy(), "weights", 1e-12)


def test_an_added_mask_of_a_plain_attention() -> None:
    shapes = {"q": (T, E), "k": (S, E), "v": (S, 2), "a": (T, S)}
    inputs = {name: ["n", *shape] for name, shape in shapes.items()}
    layer = {"formula": "h[...] = s * q[...]", "parameters": {"s": {"shape": [], "init": "ones"}}}
    spec = {
        "inputs": inputs,
        "layers": [
            {"f0": {**layer, "from": "q"}},
            {"f1": {"scaled_dot_product_attention": None, "from": ["f0", "k", "v", "a"]}},
        ],
        "loss": {"formula": "sum(sin(y[...]), ...)"},
        "optimizer": {"sgd": 0.1},
    }
    rng = np.random.default_rng(3)
    given = [rng.normal(size=(ROWS, *shape)) for shape in shapes.values()]
    module = compiled(spec, "numpy", tuple(inputs))
    _, grads = module.value_and_grad(module.init(0), *given)
    q, k, v, a = (torch.tensor(array, requires_grad=True) for array in given)
    want = nn.functional.scaled_dot_product_attention(q, k, v, a)
    torch.sin(want).sum().backward()
    for name, tensor in zip(inputs, (q, k, v, a), strict=True):
        assert_close(grads[name], tensor.grad.numpy(), name, 1e-11)


def test_an_encoder_and_a_decoder_are_a_transformer() -> None:
    """Its state_dict is that of torch.nn.Transformer, key by key."""
    stack = {**SLOW, "num_layers": 2, "norm": True}
    spec = {
        "inputs": {"x": ["n", S, E], "y0": ["n", T, E]},
        "layers": [
            {"encoder": {"transformer_encoder": stack, "from": "x"}},
            {"decoder": {"transformer_decoder": stack, "from": ["y0", "encoder"]}},
        ],
        "loss": {"formula": "sum(sin(y[...]), ...)"},
        "optimizer": {"sgd": 0.1},
    }
    module = compiled(spec)
    params = drawn_params(module)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(ROWS, S, E)), rng.normal(size=(ROWS, T, E))
    theirs = nn.Transformer(E, 2, 2, 2, 5, 0.2, batch_first=True).double().eval()
    theirs.load_state_dict({key: torch.tensor(w) for key, w in params.items()})
    want = theirs(torch.tensor(x), torch.tensor(y))
    torch.sin(want).sum().backward()
    output, _ = module.forward(params, x, y)
    assert_close(output, want.detach().numpy(), "output", 1e-11)
    _, grads = module.value_and_grad(params, x, y)
    for key, w in theirs.named_parameters():
        assert_close(grads[key], w.grad.numpy(), key, 1e-11)


def test_sources_that_do_not_fit_are_told() -> None:
    case = heads("q m m", masks=PADDING)
    spec = case.spec
    spec["layers"][1]["f1"]["from"] = ["f0", "m", "m", "m"]
    with pytest.raises(UserError, match="doesn't fit sources of shape"):
        pipeline.derive(spec)
