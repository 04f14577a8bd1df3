"""Weights of all origins land where they belong, with their pixel format; a wrong file is refused with a report."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from data.errors import InputError
from pdsl.config.model import BackboneConfig, BoxHeadConfig, MaskConfig, ModelConfig
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.model.pixels import CAFFE, TORCHVISION
from pdsl.model.weights import load_backbone_weights


def model_with(name: str, hidden: tuple[int, int] = (8, 6), **backbone: Any) -> PDSL:
    config = ModelConfig(
        backbone=BackboneConfig(name=name, **backbone),  # type: ignore[arg-type]
        box_head=BoxHeadConfig(hidden=hidden),
        mask=MaskConfig(convs=0, channels=4),
    )
    return build_model(config, 3)


def authors_file(
    path: Path, model: PDSL, nest: bool = False, extra: dict[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """A pickle as the authors write it, with random values for every array of the model's backbone and box head."""
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for name, value in model.state_dict().items():
        parts = name.split(".")
        field = {"weight": "w", "bias": "b"}.get(parts[-1])
        if name.startswith("backbone.stem"):
            number = parts[2][-1]
            key = f"conv1_{number}_w" if "conv" in parts[2] else f"conv1_{number}_bn_{'s' if field == 'w' else field}"
        elif name.startswith("backbone.body.res"):
            branch = "1" if parts[4] == "shortcut" else "2" + "abc"[int(parts[4][-1]) - 1]
            kind = "w" if "conv" in parts[-2] else f"bn_{'s' if field == 'w' else field}"
            key = f"{parts[2]}_{parts[3]}_branch{branch}_{kind}"
        elif name.startswith("box_head"):
            key = f"fc{5 + int(parts[1][-1])}_{field}"
        else:
            continue
        if field is not None:
            arrays[key] = generator.standard_normal(tuple(value.shape)).astype(np.float32)
    content: dict[str, Any] = {**arrays, "fc8_w": np.zeros((1000, 6), np.float32), **(extra or {})}
    path.write_bytes(pickle.dumps({"blobs": content} if nest else content, protocol=2))
    return arrays


@pytest.mark.parametrize(("name", "nest"), [("resnet18_ws", False), ("resnet50_ws", True)])
def test_authors_pickle(tmp_path: Path, name: str, nest: bool) -> None:
    model = model_with(name, weights="x", freeze="all")
    arrays = authors_file(tmp_path / "w.pkl", model, nest)
    report = load_backbone_weights(model, str(tmp_path / "w.pkl"))
    assert report.missing == () and report.mismatched == () and report.left_over == ("fc8_w",)
    state = model.state_dict()

    def same(key: str, array: str) -> bool:
        return torch.equal(state[key], torch.from_numpy(arrays[array]))

    assert same("backbone.stem.conv2.weight", "conv1_2_w")
    assert same("backbone.stem.bn3.bias", "conv1_3_bn_b")
    assert same("backbone.body.res3.0.shortcut.conv.weight", "res3_0_branch1_w")
    assert same("backbone.body.res5.1.bn2.weight", "res5_1_branch2b_bn_s")
    assert same("box_head.fc1.weight", "fc6_w") and same("box_head.fc2.bias", "fc7_b")
    assert torch.equal(model.backbone.pixels.channel, torch.tensor([2, 1, 0]))
    assert model.backbone.pixels.mean.flatten().tolist() == pytest.approx(CAFFE.mean)
    norm = model.backbone.body.res2[0].bn1
    x = torch.randn(1, 64, 2, 2)
    expected = x * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(norm(x), expected)  # folded: scale and shift only


def test_a_pickle_that_asks_for_more_than_arrays_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("executed",)

    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"conv1_1_w": Evil()}))
    with pytest.raises(InputError, match=r"w\.pkl.*print"):
        load_backbone_weights(model_with("resnet18_ws"), str(path))


def test_torchvision_resnet(tmp_path: Path) -> None:
    source = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(source, tmp_path / "r.pth")
    model = model_with("resnet18_ws")
    report = load_backbone_weights(model, str(tmp_path / "r.pth"))
    state = model.state_dict()
    assert torch.equal(state["backbone.body.res4.1.conv2.weight"], source["layer3.1.conv2.weight"])
    assert torch.equal(
        state["backbone.body.res4.0.shortcut.bn.running_var"], source["layer3.0.downsample.1.running_var"]
    )
    assert all(name.startswith("backbone.stem.") for name in report.missing) and report.missing
    assert set(report.left_over) == {
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
    } | {
        "fc.weight",
        "fc.bias",
    }
    assert "missing" in str(report) and "left over" in str(report)
    assert model.backbone.pixels.deviation.flatten().tolist() == pytest.approx(TORCHVISION.deviation)


def test_a_random_stem_must_not_be_frozen(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r.pth")
    with pytest.raises(InputError, match=r"freeze.*random stem"):
        load_backbone_weights(model_with("resnet18_ws", weights="x", freeze="stem"), str(tmp_path / "r.pth"))


def vgg_arrays() -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {
            name: value.shape for name, value in torchvision.models.vgg16(weights=None).features.state_dict().items()
        }
    return {f"features.{name}": torch.randn(shape).half() for name, shape in shapes.items()}


def test_vgg16(tmp_path: Path) -> None:
    arrays = vgg_arrays()
    torch.save(arrays, tmp_path / "v.pth")
    model = model_with("vgg16", weights="x", freeze="stem", pixels="caffe")
    report = load_backbone_weights(model, str(tmp_path / "v.pth"))
    assert report.missing == report.mismatched == report.left_over == () and len(report.matched) == 26
    state = model.state_dict()
    assert torch.equal(state["backbone.stem.7.weight"], arrays["features.7.weight"].float())
    assert torch.equal(state["backbone.body.18.bias"], arrays["features.28.bias"].float())
    assert model.backbone.pixels.mean.flatten().tolist() == pytest.approx(CAFFE.mean)  # as the configuration says


def test_a_wrong_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    torch.save(vgg_arrays(), tmp_path / "v.pth")
    model = model_with("resnet18_ws")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=r"not weights of 'resnet18_ws'.*missing.*left over"):
        load_backbone_weights(model, str(tmp_path / "v.pth"))
    authors_file(tmp_path / "w.pkl", model, extra={"res2_0_branch2a_w": np.zeros((64, 64, 1, 1), np.float32)})
    with pytest.raises(InputError, match=r"1 mismatched: backbone\.body\.res2\.0\.conv1\.weight"):
        load_backbone_weights(model, str(tmp_path / "w.pkl"))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("content", "message"), [(None, "can not be read"), (b"no weights", "not a file of torch weights")]
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "w.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_backbone_weights(model_with("tiny"), str(path))


def test_a_file_without_arrays(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds no weights"):
        load_backbone_weights(model_with("tiny"), str(tmp_path / "w.pth"))
    with pytest.raises(InputError, match="no IMAGENET1K_V1 for 'tiny'"):
        load_backbone_weights(model_with("tiny"), "IMAGENET1K_V1")


def test_what_is_frozen_goes_by_the_weights(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r.pth")
    torch.save(vgg_arrays(), tmp_path / "v.pth")
    authors_file(tmp_path / "w.pkl", model_with("resnet18_ws"))
    for name, file, frozen in (
        ("resnet18_ws", "w.pkl", "all"),
        ("resnet18_ws", "r.pth", "none"),
        ("vgg16", "v.pth", "stem"),
    ):
        model = model_with(name, weights=file)
        assert model.backbone.frozen == "none"
        load_backbone_weights(model, str(tmp_path / file))
        assert model.backbone.frozen == frozen
        assert all(p.requires_grad == (frozen != "all") for p in model.backbone.body.parameters())
        assert all(p.requires_grad == (frozen == "none") for p in model.backbone.stem.parameters())
    model = model_with("vgg16", weights="v.pth", freeze="none")
    load_backbone_weights(model, str(tmp_path / "v.pth"))
    assert model.backbone.frozen == "none"


@pytest.mark.real
def test_real_vgg16_weights(shared: Path) -> None:
    model = model_with("vgg16", weights="x", freeze="stem")
    report = load_backbone_weights(model, str(shared / "weights" / "vgg16_features_imagenet_fp16.pth"))
    assert len(report.matched) == 26 and not report.missing


def detectron2_name(name: str) -> str | None:
    """What detectron2 and the release call an array of this model's ResNet or box head: written from their modules."""
    if name.startswith("box_head."):
        return f"roi_heads.{name}"
    if not name.startswith(("backbone.stem.", "backbone.body.")):
        return None
    name = name.replace("backbone.body.", "backbone.").replace("shortcut.conv.", "shortcut.")
    name = name.replace("shortcut.bn.", "shortcut.norm.")
    return re.sub(r"\.bn(\d)\.", r".conv\1.norm.", name)


@pytest.mark.parametrize(("name", "prefix"), [("resnet18_ws", "backbone."), ("resnet50_ws", "")])
def test_detectron2_file(tmp_path: Path, name: str, prefix: str) -> None:
    """All arrays of backbone and box head, with running statistics; a whole detector's file or the backbone's alone."""
    model = model_with(name)
    generator = torch.Generator().manual_seed(0)
    given = {key: torch.rand(v.shape, generator=generator) for key, v in model.state_dict().items()}
    named = {detectron2_name(key): value for key, value in given.items()}
    arrays = {k.removeprefix("backbone.") if not prefix else k: v for k, v in named.items() if k}
    torch.save({"model": arrays | {"roi_heads.box_predictor.cls.weight": torch.zeros(3, 6)}}, tmp_path / "d.pth")
    report = load_backbone_weights(model, str(tmp_path / "d.pth"))
    assert report.missing == report.mismatched == () and report.left_over == ("roi_heads.box_predictor.cls.weight",)
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in given.items() if detectron2_name(key))
    assert "backbone.res4.0.conv2.norm.running_var" in named and "backbone.stem.conv3.weight" in named
    assert model.backbone.pixels.mean.flatten().tolist() == pytest.approx(CAFFE.mean)
    assert model.backbone.frozen == "all"


def test_detectron2_vgg(tmp_path: Path) -> None:
    """plain1 to plain5 of two, two and three times three convolutions, in torchvision's order."""
    arrays = vgg_arrays()
    names = [f"backbone.plain{b}.0.conv{c}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)]
    places = sorted({int(key.split(".")[1]) for key in arrays})
    kinds = ("weight", "bias")
    renamed = {f"{n}.{k}": arrays[f"features.{p}.{k}"] for n, p in zip(names, places, strict=True) for k in kinds}
    torch.save(renamed, tmp_path / "v.pth")
    torch.save(arrays, tmp_path / "t.pth")
    models = [model_with("vgg16") for _ in range(2)]
    for model, file in zip(models, ("v.pth", "t.pth"), strict=True):
        assert load_backbone_weights(model, str(tmp_path / file)).missing == ()
    ours, theirs = (dict(model.backbone.body.state_dict()) for model in models)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert models[0].backbone.frozen == "stem"


def test_running_statistics_of_a_pickle_are_used(tmp_path: Path) -> None:
    model = model_with("resnet18_ws")
    authors_file(tmp_path / "w.pkl", model, extra={"res2_0_branch2a_bn_rm": np.full(64, 2.0, np.float32)})
    assert load_backbone_weights(model, str(tmp_path / "w.pkl")).left_over == ("fc8_w",)
    assert (model.backbone.body.res2[0].bn1.running_mean == 2).all()
    assert (model.backbone.body.res2[0].bn2.running_mean == 0).all()


def test_a_wrong_file_is_told_by_its_name(tmp_path: Path) -> None:
    """Network, style, and the configuration that takes it."""
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), tmp_path / "r50.pth")
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "r34.pth")
    torch.save(vgg_arrays(), tmp_path / "v.pth")
    authors_file(tmp_path / "w50.pkl", model_with("resnet50_ws"))
    d2 = {k: v for key, v in model_with("resnet50_ws").state_dict().items() if (k := detectron2_name(key))}
    torch.save(d2, tmp_path / "d50.pth")
    torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "x.pth")
    torch.save({"model": model_with("resnet18_ws").state_dict()}, tmp_path / "own.pt")
    takes = r"base=backbone/resnet50-ws\.yaml takes it"
    for file, message in (
        ("r50.pth", rf"torchvision's ResNet50 \({takes}\)"),
        ("r34.pth", r"torchvision's ResNet34 \(no backbone takes it\)"),
        ("v.pth", r"torchvision's VGG16 \(base=backbone/vgg16\.yaml takes it\)"),
        ("w50.pkl", rf"the authors' ResNet50 \({takes}\)"),
        ("d50.pth", rf"a detectron2 ResNet50 \({takes}\)"),
        ("x.pth", r"of no network that is known here \(`pdsl weights`"),
        ("own.pt", r"a checkpoint of this program, which --init takes"),
    ):
        with pytest.raises(InputError, match=rf"not weights of 'resnet18_ws'; .*{message}"):
            load_backbone_weights(model_with("resnet18_ws"), str(tmp_path / file))


def test_a_deeper_network_is_another_network(tmp_path: Path) -> None:
    """All arrays of a ResNet50 are in a ResNet101's file: loading them would be silent and wrong."""
    torch.save(torchvision.models.resnet101(weights=None).state_dict(), tmp_path / "r.pth")
    with pytest.raises(InputError, match=r"not weights of 'resnet50_ws'; this is torchvision's ResNet101 \(base="):
        load_backbone_weights(model_with("resnet50_ws"), str(tmp_path / "r.pth"))


def test_from_scratch_on_purpose() -> None:
    assert (
        BackboneConfig(weights="scratch").begins_with is None and BackboneConfig(weights="w.pkl").begins_with == "w.pkl"
    )
    with pytest.raises(ValueError, match="freezes random weights"):
        BackboneConfig(weights="scratch", freeze="all")
