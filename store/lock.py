"""One run per store and stage at a time, or several that each hold some of its shards; one that makes a store.

The lock names host, process id and the process's start time. On the same host a dead holder is known at once; a holder
on another host is taken for dead when its heartbeat, renewed every minute, is ten minutes old. Where an object store
has no create-only writes, two runs that begin in the same instant may both proceed; that is harmless, since they write
the same bytes and records come last.
"""

import json
import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from data.errors import InputError
from data.whole_file import made_folder
from store.documents import parse_object
from store.local import LocalObjects
from store.objects import Objects, StorageError

HEARTBEAT_SECONDS = 60.0
SILENCE_SECONDS = 600.0
WAIT_SECONDS, SETTLE_SECONDS = 1.0, 2.0
_START_TOLERANCE = 2.0
_LOCK = re.compile(r"lock(?:-(?P<first>\d+)-(?P<stop>\d+))?\.json")


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


Shards = tuple[int, int]
"""Shards [first, stop) of a stage."""
STORE = ""
"""In the place of a group: the store itself, while it is made or extended."""


def lock_key(group: str, shards: Shards | None = None) -> str:
    """Object key of a stage's lock, or of that of some of its shards."""
    name = "lock.json" if shards is None else f"lock-{shards[0]}-{shards[1]}.json"
    return f"{group}/{name}" if group else name


def live_locks(objects: Objects, group: str) -> dict[Shards | None, Holder]:
    """Who is at work on a stage: by the shards held, None where all are; those that began first come first."""
    found = {}
    for name in objects.files(group):
        if match := _LOCK.fullmatch(name):
            shards = (int(match["first"]), int(match["stop"])) if match["first"] else None
            holder = _read(objects, lock_key(group, shards))
            if holder is not None and holder.is_alive():
                found[shards] = holder
    return dict(sorted(found.items(), key=lambda item: item[1].started))


def live_lock(objects: Objects, group: str) -> Holder | None:
    """Who began first of those that are at work on a stage, or None."""
    return next(iter(live_locks(objects, group).values()), None)


def _read(objects: Objects, key: str) -> Holder | None:
    try:
        holder = Holder(**parse_object(objects.read(key)))
        numbers = (holder.pid, holder.started, holder.beat)
        sound = all(isinstance(n, int | float) and math.isfinite(n) and 0 <= n < 2**40 for n in numbers)
        return holder if sound and isinstance(holder.machine, str) else None
    except (FileNotFoundError, ValueError, TypeError):
        return None


@contextmanager
def stage_lock(objects: Objects, group: str, shards: Shards | None = None) -> Iterator[None]:
    """Hold a stage, or shards [first, stop) of it. Raises LockedError, with the holder, if a living run has any."""
    key, me = lock_key(group, shards), Holder.this_process()
    with _exclusive(objects, key):
        _refuse(objects, group, shards)
        objects.write(key, json.dumps(asdict(me)).encode())
    if not objects.is_local:
        if _read(objects, key) != me:
            raise LockedError(f"{objects.url}: {_name(group)} was just taken by {_read(objects, key)}")
        try:
            _refuse(objects, group, shards, but=shards)
        except LockedError:
            _release(objects, key, me)
            raise
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(objects, key, me, stop), daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        _release(objects, key, me)


@contextmanager
def creation_lock(objects: Objects, *, patient: bool) -> Iterator[None]:
    """Hold the store itself, to make or extend it. patient: wait for another that does, and on an object store a moment
    to see whether another took the lock in the same instant; else LockedError."""
    while True:
        with ExitStack() as held:
            try:
                held.enter_context(stage_lock(objects, STORE))
            except LockedError:
                if not patient:
                    raise
            else:
                if patient and not objects.is_local:
                    time.sleep(SETTLE_SECONDS)
                mine = _read(objects, lock_key(STORE))
                if mine is not None and replace(mine, beat=0.0) == replace(Holder.this_process(), beat=0.0):
                    yield
                    return
        time.sleep(WAIT_SECONDS)


def _refuse(objects: Objects, group: str, shards: Shards | None, *, but: Shards | str | None = "") -> None:
    """Raises LockedError if a living run, other than that which holds `but`, holds any of these shards."""
    for others, holder in live_locks(objects, group).items():
        apart = shards is not None and others is not None and (others[1] <= shards[0] or shards[1] <= others[0])
        if others != but and not apart:
            which = "" if others is None else f" (shards {others[0]} to {others[1] - 1})"
            work = "computed" if group else "made"
            raise LockedError(
                f"{objects.url}: {_name(group)} is being {work} by {holder}{which}; wait for it to end or stop it "
                f"first (if it is gone for good, remove {lock_key(group, others)})"
            )


def _name(group: str) -> str:
    return f"stage '{group}'" if group else "the store"


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
    """Between processes of one host, looking at the lock and taking it is one step. A folder made for a lock that could
    not be taken goes again."""
    if not isinstance(objects, LocalObjects):
        yield
        return
    folder = (objects.root / key).parent
    with ExitStack() as held:
        try:
            held.enter_context(made_folder(folder))
            held.callback(os.close, _flocked(folder))
        except OSError as error:
            raise objects.explained(error, key, "write") from error
        yield


def _flocked(folder: Path) -> int:
    """A handle of `folder`, made where it is missing, on which this process alone holds the system's lock."""
    import fcntl

    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):  # its last holder removed it
                if os.path.samestat(os.fstat(handle), folder.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
