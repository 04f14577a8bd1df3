"""`precompute`: run the offline stages over a data set into a store."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data import parameters
from data.catalog import load_images
from data.errors import InputError
from data.records import ImageList
from pipeline.cost import readable_bytes, recorded_cost, sampled_costs
from pipeline.executors import Executor
from pipeline.executors.choose import DeferredExecutor
from pipeline.listener import Listener
from pipeline.plan import make_plan, widen
from pipeline.progress import ProgressDisplay, duration
from pipeline.runner import RunSummary, refuse_changes, run_stage
from pipeline.spec import Stage
from stages.registry import STAGE_NAMES, build_stage, canonical_name, check_settings
from store.create import create_or_open
from store.storage import open_objects
from store.store import Store, open_store, read_root

INTERRUPTED = 130


@dataclass(frozen=True)
class StoreSettings:
    """`--set store.KEY`: shard = images a shard (None: 32, or what the store has); accept_packages: continue a stage
    although versions of packages changed."""

    shard: int | None = None
    accept_packages: bool = False


@dataclass(frozen=True)
class _Request:
    """What the user asked for."""

    stages: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    proposals_from: str | None
    store_settings: StoreSettings = field(default_factory=StoreSettings)

    @classmethod
    def parse(cls, stage: str, settings: Mapping[str, Any], proposals_from: str | None) -> "_Request":
        names = STAGE_NAMES if stage == "all" else (canonical_name(stage),)
        groups: dict[str, Mapping[str, Any]] = {}
        store_settings = StoreSettings()
        for key, values in settings.items():
            if not isinstance(values, Mapping):
                raise InputError(f"--set {key}: expected STAGE.PARAMETER=value, e.g. proposals.method=files")
            if key == "store":
                store_settings = parameters.replace(store_settings, values, "store")
            else:
                name = canonical_name(str(key))
                groups[name] = {**groups.get(name, {}), **values}
        for name, values in groups.items():  # now, and not when the stages before it have run for a night
            check_settings(name, values, proposals_from)
        return cls(names, groups, proposals_from, store_settings)

    def upstream(self) -> tuple[str, ...]:
        """Stages before the first one asked for, in order."""
        return STAGE_NAMES[: STAGE_NAMES.index(self.stages[0])]


def run(
    *,
    data: str | None,
    split: str | None,
    store: str,
    stage: str,
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: str | None = None,
    images: str | None = None,
    settings: Mapping[str, Any] | None = None,
    proposals_from: str | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
) -> int:
    """Run one stage, or "all", over a split into a store; missing upstream stages first.

    data, split: as `data.catalog.load_images` takes them; without data, those the store was made from. workers: local
    processes (0: this process; None: one a core), or how many to ask of `cluster`. images: "A:B". settings: nested
    `--set` values, {"proposals": {"method": "files"}, "store": {"shard": 32}}.
    Returns the exit status: 0, 3 if images failed, 130 if interrupted. Raises InputError.
    """
    request = _Request.parse(stage, settings or {}, proposals_from)
    existing = None
    if read_root(open_objects(store)) is not None:
        existing = open_store(store)
    image_list = load_image_list(data, split, existing)
    image_range = parse_range(images, len(image_list)) if images else None
    executor = DeferredExecutor(workers=workers, scheduler=scheduler, cluster=cluster)
    if dry_run:
        print_costs(existing, image_list, request, image_range, executor.expected_workers)
        return 0
    target = create_or_open(
        store,
        image_list,
        shard=request.store_settings.shard,
        overwrite=overwrite and stage == "all",
    )
    display = ProgressDisplay()
    executor.announce = display.note
    runs = _Runs(target, image_list, request, executor, display, image_range, overwrite, retry_failed)
    with closing(executor), _terminate_as_interrupt():
        try:
            summaries = runs.all()
        except KeyboardInterrupt:
            display.note(f"interrupted; finished shards are kept in {store}. Run the same command again to continue.")
            return INTERRUPTED
    return max((summary.exit_status for summary in summaries), default=0)


@dataclass
class _Runs:
    """The stages of one command, one after the other."""

    store: Store
    images: ImageList
    request: _Request
    executor: Executor
    listener: Listener
    image_range: tuple[int, int] | None
    overwrite: bool
    retry_failed: bool

    def all(self) -> list[RunSummary]:
        summaries = [s for name in self.request.upstream() for s in self.upstream(name)]
        for name in self.request.stages:
            stage, recipe = build(self.request, name, self.store)
            summaries.append(self.one(stage, recipe, overwrite=self.overwrite, retry_failed=self.retry_failed))
        return summaries

    def upstream(self, name: str) -> Iterator[RunSummary]:
        """Complete a stage that was not asked for: as the store has it, or as the settings say.

        Nothing is yielded for one that was complete: its failures are no failures of this command.
        """
        stage, recipe = build(self.request, name, self.store, stored=name not in self.request.settings)
        identity = self.store.identity(stage.group)
        if identity is not None:
            plan = make_plan(self.store, stage, identity.fingerprint, widen(self.image_range, self.store))
            if plan.whole.all():
                if name in self.request.settings:
                    refuse_changes(self.store, stage)
                return
        self.listener.note(f"stage '{self.request.stages[0]}' needs '{name}': running it first where it is missing")
        yield self.one(stage, recipe, overwrite=False, retry_failed=False)

    def one(self, stage: Stage, recipe: Mapping[str, Any], *, overwrite: bool, retry_failed: bool) -> RunSummary:
        summary = run_stage(
            self.store,
            self.images,
            stage,
            self.executor,
            image_range=self.image_range,
            overwrite=overwrite,
            retry_failed=retry_failed,
            accept_packages=self.request.store_settings.accept_packages,
            recipe=recipe,
            listener=self.listener,
        )
        print_summary(summary)
        return summary


def build(
    request: _Request, name: str, store: Store | None, *, stored: bool = False
) -> tuple[Stage, Mapping[str, Any]]:
    """A stage from the request's settings, or (stored) as it was built for the store; with its recipe."""
    identity = store.identity(name.replace("-", "_")) if store is not None and stored else None
    recipe: Mapping[str, Any]
    if identity is not None and identity.recipe:
        recipe = identity.recipe
    else:
        capacity = None
        if name != STAGE_NAMES[0] and store is not None and store.has("proposals/box"):
            capacity = store.layout("proposals/box").row_shape[0]
        source = _absolute(request.proposals_from) if name == STAGE_NAMES[0] else None
        recipe = {"settings": dict(request.settings.get(name, {})), "proposals_from": source, "capacity": capacity}
    return build_from_recipe(name, recipe), recipe


def _absolute(place: str | None) -> str | None:
    """Workers and repairs have other working folders."""
    return place if place is None or "://" in place else str(Path(place).expanduser().absolute())


def build_from_recipe(name: str, recipe: Mapping[str, Any]) -> Stage:
    """The stage a recipe (as stored beside its results) describes."""
    return build_stage(name, recipe["settings"], proposals_from=recipe["proposals_from"], capacity=recipe["capacity"])


def parse_range(text: str, n: int) -> tuple[int, int]:
    """ "A:B", ":B" or "A:" as [a, b) within n images. Raises InputError."""
    first, separator, last = text.partition(":")
    try:
        a, b = int(first or 0), min(int(last or n), n)
    except ValueError:
        a, b = -1, -1
    if not separator or not 0 <= a < b:
        raise InputError(f"--images {text}: expected A:B with 0 <= A < B, A below the number of images ({n})")
    return a, b


def print_summary(summary: RunSummary) -> None:
    """The last words on a stage."""
    tally, computed = summary.tally, summary.computed.images
    line = f"{summary.stage}: {tally.done} of {summary.images} images done"
    if tally.failed:
        line += f", {tally.failed} failed"
    if tally.upstream:
        line += f", {tally.upstream} without their upstream stage"
    if computed:
        rate = computed / max(summary.seconds, 1e-9)
        line += f"; {computed} computed in {duration(summary.seconds)} ({rate:.3g} images/s)"
    else:
        line += "; nothing to do"
    print(line)
    for reason, count in tally.reasons.most_common(10):
        print(f"  {count} failed: {reason}")
    if tally.failed:
        print("  --retry-failed tries those again")


def print_costs(
    store: Store | None,
    images: ImageList,
    request: _Request,
    image_range: tuple[int, int] | None,
    workers: int,
) -> None:
    """Images, bytes and hours of what would be run."""
    names = (*request.upstream(), *request.stages)
    a, b = image_range or (0, len(images))
    costs = {}
    for name in names:
        cost = recorded_cost(store, name.replace("-", "_")) if store is not None else None
        if cost is not None:
            costs[name] = cost
    if len(costs) < len(names):

        def built(name: str, sample: Store | None) -> Stage:
            return build(request, name, sample)[0]

        costs = {**sampled_costs(images, names, built), **costs}
    wide = f"with {workers} workers"
    print(f"{'stage':<12}{'images':>10}{'bytes':>10}{'core-hours':>12}{wide:>18}  measured on")
    for name in names:
        todo = _todo(store, name, a, b)
        cost = costs.get(name)
        if cost is None:
            print(f"{name:<12}{todo:>10}  (every sample image failed: no estimate)")
            continue
        hours, size = todo * cost.seconds / 3600, readable_bytes(todo * cost.bytes)
        wall = duration(hours * 3600 / workers)
        print(f"{name:<12}{todo:>10}{size:>10}{hours:>12.3g}{wall:>18}  {cost.images} images")


def _todo(store: Store | None, name: str, a: int, b: int) -> int:
    group = name.replace("-", "_")
    if store is None or store.identity(group) is None:
        return b - a
    return int((store.status(group)[a:b] == 0).sum()) + max(0, b - max(a, len(store)))


def load_image_list(data: str | None, split: str | None, store: Store | None) -> ImageList:
    """The images of a split; where the user does not name data or split, those the store was made from."""
    if store is not None:
        data, split = data or store.attributes["spec"], split or store.attributes["split"]
    if data is None or split is None:
        raise InputError("--data and --split: needed to create a store")
    return load_images(data, split)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """A batch system's SIGTERM ends a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
