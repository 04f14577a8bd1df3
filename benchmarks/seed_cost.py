"""Cost of the stages `iou-graph` and `grabcut` on real proposals: CPU seconds and compressed bytes per image.

OMP_NUM_THREADS=1 python -m benchmarks.seed_cost coco:DIR train2017 --images 12
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd

from benchmarks.arguments import on_images
from data.catalog import load_images
from data.decode import decode_image
from pipeline.spec import Stage, StageInput
from stages.registry import build_stage
from store.shards import ZSTD_LEVEL

DATA_SETS = {"VOC 2012 + SBD": 10_582, "COCO train2017": 118_287}
"""Images of the training splits."""


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Result and CPU seconds of this process."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def stored_bytes(rows: Mapping[str, np.ndarray]) -> int:
    """Bytes of the rows as the store compresses them, one chunk per array and image."""
    codec = Zstd(level=ZSTD_LEVEL)
    return sum(len(codec.encode(np.ascontiguousarray(row))) for row in rows.values() if row.ndim)


def measure(stages: list[Stage], proposals: Stage, spec: str, split: str, images: int) -> None:
    listed = load_images(spec, split)
    seconds: dict[str, list[float]] = {label(s): [] for s in stages}
    size: dict[str, list[int]] = {label(s): [] for s in stages}
    seeds: dict[str, list[int]] = {label(s): [] for s in stages}
    for turn, row in enumerate(np.linspace(0, len(listed) - 1, images + 1).astype(int)):
        record = listed.records[row]
        pixels = decode_image(record.path, exif=listed.exif)
        arrays = dict(proposals.compute(StageInput(record, pixels, {})))
        for stage in stages:
            given = StageInput(record, pixels if stage.needs_image else None, arrays)
            rows, spent = timed(lambda stage=stage, given=given: stage.compute(given))  # type: ignore[misc]
            arrays.update(rows)
            if turn:  # the first image compiles
                seconds[label(stage)].append(spent)
                size[label(stage)].append(stored_bytes(rows))
                seeds[label(stage)].append(int(rows.get("grabcut/count", 0)))
    for stage in stages:
        name = label(stage)
        mean = float(np.mean(seconds[name]))
        hours = ", ".join(f"{title}: {mean * n / 3600:.1f}" for title, n in DATA_SETS.items())
        print(
            f"{name:26s} {mean:7.3f} s/image (median {np.median(seconds[name]):.3f})  {np.mean(seeds[name]):6.0f} seeds"
            f"  {np.mean(size[name]) / 1e3:7.1f} kB/image  core-hours {hours}"
        )


def label(stage: Stage) -> str:
    """The stage's name with its mode."""
    params = stage.plain_params()
    return " ".join([stage.name, *(str(params[k]) for k in ("method", "seeds") if k in params)])


def main() -> None:
    parser = on_images(__doc__, images=12)
    args = parser.parse_args()
    proposals = build_stage("proposals", {"method": args.proposals})
    capacity = proposals.arrays[0].row_shape[0]
    modes = [build_stage("grabcut", {"seeds": seeds}, capacity=capacity) for seeds in ("cover", "all")]
    measure([build_stage("iou-graph", capacity=capacity), *modes], proposals, args.spec, args.split, args.images)


if __name__ == "__main__":
    main()
