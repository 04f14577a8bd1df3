"""Running stages: what is computed, what is kept, what is refused."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine.toy import (
    NoParams,
    chunk_bytes,
    first_stage,
    image_list,
    noise,
    nothing_stage,
    second_stage,
)
from data.errors import InputError
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import AtWork, Listener
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, Stage, StageInput
from pipeline.task import Job, ShardTask, StageContractError, run_shard
from store.create import create_or_open
from store.errors import IncompleteStoreError
from store.store import open_store
from store.tally import Tally


class ShuffledExecutor(SerialExecutor):
    """Any order."""

    def run(self, job: Job, tasks: Iterable[ShardTask], at_work: AtWork) -> Generator[Tally, None, None]:
        mixed = list(tasks)
        random.Random(3).shuffle(mixed)
        for task in mixed:
            yield run_shard(job, task)


class Notes(Listener):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_serial_parallel_shuffled_and_interrupted_runs_write_the_same_bytes(
    tmp_path: Path, two_workers: DeferredExecutor
) -> None:
    images = image_list(150)
    written = []
    for name, executor in {"serial": SerialExecutor(), "shuffled": ShuffledExecutor(), "dask": two_workers}.items():
        root = tmp_path / f"{name}.zarr"
        store = create_or_open(str(root), images, shard=8)
        if name == "shuffled":
            run_stage(store, images, first_stage(fail=("im00009",)), executor, image_range=(40, 77))
        run_stage(store, images, first_stage(fail=("im00009",)), executor)
        run_stage(store, images, second_stage(), executor)
        written.append(chunk_bytes(root))
    assert len(written[0]) == 3 + 2 * 19 + 3 * 19
    assert written[0] == written[1] == written[2]


def test_only_what_is_missing_is_computed(tmp_path: Path, url: str) -> None:
    images, log = image_list(100), tmp_path / "log"
    store = create_or_open(url, images)
    notes = Notes()
    part = run_stage(store, images, first_stage(log=str(log)), SerialExecutor(), image_range=(40, 50), listener=notes)
    assert notes.notes == ["images 40:50 widened to whole shards: 32:64"]
    assert (part.images, part.computed.images, part.tally.done) == (32, 32, 32)
    rest = run_stage(store, images, first_stage(log=str(log)), SerialExecutor())
    assert (rest.images, rest.computed.images, rest.tally.done) == (100, 68, 100)
    assert run_stage(store, images, first_stage(log=str(log)), SerialExecutor()).computed.images == 0
    assert Counter(log.read_text().split()) == Counter(record.id for record in images.records)


def test_failures_are_recorded_and_retried_alone(tmp_path: Path, url: str) -> None:
    images, log = image_list(70), tmp_path / "log"
    store = create_or_open(url, images)
    broken = first_stage(fail=("im00003", "im00040"))
    summary = run_stage(store, images, broken, SerialExecutor())
    assert (summary.tally.done, summary.tally.failed, summary.exit_status) == (68, 2, 3)
    assert summary.tally.reasons == {"told to fail": 2}
    assert not store.read("toy/box", 3).any() and np.flatnonzero(store.status("toy") == 2).tolist() == [3, 40]
    assert run_stage(store, images, broken, SerialExecutor()).exit_status == 3
    retried = run_stage(store, images, first_stage(log=str(log)), SerialExecutor(), retry_failed=True)
    assert (retried.computed.images, retried.tally.done, retried.tally.failed, retried.exit_status) == (2, 70, 0, 0)
    assert log.read_text().split() == ["im00003", "im00040"]
    assert np.array_equal(
        store.read("toy/box", slice(None))[[2, 3, 4]], [noise(f"im0000{k}", (5, 4)) for k in (2, 3, 4)]
    )


def test_images_without_upstream_fail_without_changing_the_exit_status(url: str) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(fail=("im00035",)), SerialExecutor())
    summary = run_stage(store, images, second_stage(), SerialExecutor())
    assert (summary.tally.done, summary.tally.failed, summary.tally.upstream, summary.exit_status) == (39, 0, 1, 0)
    record = store.completion("toy_sum", 1)
    assert record is not None and record.images[3].status == 2 and record.images[3].reason == "upstream"
    again = run_stage(store, images, second_stage(), SerialExecutor(), retry_failed=True)
    assert (again.computed.images, again.tally.upstream) == (0, 1)
    run_stage(store, images, first_stage(), SerialExecutor(), retry_failed=True)
    healed = run_stage(store, images, second_stage(), SerialExecutor())
    assert (healed.computed.images, healed.tally.done, healed.tally.upstream) == (1, 40, 0)
    assert np.allclose(store.read("toy_sum/sum", 35), noise("im00035", (5, 4)).sum(axis=1))


def test_a_stage_without_its_upstream_is_refused(url: str) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    with pytest.raises(IncompleteStoreError, match="reads 'toy', which was not run"):
        run_stage(store, images, second_stage(), SerialExecutor())
    run_stage(store, images, first_stage(), SerialExecutor(), image_range=(0, 32))
    with pytest.raises(IncompleteStoreError, match="image 32 was not computed"):
        run_stage(store, images, second_stage(), SerialExecutor())
    assert (store.status("toy_sum") == 1).sum() == 32


def test_changed_parameters_are_refused_by_name(url: str) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor(), image_range=(0, 32))
    with pytest.raises(InputError, match=r"params\.rows: 5 stored, 6 now; --overwrite"):
        run_stage(store, images, first_stage(rows=6), SerialExecutor())
    with pytest.raises(InputError, match="version: 1 stored, 2 now"):
        run_stage(store, images, replace(first_stage(), version=2), SerialExecutor())
    with pytest.raises(InputError, match="source: None stored, 'abc' now"):
        run_stage(store, images, replace(first_stage(), source="abc"), SerialExecutor())
    with pytest.raises(InputError, match="only as a whole; leave --images out"):
        run_stage(store, images, first_stage(rows=6), SerialExecutor(), overwrite=True, image_range=(0, 32))
    run_stage(store, images, first_stage(rows=6), SerialExecutor(), overwrite=True)
    assert store.read("toy/box", 39).shape == (6, 4)


def test_changed_upstream_is_refused_by_name(url: str) -> None:
    images = image_list(10)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    run_stage(store, images, second_stage(), SerialExecutor())
    run_stage(store, images, replace(first_stage(), version=2), SerialExecutor(), overwrite=True)
    with pytest.raises(InputError, match=r"upstream\.toy: '.*' stored, '.*' now; --overwrite"):
        run_stage(store, images, second_stage(), SerialExecutor())
    assert run_stage(store, images, second_stage(), SerialExecutor(), overwrite=True).computed.images == 10


def test_changed_packages_are_refused_unless_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor(), image_range=(0, 32))
    monkeypatch.setattr("store.identity.version", lambda name: "99.0")
    with pytest.raises(InputError, match=r"packages\.numpy: '.*' stored, '99\.0' now.*store\.accept_packages"):
        run_stage(store, images, first_stage(), SerialExecutor())
    assert run_stage(store, images, first_stage(), SerialExecutor(), accept_packages=True).computed.images == 8


def test_overwriting_a_range_computes_just_that(tmp_path: Path, url: str) -> None:
    images, log = image_list(70), tmp_path / "log"
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    before = chunk_bytes(Path(url))
    summary = run_stage(
        store, images, first_stage(log=str(log)), SerialExecutor(), image_range=(32, 64), overwrite=True
    )
    assert summary.computed.images == 32 and log.read_text().split()[0] == "im00032"
    assert chunk_bytes(Path(url)) == before


def test_a_stage_that_breaks_its_word_stops_the_run(url: str) -> None:
    def compute(given: StageInput) -> dict[str, np.ndarray]:
        return {"toy/box": np.zeros((5, 4), np.float64), "toy/count": np.array(0, np.int32)}

    images = image_list(3)
    with pytest.raises(
        StageContractError, match=r"image im00000: toy/box is \(5, 4\) float64, declared \(5, 4\) float32"
    ):
        run_stage(create_or_open(url, images), images, replace(first_stage(), compute=compute), SerialExecutor())
    with pytest.raises(StageContractError, match="returned"):
        run_stage(open_store(url), images, replace(first_stage(), compute=lambda given: {}), SerialExecutor())
    foreign = Stage("toy", 1, NoParams(), (ArraySpec("other/box", (1,), "uint8"),), compute)
    with pytest.raises(InputError, match="is not one of group 'toy'"):
        run_stage(open_store(url), images, foreign, SerialExecutor())


@dataclass(frozen=True)
class Raises:
    """Any exception at all."""

    error: Exception

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        raise self.error


def test_any_exception_of_one_image_is_its_failure(url: str) -> None:
    images = image_list(3)
    summary = run_stage(
        create_or_open(url, images),
        images,
        replace(nothing_stage(), compute=Raises(ZeroDivisionError("by nought"))),
        SerialExecutor(),
    )
    assert summary.tally.reasons == {"ZeroDivisionError: by nought": 3}


@pytest.mark.parametrize("error", [ImportError("no module x"), InputError("the file of proposals is gone")])
def test_a_broken_installation_or_input_stops_the_run(url: str, error: Exception) -> None:
    images = image_list(3)
    stage = replace(nothing_stage(), compute=Raises(error))
    with pytest.raises(InputError, match=str(error)):
        run_stage(create_or_open(url, images), images, stage, SerialExecutor())
    assert not open_store(url).status("nothing").any()


def test_memory_of_a_worker(url: str) -> None:
    """The trainer's arrays at P = 2000, two shards: far below 1.5 GiB."""
    code = (
        "from benchmarks.engine_speed import *\n"
        "from pathlib import Path; from benchmarks.engine.toy import image_list\n"
        f"run(Path({url!r}), image_list(64), trainer_stage(), 0)\n"
        # ru_maxrss would count the process that forked this one
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert int(said) / 1024 < 1536


def test_leftovers_are_swept(url: str) -> None:
    images = image_list(70)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor(), image_range=(0, 32))
    expected_first = chunk_bytes(Path(url))
    root = Path(url)
    (root / "toy/box/c/1/0").mkdir(parents=True)
    (root / "toy/box/c/1/0/0").write_bytes(b"half a shard")
    (root / "toy/box/c/0/0/0.0123.partial").write_bytes(b"half")
    (root / "toy/records/32-64.json.99.partial").write_bytes(b"{")
    (root / "toy/records/64-70.json").write_bytes(b'{"format": 1, "fi')
    assert store.status("toy").tolist() == [1] * 32 + [0] * 38
    run_stage(store, images, first_stage(), SerialExecutor())
    assert not list(root.rglob("*.partial"))
    assert store.status("toy").all() and expected_first.items() <= chunk_bytes(root).items()


def test_a_lost_group_document_is_written_again(url: str) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    (Path(url) / "toy/zarr.json").unlink()
    with pytest.raises(InputError, match=r"zarr\.json is missing"):
        run_stage(open_store(url), images, first_stage(rows=6), SerialExecutor())
    assert run_stage(open_store(url), images, first_stage(), SerialExecutor()).computed.images == 0
    open_store(url).require("toy")


def test_an_image_that_kills_its_worker_is_recorded(url: str, two_workers: DeferredExecutor) -> None:
    images = image_list(12)
    store = create_or_open(url, images, shard=4)
    summary = run_stage(store, images, first_stage(kill=("im00005",)), two_workers)
    assert (summary.tally.done, summary.tally.failed) == (11, 1)
    (reason,) = summary.tally.reasons
    assert reason.startswith(
        "its worker ended each time, also at this image alone: it was killed from outside, SIGKILL"
    )
    assert np.array_equal(store.read("toy/box", 6), noise("im00006", (5, 4)))


def test_memory_stores_work_in_one_process_only(two_workers: DeferredExecutor) -> None:
    images = image_list(40)
    store = create_or_open("memory://test-runner.zarr", images)
    with pytest.raises(InputError, match="lives in one process"):
        run_stage(store, images, first_stage(), two_workers)
    assert run_stage(store, images, first_stage(fail=("im00001",)), SerialExecutor()).tally.done == 39
    assert run_stage(store, images, first_stage(), SerialExecutor(), retry_failed=True).computed.images == 1
    assert np.array_equal(store.read("toy/box", 39), noise("im00039", (5, 4)))
