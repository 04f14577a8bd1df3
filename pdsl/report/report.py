"""`report.html` of a run: one file that explains itself, with pictures inside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError
from data.json_file import read_json
from data.parameters import read_mapping
from data.records import ImageList
from data.regular import read_regular
from data.whole_file import write_whole
from pdsl.config.model import SCRATCH
from pdsl.evaluate.evaluation import COMPARED, Evaluation
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.evaluate.predictions import Prediction, by_image
from pdsl.evaluate.protocols import PROTOCOLS
from pdsl.evaluate.summary import COLUMNS, class_rows
from pdsl.figures import percent
from pdsl.report import html
from pdsl.report.charts import loss_curves, validation_curves
from pdsl.report.evidence import Evidence, proposals_picture, seeds_picture
from pdsl.report.gallery import judge, pictures, shown, spread
from pdsl.report.overlay import draw
from pdsl.run.folder import read_log
from pdsl.run.names import COMPARISON, CONFIG, LOG
from store.contents import GRABCUT, PROPOSALS, is_done, read_proposals, read_seeds
from store.layout import DONE
from store.store import open_store

EXAMPLES = 6
TRAINING_EXAMPLES = 4
FAILURES = 3


def write_report(run: Path, out: Path, evaluation: Evaluation) -> None:
    """Write the report of an evaluation of run folder `run` to `out`.

    Of the run its config.yaml, log.jsonl and comparison.json are shown as far as they are there, and training images if
    its first training store can still be read.
    """
    config = read_mapping(run / CONFIG, str(run / CONFIG), "of keys") if (run / CONFIG).exists() else {}
    comparison = read_json(run / COMPARISON, "remove it") if (run / COMPARISON).exists() else {}
    title = f"PDSL: {run.resolve().name}"
    parts = [
        *_head(title, evaluation, config),
        _comparison(comparison),
        _curves(run),
        _examples(evaluation),
        _failures(evaluation),
        _training_examples(config),
        _classes(evaluation.metrics),
        _configuration(read_regular(run / CONFIG).decode(errors="replace") if config else ""),
    ]
    write_whole(out, html.page(title, [part for part in parts if part]))


def _head(title: str, evaluation: Evaluation, config: Mapping[str, Any]) -> list[str]:
    metrics = evaluation.metrics
    step = f"after {metrics['step']:,} updates, " if "step" in metrics else ""
    views = " with test-time augmentation" if metrics.get("tta") else ""
    about = (
        f"Instance segmentation learnt from image-level labels only. Evaluated {step}on {metrics['images']} images of "
        f"{evaluation.dataset.images.spec} {evaluation.dataset.images.split}{views}. All figures in percent."
    )
    if metrics["protocol"]:
        about += f" Protocol {metrics['protocol']}: {PROTOCOLS[metrics['protocol']].meaning}."
    about += _beginning(config)
    rows = [
        [f"<b>{kind}</b>", *(html.escape(percent(metrics[kind].get(name))) for name in COLUMNS)]
        for kind in ("mask", "box")
    ]
    cards = [
        (percent(metrics["mask"].get("AP50")), "mask AP50"),
        (percent(metrics["mask"].get("AP75")), "mask AP75"),
        (percent(metrics["box"].get("AP50")), "box AP50"),
        (percent(metrics["corloc"]["mean"]), "CorLoc"),
    ]
    note = (
        '<p class="soft">AP: mean over IoU 0.50 to 0.95. AP25 … AP75: at that IoU. APs, APm, APl: objects below 32², '
        "up to 96², and above 96² pixels. CorLoc: images of a class whose best detection of it is right. "
        "A dash: no such objects.</p>"
    )
    head = f'<h1>{html.escape(title)}</h1><p class="soft">{html.escape(about)}</p>'
    return [head, html.tiles(cards), html.table(["", *COLUMNS], rows), note]


def _beginning(config: Mapping[str, Any]) -> str:
    """What weights the run began with, in a sentence."""
    backbone = (config.get("model") or {}).get("backbone") or {}
    if not backbone:
        return ""
    weights = backbone.get("weights")
    with_what = f"the weights {weights}" if weights not in (None, SCRATCH) else "random weights"
    first = f" Training began with the model of {config['init']}." if config.get("init") else ""
    return f"{first} The backbone, {backbone['name']}, began with {with_what}; frozen: {backbone['freeze']}."


def _comparison(comparison: Mapping[str, Any]) -> str:
    if not comparison:
        return ""
    with_corloc = "corloc" in comparison["trained"]
    rows = []
    for key, name in COMPARED.items():
        if key in comparison:
            mask, box = comparison[key]["mask"], comparison[key]["box"]
            bars = [html.bar_cell(mask[column], percent(mask[column])) for column in ("AP50", "AP75")]
            located = [percent(comparison[key].get("corloc"))] if with_corloc else []
            rows.append([html.escape(name), *bars, percent(mask["AP"]), percent(box["AP50"]), *located])
    columns = ["", "mask AP50", "mask AP75", "mask AP", "box AP50", *(["CorLoc"] if with_corloc else [])]
    table = html.table(columns, rows, best=0)
    text = (
        "On the same unseen images: what training adds over random weights, and what the mask branch adds over taking "
        "the whole box of each detection as its mask."
    )
    if with_corloc:
        text += " CorLoc is that of the training images."
    return html.section("What was learnt", text, table)


def _examples(evaluation: Evaluation) -> str:
    dataset, found = evaluation.dataset, by_image(evaluation.predictions)
    rows = []
    for row in spread(dataset.truth, EXAMPLES):
        image = _pixels(dataset.images, row)
        if image is None:
            continue
        pictures = _pair(dataset, row, image, shown(found[dataset.truth[row].id]))
        if dataset.store is not None and is_done(dataset.store, PROPOSALS, row):
            evidence = Evidence(image, read_proposals(dataset.store, row).box)
            pictures.insert(0, html.picture(proposals_picture(evidence), "the best proposals (orange: the best five)"))
        rows.append(html.row(*pictures))
    text = (
        "Images evenly spaced through the evaluation split, not chosen by hand. From left to right: the proposals "
        "given to the model, the annotation, and what the model finds (score 0.3 and more, or else its best detection)."
    )
    return html.section("Predictions beside ground truth", text, *rows)


def _failures(evaluation: Evaluation) -> str:
    dataset, found = evaluation.dataset, by_image(evaluation.predictions)
    verdicts = {row: judge(shown(found[truth.id]), truth) for row, truth in enumerate(dataset.truth)}
    worst = sorted(
        verdicts, key=lambda r: (verdicts[r].quality, -verdicts[r].missed.total() - verdicts[r].wrong.total())
    )
    rows = []
    for row in worst[:FAILURES]:
        image = _pixels(dataset.images, row)
        if image is not None and verdicts[row].quality < 1:
            caption = verdicts[row].text(dataset.images.class_names)
            rows.append(html.row(*_pair(dataset, row, image, shown(found[dataset.truth[row].id]), caption)))
    text = "The images with the worst balance of right, missed and wrong detections (IoU 0.5). Left: annotation."
    return html.section("Where it fails", text, *rows)


def _pair(
    dataset: EvaluationSet, row: int, image: np.ndarray, predictions: list[Prediction], caption: str = ""
) -> list[str]:
    """Ground truth and prediction."""
    truth, names = dataset.truth[row], dataset.images.class_names
    verdict = caption or judge(predictions, truth).text(names)
    annotated, found = pictures(image, truth, predictions, names)
    return [html.picture(annotated, f"ground truth: image {truth.id}"), html.picture(found, f"prediction: {verdict}")]


def _training_examples(config: Mapping[str, Any]) -> str:
    data = config.get("data") or {}
    try:
        store = open_store(data["stores"][0])
        store.require(GRABCUT)
        stored = store.images()
        images = store.align(load_images(data.get("images") or stored.spec, stored.split))
    except (InputError, KeyError, IndexError, TypeError):
        return ""  # the run may have moved away from its stores
    done = np.flatnonzero((store.status(GRABCUT) == DONE) & stored.labels.any(1))
    rows = []
    for place in np.unique(np.linspace(0, len(done) - 1, TRAINING_EXAMPLES).round().astype(int)) if len(done) else []:
        row = int(done[place])
        image = _pixels(images, row)
        if image is None:
            continue
        evidence = Evidence(image, read_proposals(store, row).box, seeds=read_seeds(store, row))
        labels = ", ".join(
            name for name, present in zip(stored.class_names, stored.labels[row], strict=True) if present
        )
        rows.append(
            html.row(
                html.picture(draw(image, []), f"labels: {labels}"),
                html.picture(proposals_picture(evidence), "the best proposals (orange: the best five)"),
                html.picture(seeds_picture(evidence), "seed masks of some proposals"),
            )
        )
    text = (
        "Training images as the model gets them: the names of the classes that are present, class-independent "
        "proposals, and seed masks cut out of proposals by colour. No box or mask of an annotator is used."
    )
    return html.section("What it learns from", text, *rows)


def _curves(run: Path) -> str:
    entries = read_log(run / LOG)
    charts = [loss_curves(entries), validation_curves({run.name: entries})]
    text = "Losses over the updates, each the average since the log entry before. Right: the parts, added up by kind."
    if charts[1]:
        text += " Below: the model's figures while it was trained."
    return html.section("Training", text, *(f'<div class="chart">{chart}</div>' for chart in charts if chart))


def _classes(metrics: Mapping[str, Any]) -> str:
    rows = [[html.escape(name), *cells] for name, *cells in class_rows(metrics)]
    head = ["class", "objects", "mask AP", "mask AP50", "mask AP75", "box AP", "box AP50", "box AP75"]
    return html.section("Per class", "Classes that have objects in the split.", html.table(head, rows) if rows else "")


def _configuration(text: str) -> str:
    content = html.details(CONFIG, f"<pre>{html.escape(text)}</pre>") if text else ""
    return html.section("Configuration", "Everything that determined the run.", content)


def _pixels(images: ImageList, row: int) -> np.ndarray | None:
    try:
        return decode_record(images.records[row], **images.decoding)
    except DecodeError:
        return None
