"""Views there and back, averages over views, and the tiny model from image to predictions."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from data import rle
from data.records import ImageList, ImageRecord
from pdsl.config.inference import InferenceConfig
from pdsl.config.model import BackboneConfig, BoxHeadConfig, DetectionConfig, MaskConfig, ModelConfig
from pdsl.evaluate.infer import NoProposals, as_proposals, detect_image, detect_images
from pdsl.evaluate.tta import Looker, View, views
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.structures import Proposals

TINY = ModelConfig(
    backbone=BackboneConfig(name="tiny"),
    box_head=BoxHeadConfig(hidden=(16, 16)),
    detection=DetectionConfig(n_r=1),
    mask=MaskConfig(n_m=1, convs=1, channels=8, sampling=1),
)
CONFIG = InferenceConfig(scale=48, max_side=96, tta_scales=(40, 56), nms=0.5)
BOX = np.array([[2, 3, 30, 40], [10, 5, 44, 38], [0, 0, 50, 40]], np.float32)
SCORE = np.array([0.9, 0.8, 0.7], np.float32)


@pytest.fixture(scope="module")
def model() -> PDSL:
    return build_model(TINY, 2).eval()


def _proposals(box: np.ndarray = BOX) -> Proposals:
    return as_proposals(box, SCORE[: len(box)], torch.device("cpu"))


def test_views() -> None:
    assert views(CONFIG, tta=False) == [View(48, False)]
    assert views(CONFIG, tta=True) == [View(40, False), View(40, True), View(56, False), View(56, True)]
    assert len(views(InferenceConfig(), tta=True)) == 16


@pytest.mark.parametrize("view", [View(40, False), View(57, True), View(90, True)])
def test_boxes_go_there_and_back(view: View) -> None:
    looker = Looker.of(view, (40, 50), 96)
    box = torch.tensor(BOX)
    assert torch.allclose(looker.boxes_back(looker.boxes(box)), box, atol=1e-4)
    assert torch.allclose(looker.proposals(_proposals()).box, looker.boxes(box), atol=1e-4)


def test_a_mirrored_view_shows_the_mirrored_image() -> None:
    image = torch.arange(3 * 4 * 6).reshape(3, 4, 6).float()
    looker = Looker.of(View(4, True), (4, 6), 96)
    assert torch.equal(looker.image(image), image.flip(-1))
    assert looker.boxes(torch.tensor([[0.0, 0, 2, 4]])).tolist() == [[4, 0, 6, 4]]


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
        return SimpleNamespace(score=score, box=proposals.box[:, None], features=image)

    def segment(self, features: Tensor, box: Tensor, label: Tensor) -> Tensor:
        """Bright pixels of the view along each box's middle row."""
        mask = torch.zeros(len(box), 28, 28)
        for row, (x0, y0, x1, y1) in enumerate(box.tolist()):
            xs = (x0 + (torch.arange(28) + 0.5) / 28 * (x1 - x0)).long()
            mask[row] = (features[0, int((y0 + y1) / 2), xs] > 127).float()
        return mask


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


def test_no_box_is_sure_enough(model: PDSL) -> None:
    image = torch.zeros(3, 40, 50)
    config = InferenceConfig(scale=48, max_side=96, tta_scales=(48,), score_threshold=1.0)
    found = detect_image(model, image, _proposals(), config, views(config, True))
    assert found.mask.shape == (0, 28, 28)


@pytest.fixture
def images(tmp_path: Path) -> ImageList:
    """Three images: a good one, one that is no image, one without proposals."""
    for name in ("a", "c"):
        Image.new("RGB", (50, 40), (200, 30, 30)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    records = tuple(ImageRecord(n, str(tmp_path / f"{n}.png"), (40, 50), (1,)) for n in "abc")
    return ImageList("voc:here", "val", ("cat", "dog", "bird"), (1, 2, 3), records)


def _given(record: ImageRecord, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return BOX, SCORE


def test_a_list_goes_on_after_a_broken_image(model: PDSL, images: ImageList) -> None:
    def proposals(record: ImageRecord, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if record.id == "c":
            raise NoProposals("stage 'proposals' failed for it")
        return BOX, SCORE

    outcomes = {record.id: outcome for record, outcome in detect_images(model, images, proposals, CONFIG)}
    assert "not an image" in outcomes["b"] and outcomes["c"] == "stage 'proposals' failed for it"
    assert outcomes["a"] and not isinstance(outcomes["a"], str)
    for p in outcomes["a"]:
        inside = rle.decode(p.mask)
        inside[int(p.box[1]) : int(np.ceil(p.box[3])), int(p.box[0]) : int(np.ceil(p.box[2]))] = False
        assert p.image_id == "a" and not inside.any()


def test_classes_are_those_of_the_data_set(model: PDSL, images: ImageList) -> None:
    """The model's first class is the data set's third, its second is unknown there."""
    found = [o for _, o in detect_images(model, images, _given, CONFIG, class_ids=[2, None]) if not isinstance(o, str)]
    assert {p.class_id for listed in found for p in listed} == {2}


def test_only_present_classes(model: PDSL, images: ImageList) -> None:
    for _, outcome in detect_images(model, images, _given, CONFIG, only_present=True):
        assert isinstance(outcome, str) or {p.class_id for p in outcome} == {1}


def test_an_image_without_proposals_has_no_detections(model: PDSL, images: ImageList) -> None:
    def nothing(record: ImageRecord, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return BOX[:0], SCORE[:0]

    assert next(o for _, o in detect_images(model, images, nothing, CONFIG)) == []
