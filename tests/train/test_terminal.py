"""What a training shows: a table and a progress line of at most 80 columns, and how long it will take."""

import time

import pytest

from pdsl.train import terminal as module
from pdsl.train.terminal import HEAD_EVERY, Pace, Terminal

TERMS = {
    "mil": 0.25,
    "refine1.class": 0.000366,
    "refine1.box": 0.01,
    "refine2.class": 12.5,
    "mask0": 0.625,
    "mask1": 0.125,
    "correlation1": 0.00746,
}


class Clock:
    """time.monotonic that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_a_row_has_the_total_of_each_kind_of_term_under_its_name(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(0, 60_000, 2, 0)
    clock.now = 30.0
    terminal.advance(20)
    terminal.losses(20, TERMS, 1.3333)
    head, row = capsys.readouterr().err.splitlines()
    assert head.split() == ["update", "loss", "mil", "refine", "mask", "correlation", "images/s", "left"]
    assert row.split() == ["20", "13.5", "0.25", "12.5", "0.75", "0.00746", "1.33", "25.0", "h"]
    assert len(row) == len(head) <= 80
    assert all(row[head.index(name) + len(name) - 1] != " " for name in head.split())  # right under each other


def test_kinds_that_the_model_lacks_have_no_column(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(0, 10, 2, 0).losses(10, {"mil": 1.0, "mask0": 0.5}, 1.0)
    assert capsys.readouterr().err.split()[:6] == ["update", "loss", "mil", "mask", "images/s", "left"]


def test_rows_keep_their_distance_and_the_head_comes_again(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(0, 1000, 2, 0)
    for step in range(1, 1001):
        clock.now += 1.0
        terminal.losses(step, TERMS, 2.0)
    lines = capsys.readouterr().err.splitlines()
    shown = [line.split()[0] for line in lines]
    assert [int(step) for step in shown if step != "update"] == [*range(1, 1000, 10), 1000]
    assert [place for place, first in enumerate(shown) if first == "update"][:3] == [
        0,
        HEAD_EVERY + 1,
        2 * HEAD_EVERY + 2,
    ]


def test_figures_fit_a_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    kind = {"AP": 12.34, "AP50": 100.0, "AP75": None}
    terminal = Terminal(0, 60_000, 2, 0)
    terminal.figures(30_000, {"mask": kind, "box": kind, "images": 1449, "failed": 0})
    line = capsys.readouterr().err
    assert line == "    30000  mask AP 12.3 AP50 100.0 AP75 -, box AP 12.3 AP50 100.0 AP75 -\n"
    terminal.figures(30_000, {"mask": kind, "box": kind, "images": 1449, "failed": 3})
    assert "3 of 1449 images could not be looked at" in capsys.readouterr().err


def test_time_left_is_by_the_latest_updates_and_counts_evaluations(clock: Clock) -> None:
    pace = Pace(100, 1000, 400)
    assert pace.seconds_left() is None
    for step in range(101, 401):
        clock.now += 9.0 if step < 150 else 2.0  # the first ones are slow
        pace.reached(step)
    assert pace.seconds_an_update() == 2.0 and pace.seconds_left() == 1200
    with pace.evaluation():
        clock.now += 50.0
    with pace.aside():
        clock.now += 7.0
    assert pace.seconds_left() == 1200 + 2 * 50  # after 800 and after 1000
    clock.now += 2.0
    pace.reached(401)
    assert pace.seconds_an_update() == 2.0
    for step in range(402, 1001):
        clock.now += 2.0
        pace.reached(step)
    assert pace.seconds_left() == 0


def test_a_long_evaluation_is_told_of(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(0, 10, 2, 5)
    terminal.say("begun")
    for image in range(1, 101):
        clock.now += 1.0
        terminal.evaluating(image, 100)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evaluation")]
    assert told == [f"evaluation: image {n} of 100" for n in (31, 62, 93)]
    assert module.SILENCE_SECONDS == 30.0


def test_the_progress_line_says_what_is_at_work(clock: Clock) -> None:
    """What has ended is not shown for the minutes of what comes after it."""
    terminal = Terminal(0, 10, 2, 5)
    said = lambda: terminal.progress.tasks[0].fields["note"]  # noqa: E731
    terminal.at_work("drawing")
    terminal.updating()
    assert said() == "first update at work"
    clock.now += 4.0
    terminal.advance(1)
    assert said() == "0.5 images/s, 36 s left"
    terminal.evaluating(3, 9)
    assert said() == "evaluation: image 3 of 9"
    terminal.updating()
    assert said() == "0.5 images/s, 36 s left"
