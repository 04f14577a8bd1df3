"""No more workers than the machine carries."""

import pytest

from pipeline.executors import choose
from pipeline.executors.capacity import WORKER_BYTES, carried
from pipeline.executors.choose import DeferredExecutor

GB = 10**9


@pytest.mark.parametrize(
    ("wanted", "cores", "memory", "started", "why"),
    [
        (2, 2, 24 * GB, 2, ""),
        (64, 2, 24 * GB, 2, "there are 2 cores"),
        (64, 64, 16 * WORKER_BYTES, 16, "12.8 GB of memory carry 16 of 0.8 GB each"),
        (8, 64, 100 * GB, 8, ""),
        (4, 8, GB // 10, 1, "0.1 GB of memory carry 1 of 0.8 GB each"),
    ],
)
def test_cores_and_memory_are_the_limit(wanted: int, cores: int, memory: int, started: int, why: str) -> None:
    assert carried(wanted, cores, memory) == (started, why)


def test_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "carried", lambda wanted: carried(wanted, cores=2, memory=24 * GB))
    said: list[str] = []
    executor = DeferredExecutor(workers=64, scheduler=None, cluster=None, announce=said.append)
    assert executor.expected_workers == 2 and said == ["--workers 64: starting 2, there are 2 cores"]
    assert not DeferredExecutor(workers=0, scheduler=None, cluster=None, announce=said.append).needs_shared_storage
