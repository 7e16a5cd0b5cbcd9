"""PyTorch's counterparts of the catalogue's entries, in float64 on the processor.

Whoever imports this is skipped where PyTorch isn't installed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from oracle import Arrays, Library, Result, SpecMapping, network

torch = pytest.importorskip("torch")
F = torch.nn.functional

Tensor = Any  # torch.Tensor


def softplus(x: Tensor, beta: float) -> Tensor:
    """PyTorch's, its threshold moved to where log(1 + exp(x)) is x in float64 too."""
    return F.softplus(x, beta, threshold=40)


def celu(x: Tensor, alpha: float) -> Tensor:
    """The same as PyTorch's, which rounds 1/alpha to float32."""
    return alpha * F.elu(x / alpha)


def hardsigmoid(x: Tensor) -> Tensor:
    """The same as PyTorch's, whose slope is 1/6 rounded to float32."""
    return F.relu6(x + 3) / 6


ACTIVATIONS: Mapping[str, Callable[..., Tensor]] = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "celu": celu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": softplus,
    "log_sigmoid": F.logsigmoid,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "softmin": lambda x: F.softmin(x, -1),
    "softmax2d": torch.nn.Softmax2d(),
    "softsign": F.softsign,
    "hardtanh": F.hardtanh,
    "relu6": F.relu6,
    "hardsigmoid": hardsigmoid,
    "hardswish": F.hardswish,
    "tanhshrink": F.tanhshrink,
    "threshold": F.threshold,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
}


def dense(sources: Sequence[Tensor], own: Mapping[str, Tensor], units: int, bias: bool) -> Tensor:
    assert ("bias" in own) is bias
    assert len(own["weight"]) == units
    return F.linear(sources[0], own["weight"], own.get("bias"))


def dropout(sources: Sequence[Tensor], own: Mapping[str, Tensor], p: float) -> Tensor:
    """Evaluation, or training with the mask given: PyTorch draws other numbers."""
    assert 0 <= p < 1
    return sources[0] * own["mask"] if "mask" in own else F.dropout(sources[0], p, training=False)


LAYERS: Mapping[str, Callable[..., Tensor]] = {
    "dense": dense,
    "flatten": lambda sources, own: torch.flatten(sources[0], 1),
    "dropout": dropout,
    "add": lambda sources, own: sum(sources[1:], sources[0]),
    "concat": lambda sources, own: torch.cat(list(sources), -1),
}


def reduced(elements: Tensor, reduction: str, divisor: Tensor | None = None) -> Tensor:
    """Reduce a loss's elements; a mean divides by their number unless told otherwise."""
    if reduction == "none":
        return elements
    if reduction == "sum":
        return elements.sum()
    if reduction == "batchmean":
        return elements.sum() / len(elements)
    return elements.mean() if divisor is None else elements.sum() / divisor


def plain(function: Any) -> Any:
    """Give a loss of (output, target) sample weights; the mean divides by their number."""

    def loss(
        y: Tensor, t: Tensor, reduction: str, sample: Tensor | None, classes: None, **options: Any
    ) -> Tensor:
        assert classes is None
        if sample is None:
            return function(y, t, reduction=reduction, **options)
        return reduced(function(y, t, reduction="none", **options) * sample, reduction)

    return loss


def weighted(function: Any) -> Any:
    """A loss of (output, target) that PyTorch gives sample weights itself."""

    def loss(
        y: Tensor, t: Tensor, reduction: str, sample: Tensor | None, classes: None, **options: Any
    ) -> Tensor:
        assert classes is None
        return function(y, t, weight=sample, reduction=reduction, **options)

    return loss


def in_rows(y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Join all axes but the classes': PyTorch wants these second."""
    rows = y.reshape(-1, y.shape[-1])
    return rows, t.reshape(rows.shape) if t.is_floating_point() else t.reshape(-1)


def class_weights(classes: list[float] | None) -> Tensor | None:
    return None if classes is None else torch.tensor(classes, dtype=torch.float64)


def of_labels(function: Any) -> Any:
    """Take class weights, ignored labels and, which PyTorch has not, sample weights."""

    def loss(
        y: Tensor,
        t: Tensor,
        reduction: str,
        sample: Tensor | None,
        classes: list[float] | None,
        ignore_index: int | None,
        **options: Any,
    ) -> Tensor:
        rows, targets = in_rows(y, t)
        w = class_weights(classes)
        ignored = -100 if ignore_index is None else ignore_index
        ready = {"weight": w, "ignore_index": ignored, **options}
        if sample is None:
            found = function(rows, targets, reduction=reduction, **ready)
            return found.reshape(y.shape[:-1]) if reduction == "none" else found
        counts = sample.reshape(-1)
        elements = function(rows, targets, reduction="none", **ready) * counts
        if not targets.is_floating_point():
            kept = targets != ignored
            counts = counts * kept * (1 if w is None else w[targets * kept])
        found = reduced(elements, reduction, counts.sum())
        return found.reshape(y.shape[:-1]) if reduction == "none" else found

    return loss


def bce_with_logits(y: Tensor, t: Tensor, pos_weight: float | None, **general: Any) -> Tensor:
    counts = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64)
    return F.binary_cross_entropy_with_logits(y, t, pos_weight=counts, **general)


def multi_margin(
    y: Tensor,
    t: Tensor,
    reduction: str,
    sample: Tensor | None,
    classes: list[float] | None,
    margin: float,
    squared: bool,
) -> Tensor:
    rows, labels = in_rows(y, t)
    elements = F.multi_margin_loss(
        rows,
        labels,
        p=2 if squared else 1,
        margin=margin,
        weight=class_weights(classes),
        reduction="none",
    ).reshape(y.shape[:-1])
    return reduced(elements if sample is None else elements * sample, reduction)


def hinge(y: Tensor, t: Tensor, margin: float, reduction: str) -> Tensor:
    """PyTorch has none: its relu of what lacks to the margin."""
    return reduced(F.relu(margin - t * y), reduction)


def soft_margin(y: Tensor, t: Tensor, reduction: str) -> Tensor:
    """The same as PyTorch's, which loses small values and overflows for large ones."""
    return reduced(softplus(-t * y, beta=1), reduction)


def kl_div(y: Tensor, t: Tensor, log_target: bool, reduction: str) -> Tensor:
    """PyTorch's elements; it warns of its mean, which divides by their number."""
    return reduced(F.kl_div(y, t, log_target=log_target, reduction="none"), reduction)


def multilabel_margin(
    y: Tensor, t: Tensor, reduction: str, sample: Tensor | None, classes: None
) -> Tensor:
    """PyTorch's, of the labels in a list that ends with -1."""
    rows = y.reshape(-1, y.shape[-1])
    listed = torch.full(rows.shape, -1)
    for row, marks in enumerate(t.reshape(rows.shape)):
        labels = marks.nonzero().flatten()
        listed[row, : len(labels)] = labels
    elements = F.multilabel_margin_loss(rows, listed, reduction="none").reshape(y.shape[:-1])
    return reduced(elements if sample is None else elements * sample, reduction)


def multilabel_soft_margin(
    y: Tensor, t: Tensor, reduction: str, sample: Tensor | None, classes: list[float] | None
) -> Tensor:
    weight = class_weights(classes)
    elements = F.multilabel_soft_margin_loss(y, t, weight=weight, reduction="none")
    return reduced(elements if sample is None else elements * sample, reduction)


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "mse": weighted(F.mse_loss),
    "l1": weighted(F.l1_loss),
    "huber": weighted(F.huber_loss),
    "smooth_l1": plain(F.smooth_l1_loss),
    "bce_with_logits": weighted(bce_with_logits),
    "cross_entropy": of_labels(F.cross_entropy),
    "nll": of_labels(F.nll_loss),
    "multi_margin": multi_margin,
    "hinge": plain(hinge),
    "soft_margin": plain(soft_margin),
    "hinge_embedding": plain(F.hinge_embedding_loss),
    "poisson_nll": plain(F.poisson_nll_loss),
    "kl_div": plain(kl_div),
    "bce": weighted(F.binary_cross_entropy),
    "multilabel_margin": multilabel_margin,
    "multilabel_soft_margin": multilabel_soft_margin,
}


def gaussian_nll(output: Tensor, target: Tensor, var: Tensor, **options: Any) -> Tensor:
    return F.gaussian_nll_loss(output, target, var, reduction="none", **options)


def margin_ranking(x1: Tensor, x2: Tensor, target: Tensor, margin: float) -> Tensor:
    return F.margin_ranking_loss(x1, x2, target, margin, reduction="none")


def cosine_embedding(x1: Tensor, x2: Tensor, target: Tensor, margin: float) -> Tensor:
    return F.cosine_embedding_loss(x1, x2, target, margin, reduction="none")


def triplet_margin(anchor: Tensor, positive: Tensor, negative: Tensor, **options: Any) -> Tensor:
    return F.triplet_margin_loss(anchor, positive, negative, reduction="none", **options)


COMPARISONS: Mapping[str, Callable[..., Tensor]] = {  # the elements of losses of their own operands
    "gaussian_nll": gaussian_nll,
    "margin_ranking": margin_ranking,
    "cosine_embedding": cosine_embedding,
    "triplet_margin": triplet_margin,
}

TORCH = Library(ACTIVATIONS, LAYERS, LOSSES)


def result(
    spec: SpecMapping,
    params: Arrays,
    data: Arrays,
    wrt: Sequence[str] = (),
    masks: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
) -> Result:
    """Return output, loss and gradients of a spec by PyTorch's own differentiation.

    An unreduced loss is differentiated as its sum; what it doesn't depend on has no gradient.
    `masks`: layer → what its dropout multiplies by; `own`: formula → a function of tensors.
    """
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in params.items()}
    tensors = {name: torch.tensor(a, requires_grad=name in wrt) for name, a in data.items()}
    drawn = {f"{layer}.mask": torch.tensor(mask) for layer, mask in (masks or {}).items()}
    output, loss = network(spec, replace(TORCH, own=own or {}), leaves | drawn, tensors)
    sought = {name: tensors[name] for name in wrt} | leaves
    found = torch.autograd.grad(loss.sum(), list(sought.values()), allow_unused=True)
    grads = {name: g.numpy() for name, g in zip(sought, found, strict=True) if g is not None}
    return Result(output.detach().numpy(), np.array(loss.detach().numpy()), grads)
