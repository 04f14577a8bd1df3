"""A training run from configuration to last checkpoint: exact to resume, whatever killed it."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from data.errors import InputError
from data.parameters import to_plain
from pdsl.cache import CacheReader, open_cache
from pdsl.config.tree import Config
from pdsl.figures import Figures, figures_due
from pdsl.model.pdsl import PDSL
from pdsl.run.checkpoint import save_checkpoint
from pdsl.run.folder import open_run, read_log, refuse_existing, remove_partial
from pdsl.run.lock import run_lock
from pdsl.run.names import CONFIG, LOG
from pdsl.train.distributed import World, join_world
from pdsl.train.interrupt import StopRequest, catch_signals
from pdsl.train.introduction import introduction
from pdsl.train.limits import refuse_beyond_machine
from pdsl.train.loader import batches
from pdsl.train.log import RunLog
from pdsl.train.meters import Averages, Meters
from pdsl.train.optimizer import learning_rate
from pdsl.train.start import Start, prepare
from pdsl.train.step import Stepper
from pdsl.train.terminal import Terminal
from pdsl.train.watch import MilWatch

PATIENCE = 50
"""Updates in a row that may be blocked before a run gives up."""


Validate = Callable[[PDSL, World, Callable[[int, int], None]], Figures]
"""(model, processes, callback told how many of how many images were looked at) -> figures. It leaves the model as it
was. Ground truth stays behind it: the trainer sees figures only (`pdsl.evaluate.validation`)."""
Draw = Callable[[PDSL], Mapping[str, Image.Image]]
"""model -> pictures by name, the same ones each time (`pdsl.report.training_pictures`). It leaves the model as it
was."""


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
    pictures: Callable[[Config, CacheReader], Draw] | None = None,
) -> Outcome:
    """Train into run folder `run`, or continue there with `resume` (from the start if no checkpoint was saved yet).

    Under torchrun every process calls this; the first one writes. validation: from configuration and class names, what
    evaluates the model every `config.validation.every` updates. pictures: from configuration and training set, what
    draws for TensorBoard, at first and at every checkpoint and evaluation. Raises InputError for bad input, for a
    folder that holds a run already, and if the loss stays non-finite.
    """
    with ExitStack() as stack:
        world = stack.enter_context(join_world(config.device))
        if world.is_first and not (resume and (run / CONFIG).exists()):
            refuse_existing(run)
        if world.is_first:
            stack.enter_context(run_lock(run))
        stop = stack.enter_context(catch_signals(tell=world.is_first, at_once=partial(remove_partial, run)))
        cache = open_cache(config.data, config.classes)
        refuse_beyond_machine(config, cache, world.size, world.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)  # nothing draws from it; if something ever does, it is resumed exactly too
        validate = validation(config, cache.class_names) if validation and config.validation.every else None
        start = prepare(config, run, cache, world, resume=resume)
        if world.is_first:
            open_run(run, start.config, start.step)
        draw = pictures(config, cache) if pictures and config.pictures and world.is_first else None
        return _Session(start, run, world, cache, stop, validate, draw).train()


class _BrokenOffError(Exception):
    """An evaluation ends here, because a signal asked the run to."""


class _Session:
    """The loop itself."""

    def __init__(
        self,
        start: Start,
        run: Path,
        world: World,
        cache: CacheReader,
        stop: StopRequest,
        validate: Validate | None,
        draw: Draw | None,
    ):
        self.start, self.run, self.world, self.cache, self.stop = start, run, world, cache, stop
        self.config, self.model, self.optimizer = start.config, start.model, start.optimizer
        self.validate, self.draw = validate, draw
        self.meters = Meters(world.device)
        self.stepper = Stepper(self.model, self.optimizer, self.config, world, self.meters)
        self.watch = MilWatch(cache.labels(), self.config)
        self.log: RunLog | None = None
        self.blocked_in_a_row = 0
        self.owed = False
        self.clock = time.monotonic()

    def train(self) -> Outcome:
        """The updates that are left, with log entries, checkpoints and the rest where they are due."""
        config, start = self.config, self.start.step
        images = batches(
            self.cache,
            seed=config.seed,
            steps=range(start, config.steps),
            images_per_step=config.optimizer.images_per_step,
            rank=self.world.rank,
            world_size=self.world.size,
            loaders=config.data.loaders,
            together=config.data.together,
            pin=self.world.device.type == "cuda",
        )
        with ExitStack() as stack:
            if self.world.is_first:
                every = config.validation.every if self.validate else 0
                terminal = Terminal(start, config.steps, config.optimizer.images_per_step, every)
                self.log = stack.enter_context(RunLog(self.run, terminal, start))
                for line in introduction(config, run=self.run, cache=self.cache, world=self.world, start=start):
                    terminal.say(line)
                self._remember()
            if start == 0:
                self._write_pictures(start)
            if self.start.owed and self.validate and not self._make_up_figures(start):
                return Outcome(start, self.stop.signal)
            self.clock = time.monotonic()
            for step, batch in zip(range(start, config.steps), images, strict=True):
                self.stepper.run(step, batch)
                if self._settle(step + 1):
                    return Outcome(step + 1, self.stop.signal)
        return Outcome(max(start, config.steps), 0)

    def _make_up_figures(self, step: int) -> bool:
        """The evaluation that was due at `step`; False if a signal broke it off again."""
        figures = self._figures()
        if self.log and figures is not None:
            self.log.write_figures(step, figures)
        return figures is not None

    def _write_pictures(self, step: int) -> None:
        if self.log and self.draw:
            self.log.terminal.at_work("drawing pictures for TensorBoard")
            with self.log.terminal.pace.aside():
                self.log.write_pictures(step, self.draw(self.model))
            self.log.terminal.updating()

    def _settle(self, done: int) -> bool:
        """After `done` updates: evaluation, log and checkpoint as they are due; whether to stop here."""
        last = done == self.config.steps
        save_due = last or done % self.config.checkpoint_every == 0
        due = figures_due(done, self.config.steps, self.config.validation.every)
        validate_due = self.validate is not None and due
        log_due = save_due or validate_due or done % self.config.log_every == 0
        if self.log:
            self.log.terminal.advance(done)
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
        if (save_due or validate_due) and not stopping:
            self._write_pictures(done)
            self.clock = time.monotonic()
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
            self._judge(entry)
        self.blocked_in_a_row = self.blocked_in_a_row + entry.steps if entry.n_blocked == entry.steps else 0
        if self.blocked_in_a_row >= PATIENCE:
            raise InputError(
                f"optimizer.lr: losses or gradients were not finite in the last {self.blocked_in_a_row} updates (see "
                f"{self.run / LOG}); lower it, or begin with schedule.warmup_steps"
            )

    def _judge(self, entry: Averages) -> None:
        """Tell what is wrong with the MIL loss, if something is."""
        images = (entry.steps - entry.n_blocked) * self.config.optimizer.images_per_step
        notice = self.watch.look(images, entry.terms["mil"]) if images else None
        if notice and self.log:
            self.log.terminal.say(notice)

    def _figures(self) -> Figures | None:
        """The model's figures now, on all processes together; None if a signal broke the evaluation off, which is then
        made up by the resumed run. (Several processes end it first: they wait for each other.)"""
        assert self.validate

        def advance(looked_at: int, images: int) -> None:
            if self.stop.signal and self.world.size == 1:
                raise _BrokenOffError
            if self.log:
                self.log.terminal.evaluating(looked_at, images)

        try:
            with self.log.terminal.pace.evaluation() if self.log else nullcontext():
                figures = self.validate(self.model, self.world, advance)
        except _BrokenOffError:
            self.model.train()
            return None
        self.owed = False
        if self.log:
            self.log.terminal.updating()
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
                "seeds": self.cache.seed_recipe(),
                "data_set": self.cache.data_set(),
                "decoding": dict(self.cache.decoding()),
                "labels": self.cache.label_digest(),
            },
            self.config.checkpoints_kept,
        )

    def _remember(self) -> None:
        """Let the watch hear what the run had logged before it was interrupted."""
        before, images_per_step = 0, self.config.optimizer.images_per_step
        for entry in read_log(self.run / LOG):
            if "mil" in entry["terms"]:
                self.watch.look((entry["step"] - before) * images_per_step, entry["terms"]["mil"])
                before = entry["step"]
