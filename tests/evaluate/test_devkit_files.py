"""`eval --results` on files against VOC's devkit on the same files: annotations in XML, detections in comp3/comp4 text.

The devkit is written again here from VOCevaldet.m, its readers too, so that nothing of the project is on its side.
"""

import json
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import cli as program
from tests.data.layouts import write_segmentation, write_voc

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
Objects = dict[str, list[tuple[str, list[float], bool]]]
"""By image: class, xmin ymin xmax ymax in pixels from 1, whether it is difficult."""


def annotated(root: Path, kind: str) -> Objects:
    found: Objects = {}
    for image in (root / "ImageSets" / kind / "val.txt").read_text().split():
        tree = ElementTree.parse(root / "Annotations" / f"{image}.xml")
        found[image] = [
            (
                str(item.findtext("name")),
                [float(item.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")],
                item.findtext("difficult") == "1",
            )
            for item in tree.findall("object")
        ]
    return found


def write_random_detections(folder: Path, objects: Objects, seed: int) -> None:
    """Objects found several times, badly, under other names or not at all; scores with ties; two classes unfound."""
    rng = np.random.default_rng(seed)
    lines: dict[str, list[str]] = defaultdict(list)
    for image, listed in objects.items():
        for name, box, _ in listed:
            for _ in range(rng.integers(4)):
                side = np.array([box[2] - box[0], box[3] - box[1]] * 2)
                x0, y0, x1, y1 = np.round(np.array(box) + rng.normal(0, 0.12, 4) * side, int(rng.integers(3)))
                given = name if rng.random() < 0.85 else CLASSES[rng.integers(20)]
                lines[given].append(f"{image} {rng.random():.3f} {x0} {y0} {max(x1, x0)} {max(y1, y0)}\n")
    folder.mkdir()
    for name in CLASSES[:18]:
        (folder / f"comp4_det_val_{name}.txt").write_text("".join(rng.permutation(lines[name])))


def devkit(objects: Objects, folder: Path, name: str) -> tuple[float, float] | None:
    """(area under the curve, 11-point AP) of a class in percent; None without an object. VOCevaldet.m, line by line."""
    boxes = {image: [box for n, box, _ in listed if n == name] for image, listed in objects.items()}
    difficult = {image: [flag for n, _, flag in listed if n == name] for image, listed in objects.items()}
    taken = {image: [False] * len(listed) for image, listed in boxes.items()}
    positives = sum(not flag for listed in difficult.values() for flag in listed)
    if not positives:
        return None
    path = folder / f"comp4_det_val_{name}.txt"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    rows.sort(key=lambda row: -float(row[1]))
    hits, alarms = np.zeros(len(rows)), np.zeros(len(rows))
    for d, (image, _, *corners) in enumerate(rows):
        x0, y0, x1, y1 = map(float, corners)
        best, chosen = -np.inf, -1
        for j, (a0, b0, a1, b1) in enumerate(boxes[image]):
            wide, high = min(x1, a1) - max(x0, a0) + 1, min(y1, b1) - max(y0, b0) + 1
            if wide > 0 and high > 0:
                union = (x1 - x0 + 1) * (y1 - y0 + 1) + (a1 - a0 + 1) * (b1 - b0 + 1) - wide * high
                if wide * high / union > best:
                    best, chosen = wide * high / union, j
        if best < 0.5:
            alarms[d] = 1
        elif not difficult[image][chosen]:
            hits[d] = not taken[image][chosen]
            alarms[d] = taken[image][chosen]
            taken[image][chosen] = True
    hits, alarms = hits.cumsum(), alarms.cumsum()
    recall = hits / positives
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits + alarms > 0)
    points = [precision[recall >= t].max(initial=0.0) for t in np.arange(0.0, 1.1, 0.1)]
    recall, precision = np.concatenate([[0], recall, [1]]), np.concatenate([[0], precision, [0]])
    for k in range(len(precision) - 2, -1, -1):
        precision[k] = max(precision[k], precision[k + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return 100 * float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum()), 100 * sum(points) / 11


def check(root: Path, split: str, tmp_path: Path, seed: int) -> None:
    """split: val, or seg-val, whose list is another one."""
    objects = annotated(root, "Segmentation" if split.startswith("seg-") else "Main")
    results = tmp_path / f"results{seed}"
    write_random_detections(results, objects, seed)
    given = ["--data", f"voc:{root}", "--split", split, "--results", str(results), "--out", str(tmp_path)]
    done = CliRunner().invoke(program.cli, ["eval", *given])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "metrics.json").read_text())["voc"]["box"]
    expected = {name: devkit(objects, results, name) for name in CLASSES}
    areas = {name: value[0] for name, value in expected.items() if value is not None}
    assert found["per_class"] == pytest.approx(areas, abs=1e-4)
    assert found["AP50"] == pytest.approx(np.mean(list(areas.values())), abs=1e-4)
    points = [value[1] for value in expected.values() if value is not None]
    assert found["AP50_11point"] == pytest.approx(np.mean(points), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_files_of_scenes(tmp_path: Path, seed: int) -> None:
    """Forty images of up to six objects; in some a mask of something that nobody annotated, and one that is shared."""
    rng = np.random.default_rng(seed)
    objects = {
        f"i{n:03d}": [
            (CLASSES[rng.integers(8)], (x, y, x + rng.integers(2, 12), y + rng.integers(2, 12)), rng.random() < 0.2)
            for x, y in rng.integers(1, 18, (rng.integers(6), 2)).tolist()
        ]
        for n in range(40)
    }
    root = tmp_path / "voc"
    write_voc(root, objects, {"Main/val": list(objects)})
    for image in list(objects)[:10]:
        numbers = np.zeros((20, 30), int)
        numbers[15:, 20:], numbers[:4, :4] = 1, 2
        write_segmentation(root, image, numbers, np.where(numbers, 3, 0))
    check(root, "val", tmp_path, seed)


@pytest.mark.real
@pytest.mark.parametrize("split", ["val", "seg-val"])
def test_files_of_voc2007(tmp_path: Path, shared: Path, split: str) -> None:
    """The 259 images of val, and those with masks alone, which show three objects that the XML has not."""
    for seed in range(2):
        check(shared / "data" / "voc2007", split, tmp_path, seed)
