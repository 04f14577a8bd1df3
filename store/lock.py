"""One run per store and stage at a time.

The lock names host, process id and the process's start time. On the same host a dead holder is known at once; a holder
on another host is taken for dead when its heartbeat, renewed every minute, is ten minutes old. Where an object store
has no create-only writes, two runs that begin in the same instant may both proceed; that is harmless, since they write
the same bytes and records come last.
"""

import json
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from data.errors import InputError
from store.documents import parse_object
from store.local import LocalObjects
from store.objects import Objects, StorageError

HEARTBEAT_SECONDS = 60.0
SILENCE_SECONDS = 600.0
_START_TOLERANCE = 2.0


class LockedError(InputError):
    """Another run holds the lock; the message names its host and process."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    host, pid, started: the process (started: seconds since the epoch). machine: boot and process namespace, where
    known. beat: time of the last heartbeat.
    """

    host: str
    pid: int
    started: float
    machine: str
    beat: float

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        return f"host {self.host}, process {self.pid} (started {when})"

    @classmethod
    def this_process(cls) -> "Holder":
        """The caller."""
        import psutil

        pid = os.getpid()
        return cls(socket.gethostname(), pid, psutil.Process(pid).create_time(), _machine(), time.time())

    def is_alive(self) -> bool:
        """Whether the holder can still be at work."""
        import psutil

        here = Holder.this_process()
        recent = abs(time.time() - self.beat) < SILENCE_SECONDS  # a beat of the future is no sign of life either
        if self.host != here.host:
            return recent
        boot, _, namespace = self.machine.partition("/")
        here_boot, _, here_namespace = here.machine.partition("/")
        if boot != here_boot:
            return False
        if namespace != here_namespace:
            return recent
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TOLERANCE
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return "/"


def lock_key(group: str) -> str:
    """Object key of a stage's lock."""
    return f"{group}/lock.json"


def live_lock(objects: Objects, group: str) -> Holder | None:
    """The living holder of a stage's lock, or None."""
    holder = _read(objects, lock_key(group))
    return holder if holder is not None and holder.is_alive() else None


def _read(objects: Objects, key: str) -> Holder | None:
    try:
        holder = Holder(**parse_object(objects.read(key)))
        numbers = (holder.pid, holder.started, holder.beat)
        sound = all(isinstance(n, int | float) and math.isfinite(n) and 0 <= n < 2**40 for n in numbers)
        return holder if sound and isinstance(holder.machine, str) else None
    except (FileNotFoundError, ValueError, TypeError):
        return None


@contextmanager
def stage_lock(objects: Objects, group: str) -> Iterator[None]:
    """Hold the lock of a stage. Raises LockedError, with the holder, if a living run has it."""
    key, me = lock_key(group), Holder.this_process()
    with _exclusive(objects, key):
        other = live_lock(objects, group)
        if other is not None:
            raise LockedError(
                f"{objects.url}: stage '{group}' is being computed by {other}; wait for it to end or stop it first "
                f"(if it is gone for good, remove {key})"
            )
        objects.write(key, json.dumps(asdict(me)).encode())
    if not objects.is_local and _read(objects, key) != me:
        raise LockedError(f"{objects.url}: stage '{group}' was just taken by {_read(objects, key)}")
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(objects, key, me, stop), daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        _release(objects, key, me)


def _release(objects: Objects, key: str, me: Holder) -> None:
    """A lock that can not be removed (disk gone read-only) must not hide why the run ended; it goes stale by itself."""
    try:
        held = _read(objects, key)
        if held is not None and replace(held, beat=me.beat) == me:
            objects.delete(key)
    except StorageError:
        return


def _beat(objects: Objects, key: str, me: Holder, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        try:
            objects.write(key, json.dumps(asdict(replace(me, beat=time.time()))).encode())
        except StorageError:
            continue


@contextmanager
def _exclusive(objects: Objects, key: str) -> Iterator[None]:
    """Between processes of one host, looking at the lock and taking it is one step."""
    if not isinstance(objects, LocalObjects):
        yield
        return
    import fcntl

    folder = (objects.root / key).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise objects.explained(error, key, "write") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
