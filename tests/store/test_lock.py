"""One run per store and stage; a dead one does not block."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.engine.toy import first_stage, image_list, nothing_stage
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.lock import SILENCE_SECONDS, Holder, LockedError, live_lock, lock_key, stage_lock
from store.storage import open_objects

ROOT = Path(__file__).resolve().parents[2]
HOLD = "import sys, time; from store.lock import *; from store.storage import open_objects\n"
HOLD += "with stage_lock(open_objects(sys.argv[1]), 'toy'): print('held', flush=True); time.sleep(60)"


def test_the_second_run_is_refused_with_host_and_process_of_the_first(url: str) -> None:
    images = image_list(4)
    store = create_or_open(url, images)
    with subprocess.Popen([sys.executable, "-c", HOLD, url], cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=rf"stage 'toy' .*host {os.uname().nodename}, process {other.pid} "):
            run_stage(store, images, first_stage(), SerialExecutor())
        run_stage(store, images, nothing_stage(), SerialExecutor())
        other.kill()
        other.wait()
        assert run_stage(store, images, first_stage(), SerialExecutor()).computed.images == 4
    assert live_lock(store.objects, "toy") is None and not (Path(url) / "toy/lock.json").exists()


def test_a_lock_of_this_process_is_alive_and_goes_away(url: str) -> None:
    objects = open_objects(url)
    with stage_lock(objects, "toy"):
        holder = live_lock(objects, "toy")
        assert holder is not None and holder.pid == os.getpid()
        with pytest.raises(LockedError), stage_lock(objects, "toy"):
            pass
    assert live_lock(objects, "toy") is None


def test_who_is_taken_for_dead() -> None:
    me = Holder.this_process()
    assert me.is_alive()
    assert not replace(me, started=me.started - 100).is_alive()
    assert not replace(me, pid=2**22 + 1).is_alive()
    assert not replace(me, machine="another-boot/" + me.machine.partition("/")[2]).is_alive()
    elsewhere = replace(me, host="elsewhere", pid=1)
    assert elsewhere.is_alive()
    assert not replace(elsewhere, beat=time.time() - SILENCE_SECONDS - 1).is_alive()
    other_container = replace(me, machine=me.machine.partition("/")[0] + "/pid:[1]", pid=2**22 + 1)
    assert other_container.is_alive()


def test_the_heartbeat_goes_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.lock.HEARTBEAT_SECONDS", 0.02)
    objects = open_objects(url)
    with stage_lock(objects, "toy"):
        first = live_lock(objects, "toy")
        time.sleep(0.2)
        later = live_lock(objects, "toy")
        assert first is not None and later is not None and later.beat > first.beat
    assert not objects.read_many([lock_key("toy")])


def test_a_broken_lock_does_not_block(url: str) -> None:
    objects = open_objects(url)
    objects.write(lock_key("toy"), b'{"host": "x"')
    with stage_lock(objects, "toy"):
        assert live_lock(objects, "toy") is not None


def test_locks_on_object_stores() -> None:
    objects = open_objects("memory://locks.zarr")
    with stage_lock(objects, "toy"):
        assert json.loads(objects.read(lock_key("toy")))["pid"] == os.getpid()
        with pytest.raises(LockedError), stage_lock(objects, "toy"):
            pass
    objects.write(lock_key("toy"), json.dumps(asdict(replace(Holder.this_process(), pid=2**22 + 1))).encode())
    with stage_lock(objects, "toy"):
        pass
    assert not objects.read_many([lock_key("toy")])
