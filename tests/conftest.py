"""Fixtures for all tests, and the last word of a run: what was not run, why, and how to change that."""

from collections import Counter
from pathlib import Path

import pytest

from tests import needs


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images beside the project."""
    needs.REAL_IMAGES.or_skip()
    return needs.SHARED


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a test's store goes."""
    return str(tmp_path / "test.zarr")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Skipped tests by reason, so that nobody takes a skip for a pass."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    if not reasons:
        return
    terminalreporter.section("NOT RUN ON THIS MACHINE", sep="-", yellow=True)
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'}: {reason}", yellow=True)
