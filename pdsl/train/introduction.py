"""What a run tells the user before its first update."""

from collections.abc import Iterator
from pathlib import Path

from pdsl.cache import CacheReader
from pdsl.config.tree import Config
from pdsl.learnable import unlearnable
from pdsl.run.names import TENSORBOARD
from pdsl.train.distributed import World

FEW = 10
"""Images left out that are named on the terminal."""


def introduction(config: Config, *, run: Path, cache: CacheReader, world: World, start: int) -> Iterator[str]:
    """Lines on what the run is about to do after `start` updates, what it can not learn, and which images it lacks."""
    left_out = "".join(f", {count} {reason}" for reason, count in cache.left_out.items())
    todo = f"updates {start + 1} to {config.steps}" if start < config.steps else "all updates are done"
    yield (
        f"{run}: {len(cache)} images of {len(cache.class_names)} classes{left_out}; "
        f"{todo}; {world.size} x {world.device}"
    )
    yield f"to watch it: tensorboard --logdir {run / TENSORBOARD}"
    for warning in unlearnable(cache.labels(), cache.class_names):
        yield f"warning: {warning}"
    scored = {
        "model.box_head.objectness": config.model.box_head.objectness,
        "model.detection.objectness_prior": config.model.detection.objectness_prior > 0,
    }
    readers = " and ".join(key for key, on in scored.items() if on)
    for url in cache.old_scores() if readers else ():
        yield (
            f"warning: {url}: its mcg proposals are of an earlier version, whose scores are no probabilities, which "
            f"{readers} takes them for; `precompute --stage all --overwrite` computes them anew (boxes and order stay)"
        )
    for image in cache.failed[:FEW]:
        yield f"left out: {image.image}: stage '{image.stage}' failed: {image.reason}"
    if len(cache.failed) > FEW:
        yield f"left out: {len(cache.failed) - FEW} more; `status --failed FILE` lists all"
