"""Clusters started for a run from a small YAML file: SLURM and its relatives through dask-jobqueue, SSH through Dask.

kind: slurm            # slurm, sge, pbs, lsf, htcondor, oar, moab, or ssh
workers: 64            # processes asked for; `--workers` overrides it
minimum: 8             # optional: they come and go with the work, between this number and `workers` (`--workers 8:64`)
at_least: 1            # start when this many are there
wait_seconds: 600      # how long to wait for them
options:               # keywords of dask_jobqueue.SLURMCluster or distributed.SSHCluster, as they are
  queue: cpu
  cores: 1
  memory: 4GB
  walltime: "12:00:00"
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from data import parameters
from data.errors import InputError
from pipeline.executors.at_exit import close_quietly
from pipeline.executors.dask import DaskExecutor
from pipeline.task import THREAD_LIMITS

Kind = Literal["slurm", "sge", "pbs", "lsf", "htcondor", "oar", "moab", "ssh"]
_JOBQUEUE = {
    "slurm": "SLURMCluster",
    "sge": "SGECluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}


LOSSES_OF_A_SHARD = 10
"""Workers that may go while they are at a shard before its images are looked at, where workers come and go; else 3."""


@dataclass(frozen=True)
class ClusterFile:
    """What a cluster file says; see the module."""

    kind: Kind = "slurm"
    workers: int = 1
    minimum: int | None = None
    at_least: int = 1
    wait_seconds: float = 600.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.workers < 1 or not 1 <= self.at_least <= self.workers:
            raise ValueError(f"workers {self.workers}, at_least {self.at_least}: expected 1 <= at_least <= workers")
        if self.minimum is not None and not self.at_least <= self.minimum <= self.workers:
            raise ValueError(
                f"minimum {self.minimum}: expected a number from at_least ({self.at_least}) to workers ({self.workers})"
            )
        if self.minimum is not None and self.kind == "ssh":
            raise ValueError("minimum: workers on the hosts of kind ssh do not come and go; leave it out")


def load_cluster_file(path: str, workers: int | None = None, minimum: int | None = None) -> ClusterFile:
    """Read and check a cluster file; `workers` overrides its number, with `minimum` its least. Raises InputError."""
    values = parameters.read_mapping(path, f"--cluster {path}", "with kind, workers and options")
    if workers is not None:
        at_least = parameters.convert(values.get("at_least", 1), int, f"--cluster {path}: at_least")
        least = workers if minimum is None else minimum
        values = {**values, "workers": workers, "minimum": minimum, "at_least": min(least, at_least)}
    try:
        return parameters.replace(ClusterFile(), values)
    except InputError as error:
        raise InputError(f"--cluster {path}: {error}") from error


def cluster_executor(
    path: str, workers: int | None, minimum: int | None, announce: Callable[[str], None]
) -> DaskExecutor:
    """Start the cluster of a file, wait for its workers; closing the executor ends it. Raises InputError."""
    import dask
    from distributed import Client

    wanted = load_cluster_file(path, workers, minimum)
    if wanted.minimum is not None:
        dask.config.set({"distributed.scheduler.allowed-failures": LOSSES_OF_A_SHARD})
    cluster = start_cluster(wanted, path)
    client = Client(cluster)

    def shut_down() -> None:
        with contextlib.suppress(Exception):
            cluster.close(timeout=30)

    course = "" if wanted.minimum is None else f", which come and go down to {wanted.minimum}"
    announce(f"{wanted.kind}: waiting for {wanted.at_least} of {wanted.workers} workers{course}")
    try:
        client.wait_for_workers(wanted.at_least, timeout=wanted.wait_seconds)
    except TimeoutError as error:
        there = len(client.nthreads())
        client.close(timeout=5)
        shut_down()
        raise InputError(
            f"--cluster {path}: {there} of {wanted.at_least} workers came within {wanted.wait_seconds:.0f} s; look at "
            "the queue and the jobs' logs, or raise wait_seconds"
        ) from error
    except BaseException:
        shut_down()
        raise
    return DaskExecutor(client, owned=shut_down, patience=wanted.wait_seconds, announce=announce)


def start_cluster(wanted: ClusterFile, path: str) -> Any:
    """A Dask cluster object with all workers asked for, one process of one thread each."""
    close_quietly()
    try:
        if wanted.kind == "ssh":
            return _ssh_cluster(wanted)
        return _jobqueue_cluster(wanted)
    except ImportError as error:
        package = "asyncssh" if wanted.kind == "ssh" else "dask-jobqueue"
        raise InputError(
            f"--cluster {path}: kind {wanted.kind} needs the package {package}: pip install {package} ({error})"
        ) from error
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise InputError(f"--cluster {path}: {wanted.kind} cluster did not start: {error}") from error


def _jobqueue_cluster(wanted: ClusterFile) -> Any:
    """Each job holds `cores` processes of one thread."""
    import dask_jobqueue

    options = {"cores": 1, "memory": "4GB", **wanted.options}
    options.setdefault("processes", options["cores"])
    prologue = [f"export {name}={value}" for name, value in THREAD_LIMITS.items()]
    options["job_script_prologue"] = [*prologue, *options.get("job_script_prologue", [])]
    cluster = getattr(dask_jobqueue, _JOBQUEUE[wanted.kind])(**options)
    if wanted.minimum is None:
        cluster.scale(n=wanted.workers)
    else:
        cluster.adapt(minimum=wanted.minimum, maximum=wanted.workers)
    return cluster


def _ssh_cluster(wanted: ClusterFile) -> Any:
    """`hosts`: the first runs the scheduler, each of the others `workers` / hosts processes."""
    from distributed import SSHCluster

    os.environ.update(THREAD_LIMITS)
    options = dict(wanted.options)
    hosts = options.pop("hosts", None)
    if not isinstance(hosts, list) or len(hosts) < 2:
        raise ValueError("options.hosts: expected a list, the scheduler's host first, then one or more for workers")
    each = -(-wanted.workers // (len(hosts) - 1))
    worker_options = {"nthreads": 1, "n_workers": each, **options.pop("worker_options", {})}
    return SSHCluster(hosts, worker_options=worker_options, **options)
