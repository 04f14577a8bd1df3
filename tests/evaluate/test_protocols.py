"""Figures by protocol against the published rules, on real annotations and on random worlds with everything odd."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle_tools

from data import rle
from data.truth import RLE, ImageTruth, TruthObject
from data.truth_reader import load_truth
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.metrics import coco_metrics
from pdsl.evaluate.predictions import Prediction, box_mask
from pdsl.evaluate.protocols import PROTOCOLS, default_protocol
from pdsl.evaluate.summary import evaluate_predictions
from pdsl.evaluate.targets import ImageTargets
from pdsl.evaluate.voc_metrics import voc_metrics
from tests.evaluate.makers import SIZE, detection, image_truth, truth_object
from tests.evaluate.published_rules import devkit_ap, plain_coco

THRESHOLDS = {"AP25": 0.25, "AP50": 0.5, "AP70": 0.7, "AP75": 0.75}
WORLD_CLASSES = 4  # the last has no object


def by_protocol(truth: Sequence[ImageTruth], name: str) -> list[ImageTargets]:
    return [ImageTargets(image, PROTOCOLS[name]) for image in truth]


def random_detections(truth: Sequence[ImageTruth], n_classes: int, seed: int) -> list[Prediction]:
    """Objects shifted, doubled, relabelled or left out, and void; scores of one decimal, so with many ties."""
    rng = np.random.default_rng(seed)
    found = []
    for image in truth:
        shapes = [(o.class_id, o.box.astype(float), o.mask) for o in image.objects for _ in range(rng.integers(3))]
        if image.void is not None:
            shapes.append((int(rng.integers(n_classes)), np.array([0.0, 0, 30, 30]), image.void))
        for class_id, box, mask in shapes:
            side = box[2:] - box[:2]
            moved = box + np.tile(rng.normal(0, 0.1, 2) * side, 2) + np.append([0, 0], rng.normal(0, 0.1, 2) * side)
            moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
            shift = (rng.normal(0, 0.1, 2) * side).astype(int)
            score = round(float(rng.random()), 1)
            own = class_id if rng.random() < 0.8 else int(rng.integers(n_classes))
            found.append(Prediction(image.id, own, score, moved, _moved(mask, shift, image.size, moved)))
    order = rng.permutation(len(found))
    return [found[k] for k in order]


def _moved(mask: RLE | None, shift: np.ndarray, size: tuple[int, int], box: np.ndarray) -> RLE:
    if mask is None:
        return box_mask(box, size)
    return rle.encode(np.roll(rle_tools.decode(mask).astype(bool), tuple(shift[::-1]), (0, 1)))


def random_world(seed: int, *, crowds: bool) -> list[ImageTruth]:
    """Six images: objects that overlap, difficult or not, some without mask; void; one without masks; one empty."""
    rng = np.random.default_rng(seed)
    images = []
    for n in range(6):
        objects = []
        for _ in range(0 if n == 5 else rng.integers(1, 6)):
            x, y, w, h = (*rng.integers(0, 60, 2), *rng.integers(8, 60, 2))
            flags = {"difficult": rng.random() < 0.3, "crowd": crowds and rng.random() < 0.2}
            masked = n != 4 and (crowds or rng.random() < 0.8)
            objects.append(truth_object(int(rng.integers(3)), (x, y, x + w, y + h), mask=masked, **flags))
        void = box_mask(np.array([70.0, 60, 110, 95]), SIZE) if n % 2 else None
        images.append(ImageTruth(f"image{n}", SIZE, tuple(objects), void, has_masks=n != 4))
    return images


def check_voc(truth: Sequence[ImageTruth], found: Sequence[Prediction], n_classes: int) -> None:
    """Both VOC protocols against the devkit's rule, and `voc-instance` also against plain pycocotools."""
    names = [str(c) for c in range(n_classes)]
    for name, difficult_masks_ignored in (("voc-instance", False), ("voc-detection", True)):
        seen = by_protocol(truth, name)
        figures = voc_metrics(found, seen, names)
        for column, threshold in THRESHOLDS.items():
            expected = devkit_ap(found, truth, n_classes, "mask", threshold, ignore_difficult=difficult_masks_ignored)
            assert figures["mask"][column] == pytest.approx(expected, abs=1e-4), (name, column)
        expected = devkit_ap(found, truth, n_classes, "box", 0.5, ignore_difficult=True)
        assert figures["box"]["AP50"] == pytest.approx(expected, abs=1e-4)
    plain = plain_coco(found, truth, n_classes, "mask")
    ours = coco_metrics(found, by_protocol(truth, "voc-instance"), names)["mask"]
    assert {name: ours[name] for name in plain} == pytest.approx(plain, abs=1e-4)


def check_coco(truth: Sequence[ImageTruth], found: Sequence[Prediction], n_classes: int) -> None:
    ours = coco_metrics(found, by_protocol(truth, "coco"), [str(c) for c in range(n_classes)])
    for kind in ("box", "mask"):
        plain = plain_coco(found, truth, n_classes, kind)
        assert {name: ours[kind][name] for name in plain} == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_published_rules_on_random_worlds(seed: int) -> None:
    truth = random_world(seed, crowds=False)
    found = random_detections(truth, WORLD_CLASSES, seed)
    check_voc(truth, found, WORLD_CLASSES)
    check_coco(truth, found, WORLD_CLASSES)
    crowded = random_world(seed, crowds=True)
    check_coco(crowded, random_detections(crowded, WORLD_CLASSES, seed), WORLD_CLASSES)


@pytest.mark.real
@pytest.mark.parametrize("split", ["seg-val", "seg-trainval"])
def test_published_rules_on_real_annotations(shared: Path, split: str) -> None:
    """Among them masks of difficult objects, objects without mask and void, by which the protocols differ."""
    truth = load_truth(f"voc:{shared / 'data/voc2007'}", split)
    for seed in range(2):
        found = random_detections(truth, 20, seed)
        check_voc(truth, found, 20)
        check_coco(truth, found, 20)
        names = [str(c) for c in range(20)]
        figures = {name: voc_metrics(found, by_protocol(truth, name), names)["mask"]["AP50"] for name in PROTOCOLS}
        assert figures["voc-instance"] == figures["coco"] and len(set(figures.values())) == 3


DIFFICULT, MASKLESS, VOID, CROWD = "difficult", "without mask", "void", "crowd"
# What a detection above the only hit makes of AP50: nothing (100), or a false alarm (50). "found": the thing it is on
# counts as an object that is found (100 with two objects).
VERDICTS = {
    ("coco", DIFFICULT): ("found", "found"),
    ("coco", MASKLESS): ("found", "wrong"),
    ("coco", VOID): ("wrong", "wrong"),
    ("coco", CROWD): ("ignored", "ignored"),
    ("voc-instance", DIFFICULT): ("ignored", "found"),
    ("voc-instance", MASKLESS): ("found", "wrong"),
    ("voc-instance", VOID): ("wrong", "wrong"),
    ("voc-instance", CROWD): ("ignored", "ignored"),
    ("voc-detection", DIFFICULT): ("ignored", "ignored"),
    ("voc-detection", MASKLESS): ("found", "wrong"),
    ("voc-detection", VOID): ("wrong", "wrong"),
    ("voc-detection", CROWD): ("ignored", "ignored"),
    ("strict", DIFFICULT): ("ignored", "ignored"),
    ("strict", MASKLESS): ("found", "ignored"),
    ("strict", VOID): ("wrong", "ignored"),
    ("strict", CROWD): ("ignored", "ignored"),
}


@pytest.mark.parametrize(("protocol", "thing"), VERDICTS)
def test_what_a_detection_of_it_is(protocol: str, thing: str) -> None:
    """The table of docs/evaluation.md, for boxes and for masks."""
    place = (60, 60, 100, 100)
    flags = {"difficult": thing == DIFFICULT, "crowd": thing == CROWD, "mask": thing != MASKLESS}
    objects: list[TruthObject] = [truth_object(0, (0, 0, 40, 40))]
    if thing != VOID:
        objects.append(truth_object(0, place, **flags))
    truth = image_truth("a", *objects, void=place if thing == VOID else None, protocol=protocol)
    found = [detection("a", 0, 0.9, place), detection("a", 0, 0.5, (0, 0, 40, 40))]
    metrics = evaluate_predictions(found, [truth], ("cat", "dog"))
    for kind, verdict in zip(("box", "mask"), VERDICTS[protocol, thing], strict=True):
        expected = 50 if verdict == "wrong" else 100
        assert metrics[kind]["AP50"] == metrics["voc"][kind]["AP50"] == pytest.approx(expected, abs=1e-3)
        assert metrics[kind]["per_class"]["cat"]["objects"] == (2 if verdict == "found" else 1)
    assert metrics["protocol"] == protocol


def test_the_default_is_what_is_published(shared: Path) -> None:
    assert default_protocol("voc:there").name == "voc-instance" and default_protocol("coco:there").name == "coco"
    spec = f"voc:{shared / 'data/voc2007'}"
    assert read_evaluation_set(spec, "seg-val", None).truth[0].protocol.name == "voc-instance"
    assert read_evaluation_set(spec, "seg-val", None, "strict").truth[0].protocol.name == "strict"


def test_detections_of_equal_score_keep_their_order() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), protocol="voc-instance")]
    hit, wrong = detection("a", 0, 0.5, (0, 0, 40, 40)), detection("a", 0, 0.5, (60, 60, 90, 90))
    figures = [voc_metrics(found, truth, ("cat",))["mask"]["AP50"] for found in ([hit, wrong], [wrong, hit])]
    assert figures == [100, 50]
