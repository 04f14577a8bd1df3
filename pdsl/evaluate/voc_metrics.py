"""PASCAL VOC's figures: AP by the area under the precision-recall curve, the 11-point AP of 2007, and CorLoc."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind, Target, overlap

THRESHOLDS = (0.25, 0.50, 0.70, 0.75)
RECALLS = np.linspace(0, 1, 101)
"""Where `voc_curves` are read off."""


@dataclass(frozen=True)
class Matches:
    """Predictions of one class over all images, best first (ties: in the order given).

    best: (D,) highest overlap with an object or a difficult one, and target: (D,) which it is (image-wide unique, -1
    none); difficult: (D,) that it is a difficult one; region: (D,) overlap with crowds and void; positives: number of
    objects to be found.
    """

    best: np.ndarray
    target: np.ndarray
    difficult: np.ndarray
    region: np.ndarray
    positives: int


def voc_metrics(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """{"box": {"AP50", "AP50_11point", "per_class"}, "mask": {"AP25", "AP50", "AP70", "AP75", "per_class"}} in percent.

    Means over the classes that have objects; None where there are none.
    """
    masks_given = not predictions or any(p.mask is not None for p in predictions)
    return voc_figures(voc_matches(predictions, truth, class_names), masks_given=masks_given)


def voc_matches(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]
) -> Mapping[Kind, Mapping[str, Matches]]:
    """Of kind mask and box the matches of every class that has objects.

    Each detection is compared with the object of its class that it overlaps most (not, as in COCO, the best one still
    free); what overlaps most with a difficult object is neither hit nor miss, however often.
    """
    masked = [p for p in predictions if p.mask is not None]
    return {
        "mask": _per_class(masked, truth, class_names, "mask"),
        "box": _per_class(predictions, truth, class_names, "box"),
    }


def voc_figures(matches: Mapping[Kind, Mapping[str, Matches]], *, masks_given: bool) -> dict[str, dict[str, Any]]:
    """`voc_metrics` of `voc_matches`; masks_given: whether the detections have masks."""
    box, mask = matches["box"], matches["mask"]
    figures: dict[str, dict[str, Any]] = {"box": {}, "mask": {}}
    curves = {name: precision_recall(matches, 0.5) for name, matches in box.items()}
    per_class = {name: 100 * area_under_curve(*curve) for name, curve in curves.items()}
    figures["box"]["AP50"] = _mean(per_class.values())
    figures["box"]["AP50_11point"] = _mean(100 * eleven_point(*curve) for curve in curves.values())
    figures["box"]["per_class"] = {name: round(value, 4) for name, value in per_class.items()}
    for threshold in THRESHOLDS:
        values = {n: 100 * area_under_curve(*precision_recall(m, threshold)) for n, m in mask.items()}
        figures["mask"][f"AP{threshold * 100:.0f}"] = _mean(values.values()) if masks_given else None
        if threshold == 0.5:
            per_class = {name: round(value, 4) for name, value in values.items()} if masks_given else {}
    figures["mask"]["per_class"] = per_class
    return figures


def voc_curves(matches: Mapping[str, Matches]) -> dict[str, np.ndarray]:
    """Of every class the best precision at each recall (101,) 0, 0.01 … 1 or more, at IoU 0.5."""
    curves = {}
    for name, matched in matches.items():
        precision, recall = precision_recall(matched, 0.5)
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        curves[name] = envelope[np.searchsorted(recall, RECALLS)]
    return curves


def precision_recall(matches: Matches, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall (n,) float64 after each detection that counts, best first."""
    hit = np.zeros(len(matches.best), bool)
    counts = np.ones(len(matches.best), bool)
    found: set[int] = set()
    for index, (overlap_, target) in enumerate(zip(matches.best, matches.target, strict=True)):
        if target >= 0 and overlap_ >= threshold:
            if matches.difficult[index]:
                counts[index] = False
            elif target not in found:
                found.add(int(target))
                hit[index] = True
        elif matches.region[index] >= threshold:
            counts[index] = False
    hits = hit[counts].cumsum()
    return hits / np.arange(1, len(hits) + 1), hits / max(matches.positives, 1)


def area_under_curve(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the curve made non-increasing (VOC from 2010 on): 0..1."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * np.diff(recall, prepend=0.0)).sum())


def eleven_point(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over the recalls 0, 0.1 … 1 of the best precision at that recall or more (VOC 2007): 0..1.

    The points are multiples of the number 0.1, as in the devkit's loop and its ports: by a rounding, a recall of just
    3/10, 6/10 or 7/10 falls short of its point.
    """
    points = np.arange(11) * 0.1
    return float(np.mean([precision[recall >= point].max(initial=0.0) for point in points]))


def corloc(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]
) -> dict[str, Any]:
    """CorLoc in percent: {"mean", "per_class"}; for training images (Deselaers et al., 2012).

    Of the images that hold an object of a class, the share in which the box of the class's best detection has IoU >=
    0.5 with any of them. Difficult objects and crowds alone do not make a class present; a difficult one may be the one
    that is found. A present class without detection is a miss.
    """
    best: dict[tuple[str, int], Prediction] = {}
    for p in predictions:
        key = (p.image_id, p.class_id)
        if key not in best or p.score > best[key].score:
            best[key] = p
    verdicts: dict[int, list[bool]] = defaultdict(list)
    for image in truth:
        for class_id, targets in image.of("box").items():
            if not any(t.role == "object" for t in targets):
                continue
            top = best.get((image.id, class_id))
            single = [t for t in targets if t.role != "crowd"]
            verdicts[class_id].append(top is not None and bool(overlap([top], single, "box").max() >= 0.5))
    per_class = {class_names[c]: 100 * float(np.mean(verdicts[c])) for c in sorted(verdicts)}
    return {"mean": _mean(per_class.values()), "per_class": {n: round(v, 4) for n, v in per_class.items()}}


def _mean(values: Any) -> float | None:
    listed = list(values)
    return round(float(np.mean(listed)), 4) if listed else None


def _per_class(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str], kind: Kind
) -> dict[str, Matches]:
    """Matches of every class that has objects."""
    images = [image for image in truth if kind == "box" or image.truth.has_masks]
    targets = {image.id: image.of(kind) for image in images}
    void = {image.id: image.void if kind == "mask" else None for image in images}
    by_class: dict[int, list[Prediction]] = defaultdict(list)
    for p in predictions:
        if p.image_id in targets:
            by_class[p.class_id].append(p)
    found = {}
    for class_id, name in enumerate(class_names):
        own = {image_id: classes.get(class_id, []) for image_id, classes in targets.items()}
        positives = sum(t.role == "object" for listed in own.values() for t in listed)
        if positives:
            found[name] = _match(by_class[class_id], own, void, positives, kind)
    return found


def _match(
    predictions: Sequence[Prediction],
    targets: Mapping[str, Sequence[Target]],
    void: Mapping[str, Target | None],
    positives: int,
    kind: Kind,
) -> Matches:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, p in enumerate(predictions):
        rows_of[p.image_id].append(row)
    best, region = np.zeros(len(predictions)), np.zeros(len(predictions))
    target = np.full(len(predictions), -1)
    difficult = np.zeros(len(predictions), bool)
    offset = 0
    for image_id, rows in rows_of.items():
        blank = void[image_id]
        listed = [*targets[image_id], blank] if blank else targets[image_id]
        values = overlap([predictions[row] for row in rows], listed, kind)
        single = np.flatnonzero([t.role in ("object", "difficult") for t in listed])
        areas = np.flatnonzero([t.role in ("crowd", "void") for t in listed])
        if len(single):
            chosen = values[:, single].argmax(1)
            best[rows] = values[np.arange(len(rows)), single[chosen]]
            target[rows] = offset + single[chosen]
            difficult[rows] = [listed[single[c]].role == "difficult" for c in chosen]
        if len(areas):
            region[rows] = values[:, areas].max(1)
        offset += len(listed)
    order = np.argsort([-p.score for p in predictions], kind="stable")
    return Matches(best[order], target[order], difficult[order], region[order], positives)
