"""`precompute`: run the offline stages over a data set into a store."""

import csv
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from commands.costs import SEEDS, compared, is_authors_setting, print_costs
from data import parameters
from data.catalog import absolute_spec, load_images
from data.errors import InputError, nearest, some
from data.files import Folder
from data.records import ImageList
from pipeline.chain import Chain
from pipeline.cost import estimates, sampled_costs
from pipeline.executors.choose import DeferredExecutor
from pipeline.interrupt import terminate_as_interrupt
from pipeline.progress import ProgressDisplay, summary_text
from pipeline.spec import Stage
from stages.proposals.stage import refuse_foreign_files
from stages.registry import STAGE_NAMES, build_stage, canonical_name, check_settings, stage_for, stored_stage
from stages.settings import StoreSettings
from store.create import DEFAULT_SHARD, create_or_open
from store.identity import group_of
from store.images import HOW_TOLD_APART
from store.store import Store, find_store

INTERRUPTED = 130


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
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: str | None = None,
    images: str | None = None,
    settings: Mapping[str, Any] | None = None,
    proposals_from: str | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    learnt_from: str | None = None,
) -> int:
    """Run one stage, or "all", over a split into a store; missing upstream stages first.

    data, split: as `data.catalog.load_images` takes them; without data, those the store was made from. A split that is
    only a part of the store's images is computed alone. learnt_from: split that training will take from the store: of
    the others only proposals are computed. workers: local
    processes (0: this process; None: one a core), or how many to ask of `cluster`. images: "A:B", or a file that lists
    images to compute again, done or not, as `status --failed` writes one. settings: nested
    `--set` values, {"proposals": {"method": "files"}, "store": {"shard": 32}}.
    Returns the exit status: 0, 3 if images failed, 130 if interrupted. Raises InputError.
    """
    request = _Request.parse(stage, settings or {}, proposals_from)
    existing = find_store(store)
    image_list = load_image_list(data, split, existing)
    part = None
    if existing is not None and not overwrite and is_part(image_list, existing):
        part, image_list = image_list, load_image_list(data, None, existing)
    listed = read_listed(images) if images and Path(images).is_file() else None
    image_range = parse_range(images, len(image_list)) if images and listed is None else None
    if part is not None and image_range:
        raise InputError(f"--images {images}: counts those of {store}, which holds more than '{split}'; leave one out")
    meant = None if learnt_from is None else load_image_list(data, learnt_from, existing)
    display = ProgressDisplay()
    told = f"; of these {split}, {len(part)} images" if part is not None else ""
    display.note(f"{store}: {image_list.spec} {image_list.split}, {len(image_list)} images{told}")
    for note in image_list.notes:
        display.note(note)
    if proposals_from is not None:
        request = replace(request, proposals=_open_proposals(request, image_list, display))
    executor = DeferredExecutor(workers=workers, scheduler=scheduler, cluster=cluster, announce=display.note)
    if dry_run:
        ids = existing.listed().ids if existing else [record.id for record in image_list.records]
        shard = existing.shard if existing else request.store_settings.shard or DEFAULT_SHARD
        ranges = _ranges(ids, shard, image_range, part, None if overwrite else meant)
        _tell_costs(request, existing, image_list, ranges, store, executor.expected_workers)
        return 0
    target = create_or_open(
        store,
        image_list,
        shard=request.store_settings.shard,
        overwrite=overwrite and stage == "all",
        tell=display.note,
    )
    chain = Chain(
        request.stages,
        request.upstream(),
        request.build,
        changed=request.settings,
        ranges=_ranges(target.listed().ids, target.shard, image_range, part, None if overwrite else meant),
        only=None if listed is None else rows_by_shard(target, listed, str(images)),
        overwrite=overwrite,
        retry_failed=retry_failed,
        accept_packages=request.store_settings.accept_packages,
        listener=display,
    )
    return _work(chain, target, image_list, executor, display)


def _work(chain: Chain, target: Store, images: ImageList, executor: DeferredExecutor, display: ProgressDisplay) -> int:
    """Run the stages, tell of each, give the workers back; the exit status."""
    summaries = []
    with closing(executor), terminate_as_interrupt():
        try:
            for summary in chain.run(target, images, executor):
                print(f"{target.url}: {summary_text(summary)}")
                summaries.append(summary)
        except KeyboardInterrupt:
            kept = f"interrupted; finished shards are kept in {target.url}. Run the same command again to continue."
            print(kept, file=sys.stderr)
            return INTERRUPTED
    if not any(summary.computed.images for summary in summaries):
        display.note(HOW_TOLD_APART)
    return max((summary.exit_status for summary in summaries), default=0)


def _tell_costs(
    request: _Request,
    existing: Store | None,
    images: ImageList,
    ranges: Mapping[str, tuple[int, int]],
    url: str,
    workers: int,
) -> None:
    names = (*request.upstream(), *request.stages)
    found = estimates(existing, images, names, request.build, ranges)
    shard = existing.shard if existing else request.store_settings.shard or DEFAULT_SHARD
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


def is_part(images: ImageList, store: Store) -> bool:
    """Whether these are some of the images of a store that was made from another split."""
    known = set(store.listed().ids)
    return images.split != store.attributes["split"] and all(record.id in known for record in images.records)


def _ranges(
    ids: Sequence[str],
    shard: int,
    image_range: tuple[int, int] | None,
    part: ImageList | None,
    learnt_from: ImageList | None,
) -> dict[str, tuple[int, int]]:
    """Images [a, b) of a store that holds `ids` by the stage that is to run on them: `image_range`, or the shards among
    which the `part` lies; of stages that only training reads those among which `learnt_from` lies."""
    given = image_range or (part and _span(ids, shard, part))
    after = given or (learnt_from and _span(ids, shard, learnt_from))
    first, *others = STAGE_NAMES
    return ({first: given} if given else {}) | (dict.fromkeys(others, after) if after else {})


def _span(ids: Sequence[str], shard: int, part: ImageList) -> tuple[int, int]:
    """From the shard of the first to behind that of the last of `ids` that belong to a part; all if none does."""
    wanted = {record.id for record in part.records}
    rows = [row for row, image_id in enumerate(ids) if image_id in wanted]
    return (rows[0] // shard * shard, min(len(ids), (rows[-1] // shard + 1) * shard)) if rows else (0, len(ids))


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


def read_listed(path: str) -> list[str]:
    """Image ids of a file: column `image` of a CSV that has one, as `status --failed` writes it, else one id a line.

    Raises InputError for a file that can not be read or lists nothing.
    """
    text = Folder.at(path).read_text()
    rows = [row for row in csv.reader(text.splitlines()) if row]
    if rows and "image" in rows[0]:
        column = rows[0].index("image")
        ids = [row[column] for row in rows[1:] if len(row) > column]
    else:
        ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise InputError(f"--images {path}: lists no image; write one id a line, or a CSV with a column 'image'")
    return list(dict.fromkeys(ids))


def rows_by_shard(store: Store, ids: Sequence[str], path: str) -> dict[int, frozenset[int]]:
    """Shard -> rows of images by id. Raises InputError for an id that the store does not have."""
    row_of = {image_id: row for row, image_id in enumerate(store.listed().ids)}
    if unknown := [image_id for image_id in ids if image_id not in row_of]:
        raise InputError(f"--images {path}: {store.url} has no image {some(unknown)}{nearest(unknown[0], row_of)}")
    rows = [row_of[image_id] for image_id in ids]
    shards = sorted({row // store.shard for row in rows})
    return {index: frozenset(row for row in rows if row // store.shard == index) for index in shards}


def load_image_list(data: str | None, split: str | None, store: Store | None) -> ImageList:
    """The images of a split; where the user does not name data or split, those the store was made from."""
    if store is not None:
        data, split = data or store.attributes["spec"], split or store.attributes["split"]
    if data is None or split is None:
        raise InputError("--data and --split: needed to create a store")
    return load_images(absolute_spec(data), split)
