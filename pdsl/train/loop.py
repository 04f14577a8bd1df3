"""A training run from configuration to last checkpoint: exact to resume, whatever killed it."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from data.errors import InputError
from data.parameters import replace, to_plain
from pdsl.cache import CacheReader, open_cache
from pdsl.classes import require_same_classes
from pdsl.config.load import config_from_plain
from pdsl.config.tree import Config
from pdsl.figures import Figures, figures_due
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.model.weight_sources import without_weights
from pdsl.model.weights import load_backbone_weights
from pdsl.run.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, resumable_checkpoint, save_checkpoint
from pdsl.run.folder import open_run, read_log, refuse_existing, remove_partial
from pdsl.run.lock import run_lock
from pdsl.run.names import CONFIG, LOG
from pdsl.train.distributed import World, join_world
from pdsl.train.interrupt import StopRequest, catch_signals
from pdsl.train.introduction import introduction
from pdsl.train.loader import batches
from pdsl.train.log import RunLog
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer, learning_rate
from pdsl.train.step import Stepper

PATIENCE = 50
"""Updates in a row that may be blocked before a run gives up."""

Validate = Callable[[PDSL, World, Callable[[int, int], None]], Figures]
"""(model, processes, callback told how many of how many images were looked at) -> figures. It leaves the model as it
was. Ground truth stays behind it: the trainer sees figures only (`pdsl.evaluate.validation`)."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: after `step` updates; signal: the number of the one that stopped it, else 0."""

    step: int
    signal: int

    @property
    def exit_status(self) -> int:
        """0, or as a shell counts signals."""
        return 128 + self.signal if self.signal else 0


def train(
    config: Config,
    run: Path,
    *,
    resume: bool,
    validation: Callable[[Config, tuple[str, ...]], Validate] | None = None,
) -> Outcome:
    """Train into run folder `run`, or continue there with `resume` (from the start if no checkpoint was saved yet).

    Under torchrun every process calls this; the first one writes. validation: from configuration and class names, what
    evaluates the model every `config.validation.every` updates. Raises InputError for bad input, for a folder that
    holds a run already, and if the loss stays non-finite.
    """
    with ExitStack() as stack:
        world = stack.enter_context(join_world(config.device))
        if world.is_first and not (resume and (run / CONFIG).exists()):
            refuse_existing(run)
        if world.is_first:
            stack.enter_context(run_lock(run))
        stop = stack.enter_context(catch_signals(tell=world.is_first, at_once=partial(remove_partial, run)))
        config.fit_machine(os.cpu_count() or 1)
        if config.threads:
            torch.set_num_threads(config.threads)
        if config.optimizer.images_per_step % world.size:
            raise InputError(
                f"optimizer.images_per_step: {config.optimizer.images_per_step} images can not be shared evenly by "
                f"{world.size} processes; change one of the two"
            )
        torch.manual_seed(config.seed)  # nothing draws from it; if something ever does, it is resumed exactly too
        cache = open_cache(config.data, config.classes)
        validate = validation(config, cache.class_names) if validation and config.validation.every else None
        found = resumable_checkpoint(run, _teller(world)) if resume else None
        model, config = _build(config, cache, with_weights=found is None, tell=world.is_first)
        model = model.to(world.device)
        optimizer = build_optimizer(model.train(), config.optimizer)
        checkpoint = read_checkpoint(found, world.device) if found else None
        start = _restore(checkpoint, model, optimizer, cache) if checkpoint else 0
        owed = checkpoint is not None and world.any(_owes_figures(checkpoint, run))
        world.broadcast(model.state_dict().values())
        if world.is_first:
            open_run(run, config, start)
        return _Session(config, run, world, cache, model, optimizer, stop, validate).train(start, owed)


def _teller(world: World) -> Callable[[str], None]:
    """Tells the user, from the first process only."""
    return (lambda text: print(text, file=sys.stderr)) if world.is_first else (lambda text: None)


def _build(config: Config, cache: CacheReader, *, with_weights: bool, tell: bool) -> tuple[PDSL, Config]:
    """The model; with the weights of `init`, or with those of the backbone's file, of which it can tell.

    And the configuration with what `freeze: auto` came to; for `init` what that run froze, and the weights it began
    with.
    """
    weights = config.model.backbone.weights
    if with_weights and not config.init and not weights and config.model.backbone.name != "tiny":
        raise InputError(without_weights(config.model.backbone.name))
    model = build_model(config.model, len(cache.class_names), config.seed)
    if with_weights and config.init:
        checkpoint = load_checkpoint(config.init)
        require_same_classes(checkpoint["class_names"], cache.class_names, config.init)
        try:
            model.load_state_dict(checkpoint["model"])
        except RuntimeError as error:
            raise InputError(
                f"{config.init}: its weights are of another model than `model:` describes ({error})"
            ) from error
        if config.model.backbone.freeze == "auto":
            began = config_from_plain(checkpoint["config"], config.init).model.backbone
            model.backbone.freeze(began.frozen_at_first)
            weights = config.model.backbone.begins_with or began.weights
    elif with_weights and (source := config.model.backbone.begins_with):
        report = load_backbone_weights(model, source)
        if tell:
            print(f"{report}; frozen: {model.backbone.frozen}", file=sys.stderr)
    settled = {"freeze": model.backbone.frozen, "weights": weights}
    return model, replace(config, {"model": {"backbone": settled}})


def _restore(checkpoint: Checkpoint, model: PDSL, optimizer: torch.optim.Optimizer, cache: CacheReader) -> int:
    """Put everything back as it was at the checkpoint; the number of updates done."""
    require_same_classes(checkpoint["class_names"], cache.class_names, "--resume")
    if checkpoint["stores"] != cache.digests():
        raise InputError(
            "--store: not what the run was trained on (other images or other stages); give the same stores"
        )
    if "labels" in checkpoint and checkpoint["labels"] != cache.label_digest():
        raise InputError(
            "--resume: the labels of the stores were changed since this run began, so it can not be continued exactly; "
            "train another run (with --init from these weights)"
        )
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    torch.set_rng_state(checkpoint["generators"]["cpu"].cpu())
    return int(checkpoint["step"])


def _owes_figures(checkpoint: Checkpoint, run: Path) -> bool:
    """Whether an evaluation was due at the checkpoint and left out, because a signal had come."""
    config, step = checkpoint["config"], checkpoint["step"]
    if not figures_due(step, config["steps"], config.get("validation", {}).get("every", 0)):
        return False
    return not any(entry["step"] == step and "validation" in entry for entry in read_log(run / LOG))


class _BrokenOffError(Exception):
    """An evaluation ends here, because a signal asked the run to."""


class _Session:
    """The loop itself."""

    def __init__(
        self,
        config: Config,
        run: Path,
        world: World,
        cache: CacheReader,
        model: PDSL,
        optimizer: torch.optim.Optimizer,
        stop: StopRequest,
        validate: Validate | None,
    ):
        self.config, self.run, self.world, self.cache = config, run, world, cache
        self.model, self.optimizer, self.stop, self.validate = model, optimizer, stop, validate
        self.meters = Meters(world.device)
        self.stepper = Stepper(model, optimizer, config, world, self.meters)
        self.log: RunLog | None = None
        self.blocked_in_a_row = 0
        self.owed = False
        self.clock = time.monotonic()

    def train(self, start: int, owed: bool) -> Outcome:
        """Updates start..steps, with log entries and checkpoints where they are due; owed: figures of `start` first."""
        config = self.config
        images = batches(
            self.cache,
            seed=config.seed,
            steps=range(start, config.steps),
            images_per_step=config.optimizer.images_per_step,
            rank=self.world.rank,
            world_size=self.world.size,
            loaders=config.data.loaders,
            pin=self.world.device.type == "cuda",
        )
        with ExitStack() as stack:
            if self.world.is_first:
                self.log = stack.enter_context(RunLog(self.run, start, config.steps))
                for line in introduction(config, run=self.run, cache=self.cache, world=self.world, start=start):
                    self.log.say(line)
            if owed and self.validate and not self._make_up_figures(start):
                return Outcome(start, self.stop.signal)
            for step, batch in zip(range(start, config.steps), images, strict=True):
                self.stepper.run(step, batch)
                if self._settle(step + 1):
                    return Outcome(step + 1, self.stop.signal)
        return Outcome(max(start, config.steps), 0)

    def _make_up_figures(self, step: int) -> bool:
        """The evaluation that was due at `step`; False if a signal broke it off again."""
        figures = self._figures()
        self.clock = time.monotonic()
        if self.log and figures is not None:
            self.log.write_figures(step, figures)
        return figures is not None

    def _settle(self, done: int) -> bool:
        """After `done` updates: evaluation, log and checkpoint as they are due; whether to stop here."""
        last = done == self.config.steps
        save_due = last or done % self.config.checkpoint_every == 0
        due = figures_due(done, self.config.steps, self.config.validation.every)
        validate_due = self.validate is not None and due
        log_due = save_due or validate_due or done % self.config.log_every == 0
        if self.log:
            self.log.advance(done)
        stopping = bool(self.stop.signal)
        if self.world.size > 1:  # a signal may reach only some; all agree where they wait for the device anyway
            stopping = log_due and self.world.any(stopping)
        self.owed = validate_due
        if stopping or log_due:
            self._write_log(done, validate_due and not stopping)
        if validate_due and not stopping:  # a signal in these minutes need not wait for another update
            stopping = self.world.any(bool(self.stop.signal))
        if stopping or save_due:
            self._save(done)
        return stopping and (done < self.config.steps or self.owed)

    def _write_log(self, done: int, with_figures: bool) -> None:
        """One entry of averages since the last one. This is where the host waits for the device."""
        entry = self.meters.read(self.world, self.config.optimizer.images_per_step)
        dropped = self.model.dropped.clone()
        self.world.sum([dropped])
        self.model.dropped.zero_()
        rate = entry.steps * self.config.optimizer.images_per_step / max(1e-9, time.monotonic() - self.clock)
        figures = self._figures() if with_figures else None
        self.clock = time.monotonic()
        if self.log:
            lr = learning_rate(done - 1, self.config.optimizer.lr, self.config.schedule)
            self.log.write(done, entry, lr=lr, rate=rate, dropped=int(dropped), figures=figures)
        self.blocked_in_a_row = self.blocked_in_a_row + entry.steps if entry.n_blocked == entry.steps else 0
        if self.blocked_in_a_row >= PATIENCE:
            raise InputError(
                f"optimizer.lr: losses or gradients were not finite in the last {self.blocked_in_a_row} updates (see "
                f"{self.run / LOG}); lower it, or begin with schedule.warmup_steps"
            )

    def _figures(self) -> Figures | None:
        """The model's figures now, on all processes together; None if a signal broke the evaluation off, which is then
        made up by the resumed run. (Several processes end it first: they wait for each other.)"""
        assert self.validate

        def advance(looked_at: int, images: int) -> None:
            if self.stop.signal and self.world.size == 1:
                raise _BrokenOffError
            if self.log:
                self.log.validating(looked_at, images)

        try:
            figures = self.validate(self.model, self.world, advance)
        except _BrokenOffError:
            self.model.train()
            return None
        self.owed = False
        return figures

    def _save(self, done: int) -> None:
        if not self.world.is_first:
            return
        save_checkpoint(
            self.run,
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": done,
                "generators": {"seed": self.config.seed, "cpu": torch.get_rng_state()},
                "config": to_plain(self.config),
                "class_names": list(self.cache.class_names),
                "stores": self.cache.digests(),
                "proposals": self.cache.proposal_recipe(),
                "data_set": self.cache.data_set(),
                "labels": self.cache.label_digest(),
            },
            self.config.checkpoints_kept,
        )
