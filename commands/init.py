"""`init`: write a workspace file."""

from pathlib import Path

from rich.console import Console

from commands.recipes import RecipeName, find_recipe
from commands.workspace import FILE, workspace_text
from data.catalog import load_images
from data.errors import InputError
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

    recipe: what the stages compute, the configuration and, where train and val are None, the splits.
    """
    path = Path(FILE)
    if path.exists():
        raise InputError(f"{path.resolve()}: exists already; edit it, or remove it first")
    chosen = find_recipe(recipe, data, train, val, proposals_from)
    console = Console(stderr=True)
    for split in dict.fromkeys([chosen.train, chosen.val]):
        images = load_images(data, split)
        console.print(f"{data} {split}: {len(images)} images, {len(images.class_names)} classes")
    write_whole(path, workspace_text(data=data, recipe=chosen))
    if chosen.proposals_from:
        console.print(f"proposals: {chosen.proposals_from}; docs/reproduce.md says where MCG's boxes are published")
    console.print(f"wrote {path}; next: pdsl check, then pdsl precompute --stage all")
    return 0
