"""The passes: what they may change, and what not by a bit; what a fast module's step allocates."""

import math
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import growth

from symback import passes, pipeline
from symback.emit import emit
from symback.inspect import stages
from symback.passes import (
    PASSES,
    buffers,
    columned,
    folded,
    hoisted,
    ordered_products,
    shared,
    stored,
    windowed,
)
from symback.passes.cost import cost
from symback.passes.storage import lifetimes
from symback.program import Contract, Program

ROOT = Path(__file__).parent.parent
LOW_RANK = {
    "U": {"shape": [30, 2], "init": "uniform(-0.5, 0.5)"},
    "V": {"shape": [2, 40], "init": "uniform(-0.5, 0.5)"},
}


def spec(layers: list[Any], loss: Any, classes: int = 0, **more: Any) -> dict[str, Any]:
    target = {"shape": ["n"], "classes": classes} if classes else ["n", 3]
    return {"inputs": {"x": ["n", 40], "t": target}, "layers": layers, "loss": loss, **more}


TANH = spec(
    [{"f1": {"dense": 30, "activation": "tanh"}}, {"f2": {"dense": 3}}],
    {"mse": "t"},
    optimizer={"adam": {"lr": 0.01}},
    train={"clip_norm": 0.1},
)
LABELS = spec(
    [{"f1": {"dense": 30, "activation": "relu"}}, {"f2": {"dense": 7}}],
    {"cross_entropy": "t"},
    7,
    optimizer={"adamw": {"lr": 0.01, "weight_decay": 0.1}},
)
LEAKY = spec(
    [{"f1": {"dense": 30, "activation": "leaky_relu"}}, {"f2": {"dense": 3, "activation": "elu"}}],
    {"huber": "t"},
    optimizer={"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True}},
)
LOW = spec(
    [
        {
            "low": {
                "formula": "h[n, o] = sum(U[o, r]*V[r, i]*x[n, i], r, i)",
                "parameters": LOW_RANK,
            }
        },
        {"f2": {"dense": 3}},
    ],
    {"mse": "t"},
    optimizer="rmsprop",
)
BARE = [{f"f{k}": {"dense": {"units": u, "bias": False}}} for k, u in ((1, 30), (2, 50), (3, 3))]
WHOLE = {  # rules that work on each parameter as an array
    "adafactor": {**TANH, "optimizer": {"adafactor": {"weight_decay": 0.1}}},
    "muon": {**TANH, "layers": BARE, "optimizer": "muon"},
}
NETS = {"tanh": TANH, "labels": LABELS, "leaky": LEAKY, "low": LOW}
IMAGES = {
    "inputs": {"x": ["n", 2, 8, 6], "t": {"shape": ["n"], "classes": 3}},
    "layers": [
        {
            "c1": {
                "conv2d": {"out_channels": 4, "kernel_size": 3, "padding": 1},
                "activation": "relu",
            }
        },
        {"s2": {"max_pool2d": 2}},
        {"c3": {"conv2d": {"out_channels": 5, "kernel_size": [2, 3], "padding": 1, "stride": 1}}},
        {"flat": {"flatten": {}}},
        {"f4": {"dense": 3}},
    ],
    "loss": {"cross_entropy": "t"},
    "optimizer": {"sgd": {"lr": 0.1}},
}
DROPOUT = spec(
    [{"f1": {"dense": 30, "activation": "tanh"}}, {"d": {"dropout": 0.3}}, {"f2": {"dense": 3}}],
    {"mse": "t"},
    optimizer="adam",
)


def trained(program: Program, steps: int = 3) -> dict[str, Any]:
    """Return loss, gradients and parameters after some steps of a program's module."""
    module: Any = pipeline.imported(emit(program, "numpy"))
    params = module.init(0)
    data = module.sample(6, seed=1)
    state = module.init_state(params)
    for _ in range(steps):
        value, grads = module.value_and_grad(params, *data)
        found = {f"d{name}": g.copy() for name, g in grads.items()}  # the update clips in place
        module.update(params, grads, state)
    return {"loss": value, **found, **params}


def require_same(found: dict[str, Any], expected: dict[str, Any], rtol: float = 0.0) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=rtol, atol=rtol, err_msg=name)


# ---------------------------------------------------------------- each pass


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda p: buffers(p), lambda p: hoisted(buffers(p))),
        (lambda p: hoisted(buffers(p)), lambda p: stored(hoisted(buffers(p)))),
        (lambda p: buffers(p), lambda p: buffers(shared(p))),
    ],
    ids=["hoisted", "stored", "shared"],
)
def test_not_a_bit_changes(
    name: str, before: Callable[[Program], Program], after: Callable[[Program], Program]
) -> None:
    program = pipeline.program(NETS[name])
    require_same(trained(after(program)), trained(before(program)))


@pytest.mark.parametrize("name", [*NETS, *WHOLE])
@pytest.mark.parametrize("each", [ordered_products, folded, columned, buffers, passes.fast])
def test_only_the_last_bits_change(name: str, each: Callable[[Program], Program]) -> None:
    program = pipeline.program((NETS | WHOLE)[name])
    require_same(trained(each(program), 9), trained(program, 9), 1e-12)


def test_narrow_arrays_lie_with_the_examples_side_by_side() -> None:
    module: Any = pipeline.compile(LABELS, "numpy")
    x, t = module.sample(6)
    y, cache = module.forward(module.init(), x)
    module.objective(module.init(), cache, t)
    assert y.shape == (6, 7)
    assert cache.z1.shape == cache.a1.shape == (30, 6)
    assert cache.q.shape == (7, 6)
    assert cache.q.flags.c_contiguous
    for rows_too_short in ({"train": {"batch_size": 4}}, {"layers": [{"f1": {"dense": 1}}]}):
        inputs = {"x": ["n", 40], "t": ["n", 1]}
        layers = [{"f1": {"dense": 30}}, {"f2": {"dense": 1}}]
        source = {**LEAKY, "inputs": inputs, "layers": layers, **rows_too_short}
        program = pipeline.program(source)
        assert columned(program) == program


@pytest.mark.parametrize("name", NETS)
def test_arrays_begin_at_64_bytes(name: str) -> None:
    module: Any = pipeline.compile(NETS[name], "numpy", "float32")
    params = module.packed({key: w.copy() for key, w in module.init().items()})
    state, cache = module.init_state(params), module.Cache(5, np.dtype("float32"))
    held = {**vars(state), **vars(cache), "vector": params.vector}
    arrays = {k: a for k, a in held.items() if isinstance(a, np.ndarray) and a.size > 1}
    assert len(arrays) > 5
    small = ("eye", "places", "labels")
    assert not [k for k, a in arrays.items() if a.ctypes.data % 64 and not k.startswith(small)]


@pytest.mark.parametrize("each", [windowed, passes.fast, passes.looped])
def test_windows_become_matrices(each: Callable[[Program], Program]) -> None:
    program = pipeline.program(IMAGES)
    made = each(program)
    require_same(trained(made, 4), trained(program, 4), 1e-12)
    if each is passes.fast:
        assert "einsum" not in emit(made, "numpy").text


SHAPES = {"images": (2, 9, 9), "steps": (6, 4), "words": (6,), "numbers": (8,)}
CONV = ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": 1})
WIDE = {"kernel_size": 3, "stride": 2}  # windows that overlap
ENCODER = {"num_heads": 2, "dim_feedforward": 8, "dropout": 0.1, "activation": "gelu"}
LAYERS: dict[str, tuple[str, tuple[tuple[Any, ...], ...]]] = {
    "lstm": ("steps", (("lstm", 20), ("last_step", {}))),
    "lstm, all steps": ("words", (("embedding", 4), ("lstm", 20))),
    "lstm, both ways": ("steps", (("lstm", {"hidden_size": 20, "bidirectional": True}),)),
    "gru": ("steps", (("gru", 20), ("last_step", {}))),
    "rnn": ("steps", (("rnn", 20), ("last_step", {}))),
    "embedding": ("words", (("embedding", 4),)),
    "bag": ("words", (("embedding_bag", 4),)),
    "attention": ("steps", (("multihead_attention", {"num_heads": 2, "causal": True}),)),
    "encoder": ("steps", (("transformer_encoder_layer", ENCODER),)),
    "overlapping windows": ("images", (CONV, ("conv2d", {"out_channels": 3, **WIDE}))),
    "transposed": ("images", (("conv_transpose2d", {"out_channels": 3, **WIDE}),)),
    "max pool": ("images", (CONV, ("max_pool2d", WIDE))),
    "average pool": ("images", (CONV, ("avg_pool2d", WIDE))),
    "gelu": ("numbers", (("dense", 5, "gelu"),)),
    "dropout": ("numbers", (("dense", 5), ("dropout", 0.3))),
    "batch norm": ("images", (CONV, ("batch_norm2d", {}))),
    "layer norm": ("numbers", (("dense", 5), ("layer_norm", {}))),
    "group norm": ("images", (CONV, ("group_norm", 2))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_allocates_an_array(name: str) -> None:
    """NumPy's own buffers, of 8,192 numbers at most, don't grow with the batch; arrays would."""
    kind, layers = LAYERS[name]
    x = {"shape": ["n", *SHAPES[kind]], "classes": 7} if kind == "words" else ["n", *SHAPES[kind]]
    named = [
        {f"f{place}": {layer: options} | dict.fromkeys(["activation"][: len(bends)], *bends)}
        for place, (layer, options, *bends) in enumerate(layers)
    ]
    source = {
        "inputs": {"x": x, "t": {"shape": ["n"], "classes": 3}},
        "layers": [*named, {"flat": {"flatten": {}}}, {"out": {"dense": 3}}],
        "loss": {"cross_entropy": "t"},
        "optimizer": "adam",
    }
    module = pipeline.compile(source, "numpy", "float32")
    assert growth(module) < 1536 * 4  # not one number for each example


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrences_work_on_views_of_their_arrays(name: str) -> None:
    """Gates are written place by place; the weights' gradients are products after the loop."""
    source = {
        "inputs": {"x": ["n", 6, 4], "t": ["n", 5]},
        "layers": [{"r": {name: 5}}, {"last": {"last_step": {}}}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    text = emit(passes.fast(pipeline.program(source)), "numpy").text
    passing = text[text.index("def forward(") : text.index("def value_and_grad(")]
    assert "einsum" not in passing
    assert "np.zeros" not in passing
    loops = [line for line in passing.splitlines() if line.startswith(" " * 8)]
    assert not [line for line in loops if "np.equal(" in line or "out=dW1" in line]
    for weight in ("W1", "U1"):
        assert f"out=d{weight}" in passing


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 2e-15), ("float32", 1e-6)])
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_functions_that_numpy_lacks_are_exact(name: str, dtype: Any, rtol: float) -> None:
    weight = {"w": {"shape": [], "init": "ones"}}
    source = {
        "inputs": {"x": ["n", 1]},
        "layers": [{"f": {"formula": f"y[n, i] = {name}(w*x[n, i])", "parameters": weight}}],
        "loss": {"formula": "sum(y[...], ...)"},
    }
    module = pipeline.compile({**source, "optimizer": "sgd"}, "numpy", dtype)
    ends = [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-9, 40.0, -40.0, np.inf, -np.inf, np.nan]
    x = np.array([*np.linspace(-7, 9, 6001), *ends]).astype(dtype)
    y, _ = module.forward({"f.w": np.array(1.0, dtype)}, x[:, None])
    exact = np.array([getattr(math, name)(value) for value in x.tolist()])
    normal = ~(np.abs(exact) < np.finfo(dtype).tiny) | (exact == 0)
    np.testing.assert_allclose(y[normal, 0], exact[normal], rtol=rtol, atol=0)


@pytest.mark.parametrize(
    "rule",
    ["adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "radam", "rprop"],
)
def test_folded_rules_take_the_same_steps(rule: str) -> None:
    program = pipeline.program({**TANH, "optimizer": rule})
    require_same(trained(passes.fast(program), 12), trained(program, 12), 1e-11)


def test_adam_folds_to_ten_operations() -> None:
    program = buffers(folded(pipeline.program(TANH)))
    assert len(program.update.elements) == 10
    assert [scalar.target.name for scalar in program.update.scalars][-2:] == ["delta", "eta"]


def test_a_large_network_is_updated_in_blocks() -> None:
    wide = {**TANH, "layers": [{"f1": {"dense": 900, "activation": "tanh"}}, {"f2": {"dense": 3}}]}
    program = pipeline.program(wide)
    text = emit(passes.fast(program), "numpy").text
    assert "for start in range(0, len(w), BLOCK):" in text
    require_same(trained(passes.fast(program)), trained(program), 1e-12)


def test_a_product_of_three_is_taken_in_the_cheapest_order() -> None:
    lowered = pipeline.program(LOW)
    ordered = ordered_products(lowered)
    assert cost(ordered).flops < cost(lowered).flops / 2
    [value] = [s.value for s in ordered.forward if s.target.name == "h1"]
    assert isinstance(value, Contract)
    assert value.over == ("r",)  # U·(V·x), not (U·V)·x
    assert ordered_products(ordered) == ordered


def test_what_loss_and_gradient_both_need_is_worked_out_once() -> None:
    program = shared(pipeline.program(TANH))
    made = [s for s in (*program.loss, *program.backward) if s.target.name == "u_z2"]
    assert [s.because for s in made] == ["u_z2[n,o] = z2[n,o] − t[n,o]"]
    assert shared(program) == program


def test_memory_is_shared_by_what_is_never_needed_together() -> None:
    program = passes.fast(pipeline.program(LABELS))
    assert program.storage
    lives = lifetimes((*program.forward, *program.loss, *program.backward))
    memory: dict[str, list[str]] = {}
    for name, owner in program.storage:
        memory.setdefault(owner, [owner]).append(name)
    for names in memory.values():
        spans = sorted((lives[name].first, lives[name].last) for name in names)
        assert all(a[1] <= b[0] for a, b in pairwise(spans)), names
    forward = {statement.target.name for statement in program.forward}
    assert not forward & {name for pair in program.storage for name in pair}
    assert cost(program).memory < cost(replace(program, storage=())).memory


def test_gradients_can_be_taken_again_from_the_same_pass() -> None:
    module: Any = pipeline.compile(LABELS)
    params, (x, t) = module.init(0), module.sample(6)
    _, cache = module.forward(params, x)
    first = {name: g.copy() for name, g in module.backward(params, cache, t).items()}
    require_same(dict(module.backward(params, cache, t)), first)


@dataclass(frozen=True)
class Unknown:
    """A node that no pass knows."""

    axes: tuple[str, ...] = ("n", "o")


def test_an_unknown_node_is_an_assignment_of_a_whole_array() -> None:
    program = pipeline.program(TANH)
    odd: Any = Unknown()
    strange = replace(
        program,
        forward=tuple(
            replace(s, value=odd) if s.target.name == "z1" else s for s in program.forward
        ),
    )
    made = passes.fast(strange)
    assert [s.value for s in made.forward if s.target.name == "z1"] == [odd]


# ---------------------------------------------------------------- what it costs


def test_cost_counts_operations_bytes_and_work() -> None:
    program = pipeline.program(TANH)
    [product] = [s for s in program.backward if s.target.name == "dW2"]
    alone = replace(
        program,
        forward=(),
        loss=(),
        backward=(product,),
        update=replace(program.update, elements=(), states=()),
    )
    counted = cost(alone)
    n = 32
    assert counted.operations == 1
    assert counted.bytes == 8 * (n * 3 + n * 30 + 3 * 30)
    assert counted.flops == 2 * n * 3 * 30


def test_stages_show_the_cost_before_and_after_each_pass() -> None:
    source = pipeline.load(TANH)
    page = stages.page(source, pipeline.generate(source))
    part = page[page.index("\nPasses\n") : page.index("\nModule\n")]
    rows = [line.split() for line in part.strip().splitlines()[3:]]
    assert [row[0] for row in rows] == ["lowered", *(each.__name__ for each in PASSES)]
    assert all(len(row) == 5 for row in rows)
    assert int(rows[-1][1]) < int(rows[0][1])


@pytest.mark.parametrize("name", [*NETS, *WHOLE])
def test_a_training_step_allocates_no_array(name: str) -> None:
    module: Any = pipeline.compile((NETS | WHOLE)[name], "numpy", "float32")
    n = 512  # the smallest array of a batch is of 2 KB
    data = tuple(a if a.dtype.kind == "i" else a.astype(np.float32) for a in module.sample(n))
    params = module.init(0)
    state, work = module.init_state(params), module.Workspace(params)
    for _ in range(3):
        module.one_step(params, state, *data, work)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            module.one_step(params, state, *data, work)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 4 * n


def test_importing_a_module_imports_little_beside_numpy(tmp_path: Path) -> None:
    made = pipeline.generate(ROOT / "examples" / "digits.yaml")
    (tmp_path / "digits.py").write_text(made.text, encoding="utf-8")
    code = (
        "import sys, numpy; there = set(sys.modules); import digits;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - there}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    slow = {"argparse", "csv", "pathlib", "random", "typing", "zipfile", "urllib", "secrets"}
    assert not slow & set(done.stdout.split())
    code = "import sys, numpy; import digits; print('numpy.random' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "False"
