"""Miniature data sets made by hand, for the tests of the readers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Object = tuple[str, tuple[int, int, int, int], bool]
"""(class, (xmin, ymin, xmax, ymax) 1-based inclusive, difficult)."""


def write_image(path: Path, size: tuple[int, int] = (20, 30), **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 128, np.uint8)).save(path, **options)


def voc_xml(objects: Sequence[Object], size: tuple[int, int] | None = (20, 30)) -> str:
    lines = ["<annotation>"]
    if size:
        lines.append(f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>")
    for name, box, difficult in objects:
        sides = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        part = f"<part><name>head</name><bndbox>{sides}</bndbox></part>"
        lines.append(
            f"<object><name>{name}</name><difficult>{int(difficult)}</difficult><bndbox>{sides}</bndbox>{part}</object>"
        )
    return "\n".join([*lines, "</annotation>"])


def write_voc(root: Path, images: Mapping[str, Sequence[Object]], lists: Mapping[str, Sequence[str]]) -> str:
    """lists: "Main/train" -> ids. Returns the SPEC."""
    for image_id, objects in images.items():
        write_image(root / "JPEGImages" / f"{image_id}.jpg")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{image_id}.xml").write_text(voc_xml(objects))
    for name, ids in lists.items():
        path = root / "ImageSets" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{i}\n" for i in ids))
    return f"voc:{root}"


def write_segmentation(root: Path, image_id: str, instance: np.ndarray, classes: np.ndarray) -> None:
    for kind, indices in (("SegmentationObject", instance), ("SegmentationClass", classes)):
        (root / kind).mkdir(exist_ok=True)
        image = Image.fromarray(indices.astype(np.uint8))
        image.putpalette(list(range(256)) * 3)
        image.save(root / kind / f"{image_id}.png")


def coco_content() -> dict[str, Any]:
    """Two images, categories 3 and 90; a polygon, a crowd with uncompressed RLE, an image without objects."""
    return {
        "info": {"description": 'says "segmentation":[[1,2]] in a string'},
        "images": [
            {"id": 139, "file_name": "000000000139.jpg", "height": 20, "width": 30},
            {"id": 9, "file_name": "000000000009.jpg", "height": 20, "width": 30},
        ],
        "annotations": [
            {
                "id": 1, "image_id": 139, "category_id": 90, "bbox": [2.5, 3, 10, 5], "area": 50.0, "iscrowd": 0,
                "segmentation": [[2.5, 3, 12.5, 3, 12.5, 8, 2.5, 8]],
            },
            {
                "id": 2, "image_id": 139, "category_id": 3, "bbox": [0, 0, 1, 20], "area": 20, "iscrowd": 1,
                "segmentation": {"counts": [0, 20, 580], "size": [20, 30]},
            },
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    }  # fmt: skip


def write_coco(root: Path, content: Mapping[str, Any] | str, split: str = "val2017") -> str:
    """Annotation file and images. Returns the SPEC."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (root / "annotations" / f"instances_{split}.json").write_text(text)
    for number in (139, 9):
        write_image(root / split / f"{number:012d}.jpg")
    return f"coco:{root}"


def write_folder(root: Path, csv: str, images: Sequence[str], **options: Any) -> str:
    """labels.csv and images below images/. Returns the SPEC."""
    for name in images:
        write_image(root / "images" / name, **options)
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_text(csv)
    return f"folder:{root}"
