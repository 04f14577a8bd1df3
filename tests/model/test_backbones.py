"""Shapes, strides and freezing of the backbones; pixel formats."""

import pytest
import torch
import torchvision

from data.errors import InputError
from data.parameters import replace
from pdsl.config.model import BackboneName, ModelConfig
from pdsl.model.build import build_backbone, build_model
from pdsl.model.pixels import CAFFE, PixelNormalisation
from pdsl.model.resnet_ws import DensePool
from tests.model.scenes import N_CLASSES, generators, random_sample, small_config


@pytest.mark.parametrize(
    ("name", "channels", "stride"),
    [("tiny", 64, 4), ("vgg16", 512, 8), ("resnet18_ws", 512, 8), ("resnet50_ws", 2048, 8), ("resnet101_ws", 2048, 8)],
)
def test_channels_and_stride(name: BackboneName, channels: int, stride: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name)
        found = backbone(torch.empty(2, 3, 96, 64))
    assert (backbone.channels, backbone.stride) == (channels, stride)
    assert found.shape == (2, channels, 96 // stride, 64 // stride)


@pytest.mark.parametrize("name", ["tiny", "vgg16", "resnet18_ws", "resnet50_ws", "resnet101_ws"])
def test_thin_images_keep_a_row_of_cells(name: BackboneName) -> None:
    """Whatever the sides, both passes of every backbone find at least one cell; from the stride on nothing is added."""
    with torch.device("meta"):
        backbone = build_backbone(name).train()
        for height, width in ((1, 1), (1, 64), (64, 1), (backbone.stride - 1, 64), (backbone.stride, 64)):
            found = backbone(torch.empty(1, 3, height, width)).shape[-2:]
            assert found == (max(1, height // backbone.stride), max(1, width // backbone.stride))


def test_a_thin_image_is_continued_in_the_mean_colour() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("tiny").eval()
    thin = torch.rand(1, 3, 3, 16) * 255
    padded = torch.cat([thin, backbone.pixels.mean.expand(1, 3, 1, 16)], 2)
    torch.testing.assert_close(backbone(thin), backbone(padded))


@pytest.mark.parametrize(("name", "depth"), [("resnet18_ws", 18), ("resnet50_ws", 50), ("resnet101_ws", 101)])
def test_resnet_ws_has_torchvisions_residual_stages(name: BackboneName, depth: int) -> None:
    """The same number of weights in res2 to res5; no strided convolution there; dilation 2 in res4 and res5."""
    with torch.device("meta"):
        ours = build_backbone(name).body
        theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    convolutions = [m for m in ours.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(m.stride == (1, 1) for m in convolutions)
    for number in (2, 3, 4, 5):
        stage, layer = getattr(ours, f"res{number}"), getattr(theirs, f"layer{number - 1}")
        weights = [sum(m.weight.numel() for m in s.modules() if isinstance(m, torch.nn.Conv2d)) for s in (stage, layer)]
        assert weights[0] == weights[1]
        wide = {m.dilation for m in stage.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)}
        assert wide == {(2, 2) if number >= 4 else (1, 1)}


def test_dense_pool_keeps_the_size() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]]]])
    assert DensePool()(x).tolist() == [[[[3, 2], [3, 0]]]]


def test_vgg16_equals_torchvision_up_to_conv4() -> None:
    """The same weights give the same features before the removed pool4."""
    ours, theirs = build_backbone("vgg16"), torchvision.models.vgg16(weights=None).features
    for number, layer in enumerate([*ours.stem, *ours.body]):
        if isinstance(layer, torch.nn.Conv2d):
            layer.load_state_dict(theirs[number].state_dict())
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = theirs[:23](x)
        found = ours.body[:13](ours.stem(x))
    torch.testing.assert_close(found, expected)


def test_pixel_format_travels_with_the_weights() -> None:
    pixels = PixelNormalisation(CAFFE)
    image = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)
    assert pixels(image).flatten().tolist() == pytest.approx([30 - 102.9801, 20 - 115.9465, 10 - 122.7717])
    other = PixelNormalisation()
    other.load_state_dict(pixels.state_dict())
    assert torch.equal(other(image), pixels(image))


@pytest.mark.parametrize("freeze", ["none", "stem", "all"])
def test_freezing(freeze: str) -> None:
    """Frozen parts have no gradients, keep no graph and stay in eval mode, also when only the image needs gradients."""
    changes = {"backbone": {"freeze": freeze, "weights": None if freeze == "none" else "file"}}
    model = build_model(replace(small_config(), changes), N_CLASSES)
    backbone = model.train().backbone
    assert backbone.stem.training == (freeze == "none") and backbone.body.training == (freeze != "all")
    terms = model.losses([random_sample()], generators(0))[0]
    terms.total().backward()
    assert all((p.grad is None) == (freeze != "none") for p in backbone.stem.parameters())
    assert all((p.grad is None) == (freeze == "all") for p in backbone.body.parameters())
    features = backbone(torch.rand(1, 3, 32, 32))
    assert features.requires_grad == (freeze != "all")
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    assert torch.autograd.grad(backbone(image, through_frozen=True).sum(), image)[0].abs().sum() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": {"weights": "scratch", "freeze": "all"}}, "model.backbone: freeze.*random weights"),
        ({"mask": {"n_m": -1}}, "n_m"),
        ({"mask": {"n_seeds": 3}}, "did you mean 'n_seed'"),
        ({"detection": {"background_iou": [0.1, 0.7]}}, "background_iou"),
        ({"detection": {"foreground_iou": 0}}, "foreground_iou"),
        ({"box_head": {"dropout": 1}}, "dropout"),
        ({"box_head": {"chunk": 0}}, "chunk"),
        ({"correlation": {"tau": 0}}, "tau"),
        ({"mask": {"capacity": 0}}, "capacity"),
    ],
)
def test_impossible_configurations_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(ModelConfig(), changes, "model")
