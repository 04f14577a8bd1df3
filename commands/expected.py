"""How many images of a store each stage is to have: of one that holds several splits, not always all."""

from collections.abc import Sequence

from commands.image_choice import span
from data.catalog import load_images, split_parts
from data.errors import InputError
from store.completion import recorded_shards
from store.identity import group_of
from store.status import StageStatus
from store.store import Store


def expect(stages: Sequence[StageStatus], store: Store, learnt_from: tuple[str, str] | None) -> None:
    """Of stages behind the proposals: no more images than training takes, unless more were computed.

    learnt_from: (data, split) that training takes; None: where the store was made of joined splits (train+val), those
    that a stage has begun. The others are the stage's `not_begun`. Where the images are elsewhere all count.
    """
    spec = store.attributes["spec"]
    for stage in stages:
        try:
            split = learnt_from or _begun(store, spec, stage)
            if split is None:
                continue
            first, stop = span(store.listed().ids, store.shard, load_images(*split))
        except InputError:
            continue
        wanted = max(stop - first, stage.tally.images)
        stage.not_begun, stage.images = stage.images - wanted, wanted


def _begun(store: Store, spec: str, stage: StageStatus) -> tuple[str, str] | None:
    """(data, split) of the one part of a store's images that a stage has begun; None if it has begun several, or if the
    store has no parts."""
    parts = split_parts(spec, store.attributes["split"])
    if len(parts) < 2 or not stage.pending or not stage.tally.images:
        return None
    shards = recorded_shards(store.objects, group_of(stage.stage), store.shard)
    for part in parts:
        first, stop = span(store.listed().ids, store.shard, load_images(spec, part))
        if all(first <= shard * store.shard < stop for shard in shards):
            return spec, part
    return None
