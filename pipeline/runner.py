"""Runs one stage over a store: lock, identity, template, plan, work, summary. Any interruption can be continued."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import monotonic

from data.errors import InputError
from data.records import ImageList
from data.retry import retries
from data.whole_file import PARTIAL
from pipeline.executors import Executor
from pipeline.listener import AtWork, Listener
from pipeline.plan import Plan, make_plan, widen
from pipeline.spec import Stage, identify, stage_layouts
from pipeline.task import Job
from store.completion import read_completions, recorded_shards
from store.errors import DamagedStoreError, IncompleteStoreError
from store.identity import StageIdentity, stage_documents
from store.layout import is_own_key
from store.lock import live_locks, stage_lock
from store.root import ROOT
from store.store import Store
from store.summary import BLOCK, Summariser, summary_keys
from store.tally import Tally
from store.workers import WorkerShare

FEW_SHARDS = 100
"""Shards that are removed by name; to find what there is of more, all are listed."""


@dataclass
class RunSummary:
    """What a run of a stage left behind, over the images it was asked for.

    kept: those that stay as they were; computed: those worked on in this run, in `seconds` of wall time. workers: who
    computed how much, by "host:pid". ends: how workers ended meanwhile, and how often; their shards were tried again.
    retries: requests to storage that were made again, by this process and all workers.
    """

    stage: str
    images: int
    kept: Tally
    computed: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    workers: dict[str, WorkerShare] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    retries: int = 0

    def add(self, shard: Tally) -> None:
        """A shard that was computed."""
        self.computed += shard
        self.workers.setdefault(shard.host, WorkerShare(shard.host)).add(shard.images, shard.seconds)

    @property
    def tally(self) -> Tally:
        """The images in each state after the run."""
        return self.kept + self.computed

    @property
    def exit_status(self) -> int:
        """0, or 3 if images failed by themselves."""
        return 3 if self.tally.failed else 0


def run_stage(
    store: Store,
    images: ImageList,
    stage: Stage,
    executor: Executor,
    *,
    image_range: tuple[int, int] | None = None,
    all_needed: bool = False,
    shared: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    accept_packages: bool = False,
    listener: Listener | None = None,
    repair: Mapping[int, frozenset[int]] | None = None,
    image_timeout: float | None = None,
) -> RunSummary:
    """Compute what is missing of `stage`.

    images: the store's image list (any order; paths say where the pixels are). image_range: [a, b), widened to whole
    shards. all_needed: the stage is to have no other images than those.
    shared: other runs may compute other shards of the stage meanwhile, with the same parameters.
    overwrite: compute again what is done. retry_failed: compute failed images again. accept_packages: continue
    although package versions changed. repair: shard index -> images; computes these and nothing else (the summary then
    counts only them). image_timeout: seconds after which an image counts as failed; None: never.
    Raises InputError where something differs, is locked, missing upstream, or cannot be written.
    """
    listener = listener or Listener()
    if executor.needs_shared_storage and store.url.startswith("memory://"):
        raise InputError(f"{store.url}: lives in one process; use a folder or an object store with several workers")
    before = retries()
    images = store.align(images)
    shards = widen(image_range, store)
    first, stop = store.bounds(shards[0])[0], store.bounds(shards[1] - 1)[1]
    if image_range is not None and (first, stop) != image_range:
        listener.note(f"images {image_range[0]}:{image_range[1]} widened to whole shards: {first}:{stop}")
    with stage_lock(store.objects, stage.group, shards if shared else None):
        store.refresh()
        identity = identify(stage, _upstream_fingerprints(store, stage))
        _settle_identity(
            store,
            stage,
            identity,
            overwrite=overwrite,
            shards=shards,
            all_needed=all_needed,
            accept_packages=accept_packages,
            shared=shared,
        )
        plan = make_plan(store, identity, shards, everything=overwrite, retry_failed=retry_failed, repair=repair)
        summaries = Summariser(store, stage.group, shards)
        summaries.withdraw(list(plan.pending()))
        _sweep(store, stage, plan)
        summary = RunSummary(stage.name, stop - first if repair is None else plan.images(store), plan.kept)
        job = Job(uuid.uuid4().hex, store.url, stage, identity.fingerprint, store.decoding, image_timeout)
        try:
            _work(store, images, job, plan, executor, summary, listener, summaries)
        finally:
            _sweep_partials(store, stage, shards)
            store.refresh()
    summary.retries = retries() - before
    if executor.needs_shared_storage:  # where this process does the work, its workers' are its own
        summary.retries += summary.computed.retries
    return summary


def _work(
    store: Store,
    images: ImageList,
    job: Job,
    plan: Plan,
    executor: Executor,
    summary: RunSummary,
    listener: Listener,
    summaries: Summariser,
) -> None:
    started = monotonic()
    todo = plan.images(store)
    listener.begin(job.stage.name, todo, plan.kept)
    at_work, ends = AtWork(listener.at_work), executor.ends()
    try:
        if todo:
            with closing(executor.run(job, plan.tasks(store, images), at_work)) as results:
                for done, computed in enumerate(results, 1):
                    summary.add(computed)
                    listener.advance(computed, executor.workers)
                    if done % BLOCK == 0:
                        summaries.write()
        summaries.write()
    finally:
        summary.seconds = monotonic() - started
        summary.ends = executor.ends() - ends
        listener.end()


def _upstream_fingerprints(store: Store, stage: Stage) -> dict[str, str]:
    found = {}
    for group in stage.upstream:
        identity = store.identity(group)
        if identity is None:
            raise IncompleteStoreError(f"{store.url}: stage '{stage.name}' reads '{group}', which was not run yet")
        reason = store.stale(group)
        if reason:
            raise InputError(f"{store.url}: '{group}' is stale: {reason}; run it first with --overwrite")
        found[group] = identity.fingerprint
    missing = [name for name in stage.reads if not store.has(name)]
    if missing:
        raise IncompleteStoreError(f"{store.url}: stage '{stage.name}' reads '{missing[0]}', which the store lacks")
    return found


def refuse_changes(store: Store, stage: Stage) -> None:
    """Raises InputError, naming the fields, if the store has `stage` with other parameters or another upstream."""
    stored = store.identity(stage.group)
    if stored is not None:
        differences = identify(stage, _upstream_fingerprints(store, stage)).differences(stored, packages=False)
        if differences:
            raise InputError(
                f"{store.url}: stage '{stage.name}' was run differently: {'; '.join(differences)}; leave the settings "
                f"out, or run `precompute --stage {stage.name} --overwrite` first"
            )


def _settle_identity(
    store: Store,
    stage: Stage,
    identity: StageIdentity,
    *,
    overwrite: bool,
    shards: tuple[int, int],
    all_needed: bool,
    accept_packages: bool,
    shared: bool,
) -> None:
    """Refuse a stage that differs from the stored one, or lay its arrays out (anew, if all of it is overwritten: if
    `shards` [first, stop) are all that it has and, with `all_needed`, is to have).

    shared: nothing is removed, as others may have written it; each run sweeps its own shards.
    """
    stored = _stored_identity(store, stage)
    recorded = recorded_shards(store.objects, stage.group, store.shard)
    whole = shards == (0, store.n_shards) or (all_needed and all(shards[0] <= index < shards[1] for index in recorded))
    begun = bool(recorded) and not (overwrite and whole)
    begun = begun or (shared and stored is not None and len(live_locks(store.objects, stage.group)) > 1)
    if stored is None and begun:
        stored = _identity_of_records(store, stage, identity, [record.key for record in recorded.values()])
    if begun and stored is not None:
        results = identity.differences(stored, packages=False)
        versions = identity.differences(stored) if not accept_packages else results
        if results and overwrite and not whole:
            raise InputError(
                f"{store.url}: stage '{stage.name}' differs from the stored one ({'; '.join(results)}), so it can be "
                "overwritten only as a whole; leave --images out"
            )
        if versions and not overwrite:
            option = "--overwrite computes the stage anew"
            if not results:
                option += ", --set store.accept_packages=true continues with the new versions"
            raise InputError(f"{store.url}: stage '{stage.name}' was run differently: {'; '.join(versions)}; {option}")
    layouts = stage_layouts(stage, store.n_images, store.shard)
    if not begun and not shared:  # records first: without them nothing that is still there counts
        store.objects.delete_many(key for key, _, _ in summary_keys(store.objects, stage.group))
        for prefix in (f"{stage.group}/records", *(layout.name for layout in layouts)):
            store.objects.delete_many([key for key, _ in store.objects.entries(prefix) if is_own_key(key)])
    documents = stage_documents(identity, layouts)
    there = store.objects.read_many(documents) if begun or shared else {}
    for key, document in documents.items():
        if there.get(key) != document:
            store.objects.write(key, document)
    store.refresh()


def _stored_identity(store: Store, stage: Stage) -> StageIdentity | None:
    """None as well where its document is damaged: the records then tell whether the results are of this stage."""
    try:
        return store.identity(stage.group)
    except DamagedStoreError:
        return None


def _identity_of_records(store: Store, stage: Stage, identity: StageIdentity, keys: Sequence[str]) -> StageIdentity:
    """The stage's zarr.json is gone, its records are there: they are still good if they are of this identity."""
    if any(record.fingerprint == identity.fingerprint for record in read_completions(store.objects, keys[:1])):
        return identity
    raise InputError(
        f"{store.url}: {stage.group}/{ROOT} is missing or damaged and the records are of other parameters; run the "
        "stage with the parameters it was begun with, or --overwrite computes it anew"
    )


def _sweep(store: Store, stage: Stage, plan: Plan) -> None:
    """Remove what an interrupted run left: partial files, and shards without a record among those to be computed."""
    doomed = {index for index in plan.pending() if index not in plan.rows}
    for layout in stage_layouts(stage, store.n_images, store.shard) if doomed else ():
        if len(doomed) <= FEW_SHARDS:
            keys = [layout.key(index) for index in doomed]
        else:
            keys = [key for key, _ in store.objects.entries(f"{layout.name}/c") if layout.shard_of_key(key) in doomed]
        store.objects.delete_many(keys)
    _sweep_partials(store, stage, (plan.first, plan.stop))


def _sweep_partials(store: Store, stage: Stage, shards: tuple[int, int]) -> None:
    """Remove what was written only in part: of shards [first, stop), and of none, as documents are of all."""
    if not store.objects.is_local:
        return
    layouts = stage_layouts(stage, store.n_images, store.shard)
    for key, _ in store.objects.entries(stage.group):
        if key.endswith(PARTIAL):
            whole_key = key.removesuffix(PARTIAL).rpartition(".")[0]
            found = [layout.shard_of_key(whole_key) for layout in layouts]
            index = next((index for index in found if index is not None), _shard_of_record(whole_key, store.shard))
            if (shards == (0, store.n_shards)) if index is None else (shards[0] <= index < shards[1]):
                store.objects.delete(key)


def _shard_of_record(key: str, shard: int) -> int | None:
    first = key.rpartition("/records/")[2].partition("-")[0]
    return int(first) // shard if first.isdecimal() else None
