"""Stages one after the other: what they read and is missing runs first, and what was run differently is refused."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data.records import ImageList
from pipeline.executors import Executor
from pipeline.listener import Listener
from pipeline.plan import make_plan, part_of, widen
from pipeline.runner import RunSummary, refuse_changes, run_stage
from pipeline.spec import Stage
from store.identity import group_of
from store.store import Store

Build = Callable[[str, Store], Stage]
"""(name, store) -> stage. Called when the stage's turn comes: it may depend on what the stages before it wrote."""


@dataclass(frozen=True)
class Chain:
    """Stages over a store.

    asked: names of the stages to run, in order. before: names of those that come before the first of them, in order;
    they are run only where they are missing. changed: names for which the user gave settings: one that is complete in
    the store must agree with them. ranges: of a stage by name the images [a, b) that it is run on; of others all. only:
    shard -> images; the stages asked for compute these, done or not, and nothing else. part: (I, N), compute part I of
    N of the shards, while other runs compute the others. Else as `pipeline.runner.run_stage`.
    """

    asked: Sequence[str]
    before: Sequence[str]
    build: Build
    changed: Collection[str] = ()
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    only: Mapping[int, frozenset[int]] | None = None
    part: tuple[int, int] | None = None
    all_needed: bool = False
    overwrite: bool = False
    retry_failed: bool = False
    accept_packages: bool = False
    image_timeout: float | None = None
    listener: Listener = field(default_factory=Listener)

    def run(self, store: Store, images: ImageList, executor: Executor) -> Iterator[RunSummary]:
        """The summary of each stage that was run, as it ends. Raises InputError as `run_stage`.

        There is none of a stage that was not asked for and is complete: its failures are no failures of this run.
        """
        for name in self.before:
            if self._is_complete(store, name):
                if name in self.changed:
                    refuse_changes(store, self.build(name, store))
                continue
            self.listener.note(f"stage '{self.asked[0]}' needs '{name}': running it first where it is missing")
            yield from self._one(store, images, executor, name)
        for name in self.asked:
            yield from self._one(store, images, executor, name, asked=True)

    def _is_complete(self, store: Store, name: str) -> bool:
        identity = store.identity(group_of(name))
        return identity is not None and bool(make_plan(store, identity, self._shards(store, name)).whole.all())

    def _shards(self, store: Store, name: str) -> tuple[int, int]:
        """Those of the part that the stage is to be run on. It is a part of what the first stage is run on, so that
        what a stage reads is in the same part."""
        first, stop = part_of(widen(self.ranges.get([*self.before, *self.asked][0]), store), self.part)
        least, most = widen(self.ranges.get(name), store)
        return (max(first, least), min(stop, most)) if self.part else (least, most)

    def _one(
        self,
        store: Store,
        images: ImageList,
        executor: Executor,
        name: str,
        *,
        asked: bool = False,
    ) -> Iterator[RunSummary]:
        first, stop = self._shards(store, name)
        if first >= stop:  # there are more parts than shards
            return
        own = (store.bounds(first)[0], store.bounds(stop - 1)[1])
        yield run_stage(
            store,
            images,
            self.build(name, store),
            executor,
            image_range=own if self.part else self.ranges.get(name),
            all_needed=self.all_needed,
            shared=self.part is not None,
            overwrite=asked and self.overwrite,
            retry_failed=asked and self.retry_failed,
            repair=self.only if asked else None,
            accept_packages=self.accept_packages,
            image_timeout=self.image_timeout,
            listener=self.listener,
        )
