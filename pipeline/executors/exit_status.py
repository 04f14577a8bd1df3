"""The exit status of a worker process where two threads ask for it at once.

It is told once: by the kernel of a process's own child, by a pipe of one that a fork server started. Two threads may
both see it there, one that waits for the end and one that starts another process and looks for ended ones meanwhile. In
CPython the second finds nothing and takes 255 for the status, in the pipe's case over what the first one read: nobody
knows any more how the worker ended.
"""

import contextlib
import os
import threading
from multiprocessing import connection, forkserver, popen_fork, popen_forkserver

_READING = threading.Lock()


def read_once() -> None:
    """From now on one thread of this process reads a status, and the others take what it read. To be called before
    processes start: a thread that waits for one already may still read beside."""
    popen_forkserver.Popen.poll = _poll_pipe  # type: ignore[method-assign, assignment]
    if hasattr(os, "waitid"):
        popen_fork.Popen.poll = _poll_child  # type: ignore[method-assign]


def _poll_pipe(self: popen_forkserver.Popen, flag: int = os.WNOHANG) -> int | None:
    """As CPython's: the status, None as long as the process runs; waits for its end without WNOHANG."""
    if self.returncode is None and connection.wait([self.sentinel], 0 if flag == os.WNOHANG else None):
        with _READING:
            if self.returncode is None:
                try:
                    self.returncode = forkserver.read_signed(self.sentinel)
                except (OSError, EOFError):  # the fork server itself was killed
                    self.returncode = 255
    return self.returncode


def _poll_child(self: popen_fork.Popen, flag: int = os.WNOHANG) -> int | None:
    """The same of a child of this process, forked or spawned: waits without taking the status away from others."""
    if self.returncode is None:
        with contextlib.suppress(OSError):  # not created yet, or another thread just took it
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | flag)
        with _READING:
            if self.returncode is None:
                with contextlib.suppress(OSError):
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                    if pid == self.pid:
                        self.returncode = os.waitstatus_to_exitcode(status)
    return self.returncode
