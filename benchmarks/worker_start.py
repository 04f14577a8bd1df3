"""What the start of idle local workers costs: seconds on the clock, and of a core, which other load changes less.

    python -m benchmarks.worker_start [--workers 16 64] [--way spawned forked now] [--limit 600]

spawned: as Dask starts them by itself, each imports everything. forked: from one process that has imported everything,
with Dask's own intervals of looking at itself. now: as the engine starts them. Each runs in a process of its own, one
after the other; `idle` is what all of them take in the five seconds after the last one has come.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time

import dask
import psutil

from pipeline.executors import local

WAYS = ("spawned", "forked", "now")
IDLE_SECONDS = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--way", choices=WAYS, nargs="+", default=list(WAYS))
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a start is given up")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(row(given.way[0], given.workers[0]), flush=True)
        return 0
    heads = ("clock s", "core s", "a worker", "idle %", "MB", "files")
    print(f"{'way':<9}{'workers':>8}" + "".join(f"{name:>10}" for name in heads))
    for workers in given.workers:
        for way in given.way:
            command = [
                sys.executable,
                "-m",
                "benchmarks.worker_start",
                "--one",
                "--workers",
                str(workers),
                "--way",
                way,
            ]
            print(
                started(command, given.limit) or f"{way:<9}{workers:>8}  not there after {given.limit:.0f} s",
                flush=True,
            )
    return 0


def started(command: list[str], limit: float) -> str:
    """What a process of its own printed; "" if it took longer than `limit` seconds, and all it has started is ended."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        return process.communicate(timeout=limit)[0].rstrip()
    except subprocess.TimeoutExpired:
        return ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def row(way: str, workers: int) -> str:
    """Start `workers`, wait until all are there, look, end them."""
    if way != "now":
        for name in local.QUIET:  # as Dask has them
            local.SETTINGS[name] = dask.config.get(name)
    if way == "spawned":
        local.SETTINGS["distributed.worker.multiprocessing-method"] = "spawn"
    before, started = core_seconds(), time.perf_counter()
    executor = local.local_executor(workers)
    while executor.workers < workers:
        time.sleep(0.1)
    clock, busy = time.perf_counter() - started, core_seconds()
    files, memory = psutil.Process().num_fds(), sum(process.memory_full_info().pss for process in family())
    looked, since = core_seconds(), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    idle = (core_seconds() - looked) / (time.perf_counter() - since)
    executor.close()
    core = busy - before
    return (
        f"{way:<9}{workers:>8}{clock:>10.1f}{core:>10.2f}{core / workers:>10.3f}{100 * idle:>10.1f}"
        f"{memory / 1e6:>10.0f}{files:>10}"
    )


def family() -> list[psutil.Process]:
    """This process and all it has started."""
    here = psutil.Process()
    return [here, *here.children(recursive=True)]


def core_seconds() -> float:
    """Of the whole family, in user and system mode."""
    times = [process.cpu_times() for process in family()]
    return float(sum(spent.user + spent.system for spent in times))


if __name__ == "__main__":
    sys.exit(main())
