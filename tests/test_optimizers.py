"""Optimisers against torch.optim: the same start, the same gradients, 50 steps."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from settings import TARGETS, Settings, option_sets, shown

import symback
from symback import catalog
from symback.catalog.entry import Entry, Kind
from symback.errors import UserError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch

Arrays = dict[str, NDArray[np.float64]]

STEPS = 50
OPTIMIZERS = [
    entry for entry in catalog.entries() if entry.kind is Kind.OPTIMIZER and not entry.search
]
COMBINED: Mapping[str, list[Settings]] = {
    "sgd": [
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"momentum": 0.5, "dampening": 0.5, "weight_decay": 0.1, "maximize": True},
    ],
    "adam": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.0},
        {"lr": 0.1, "beta2": 0.5, "amsgrad": True, "weight_decay": 0.2, "maximize": True},
        {"decoupled_weight_decay": True, "weight_decay": 0.3},
    ],
    "adamw": [
        {"weight_decay": 0.0},
        {"lr": 0.1, "beta2": 0.5, "amsgrad": True, "weight_decay": 0.2},
    ],
    "rmsprop": [
        {"alpha": 0.0},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True},
    ],
    "adagrad": [{"lr": 0.3, "lr_decay": 0.2, "initial_accumulator_value": 0.5}],
    "adadelta": [{"rho": 0.0}, {"rho": 1.0}, {"lr": 0.3, "eps": 0.01, "weight_decay": 0.1}],
    "nadam": [{"decoupled_weight_decay": True, "weight_decay": 0.3}],
    "radam": [
        {"beta2": 0.5},
        {"beta2": 0.8, "eps": 0.1},
        {"decoupled_weight_decay": True, "weight_decay": 0.3},
    ],
    "asgd": [
        {"t0": 10.0, "lr": 0.1, "lambd": 0.1, "weight_decay": 0.1},
        {"t0": 0.0, "maximize": True, "alpha": 0.5},
    ],
    "rprop": [{"lr": 0.1, "eta_minus": 0.3, "eta_plus": 2.0, "size_min": 1e-3, "size_max": 0.3}],
    "adafactor": [
        {"lr": 0.3, "beta2_decay": -0.5, "weight_decay": 0.1, "maximize": True},
        {"eps1": 0.1, "eps2": 2.0, "d": 1.5},
    ],
    "muon": [
        {"lr": 0.1, "momentum": 0.5, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
        {"ns_coefficients": [2.0, -1.5, 0.5], "ns_steps": 7, "eps": 0.5},
        {"weight_decay": 0.0},
    ],
}
MATRICES = ("muon",)  # optimisers of matrices alone
PAIRS = {  # two options of ours that are one of PyTorch's
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("size_min", "size_max"),
    "eps": ("eps1", "eps2"),
}
REFUSED: Settings = {"nesterov": True}  # PyTorch wants a momentum with it
CASES = [
    (entry, chosen)
    for entry in OPTIMIZERS
    for chosen in option_sets(entry, COMBINED, {})
    if chosen != REFUSED
]


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Let PyTorch keep its own scalars (NAdam's product of momenta) in float64 too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def gradients(params: Arrays, step: int) -> Arrays:
    """Return gradients of a bowl that tilts from step to step; one element's is always zero."""
    found = {}
    for key, w in params.items():
        place = np.arange(w.size).reshape(w.shape)
        tilt = np.sin(0.7 * step + place) + np.where(place % 2, 0.3, -0.2)
        found[key] = np.where(place == 1, 0.0, 0.4 * w + tilt)
    return found


def in_torch(
    entry: Entry, chosen: Settings, start: Arrays, train: Settings | None = None
) -> Iterator[Arrays]:
    """Yield PyTorch's parameters after every step."""
    clipping = train or {}
    defaults = {option.name: option.default for option in entry.options}
    options = dict(chosen)
    for pair, names in PAIRS.items():
        if set(names) & set(options):
            options[pair] = tuple(options.pop(name, defaults[name]) for name in names)
    if "ns_coefficients" in options:
        options["ns_coefficients"] = tuple(np.broadcast_to(options["ns_coefficients"], 3).tolist())
    params = {key: torch.tensor(w, requires_grad=True) for key, w in start.items()}
    rule = getattr(torch.optim, entry.source.split(";")[0].removeprefix("torch.optim."))
    plain = {} if entry.name in MATRICES else {"foreach": False}
    optimizer = rule(params.values(), **plain, **options)
    for step in range(STEPS):
        now = {key: w.detach().numpy().copy() for key, w in params.items()}
        for key, gradient in gradients(now, step).items():
            params[key].grad = torch.tensor(gradient)
        if "clip_norm" in clipping:
            torch.nn.utils.clip_grad_norm_(params.values(), clipping["clip_norm"])
        if "clip_value" in clipping:
            torch.nn.utils.clip_grad_value_(params.values(), clipping["clip_value"])
        optimizer.step()
        yield {key: w.detach().numpy().copy() for key, w in params.items()}


@cache
def trajectory(name: str, chosen: str) -> list[Arrays]:
    """Return PyTorch's parameters after every step of an optimiser with options in JSON."""
    [entry] = [entry for entry in OPTIMIZERS if entry.name == name]
    return list(in_torch(entry, json.loads(chosen), start(name in MATRICES)))


@cache
def start(matrices: bool = False) -> Arrays:
    """Return the parameters that every run starts from: wide and tall matrices, or all kinds."""
    rng = np.random.default_rng(3)
    if matrices:
        return {"f1.weight": rng.normal(size=(2, 3)), "f2.weight": rng.normal(size=(4, 2))}
    return {"f1.weight": rng.normal(size=(2, 3)), "f1.bias": rng.normal(size=2)}


def spec(entry: Entry, chosen: Settings) -> dict[str, Any]:
    """Return a model whose layers are trained by the optimiser."""
    at = start(entry.name in MATRICES)
    layers: dict[str, Any] = {}
    for key, w in at.items():
        layer, name = key.split(".")
        body = layers.setdefault(layer, {"dense": {"units": len(w), "bias": False}, "init": {}})
        body["dense"]["bias"] |= name == "bias"
        body["init"][name] = w.tolist()
    return {
        "model": "steps",
        "inputs": {"x": ["n", 3], "t": ["n", 4 if entry.name in MATRICES else 2]},
        "layers": [{name: body} for name, body in layers.items()],
        "loss": {"mse": "t"},
        "optimizer": {entry.name: dict(chosen)},
    }


@pytest.fixture(autouse=True)
def unrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch's Muon iterate in the numbers it is given, rather than in bfloat16."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("entry", "chosen"), CASES, ids=shown)
def test_trajectory_is_pytorchs(entry: Entry, chosen: Settings, target: str) -> None:
    module = symback.compile(spec(entry, chosen), target)
    params = module.init()
    state = module.init_state(params)
    begun = start(entry.name in MATRICES)
    wanted, found = trajectory(entry.name, json.dumps(chosen)), []
    for step in range(STEPS):
        now = {key: np.array(w, np.float64) for key, w in params.items()}
        grads = gradients(now, step)
        given = grads if target == "numpy" else {key: g.tolist() for key, g in grads.items()}
        module.update(params, given, state)
        found.append({key: np.array(w) for key, w in params.items()})
    for key in begun:
        ours, theirs = (np.array([row[key] for row in rows]) for rows in (found, wanted))
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13, err_msg=key)
    moved = [not np.array_equal(params[key], w) for key, w in begun.items()]
    assert all(moved)


@pytest.mark.parametrize("entry", OPTIMIZERS, ids=shown)
def test_defaults_are_pytorchs(entry: Entry) -> None:
    rule = getattr(torch.optim, entry.source.split(";")[0].removeprefix("torch.optim."))
    theirs = rule([torch.zeros(1, 1)]).defaults
    for pair, names in PAIRS.items():
        if isinstance(theirs.get(pair), tuple) and len(theirs[pair]) == len(names):
            theirs |= dict(zip(names, theirs[pair], strict=True))
    for option in entry.options:
        assert option.default == theirs[option.name], option.name


INERT: dict[str, Any] = {  # f1 is read by nothing: the loss doesn't depend on it
    "model": "aside",
    "inputs": {"x": ["n", 3], "t": ["n", 2]},
    "layers": [{"f1": {"dense": 4}}, {"f2": {"dense": 2, "from": "x"}}],
    "loss": {"mse": "t"},
    "train": {"clip_norm": 0.1, "accumulate": 2, "batch_size": 3, "epochs": 4, "shuffle": False},
}


@pytest.mark.parametrize("wrt", [(), ("x",)])
@pytest.mark.parametrize(
    ("target", "readable"), [("numpy", True), ("numpy", False), ("python", True)]
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_has_no_gradient_stays_and_counts_for_nothing(
    optimizer: str, target: str, readable: bool, wrt: tuple[str, ...]
) -> None:
    """As in PyTorch, where such a parameter's grad is None: no decay, no momentum, no norm."""
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.3}
    options |= {"momentum": 0.9} if optimizer == "sgd" else {}
    model = INERT | {"optimizer": {optimizer: options}}
    module = symback.compile(model, target, readable=readable, wrt=wrt)
    assert module.check() == []
    params, rng = module.init(), np.random.default_rng(1)
    start = {key: np.array(w) for key, w in params.items()}
    x, t = rng.normal(size=(12, 3)), 9 * rng.normal(size=(12, 2))
    leaves = [torch.tensor(w, requires_grad=True) for w in start.values()]
    places = dict(zip(start, leaves, strict=True))
    rule = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer](leaves, **options)
    norms = []
    for _ in range(4):
        for rows in (slice(0, 6), slice(6, 12)):
            rule.zero_grad()
            y = torch.tensor(x[rows]) @ places["f2.weight"].T + places["f2.bias"]
            torch.nn.functional.mse_loss(y, torch.tensor(t[rows])).backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(leaves, 0.1)))
            rule.step()
    given = (x, t) if target == "numpy" else (x.tolist(), t.tolist())
    history = module.train(params, *given)
    for key, w in places.items():
        np.testing.assert_allclose(params[key], w.detach().numpy(), rtol=1e-10, err_msg=key)
    assert np.array_equal(params["f1.weight"], start["f1.weight"])
    found = [row.gradient_norm for row in history]
    np.testing.assert_allclose(found, np.reshape(norms, (4, 2)).mean(axis=1), rtol=1e-10)


@pytest.mark.parametrize("target", TARGETS)
def test_the_mean_of_the_parameters_is_kept(target: str) -> None:
    [entry] = [entry for entry in OPTIMIZERS if entry.name == "asgd"]
    module = symback.compile(spec(entry, {"t0": 10.0, "lr": 0.1}), target)
    params = module.init()
    state = module.init_state(params)
    weights = []
    for step in range(30):
        now = {key: np.array(w, np.float64) for key, w in params.items()}
        grads = gradients(now, step)
        given = grads if target == "numpy" else {key: g.tolist() for key, g in grads.items()}
        module.update(params, given, state)
        weights.append(np.concatenate([np.ravel(w) for w in params.values()]))
    held = state.ax.values() if isinstance(state.ax, dict) else [state.ax]
    mean = np.concatenate([np.ravel(part) for part in held])
    np.testing.assert_allclose(mean, np.mean(weights[11:], axis=0), rtol=1e-10)


# ---------------------------------------------------------------- rules for whole parameters

SHAPES = {"s": [], "b": [3], "W": [3, 2], "T": [3, 2, 4], "Q": [3, 1, 2, 3]}
EVERY = {
    "model": "axes",
    "inputs": {"x": ["n", 2], "t": ["n", 3]},
    "layers": [
        {
            "f": {
                "formula": (
                    "h[n, o] = s * sum(W[o, i] * x[n, i], i) + b[o]"
                    " + sum(T[o, j, k], j, k) + sum(Q[o, j, k, l], j, k, l)"
                ),
                "parameters": {
                    name: {"shape": shape, "init": "normal(0, 1)"} for name, shape in SHAPES.items()
                },
            }
        }
    ],
    "loss": {"mse": "t"},
}
CLIPPED: list[Settings] = [{}, {"clip_norm": 0.5}, {"clip_value": 0.3, "clip_norm": 2.0}]


def stepped(module: Any, target: str) -> Iterator[Arrays]:
    """Yield our parameters, the start and after every step."""
    params = module.init()
    state = module.init_state(params)
    for step in range(STEPS):
        now = {key: np.array(w, np.float64) for key, w in params.items()}
        yield now
        grads = gradients(now, step)
        lists = {key: g.tolist() if g.shape else [float(g)] for key, g in grads.items()}
        module.update(params, lists if target == "python" else grads, state)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("train", CLIPPED, ids=shown)
@pytest.mark.parametrize("maximize", [False, True])
def test_parameters_have_any_number_of_axes(maximize: bool, train: Settings, target: str) -> None:
    [entry] = [entry for entry in OPTIMIZERS if entry.name == "adafactor"]
    chosen: Settings = {"lr": 0.1, "weight_decay": 0.01, "maximize": maximize}
    model = EVERY | {"optimizer": {"adafactor": chosen}, "train": train}
    module = symback.compile(model, target)
    begun, *found = stepped(module, target)
    scalars = {key: w.reshape(()) for key, w in begun.items() if key == "f.s"}
    wanted = in_torch(entry, chosen, begun | scalars, train)
    for step, (ours, theirs) in enumerate(zip(found, wanted, strict=False)):
        for key, w in theirs.items():
            np.testing.assert_allclose(
                ours[key].reshape(w.shape), w, rtol=1e-11, atol=1e-14, err_msg=f"{key}, step {step}"
            )


LION = {  # a rule of one's own: the sign of a mean, as long as the parameter, row by row
    "formula": [
        "m = 0.9 * m + 0.1 * g",
        "N[..., r] = sqrt(sum(w[..., r, c]**2, c))",
        "w[..., r, c] = w[..., r, c] - lr * N[..., r] * sign(m[..., r, c])",
    ],
    "state": {"m": 0.5},
    "constants": {"lr": 0.1},
}
NO_BIAS = {
    "model": "own",
    "inputs": {"x": ["n", 3], "t": ["n", 2]},
    "layers": [{"f1": {"dense": {"units": 2, "bias": False}}}],
    "loss": {"mse": "t"},
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rule_of_ones_own_reads_rows(dtype: str, target: str) -> None:
    if target == "python" and dtype == "float32":
        pytest.skip("plain Python has one type of numbers")
    module = symback.compile(NO_BIAS | {"optimizer": LION}, target, dtype)
    begun, *found = stepped(module, target)
    w, m = begun["f1.weight"], np.full((2, 3), 0.5)
    for step, ours in enumerate(found):
        m = 0.9 * m + 0.1 * gradients({"f1.weight": w}, step)["f1.weight"]
        w = w - 0.1 * np.sqrt((w**2).sum(axis=1, keepdims=True)) * np.sign(m)
        close = 1e-12 if dtype == "float64" else 1e-3
        np.testing.assert_allclose(ours["f1.weight"], w, rtol=close, atol=close)
        if dtype == "float32":
            w = ours["f1.weight"]


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ("muon", ["`muon` can't train f1.bias, of shape [2]", "for matrices alone", "bias: false"]),
        (
            {"formula": "w[r, c] = w[r, c] - lr * g[r, c]"},
            ["`w` has 1 axis, 2 indices stand here (for f1.bias, of shape [2])"],
        ),
        (
            {"formula": "w[..., r, c] = w[..., r, c] - lr * g[..., r, c]"},
            ["`w` has 1 axis, 2 indices stand beside `...`", "f1.bias"],
        ),
        ({"formula": ["N = sum(w[...]**2, ...)", "v = N * g"]}, ["nothing sets w"]),
        ({"formula": "w[r, c] = w[r, c] - g[r, c + 1]"}, ["plain names", "computed index"]),
        ({"formula": "w = w - lr * size(q) * g * sum(w[...], ...)"}, ["how many values"]),
        ({"formula": "lr = sum(w[...], ...)"}, ["`lr` is a constant"]),
        ({"formula": ["norm = g**2", "w = w - norm"]}, ["`norm` is a name the generated module"]),
        ({"formula": ["rows = w[...] + 0", "w = w - rows"]}, ["choose another: rows1"]),
        ({"adafactor": {"d": 0.5}}, ["`d` must be a number, 1 or more"]),
        ({"muon": {"ns_step": 3}}, ["did you mean `ns_steps`"]),
    ],
)
def test_what_a_rule_cant_be_is_told(optimizer: Any, words: list[str]) -> None:
    model = NO_BIAS | {"layers": [{"f1": {"dense": 2}}], "optimizer": optimizer}
    with pytest.raises(UserError) as error:
        symback.generate(model)
    for word in words:
        assert word in str(error.value)


def test_frozen_biases_leave_muon_the_matrices() -> None:
    layers = [{"f1": {"dense": 4, "frozen": True}}, {"f2": {"dense": {"units": 2, "bias": False}}}]
    module = symback.compile(NO_BIAS | {"layers": layers, "optimizer": "muon"})
    params = module.init()
    before = {key: w.copy() for key, w in params.items()}
    module.train(params, *module.sample(8), epochs=2)
    moved = {key for key, w in params.items() if not np.array_equal(w, before[key])}
    assert moved == {"f2.weight"}


def test_muon_is_pytorchs_but_for_its_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # PyTorch rounds again
    [entry] = [entry for entry in OPTIMIZERS if entry.name == "muon"]
    chosen: Settings = {"lr": 0.1, "weight_decay": 0.0}
    module = symback.compile(spec(entry, chosen))
    params = module.init()
    begun = start(matrices=True)
    module.update(params, gradients(begun, 0), module.init_state(params))
    for key, w in next(in_torch(entry, chosen, begun)).items():
        ours, theirs = params[key] - begun[key], w - begun[key]
        assert 0 < np.linalg.norm(ours - theirs) < 0.03 * np.linalg.norm(theirs)


def test_the_catalogue_has_all_that_work_step_by_step() -> None:
    """SparseAdam is Adam on the rows that a gradient holds; ours holds all of them."""
    ours = {e.source.split(";")[0] for e in catalog.entries() if e.kind is Kind.OPTIMIZER}
    theirs = {
        f"torch.optim.{name}"
        for name, made in vars(torch.optim).items()
        if isinstance(made, type) and issubclass(made, torch.optim.Optimizer)
    }
    assert theirs - ours == {"torch.optim.Optimizer", "torch.optim.SparseAdam"}
    assert ours <= theirs
