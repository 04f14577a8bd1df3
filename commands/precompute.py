"""`precompute`: run the offline stages over a data set into a store."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from commands.costs import SEEDS, compared, is_authors_setting, print_costs
from commands.image_choice import ImageChoice, parse_part, rows_by_shard
from commands.interrupt import INTERRUPTED, TERMINATED, exit_status
from commands.summary_file import SummaryFile
from data import parameters
from data.loudness import is_quiet
from data.records import ImageList
from pdsl.outputs import refuse_overwriting
from pipeline.chain import Chain
from pipeline.cost import estimates, sampled_costs
from pipeline.executors.choose import DeferredExecutor
from pipeline.progress import ProgressDisplay, summary_text
from pipeline.runner import RunSummary
from pipeline.spec import Stage
from stages.proposals.stage import refuse_foreign_files
from stages.registry import (
    STAGE_NAMES,
    build_stage,
    canonical_name,
    check_settings,
    settings_by_stage,
    stage_for,
    stored_stage,
)
from stages.settings import StoreSettings
from store.create import create_or_open, default_shard
from store.identity import group_of
from store.images import HOW_TOLD_APART
from store.store import Store, find_store

NEXT = "next: pdsl inspect --random 16 --out seeds.png, a look at what training will see; then pdsl train"


@dataclass(frozen=True)
class _Request:
    """What the user asked for. proposals: the stage that reads `proposals_from`, once it was opened."""

    stages: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    proposals_from: str | None
    store_settings: StoreSettings = field(default_factory=StoreSettings)
    proposals: Stage | None = None

    @classmethod
    def parse(cls, stage: str, settings: Mapping[str, Any], proposals_from: str | None) -> "_Request":
        names = STAGE_NAMES if stage == "all" else (canonical_name(stage),)
        groups = settings_by_stage(settings, "--set ", also=("store",))
        store_settings = parameters.replace(StoreSettings(), groups.pop("store", {}), "store")
        for name, values in groups.items():  # now, and not when the stages before it have run for a night
            check_settings(name, values, proposals_from)
        return cls(names, groups, proposals_from, store_settings)

    def upstream(self) -> tuple[str, ...]:
        """Stages before the first one asked for, in order."""
        return STAGE_NAMES[: STAGE_NAMES.index(self.stages[0])]

    def build(self, name: str, store: Store) -> Stage:
        """A stage as the settings say; one that was not asked for and has none, as the store has it."""
        group = group_of(name)
        if name not in self.stages and name not in self.settings and store.identity(group) is not None:
            return stored_stage(store, group)
        if name == STAGE_NAMES[0] and self.proposals is not None:
            return self.proposals
        return stage_for(store, name, self.settings.get(name))


def run(
    *,
    data: str | None,
    split: str | None,
    store: str,
    stage: str,
    workers: int | tuple[int, int] | None = None,
    scheduler: str | None = None,
    cluster: str | None = None,
    images: str | None = None,
    settings: Mapping[str, Any] | None = None,
    proposals_from: str | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    learnt_from: str | None = None,
    image_timeout: float | None = None,
    summaries: list[RunSummary] | None = None,
    part: str | None = None,
) -> int:
    """Run one stage, or "all", over a split into a store; missing upstream stages first.

    data, split: as `data.catalog.load_images` takes them; without data, those the store was made from. A split that is
    only a part of the store's images is computed alone. learnt_from: split that training will take from the store: of
    the others only proposals are computed. workers: local processes (0: this process; None: one a core), or how many to
    ask of `cluster`, (least, most) of those that come and go. images: "A:B", or a file that lists images to compute
    again, done or not, as `status --failed` writes one. part: "I/N", compute part I of N only, while other runs compute
    the others. settings: nested `--set` values, {"proposals": {"method": "files"}, "store": {"shard": 32}}.
    image_timeout: seconds after which an image counts as failed. summaries: gets that of each stage as it ends.
    Returns the exit status: 0, 3 if images failed, 130 or 143 if a signal ended it. Raises InputError.
    """
    request = _Request.parse(stage, settings or {}, proposals_from)
    own_part = parse_part(part, images=images, overwrite=overwrite, dry_run=dry_run) if part else None
    existing = find_store(store)
    choice = ImageChoice.of(data, split, images, existing, learnt_from=learnt_from, overwrite=overwrite)
    image_list = choice.images
    display = ProgressDisplay()
    if proposals_from is not None:
        request = replace(request, proposals=_open_proposals(request, image_list, display))
    executor = DeferredExecutor(workers=workers, scheduler=scheduler, cluster=cluster, announce=display.note)
    for line in (f"{store}: {choice}", *image_list.notes):
        display.note(line)
    if dry_run:
        _tell_costs(request, existing, choice, store, executor.expected_workers)
        return 0
    target = create_or_open(
        store,
        image_list,
        shard=request.store_settings.shard,
        overwrite=overwrite and stage == "all",
        patient=own_part is not None,
        tell=display.note,
    )
    chain = Chain(
        request.stages,
        request.upstream(),
        request.build,
        changed=request.settings,
        ranges=choice.ranges(target.listed().ids, target.shard),
        only=None if choice.listed is None else rows_by_shard(target, choice.listed, str(images)),
        part=own_part,
        all_needed=choice.image_range is None and choice.part is None,
        overwrite=overwrite,
        retry_failed=retry_failed,
        accept_packages=request.store_settings.accept_packages,
        image_timeout=image_timeout,
        listener=display,
    )
    return _work(chain, target, image_list, executor, display, [] if summaries is None else summaries)


def run_all(jobs: Sequence[Mapping[str, Any]], summary: str | None = None, *, in_workspace: bool = False) -> int:
    """`run` with each of these arguments, in order; the highest exit status.

    summary: JSON file for what was done; it is written however that ends. in_workspace: all stages of one end with what
    is to be done next. Raises InputError.
    """
    status = _run_all(jobs, summary)
    if in_workspace and status == 0 and jobs[0]["stage"] == "all" and not jobs[0].get("dry_run"):
        print(NEXT, file=sys.stderr)
    return status


def _run_all(jobs: Sequence[Mapping[str, Any]], summary: str | None) -> int:
    if summary is None:
        return max(_until_a_signal(run(**job) for job in jobs))
    stores = [str(job["store"]) for job in jobs]
    files = [str(value) for job in jobs for key in ("cluster", "images", "proposals_from") if (value := job.get(key))]
    refuse_overwriting([Path(summary)], option="--summary", files=files, stores=stores)
    done = SummaryFile(Path(summary))
    with done:
        for status in _until_a_signal(run(**job, summaries=done.of_store(str(job["store"]))) for job in jobs):
            done.status(status)
    return done.exit_status


def _until_a_signal(statuses: Iterable[int]) -> Iterator[int]:
    """Exit statuses as the jobs end; one that a signal ended is the last."""
    for status in statuses:
        yield status
        if status in (INTERRUPTED, TERMINATED):
            return


def _work(
    chain: Chain,
    target: Store,
    images: ImageList,
    executor: DeferredExecutor,
    display: ProgressDisplay,
    summaries: list[RunSummary],
) -> int:
    """Run the stages, tell of each, give the workers back; the exit status."""
    said = sys.stdout.isatty() and not is_quiet()  # the store's name, a line above
    with closing(executor):
        try:
            for summary in chain.run(target, images, executor):
                print(f"{'' if said else f'{target.url}: '}{summary_text(summary)}")
                summaries.append(summary)
        except KeyboardInterrupt as ended:
            kept = f"interrupted; finished shards are kept in {target.url}. Run the same command again to continue."
            print(kept, file=sys.stderr)
            return exit_status(ended)
    if not any(summary.computed.images for summary in summaries):
        display.note(HOW_TOLD_APART)
    return max((summary.exit_status for summary in summaries), default=0)


def _tell_costs(
    request: _Request,
    existing: Store | None,
    choice: ImageChoice,
    url: str,
    workers: int,
) -> None:
    images, names = choice.images, (*request.upstream(), *request.stages)
    shard = existing.shard if existing else request.store_settings.shard or default_shard(len(images))
    ids = existing.listed().ids if existing else images.ids
    found = estimates(existing, images, names, request.build, choice.ranges(ids, shard))
    print_costs(f"{url}: {images.spec} {images.split}, {len(images)} images", found, workers, shard)
    if SEEDS in names and is_authors_setting(request.settings) and found[-1].cost:
        other = replace(request, settings={**request.settings, SEEDS: {}})
        cost = sampled_costs(images, names, other.build).get(SEEDS)
        print(compared(found[-1], replace(found[-1], cost=cost)))


def _open_proposals(request: _Request, images: ImageList, display: ProgressDisplay) -> Stage:
    """The stage that reads the given files; tells of which images they know nothing.

    Raises InputError if they know none: nothing was made yet.
    """
    settings = request.settings.get(STAGE_NAMES[0])
    stage = build_stage(STAGE_NAMES[0], settings, proposals_from=request.proposals_from)
    if told := refuse_foreign_files(stage, [record.id for record in images.records]):
        display.note(told)
    return stage
