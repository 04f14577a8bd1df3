"""Everything that changes a store, ended after each of its writes and deletions in turn.

An end is an exception that nothing catches, raised in place of the next write or deletion: what a SIGKILL between two
of them leaves. (Kills of whole processes at random moments are in `benchmarks.engine.kill`.)
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from data.errors import InputError
from data.records import ImageList
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.local import LocalObjects
from store.store import open_store
from store.verify import damaged_rows, verify_store

SHARD = 4
OLD, LONGER, OTHER = image_list(10), image_list(15), image_list(7, prefix="other")
UNLABELLED = replace(OLD, records=tuple(replace(record, label=()) for record in OLD.records))
FAILING = first_stage(fail=("im00001", "im00006"))


class Killed(BaseException):
    """The end."""


@dataclass(frozen=True)
class Mutation:
    """before: makes the store that is changed. change: the command, which is also what the user runs again.
    images: the list that the store is of afterwards."""

    before: Callable[[str], None]
    change: Callable[[str], None]
    images: ImageList


def _full(url: str) -> None:
    _computed(url, OLD)


def _computed(url: str, images: ImageList, **options: Any) -> None:
    run_stage(create_or_open(url, images, shard=SHARD, **options), images, first_stage(), SerialExecutor())


def _parted(url: str) -> None:
    """Two parts one after the other, of which the first makes the store."""
    for bounds in ((0, 2 * SHARD), (2 * SHARD, len(OLD))):
        store = create_or_open(url, OLD, shard=SHARD, patient=True)
        run_stage(store, OLD, first_stage(), SerialExecutor(), image_range=bounds, shared=True)


def _failed(url: str) -> None:
    run_stage(create_or_open(url, OLD, shard=SHARD), OLD, FAILING, SerialExecutor())


def _retry(url: str) -> None:
    run_stage(open_store(url), OLD, FAILING, SerialExecutor(), retry_failed=True)


def _again(url: str) -> None:
    run_stage(open_store(url), OLD, first_stage(), SerialExecutor(), overwrite=True)


def _damaged(url: str) -> None:
    _full(url)
    shard = Path(url) / "toy/count/c/1"
    shard.write_bytes(shard.read_bytes()[:-5])


def _repair(url: str) -> None:
    store = open_store(url)
    damage = verify_store(store).damage
    repaired = damaged_rows(damage, "toy") if damage else None
    run_stage(store, OLD, first_stage(), SerialExecutor(), repair=repaired)


MUTATIONS = {
    "create": Mutation(lambda url: None, _full, OLD),
    "parts": Mutation(lambda url: None, _parted, OLD),
    "extend": Mutation(_full, lambda url: _computed(url, LONGER), LONGER),
    "overwrite": Mutation(_full, lambda url: _computed(url, OTHER, overwrite=True), OTHER),
    "relabel": Mutation(_full, lambda url: _computed(url, UNLABELLED), UNLABELLED),
    "recompute": Mutation(_full, _again, OLD),
    "retry": Mutation(_failed, _retry, OLD),
    "repair": Mutation(_damaged, _repair, OLD),
}


def kill_everywhere(name: str, folder: Path) -> Counter[str]:
    """Outcomes of all kills of a mutation: "refused" or "usable" in between, "wrong" whatever it was."""
    folder.mkdir(parents=True)
    mutation = MUTATIONS[name]
    start, expected = folder / "start.zarr", folder / "expected.zarr"
    mutation.before(str(start))
    if start.exists():
        shutil.copytree(start, expected)
    with _killed_after(None) as steps:
        mutation.change(str(expected))
    return Counter(_kill(mutation, start, expected, folder / f"{step}.zarr", step) for step in range(steps()))


def _kill(mutation: Mutation, start: Path, expected: Path, place: Path, step: int) -> str:
    if start.exists():
        shutil.copytree(start, place)
    with _killed_after(step):
        try:
            mutation.change(str(place))
        except Killed:
            pass
        else:
            raise AssertionError(f"{place}: was to be killed")
    for lock in place.rglob("lock*.json"):  # its holder is dead: here it is this process, which lives
        lock.unlink()
    between = _state(place, start, expected)
    mutation.change(str(place))
    store = open_store(str(place))
    whole = chunk_bytes(place) == chunk_bytes(expected) and not verify_store(store).damage
    same = store.images().ids == tuple(record.id for record in mutation.images.records)
    return between if whole and same else "wrong"


def _state(place: Path, start: Path, expected: Path) -> str:
    """What a reader finds: a refusal, rows of the list before or after the change, or anything else."""
    known = [rows for store in (start, expected) for rows in [_rows(store)] if rows is not None]
    found = _rows(place)
    if found is None:
        return "refused"
    return "usable" if all(any(item in rows.items() for rows in known) for item in found.items()) else "wrong"


def _rows(place: Path) -> dict[str, bytes] | None:
    """What can be read of each image, by id; None where there is no store to read."""
    try:
        store = open_store(str(place))
        ids = store.images().ids
        if not store.has_whole_labels():
            return None
    except InputError:
        return None
    found = {}
    for row, image_id in enumerate(ids):
        try:
            names = [name for name in ("toy/box", "toy/count") if store.has(name)]
            found[image_id] = b"".join(store.read(name, row).tobytes() for name in names)
        except InputError:
            continue  # not computed, or damaged: refused
    return {image_id: content for image_id, content in found.items() if content}


@contextmanager
def _killed_after(steps: int | None) -> Iterator[Callable[[], int]]:
    """Within the block, the write or deletion after the first `steps` is the end; yields how many there were."""
    originals = {name: getattr(LocalObjects, name) for name in ("write", "delete")}
    done = 0

    def mortal(name: str) -> Callable[..., None]:
        def act(self: LocalObjects, *arguments: Any) -> None:
            nonlocal done
            if steps is not None and done >= steps:
                raise Killed
            done += 1
            originals[name](self, *arguments)

        return act

    for name in originals:
        setattr(LocalObjects, name, mortal(name))
    try:
        yield lambda: done
    finally:
        for name, original in originals.items():
            setattr(LocalObjects, name, original)
