"""`init`: write a workspace file."""

import json
from pathlib import Path

from rich.console import Console

from commands.workspace import FILE, TEMPLATE
from data.catalog import default_splits, load_images, parse_spec
from data.errors import InputError
from data.voc import PAPER_SPLIT
from data.whole_file import write_whole


def run(*, data: str, train: str | None, val: str | None) -> int:
    """Write `pdsl.yaml` for data set `data` after reading it once, so that a wrong path shows now and not overnight."""
    path = Path(FILE)
    if path.exists():
        raise InputError(f"{path.resolve()}: exists already; edit it, or remove it first")
    train_default, val_default = default_splits(data)
    train, val = train or train_default, val or val_default
    console = Console(stderr=True)
    for split in dict.fromkeys([train, val]):
        images = load_images(data, split)
        console.print(f"{data} {split}: {len(images)} images, {len(images.class_names)} classes")
    config = shipped_configuration(data, train)
    data, train, val = (json.dumps(text, ensure_ascii=False) for text in (data, train, val))  # quoted, as YAML reads it
    write_whole(path, TEMPLATE.format(data=data, train=train, val=val, config=config))
    console.print(f"wrote {path}; next: pdsl precompute --stage all")
    return 0


def shipped_configuration(data: str, train: str) -> str:
    """The shipped configuration that was published with such data and such a training split."""
    if parse_spec(data).scheme == "coco":
        return "coco-official"
    return "voc-paper" if train == PAPER_SPLIT else "voc-official"
