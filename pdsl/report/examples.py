"""The pictures of a report. Which images are shown is a rule, not a choice, and their number is bounded."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError
from data.records import ImageList
from pdsl.evaluate.evaluation import Evaluation
from pdsl.evaluate.predictions import by_image
from pdsl.evaluate.targets import ImageTargets
from pdsl.report.evidence import Evidence, proposals_picture, seeds_picture
from pdsl.report.gallery import MOST_SHOWN, SHOWN_SCORE, judged_pictures, shown, spread
from pdsl.report.judging import Verdict, judge
from pdsl.report.overlay import draw
from pdsl.report.page import Row, picture
from store.contents import GRABCUT, PROPOSALS, is_done, read_proposals, read_seeds
from store.layout import DONE
from store.store import open_store

SPREAD = 6
EXAMPLES = 24
FAILURES = 6
TRAINING_EXAMPLES = 4
PROPOSALS_CAPTION = "the best proposals (orange: the best five)"


@dataclass(frozen=True)
class Gallery:
    """text: by which rule these were chosen, and what is to be seen."""

    rows: Sequence[Row]
    text: str


def examples(evaluation: Evaluation) -> Gallery:
    """Images evenly spaced through the split with their proposals, then some of the classes that these show least."""
    dataset, found = evaluation.dataset, by_image(evaluation.predictions)
    even = spread(dataset.truth, SPREAD)
    chosen = [*even, *spread_over_classes(dataset.truth, even, EXAMPLES - len(even))]
    rows = []
    for place, row in enumerate(chosen):
        image = _pixels(dataset.images, row)
        if image is None:
            continue
        predictions = shown(found[dataset.truth[row].id])
        example = _pair(evaluation, row, image, judge(predictions, dataset.truth[row]))
        if place < len(even) and dataset.store is not None and is_done(dataset.store, PROPOSALS, row):
            evidence = Evidence(image, read_proposals(dataset.store, row).box)
            proposals = picture(proposals_picture(evidence), PROPOSALS_CAPTION)
            example = Row([proposals, *example.pictures], example.classes)
        rows.append(example)
    text = (
        f"By rule, not by hand: {len(even)} images evenly spaced through the split, with the proposals that the model "
        f"was given if they are at hand; then, up to {EXAMPLES} in all, always one of the class that was shown least, "
        "the middle one of its images that are left. Left: the annotation. Right: what the model finds, score "
        f"{SHOWN_SCORE} and more, at most {MOST_SHOWN}, or else its best detection."
    )
    return Gallery(rows, text)


def spread_over_classes(truth: Sequence[ImageTargets], already: Sequence[int], count: int) -> list[int]:
    """Up to `count` more rows than the `already` chosen ones, each an image of the class that was shown least by then
    (of equal ones the rarest): the middle one of its images that are left."""
    shows = [{item.class_id for item in image.truth.objects} for image in truth]
    left: dict[int, list[int]] = {}
    for row, classes in enumerate(shows):
        for class_id in classes:
            left.setdefault(class_id, []).append(row)
    rarity = {class_id: len(rows) for class_id, rows in left.items()}
    shown = Counter(class_id for row in already for class_id in shows[row])
    chosen: list[int] = []
    taken = set(already)
    while len(chosen) < count:
        left = {c: rows for c in left if (rows := [row for row in left[c] if row not in taken])}
        if not left:
            break
        rows = left[min(left, key=lambda c: (shown[c], rarity[c], c))]
        chosen.append(rows[len(rows) // 2])
        taken.add(chosen[-1])
        shown.update(shows[chosen[-1]])
    return chosen


def failures(evaluation: Evaluation) -> Gallery:
    """The images with the worst balance of right, missed and wrong."""
    dataset, found = evaluation.dataset, by_image(evaluation.predictions)
    verdicts = {row: judge(shown(found[truth.id]), truth) for row, truth in enumerate(dataset.truth)}
    worst = sorted(
        verdicts, key=lambda r: (verdicts[r].quality, -verdicts[r].missed.total() - verdicts[r].wrong.total())
    )
    rows = []
    for row in worst[:FAILURES]:
        image = _pixels(dataset.images, row)
        if image is not None and verdicts[row].quality < 1:
            rows.append(_pair(evaluation, row, image, verdicts[row]))
    text = (
        f"The {FAILURES} images of all {len(verdicts)} with the worst balance (F1) of right, missed and wrong "
        "detections at IoU 0.5; of equal ones those with the most errors. Left: the annotation. Right: the detections."
    )
    return Gallery(rows, text)


def training_examples(config: Mapping[str, Any], class_names: Sequence[str]) -> Gallery:
    """Images of the first training store, evenly spaced; none if it is not at hand: the run may have moved away.

    class_names: those of the page's ids.
    """
    data = config.get("data") or {}
    try:
        store = open_store(data["stores"][0])
        stored = store.images()
        listed = load_images(data.get("images") or stored.spec, data.get("split") or stored.split)
        images, places = store.locate(listed)
        store.require(GRABCUT, rows=places)
    except (InputError, KeyError, IndexError, TypeError):
        return Gallery([], "")
    done = np.flatnonzero((store.status(GRABCUT)[places] == DONE) & stored.labels(places).any(1))
    rows = []
    for place in np.unique(np.linspace(0, len(done) - 1, TRAINING_EXAMPLES).round().astype(int)) if len(done) else []:
        row = int(places[done[place]])
        image = _pixels(images, int(done[place]))
        if image is None:
            continue
        evidence = Evidence(image, read_proposals(store, row).box, seeds=read_seeds(store, row))
        labels = [name for name, present in zip(stored.class_names, stored.labels(row), strict=True) if present]
        pictures = [
            picture(draw(image, []), f"labels: {', '.join(labels)}"),
            picture(proposals_picture(evidence), PROPOSALS_CAPTION),
            picture(seeds_picture(evidence), "seed masks of some proposals"),
        ]
        rows.append(Row(pictures, {i for i, name in enumerate(class_names) if name in labels}))
    text = (
        f"{TRAINING_EXAMPLES} training images, evenly spaced, as the model gets them: the names of the classes "
        "present, class-independent proposals, and seed masks cut out of proposals by colour. No box or mask of an "
        "annotator is used."
    )
    return Gallery(rows, text)


def _pair(evaluation: Evaluation, row: int, image: np.ndarray, verdict: Verdict) -> Row:
    """Ground truth and prediction, both with the verdict."""
    dataset = evaluation.dataset
    names = dataset.images.class_names
    annotated, found = judged_pictures(image, verdict, names)
    classes = {item.class_id for item, _ in verdict.objects} | {p.class_id for p, _ in verdict.detections}
    return Row(
        [
            picture(annotated, f"ground truth: image {dataset.truth[row].id}"),
            picture(found, f"prediction: {verdict.text(names)}"),
        ],
        classes,
    )


def _pixels(images: ImageList, row: int) -> np.ndarray | None:
    try:
        return decode_record(images.records[row], **images.decoding)
    except DecodeError:
        return None
