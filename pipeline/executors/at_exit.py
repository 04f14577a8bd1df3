"""Clusters that a signal cut off while they were being built: Dask closes what there is of them at the exit."""

import atexit
import contextlib

from distributed.deploy import spec


def close_quietly() -> None:
    """From now on without a traceback, where a cluster that is half there can not be closed as a whole one is."""
    for closing in (spec.close_clusters, _close):
        atexit.unregister(closing)
    atexit.register(_close)


def _close() -> None:
    with contextlib.suppress(Exception):
        spec.close_clusters()
