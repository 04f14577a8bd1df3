"""Models beyond the machine are refused before they are built, with the key to blame; others never."""

import math
from functools import partial

import pytest
import torch

from data.errors import InputError
from data.parameters import nest, replace
from pdsl.config.load import plain_config
from pdsl.config.model import ModelConfig
from pdsl.config.shipped import shipped_config, shipped_names
from pdsl.model.build import assemble, build_model
from pdsl.model.footprint import following, refuse_large_weights, weight_bytes
from pdsl.structures import Proposals, Sample, Seeds
from pdsl.train.limits import update_bytes

GB = 10**9
C = 20


def config(**values: object) -> ModelConfig:
    return replace(ModelConfig(), nest([(key.replace("__", "."), value) for key, value in values.items()]))


def sample() -> Sample:
    """As VOC's images at the smallest scale, with 2000 proposals."""
    return Sample(
        torch.zeros(3, 480, 640),
        torch.ones(C, dtype=torch.bool),
        Proposals(torch.zeros(2000, 4), torch.zeros(2000), torch.ones(2000, dtype=torch.bool)),
        Seeds(torch.zeros(500).long(), torch.zeros(500, 56, 56).bool(), torch.ones(500).bool()),
        0,
        "",
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"mask__convs": 10**6}, "model.mask.convs=1000000"),
        ({"mask__channels": 10**6}, "model.mask.channels=1000000"),
        ({"mask__channels": 10**14}, "model.mask.channels=100000000000000"),
        ({"mask__n_m": 10**9}, "model.mask.n_m=1000000000"),
        ({"detection__n_r": 10**6}, "model.detection.n_r=1000000"),
        ({"box_head__pool": 10_000}, "model.box_head.pool=10000"),
        ({"box_head__pool": 10**14}, "model.box_head.pool=100000000000000"),
        ({"box_head__hidden": [10**9, 10]}, r"model.box_head.hidden=\[1000000000, 10\]"),
        ({"box_head__pool": 10**5, "mask__convs": 8, "mask__n_m": 5}, "model.box_head.pool=100000"),
        ({"mask__convs": 10**6, "mask__channels": 10**6}, "model.mask.convs=1000000"),
    ],
)
def test_weights_beyond_the_machine(values: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=rf"^{named}: the weights of this model take more than .*give smaller numbers"):
        build_model(config(**values), C)


def test_a_small_machine_and_what_training_keeps() -> None:
    build = partial(assemble, n_classes=C)
    bytes_ = weight_bytes(ModelConfig(), build, math.inf)
    assert bytes_ == sum(p.numel() * 4 for p in build_model(ModelConfig(), C).parameters())
    refuse_large_weights(ModelConfig(), build, copies=4, memory=4 * bytes_)
    with pytest.raises(
        InputError, match=r"^model: the weights, gradients and moments of this model take more than the 2 GB"
    ):
        refuse_large_weights(ModelConfig(), build, copies=4, memory=4 * bytes_ - 4)


@pytest.mark.parametrize("name", shipped_names())
def test_no_shipped_configuration_is_refused(name: str) -> None:
    path = shipped_config(name)
    assert path
    model = plain_config(path)["model"]
    model["backbone"]["freeze"] = "auto"
    refuse_large_weights(replace(ModelConfig(), model), partial(assemble, n_classes=90), copies=4, memory=8 * GB)


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ({}, 3.0, 4.0),
        ({"mask__source": "cascade"}, 3.0, 4.0),
        ({"mask__labels": "predictions", "mask__seed_pool": "foreground"}, 3.0, 4.0),
        ({"box_head__objectness": True, "normalisation": "release"}, 3.0, 4.0),
        ({"box_head__chunk": 500}, 2.5, 3.3),
        ({"backbone__name": "resnet50_ws"}, 6.0, 8.0),
        ({"mask__pool": 1000}, math.inf, math.inf),
        ({"mask__pool": 10**14}, math.inf, math.inf),
    ],
)
def test_memory_of_an_update(values: dict[str, object], least: float, most: float) -> None:
    """In GB, of one image; followed through whatever the options do."""
    found = update_bytes(config(mask__capacity=512, **values), C, sample, 100 * GB) / GB
    assert least <= found <= most, found


def test_what_is_counted() -> None:
    """What lives at a time, views and what was freed not."""
    with following(math.inf) as peak:
        first = torch.zeros(1000)
        second = first.view(10, 100)
        del first, second
        third = torch.ones(500) * 2
    assert peak.peak == 4000 and third.is_meta
