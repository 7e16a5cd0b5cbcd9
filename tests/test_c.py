"""The C target: the NumPy target's numbers, at full speed, and from a library without Python."""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from oracle import growth

import symback
from symback import pipeline
from symback.emit.templates import source
from symback.errors import UserError

Spec = dict[str, Any]
EXAMPLES = Path(__file__).parent.parent / "examples"


def dense(*sizes: int, **settings: Any) -> Spec:
    """Return a network of dense layers with tanh between them."""
    *hidden, last = sizes[1:]
    layers: list[Spec] = [
        {f"f{k}": {"dense": size, "activation": "tanh"}} for k, size in enumerate(hidden, 1)
    ]
    return {
        "model": "net",
        "inputs": {"x": ["n", sizes[0]], "t": {"shape": ["n"], "classes": last}},
        "layers": [*layers, {f"f{len(sizes) - 1}": {"dense": last}}],
        "loss": {"cross_entropy": "t"},
        "optimizer": "adam",
        **settings,
    }


def window(channels: int, into: int, side: int, source: str, step: int) -> Spec:
    """Return a layer that slides a kernel of 3 × 3 over an image, with a margin of zeros."""
    at = f"{step}*i + p - 1, {step}*j + q - 1" if step > 1 else "i + p - 1, j + q - 1"
    init = "uniform(-0.3, 0.3)"
    return {
        "formula": f"h[n,o,i,j] = sum(W[o,c,p,q] * {source}[n,c,{at}], c, p, q) + b[o]",
        "parameters": {
            "W": {"shape": [into, channels, 3, 3], "init": init},
            "b": {"shape": [into], "init": init},
        },
        "sizes": {"i": side // step, "j": side // step},
        "activation": "tanh",
    }


IMAGES: Spec = {
    "model": "images",
    "inputs": {"x": ["n", 2, 8, 8], "t": {"shape": ["n"], "classes": 5}},
    "layers": [
        {"c1": window(2, 4, 8, "x", 1)},
        {"c2": window(4, 6, 8, "c1", 2)},
        {
            "out": {
                "formula": "h[n,o] = sum(V[o,c,i,j] * c2[n,c,i,j], c, i, j)",
                "parameters": {"V": {"shape": [5, 6, 4, 4], "init": "uniform(-0.3, 0.3)"}},
            }
        },
    ],
    "loss": {"cross_entropy": "t"},
    "optimizer": "adam",
    "train": {"batch_size": 16},
}
WORDS: Spec = {
    "model": "words",
    "inputs": {"tok": {"shape": ["n", 5], "classes": 7}, "t": {"shape": ["n"], "classes": 3}},
    "layers": [
        {
            "e": {
                "formula": "h[n,k,d] = E[tok[n,k],d]",
                "parameters": {"E": {"shape": [7, 4], "init": "normal(0, 1)"}},
            }
        },
        {"m": {"formula": "h[n,d] = sum(e[n,k,d] * e[n,k,d], k)"}},
        {"f": {"dense": 3}},
    ],
    "loss": {"cross_entropy": "t"},
    "optimizer": {"sgd": {"lr": 0.1, "momentum": 0.9}},
}
ODD: Spec = {  # names that mean something in C, or in the C of a module
    "model": "odd",
    "inputs": {"double": ["n", 3], "struct_": ["n", 2], "t": ["n", 2]},
    "layers": [
        {
            "register": {
                "formula": "h[n,i] = sum(volatile[i,j] * double[n,j], j) * gemm + goto[i]",
                "parameters": {
                    "volatile": {"shape": [2, 3], "init": "normal(0, 1)"},
                    "goto": {"shape": [2], "init": "zeros"},
                },
                "constants": {"gemm": 1.5},
            }
        },
        {"short": {"add": None, "from": ["register", "struct_"], "activation": "elu"}},
    ],
    "loss": {"mse": "t"},
    "optimizer": {
        "formula": ["void = 0.9*void + g", "w = w - lr*void"],
        "state": {"void": 0},
        "constants": {"lr": 0.1},
    },
}
SCHEDULED = dense(
    6,
    5,
    3,
    schedule={"cosine": {"T_max": 7}, "per": "step"},
    train={"batch_size": 8, "clip_norm": 0.5, "clip_value": 0.1},
)
LARGE = dense(70, 160, 90, 10, train={"batch_size": 64})  # threads share its products
VAST = dense(256, 256, 10, train={"batch_size": 600})  # those of its first layer are a BLAS's
KEPT: Spec = {  # running statistics, which lie behind what is learned
    "model": "kept",
    "inputs": {"x": ["n", 3, 4], "t": ["n", 3]},
    "layers": [
        {"b": {"batch_norm1d": {"momentum": "cumulative"}}},
        {"p": {"global_avg_pool": None}},
        {"f": {"dense": 3}},
    ],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": 0.1},
}
LARGEST: Spec = {  # where a largest value stands, among those of a window; numbers beside arrays
    "model": "largest",
    "inputs": {"x": ["n", 2, 7], "t": ["n", 2, 3]},
    "layers": [
        {"c": {"conv_transpose1d": {"out_channels": 2, "kernel_size": 3, "stride": 2}}},
        {"m": {"max_pool1d": {"kernel_size": 3, "stride": 2, "padding": 1}}},
        {"a": {"adaptive_max_pool1d": 4}},
        {"b": {"adaptive_avg_pool1d": 3}},
    ],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": 0.1},
}
FACTORED = dense(
    4,
    6,
    3,
    optimizer={"adafactor": {"maximize": False}},
    train={"clip_norm": 0.5, "clip_value": 0.1},
)
TURNED: Spec = {  # matrices alone, wide and tall, and a momentum that moves
    **dense(4, 3),
    "layers": [
        {"f1": {"dense": {"units": 7, "bias": False}, "activation": "tanh"}},
        {"f2": {"dense": {"units": 3, "bias": False}}},
    ],
    "optimizer": "muon",
    "schedule": {"cyclic": {"max_lr": 0.1, "step_size_up": 2}, "per": "step"},
}
RECURRENT: Spec = {  # threads share its examples; matrices whose last strip isn't full
    "model": "recurrent",
    "inputs": {"x": ["n", 4, 5], "t": ["n", 3]},
    "layers": [{"r": {"lstm": 100}}, {"l": {"last_step": {}}}, {"o": {"dense": 3}}],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": 0.1},
    "train": {"batch_size": 64},
}
SPECS = {
    "recurrent": RECURRENT,
    "images": IMAGES,
    "words": WORDS,
    "odd": ODD,
    "scheduled": SCHEDULED,
    "large": LARGE,
    "kept": KEPT,
    "largest": LARGEST,
    "factored": FACTORED,
    "turned": TURNED,
}


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile as for use, not as for tests."""
    monkeypatch.setenv("CFLAGS", "")


def losses(module: ModuleType, data: tuple[Any, ...]) -> tuple[list[float], Mapping[str, Any]]:
    """Return the losses of some epochs, and the parameters after them."""
    params = module.init(1)
    history = module.train(params, *data, epochs=3)
    return [row.loss for row in history], params


@pytest.mark.parametrize(
    ("name", "flags"),
    [*((name, "") for name in SPECS), ("large", "-UBLAS"), ("large", "-fno-openmp")],
)
def test_numpys_numbers(name: str, flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At full speed; without a BLAS; without threads and directives."""
    monkeypatch.setenv("CFLAGS", flags)
    ours, theirs = (symback.compile(SPECS[name], target) for target in ("c", "numpy"))
    data = theirs.sample(80, 2)
    start = theirs.init(0)
    found, wanted = (made.value_and_grad(start, *data) for made in (ours, theirs))
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
    for key, gradient in wanted[1].items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[1][key], gradient, rtol=0, atol=1e-12 * scale)
    figures, after = losses(ours, data)
    np.testing.assert_allclose(figures, losses(theirs, data)[0], rtol=1e-10)
    again, same = losses(ours, data)
    assert figures == again
    assert all(np.array_equal(after[key], same[key]) for key in after)


@pytest.mark.parametrize("flags", ["", "-UBLAS"])
def test_vast_products(flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A BLAS's, and blocks of loops, of which each thread has its part."""
    monkeypatch.setenv("CFLAGS", flags)
    ours, theirs = (symback.compile(VAST, target) for target in ("c", "numpy"))
    start, data = theirs.init(0), theirs.sample(601)  # parts that aren't equal
    wanted = theirs.value_and_grad(start, *data)[1]
    for key, gradient in ours.value_and_grad(start, *data)[1].items():
        scale = np.abs(wanted[key]).max()
        np.testing.assert_allclose(gradient, wanted[key], rtol=0, atol=1e-13 * scale)


@pytest.mark.usefixtures("fast")
def test_tiny_numbers_are_zero_in_a_step_alone() -> None:
    """They take a processor a hundred times as long; gradients that are asked for are exact."""
    spec: Spec = {
        "inputs": {"x": ["n", 300]},
        "layers": [{"f": {"dense": {"units": 300, "bias": False}}}],
        "loss": {"formula": "sum(y[n,k], n, k)"},
        "optimizer": {"adam": {"lr": 0.1}},
    }
    module = symback.compile(spec, "c")
    params, x = module.init(), np.full((4, 300), 1e-309)
    before = params["f.weight"].copy()
    gradient = module.value_and_grad(params, x)[1]["f.weight"].copy()
    np.testing.assert_allclose(gradient, 4e-309, rtol=1e-12)
    state = module.init_state(params)
    module.one_step(params, state, x, module.Workspace(params))
    assert np.array_equal(params["f.weight"], before)
    assert np.all(state.m == 0)
    assert np.array_equal(module.value_and_grad(params, x)[1]["f.weight"], gradient)


@pytest.mark.usefixtures("fast")
def test_single_precision() -> None:
    ours, theirs = (symback.compile(LARGE, target, "float32") for target in ("c", "numpy"))
    data = theirs.sample(80, 2)
    found, params = losses(ours, data)
    assert params["f1.weight"].dtype == np.float32
    np.testing.assert_allclose(found, losses(theirs, data)[0], rtol=1e-5)
    assert ours.check() == []  # in float64, compiled for it


@pytest.mark.parametrize("name", SPECS)
def test_arrays_are_what_the_c_takes_them_for(name: str) -> None:
    """Labels that an argmax finds are integers, twice as long as a single."""
    module: Any = symback.compile(SPECS[name], "c", "float32")
    cache = module.Cache(3, np.dtype("float32"))
    for field, array in cache.held.items():
        kind = cache.ffi.typeof(getattr(cache.struct, field)).item
        while kind.kind == "array":
            kind = kind.item
        assert cache.ffi.sizeof(kind) == array.itemsize, field


ACTIVATIONS = ["tanh", "sigmoid", "softplus", "elu", "gelu", "relu", "silu", "logsigmoid", "selu"]


@pytest.mark.usefixtures("fast")
def test_vectors_keep_nan_and_infinity() -> None:
    """What is computed for several numbers at once means what it means for one."""
    layers: list[Spec] = [
        {f"a{k}": {"add": None, "from": ["x", "x"], "activation": name}}
        for k, name in enumerate(ACTIVATIONS)
    ]
    names = ["f", *(next(iter(layer)) for layer in layers)]
    spec: Spec = {
        "inputs": {"x": ["n", 16], "t": ["n", 16 * len(names)]},
        "layers": [{"f": {"dense": 16}}, *layers, {"both": {"concat": None, "from": names}}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    ours, theirs = (symback.compile(spec, target) for target in ("c", "numpy"))
    x = np.random.default_rng(0).normal(0, 3, (40, 16))
    x[0, :8] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 800, -800, 1e-310]
    with np.errstate(all="ignore"):
        found, wanted = (made.forward(theirs.init(), x)[0] for made in (ours, theirs))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=2e-15, atol=0)


BUSY = ["lstm", "multihead_attention", "dropout", "batch_norm1d", "conv1d", "max_pool1d"]


@pytest.mark.parametrize("kind", BUSY)
def test_a_step_of_any_kind_allocates_no_array(kind: str) -> None:
    options: dict[str, Any] = {
        "lstm": 5,
        "multihead_attention": 2,
        "conv1d": {"out_channels": 4, "kernel_size": 3},
        "max_pool1d": {"kernel_size": 3, "stride": 2},
    }
    module: Any = symback.compile(
        {
            "inputs": {"x": ["n", 6, 4], "t": ["n", 3]},
            "layers": [
                {"f1": {kind: options.get(kind), "activation": "gelu"}},
                {"flat": {"flatten": {}}},
                {"f2": {"dense": 3}},
            ],
            "loss": {"mse": "t"},
            "optimizer": "adam",
        },
        "c",
    )
    assert growth(module) < 1000


def test_an_epoch_allocates_no_array() -> None:
    module = symback.compile(dense(20, 30, 4, train={"batch_size": 50}), "c")
    params = module.init()
    state = module.init_state(params)
    peaks = []
    for batches in (2, 200):
        x, t = module.sample(50 * batches)
        order = np.arange(50 * batches)
        tracemalloc.start()
        module.one_epoch(params, state, x, t, order, 50, module.Workspace(params), 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1000  # 198 steps more: not one array of a batch, 8,000 bytes


def convolved() -> Spec:
    """Return a network whose gradients are summed over the batch by several threads."""
    layers = [
        {"c1": {"conv2d": {"out_channels": 8, "kernel_size": 5, "padding": 2}}},
        {"flat": {"flatten": {}}},
        {"f2": {"dense": 3}},
    ]
    return {
        "inputs": {"x": ["n", 1, 24, 24], "t": {"shape": ["n"], "classes": 3}},
        "layers": layers,
        "loss": {"cross_entropy": "t"},
        "optimizer": "adam",
    }


def test_loops_are_no_more_than_are_needed() -> None:
    """An axis of one place has none, and rows that lie one after the other have one together."""
    text = pipeline.generate(convolved(), "c").text
    assert "< 1; " not in text
    assert "(&z1[n_][o][0][0])[ij] += b1[o];" in text
    assert "for (idx ij = 0; ij < 576; ij++) {" in text


@pytest.mark.parametrize(
    ("spec", "word", "n"),
    [
        (convolved(), "dW1_parts", 33),
        (LARGE, "gemm(", 33),
        (VAST, "gemm(", 601),
        (RECURRENT, "in_strips(last - first,", 33),
    ],
    ids=["sums", "products", "vast", "steps"],
)
def test_threads_change_no_bit(spec: Spec, word: str, n: int, tmp_path: Path) -> None:
    """Sums over the batch are taken in parts, whoever takes them."""
    module = pipeline.generate(spec, "c")
    assert "PARALLEL" in module.text
    assert word in module.text
    (tmp_path / "made.py").write_text(module.text, encoding="utf-8")
    code = (
        "import hashlib, made; p = made.init(0)\n"
        f"for name, g in made.value_and_grad(p, *made.sample({n}))[1].items():\n"
        "    print(name, hashlib.sha256(g.tobytes()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OMP_NUM_THREADS": count},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in ("1", "3")
    }
    assert len(told) == 1


GUARDED = "-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g".split()
PRODUCTS = r"""
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef ptrdiff_t idx;
typedef REAL real;
#define SIMD(...)
#define PARALLEL(worth)
#define SIZED static inline
#define SHARES 3
%s
static real a[60000], b[60000], c[60000];

int main(void)
{
    for (idx p = 0; p < 60000; p++) {
        a[p] = (real)(p * 7919 %% 101) / 101;
        b[p] = (real)(p * 6007 %% 97) / 97;
    }
    for (int trial = 0; trial < 120; trial++) {  // the last rows and columns at the arrays' ends
        const idx rows = 1 + trial * 37 %% 205, columns = 1 + trial * 53 %% 140;
        const idx inner = 1 + trial * 29 %% (trial %% 2 ? 280 : 20), more = trial %% 3 == 0;
        const int turn_a = trial %% 4 > 1, turn_b = trial %% 5 > 1;
        const idx a_row = turn_a ? 1 : inner, a_inner = turn_a ? rows : 1;
        const idx b_inner = turn_b ? 1 : columns, b_column = turn_b ? inner : 1;
        const real *left = a + 60000 - rows * inner, *right = b + 60000 - inner * columns;
        real *into = c + 60000 - rows * columns;
        for (idx p = 0; p < rows * columns; p++) {
            into[p] = 1;
        }
        if (turn_b && !turn_a && trial %% 2) {
            dots(rows, columns, inner, left, inner, right, inner, into, columns, (int)more);
        } else {
            gemm(rows, columns, inner, left, a_row, a_inner, right, b_inner, b_column, into,
                columns, (int)more);
        }
        for (idx i = 0; i < rows; i++) {
            for (idx j = 0; j < columns; j++) {
                double sum = more;
                for (idx k = 0; k < inner; k++) {
                    const real a_ik = left[i * a_row + k * a_inner];
                    sum += (double)a_ik * right[k * b_inner + j * b_column];
                }
                const double small = sizeof(real) > 4 ? 1e-13 : 1e-4;
                if (!(fabs(into[i * columns + j] - sum) <= small * sum)) {
                    printf("%%d: %%td %%td\n", trial, i, j);
                    return 1;
                }
            }
        }
    }
    return 0;
}
"""


@pytest.mark.parametrize("real", ["double", "float"])
def test_products_of_any_size(real: str, tmp_path: Path) -> None:
    """Rows, columns and terms that fill no tile, strip or square; nothing is read beside arrays."""
    names = ("turn", "product", "strips", "in_strips", "dots", "block", "gemm")
    text = PRODUCTS % "".join(source(f"c/native/{name}.c") for name in names)
    (tmp_path / "products.c").write_text(text.replace("REAL", real), encoding="utf-8")
    command = ["cc", "-std=c99", *GUARDED, "-march=native", "-o", "products", "products.c", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([str(tmp_path / "products")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- the compiler


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(UserError, match=r"no C compiler.*no-such-compiler.*set CC"):
        symback.compile(EXAMPLES / "linear.yaml", "c")


def test_what_the_compiler_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = script(tmp_path / "failing", "echo 'the disk is full' >&2; exit 1")
    monkeypatch.setenv("CC", str(failing))
    with pytest.raises(UserError, match=r"fails:\nthe disk is full"):
        symback.compile(EXAMPLES / "linear.yaml", "c")


def test_it_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", f'echo >>{tmp_path}/log; exec cc "$@"')))
    for _ in range(2):
        assert symback.compile(EXAMPLES / "linear.yaml", "c").check() == []
    assert (tmp_path / "log").read_text() == "\n"
    [made] = (tmp_path / "cache" / "symback").iterdir()
    assert made.suffix == ".so"


# ---------------------------------------------------------------- without Python

STRICT = "-std=c99 -Wall -Wextra -Werror -pedantic".split()


def library(spec: Spec | Path, folder: Path, dtype: str = "float64") -> str:
    """Write the C library of a spec, and return its name."""
    for module in pipeline.standalone(spec, dtype=dtype):
        (folder / f"{module.name}.{module.target}").write_text(module.text, encoding="utf-8")
    return module.name


def built(name: str, folder: Path, *flags: str) -> Path:
    """Compile the library with its main."""
    program = folder / f"{name}{''.join(flags)}"
    macro = f"-D{name.upper()}_MAIN"
    command = ["cc", *STRICT, *flags, macro, "-o", str(program), f"{name}.c", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def in_order(module: ModuleType, batch: int, data: tuple[Any, ...], epochs: int) -> list[float]:
    """Return the mean losses of epochs whose batches are met in the order of the rows."""
    params = module.init(0)
    state = module.init_state(params)
    order = np.arange(len(data[0]))
    held: list[Any] = [order, batch, module.Workspace(params)]
    if "rng" in signature(module.one_epoch).parameters:
        held.append(np.random.default_rng(0))
    rows = [module.one_epoch(params, state, *data, *held, k + 1) for k in range(epochs)]
    return [row.loss for row in rows]


LIBRARIES = ["images", "words", "odd", "scheduled", "kept", "factored", "turned"]


@pytest.mark.parametrize("name", [*LIBRARIES, "iris"])
def test_a_library_without_python(name: str, tmp_path: Path) -> None:
    """Strictly compiled, watched by valgrind and by sanitizers: the NumPy target's numbers."""
    spec: Any = EXAMPLES / "iris.yaml" if name == "iris" else SPECS[name]
    model = library(spec, tmp_path)
    theirs = symback.compile(spec, "numpy")
    data = theirs.sample(40, 3)
    params = theirs.init(0)
    states = getattr(theirs, "STATES", ())  # in C they lie behind what is learned
    start = np.concatenate([params[key].ravel() for key in sorted(params, key=states.__contains__)])
    (tmp_path / "start.txt").write_text(" ".join(map(repr, start.tolist())))
    rows = np.concatenate([np.reshape(a, (40, -1)) for a in data], axis=1).tolist()
    told = "\n".join(" ".join(map(repr, row)) for row in rows)
    batch = {"scheduled": 8, "images": 16, "iris": 16}.get(name, 32)
    wanted = in_order(theirs, batch, data, 3)
    watched = ["valgrind", "-q", "--error-exitcode=1", "--leak-check=full"]
    for flags, before in ((["-O1"], watched), (GUARDED, [])):
        command = [*before, str(built(model, tmp_path, *flags)), "3", "start.txt"]
        done = subprocess.run(
            command, input=told, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = [float(line.split()[-1]) for line in done.stdout.splitlines()]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_library_draws_its_own_start(tmp_path: Path) -> None:
    """Dropout, a schedule per epoch, float32: it learns from a start of its own."""
    spec = dense(4, 3, schedule={"exponential": {"gamma": 0.9}}, train={"batch_size": 10})
    spec["layers"] = [
        {"f0": {"dense": 8, "init": "kaiming_normal"}},
        {"d": {"dropout": 0.2}},
        *spec["layers"],
    ]
    spec["optimizer"] = {"sgd": {"lr": 0.5}}
    program = built(library(spec, tmp_path, "float32"), tmp_path, *GUARDED)
    centres = 3 * np.eye(3, 4)
    rows = [[*centres[k % 3], k % 3] for k in range(60)]
    told = "\n".join(",".join(map(str, row)) for row in rows)
    done = subprocess.run(
        [str(program), "10"], input=told, capture_output=True, text=True, check=True
    )
    found = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(found) == 10
    assert found[-1] < 0.3 * found[0]


def test_a_library_is_the_same_bytes_again(tmp_path: Path) -> None:
    script_text = (
        "import sys; from symback import pipeline\n"
        "for m in pipeline.standalone(sys.argv[1]): sys.stdout.write(m.text)"
    )
    command = [sys.executable, "-c", script_text, str(EXAMPLES / "digits.yaml")]
    texts = {
        subprocess.run(
            command,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(EXAMPLES.parent)},
            cwd=tmp_path,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert b"malloc" not in next(iter(texts))


def test_examples_within_examples_count_apart() -> None:
    """∂/∂x[n] Π_o s[o] is a product over all others: a loop over n in one over o."""
    product = "sigmoid(prod(2 * sum(x[n, i], i), n) - p) * sum(x[n, p], n)"
    first = f"h[k, n] = sum({product}, p) * W[k] * sum(x[n, i], i)"
    second = "g[n, k] = sum(f1[k, n], k) * sum(f1[k, n], n)"
    held = {"W": {"shape": [3], "init": "normal(0, 1)"}}
    spec: Spec = {
        "inputs": {"x": ["n", 2]},
        "layers": [
            {"f1": {"formula": first, "parameters": held}},
            {"f2": {"formula": second, "from": "f1"}},
        ],
        "loss": {"formula": "mean(sum(y[n, k], n) * 0.5 + y[n, k], n, k)"},
        "optimizer": "sgd",
    }
    x = np.random.default_rng(0).normal(size=(3, 2))
    found = []
    for target in ("numpy", "c"):
        module: Any = pipeline.compile(spec, target, wrt=("x",))
        start = {"f1.W": np.array([0.3, -1.2, 0.7])}
        found.append(module.value_and_grad(start, x)[1]["x"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
