"""Layers that run along a sequence x[n, t, i]: the output of one step is read by the next.

What is before the first step is zero, or given. The gates of one step lie one behind the other, in
PyTorch's order; the input's part of all of them is one product before the loop. Letters of the way
back end on b.
"""

from collections.abc import Callable, Iterator
from itertools import product

from symback.catalog.entry import Case, Entry, Kind, Option, Parameter, Random

_START = "uniform(-1/sqrt(size(k)), 1/sqrt(size(k)))"
_SIZE = Option(
    "hidden_size", doc="how many values a step puts out", required=True, whole=True, least=1
)
_BIAS = Option("bias", default=True, doc="add learned biases")
_NONLINEARITY = Option(
    "nonlinearity", default="tanh", doc="the function applied", choices=("tanh", "relu")
)
_OPTIONS = (
    _SIZE,
    _BIAS,
    Option("bidirectional", default=False, doc="run from the end too, and put out both"),
    Option("num_layers", default=1, doc="how many, one on another", whole=True, least=1, most=100),
    Option("dropout", default=0.0, doc="the probability of a zero between them", least=0, below=1),
)
_MASK = (Random("e", "keep(1 - dropout)", ("n", "t", "u")),)
_ENDS = (("last", "size(t) - 1"),)
_KEPT = (
    "The last output can be read as `name.h_n`{}: [n, k], of several layers or both ways "
    "[n, layers*ways, k] (PyTorch's with the examples first), as the first step reads it."
)
_WIDTH = ("u", "hidden_size*(1 + bidirectional)")


def _step(gates: int, suffix: str = "", back: str = "") -> tuple[Parameter, ...]:
    """Return the parameters of a step, one way."""
    rows = "hidden_size" if gates == 1 else f"{gates}*hidden_size"
    return tuple(
        Parameter(f"{letter}{back}", f"{name}{suffix}", shape, _START)
        for letter, name, shape in (
            ("W", "weight_ih", (rows, "i")),
            ("U", "weight_hh", (rows, "hidden_size")),
            ("b", "bias_ih", (rows,)),
            ("c", "bias_hh", (rows,)),
        )
    )


def _cell_gates(made: str, weight: str, index: str, source: str, bias: str) -> tuple[str, ...]:
    return (
        (
            f"{made}[n, g, k] = sum({weight}[hidden_size*g + k, {index}] * {source}[n, {index}],"
            f" {index}) + where(bias, {bias}[hidden_size*g + k], 0)"
        ),
    )


def _before(letter: str, index: str, back: str, start: str) -> str:
    """Return a value of the step before, behind on the way back; `start`: what the first reads."""
    read = f"{letter}{back}[n, t{'+' if back else '-'}1, {index}]"
    first = "t < last" if back else "t > 0"
    return f"where({first}, {read}, {start.format(index)})" if start else read


def _input(back: str, source: str) -> str:
    return (
        f"p{back}[n, t, g, k] = sum(W{back}[hidden_size*g + k, i] * {source}[n, t, i], i)"
        f" + where(bias, b{back}[hidden_size*g + k], 0)"
    )


def _hidden(back: str, start: str) -> str:
    """Return the product with the step before."""
    return (
        f"sum(U{back}[hidden_size*g + k, l] * {_before('h', 'l', back, start)}, l)"
        f" + where(bias, c{back}[hidden_size*g + k], 0)"
    )


def _rnn(back: str, source: str, starts: tuple[str, ...]) -> tuple[str, ...]:
    before = _before("h", "l", back, starts[0])
    return (
        (
            f"p{back}[n, t, k] = sum(W{back}[k, i] * {source}[n, t, i], i)"
            f" + where(bias, b{back}[k], 0)"
        ),
        (
            f"a{back}[n, t, k] = p{back}[n, t, k] + sum(U{back}[k, l] * {before}, l)"
            f" + where(bias, c{back}[k], 0)"
        ),
        (
            f"h{back}[n, t, k] = where(nonlinearity_tanh, tanh(a{back}[n, t, k]),"
            f" relu(a{back}[n, t, k]))"
        ),
    )


def _lstm(back: str, source: str, starts: tuple[str, ...]) -> tuple[str, ...]:
    at = f"{back}[n, t, k]"
    gates = (("u", "sigmoid"), ("f", "sigmoid"), ("m", "tanh"), ("o", "sigmoid"))
    return (
        _input(back, source),
        f"a{back}[n, t, g, k] = p{back}[n, t, g, k] + {_hidden(back, starts[0])}",
        *(f"{gate}{at} = {bend}(a{back}[n, t, {k}, k])" for k, (gate, bend) in enumerate(gates)),
        f"s{at} = f{at} * {_before('s', 'k', back, starts[1])} + u{at} * m{at}",
        f"h{at} = o{at} * tanh(s{at})",
    )


def _gru(back: str, source: str, starts: tuple[str, ...]) -> tuple[str, ...]:
    p, q = ([f"{a}{back}[n, t, {gate}, k]" for gate in range(3)] for a in "pq")
    return (
        _input(back, source),
        f"q{back}[n, t, g, k] = {_hidden(back, starts[0])}",
        f"r{back}[n, t, k] = sigmoid({p[0]} + {q[0]})",
        f"z{back}[n, t, k] = sigmoid({p[1]} + {q[1]})",
        f"m{back}[n, t, k] = tanh({p[2]} + r{back}[n, t, k] * {q[2]})",
        (
            f"h{back}[n, t, k] = (1 - z{back}[n, t, k]) * m{back}[n, t, k]"
            f" + z{back}[n, t, k] * {_before('h', 'k', back, starts[0])}"
        ),
    )


_Way = Callable[[str, str, tuple[str, ...]], tuple[str, ...]]
_STATES = (("h", "H", "G"), ("s", "C", "D"))  # of a step; of the last one; … and of lower layers


def _out(at: str, value: str) -> str:
    """Return a formula of the output: with zeros in it, if another layer follows."""
    dropped = f"e[n, t, {at}] * {value}"
    return f"y[n, t, {at}] = where(dropout > 0 and round + 1 < num_layers, {dropped}, {value})"


def _last(state: tuple[str, str, str], both: bool, stacked: bool, later: bool) -> tuple[str, ...]:
    """Return the formulas of the last states, those of several layers and ways side by side."""
    letter, made, lower = state
    if not stacked:
        return (f"{made}[n, k] = {letter}[n, last, k]",)
    below = "size(q) + " if later else ""
    return (
        *([f"{made}[n, q, k] = {lower}[n, q, k]"] if later else []),
        f"{made}[n, {below}a, k] = {letter}[n, last + a, k]",
        *([f"{made}[n, {below}size(a) + a, k] = {letter}b[n, -a, k]"] if both else []),
    )


def _form(
    way: _Way, states: int, given: bool, both: bool, stacked: bool, later: bool
) -> tuple[str, ...]:
    """Return the formulas of one layer: from given states, both ways, beside or above others."""
    formulas: list[str] = []
    for place, back in enumerate(("", "b")[: 1 + both]):
        at = f"n, {1 + both}*round + {place}, " if stacked else "n, "
        starts = tuple(f"x{2 + k}[{at}{{}}]" if given else "" for k in range(states))
        formulas += way(back, "x1" if given else "x", starts)
    for state in _STATES[:states]:
        formulas += _last(state, both, stacked, later)
    beside = [_out("size(k) + k", "hb[n, t, k]")] if both else []
    return (*formulas, _out("k", "h[n, t, k]"), *beside)


def _cases(way: _Way, states: int) -> Iterator[Case]:
    """Yield every form but the plainest."""
    for given, both, stacked, later in product((True, False), repeat=4):
        if both <= stacked and later <= stacked and (given or stacked):
            asked = {
                "sources > 1": given,
                "bidirectional": both,
                "num_layers > 1": stacked and not both,
                "round > 0": later,
            }
            where = " and ".join(text for text, holds in asked.items() if holds)
            yield Case(where, _form(way, states, given, both, stacked, later))


_GIVEN = ("n", "num_layers*(1 + bidirectional)", "hidden_size")  # states of several layers or ways


def _sizes(gates: int) -> tuple[tuple[str, str], ...]:
    many = (("g", str(gates)),) if gates > 1 else ()
    return (("k", "hidden_size"), ("l", "hidden_size"), *many)


def _recurrence(
    name: str,
    way: _Way,
    gates: int,
    doc: str,
    source: str,
    options: tuple[Option, ...] = (),
    outputs: tuple[tuple[str, str], ...] = (),
) -> Entry:
    """Return a recurrence along t; with `outputs` a step has a second state, which they show."""
    states = 2 if outputs else 1
    kept = _KEPT.format(" and the last state as `name.c_n`" if outputs else "")
    return Entry(
        kind=Kind.LAYER,
        name=name,
        formulas=_form(way, states, given=False, both=False, stacked=False, later=False),
        cases=tuple(_cases(way, states)),
        doc=f"{doc} {kept}",
        source=f"torch.nn.{name.upper()}(batch_first=True); {source}",
        options=(*_OPTIONS, *options),
        axes=("n", "t", "i"),
        shapes=tuple((f"x{2 + k}", _GIVEN) for k in range(states)),
        numbers=_ENDS,
        sizes=(*_sizes(gates), _WIDTH, ("a", "1")),
        parameters=tuple(
            each
            for back, suffix in (("", "_l{}"), ("b", "_l{}_reverse"))
            for each in _step(gates, suffix, back)
        ),
        random=_MASK,
        outputs=(("h_n", "H"), *outputs),
        rounds="num_layers",
        carried=tuple((made, lower) for _, made, lower in _STATES[:states]),
        main="hidden_size",
    )


def _cell(
    name: str,
    gates: int,
    formulas: tuple[str, ...],
    doc: str,
    source: str,
    options: tuple[Option, ...] = (),
    outputs: tuple[tuple[str, str], ...] = (),
) -> Entry:
    """Return one step of a recurrence, as a layer."""
    return Entry(
        kind=Kind.LAYER,
        name=name,
        formulas=formulas,
        doc=doc,
        source=source,
        options=(_SIZE, _BIAS, *options),
        axes=("n", "i"),
        sizes=_sizes(gates),
        parameters=_step(gates),
        outputs=outputs,
        main="hidden_size",
    )


_GATED = (*_cell_gates("p", "W", "i", "x1", "b"), *_cell_gates("q", "U", "l", "x2", "c"))

ENTRIES = (
    _recurrence(
        "rnn",
        _rnn,
        1,
        "Each step puts out a function of its input and of what the step before put out. A second "
        "source is what the first step reads.",
        "Elman 1990, doi:10.1207/s15516709cog1402_1",
        options=(_NONLINEARITY,),
    ),
    _recurrence(
        "gru",
        _gru,
        3,
        "A gate mixes what the step before put out with something new. A second source is what "
        "the first step reads.",
        "Cho et al. 2014, arXiv:1406.1078",
    ),
    _recurrence(
        "lstm",
        _lstm,
        4,
        "Gates decide what a state keeps, what it takes in and what it shows. A second and a third "
        "source are the output and the state that the first step reads; the states can be read as "
        "`name.cell`.",
        "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        outputs=(("c_n", "C"), ("cell", "s"), ("cell_reverse", "sb")),
    ),
    _cell(
        "rnn_cell",
        1,
        (
            (
                "a[n, k] = sum(W[k, i] * x1[n, i], i) + where(bias, b[k], 0)"
                " + sum(U[k, l] * x2[n, l], l) + where(bias, c[k], 0)"
            ),
            "h[n, k] = where(nonlinearity_tanh, tanh(a[n, k]), relu(a[n, k]))",
        ),
        "One step of an rnn, of an input and of what the step before put out.",
        "torch.nn.RNNCell",
        options=(_NONLINEARITY,),
    ),
    _cell(
        "gru_cell",
        3,
        (
            *_GATED,
            "r[n, k] = sigmoid(p[n, 0, k] + q[n, 0, k])",
            "z[n, k] = sigmoid(p[n, 1, k] + q[n, 1, k])",
            "m[n, k] = tanh(p[n, 2, k] + r[n, k] * q[n, 2, k])",
            "h[n, k] = (1 - z[n, k]) * m[n, k] + z[n, k] * x2[n, k]",
        ),
        "One step of a gru, of an input and of what the step before put out.",
        "torch.nn.GRUCell",
    ),
    _cell(
        "lstm_cell",
        4,
        (
            *_GATED,
            "a[n, g, k] = p[n, g, k] + q[n, g, k]",
            "s[n, k] = sigmoid(a[n, 1, k]) * x3[n, k] + sigmoid(a[n, 0, k]) * tanh(a[n, 2, k])",
            "h[n, k] = sigmoid(a[n, 3, k]) * tanh(s[n, k])",
        ),
        "One step of an lstm, of an input and of output and state before it; its state can be read "
        "as `name.cell`.",
        "torch.nn.LSTMCell",
        outputs=(("cell", "s"),),
    ),
    Entry(
        kind=Kind.LAYER,
        name="last_step",
        formulas=("y[n, ...] = x[n, last, ...]",),
        doc="A sequence's last step, as the output of a recurrence.",
        source="x[:, -1]",
        axes=("n", "t", "..."),
        numbers=(("last", "size(t) - 1"),),
    ),
)
