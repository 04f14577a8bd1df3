"""`weights`: what each backbone begins with, and torchvision's fetched."""

from typing import get_args

from pdsl.config.model import SCRATCH, BackboneName
from pdsl.model.weight_files import fetch as fetch_file
from pdsl.model.weight_sources import weight_sources


def run(*, fetch: str | None) -> int:
    """List the files of every backbone, or bring torchvision's of the backbone `fetch` into torch's cache."""
    if fetch:
        print(f"{fetch_file(fetch, progress=True)}: train with model.backbone.weights=IMAGENET1K_V1")
        return 0
    for backbone in get_args(BackboneName):
        print(backbone)
        for source in weight_sources(backbone):
            size = f"; {source.megabytes:.0f} MB, sha256 {source.sha256}…" if source.megabytes else ""
            print(f"  {source.file}{size}\n    {source.remark}\n    model.backbone.weights={source.option}")
        if not weight_sources(backbone):
            print("  none: always from scratch")
    print(
        "A file may lie anywhere; detectron2's .pth of the same network is read too. From scratch on purpose: "
        f"model.backbone.weights={SCRATCH}"
    )
    return 0
