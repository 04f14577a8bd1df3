"""Threads that work before and behind the device while it computes: decoding, and masks put into images.

Threads do: the heavy parts of either (Pillow, numpy, pycocotools) and what the main thread does meanwhile let go of the
interpreter, and nothing has to be copied from process to process.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

THREADS = 2
LAG = 4
"""Images that may wait on either side of the device."""

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class Helpers:
    """A context manager. Whatever raises, raises where its result is asked for; what was not begun then is dropped."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pdsl-evaluate")

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
