"""Configuration of the model: every difference between paper, authors' release and ablation is one named option.

Filled by `data.parameters.replace` from the `model:` part of a YAML file. The defaults are the preset `paper` for
VOC with ResNet18-WS. "Paper" below is the ICCV 2021 paper, "release" the authors' public code.
"""

from dataclasses import dataclass, field
from typing import Literal

SCRATCH = "scratch"
"""`backbone.weights` of a network that is trained from random weights on purpose."""

BackboneName = Literal["resnet18_ws", "resnet50_ws", "resnet101_ws", "vgg16", "tiny"]
MOST_SAMPLES = 64
"""RoIAlign's samples per bin and axis; no bin has as many cells of a feature map."""
Normalisation = Literal["as_printed", "per_image", "release"]


@dataclass(frozen=True)
class BackboneConfig:
    """The network that turns an image into one feature map.

    name: ResNet-WS (stride 8; 512 channels for 18, 2048 for 50 and 101), VGG16-DC5 (stride 8, 512 channels), or `tiny`
        (stride 4, 64 channels, GroupNorm; trained from scratch on small pictures, for demos and tests).
    weights: file of ImageNet weights, IMAGENET1K_V1 for torchvision's by name, or `scratch` for none on purpose. null:
        not said, which training refuses (except of `tiny`, for which there are none).
    pixels: pixel format the weights were trained with. `auto` takes it from the kind of file (torchvision: RGB, its
        mean and deviation; authors' .pkl: BGR 0..255 minus mean); `torchvision` and `caffe` say it outright.
    freeze: parts without gradients, always in eval mode. `none`; `stem` = all before res2 (ResNet) or conv3 (VGG);
        `all` = the whole backbone. `auto` goes by the weights: the authors' ResNet-WS `all` (as the release has it),
        VGG16 `stem`, torchvision's ResNets and none at all `none` (a frozen part must come with weights, and theirs
        lack the stem). A run's config.yaml holds what became of it.
    """

    name: BackboneName = "resnet18_ws"
    weights: str | None = None
    pixels: Literal["auto", "torchvision", "caffe"] = "auto"
    freeze: Literal["auto", "none", "stem", "all"] = "auto"

    def __post_init__(self) -> None:
        said = self.weights is not None or self.name == "tiny"  # else training says which weights there are
        if self.freeze not in ("auto", "none") and self.begins_with is None and said:
            raise ValueError(
                f"freeze: '{self.freeze}' freezes random weights; name a file in 'weights' (`pdsl weights` lists what "
                "fits) or use 'none'"
            )

    @property
    def begins_with(self) -> str | None:
        """The weights to load before the first update; None: random ones stay."""
        return None if self.weights == SCRATCH else self.weights

    @property
    def frozen_at_first(self) -> Literal["none", "stem", "all"]:
        """What is frozen as long as no weights were loaded, which `auto` waits for."""
        return "none" if self.freeze == "auto" else self.freeze


@dataclass(frozen=True)
class BoxHeadConfig:
    """RoIPool and the two fully connected layers (or the one) that all detection heads share.

    pool: side of the pooled window (7).
    hidden: widths of the two layers; (4096, 4096) with ResNet18-WS and VGG16, (2048, 4096) with ResNet50/101-WS. One
        width is one layer: from some hundred images a random one learns more that holds for others than two do.
    dropout: rate after each layer (0.5).
    objectness: multiply pooled features by (objectness score + 1); release only, the paper is silent. What scores mean
        depends on the proposals' source: docs/proposals.md.
    start: of the two layers where no weights fill them: `kaiming` (uniform, bias 0) or `normal` (N(0, 0.005), bias 0.1;
        release).
    chunk: pool and compute the two layers for so many proposals at a time and again in the backward pass: less memory,
        more time, the same result. null: all at once.
    """

    pool: int = 7
    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5
    objectness: bool = False
    start: Literal["kaiming", "normal"] = "kaiming"
    chunk: int | None = None

    def __post_init__(self) -> None:
        if min(self.pool, *self.hidden) < 1:
            raise ValueError(f"pool and hidden: {self.pool}, {self.hidden} have to be positive")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not in [0, 1)")
        if len(self.hidden) not in (1, 2):
            raise ValueError(f"hidden: {len(self.hidden)} widths; give two, or one for a single layer")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk: {self.chunk} is less than 1; leave it out (null) for all at once")


@dataclass(frozen=True)
class DetectionConfig:
    """Two-stream WSDDN head (Eq. 2) and the refinement heads (Eq. 3 and 4).

    n_r: number of refinement heads n^r (Table 1: 0..5). 0: labels, scores and detections come from S^0.
    mil_reduction: Eq. 2 prints the sum over classes, n^c times hotter than the release's `mean`: on photographs it
        diverges at the paper's learning rate.
    two_stream_start: weights of the two streams: `normal` (N(0, 0.01)) or `xavier` (uniform; release).
    foreground_iou: a proposal with this IoU or more to a pseudo box takes its class (release 0.5; paper silent).
    background_iou: [low, high): a proposal whose largest IoU lies in it is background; what lies between the bands is
        ignored. (0, 0.5) leaves no ignored band (release); OICR uses (0.1, 0.5).
    regression: box regression in the refinement heads (Eq. 3, second term; the release's COCO configuration: off).
    pseudo_box: which box of the previous head's top detection is the pseudo ground truth: the one it `regressed`
        (release; paper "from previous prediction") or the `proposal` itself.
    smooth_l1_beta: 1 = smooth L1 (paper, Fast R-CNN); 0 = plain L1 (release).
    objectness_prior: the softmax over proposals weighs each by this power of its objectness score; 0 (paper): all
        alike. For scores that are probabilities, as those of proposals of method `mcg` (docs/proposals.md).
    """

    n_r: int = 4
    mil_reduction: Literal["sum", "mean"] = "mean"
    two_stream_start: Literal["normal", "xavier"] = "normal"
    foreground_iou: float = 0.5
    background_iou: tuple[float, float] = (0.0, 0.5)
    regression: bool = True
    pseudo_box: Literal["regressed", "proposal"] = "regressed"
    smooth_l1_beta: float = 1.0
    objectness_prior: float = 0.0

    def __post_init__(self) -> None:
        if self.n_r < 0:
            raise ValueError(f"n_r: {self.n_r} is negative")
        if self.objectness_prior < 0:
            raise ValueError(f"objectness_prior: {self.objectness_prior} is negative")
        if self.smooth_l1_beta < 0:
            raise ValueError(f"smooth_l1_beta: {self.smooth_l1_beta} is negative")
        if not 0 < self.foreground_iou <= 1:
            raise ValueError(f"foreground_iou: {self.foreground_iou} is not in (0, 1]")
        low, high = self.background_iou
        if not 0 <= low <= high <= self.foreground_iou:
            raise ValueError(f"background_iou: need 0 <= low <= high <= foreground_iou, not {low}, {high}")


@dataclass(frozen=True)
class CascadeConfig:
    """Cascade learning (Fig. 3), the rival of the parallel scheme: pseudo masks from the detector's own gradient.

    classes: number of present classes that get a mask, best image score first (each costs one backward pass).
    sigma: deviation of the Gaussian that smooths |gradient|, in pixels.
    threshold: part of the box's largest value from which a pixel is foreground.
    """

    classes: int = 4
    sigma: float = 8.0
    threshold: float = 0.3

    def __post_init__(self) -> None:
        if self.classes < 1 or self.sigma <= 0:
            raise ValueError(f"classes and sigma: {self.classes}, {self.sigma} have to be positive")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold} is not within 0..1")


@dataclass(frozen=True)
class MaskConfig:
    """The segmentation branch (Eq. 5): RoIAlign, shared trunk, one class-agnostic and n^m class-specific predictors.

    n_m: number of class-specific heads n^m (Table 1: 0..5). 0: the class-agnostic head predicts.
    pool: side of the RoIAlign window; masks have twice that side (14 -> 28).
    sampling: RoIAlign's samples per bin and axis; 0 = as many as the bin has cells.
    convs: number of the trunk's 3x3 convolutions (4).
    channels: their width (256).
    capacity: F, the number of foreground proposals per image that enter the branch, nearest to their pseudo box first;
        the others are dropped and counted (`dropped_foreground` in log.jsonl). null: all of them (F = n^P, exact). A
        GPU computes F rows whatever an image has, a CPU those that it has: 44 of 2,000 on average, at most 136 in 63
        images of COCO.
    proposals: which the class-agnostic head learns from: `foreground`, or `all` as Eq. 5 prints (then no capacity).
    source: `seeds` = cached seed masks (paper); `cascade` = the detector's gradient (Fig. 3).
    n_seed: n^seed, seeds for each present class (Table 1: 1, 10, 50, 100).
    seed_pool: for each present class the n^seed seeds nearest to its top box are taken, among those of `all` proposals
        (paper) or of `foreground` proposals only (release).
    labels: where the branch's labels t, top boxes and seeds come from: `targets` = those that the last refinement head
        learns from (paper, t^{n^r}); `predictions` = anew from what that head says (release).
    self_training: head m >= 1 learns from the previous head's mask, thresholded at 0.5 (`hard`) or as it is (`soft`).
    trunk_gradient: which heads teach the shared trunk: `all` (paper and release) or the class-`agnostic` one alone; the
        others then fit their predictors to features that learn from the seeds only (not in the paper).
    weighting: heads m >= 1 weigh a proposal by the image score of its class (`image_score`, Eq. 5) or equally (`none`,
        release).
    """

    n_m: int = 4
    pool: int = 14
    sampling: int = 0
    convs: int = 4
    channels: int = 256
    capacity: int | None = 128
    proposals: Literal["foreground", "all"] = "foreground"
    source: Literal["seeds", "cascade"] = "seeds"
    n_seed: int = 10
    seed_pool: Literal["all", "foreground"] = "all"
    labels: Literal["targets", "predictions"] = "targets"
    self_training: Literal["hard", "soft"] = "hard"
    trunk_gradient: Literal["all", "agnostic"] = "all"
    weighting: Literal["image_score", "none"] = "image_score"
    cascade: CascadeConfig = field(default_factory=CascadeConfig)

    def __post_init__(self) -> None:
        if min(self.n_m, self.convs) < 0:
            raise ValueError(f"n_m and convs: {self.n_m}, {self.convs} must not be negative")
        if min(self.pool, self.channels) < 1:
            raise ValueError(f"pool and channels: {self.pool}, {self.channels} have to be positive")
        if not 0 <= self.sampling <= MOST_SAMPLES:
            raise ValueError(f"sampling: {self.sampling} is not within 0..{MOST_SAMPLES}")
        if self.n_seed < 1:
            raise ValueError(f"n_seed: {self.n_seed} is less than 1")
        if self.capacity is not None and self.capacity < 1:
            raise ValueError(f"capacity: {self.capacity} is less than 1; leave it out (null) for no limit")


@dataclass(frozen=True)
class CorrelationConfig:
    """Instance-activation correlation (Eq. 6 to 8).

    enabled: the ablation of Table 1.
    tau: sharpness of the log-sum-exp (5).
    target: the proposal's own score in the last refinement head (`proposal`, Eq. 8) or the score of its pseudo box
        (`pseudo_box`, release; always a constant).
    gradient: whether the proposal's own score learns from this loss too.
    class_agnostic: whether head 0 takes part (release; Eq. 6 starts at m = 1).
    """

    enabled: bool = True
    tau: float = 5.0
    target: Literal["proposal", "pseudo_box"] = "proposal"
    gradient: bool = True
    class_agnostic: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.tau <= 1000:
            raise ValueError(f"tau: {self.tau} is not within (0, 1000]")


@dataclass(frozen=True)
class ModelConfig:
    """The whole model.

    normalisation: `as_printed` = the sums of Eq. 3 and 5 as they stand (diverges at learning rate 0.01);
        `per_image` = refinement divided by n^P, masks by their number of proposals x h x w;
        `release` = as `per_image`, but classification divided by the number of proposals of weight > 1e-12 and
        correlation by the number of foreground proposals instead of n^P; y_t is kept within Eq. 2's margin.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    box_head: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    correlation: CorrelationConfig = field(default_factory=CorrelationConfig)
    normalisation: Normalisation = "per_image"
