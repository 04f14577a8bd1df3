"""The trainer's configuration: one typed tree. `pdsl.config.load` fills it from YAML and `key=value` overrides."""

from dataclasses import dataclass, field
from typing import Literal

from pdsl.config.inference import LARGEST_SIDE, InferenceConfig
from pdsl.config.model import ModelConfig

ALL_SCALES = tuple(range(480, 1217, 32))
"""Shorter sides of the paper and of the release: 480 to 1216 in steps of 32."""


DeviceName = Literal["auto", "cpu", "cuda"]

LARGEST_STEP = 4096
"""Images of one update: more of them decoded do not fit into a machine's memory."""
LARGEST_RATE = 1_000.0
"""Of learning rate, decay and their factors; beyond it no network learns, and soon its weights overflow."""


@dataclass(frozen=True)
class DataConfig:
    """What is trained on and how it is read.

    stores: URLs of the precomputed stores; the command line's --store replaces them.
    images: data set SPEC where the images lie now, if not where the store says (command line: --data).
    split: split of the data set whose images are learnt from, where the store holds more (command line: --split); null:
        all of the store's.
    max_proposals: n^P, the best proposals of an image that are used.
    min_size: proposals of which a side is shorter, in pixels of the original image, are left out; if none is longer,
        all are used. 0 in paper and release (its MIN_SIZE: 20 is read by nothing).
    loaders: decoding processes per training process; 0 decodes in the training process itself.
    skip_empty: leave out images without any present class, as detectron2 does.
    together: images that a loader asks an object store for at a time, all their arrays and files in one round trip.
        What is read from folders is read one by one.
    copies: folder of this machine for copies of what comes from object stores, so that later epochs and runs read it
        there; it has to be yours alone. null: none are kept. Empty it where images were replaced by others of the
        same name; results of stages are told apart by their checksums.
    copies_gb: what the copies may take of the disk, in GB; those used longest ago make room for new ones.
    """

    stores: tuple[str, ...] = ()
    images: str | None = None
    split: str | None = None
    max_proposals: int = 2000
    min_size: float = 0.0
    loaders: int = 4
    skip_empty: bool = True
    together: int = 8
    copies: str | None = None
    copies_gb: float = 50.0

    @property
    def copies_limit(self) -> int:
        """In bytes."""
        return int(self.copies_gb * 1e9)

    def __post_init__(self) -> None:
        if self.max_proposals < 1:
            raise ValueError(f"max_proposals: {self.max_proposals} is not positive")
        if not 1 <= self.together <= 256:
            raise ValueError(f"together: {self.together} is not within 1..256")
        if self.copies is not None and "://" in self.copies:
            raise ValueError(f"copies: '{self.copies}' is not a folder of this machine")
        if not 0 <= self.copies_gb < 1e9:
            raise ValueError(f"copies_gb: {self.copies_gb} is not within 0..1e9")
        if self.loaders < 0:
            raise ValueError(f"loaders: {self.loaders} is negative")


@dataclass(frozen=True)
class FeaturesConfig:
    """Feature maps kept on disk, for a backbone that is frozen as a whole and trained on a CPU.

    Later epochs, other runs and evaluations read what the same backbone made of the same pixels: the results have the
    same bits, and pay where an image is seen often in few views (`augment` without crop and colours, few scales).
    cache: folder of the maps; null: none are kept. Not used on a GPU.
    limit_gb: what the maps of one backbone may take of the disk.
    """

    cache: str | None = None
    limit_gb: float = 50.0

    @property
    def limit(self) -> int:
        """In bytes."""
        return int(self.limit_gb * 1e9)

    def __post_init__(self) -> None:
        if self.cache is not None and "://" in self.cache:
            raise ValueError(f"cache: '{self.cache}' is not a folder of this machine, where maps are read fast enough")
        if self.limit_gb < 0:
            raise ValueError(f"limit_gb: {self.limit_gb} is negative")


@dataclass(frozen=True)
class AugmentConfig:
    """Random transformations of a training image.

    scales: the shorter side becomes one of these, in pixels, drawn evenly.
    max_side: the longer side stays within it, in pixels.
    flip: probability of a horizontal mirror.
    crop: share of each side of the image that a crop keeps; 1 = no crop.
    crop_sides: `drawn` = each side U(crop, 1) (release), `fixed` = each side `crop` (paper: "crop with 0.9 of the size
        of the original images").
    order: `crop-first` = the original image is cropped and the crop resized, so its shorter side is one of `scales`
        (paper and release); `resize-first` = the resized image is cropped.
    exposure, saturation: factors drawn from U(1 / x, x); 1 = no change.
    colour: how they are applied: `blend` = brightness, then towards or away from grey (release), `hsv` = value and
        saturation of HSV (paper).
    proposals: how many of an image's proposals, drawn evenly, take part in an update, with the seeds that are theirs;
        null: all, as in paper and release. Fewer cost less and are learnt by heart less easily, and over the epochs all
        are seen; inference takes all.
    """

    scales: tuple[int, ...] = ALL_SCALES
    max_side: int = 2000
    flip: float = 0.5
    crop: float = 0.9
    crop_sides: Literal["drawn", "fixed"] = "drawn"
    order: Literal["crop-first", "resize-first"] = "resize-first"
    exposure: float = 1.5
    saturation: float = 1.5
    colour: Literal["blend", "hsv"] = "blend"
    proposals: int | None = None

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1:
            raise ValueError(f"scales: {self.scales} has to hold positive sizes")
        if self.max_side < max(self.scales):
            raise ValueError(f"max_side: {self.max_side} is less than the largest of scales, {max(self.scales)}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip: {self.flip} is not a probability")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop: {self.crop} is not within (0, 1]")
        if self.exposure < 1 or self.saturation < 1:
            raise ValueError("exposure and saturation: factors have to be at least 1 (1 = no change)")
        if self.max_side > LARGEST_SIDE:
            raise ValueError(f"max_side: {self.max_side} is more than {LARGEST_SIDE} pixels")
        if self.proposals is not None and self.proposals < 1:
            raise ValueError(f"proposals: {self.proposals} is less than 1; leave it out (null) for all of them")


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients become updates.

    kind: SGD with momentum as in paper and release, or AdamW (momentum is its beta1; beta2 0.999). A network from
        scratch learns the MIL loss with AdamW; SGD is thrown back by the steep -log y near y = 0.
    lr: learning rate, before `schedule`.
    momentum: share of the last update that the next one keeps.
    weight_decay: share of a weight that is taken off, times the learning rate; of biases see bias_weight_decay.
    bias_lr_factor, bias_weight_decay: biases learn at lr x factor and have a decay of their own (release: 2, 0).
    images_per_step: images of one update over all processes; their losses are averaged.
    images_per_pass: images of one forward and backward pass in one process. Memory and speed; the result is the same,
        in float32 to rounding. In bf16 they pass one by one.
    """

    kind: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_lr_factor: float = 2.0
    bias_weight_decay: float = 0.0
    images_per_step: int = 4
    images_per_pass: int = 1

    def __post_init__(self) -> None:
        if min(self.images_per_step, self.images_per_pass) < 1:
            raise ValueError("images_per_step and images_per_pass have to be at least 1")
        if self.images_per_step > LARGEST_STEP:
            raise ValueError(f"images_per_step: {self.images_per_step} images are held at once; at most {LARGEST_STEP}")
        for name in ("lr", "bias_lr_factor", "weight_decay", "bias_weight_decay"):
            if not 0 <= getattr(self, name) <= LARGEST_RATE:
                raise ValueError(f"{name}: {getattr(self, name)} is not within 0..{LARGEST_RATE:.0f}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: {self.momentum} is not within [0, 1)")


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over the steps.

    drops: steps at which it is multiplied by `factor`.
    factor: what it is multiplied by at each of the drops.
    warmup_steps: so many steps it rises linearly from 0; 0 in the paper and in the release.
    """

    drops: tuple[int, ...] = ()
    factor: float = 0.1
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if list(self.drops) != sorted(set(self.drops)):
            raise ValueError(f"drops: {self.drops} has to rise")
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor: {self.factor} is not within (0, 1]")
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps: {self.warmup_steps} is negative")


@dataclass(frozen=True)
class ValidationConfig:
    """Figures of the model while it trains, as Fig. 3 plots them. They read ground truth; what is learnt does not.

    every: updates from one evaluation to the next, and after the last; 0: none.
    store: URL of a store with the proposals of the split to evaluate on.
    images: data set SPEC where its images and truth lie now, if not where the store says.
    split: split of the data set to evaluate on, where the store holds more; null: all of the store's.
    """

    every: int = 0
    store: str | None = None
    images: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.every < 0:
            raise ValueError(f"every: {self.every} is negative; 0 evaluates never")
        if self.every and self.store is None:
            raise ValueError("store: name the store with the proposals of the split to evaluate on, or set every to 0")


@dataclass(frozen=True)
class Config:
    """Everything that determines a training run.

    seed: of initial weights, order of images, augmentation and dropout.
    steps: number of updates.
    checkpoint_every: updates from one checkpoint to the next.
    pictures: training images, chosen by the seed, that are drawn for TensorBoard at every checkpoint; 0: none.
    checkpoints_kept: the newest so many stay beside last.pt, older ones are removed; 0 keeps all.
    log_every: updates from one line of log.jsonl to the next.
    device: "auto" takes CUDA where there is one.
    precision: of training and inference; "auto" is bf16 autocast on CUDA devices that have it (not by emulation), else
        float32.
    threads: of the CPU's arithmetic; 0 = all cores.
    init: run folder or checkpoint whose weights are the start (command line: --init).
    classes: name in a store -> name in this run, to join data sets (null drops a class; "*": null drops the
        classes that not all stores have).
    """

    seed: int = 0
    steps: int = 60_000
    checkpoint_every: int = 5_000
    checkpoints_kept: int = 3
    log_every: int = 20
    pictures: int = 4
    device: DeviceName = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = 0
    init: str | None = None
    classes: dict[str, str | None] = field(default_factory=dict)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive")
        if min(self.seed, self.threads, self.checkpoints_kept, self.pictures) < 0:
            raise ValueError("seed, threads, checkpoints_kept and pictures have to be non-negative")
