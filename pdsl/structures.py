"""What flows through the trainer: one image with its proposals and seeds, and what a detector says of an image."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Proposals:
    """The proposals of one image, P rows, best first; in the frame of the image they travel with.

    box: (P, 4) float32 xyxy, half-open pixels, *unclipped* (they may leave a crop).
    score: (P,) float32 objectness of the proposal method.
    valid: (P,) bool; False for padding and for proposals that lie outside the crop: they take no part in any softmax.
    """

    box: Tensor
    score: Tensor
    valid: Tensor


@dataclass
class Seeds:
    """The cached seed masks of one image, Q rows.

    index: (Q,) int64, the proposal each seed belongs to (padding: 0).
    mask: (Q, 56, 56) bool, in the seed box's own frame.
    valid: (Q,) bool.
    """

    index: Tensor
    mask: Tensor
    valid: Tensor


@dataclass
class Sample:
    """One training image after augmentation, on the device.

    image: (3, H, W) float32 RGB in 0..255, not yet normalised: the backbone carries its own pixel format.
    label: (C,) bool, image-level labels t.
    row: row of the image in its store; image_id: as the data set names it.
    """

    image: Tensor
    label: Tensor
    proposals: Proposals
    seeds: Seeds
    row: int
    image_id: str


@dataclass
class Detections:
    """Final detections of one image, best first, in the original image's frame.

    box: (D, 4) float32 xyxy; score: (D,) float32; label: (D,) int64, 0-based class ids;
    mask: (D, m, m) float32 probabilities in the frame of `box` (m = 28).
    """

    box: Tensor
    score: Tensor
    label: Tensor
    mask: Tensor
