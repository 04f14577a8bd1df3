"""The figure of photographs: python docs/figures/photographs_figure.py EVAL COCO val2017 STORE OUT.jpg

EVAL: folder with predictions.json of that split. Of the images that may be shown (licence 4 of COCO's annotations: CC
BY 2.0) and hold an object of the run's classes, the RANKS of their order by F1 at IoU 0.5.
"""

import argparse
import json
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
from pdsl.report.evidence import read_evidence, seeds_picture
from pdsl.report.gallery import pictures, shown
from pdsl.report.judging import judge
from pdsl.report.panels import side_by_side
from pdsl.run.names import PREDICTIONS
from store.store import open_store

SIZE = (320, 240)
ATTRIBUTION = 4
RANKS = (0, 1, 2, -1)


def rows(evaluation: Path, folder: Path, split: str, store_url: str) -> list[list[tuple[str, Image.Image]]]:
    """A row of panels for each image chosen, the best first."""
    spec = f"coco:{folder}"
    images, truth, store = load_images(spec, split), load_truth(spec, split), open_store(store_url)
    found = by_image(read_results(evaluation / PREDICTIONS, images))
    listed = json.loads((folder / "annotations" / f"instances_{split}.json").read_text())["images"]
    free = {str(image["id"]) for image in listed if image["license"] == ATTRIBUTION}
    known = {prediction.class_id for some in found.values() for prediction in some}
    protocol = default_protocol(spec)
    judged = []
    for row, record in enumerate(images.records):
        if record.id in free and known & set(record.label):
            targets = ImageTargets(truth[row], protocol)
            judged.append((judge(shown(found.get(record.id, [])), targets).quality, row, targets))
    judged.sort(key=lambda item: (-item[0], item[1]))
    chosen = [judged[rank] for rank in RANKS]
    panels = []
    for _, row, targets in chosen:
        record = images.records[row]
        pixels = decode_record(record, **store.decoding)
        true, predicted = pictures(pixels, targets, shown(found.get(record.id, [])), images.class_names)
        labels = ", ".join(images.class_names[c] for c in record.label if c in known)
        panels.append(
            [
                (f"{record.id}: {labels}", Image.fromarray(pixels)),
                ("seed masks of proposals", seeds_picture(read_evidence(store, row, pixels))),
                ("predicted", predicted),
                ("annotated", true),
            ]
        )
    return panels


def fitted(image: Image.Image) -> Image.Image:
    """The image within SIZE on white."""
    scale = min(SIZE[0] / image.width, SIZE[1] / image.height)
    size = tuple(int(np.rint(v * scale)) for v in image.size)
    canvas = Image.new("RGB", SIZE, "white")
    canvas.paste(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("coco", type=Path)
    parser.add_argument("split")
    parser.add_argument("store")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    found = rows(args.evaluation, args.coco, args.split, args.store)
    panels = [(title, fitted(image)) for row in found for title, image in row]
    side_by_side(panels, columns=4).save(args.out, quality=85, optimize=True)


if __name__ == "__main__":
    main()
