"""Threads that work before and behind the device while it computes: decoding, and masks put into images. A CPU is a
device of many cores: there threads look at images, too, a few side by side.

Threads do: the heavy parts (Pillow, numpy, pycocotools, torch) let go of the interpreter, and nothing has to be copied
from process to process.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, Self, TypeVar

import torch

THREADS = 2
LAG = 4
"""Images that may wait on either side of the device."""
SIDE_BY_SIDE = 4
"""Images that a CPU looks at together at most; each takes the memory of its pooled features."""

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class Helpers:
    """A context manager. Whatever raises, raises where its result is asked for; what was not begun then is dropped."""

    def __init__(self, threads: int = THREADS, start: Callable[[], None] | None = None) -> None:
        """start: what each thread does first."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pdsl-evaluate", initializer=start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Begin `work` as soon as a thread is free."""
        return self._pool.submit(work, *args, **kwargs)

    def ahead(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Each item with what `work` makes of it, in order; up to LAG items are worked on before they are asked for."""
        begun: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            begun.append((item, self.submit(work, item)))
            if len(begun) > LAG:
                done, future = begun.popleft()
                yield done, future.result()
        for done, future in begun:
            yield done, future.result()


@contextmanager
def side_by_side(images: int) -> Iterator[Helpers]:
    """Threads that look at one of so many images each and share torch's threads.

    A layer keeps two cores less busy than two images do: pooling, suppression and Python run in one thread.
    """
    threads = torch.get_num_threads()
    together = max(1, min(threads, SIDE_BY_SIDE, images))
    try:
        with Helpers(together, lambda: torch.set_num_threads(threads // together)) as lookers:
            yield lookers
    finally:
        torch.set_num_threads(threads)  # for threads to come, which begin with what was set last
