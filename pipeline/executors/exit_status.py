"""The exit status of a worker process where two threads ask for it at once.

A fork server tells it through a pipe, once. Of two threads that both see it there (one that waits for the end, one that
starts another process and looks for ended ones on the way), CPython lets the second find the pipe empty and set the
status to 255, over what the first one read: nobody knows any more how the worker ended.
"""

import os
import threading
from multiprocessing import connection, forkserver, popen_forkserver

_READING = threading.Lock()


def read_once() -> None:
    """From now on one thread of this process reads a status, and the others take what it read."""
    popen_forkserver.Popen.poll = _poll  # type: ignore[method-assign, assignment]


def _poll(self: popen_forkserver.Popen, flag: int = os.WNOHANG) -> int | None:
    """As CPython's: the status, None as long as the process runs; waits for its end without WNOHANG."""
    if self.returncode is None and connection.wait([self.sentinel], 0 if flag == os.WNOHANG else None):
        with _READING:
            if self.returncode is None:
                try:
                    self.returncode = forkserver.read_signed(self.sentinel)
                except (OSError, EOFError):  # the fork server itself was killed
                    self.returncode = 255
    return self.returncode
