"""Random transformations of one training image, its proposals and its seed masks.

All numbers are drawn first, on the CPU, from the generator of (seed, step, image); then everything is computed on the
device, with plain numbers as factors: a small tensor from the host would make the host wait. Boxes move with the image
and are never clipped; box-frame masks stay as they are, save for a mirror. Image-level labels are never recomputed:
what a crop cuts away stays present.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pdsl.config.tree import AugmentConfig
from pdsl.structures import Proposals, Sample, Seeds

GREY = (0.299, 0.587, 0.114)
"""Weights of R, G, B in a pixel's grey value (ITU-R BT.601)."""


@dataclass(frozen=True)
class Transform:
    """One drawn transformation, in the order in which it is applied.

    size: (height, width) after the resize. flip: horizontal mirror of the resized image.
    crop: (x0, y0, x1, y1) in pixels of the resized, mirrored image. exposure, saturation: factors.
    """

    size: tuple[int, int]
    flip: bool
    crop: tuple[int, int, int, int]
    exposure: float = 1.0
    saturation: float = 1.0


def resized(size: tuple[int, int], shorter: int, max_side: int) -> tuple[int, int]:
    """(height, width) with the shorter side at `shorter`, or less if the longer would pass `max_side`."""
    factor = min(shorter / min(size), max_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def draw(config: AugmentConfig, size: tuple[int, int], generator: torch.Generator) -> Transform:
    """Draw a transformation for an image of `size` (height, width). The number of draws never depends on the values."""
    numbers = torch.rand(8, generator=generator, dtype=torch.float64).tolist()
    height, width = resized(size, config.scales[int(numbers[0] * len(config.scales))], config.max_side)
    crop_h = max(1, round(height * _between(config.crop, 1.0, numbers[2])))
    crop_w = max(1, round(width * _between(config.crop, 1.0, numbers[3])))
    y0 = int(numbers[4] * (height - crop_h + 1))
    x0 = int(numbers[5] * (width - crop_w + 1))
    return Transform(
        size=(height, width),
        flip=numbers[1] < config.flip,
        crop=(x0, y0, x0 + crop_w, y0 + crop_h),
        exposure=_between(1 / config.exposure, config.exposure, numbers[6]),
        saturation=_between(1 / config.saturation, config.saturation, numbers[7]),
    )


def apply(transform: Transform, sample: Sample) -> Sample:
    """The transformed sample: image, boxes, validity and mirrored masks; row, id and label as they were."""
    return replace(
        sample,
        image=transform_image(transform, sample.image),
        proposals=transform_proposals(transform, sample.proposals, (sample.image.shape[1], sample.image.shape[2])),
        seeds=Seeds(sample.seeds.index, sample.seeds.mask.flip(-1), sample.seeds.valid)
        if transform.flip
        else sample.seeds,
    )


def transform_image(transform: Transform, image: Tensor) -> Tensor:
    """(3, H, W) RGB in 0..255, any dtype -> (3, h, w) float32 in 0..255: resize, flip, crop, colour."""
    pixels = image[None].float()
    if transform.size != tuple(image.shape[1:]):
        pixels = F.interpolate(pixels, transform.size, mode="bilinear", antialias=True, align_corners=False)
    pixels = pixels[0].flip(-1) if transform.flip else pixels[0]
    x0, y0, x1, y1 = transform.crop
    return _colour(pixels[:, y0:y1, x0:x1], transform.exposure, transform.saturation)


def transform_proposals(transform: Transform, proposals: Proposals, size: tuple[int, int]) -> Proposals:
    """Proposals of an image of `size` (height, width) in the frame of the transformed one.

    Boxes are not clipped. Those without a common area with the crop become invalid.
    """
    height, width = transform.size
    x0, y0, x1, y1 = transform.crop
    left, top, right, bottom = proposals.box.unbind(1)
    left, right = (x * (width / size[1]) for x in (left, right))
    top, bottom = (y * (height / size[0]) for y in (top, bottom))
    if transform.flip:
        left, right = width - right, width - left
    box = torch.stack([left - x0, top - y0, right - x0, bottom - y0], 1)
    inside = (box[:, 2] > 0) & (box[:, 3] > 0) & (box[:, 0] < x1 - x0) & (box[:, 1] < y1 - y0)
    return Proposals(box, proposals.score, proposals.valid & inside)


def _colour(pixels: Tensor, exposure: float, saturation: float) -> Tensor:
    """Multiply brightness, then move each pixel from or to its grey value; the result stays within 0..255."""
    if exposure != 1:
        pixels = (pixels * exposure).clamp(0, 255)
    if saturation != 1:
        red, green, blue = pixels
        grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
        pixels = torch.lerp(grey[None], pixels, saturation).clamp(0, 255)
    return pixels.contiguous()


def _between(low: float, high: float, number: float) -> float:
    return low + (high - low) * number
