"""`init`: write a workspace file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from commands.workspace import FILE, workspace_text
from data.catalog import default_splits, load_images, parse_spec
from data.errors import InputError
from data.records import ImageList
from data.voc import PAPER_SPLIT
from data.whole_file import write_whole


def run(*, data: str, train: str | None, val: str | None) -> int:
    """Write `pdsl.yaml` for data set `data` after reading it once, so that a wrong path shows now and not overnight.

    train, val: splits; the data set's usual ones where None. What was read is printed, with the images of every class.
    """
    path = Path(FILE)
    if path.exists():
        raise InputError(f"{path.resolve()}: exists already; edit it, or remove it first")
    if not (train and val):
        train_default, val_default = default_splits(data)
        train, val = train or train_default, val or val_default
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)
    lists = [load_images(data, split) for split in dict.fromkeys([train, val])]
    for line in described(lists):
        console.print(line)
    config = shipped_configuration(data, train)
    write_whole(path, workspace_text(data=data, train=train, val=val, config=config))
    console.print(f"wrote {path}; next: pdsl precompute --stage all")
    return 0


def described(lists: Sequence[ImageList]) -> Iterator[str]:
    """Lines for a person to check: images and classes of every split, notes, and how many images show each class."""
    for images in lists:
        unlabelled = sum(not record.label for record in images.records)
        without = f", {unlabelled} of them without any label" if unlabelled else ""
        yield f"{images.spec} {images.split}: {len(images)} images{without}, {len(images.class_names)} classes"
    yield from dict.fromkeys(note for images in lists for note in images.notes)
    counts = [dict(zip(i.class_names, i.label_matrix().sum(0).tolist(), strict=True)) for i in lists]
    names = list(dict.fromkeys(name for images in lists for name in images.class_names))
    head = ["class", *(images.split for images in lists)]
    rows = [head, *([name, *(str(count.get(name, 0)) for count in counts)] for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join([f"  {name:<{widths[0]}}", *numbers])


def shipped_configuration(data: str, train: str) -> str:
    """The shipped configuration that was published with such data and such a training split."""
    if parse_spec(data).scheme == "coco":
        return "coco-official"
    return "voc-paper" if train == PAPER_SPLIT else "voc-official"
