"""Random transformations of one training image, its proposals and its seed masks.

All numbers are drawn first, on the CPU, from the generator of (seed, step, image); then everything is computed on the
device, with plain numbers as factors: a small tensor from the host would make the host wait. Boxes move with the image
and are never clipped; box-frame masks stay as they are, save for a mirror. Image-level labels are never recomputed:
what a crop cuts away stays present.
"""

from collections.abc import Sequence
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

    window: (x0, y0, x1, y1), the part of the original image that is looked at, in its pixels; None: all of it.
    size: (height, width) after the resize. flip: horizontal mirror of the resized image.
    crop: (x0, y0, x1, y1) in pixels of the resized, mirrored image. exposure, saturation: factors, of `hsv` or of RGB.
    """

    size: tuple[int, int]
    flip: bool
    crop: tuple[int, int, int, int]
    exposure: float = 1.0
    saturation: float = 1.0
    window: tuple[int, int, int, int] | None = None
    hsv: bool = False


def resized(size: tuple[int, int], shorter: int, max_side: int) -> tuple[int, int]:
    """(height, width) with the shorter side at `shorter`, or less if the longer would pass `max_side`."""
    factor = min(shorter / min(size), max_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def draw(config: AugmentConfig, size: tuple[int, int], generator: torch.Generator) -> Transform:
    """Draw a transformation for an image of `size` (height, width). The number of draws never depends on the values."""
    numbers = torch.rand(8, generator=generator, dtype=torch.float64).tolist()
    shorter = config.scales[int(numbers[0] * len(config.scales))]
    if config.order == "crop-first":
        window = _draw_crop(config, size, numbers[2:6])
        height, width = resized((window[3] - window[1], window[2] - window[0]), shorter, config.max_side)
        crop = (0, 0, width, height)
    else:
        window = None
        height, width = resized(size, shorter, config.max_side)
        crop = _draw_crop(config, (height, width), numbers[2:6])
    return Transform(
        size=(height, width),
        flip=numbers[1] < config.flip,
        crop=crop,
        exposure=_between(1 / config.exposure, config.exposure, numbers[6]),
        saturation=_between(1 / config.saturation, config.saturation, numbers[7]),
        window=window,
        hsv=config.colour == "hsv",
    )


def _draw_crop(config: AugmentConfig, size: tuple[int, int], numbers: Sequence[float]) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) within an image of `size`, by four numbers in 0..1: its height, width and place."""
    height, width = size
    largest = 1.0 if config.crop_sides == "drawn" else config.crop
    crop_h = max(1, round(height * _between(config.crop, largest, numbers[0])))
    crop_w = max(1, round(width * _between(config.crop, largest, numbers[1])))
    y0 = int(numbers[2] * (height - crop_h + 1))
    x0 = int(numbers[3] * (width - crop_w + 1))
    return x0, y0, x0 + crop_w, y0 + crop_h


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
    """(3, H, W) RGB in 0..255, any dtype -> (3, h, w) float32 in 0..255: window, resize, flip, crop, colour."""
    if transform.window:
        x0, y0, x1, y1 = transform.window
        image = image[:, y0:y1, x0:x1]
    pixels = image[None].float()
    if transform.size != tuple(image.shape[1:]):
        pixels = F.interpolate(pixels, transform.size, mode="bilinear", antialias=True, align_corners=False)
    pixels = pixels[0].flip(-1) if transform.flip else pixels[0]
    x0, y0, x1, y1 = transform.crop
    colour = _hsv if transform.hsv else _blend
    return colour(pixels[:, y0:y1, x0:x1], transform.exposure, transform.saturation)


def transform_proposals(transform: Transform, proposals: Proposals, size: tuple[int, int]) -> Proposals:
    """Proposals of an image of `size` (height, width) in the frame of the transformed one.

    Boxes are not clipped. Those without a common area with the crop become invalid.
    """
    height, width = transform.size
    x0, y0, x1, y1 = transform.crop
    x, y = proposals.box[:, 0::2], proposals.box[:, 1::2]  # low and high of each
    if transform.window:
        wx0, wy0, wx1, wy1 = transform.window
        x, y = x - wx0, y - wy0
        size = (wy1 - wy0, wx1 - wx0)
    x, y = x * (width / size[1]), y * (height / size[0])
    if transform.flip:
        x = width - x
    if x0 or y0:
        x, y = x - x0, y - y0
    (left, right), (top, bottom) = x.unbind(1), y.unbind(1)
    if transform.flip:
        left, right = right, left
    inside = (left < x1 - x0) & (top < y1 - y0) & (torch.minimum(right, bottom) > 0)
    return Proposals(torch.stack([left, top, right, bottom], 1), proposals.score, proposals.valid & inside)


def _blend(pixels: Tensor, exposure: float, saturation: float) -> Tensor:
    """Multiply brightness, then move each pixel from or to its grey value; the result stays within 0..255."""
    if exposure != 1:
        pixels = (pixels * exposure).clamp(0, 255)
    if saturation != 1:
        red, green, blue = pixels
        grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
        pixels = torch.lerp(grey[None], pixels, saturation).clamp(0, 255)
    return pixels.contiguous()


def _hsv(pixels: Tensor, exposure: float, saturation: float) -> Tensor:
    """Multiply value and saturation of HSV, each up to its largest; the hue stays. Saturation is 1 - min / max."""
    if exposure != 1:
        value = pixels.amax(0).clamp(min=1e-6)
        pixels = pixels * ((value * exposure).clamp(max=255) / value)
    if saturation != 1:
        least, value = pixels.aminmax(dim=0)
        most = value / (value - least).clamp(min=1e-6)  # the factor that makes the colour full
        pixels = torch.addcmul(value, pixels - value, most.clamp(max=saturation)).clamp(0, 255)
    return pixels.contiguous()


def _between(low: float, high: float, number: float) -> float:
    return low + (high - low) * number
