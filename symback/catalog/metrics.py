"""Figures for people, from the output `y` and the target `t` of all rows at once.

`labels` is 1 where t holds class labels; rows whose label is `ignored` by the loss count for
nothing.
"""

from symback.catalog.entry import Entry, Kind, Option

_COUNTED = "where(ignored_given, t[...] != ignored, 1)"
_CHOSEN = "b[...] = argmax(y[..., k], k)"
_RIGHT = "where(labels, t[...], argmax(t[..., k], k))"
_BY_CLASS = (  # what is said to be of class k, what is, and what is rightly said
    _CHOSEN,
    f"P[..., k] = (b[...] == k) * {_COUNTED}",
    f"T[..., k] = ({_RIGHT.replace('k', 'j')} == k) * {_COUNTED}",
    "said[k] = sum(P[..., k], ...)",
    "actual[k] = sum(T[..., k], ...)",
    "hits[k] = sum(P[..., k] * T[..., k], ...)",
)
_CLASSES = "maximum(sum(said[k] + actual[k] > 0, k), 1)"  # those that occur at all
_BINARY = (
    "said = sum(y[...] > 0, ...)",
    "actual = sum(t[...] > 0.5, ...)",
    "hits = sum((y[...] > 0) * (t[...] > 0.5), ...)",
)


def _over_rows(name: str, each: str) -> str:
    """Return the formula of a mean over the rows that count."""
    return (
        f"{name} = where(ignored_given, sum({_COUNTED} * ({each}), ...)"
        f" / maximum(sum({_COUNTED}, ...), 1), mean({each}, ...))"
    )


def _metric(
    name: str,
    doc: str,
    source: str,
    *formulas: str,
    options: tuple[Option, ...] = (),
    aliases: tuple[str, ...] = (),
) -> Entry:
    return Entry(
        kind=Kind.METRIC,
        name=name,
        formulas=formulas,
        doc=doc,
        source=source,
        options=options,
        main=options[0].name if options else "",
        aliases=aliases,
    )


ENTRIES = (
    _metric(
        "accuracy",
        "The part of the examples whose largest output stands at the target's class.",
        "(argmax(y) == t).mean()",
        _over_rows("accuracy", f"argmax(y[..., k], k) == {_RIGHT}"),
    ),
    _metric(
        "top_k",
        "The part of the examples where fewer than k outputs are larger than the target's class's.",
        "scikit-learn's top_k_accuracy_score, where no outputs are equal",
        f"r[...] = {_RIGHT.replace('k', 'j')}",
        "u[...] = sum(where(r[...] == j, y[..., j], 0), j)",
        _over_rows("top_k", "sum(y[..., j] > u[...], j) < k"),
        options=(Option("k", default=5, doc="how many guesses", whole=True, least=1),),
        aliases=("top_k_accuracy",),
    ),
    _metric(
        "precision",
        "Of the examples said to be of a class, the part that is; the mean over the classes that "
        "occur.",
        "scikit-learn's precision_score(average='macro', zero_division=0)",
        *_BY_CLASS,
        f"precision = sum(hits[k] / maximum(said[k], 1), k) / {_CLASSES}",
    ),
    _metric(
        "recall",
        "Of the examples of a class, the part said to be so; the mean over the classes that occur.",
        "scikit-learn's recall_score(average='macro', zero_division=0)",
        *_BY_CLASS,
        f"recall = sum(hits[k] / maximum(actual[k], 1), k) / {_CLASSES}",
    ),
    _metric(
        "f1",
        "The harmonic mean of a class's precision and recall; the mean over the classes that "
        "occur.",
        "scikit-learn's f1_score(average='macro')",
        *_BY_CLASS,
        f"f1 = sum(2 * hits[k] / maximum(said[k] + actual[k], 1), k) / {_CLASSES}",
        aliases=("f1_score",),
    ),
    _metric(
        "perplexity",
        "exp of the cross-entropy: among how many classes, evenly likely, the outputs choose.",
        "exp(torch.nn.CrossEntropyLoss)",
        "q[..., k] = log_softmax(y[..., k], k)",
        "h[...] = -sum(where(labels, t[...] == k, t[..., k]) * q[..., k], k)",
        _over_rows("H", "h[...]"),
        "perplexity = exp(H)",
    ),
    _metric(
        "binary_accuracy",
        "The part of the outputs on the target's side of zero (targets 0 and 1, or -1 and 1).",
        "((y > 0) == (t > 0.5)).mean(), y being logits",
        "binary_accuracy = mean((y[...] > 0) == (t[...] > 0.5), ...)",
    ),
    _metric(
        "binary_precision",
        "Of the outputs above zero, the part whose target is 1.",
        "scikit-learn's precision_score(t > 0.5, y > 0), y being logits",
        *_BINARY,
        "binary_precision = hits / maximum(said, 1)",
    ),
    _metric(
        "binary_recall",
        "Of the targets that are 1, the part whose output is above zero.",
        "scikit-learn's recall_score(t > 0.5, y > 0), y being logits",
        *_BINARY,
        "binary_recall = hits / maximum(actual, 1)",
    ),
    _metric(
        "binary_f1",
        "The harmonic mean of binary_precision and binary_recall.",
        "scikit-learn's f1_score(t > 0.5, y > 0), y being logits",
        *_BINARY,
        "binary_f1 = 2 * hits / maximum(said + actual, 1)",
    ),
    _metric(
        "mae",
        "The mean absolute error.",
        "torch.nn.L1Loss",
        "mae = mean(abs(y[...] - t[...]), ...)",
        aliases=("mean_absolute_error",),
    ),
    _metric(
        "mse",
        "The mean squared error.",
        "torch.nn.MSELoss",
        "mse = mean((y[...] - t[...])**2, ...)",
        aliases=("mean_squared_error",),
    ),
    _metric(
        "rmse",
        "The root of the mean squared error, in the target's own unit.",
        "sqrt(mean((y - t)**2))",
        "rmse = sqrt(mean((y[...] - t[...])**2, ...))",
    ),
    _metric(
        "mape",
        "The mean of the absolute error as a part of the target.",
        "scikit-learn's mean_absolute_percentage_error",
        "mape = mean(abs(y[...] - t[...]) / maximum(abs(t[...]), eps), ...)",
        options=(
            Option("eps", default=2.0**-52, doc="the least target that is divided by", above=0),
        ),
    ),
    _metric(
        "max_error",
        "The largest absolute error.",
        "scikit-learn's max_error",
        "max_error = max(abs(y[...] - t[...]), ...)",
    ),
    _metric(
        "r2",
        "The part of the target's variance explained, over all outputs together.",
        "scikit-learn's r2_score of one output",
        "r2 = 1 - sum((y[...] - t[...])**2, ...) / sum((t[...] - mean(t[...], ...))**2, ...)",
    ),
    _metric(
        "explained_variance",
        "As r2, but a constant error costs nothing.",
        "scikit-learn's explained_variance_score of one output",
        "m = mean(y[...] - t[...], ...)",
        "explained_variance = 1 - sum((y[...] - t[...] - m)**2, ...)"
        " / sum((t[...] - mean(t[...], ...))**2, ...)",
    ),
)
