"""The line of a loop over images."""

import io
import re
from collections.abc import Iterator
from itertools import count

import pytest
from rich.console import Console

from pdsl import progress as module
from pdsl.progress import ImageProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that goes on by ten seconds whenever it is read."""
    ticks = count(0, 10)
    monkeypatch.setattr(module, "monotonic", lambda: float(next(ticks)))
    yield


@pytest.mark.usefixtures("clock")
def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with ImageProgress("detect", 9) as progress:
        for number in range(9):
            progress.advance("x.jpg: broken [/] file" if number == 1 else None)
    lines = capsys.readouterr().err.splitlines()
    assert "x.jpg: broken [/] file" in lines
    counted = [line for line in lines if line.startswith("detect: ")]
    told = [("3 of 9", ", 60 s left"), ("6 of 9", ", 30 s left"), ("9 of 9", "")]
    assert counted == [f"detect: {done} images, 1 failed{left}" for done, left in told]
    assert (progress.done, progress.failed) == (9, 1)


def test_a_terminal_of_80_columns_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, markup=False, highlight=False)
    monkeypatch.setattr(module, "note_console", lambda: terminal)
    with ImageProgress("predict", 1000) as progress:
        for number in range(1000):
            progress.advance("y.jpg: broken" if number == 7 else None)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]", shown) if line.strip()][-1]
    assert last.startswith("predict") and "1000/1000 1 failed" in last and len(last.rstrip()) < 80
    assert "y.jpg: broken" in shown
