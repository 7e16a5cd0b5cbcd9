"""Every layer of the catalogue that has no test of its own: options, shapes, PyTorch's counterpart.

A case is small and odd: sizes that windows don't divide, kernels of even size, one channel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch

torch = pytorch.torch
F = torch.nn.functional
Weights = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A layer with options, the shapes of its sources (labels: their classes), its counterpart."""

    layer: str
    shapes: tuple[tuple[int, ...], ...]
    theirs: Callable[..., Any]  # of the sources and the weights by name
    options: Mapping[str, Any]
    classes: int = 0

    def __str__(self) -> str:
        given = [f"{name}={value}" for name, value in self.options.items()]
        return ", ".join([self.layer, *given, *map(str, self.shapes)])


def case(
    layer: str, shapes: Sequence[Any], theirs: Callable[..., Any], classes: int = 0, **options: Any
) -> Case:
    """Return a case; one shape stands alone."""
    several = shapes if shapes and isinstance(shapes[0], tuple) else (tuple(shapes),)
    return Case(layer, tuple(several), theirs, options, classes)


def loaded(module: Any) -> Callable[..., Any]:
    """Return PyTorch's module as a function: the weights are its state_dict as it is."""

    def theirs(*given: Any) -> Any:
        *x, w = given
        made = module.double().eval()
        expected = {name: tuple(value.shape) for name, value in made.state_dict().items()}
        assert {name: tuple(value.shape) for name, value in w.items()} == expected
        states = x[1:] if len(x) < 3 else [tuple(x[1:])]
        found = torch.func.functional_call(made, dict(w), (x[0], *states))
        return found[0] if isinstance(found, tuple) else found

    return theirs


def adaptive(module: Any) -> Callable[..., Any]:
    """Return what PyTorch's module gives each class; called itself, it puts out a loss."""

    def theirs(x: Any, w: Weights) -> Any:
        made = module.double()
        made.forward = made.log_prob
        assert set(w) == {name for name, _ in made.named_parameters()}
        return torch.func.functional_call(made, dict(w), (x,))

    return theirs


def without(label: int, theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of labels and vectors that has zeros for one label, as PyTorch starts."""

    def zeroed(x: Any, w: Weights) -> Any:
        kept = torch.arange(len(w["weight"]))[:, None] != label
        return theirs(x, {"weight": w["weight"] * kept})

    return zeroed


def started(module: Any) -> Callable[..., Any]:
    """Return PyTorch's recurrence from states; of one layer and one way they have no axis of it."""

    def theirs(*given: Any) -> Any:
        *(x, *states), w = given
        states = [s.transpose(0, 1) if s.dim() == 3 else s[None] for s in states]
        whole = tuple(states) if len(states) > 1 else states[0]
        return torch.func.functional_call(module.double(), dict(w), (x, whole))[0]

    return theirs


def attention(heads: int, width: int, bias: bool, causal: bool) -> Callable[..., Any]:
    """Return PyTorch's attention of one source, or of three and what isn't to be seen."""

    def theirs(*given: Any) -> Any:
        *sources, w = given
        made = torch.nn.MultiheadAttention(width, heads, bias=bias, batch_first=True).double()
        assert set(w) == set(made.state_dict())
        unseen = sources[3] != 0 if len(sources) > 3 else None
        q, k, v = sources[:3] if len(sources) > 1 else sources * 3
        steps = q.shape[1]
        hidden = torch.triu(torch.ones(steps, steps, dtype=torch.bool), 1) if causal else None
        ready = {"need_weights": False, "attn_mask": hidden, "key_padding_mask": unseen}
        return torch.func.functional_call(made, dict(w), (q, k, v), ready)[0]

    return theirs


def swiglu(x: Any, w: Weights) -> Any:
    gate = F.silu(F.linear(x, w["w1.weight"]))
    return F.linear(gate * F.linear(x, w["w3.weight"]), w["w2.weight"])


nn = torch.nn

CASES = [
    # convolutions
    case("conv1d", (3, 7), loaded(nn.Conv1d(3, 4, 3)), out_channels=4, kernel_size=3),
    case("conv1d", (1, 5), loaded(nn.Conv1d(1, 1, 5)), out_channels=1, kernel_size=5),
    case(
        "conv1d",
        (6, 8),
        loaded(nn.Conv1d(6, 4, 3, stride=2, padding=1, groups=2, bias=False)),
        out_channels=4,
        kernel_size=3,
        stride=2,
        padding=1,
        groups=2,
        bias=False,
    ),
    case("conv2d", (3, 7, 5), loaded(nn.Conv2d(3, 4, 3)), out_channels=4, kernel_size=3),
    case("conv2d", (2, 3, 3), loaded(nn.Conv2d(2, 3, 1)), out_channels=3, kernel_size=1),
    case(
        "conv2d",
        (3, 7, 5),
        loaded(nn.Conv2d(3, 4, (3, 2), (2, 1), (1, 0), (1, 2))),
        out_channels=4,
        kernel_size=[3, 2],
        stride=[2, 1],
        padding=[1, 0],
        dilation=[1, 2],
    ),
    case(
        "conv2d",
        (2, 6, 5),
        loaded(nn.Conv2d(2, 3, (3, 4), padding="same", dilation=(2, 1))),
        out_channels=3,
        kernel_size=[3, 4],
        padding="same",
        dilation=[2, 1],
    ),
    case(
        "conv2d",
        (4, 6, 6),
        loaded(nn.Conv2d(4, 8, 3, groups=4, padding="valid")),
        out_channels=8,
        kernel_size=3,
        groups=4,
        padding="valid",
    ),
    case(
        "conv3d",
        (2, 3, 4, 5),
        loaded(nn.Conv3d(2, 3, 2, (1, 2, 1), 1)),
        out_channels=3,
        kernel_size=2,
        stride=[1, 2, 1],
        padding=1,
    ),
    case(
        "conv3d",
        (2, 3, 3, 3),
        loaded(nn.Conv3d(2, 2, (1, 2, 3), dilation=(1, 2, 1), groups=2)),
        out_channels=2,
        kernel_size=[1, 2, 3],
        dilation=[1, 2, 1],
        groups=2,
    ),
    case(
        "conv_transpose1d",
        (3, 4),
        loaded(nn.ConvTranspose1d(3, 2, 3, 2, 1, 1)),
        out_channels=2,
        kernel_size=3,
        stride=2,
        padding=1,
        output_padding=1,
    ),
    case(
        "conv_transpose2d",
        (4, 3, 2),
        loaded(nn.ConvTranspose2d(4, 6, (2, 3), (1, 2), (1, 0), groups=2, dilation=(2, 1))),
        out_channels=6,
        kernel_size=[2, 3],
        stride=[1, 2],
        padding=[1, 0],
        groups=2,
        dilation=[2, 1],
    ),
    case(
        "conv_transpose2d",
        (2, 3, 3),
        loaded(nn.ConvTranspose2d(2, 1, 3, bias=False)),
        out_channels=1,
        kernel_size=3,
        bias=False,
    ),
    case(
        "conv_transpose3d",
        (1, 2, 1, 2),
        loaded(nn.ConvTranspose3d(1, 2, 2, (2, 1, 1))),
        out_channels=2,
        kernel_size=2,
        stride=[2, 1, 1],
    ),
    # poolings
    case("max_pool1d", (3, 7), lambda x, w: F.max_pool1d(x, 2), kernel_size=2),
    case(
        "max_pool1d",
        (2, 8),
        lambda x, w: F.max_pool1d(x, 3, 2, 1, 2, ceil_mode=True),
        kernel_size=3,
        stride=2,
        padding=1,
        dilation=2,
        ceil_mode=True,
    ),
    case("max_pool2d", (3, 7, 6), lambda x, w: F.max_pool2d(x, 2), kernel_size=2),
    case(
        "max_pool2d",
        (2, 7, 6),
        lambda x, w: F.max_pool2d(x, (3, 2), (2, 1), 1),
        kernel_size=[3, 2],
        stride=[2, 1],
        padding=1,
    ),
    case("avg_pool1d", (3, 7), lambda x, w: F.avg_pool1d(x, 2), kernel_size=2),
    *(
        case(
            "avg_pool1d",
            (2, 8),
            lambda x, w, counted=counted: F.avg_pool1d(x, 3, 2, 1, True, counted),
            kernel_size=3,
            stride=2,
            padding=1,
            ceil_mode=True,
            count_include_pad=counted,
        )
        for counted in (True, False)
    ),
    case("avg_pool2d", (3, 6, 7), lambda x, w: F.avg_pool2d(x, 2), kernel_size=2),
    case(
        "avg_pool2d",
        (2, 8, 5),
        lambda x, w: F.avg_pool2d(x, (3, 2), 2, 1, False, False),
        kernel_size=[3, 2],
        stride=2,
        padding=1,
        count_include_pad=False,
    ),
    case("adaptive_avg_pool1d", (2, 8), lambda x, w: F.adaptive_avg_pool1d(x, 3), output_size=3),
    case("adaptive_avg_pool2d", (2, 4, 5), lambda x, w: F.adaptive_avg_pool2d(x, 1), output_size=1),
    case(
        "adaptive_avg_pool2d",
        (2, 7, 5),
        lambda x, w: F.adaptive_avg_pool2d(x, (3, 2)),
        output_size=[3, 2],
    ),
    case("global_avg_pool", (3, 4, 5), lambda x, w: x.mean((2, 3))),
    case("global_avg_pool", (3, 4), lambda x, w: x.mean(2)),
    case(
        "max_pool3d",
        (1, 3, 4, 3),
        lambda x, w: F.max_pool3d(x, 2, 1, (1, 0, 1)),
        kernel_size=2,
        stride=1,
        padding=[1, 0, 1],
    ),
    case(
        "avg_pool3d",
        (1, 3, 4, 3),
        lambda x, w: F.avg_pool3d(x, (1, 2, 3), 1, (0, 1, 1)),
        kernel_size=[1, 2, 3],
        stride=1,
        padding=[0, 1, 1],
    ),
    case(
        "lp_pool1d",
        (2, 7),
        lambda x, w: F.lp_pool1d(x, 2, 3, 2),
        norm_type=2,
        kernel_size=3,
        stride=2,
    ),
    case(
        "lp_pool1d",
        (2, 7),
        lambda x, w: F.lp_pool1d(x, 4, 3, 3, ceil_mode=True),
        norm_type=4,
        kernel_size=3,
        ceil_mode=True,
    ),
    case(
        "lp_pool2d",
        (1, 4, 5),
        lambda x, w: F.lp_pool2d(x, 1, (2, 3), 1),
        norm_type=1,
        kernel_size=[2, 3],
        stride=1,
    ),
    case(
        "lp_pool3d",
        (1, 2, 4, 3),
        lambda x, w: F.lp_pool3d(x, 2, 2),
        norm_type=2,
        kernel_size=2,
    ),
    case(
        "adaptive_avg_pool3d",
        (1, 3, 4, 2),
        lambda x, w: F.adaptive_avg_pool3d(x, (2, 3, 1)),
        output_size=[2, 3, 1],
    ),
    case("adaptive_max_pool1d", (2, 7), lambda x, w: F.adaptive_max_pool1d(x, 3), output_size=3),
    case(
        "adaptive_max_pool2d",
        (2, 5, 4),
        lambda x, w: F.adaptive_max_pool2d(x, (2, 3)),
        output_size=[2, 3],
    ),
    case(
        "adaptive_max_pool3d",
        (1, 3, 4, 2),
        lambda x, w: F.adaptive_max_pool3d(x, (2, 3, 1)),
        output_size=[2, 3, 1],
    ),
    # places
    case("identity", (3,), lambda x, w: x),
    case("channel_shuffle", (6, 2), lambda x, w: F.channel_shuffle(x, 3), groups=3),
    case("zero_pad1d", (2, 4), loaded(nn.ZeroPad1d((2, 1))), padding=[2, 1]),
    case("zero_pad2d", (2, 3, 4), loaded(nn.ZeroPad2d((1, 2, -1, 3))), padding=[1, 2, -1, 3]),
    case("zero_pad3d", (1, 2, 3, 2), loaded(nn.ZeroPad3d(1)), padding=1),
    case("constant_pad1d", (2, 4), loaded(nn.ConstantPad1d(1, 2.5)), padding=1, value=2.5),
    case(
        "constant_pad2d",
        (1, 3, 2),
        loaded(nn.ConstantPad2d((0, 1, 2, -1), -1.5)),
        padding=[0, 1, 2, -1],
        value=-1.5,
    ),
    case("constant_pad3d", (1, 2, 1, 2), loaded(nn.ConstantPad3d(1, 3.0)), padding=1, value=3),
    *(
        case(
            f"{name}{rank}d",
            (2, 3, 4, 5)[: rank + 1],
            loaded(getattr(nn, f"{cls}{rank}d")((2, 1, 1, 0, 0, 2)[: 2 * rank])),
            padding=[2, 1, 1, 0, 0, 2][: 2 * rank],
        )
        for name, cls in (
            ("replication_pad", "ReplicationPad"),
            ("reflection_pad", "ReflectionPad"),
            ("circular_pad", "CircularPad"),
        )
        for rank in (1, 2, 3)
    ),
    case("upsample1d", (2, 3), loaded(nn.Upsample(scale_factor=3)), scale_factor=3),
    case("upsample1d", (2, 5), loaded(nn.Upsample(size=3)), size=3),
    case(
        "upsample1d",
        (2, 4),
        loaded(nn.Upsample(scale_factor=1.5, mode="linear")),
        scale_factor=1.5,
        mode="linear",
    ),
    case("upsample2d", (2, 2, 3), loaded(nn.Upsample(scale_factor=2)), scale_factor=2),
    case(
        "upsample2d",
        (2, 2, 3),
        loaded(nn.Upsample(size=(5, 4), mode="bilinear")),
        size=[5, 4],
        mode="bilinear",
    ),
    case(
        "upsample2d",
        (1, 3, 2),
        loaded(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
        scale_factor=2,
        mode="bilinear",
        align_corners=True,
    ),
    case(
        "upsample2d",
        (2, 4, 3),
        loaded(nn.Upsample(scale_factor=(1.5, 2), mode="bicubic")),
        scale_factor=[1.5, 2],
        mode="bicubic",
    ),
    case(
        "upsample2d",
        (1, 5, 2),
        loaded(nn.Upsample(size=(3, 5), mode="bicubic", align_corners=True)),
        size=[3, 5],
        mode="bicubic",
        align_corners=True,
    ),
    case(
        "upsample2d",
        (2, 5, 4),
        loaded(nn.Upsample(size=(3, 7), mode="nearest-exact")),
        size=[3, 7],
        mode="nearest_exact",
    ),
    case(
        "upsample1d",
        (1, 4),
        loaded(nn.Upsample(scale_factor=2.5, mode="nearest-exact")),
        scale_factor=2.5,
        mode="nearest_exact",
    ),
    case(
        "upsample3d",
        (1, 2, 3, 2),
        loaded(nn.Upsample(scale_factor=(2, 1, 2), mode="trilinear")),
        scale_factor=[2, 1, 2],
        mode="trilinear",
    ),
    case(
        "unfold",
        (2, 4, 5),
        loaded(nn.Unfold((2, 3), padding=1, stride=(1, 2))),
        kernel_size=[2, 3],
        padding=1,
        stride=[1, 2],
    ),
    case(
        "fold",
        (12, 12),
        loaded(nn.Fold((5, 5), 2, padding=(1, 0), stride=(2, 1))),
        output_size=[5, 5],
        kernel_size=2,
        padding=[1, 0],
        stride=[2, 1],
    ),
    case("dropout1d", (2, 3), loaded(nn.Dropout1d()), p=0.5),
    case("dropout2d", (2, 3, 2), loaded(nn.Dropout2d()), p=0.5),
    case("dropout3d", (2, 1, 3, 2), loaded(nn.Dropout3d()), p=0.5),
    case("alpha_dropout", (2, 3), loaded(nn.AlphaDropout())),
    case("feature_alpha_dropout", (2, 3), loaded(nn.FeatureAlphaDropout())),
    *(
        case(name, (2, 3, 4), loaded(cls(dim)), dim=dim)
        for name, cls, dims in (
            ("softmax", nn.Softmax, (1, 2, -3)),
            ("log_softmax", nn.LogSoftmax, (-2, 3, -1)),
        )
        for dim in dims
    ),
    # norms
    case("layer_norm", (3, 5), loaded(nn.LayerNorm(5))),
    case("layer_norm", (5,), loaded(nn.LayerNorm(5, eps=0.01, bias=False)), eps=0.01, bias=False),
    case("layer_norm", (2, 7), lambda x, w: F.layer_norm(x, (7,)), elementwise_affine=False),
    case("rms_norm", (3, 5), loaded(nn.RMSNorm(5))),
    case(
        "rms_norm",
        (5,),
        lambda x, w: F.rms_norm(x, (5,), eps=0.1),
        eps=0.1,
        elementwise_affine=False,
    ),
    case("group_norm", (6, 3, 5), loaded(nn.GroupNorm(2, 6)), num_groups=2),
    case("group_norm", (6,), loaded(nn.GroupNorm(2, 6, eps=0.1)), num_groups=2, eps=0.1),
    case("group_norm", (3, 4), lambda x, w: F.group_norm(x, 1), num_groups=1, affine=False),
    case("instance_norm", (3, 5), loaded(nn.InstanceNorm1d(3, affine=True)), affine=True),
    case("instance_norm", (3, 4, 2), lambda x, w: F.instance_norm(x, eps=0.01), eps=0.01),
    case(
        "local_response_norm",
        (6, 3, 2),
        lambda x, w: F.local_response_norm(x, 3, 0.5),
        size=3,
        alpha=0.5,
    ),
    case(
        "local_response_norm",
        (5, 3),
        lambda x, w: F.local_response_norm(x, 4, 0.5, 0.5, 2.0),
        size=4,
        alpha=0.5,
        beta=0.5,
        k=2.0,
    ),
    # attention and labels
    case(
        "scaled_dot_product_attention",
        ((4, 3), (5, 3), (5, 2)),
        lambda q, k, v, w: F.scaled_dot_product_attention(q, k, v),
    ),
    case(
        "scaled_dot_product_attention",
        ((2, 4, 3), (2, 4, 3), (2, 4, 2)),
        lambda q, k, v, w: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        causal=True,
        scale=0.3,
    ),
    case("multihead_attention", (3, 6), attention(2, 6, True, False), num_heads=2),
    case(
        "multihead_attention",
        (4, 6),
        attention(3, 6, False, True),
        num_heads=3,
        bias=False,
        causal=True,
    ),
    case(
        "multihead_attention",
        ((3, 4), (2, 4), (2, 4)),
        attention(2, 4, True, False),
        num_heads=2,
        dropout=0.3,
    ),
    *(
        case(
            "transformer_encoder_layer",
            (3, 4),
            loaded(
                nn.TransformerEncoderLayer(
                    4, 2, 5, 0.2, bend, 0.01, batch_first=True, norm_first=first, bias=bias
                )
            ),
            num_heads=2,
            dim_feedforward=5,
            dropout=0.2,
            activation=bend,
            layer_norm_eps=0.01,
            norm_first=first,
            bias=bias,
        )
        for bend, first, bias in (("relu", False, True), ("gelu", True, False))
    ),
    case("embedding", (4,), loaded(nn.Embedding(5, 3)), classes=5, embedding_dim=3),
    case(
        "embedding",
        (2, 3),
        loaded(nn.Embedding(9, 1)),
        classes=5,
        embedding_dim=1,
        num_embeddings=9,
    ),
    *(
        case(
            "embedding_bag",
            (4,),
            loaded(nn.EmbeddingBag(50 if mode == "max" else 3, 3, mode=mode)),
            classes=50 if mode == "max" else 3,
            embedding_dim=3,
            mode=mode,
        )
        for mode in ("mean", "sum", "max")
    ),
    case(
        "embedding_bag",
        (3,),
        loaded(nn.EmbeddingBag(7, 2)),
        classes=5,
        embedding_dim=2,
        num_embeddings=7,
    ),
    case(
        "embedding",
        (6,),
        without(1, loaded(nn.Embedding(5, 3, padding_idx=1))),
        classes=5,
        embedding_dim=3,
        padding_idx=1,
    ),
    *(
        case(
            "embedding_bag",
            (5,),
            without(2, loaded(nn.EmbeddingBag(3, 2, mode=mode, padding_idx=2))),
            classes=3,
            embedding_dim=2,
            mode=mode,
            padding_idx=2,
        )
        for mode in ("mean", "sum", "max")
    ),
    case("normalize", (4,), lambda x, w: F.normalize(x, dim=-1)),
    *(case("normalize", (2, 3), lambda x, w, p=p: F.normalize(x, p, -1), p=p) for p in (1.0, 3.0)),
    *(
        case(
            "adaptive_log_softmax",
            (6,),
            adaptive(nn.AdaptiveLogSoftmaxWithLoss(6, 9, cutoffs, div_value, head_bias)),
            n_classes=9,
            cutoffs=cutoffs,
            div_value=div_value,
            head_bias=head_bias,
        )
        for cutoffs, div_value, head_bias in (([4], 4.0, False), ([2, 3, 7], 1.5, True))
    ),
    # recurrences
    case("rnn", (5, 3), loaded(nn.RNN(3, 4, batch_first=True)), hidden_size=4),
    case(
        "rnn",
        (2, 3),
        loaded(nn.RNN(3, 1, nonlinearity="relu", bias=False, batch_first=True)),
        hidden_size=1,
        nonlinearity="relu",
        bias=False,
    ),
    *(
        each
        for layer, cls in (("gru", nn.GRU), ("lstm", nn.LSTM))
        for each in (
            case(layer, (5, 3), loaded(cls(3, 4, batch_first=True)), hidden_size=4),
            case(
                layer,
                (1, 2),
                loaded(cls(2, 3, bias=False, batch_first=True)),
                hidden_size=3,
                bias=False,
            ),
        )
    ),
    *(
        case(
            layer,
            (3, 2),
            loaded(cls(2, 3, bidirectional=True, batch_first=True)),
            hidden_size=3,
            bidirectional=True,
        )
        for layer, cls in (("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM))
    ),
    *(
        case(
            layer,
            (3, 2),
            loaded(cls(2, 3, num_layers=2, bidirectional=both, batch_first=True)),
            hidden_size=3,
            num_layers=2,
            bidirectional=both,
        )
        for layer, cls, both in (
            ("rnn", nn.RNN, True),
            ("gru", nn.GRU, False),
            ("lstm", nn.LSTM, True),
        )
    ),
    *(
        case(layer, ((4, 2), (3,)), started(cls(2, 3, batch_first=True)), hidden_size=3)
        for layer, cls in (("rnn", nn.RNN), ("gru", nn.GRU))
    ),
    case("lstm", ((4, 2), (3,), (3,)), started(nn.LSTM(2, 3, batch_first=True)), hidden_size=3),
    case(
        "rnn",
        ((1, 2), (2, 3)),
        started(nn.RNN(2, 3, num_layers=2, bias=False, batch_first=True)),
        hidden_size=3,
        num_layers=2,
        bias=False,
    ),
    case(
        "gru",
        ((3, 2), (4, 1)),
        started(nn.GRU(2, 1, num_layers=2, bidirectional=True, batch_first=True)),
        hidden_size=1,
        num_layers=2,
        bidirectional=True,
    ),
    case(
        "lstm",
        ((3, 1), (2, 2), (2, 2)),
        started(nn.LSTM(1, 2, bidirectional=True, batch_first=True)),
        hidden_size=2,
        bidirectional=True,
    ),
    case("rnn_cell", ((2,), (3,)), loaded(nn.RNNCell(2, 3)), hidden_size=3),
    case(
        "rnn_cell",
        ((2,), (1,)),
        loaded(nn.RNNCell(2, 1, bias=False, nonlinearity="relu")),
        hidden_size=1,
        bias=False,
        nonlinearity="relu",
    ),
    case("gru_cell", ((2,), (3,)), loaded(nn.GRUCell(2, 3)), hidden_size=3),
    case("lstm_cell", ((2,), (3,), (3,)), loaded(nn.LSTMCell(2, 3)), hidden_size=3),
    case("last_step", (5, 3), lambda x, w: x[:, -1]),
    # others
    case(
        "bilinear", ((4,), (5,)), lambda a, b, w: F.bilinear(a, b, w["weight"], w["bias"]), units=3
    ),
    case(
        "bilinear",
        ((2, 1), (2, 3)),
        lambda a, b, w: F.bilinear(a, b, w["weight"]),
        units=1,
        bias=False,
    ),
    case("glu", (3, 6), lambda x, w: F.glu(x)),
    case("glu", (2,), lambda x, w: F.glu(x)),
    case("swiglu", (3, 5), swiglu, hidden=7),
    case("prelu", (5,), loaded(nn.PReLU())),
    case("prelu", (3, 4), loaded(nn.PReLU(3)), num_parameters=3),
    case("rrelu", (5,), lambda x, w: F.rrelu(x, training=False)),
    case("rrelu", (3,), lambda x, w: F.rrelu(x, 0.2, 0.4), lower=0.2, upper=0.4),
    case("cosine_similarity", ((4,), (4,)), lambda a, b, w: F.cosine_similarity(a, b, -1)),
    case(
        "cosine_similarity",
        ((2, 3), (2, 3)),
        lambda a, b, w: F.cosine_similarity(a, b, -1, 1e-3),
        eps=1e-3,
    ),
    *(
        case(
            "pairwise_distance",
            ((4,), (4,)),
            lambda a, b, w, p=p, eps=eps: F.pairwise_distance(a, b, p, eps),
            p=p,
            eps=eps,
        )
        for p, eps in ((2.0, 1e-6), (1.0, 0.1), (3.0, 1e-6))
    ),
    case("pixel_shuffle", (8, 3, 2), loaded(nn.PixelShuffle(2)), upscale_factor=2),
    case("pixel_unshuffle", (3, 4, 2), loaded(nn.PixelUnshuffle(2)), downscale_factor=2),
    case("unflatten", (3, 6), loaded(nn.Unflatten(-1, (2, 3))), rows=2),
]
