"""Fixtures of the engine's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.executors.choose import DeferredExecutor


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a test's store goes."""
    return str(tmp_path / "test.zarr")


@pytest.fixture(scope="session")
def two_workers() -> Iterator[DeferredExecutor]:
    """A local cluster of two processes, started once."""
    executor = DeferredExecutor(workers=2, scheduler=None, cluster=None)
    yield executor
    executor.close()
