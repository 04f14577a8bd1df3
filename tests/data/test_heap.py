"""Freed memory stays with the process: asked for again, it costs no page faults."""

import platform
import subprocess
import sys

import pytest

from data import heap

COUNT = """
import resource, sys
import numpy as np
from data.heap import keep_memory
if "keep" in sys.argv:
    assert keep_memory()
if "worker" in sys.argv:
    from pipeline.task import prepare_process
    prepare_process()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for turn in range(12):
        if turn == 2:
            before = faults()
        held = [np.ones(3_000_000, np.uint8) for _ in range(20)]  # of more than 4 MB numpy asks for huge pages
        del held
    print(faults() - before)
work()
"""


def faults(*words: str) -> int:
    return int(subprocess.run([sys.executable, "-c", COUNT, *words], check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's heap can be told")
@pytest.mark.parametrize("who", ["keep", "worker"])
def test_what_is_freed_is_used_again(who: str) -> None:
    pages = 10 * 20 * 3_000_000 // 4096
    if faults() < pages / 2:
        pytest.skip("this machine has few faults anyway: huge pages, or another heap")
    assert faults(who) < pages / 100


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert not heap.keep_memory()
