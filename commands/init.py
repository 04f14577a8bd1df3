"""`init`: write a workspace file."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from commands.recipes import RecipeName, find_recipe
from commands.workspace import FILE
from commands.workspace_text import workspace_text
from data.catalog import load_images
from data.errors import InputError
from data.loudness import note_console
from data.records import ImageList
from data.whole_file import write_whole


def run(
    *,
    data: str,
    train: str | None,
    val: str | None,
    recipe: RecipeName = "default",
    proposals_from: str | None = None,
) -> int:
    """Write `pdsl.yaml` for data set `data` after reading it once, so that a wrong path shows now and not overnight.

    train, val: splits; the recipe's where None. recipe: also says what the stages compute, and the configuration.
    What was read is printed, with the images of every class.
    """
    path = Path(FILE)
    if path.exists():
        raise InputError(f"{path.resolve()}: exists already; edit it, or remove it first")
    chosen = find_recipe(recipe, data, train, val, proposals_from)
    console = note_console()
    lists = [load_images(data, split) for split in dict.fromkeys([chosen.train, chosen.val])]
    for line in described(lists):
        console.print(line)
    write_whole(path, workspace_text(data=data, **asdict(chosen)))
    if chosen.proposals_from:
        console.print(f"proposals: {chosen.proposals_from}; docs/reproduce.md says where MCG's boxes are published")
    print(f"wrote {path}; next: pdsl check, then pdsl precompute --stage all", file=sys.stderr)
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
