"""What PyTorch names and the catalogue has: every module of torch.nn, or why there is none."""

import inspect
import re

import pytest
import pytorch

from symback import catalog

pytestmark = pytest.mark.torch
nn = pytorch.torch.nn

ELSEWHERE = {  # said otherwise in a spec
    **dict.fromkeys(
        ("Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"),
        "a spec's list of layers",
    ),
    **dict.fromkeys(("Sequential", "RNNBase", "RNNCellBase"), "a spec's list of layers"),
    **dict.fromkeys(("DataParallel", "SyncBatchNorm"), "one process computes a batch"),
    "CrossMapLRN2d": "local_response_norm",
    "InstanceNorm1d": "instance_norm",
    "InstanceNorm3d": "instance_norm",
    "LinearCrossEntropyLoss": "dense, then cross_entropy",
    "NLLLoss2d": "nll",
    "Transformer": "transformer_encoder and transformer_decoder",
    "TripletMarginWithDistanceLoss": "triplet_margin, or a formula with another distance",
    "UpsamplingBilinear2d": "upsample2d: {mode: bilinear, align_corners: true}",
    "UpsamplingNearest2d": "upsample2d",
}
MISSING = {  # and why
    "FractionalMaxPool2d": "its windows are drawn",
    "FractionalMaxPool3d": "its windows are drawn",
    "MaxUnpool1d": "a pooling doesn't put out where its largest values stood",
    "MaxUnpool2d": "a pooling doesn't put out where its largest values stood",
    "MaxUnpool3d": "a pooling doesn't put out where its largest values stood",
}


def test_every_module_has_an_entry_or_a_reason() -> None:
    said = {word for entry in catalog.entries() for word in re.findall(r"\w+", entry.source)}
    modules = {
        name
        for name, found in vars(nn).items()
        if inspect.isclass(found) and issubclass(found, nn.Module) and not name.startswith("Lazy")
    }
    without = modules - said
    assert without == {*ELSEWHERE, *MISSING} & modules
