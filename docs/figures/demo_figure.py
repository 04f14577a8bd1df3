"""The README's figure from a demo's folder: python docs/figures/demo_figure.py demo docs/figures/demo.png"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from data.catalog import load_images
from data.decode import decode_record
from data.truth_reader import load_truth
from pdsl.evaluate.predictions import by_image
from pdsl.evaluate.protocols import default_protocol
from pdsl.evaluate.results import read_results
from pdsl.evaluate.targets import ImageTargets
from pdsl.report.evidence import proposals_picture, read_evidence, seeds_picture
from pdsl.report.gallery import pictures, shown
from pdsl.report.panels import side_by_side
from pdsl.run.names import PREDICTIONS
from store.store import open_store

SIDE = 320


def training_row(demo: Path, row: int) -> list[tuple[str, Image.Image]]:
    """What training sees of one scene."""
    images = load_images(f"voc:{demo / 'data'}", "train")
    store = open_store(str(demo / "stores" / "train.zarr"))
    record = store.align(images).records[row]
    pixels = decode_record(record, exif=False)
    evidence = read_evidence(store, row, pixels)
    labels = ", ".join(images.class_names[c] for c in record.label)
    return [
        (f"given: {labels}", Image.fromarray(pixels)),
        ("proposals", proposals_picture(evidence)),
        ("seed masks", seeds_picture(evidence)),
    ]


def test_row(demo: Path, row: int) -> list[tuple[str, Image.Image]]:
    """What came of it on a scene not seen in training."""
    spec = f"voc:{demo / 'data'}"
    images, truth = load_images(spec, "val"), load_truth(spec, "val")
    found = by_image(read_results(demo / "run" / PREDICTIONS, images))
    record = images.records[row]
    pixels = decode_record(record, exif=False)
    targets = ImageTargets(truth[row], default_protocol(spec))
    true, predicted = pictures(pixels, targets, shown(found.get(record.id, [])), images.class_names)
    return [("unseen scene", Image.fromarray(pixels)), ("predicted", predicted), ("true", true)]


def square(image: Image.Image) -> Image.Image:
    """The image enlarged onto a white square."""
    scale = SIDE / max(image.size)
    size = tuple(int(np.rint(v * scale)) for v in image.size)
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    canvas.paste(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, nargs="*", default=[3])
    parser.add_argument("--val", type=int, nargs="*", default=[0, 4])
    args = parser.parse_args()
    panels = [panel for row in args.train for panel in training_row(args.demo, row)]
    panels += [panel for row in args.val for panel in test_row(args.demo, row)]
    side_by_side([(title, square(image)) for title, image in panels], columns=3).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
