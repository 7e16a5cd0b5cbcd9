"""Layers that run along a sequence x[n, t, i]: the output of one step is read by the next.

What is before the first step is zero. The gates of one step lie one behind the other, in PyTorch's
order; the input's part of all of them is one product before the loop.
"""

from symback.catalog.entry import Case, Entry, Kind, Option, Parameter

_START = "uniform(-1/sqrt(size(k)), 1/sqrt(size(k)))"
_OPTIONS = (
    Option(
        "hidden_size", doc="how many values a step puts out", required=True, whole=True, least=1
    ),
    Option("bias", default=True, doc="add learned biases"),
    Option("bidirectional", default=False, doc="run from the end too, and put out both"),
)


def _parameters(gates: int) -> tuple[Parameter, ...]:
    """Return the parameters of both directions; letters of the way back end on b."""
    rows = "hidden_size" if gates == 1 else f"{gates}*hidden_size"
    return tuple(
        Parameter(f"{letter}{back}", f"{name}_l0{'_reverse' if back else ''}", shape, _START)
        for back in ("", "b")
        for letter, name, shape in (
            ("W", "weight_ih", (rows, "i")),
            ("U", "weight_hh", (rows, "hidden_size")),
            ("b", "bias_ih", (rows,)),
            ("c", "bias_hh", (rows,)),
        )
    )


def _input(back: str) -> str:
    return (
        f"p{back}[n, t, g, k] = sum(W{back}[hidden_size*g + k, i] * x[n, t, i], i)"
        f" + where(bias, b{back}[hidden_size*g + k], 0)"
    )


def _hidden(back: str) -> str:
    """Return the product with the step before: behind, on the way back."""
    before = f"h{back}[n, t{'+' if back else '-'}1, l]"
    return (
        f"sum(U{back}[hidden_size*g + k, l] * {before}, l)"
        f" + where(bias, c{back}[hidden_size*g + k], 0)"
    )


def _rnn(back: str) -> tuple[str, ...]:
    before = f"h{back}[n, t{'+' if back else '-'}1, l]"
    return (
        f"p{back}[n, t, k] = sum(W{back}[k, i] * x[n, t, i], i) + where(bias, b{back}[k], 0)",
        (
            f"a{back}[n, t, k] = p{back}[n, t, k] + sum(U{back}[k, l] * {before}, l)"
            f" + where(bias, c{back}[k], 0)"
        ),
        (
            f"h{back}[n, t, k] = where(nonlinearity_tanh, tanh(a{back}[n, t, k]),"
            f" relu(a{back}[n, t, k]))"
        ),
    )


def _lstm(back: str) -> tuple[str, ...]:
    at = f"{back}[n, t, k]"
    gates = (("u", "sigmoid"), ("f", "sigmoid"), ("m", "tanh"), ("o", "sigmoid"))
    return (
        _input(back),
        f"a{back}[n, t, g, k] = p{back}[n, t, g, k] + {_hidden(back)}",
        *(f"{gate}{at} = {bend}(a{back}[n, t, {k}, k])" for k, (gate, bend) in enumerate(gates)),
        f"s{at} = f{at} * s{back}[n, t{'+' if back else '-'}1, k] + u{at} * m{at}",
        f"h{at} = o{at} * tanh(s{at})",
    )


def _gru(back: str) -> tuple[str, ...]:
    p, q = ([f"{a}{back}[n, t, {gate}, k]" for gate in range(3)] for a in "pq")
    step = "+" if back else "-"
    return (
        _input(back),
        f"q{back}[n, t, g, k] = {_hidden(back)}",
        f"r{back}[n, t, k] = sigmoid({p[0]} + {q[0]})",
        f"z{back}[n, t, k] = sigmoid({p[1]} + {q[1]})",
        f"m{back}[n, t, k] = tanh({p[2]} + r{back}[n, t, k] * {q[2]})",
        (
            f"h{back}[n, t, k] = (1 - z{back}[n, t, k]) * m{back}[n, t, k]"
            f" + z{back}[n, t, k] * h{back}[n, t{step}1, k]"
        ),
    )


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[Case, ...]:
    joined = ("y[n, t, k] = h[n, t, k]", "y[n, t, size(k) + k] = hb[n, t, k]")
    return (Case("bidirectional", (*one, *other, *joined)),)


ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="rnn",
        formulas=_rnn(""),
        cases=_both(_rnn(""), _rnn("b")),
        doc="Each step puts out a function of its input and of what the step before put out.",
        source="torch.nn.RNN(batch_first=True); Elman 1990, doi:10.1207/s15516709cog1402_1",
        options=(
            *_OPTIONS,
            Option(
                "nonlinearity",
                default="tanh",
                doc="the function applied",
                choices=("tanh", "relu"),
            ),
        ),
        axes=("n", "t", "i"),
        sizes=(("k", "hidden_size"), ("l", "hidden_size")),
        parameters=_parameters(1),
        main="hidden_size",
    ),
    Entry(
        kind=Kind.LAYER,
        name="gru",
        formulas=_gru(""),
        cases=_both(_gru(""), _gru("b")),
        doc="A gate mixes what the step before put out with something new.",
        source="torch.nn.GRU(batch_first=True); Cho et al. 2014, arXiv:1406.1078",
        options=_OPTIONS,
        axes=("n", "t", "i"),
        sizes=(("k", "hidden_size"), ("l", "hidden_size"), ("g", "3")),
        parameters=_parameters(3),
        main="hidden_size",
    ),
    Entry(
        kind=Kind.LAYER,
        name="lstm",
        formulas=_lstm(""),
        cases=_both(_lstm(""), _lstm("b")),
        doc="Gates decide what a state keeps, what it takes in and what it shows.",
        source=(
            "torch.nn.LSTM(batch_first=True); Hochreiter and Schmidhuber 1997, "
            "doi:10.1162/neco.1997.9.8.1735"
        ),
        options=_OPTIONS,
        axes=("n", "t", "i"),
        sizes=(("k", "hidden_size"), ("l", "hidden_size"), ("g", "4")),
        parameters=_parameters(4),
        main="hidden_size",
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
