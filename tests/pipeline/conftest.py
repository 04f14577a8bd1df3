"""Fixtures of the engine's tests."""

from collections.abc import Iterator

import pytest

from pipeline.executors.choose import DeferredExecutor
from tests.pipeline.slurm import slurm
from tests.pipeline.ssh import cluster_file

__all__ = ["cluster_file", "slurm"]


@pytest.fixture(scope="session")
def two_workers() -> Iterator[DeferredExecutor]:
    """A local cluster of two processes, started once."""
    executor = DeferredExecutor(workers=2, scheduler=None, cluster=None)
    yield executor
    executor.close()
