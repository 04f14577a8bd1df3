"""What a worker does: compute the images of one shard, write its objects, write its completion record."""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from data.decode import DecodeError, decode_record
from data.errors import SHORTAGES, InputError, is_out_of_memory, system_advice, system_cause
from data.files import is_url, read_remote_together
from data.heap import keep_memory
from data.records import Decoding, ImageRecord, image_digest
from data.retry import retries
from pipeline.spec import ImageFailure, Stage, StageInput, stage_layouts
from pipeline.time_limit import TOO_LONG, ImageTimeoutError, time_limit
from store.completion import UPSTREAM, Completion, ImageOutcome, WrittenObject, record_key, recorded_shards
from store.layout import DONE, FAILED, STATUS, ArrayLayout
from store.shards import DamagedError, check_chunk, encode_chunk, encode_shard
from store.store import Store, open_store
from store.tally import Tally

THREAD_LIMITS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
"""Environment of a worker process: one thread each, set before any library is loaded."""
KEPT_MEMORY = 1 << 27
"""Freed bytes that a worker keeps between images at most; it needs some 450 MB at its peak."""
MEMORY_CURE = (
    "memory does not suffice for it here, which is no fault of the image's; run the same command again with fewer "
    "--workers, or leave larger images out (--data 'SPEC?max_pixels=N')"
)


Tell = Callable[[int, int], None]
"""Hears how many images of a shard are done with, and how many of these failed."""
Stuck = Callable[[int], None]
"""Hears of a row whose work goes on beyond its time limit, in a worker process that is about to end for it."""


class StageContractError(Exception):
    """A stage returned something else than it declared: a bug of the stage, so the run stops."""


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share.

    run: unique name of the run. fingerprint: of the stage's identity. decoding: how images are decoded. image_timeout:
    seconds after which an image is given up; None: never.
    """

    run: str
    url: str
    stage: Stage
    fingerprint: str
    decoding: Decoding
    image_timeout: float | None = None


@dataclass(frozen=True)
class ShardTask:
    """Compute images [first, stop) of a stage.

    records: their records, in store order. rows: those to compute, the others are kept from the shard; None = all.
    condemned: row -> reason, for images that killed their worker; probed: whether they were looked for.
    """

    first: int
    stop: int
    records: Sequence[ImageRecord]
    rows: frozenset[int] | None = None
    condemned: Mapping[int, str] = field(default_factory=dict)
    probed: bool = False

    @property
    def images(self) -> str:
        """What a message calls them."""
        return f"images {self.first} to {self.stop - 1}"


def prepare_process() -> None:
    """One thread for the numerical libraries of this process, those already loaded included; its heap keeps what is
    freed, so that the next image finds it without page faults."""
    keep_memory(KEPT_MEMORY)
    os.environ.update(THREAD_LIMITS)
    cv2, torch = sys.modules.get("cv2"), sys.modules.get("torch")
    if cv2 is not None:
        cv2.setNumThreads(1)
    if torch is not None:
        torch.set_num_threads(1)


def run_shard(
    job: Job,
    task: ShardTask,
    store: Store | None = None,
    tell: Tell = lambda images, failed: None,
    stuck: Stuck | None = None,
) -> Tally:
    """Compute, write and record one shard; the tally is of the images computed. An image that fails is recorded; the
    store's own trouble is raised. tell: hears after each image how many are done with, and how many of them failed.
    stuck: where this process may end, see `pipeline.time_limit`."""
    before = retries()
    store = store or open_store(job.url)
    layouts = stage_layouts(job.stage, store.n_images, store.shard)
    index = task.first // store.shard
    old = store.completion(job.stage.group, index)
    if old is not None and old.run == job.run:  # Dask asks again when a worker dies before its answer arrived
        mine = (o for row, o in enumerate(old.images, task.first) if task.rows is None or row in task.rows)
        return Tally.of(mine, old.host)
    kept, old_keys = _kept(store, job, task, layouts, old)
    outcomes: list[ImageOutcome] = []
    columns: list[list[Any]] = [[] for _ in layouts]
    computed = []
    read = (*job.stage.reads, *(f"{group}/{STATUS}" for group in job.stage.upstream))
    with store.reader.holding(store.layout(name).key(index) for name in read):
        for row, record in zip(range(task.first, task.stop), task.records, strict=True):
            if row in kept:
                outcome, values = kept[row]
            else:
                outcome, rows = _compute(store, job, task, row, record, stuck)
                values = [_encoded(layout, rows, outcome) for layout in layouts]
                computed.append(outcome)
                tell(len(computed), sum(image.status != DONE for image in computed))
            outcomes.append(outcome)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
    for key in old_keys:
        store.objects.delete(key)
    written = _write(store, layouts, columns, index)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    host = f"{socket.gethostname()}:{os.getpid()}"
    digest = image_digest([record.id for record in task.records], np.array([record.size for record in task.records]))
    completion = Completion(
        job.fingerprint, task.first, task.stop, tuple(outcomes), written, job.run, host, now, digest
    )
    store.objects.write(record_key(job.stage.group, task.first, task.stop), completion.encode())
    return Tally.of(computed, host, retries() - before)


Kept = dict[int, tuple[ImageOutcome, list[Any]]]


def _kept(
    store: Store, job: Job, task: ShardTask, layouts: tuple[ArrayLayout, ...], completion: Completion | None
) -> tuple[Kept, list[str]]:
    """(rows of the existing shard that stay, keys of records to withdraw before the shard is rewritten)."""
    group, index = job.stage.group, task.first // store.shard
    own = record_key(group, task.first, task.stop)
    keys = {own} if completion is None else {own, record_key(group, completion.first, completion.stop)}
    if store.attributes.get("extended"):
        found = recorded_shards(store.objects, group, store.shard).get(index)
        keys |= {found.key} if found else set()
    kept: Kept = {}
    if task.rows is None or completion is None:
        return kept, sorted(keys)
    for place, outcome in enumerate(completion.images):
        row = task.first + place
        if row not in task.rows:
            try:
                kept[row] = outcome, [_stored(store, layout, index, row) for layout in layouts]
            except DamagedError:
                continue  # damage nobody asked about: compute that image again
    return kept, sorted(keys)


def _stored(store: Store, layout: ArrayLayout, index: int, row: int) -> Any:
    """A row as it goes into `_write`: the encoded chunk, or the value of a packed array."""
    if layout.packed:
        return store.reader.row(layout, row)
    chunk = store.reader.chunk(layout, index, row % layout.shard)
    check_chunk(chunk)
    return chunk


def _compute(
    store: Store, job: Job, task: ShardTask, row: int, record: ImageRecord, stuck: Stuck | None
) -> tuple[ImageOutcome, Mapping[str, np.ndarray]]:
    """The outcome of one image and its rows ({} if it failed)."""
    started = time.perf_counter()

    def failed(reason: str) -> tuple[ImageOutcome, Mapping[str, np.ndarray]]:
        return ImageOutcome(record.id, FAILED, reason, round(time.perf_counter() - started, 6)), {}

    if row in task.condemned:
        return failed(task.condemned[row])
    stage = job.stage
    if any(store.read(f"{group}/{STATUS}", row) != DONE for group in stage.upstream):
        return failed(UPSTREAM)
    arrays = {name: store.read(name, row) for name in stage.reads}
    try:
        # what a store takes to answer is not the image's time
        content = read_remote_together([record.path]) if stage.needs_image and is_url(record.path) else {}
        with time_limit(job.image_timeout, None if stuck is None else partial(stuck, row)):
            image = (
                decode_record(record, content=content.get(record.path), **job.decoding) if stage.needs_image else None
            )
            rows = stage.compute(StageInput(record, image, arrays))
    except ImageTimeoutError:
        return failed(TOO_LONG.format(seconds=job.image_timeout))
    except (DecodeError, ImageFailure) as error:
        return failed(str(error) or type(error).__name__)
    except ImportError as error:
        raise InputError(f"stage '{stage.name}' can not run here: {error}; is everything installed?") from error
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(f"{record.id}: {MEMORY_CURE} ({str(error) or type(error).__name__})") from error
        lack = system_cause(error)
        if lack is not None and lack.errno in SHORTAGES:
            raise InputError(f"{record.id}: {system_advice(lack)}; finished shards are kept") from error
        return failed(f"{type(error).__name__}: {error}")
    _check(stage, record, rows)
    return ImageOutcome(record.id, DONE, "", round(time.perf_counter() - started, 6)), rows


def _check(stage: Stage, record: ImageRecord, rows: Mapping[str, np.ndarray]) -> None:
    declared = {spec.name: spec for spec in stage.arrays}
    if set(rows) != set(declared):
        raise StageContractError(
            f"stage {stage.name}, image {record.id}: returned {sorted(rows)}, declared {sorted(declared)}"
        )
    for name, spec in declared.items():
        value = np.asarray(rows[name])
        if value.shape != spec.row_shape or value.dtype != np.dtype(spec.dtype):
            raise StageContractError(
                f"stage {stage.name}, image {record.id}: {name} is {value.shape} {value.dtype}, "
                f"declared {spec.row_shape} {spec.dtype}"
            )


def _encoded(layout: ArrayLayout, rows: Mapping[str, np.ndarray], outcome: ImageOutcome) -> Any:
    """A row as it goes into `_write`; zeros for a failed image."""
    if layout.name.endswith(f"/{STATUS}"):
        return outcome.status
    value = rows.get(layout.name)
    if value is None:
        value = np.zeros(layout.row_shape, layout.numpy_dtype)
    return value if layout.packed else encode_chunk(np.asarray(value))


def _write(
    store: Store, layouts: tuple[ArrayLayout, ...], columns: list[list[Any]], index: int
) -> dict[str, WrittenObject]:
    """Write the shard of every array, status last; its objects by key."""
    written = {}
    for layout, column in zip(layouts, columns, strict=True):
        if layout.packed:
            values = np.zeros(layout.chunk_shape, layout.numpy_dtype)
            values[: len(column)] = column
            data = encode_shard([encode_chunk(values)])
        else:
            data = encode_shard([*column, *[None] * (layout.shard - len(column))])
            column.clear()
        store.objects.write(layout.key(index), data)
        written[layout.key(index)] = WrittenObject.of(data)
    return written


def probe_image(job: Job, task: ShardTask, row: int, store: Store) -> None:
    """Compute one image and drop the result: to find the image that kills its worker."""
    _compute(store, job, task, row, task.records[row - task.first], stuck=lambda row: None)
