"""Figures for people, from the output `y` and the target `t` of all rows at once."""

from symback.catalog.entry import Entry, Kind

ENTRIES = (
    Entry(
        kind=Kind.METRIC,
        name="accuracy",
        formulas=(
            (
                "accuracy = mean(argmax(y[..., k], k)"
                " == where(labels, t[...], argmax(t[..., k], k)), ...)"
            ),
        ),
        doc="The part of the examples whose largest output stands at the target's class.",
        source="(argmax(y) == t).mean()",
    ),
    Entry(
        kind=Kind.METRIC,
        name="binary_accuracy",
        formulas=("binary_accuracy = mean((y[...] > 0) == (t[...] > 0.5), ...)",),
        doc="The part of the outputs on the target's side of zero (targets 0 and 1, or -1 and 1).",
        source="((y > 0) == (t > 0.5)).mean(), y being logits",
    ),
    Entry(
        kind=Kind.METRIC,
        name="mae",
        formulas=("mae = mean(abs(y[...] - t[...]), ...)",),
        doc="The mean absolute error.",
        source="torch.nn.L1Loss",
        aliases=("mean_absolute_error",),
    ),
    Entry(
        kind=Kind.METRIC,
        name="mse",
        formulas=("mse = mean((y[...] - t[...])**2, ...)",),
        doc="The mean squared error.",
        source="torch.nn.MSELoss",
        aliases=("mean_squared_error",),
    ),
    Entry(
        kind=Kind.METRIC,
        name="rmse",
        formulas=("rmse = sqrt(mean((y[...] - t[...])**2, ...))",),
        doc="The root of the mean squared error, in the target's own unit.",
        source="sqrt(mean((y - t)**2))",
    ),
    Entry(
        kind=Kind.METRIC,
        name="r2",
        formulas=(
            "r2 = 1 - sum((y[...] - t[...])**2, ...) / sum((t[...] - mean(t[...], ...))**2, ...)",
        ),
        doc="The part of the target's variance explained, over all outputs together.",
        source="scikit-learn's r2_score of one output",
    ),
)
