"""`dask scheduler` and `dask worker` as a user would type them, on this machine or on hosts of their own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Host:
    """Where a worker runs. prefix: words before its command. gateway: the scheduler's address as seen from there."""

    name: str
    prefix: tuple[str, ...] = ()
    gateway: str = "127.0.0.1"


@contextmanager
def cluster(
    folder: Path, hosts: Sequence[Host] = (Host("one"), Host("two")), worker_options: str = ""
) -> Iterator[str]:
    """The address of a scheduler with a worker on each of `hosts`, each in a working folder of its own."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    dask = str(Path(sys.executable).with_name("dask"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    address = "0.0.0.0" if any(host.prefix for host in hosts) else "127.0.0.1"
    scheduler = f"{dask} scheduler --host {address} --port 0 --no-dashboard --scheduler-file {file}".split()
    processes = [subprocess.Popen(scheduler, cwd=folder, **quiet)]  # type: ignore[call-overload]
    try:
        port = _port(file)
        for host in hosts:
            place = folder / host.name
            place.mkdir(exist_ok=True)
            worker = f"{dask} worker tcp://{host.gateway}:{port} --nthreads 1 --no-dashboard {worker_options}".split()
            processes.append(subprocess.Popen([*host.prefix, *worker], cwd=place, **quiet))  # type: ignore[call-overload]
        yield f"tcp://127.0.0.1:{port}"
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def namespaces(names: Sequence[str]) -> Iterator[list[Host]]:
    """Hosts with a network stack and a host name of their own, each joined to this one by a cable. Needs root."""
    with ExitStack() as stack:
        hosts = []
        for number, name in enumerate(names):
            here, there = f"10.231.{number}.1", f"10.231.{number}.2"
            cable = f"{name[:11]}-out"
            _ip(f"netns add {name}")
            stack.callback(_ip, f"netns del {name}")
            _ip(f"link add {cable} type veth peer name eth0 netns {name}")
            _ip(f"addr add {here}/30 dev {cable}")
            _ip(f"link set {cable} up")
            for command in ("link set lo up", f"addr add {there}/30 dev eth0", "link set eth0 up"):
                _ip(f"-n {name} {command}")
            words = ("ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh")
            hosts.append(Host(name, words, here))
        yield hosts


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def _port(file: Path) -> int:
    for _ in range(300):
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            return int(json.loads(file.read_text())["address"].rpartition(":")[2])
        time.sleep(0.1)
    raise TimeoutError("dask scheduler did not start")
