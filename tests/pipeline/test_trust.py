"""A local cluster lets nobody else in."""

import asyncio
from pathlib import Path

import pytest
from distributed import Client

from benchmarks.engine.toy import first_stage, image_list
from data.errors import InputError
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.dask import DaskExecutor
from pipeline.executors.local import local_executor
from pipeline.runner import run_stage
from store.create import create_or_open


@pytest.fixture
def executor() -> DaskExecutor:
    """One worker."""
    return local_executor(1)


def test_another_process_can_not_use_the_scheduler_or_its_workers(executor: DaskExecutor, url: str) -> None:
    """Neither in clear nor with a key of its own, while the run itself goes on."""
    from distributed.security import Security

    try:
        addresses = [executor._client.scheduler.address, *executor._client.nthreads()]
        assert all(address.startswith("tls://127.0.0.1:") for address in addresses)
        for address in addresses:
            clear = address.replace("tls://", "tcp://")
            for target, security in ((clear, None), (address, Security.temporary())):
                with pytest.raises((OSError, TimeoutError, asyncio.TimeoutError)):
                    Client(target, security=security, timeout=2, set_as_default=False)
        store = create_or_open(url, image_list(5))
        assert run_stage(store, image_list(5), first_stage(), executor).tally.done == 5
    finally:
        executor.close()


def test_the_dashboard_is_for_this_machine(executor: DaskExecutor) -> None:
    try:
        assert "//127.0.0.1:" in executor.dashboard
    finally:
        executor.close()


def test_tls_without_certificates_is_said(tmp_path: Path) -> None:
    store = create_or_open(str(tmp_path / "a.zarr"), image_list(3))
    chosen = DeferredExecutor(workers=None, scheduler="tls://127.0.0.1:1", cluster=None)
    with pytest.raises(InputError, match=r"--scheduler tls://127.0.0.1:1: .*name certificates in Dask's configuration"):
        run_stage(store, image_list(3), first_stage(), chosen)
