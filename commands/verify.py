"""`verify`: re-read a store, name what is damaged, and repair it."""

from data.catalog import load_images
from pipeline.cost import readable_bytes
from pipeline.executors.serial import SerialExecutor
from pipeline.progress import ProgressDisplay
from pipeline.runner import run_stage
from stages.registry import stored_stage
from store.create import only_stored
from store.repair import repair_images, repair_root, withdraw_unreadable
from store.root import ROOT
from store.store import Store, open_store
from store.verify import Damage, Verification, damaged_rows, open_damaged, verify_store

LINES_SHOWN = 200


def run(*, store: str, repair: bool = False, data: str | None = None) -> int:
    """Read every byte a store records as whole. repair: compute again just what is damaged.

    data: where the images are, if not where the store was made. Returns 0 if everything is whole (after the repair, if
    one was asked for), else 3. Raises InputError.
    """
    opened = open_damaged(store)
    result = verify_store(opened)
    _print(opened, result)
    if not result.damage:
        return 0
    if not repair:
        print(f"run verify --store {store} --repair to compute just these again")
        return 3
    failed = _repair(opened, result.damage, data)
    opened = open_store(store)
    result = verify_store(opened)
    _print(opened, result)
    return 3 if result.damage or failed else 0


def _repair(store: Store, damage: list[Damage], data: str | None) -> int:
    """Root and image list first, then stages, upstream before downstream; the number of images that failed."""
    if any(found.group == ROOT for found in damage):
        repair_root(store)
        store = open_store(store.url)
    listed = load_images(data or store.attributes["spec"], store.attributes["split"])
    if any(found.group == "images" for found in damage):
        repair_images(store, listed, damage)
        store = open_store(store.url)
    images = only_stored(store, listed)
    withdraw_unreadable(store, damage)
    failed = 0
    for group in store.groups_in_order({found.group for found in damage} - {"images", ROOT}):
        stage = stored_stage(store, group)
        summary = run_stage(
            store,
            images,
            stage,
            SerialExecutor(),
            listener=ProgressDisplay(),
            repair=damaged_rows(damage, group),
        )
        print(f"{stage.name}: {summary.computed.images} images computed again")
        failed += summary.tally.failed
    return failed


def _print(store: Store, result: Verification) -> None:
    for found in result.damage[:LINES_SHOWN]:
        print(found.describe(store))
    if len(result.damage) > LINES_SHOWN:
        print(f"... and {len(result.damage) - LINES_SHOWN} more")
    for group, pending in result.pending.items():
        if pending:
            print(f"{group}: {pending} images not computed yet")
    read = f"{result.objects} objects, {readable_bytes(result.bytes)} read"
    print(f"{store.url}: {read}, {len(result.damage) or 'nothing'} damaged")
