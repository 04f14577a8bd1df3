"""What a run shows: every image as it is computed, whoever computes it, within 80 columns."""

import io
import re

import pytest
from rich.console import Console

from benchmarks.engine.toy import first_stage, image_list
from pipeline import progress as module
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import AtWork, Listener
from pipeline.progress import ProgressDisplay
from pipeline.runner import run_stage
from store.create import create_or_open
from store.tally import Tally


class Heard(Listener):
    """Images at work, and images written, in the order heard."""

    def __init__(self) -> None:
        self.course: list[tuple[str, int, int]] = []

    def at_work(self, images: int, failed: int, workers: int) -> None:
        self.course.append(("at work", images, failed))

    def advance(self, computed: Tally, workers: int) -> None:
        self.course.append(("written", computed.images, computed.failed))


def test_each_image_is_told_before_its_shard(url: str) -> None:
    images, heard = image_list(5), Heard()
    stage = first_stage(fail=("im00001",))
    run_stage(create_or_open(url, images, shard=3), images, stage, SerialExecutor(), listener=heard)
    first = [("at work", 0, 0), ("at work", 1, 0), ("at work", 2, 1), ("at work", 3, 1), ("written", 3, 1)]
    assert heard.course == [*first, ("at work", 1, 0), ("at work", 2, 0), ("written", 2, 0)]


def test_workers_tell_of_images_too(url: str, two_workers: DeferredExecutor) -> None:
    images, heard = image_list(8), Heard()
    run_stage(create_or_open(url, images, shard=8), images, first_stage(seconds=0.4), two_workers, listener=heard)
    told = [count for what, count, _ in heard.course if what == "at work"]
    assert heard.course[-1] == ("written", 8, 0) and 0 < max(told[: told.index(max(told))], default=0) < 8


def test_shards_that_are_written_are_not_counted_twice() -> None:
    heard: list[tuple[int, int, int]] = []
    at_work = AtWork(lambda *counts: heard.append(counts))
    at_work.staffed(2)
    for first, images in ((0, 2), (8, 3), (0, 4)):
        at_work.saw(first, images, 1)
    at_work.written(0)
    at_work.saw(8, 5, 1)
    assert heard == [(0, 0, 2), (2, 1, 2), (5, 2, 2), (7, 2, 2), (5, 1, 2)]


def test_a_terminal_of_80_columns_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, markup=False, highlight=False)
    monkeypatch.setattr(module, "note_console", lambda: terminal)
    display = ProgressDisplay()
    display.begin("proposals", 5000, Tally(done=12))
    assert display.course() == "starting, 0 s"
    display.at_work(0, 0, 2)
    clock[0] = 7.0
    assert display.course() == "first images at work, 7 s, 2 workers"
    display.at_work(3, 1, 2)
    assert display.course() == "0.429 images/s, 3.2 h left, 2 workers, 1 failed"
    display.advance(Tally(done=1200, failed=30), 64)
    display.at_work(2, 0, 64)
    display.end()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]", shown) if line.strip()][-1].rstrip()
    assert "1244/5012" in last and "64 workers, 30 failed" in last and len(last) <= 80


def test_a_log_gets_a_line_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    display = ProgressDisplay()
    display.begin("grabcut", 40, Tally())
    for second in range(0, 100, 4):
        clock[0] = float(second)
        display.at_work(second // 10, 0, 1)
    assert capsys.readouterr().err.splitlines() == [
        "grabcut: 40 images to compute, 0 done, 0 failed",
        "grabcut: 3 done, 37 to do: 0.0938 images/s, 7 min left, 1 worker",
        "grabcut: 6 done, 34 to do: 0.0938 images/s, 6 min left, 1 worker",
        "grabcut: 9 done, 31 to do: 0.0938 images/s, 6 min left, 1 worker",
    ]
