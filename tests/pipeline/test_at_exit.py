"""A cluster that can not be closed at the exit is tried, and nothing is said of it."""

import subprocess
import sys

import pytest

LEFT = """
import sys
from distributed.core import Status
from distributed.deploy.spec import SpecCluster
from pipeline.executors.at_exit import close_quietly
class HalfBuilt:
    shutdown_on_close, status = True, Status.starting
    def close(self, timeout):
        print("tried", flush=True)
        raise AssertionError(Status.init)
left = HalfBuilt()
SpecCluster._instances.add(left)
for _ in range(int(sys.argv[1])):
    close_quietly()
"""


@pytest.mark.parametrize("times", [0, 1, 2])
def test_half_a_cluster_is_closed_without_a_traceback(times: int) -> None:
    done = subprocess.run([sys.executable, "-c", LEFT, str(times)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "tried\n"
    assert ("Traceback" in done.stderr) == (times == 0)  # as Dask does it by itself
    assert not done.stderr or times == 0
