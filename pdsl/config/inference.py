"""Settings of inference; part of the run's configuration (`inference:`)."""

from dataclasses import dataclass

LARGEST_SIDE = 16_384
"""Pixels of a side of a resized image."""
PAPER_SCALES = (480, 576, 672, 768, 864, 960, 1056, 1152)
"""Shorter sides of the paper's test-time augmentation (section 4, implementation details)."""


@dataclass(frozen=True)
class InferenceConfig:
    """How detections are read from a trained model.

    scale: shorter side of the image at plain inference, in pixels.
    max_side: longer side of the image at most, in pixels, at every scale.
    tta_scales: the views of test-time augmentation: every scale, each also mirrored.
    score_threshold: detections of a lower class probability are dropped before NMS (release: 1e-5).
    nms: IoU above which the lower-scored of two boxes of a class is dropped (paper 0.5, release 0.3).
    detections: the best of an image that are kept, all classes together.
    mask_threshold: a pixel belongs to the object from this probability on.
    mil_weight: share w of the two-stream head in a detection's score, (mean of S^r)^(1 - w) (S^0)^w; 0 (paper): the
        refinement heads decide alone. Of few images the two-stream head makes the better detector.
    seed_weight: share of the seed mask of the nearest proposal in a detection's mask; 0 (paper): the mask heads decide
        alone. Above 0 the images evaluated need stage `grabcut`, too.
    """

    scale: int = 688
    max_side: int = 2000
    tta_scales: tuple[int, ...] = PAPER_SCALES
    score_threshold: float = 1e-5
    nms: float = 0.3
    detections: int = 100
    mask_threshold: float = 0.5
    mil_weight: float = 0.0
    seed_weight: float = 0.0

    def __post_init__(self) -> None:
        if not self.tta_scales or min(self.scale, *self.tta_scales) < 1:
            raise ValueError(f"scale and tta_scales: {self.scale}, {self.tta_scales} have to be positive sizes")
        if self.max_side < max(self.scale, *self.tta_scales):
            raise ValueError(f"max_side: {self.max_side} is less than the largest scale")
        if self.max_side > LARGEST_SIDE:
            raise ValueError(f"max_side: {self.max_side} is more than {LARGEST_SIDE} pixels")
        for name in ("score_threshold", "nms", "mask_threshold", "mil_weight", "seed_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not within 0..1")
        if self.detections < 1:
            raise ValueError(f"detections: {self.detections} is not positive")
