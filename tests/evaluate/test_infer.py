"""Views there and back, averages over views, and the tiny model from image to predictions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from data import rle
from data.decode import decode_record
from data.records import ImageList, ImageRecord
from pdsl.config.inference import InferenceConfig
from pdsl.config.model import BackboneConfig, BoxHeadConfig, DetectionConfig, MaskConfig, ModelConfig
from pdsl.config.tree import Config, DataConfig
from pdsl.evaluate.infer import as_proposals, detect_image, detect_images, predict_image
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.tta import View, ViewFrame, views
from pdsl.model import mask_head
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.run.trained import TrainedModel
from pdsl.structures import Proposals
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import ImageFailure, Stage, StageInput
from stages.registry import build_stage
from store.create import create_or_open
from store.store import Store, open_store
from tests.train.makers import Parameters

TINY = ModelConfig(
    backbone=BackboneConfig(name="tiny"),
    box_head=BoxHeadConfig(hidden=(16, 16)),
    detection=DetectionConfig(n_r=1),
    mask=MaskConfig(n_m=1, convs=1, channels=8, sampling=1),
)
CONFIG = InferenceConfig(scale=48, max_side=96, tta_scales=(40, 56), nms=0.5)
WHOLE = Config(model=TINY, inference=CONFIG)
BOX = np.array([[2, 3, 30, 40], [10, 5, 44, 38], [0, 0, 50, 40]], np.float32)
SCORE = np.array([0.9, 0.8, 0.7], np.float32)


@pytest.fixture(scope="module")
def model() -> PDSL:
    return build_model(TINY, 2).eval()


def _proposals(box: np.ndarray = BOX) -> Proposals:
    return as_proposals(box, SCORE[: len(box)], torch.device("cpu"), DataConfig())


def test_views() -> None:
    assert views(CONFIG, tta=False) == [View(48, False)]
    assert views(CONFIG, tta=True) == [View(40, False), View(40, True), View(56, False), View(56, True)]
    assert len(views(InferenceConfig(), tta=True)) == 16


@pytest.mark.parametrize("view", [View(40, False), View(57, True), View(90, True)])
def test_boxes_go_there_and_back(view: View) -> None:
    frame = ViewFrame.of(view, (40, 50), 96)
    box = torch.tensor(BOX)
    assert torch.allclose(frame.boxes_back(frame.boxes(box)), box, atol=1e-4)
    assert torch.allclose(frame.proposals(_proposals()).box, frame.boxes(box), atol=1e-4)


def test_a_mirrored_view_shows_the_mirrored_image() -> None:
    image = torch.arange(3 * 4 * 6).reshape(3, 4, 6).float()
    frame = ViewFrame.of(View(4, True), (4, 6), 96)
    assert torch.equal(frame.image(image), image.flip(-1))
    assert frame.boxes(torch.tensor([[0.0, 0, 2, 4]])).tolist() == [[4, 0, 6, 4]]


class _Oracle:
    """A stand-in model: scores and masks that tell which view it saw."""

    n_classes = 1

    def __init__(self) -> None:
        self.backbone = SimpleNamespace(features=self.look)

    def eval(self) -> None: ...

    def look(self, image: Tensor) -> Tensor:
        return image

    def detect(self, image: Tensor, proposals: Proposals) -> Any:
        score = torch.full((len(proposals.box), 1), image.shape[1] / 100)
        return SimpleNamespace(score=score, mil=score / 4, box=proposals.box[:, None], features=image)

    def segment(self, features: Tensor, box: Tensor, label: Tensor) -> Tensor:
        """Bright pixels of the view along each box's middle row."""
        mask = torch.zeros(len(box), 28, 28)
        for row, (x0, y0, x1, y1) in enumerate(box.tolist()):
            xs = (x0 + (torch.arange(28) + 0.5) / 28 * (x1 - x0)).long()
            mask[row] = (features[0, int((y0 + y1) / 2), xs] > 127).float()
        return mask


def test_each_view_passes_the_backbone_once(model: PDSL, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[int] = []
    forward = model.backbone.forward
    monkeypatch.setattr(
        model.backbone, "forward", lambda image, *rest: (passed.append(image.shape[-2]), forward(image, *rest))[1]
    )
    image = torch.randint(0, 256, (3, 40, 50), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert len(detect_image(model, image, _proposals(), CONFIG, views(CONFIG, True)).box)
    assert passed == [40, 40, 56, 56]


def test_views_are_averaged_in_the_frame_of_the_image() -> None:
    """Boxes come back to where they were, scores are means, and a bright left half stays on the left."""
    image = torch.zeros(3, 40, 80)
    image[:, :, :40] = 255
    oracle: Any = _Oracle()
    config = InferenceConfig(scale=40, max_side=200, tta_scales=(40, 80))
    found = detect_image(
        oracle, image, _proposals(np.array([[20, 5, 60, 35]], np.float32)), config, views(config, True)
    )
    assert torch.allclose(found.box, torch.tensor([[20.0, 5, 60, 35]]), atol=1e-3)
    assert found.score.item() == pytest.approx((0.4 + 0.8) / 2)
    joint = replace(config, mil_weight=0.5)
    looked = detect_image(oracle, image, _proposals(np.array([[20, 5, 60, 35]], np.float32)), joint, views(joint, True))
    assert looked.score.item() == pytest.approx(0.6 * 0.25**0.5)  # of the mean of either over the views
    assert found.mask[0, :, :13].min() == 1 and found.mask[0, :, 15:].max() == 0


@pytest.mark.parametrize("tta", [False, True])
def test_from_image_to_detections(model: PDSL, tta: bool) -> None:
    image = torch.randint(0, 256, (3, 40, 50), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = detect_image(model, image, _proposals(), CONFIG, views(CONFIG, tta))
    again = detect_image(model, image, _proposals(), CONFIG, views(CONFIG, tta))
    assert len(found.box) > 0 and found.mask.shape == (len(found.box), 28, 28)
    assert (found.box[:, 2] <= 50).all() and (found.box[:, 3] <= 40).all() and (found.box >= 0).all()
    assert (found.score.diff() <= 0).all()
    assert torch.equal(found.mask, again.mask)


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("auto", torch.float32)])
def test_detects_in_the_precision_of_training(
    model: PDSL, monkeypatch: pytest.MonkeyPatch, precision: Any, dtype: torch.dtype
) -> None:
    """On a CPU `auto` is float32. What comes out is float32 either way, and about the same."""
    seen: list[torch.dtype] = []
    align = mask_head.align_boxes
    monkeypatch.setattr(mask_head, "align_boxes", lambda *given: _seen(align(*given), seen))
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    config = Config(model=TINY, inference=CONFIG, precision=precision)
    found = predict_image(TrainedModel(model, config, ("a", "b"), 1), image, BOX, SCORE)
    assert seen == [dtype]
    exact = predict_image(TrainedModel(model, WHOLE, ("a", "b"), 1), image, BOX, SCORE)
    assert [p.class_id for p in found] == [p.class_id for p in exact]
    assert [p.score for p in found] == pytest.approx([p.score for p in exact], rel=0.02)
    np.testing.assert_allclose([p.box for p in found], [p.box for p in exact], atol=0.5)


def _seen(x: Tensor, types: list[torch.dtype]) -> Tensor:
    types.append(x.dtype)
    return x


def test_no_box_is_sure_enough(model: PDSL) -> None:
    image = torch.zeros(3, 40, 50)
    config = InferenceConfig(scale=48, max_side=96, tta_scales=(48,), score_threshold=1.0)
    found = detect_image(model, image, _proposals(), config, views(config, True))
    assert found.mask.shape == (0, 28, 28)


def _proposals_but_for_two(given: StageInput) -> dict[str, np.ndarray]:
    """Three boxes; image "c" fails, "d" has none."""
    if given.record.id == "c":
        raise ImageFailure("no luck")
    return {"proposals/box": BOX, "proposals/score": SCORE, "proposals/count": np.int32(3 * (given.record.id != "d"))}


@pytest.fixture
def images(tmp_path: Path) -> ImageList:
    """Four images: a good one, one that is no image, one whose proposals failed, one without proposals."""
    for name in "acd":
        Image.new("RGB", (50, 40), (200, 30, 30)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    records = tuple(ImageRecord(n, str(tmp_path / f"{n}.png"), (40, 50), (1,)) for n in "abcd")
    return ImageList("voc:here", "val", ("cat", "dog", "bird"), (1, 2, 3), records)


@pytest.fixture
def store(images: ImageList, tmp_path: Path) -> Store:
    """Their proposals."""
    made = create_or_open(str(tmp_path / "s.zarr"), images, shard=2)
    arrays = build_stage("proposals", {"max_proposals": 3}).arrays
    stage = Stage("proposals", 1, Parameters(), arrays, _proposals_but_for_two, needs_image=False)
    run_stage(made, images, stage, SerialExecutor())
    return open_store(made.url)


def test_a_list_goes_on_after_a_broken_image(model: PDSL, images: ImageList, store: Store) -> None:
    outcomes = {record.id: outcome for record, outcome in detect_images(model, WHOLE, images, store, [0, 1])}
    assert "not an image" in outcomes["b"] and "stage 'proposals' failed for it" in outcomes["c"]
    assert outcomes["a"] and not isinstance(outcomes["a"], str) and outcomes["d"] == []
    for p in outcomes["a"]:
        inside = rle.decode(p.mask)
        inside[int(p.box[1]) : int(np.ceil(p.box[3])), int(p.box[0]) : int(np.ceil(p.box[2]))] = False
        assert p.image_id == "a" and not inside.any()


@pytest.mark.parametrize("threads", [2, 3])
def test_images_side_by_side(model: PDSL, images: ImageList, store: Store, threads: int) -> None:
    """In order, with the bits of one at a time; the caller's threads are what they were."""
    before = torch.get_num_threads()
    alone, several = list[tuple[str, str]](), list[tuple[str, str]]()
    try:
        for count, found in ((1, alone), (threads, several)):
            torch.set_num_threads(count)
            found += [
                (record.id, str(outcome)) for record, outcome in detect_images(model, WHOLE, images, store, [0, 1])
            ]
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert alone == several and [name for name, _ in alone] == list("abcd")


def _found(outcomes: Iterator[tuple[ImageRecord, list[Prediction] | str]]) -> list[Prediction]:
    return [p for _, outcome in outcomes if not isinstance(outcome, str) for p in outcome]


def test_classes_are_those_of_the_data_set(model: PDSL, images: ImageList, store: Store) -> None:
    """The model's first class is the data set's third, its second is unknown there."""
    assert {p.class_id for p in _found(detect_images(model, WHOLE, images, store, [2, None]))} == {2}


def test_only_present_classes(model: PDSL, images: ImageList, store: Store) -> None:
    found = _found(detect_images(model, WHOLE, images, store, [0, 1], only_present=True))
    assert {p.class_id for p in found} == {1}


def test_one_image_from_python(model: PDSL, images: ImageList, store: Store) -> None:
    """The same as the image in a list; wrong arrays are refused."""
    trained = TrainedModel(model, WHOLE, ("cat", "dog"), 0)
    image = decode_record(images.records[0], exif=False)
    found = predict_image(trained, image, BOX, SCORE, image_id="a")
    (_, expected), *_ = detect_images(model, WHOLE, images, store, [0, 1])
    assert [str(p) for p in found] == [str(p) for p in expected] and len(found) > 0
    assert predict_image(trained, image, BOX[:0], SCORE[:0]) == []
    for wrong in ((image[..., 0], BOX, SCORE), (image / 255, BOX, SCORE), (image, BOX, SCORE[:2]), (image, SCORE, BOX)):
        with pytest.raises(ValueError, match=r"it has to be|they have to be"):
            predict_image(trained, *wrong)
