"""Early notice of a training that will come to nothing: its MIL loss diverges, or does not move from where it began.

Both are judged against what needs no training, from the labels alone: image scores y_c that are the same for every
image. With y_c = 1 / C, which is where the two softmaxes of an untrained head leave it, Eq. 2 has one value; with y_c =
how many images have class c it has its lowest, the entropy of the labels. Who knows something of images is below it.
"""

from collections import deque

import numpy as np

from pdsl.config.tree import Config
from pdsl.model.equations import SCORE_MARGIN

WINDOW = 200
"""Images over which the loss is averaged. From image to image it differs with the number of labels, by a third of the
mean on VOC and by half of it on COCO: the average is good to 3 or 4 %."""
DIVERGED = 1.5
"""Times the untrained loss, more than ten deviations of the average above it. Runs that diverged went to 2 and to 4
times of it; those that learnt began below 1.2."""
STUCK = 0.95
"""Times the entropy of the labels: just what the average can tell from it."""
PATIENCE = 1000
"""Images after the warm-up by which a training has to be below STUCK. On 238 photographs of VOC 2007 the recipe for a
CPU is there after 300, and at 0.7 after 600."""
WARM_UP = 200
"""Updates of warm-up that are advised."""


class MilWatch:
    """Judges the MIL loss of a run as it is logged; tells what is wrong with it once, and what to try.

    labels: (N, C) bool of the training images.
    """

    def __init__(self, labels: np.ndarray, config: Config) -> None:
        self.config = config
        often = labels.mean(0)
        factor = 1 / labels.shape[1] if config.model.detection.mil_reduction == "mean" else 1.0
        self.untrained = factor * _cross_entropy(often, np.full(len(often), 1 / len(often)))
        self.entropy = factor * _cross_entropy(often, often)
        self.patience = PATIENCE + config.schedule.warmup_steps * config.optimizer.images_per_step
        self.seen = 0
        self.window: deque[tuple[int, float]] = deque()
        self.diverged = False
        self.judged = bool((labels == labels[:1]).all())  # then nothing can move, which is told elsewhere

    def look(self, images: int, mil: float) -> str | None:
        """A notice, where there is one. mil: average over the `images` since the look before."""
        self.seen += images
        self.window.append((images, mil))
        while sum(count for count, _ in self.window) - self.window[0][0] >= WINDOW:
            self.window.popleft()
        total = sum(count for count, _ in self.window)
        if total < WINDOW:
            return None
        mean = sum(count * value for count, value in self.window) / total
        return self._divergence(mean) or self._standstill(mean)

    def _divergence(self, mean: float) -> str | None:
        before, self.diverged = self.diverged, mean > DIVERGED * self.untrained
        if before or not self.diverged:
            return None
        return (
            f"notice: the MIL loss diverges: {mean:.3g}, where an untrained model has {self.untrained:.3g}\n"
            f"  try: {self._advice(faster=False)}"
        )

    def _standstill(self, mean: float) -> str | None:
        if self.judged or self.diverged or self.seen < self.patience:
            return None
        self.judged = True
        if mean <= STUCK * self.entropy:
            return None
        return (
            f"notice: the MIL loss does not move: {mean:.3g} after {self.seen:,} images, where knowing\n"
            f"  nothing but how often each class occurs gives {self.entropy:.3g}\n"
            f"  try: {self._advice(faster=True)}"
        )

    def _advice(self, *, faster: bool) -> str:
        """What is not so already, most telling first, a line each."""
        model, optimizer, schedule = self.config.model, self.config.optimizer, self.config.schedule
        bare = model.backbone.begins_with is None and self.config.init is None
        tried = []
        if bare and model.backbone.name != "tiny":
            tried.append("model.backbone.weights=FILE, ImageNet weights (`pdsl weights` lists them)")
        if model.detection.mil_reduction == "sum":
            tried.append("model.detection.mil_reduction=mean (is sum: as hot as all classes)")
        if bare and optimizer.kind == "sgd":
            tried.append("optimizer.kind=adamw optimizer.lr=0.001, for networks from scratch")
        tried.append(f"optimizer.lr={optimizer.lr * (3 if faster else 1 / 3):.2g} (is {optimizer.lr:g})")
        if schedule.warmup_steps < WARM_UP:
            tried.append(f"schedule.warmup_steps={WARM_UP} (is {schedule.warmup_steps})")
        return "\n       ".join(tried)


def _cross_entropy(often: np.ndarray, score: np.ndarray) -> float:
    """Eq. 2 on average over images that have class c with probability often (C,), where y is score (C,)."""
    y = score.clip(SCORE_MARGIN, 1 - SCORE_MARGIN)
    return float(-(often * np.log(y) + (1 - often) * np.log(1 - y)).sum())
